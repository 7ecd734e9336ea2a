#include "runtime/store.h"

#include "api/convert.h"
#if WAFER_WITH_DEMANGLE
#include "demangle/demangle.h"
#endif
#include "runtime/backtrace.h"
#include "runtime/gc_storage.h"
#include "wafer/store.hpp"

namespace wafer {

using runtime::GcArray;
using runtime::GcException;
using runtime::GcHeap;
using runtime::GcHostObject;
using runtime::GcObject;
using runtime::kNullRef;

Store::Store(const Engine& engine, const StoreLimits& limits) {
  runtime::StoreLimits l;
  l.memory_bytes = limits.memory_bytes;
  l.table_elements = limits.table_elements;
  l.instances = limits.instances;
  l.gc_heap_bytes = limits.gc_heap_bytes;
  impl_ = make_box<runtime::Store>(engine.raw(), l);
}
Store::~Store() = default;
Store::Store(Store&& other) noexcept = default;
Store& Store::operator=(Store&& other) noexcept = default;

Engine Store::engine() const { return Engine(impl_->engine_owner()); }

void Store::set_fuel(uint64_t fuel) {
  impl_->fuel = fuel > uint64_t(INT64_MAX) ? INT64_MAX : int64_t(fuel);
}
uint64_t Store::fuel() const { return impl_->fuel > 0 ? uint64_t(impl_->fuel) : 0; }

void Store::interrupt() { impl_->interrupt(); }
void Store::clear_interrupt() { impl_->interrupt_flag.store(0, std::memory_order_relaxed); }

namespace detail {
const TrapInfo& described_trap(runtime::Store& store) {
#if WAFER_WITH_DEMANGLE
  runtime::describe(store.trap(), demangle);
#else
  runtime::describe(store.trap(), nullptr);
#endif
  return store.trap();
}
}  // namespace detail

const TrapInfo& Store::last_trap() const { return detail::described_trap(*impl_); }
String Store::format_backtrace() const { return runtime::format_backtrace(last_trap().backtrace); }

bool Store::take_exception(Tag& tag, Vec<Val>& args) {
  if (impl_->trap().code != TrapCode::UncaughtException || impl_->pending_exception == kNullRef)
    return false;
  auto* exception = reinterpret_cast<GcException*>(uintptr_t(impl_->pending_exception));
  tag = Tag(impl_.get(), exception->tag);
  args.clear();
  const Slot* slot = exception->args();
  for (const ValType t : exception->tag->type->func.params) {
    args.push_back(Val::from_slots(impl_.get(), t, slot));
    slot += wasm::slot_count(t);
  }
  impl_->pending_exception = kNullRef;
  return true;
}

void Store::collect() { impl_->gc().collect(); }
size_t Store::gc_live_bytes() const { return impl_->gc().live_bytes(); }

void Store::set_data(void* data) { impl_->embedder_data = data; }
void* Store::data() const { return impl_->embedder_data; }

// ---- References --------------------------------------------------------------

namespace detail {

uint32_t root(runtime::Store* store, uint64_t ref) { return store->root(ref); }
uint64_t rooted(runtime::Store* store, uint32_t handle) { return store->rooted(handle); }
void unroot(runtime::Store* store, uint32_t handle) { store->unroot(handle); }

namespace {
void finalize_host(void* data) {
  auto* header = static_cast<HostHeader*>(data);
  header->destroy(header);
}

// The object that `ref` points to, or null if it is null or an i31.
GcObject* object_of(runtime::Store* store, uint64_t ref) {
  if (!store || ref == kNullRef || runtime::is_i31(ref)) return nullptr;
  return reinterpret_cast<GcObject*>(uintptr_t(ref));
}
}  // namespace

uint64_t new_host_object(runtime::Store* store, HostHeader* header) {
  GcHostObject* object = store->gc().new_host_object(header, finalize_host);
  if (!object) {
    header->destroy(header);
    return kNullRef;
  }
  return uintptr_t(object);
}

HostHeader* host_object(runtime::Store* store, uint64_t ref) {
  GcObject* object = object_of(store, ref);
  if (!object || !GcHeap::is_host_object(object)) return nullptr;
  auto* host = static_cast<GcHostObject*>(object);
  return host->finalize == finalize_host ? static_cast<HostHeader*>(host->data) : nullptr;
}

bool fits(const runtime::Store& store, const Val& value, ValType want) {
  const wasm::TypeRegistry& registry = store.registry();
  if (registry.is_subtype(value.type(), want)) return true;
  if (!value.type().is_ref() || !want.is_ref()) return false;
  if (registry.top(value.type().heap()) != registry.top(want.heap())) return false;
  if (value.is_null()) return want.nullable();
  return runtime::ref_matches(registry, value.slot(), want.heap());
}

Error wrong_type(std::string_view what, ValType want, ValType got) {
  String message(what);
  message += ": expected ";
  message += wasm::to_string(want);
  message += ", got ";
  message += wasm::to_string(got);
  return Error(ErrorKind::Usage, message);
}

}  // namespace detail

bool AnyRef::is_struct() const {
  GcObject* o = detail::object_of(store(), bits());
  return o && o->type->kind == wasm::CompKind::Struct;
}

bool AnyRef::is_array() const {
  GcObject* o = detail::object_of(store(), bits());
  return o && o->type->kind == wasm::CompKind::Array;
}

Result<uint64_t> AnyRef::length() const {
  GcObject* o = detail::object_of(store(), bits());
  if (is_struct()) return uint64_t(o->type->fields.size());
  if (is_array()) return static_cast<GcArray*>(o)->length;
  return failure(ErrorKind::Usage, "not a struct or array");
}

namespace {

// Where field or element `index` of `o` lies, and its type.
Result<std::pair<uint8_t*, FieldType>> locate(const AnyRef& ref, uint64_t index) {
  WAFER_LET(length, ref.length());
  if (index >= length) return failure(ErrorKind::Usage, "no such field or element");
  auto* o = reinterpret_cast<GcObject*>(uintptr_t(ref.bits()));
  if (ref.is_struct())
    return std::pair(o->payload() + o->type->field_offsets[index], o->type->fields[index]);
  return std::pair(static_cast<GcArray*>(o)->elements() + index * o->type->element_size,
                   o->type->fields[0]);
}

}  // namespace

Result<Val> AnyRef::get(uint64_t index) const {
  WAFER_LET(place, locate(*this, index));
  const auto& [at, field] = place;
  switch (field.storage.kind()) {
    case TypeKind::I8:
      return Val(int32_t(int8_t(*at)));
    case TypeKind::I16: {
      int16_t v;
      std::memcpy(&v, at, sizeof v);
      return Val(int32_t(v));
    }
    case TypeKind::I32:
    case TypeKind::F32: {
      uint32_t v;
      std::memcpy(&v, at, sizeof v);
      const Slot slot = v;
      return Val::from_slots(store(), field.storage, &slot);
    }
    default: {
      Slot slots[2] = {0, 0};
      std::memcpy(slots, at, 8 * wasm::slot_count(field.storage));
      return Val::from_slots(store(), field.storage, slots);
    }
  }
}

Result<void> AnyRef::set(uint64_t index, const Val& value) const {
  WAFER_LET(place, locate(*this, index));
  const auto& [at, field] = place;
  if (!field.is_mutable) return failure(ErrorKind::Usage, "immutable field");
  const ValType want = field.storage.unpacked();
  if (!detail::fits(*store(), value, want))
    return detail::wrong_type("wrong type of field", want, value.type());
  const Slot slots[2] = {value.slot(0), value.slot(1)};
  runtime::store_storage(field.storage, at, slots);
  return {};
}

// ---- Values ------------------------------------------------------------------

Val::Val(float v) : type_(kF32), bits_{runtime::slot_of(v), 0} {}
Val::Val(double v) : type_(kF64), bits_{runtime::slot_of(v), 0} {}
Val::Val(const V128& v)
    : type_(kV128), bits_{load_le<uint64_t>(v.bytes), load_le<uint64_t>(v.bytes + 8)} {}
Val::Val(const Func& v) : type_(kFuncRef), bits_{v.bits(), 0} {
  // As precise as is known, so that the value fits where a typed reference is due.
  if (!v.is_null()) type_ = ValType::ref(HeapType::concrete(v.raw()->type->id), false);
}

Val Val::null(ValType type) {
  Val v;
  v.type_ = type;
  return v;
}

Val Val::from_slots(runtime::Store* store, ValType type, const Slot* slots) {
  Val v;
  v.type_ = type;
  v.bits_[0] = slots[0];
  if (type.kind() == TypeKind::V128) v.bits_[1] = slots[1];
  if (store && store->registry().is_gc_ref(type) && slots[0] != kNullRef) {
    v.root_ = RootedRef(store, slots[0]);
    v.bits_[0] = 0;
  }
  return v;
}

float Val::f32() const { return runtime::Value{type_, {bits_[0], 0}}.as_f32(); }
double Val::f64() const { return runtime::Value{type_, {bits_[0], 0}}.as_f64(); }
V128 Val::v128() const {
  V128 v;
  store_le(v.bytes, bits_[0]);
  store_le(v.bytes + 8, bits_[1]);
  return v;
}
Func Val::func(Store& store) const { return Func(store.raw(), bits_[0]); }

}  // namespace wafer
