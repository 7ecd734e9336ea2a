#include "compiler/builtins.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "compiler/frame.h"
#include "compiler/layout.h"
#include "compiler/tier.h"
#include "compiler/unwind.h"
#include "runtime/continuation.h"

namespace wafer::compiler {

namespace {

using runtime::GcArray;
using runtime::GcException;
using runtime::GcObject;
using runtime::Memory;
using runtime::Table;

void check(VmContext* c, TrapCode code) {
  if (WAFER_UNLIKELY(code != TrapCode::None)) raise_trap(*c->exec, code);
}

GcArray* array_of(VmContext* c, uint64_t ref) {
  if (WAFER_UNLIKELY(!ref)) raise_trap(*c->exec, TrapCode::NullArrayReference);
  return reinterpret_cast<GcArray*>(ref);
}

void check_range(VmContext* c, uint64_t at, uint64_t count, uint64_t size, TrapCode code) {
  if (WAFER_UNLIKELY(at > size || count > size - at)) raise_trap(*c->exec, code);
}

GcArray* make_array(VmContext* c, uint32_t type_index, uint64_t length) {
  const wasm::CanonType* type = c->types[type_index];
  GcArray* a = c->store->gc().new_array(type, length);
  if (WAFER_UNLIKELY(!a)) {
    const uint64_t most = (uint64_t{1} << 30) / (type->element_size ? type->element_size : 1);
    raise_trap(*c->exec, length > most ? TrapCode::AllocationTooLarge : TrapCode::OutOfMemory);
  }
  return a;
}

Bytes data_of(VmContext* c, uint32_t segment) { return c->instance->data(segment); }

// ---- builtins, in the order of builtins.def ---------------------------------------

void trap(VmContext* c, uint32_t code) { raise_trap(*c->exec, TrapCode(code)); }

void trap_uninitialized(VmContext* c, uint64_t index) {
  // No destructor runs past raise_trap(), so nothing here may need one.
  char message[64];
  const std::string_view text = runtime::trap_message(TrapCode::UninitializedElement);
  const int n = std::snprintf(message, sizeof message, "%.*s %llu", int(text.size()), text.data(),
                              static_cast<unsigned long long>(index));
  raise_trap(*c->exec, TrapCode::UninitializedElement, {message, size_t(n)});
}

void check_func_type(VmContext* c, uint64_t func, uint32_t type_index) {
  const wasm::CanonType* have = reinterpret_cast<const FuncInst*>(func)->type;
  if (!c->store->registry().is_subtype(have->id, c->types[type_index]->id))
    raise_trap(*c->exec, TrapCode::IndirectTypeMismatch);
}

uint64_t memory_grow(VmContext* c, uint32_t memory, uint64_t delta) {
  return c->memories[memory]->grow(delta);
}
void memory_fill(VmContext* c, uint32_t memory, uint64_t at, uint32_t value, uint64_t n) {
  check(c, c->memories[memory]->fill(at, uint8_t(value), n));
}
void memory_copy(VmContext* c, uint32_t to, uint32_t from, uint64_t at, uint64_t src, uint64_t n) {
  check(c, Memory::copy(*c->memories[to], at, *c->memories[from], src, n));
}
void memory_init(VmContext* c, uint32_t memory, uint32_t data, uint64_t at, uint64_t src,
                 uint64_t n) {
  check(c, c->memories[memory]->init(at, data_of(c, data), src, n));
}
void data_drop(VmContext* c, uint32_t data) { c->instance->data_dropped[data] = true; }

uint64_t table_grow(VmContext* c, uint32_t table, uint64_t init, uint64_t delta) {
  return c->tables[table]->grow(delta, init);
}
void table_fill(VmContext* c, uint32_t table, uint64_t at, uint64_t value, uint64_t n) {
  check(c, c->tables[table]->fill(at, value, n));
}
void table_copy(VmContext* c, uint32_t to, uint32_t from, uint64_t at, uint64_t src, uint64_t n) {
  check(c, Table::copy(*c->tables[to], at, *c->tables[from], src, n));
}
void table_init(VmContext* c, uint32_t table, uint32_t elem, uint64_t at, uint64_t src,
                uint64_t n) {
  check(c, c->tables[table]->init(at, c->instance->elems[elem], src, n));
}
void elem_drop(VmContext* c, uint32_t elem) { Vec<Ref>().swap(c->instance->elems[elem]); }

uint32_t wait(VmContext* c, uint32_t memory, uint64_t address, uint64_t expected, bool is64,
              int64_t timeout) {
  uint32_t result = 0;
  check(c, c->memories[memory]->atomic_wait(address, expected, is64, timeout, result,
                                            &c->store->interrupt_flag));
  return result;
}
uint32_t atomic_wait32(VmContext* c, uint32_t memory, uint64_t address, uint32_t expected,
                       uint64_t timeout) {
  return wait(c, memory, address, expected, false, int64_t(timeout));
}
uint32_t atomic_wait64(VmContext* c, uint32_t memory, uint64_t address, uint64_t expected,
                       uint64_t timeout) {
  return wait(c, memory, address, expected, true, int64_t(timeout));
}
uint32_t atomic_notify(VmContext* c, uint32_t memory, uint64_t address, uint32_t count) {
  uint32_t woken = 0;
  check(c, c->memories[memory]->atomic_notify(address, count, woken));
  return woken;
}

uint64_t struct_new(VmContext* c, uint32_t type) {
  GcObject* o = c->store->gc().new_struct(c->types[type]);
  if (WAFER_UNLIKELY(!o)) raise_trap(*c->exec, TrapCode::OutOfMemory);
  return uintptr_t(o);
}
uint64_t array_new(VmContext* c, uint32_t type, uint64_t length) {
  return uintptr_t(make_array(c, type, length));
}
uint64_t array_new_data(VmContext* c, uint32_t type, uint32_t data, uint64_t src, uint64_t n) {
  const Bytes bytes = data_of(c, data);
  const uint64_t size = n * c->types[type]->element_size;
  check_range(c, src, size, bytes.size(), TrapCode::MemoryOutOfBounds);
  GcArray* a = make_array(c, type, n);
  if (size) std::memcpy(a->elements(), bytes.data() + src, size);
  return uintptr_t(a);
}
uint64_t array_new_elem(VmContext* c, uint32_t type, uint32_t elem, uint64_t src, uint64_t n) {
  const Vec<Ref>& items = c->instance->elems[elem];
  check_range(c, src, n, items.size(), TrapCode::TableOutOfBounds);
  GcArray* a = make_array(c, type, n);
  if (n) std::memcpy(a->elements(), items.data() + src, n * sizeof(Ref));
  return uintptr_t(a);
}
void array_fill(VmContext* c, uint64_t array, uint64_t at, void* value, uint64_t n) {
  GcArray* a = array_of(c, array);
  check_range(c, at, n, a->length, TrapCode::ArrayOutOfBounds);
  const size_t size = a->type->element_size;
  uint8_t* p = a->elements() + at * size;
  for (uint64_t i = 0; i < n; ++i, p += size) std::memcpy(p, value, size);
}
void array_copy(VmContext* c, uint64_t to, uint64_t at, uint64_t from, uint64_t src, uint64_t n) {
  GcArray* const a = array_of(c, to);
  GcArray* const b = array_of(c, from);
  check_range(c, at, n, a->length, TrapCode::ArrayOutOfBounds);
  check_range(c, src, n, b->length, TrapCode::ArrayOutOfBounds);
  const size_t size = a->type->element_size;
  std::memmove(a->elements() + at * size, b->elements() + src * size, n * size);
}
void array_init_data(VmContext* c, uint32_t data, uint64_t array, uint64_t at, uint64_t src,
                     uint64_t n) {
  GcArray* a = array_of(c, array);
  check_range(c, at, n, a->length, TrapCode::ArrayOutOfBounds);
  const Bytes bytes = data_of(c, data);
  const size_t size = a->type->element_size;
  check_range(c, src, n * size, bytes.size(), TrapCode::MemoryOutOfBounds);
  if (n) std::memcpy(a->elements() + at * size, bytes.data() + src, n * size);
}
void array_init_elem(VmContext* c, uint32_t elem, uint64_t array, uint64_t at, uint64_t src,
                     uint64_t n) {
  GcArray* a = array_of(c, array);
  check_range(c, at, n, a->length, TrapCode::ArrayOutOfBounds);
  const Vec<Ref>& items = c->instance->elems[elem];
  check_range(c, src, n, items.size(), TrapCode::TableOutOfBounds);
  if (n) std::memcpy(a->elements() + at * sizeof(Ref), items.data() + src, n * sizeof(Ref));
}

uint32_t ref_test(VmContext* c, uint64_t ref, uint32_t form, uint32_t type_index) {
  auto heap = wasm::HeapType::from_bits(form);
  if (heap.is_concrete())
    heap = wasm::HeapType::concrete(c->types[type_index]->id, heap.is_exact());
  return runtime::ref_matches(c->store->registry(), ref, heap);
}
uint32_t ref_test_desc(VmContext*, uint64_t ref, uint64_t descriptor) {
  return runtime::descriptor_of(ref) == descriptor;
}

uint64_t exception_new(VmContext* c, uint32_t tag) {
  GcException* e = c->store->gc().new_exception(c->tags[tag]);
  if (WAFER_UNLIKELY(!e)) raise_trap(*c->exec, TrapCode::OutOfMemory);
  return uintptr_t(e);
}
void throw_exception(VmContext* c, uint64_t exception) {
  if (WAFER_UNLIKELY(!exception)) raise_trap(*c->exec, TrapCode::NullExceptionReference);
  raise_exception(*c->exec, exception);
}
uint64_t take_exception(VmContext* c) {
  return std::exchange(c->store->pending_exception, runtime::kNullRef);
}

uint64_t tier_up(VmContext* c, uint32_t func, uint32_t loop) {
  if (!c->better_code) return 0;
  void* code = nullptr;
  runtime::on_host_stack(*c->store, [&] { code = c->better_code(*c, func, loop); });
  return uintptr_t(code);
}

// What a switch of stacks came to, where it was not its values.
void after_switch(VmContext* c, TrapCode code) {
  if (WAFER_LIKELY(code == TrapCode::None)) return;
  if (code == TrapCode::UncaughtException)
    raise_exception(*c->exec, std::exchange(c->store->pending_exception, runtime::kNullRef));
  raise_noted_trap(*c->exec, code);
}
uint64_t cont_new(VmContext* c, uint64_t func) {
  if (WAFER_UNLIKELY(!func)) raise_trap(*c->exec, TrapCode::NullFunctionReference);
  Ref out = runtime::kNullRef;
  after_switch(c, runtime::new_continuation(*c->store, reinterpret_cast<FuncInst*>(func), out));
  return out;
}
uint64_t cont_bind(VmContext* c, uint64_t cont, void* values, uint32_t slots) {
  Ref out = runtime::kNullRef;
  after_switch(c, runtime::bind_continuation(*c->store, cont,
                                             {static_cast<const Slot*>(values), slots}, out));
  return out;
}
void put_values(void* to, std::span<const Slot> values) {
  if (!values.empty()) std::memcpy(to, values.data(), values.size_bytes());
}
void suspend(VmContext* c, uint32_t tag, void* values, uint32_t slots) {
  std::span<const Slot> came;
  after_switch(c, runtime::suspend(*c->store, c->tags[tag],
                                   {static_cast<const Slot*>(values), slots}, came));
  put_values(values, came);
}
void switch_to(VmContext* c, uint32_t tag, uint64_t cont, void* values, uint32_t slots) {
  std::span<const Slot> came;
  after_switch(c, runtime::switch_to(*c->store, c->tags[tag], cont,
                                     {static_cast<const Slot*>(values), slots}, came));
  put_values(values, came);
}
uint32_t resume_with(VmContext* c, uint64_t cont, void* values, uint32_t slots, const void* clauses,
                     uint32_t count, bool throws, Ref exception) {
  auto* const handlers =
      static_cast<runtime::ResumeHandler*>(alloca(count * sizeof(runtime::ResumeHandler)));
  for (uint32_t k = 0; k < count; ++k) {
    const uint32_t clause = static_cast<const uint32_t*>(clauses)[k];
    handlers[k] = {c->tags[clause >> 1], bool(clause & 1)};
  }
  const runtime::Resumed r =
      runtime::resume_continuation(*c->store, cont, {static_cast<const Slot*>(values), slots},
                                   {handlers, count}, throws, exception);
  if (r.code == TrapCode::None) {
    put_values(values, r.values);
    if (r.clause != runtime::kResumeFinished)
      static_cast<Slot*>(values)[r.values.size()] = r.continuation;
  }
  runtime::release(r);
  after_switch(c, r.code);
  return r.clause;
}
uint32_t resume(VmContext* c, uint64_t cont, void* values, uint32_t slots, void* clauses,
                uint32_t count) {
  return resume_with(c, cont, values, slots, clauses, count, false, runtime::kNullRef);
}
uint32_t resume_throw(VmContext* c, uint64_t exception, uint64_t cont, void* values, void* clauses,
                      uint32_t count) {
  return resume_with(c, cont, values, 0, clauses, count, true, exception);
}

void out_of_fuel(VmContext* c) {
  if (!runtime::wait_for_fuel(*c->store)) raise_trap(*c->exec, TrapCode::OutOfFuel);
}
void interrupted(VmContext* c) {
  if (!runtime::wait_for_interrupt(*c->store)) raise_trap(*c->exec, TrapCode::Interrupted);
}

constexpr bool throws(std::string_view name) {
  return name == "throw_exception" || name == "suspend" || name == "switch_to" ||
         name == "resume" || name == "resume_throw";
}
constexpr bool returns(std::string_view name) {
  return name != "trap" && name != "trap_uninitialized" && name != "throw_exception";
}

#define v 'v'
#define i 'i'
#define I 'I'
// NOLINTNEXTLINE(bugprone-throwing-static-initialization): addresses and literals only
const BuiltinInfo kBuiltins[] = {
#define WAFER_BUILTIN(name, result, params) \
  {#name, result, params, reinterpret_cast<void*>(&name), throws(#name), returns(#name)},
#include "compiler/builtins.def"
#undef WAFER_BUILTIN
};
#undef v
#undef i
#undef I

struct Symbol {
  std::string_view name;
  void* address;
};

template <class R, class... A>
void* address_of(R (*f)(A...)) {
  return reinterpret_cast<void*>(f);
}

// NOLINTNEXTLINE(bugprone-throwing-static-initialization): addresses and literals only
const Symbol kSymbols[] = {
    {"memcpy", address_of(&std::memcpy)},
    {"memmove", address_of(&std::memmove)},
    {"memset", address_of(&std::memset)},
    {"memcmp", address_of(&std::memcmp)},
    {"ceil", address_of<double, double>(&std::ceil)},
    {"ceilf", address_of<float, float>(&::ceilf)},
    {"floor", address_of<double, double>(&std::floor)},
    {"floorf", address_of<float, float>(&::floorf)},
    {"trunc", address_of<double, double>(&std::trunc)},
    {"truncf", address_of<float, float>(&::truncf)},
    {"roundeven", address_of<double, double>(&::nearbyint)},
    {"roundevenf", address_of<float, float>(&::nearbyintf)},
    {"rint", address_of<double, double>(&::nearbyint)},
    {"rintf", address_of<float, float>(&::nearbyintf)},
    {"nearbyint", address_of<double, double>(&::nearbyint)},
    {"nearbyintf", address_of<float, float>(&::nearbyintf)},
    {"fma", address_of<double, double, double, double>(&std::fma)},
    {"fmaf", address_of<float, float, float, float>(&::fmaf)},
    {"fmin", address_of<double, double, double>(&std::fmin)},
    {"fminf", address_of<float, float, float>(&::fminf)},
    {"fmax", address_of<double, double, double>(&std::fmax)},
    {"fmaxf", address_of<float, float, float>(&::fmaxf)},
    {"wafer_personality", address_of(&wafer_personality)},
};

}  // namespace

const BuiltinInfo& builtin_info(Builtin builtin) { return kBuiltins[size_t(builtin)]; }

void* symbol_address(std::string_view name) {
  for (const Symbol& s : kSymbols)
    if (s.name == name) return s.address;
  constexpr std::string_view kPrefix = "wafer_";
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  for (const BuiltinInfo& b : kBuiltins)
    if (b.name == name) return b.address;
  return nullptr;
}

uint64_t abi_fingerprint() {
  // FNV-1a over everything that code has built in.
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](const void* p, size_t n) {
    for (size_t k = 0; k < n; ++k)
      hash = (hash ^ static_cast<const uint8_t*>(p)[k]) * 0x100000001b3u;
  };
  const auto number = [&add](uint64_t n) { add(&n, sizeof n); };
  number(4);  // of the conventions that no layout shows
  for (const BuiltinInfo& b : kBuiltins) {
    add(b.name.data(), b.name.size());
    add(&b.result, 1);
    add(b.params.data(), b.params.size());
  }
  for (const SavedRegister& r : kSavedRegisters) number(r.number | r.at << 8);
  number(kGprArgs);
  number(kFprArgs);
  for (const uint32_t offset : layout_offsets()) number(offset);
  return hash;
}

}  // namespace wafer::compiler
