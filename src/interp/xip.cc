#include "interp/xip.h"

#if WAFER_HAS_XIP

#include <csetjmp>
#include <cstring>

#include "interp/numeric.h"
#include "interp/run.h"
#include "runtime/fiber.h"

#if UINTPTR_MAX != 0xFFFFFFFFu
#error "code that runs in place is for processors of 32 bits"
#endif

namespace wafer::interp {

namespace {

using runtime::FuncInst;
using runtime::Instance;
using runtime::Memory;
using runtime::NativeState;
using runtime::Slot;
using runtime::Store;
using runtime::Table;

// What compiled code may ask of the processor that this library was built for.
constexpr XipTarget kHere = {
#ifdef __arm__
    kXipArm, __ARM_ARCH,
#ifdef __ARM_FEATURE_DSP
    kXipDsp |
#endif
#if defined(__ARM_FP) && (__ARM_FP & 4)
        kXipSingle |
#endif
        0
#elif defined(__riscv)
    kXipRiscv, 0,
#ifdef __riscv_div
    kXipM |
#endif
#ifdef __riscv_compressed
        kXipC |
#endif
#ifdef __riscv_zba
        kXipZba |
#endif
#ifdef __riscv_zbb
        kXipZbb |
#endif
#ifdef __riscv_zbs
        kXipZbs |
#endif
#if defined(__riscv_zicclsm) || defined(__riscv_misaligned_fast) || defined(__riscv_misaligned_slow)
        kXipUnaligned |
#endif
#ifdef __riscv_float_abi_single
        kXipSingle |
#endif
        0
#endif
};

// A call into code, which a trap goes back to.
struct Activation {
  jmp_buf target;
  TrapCode code;
};

// XipField in order, then what code does not see.
struct Context {
  const void* const* functions;
  uintptr_t stack_limit;
  uint8_t* memory_base;
  size_t memory_size;
  runtime::GlobalInst* own_globals;
  runtime::GlobalInst** globals;
  FuncInst** funcs;
  Table** tables;
  const wasm::CanonType* const* types;

  Activation* activation = nullptr;
  Instance* instance;
  XipFile file;  // that of the module may be another's by then
  Vec<const wasm::CanonType*> type_list;
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
#define WAFER_XIP_WORD(name) \
  static_assert(offsetof(Context, name) == unsigned(XipField::name) * sizeof(void*))
WAFER_XIP_WORD(functions);
WAFER_XIP_WORD(stack_limit);
WAFER_XIP_WORD(memory_base);
WAFER_XIP_WORD(memory_size);
WAFER_XIP_WORD(own_globals);
WAFER_XIP_WORD(globals);
WAFER_XIP_WORD(funcs);
WAFER_XIP_WORD(tables);
WAFER_XIP_WORD(types);
static_assert(sizeof(runtime::GlobalInst) == xip_layout::kGlobalBytes);
static_assert(offsetof(runtime::GlobalInst, value) == xip_layout::kGlobalValue);
static_assert(offsetof(FuncInst, type) == xip_layout::kFuncType);
static_assert(offsetof(FuncInst, native) == xip_layout::kFuncNative);
static_assert(offsetof(FuncInst, context) == xip_layout::kFuncContext);
static_assert(offsetof(Table, elements) == xip_layout::kTableElements);
static_assert(offsetof(Table, size) == xip_layout::kTableSize);
static_assert(sizeof(runtime::Ref) == xip_layout::kElementBytes);
#pragma GCC diagnostic pop

// ---- functions that code calls. No destructor may be due where one traps.

[[noreturn]] void raise(Context* c, TrapCode code) {
  c->activation->code = code;
  longjmp(c->activation->target, 1);
}
void check(Context* c, TrapCode code) {
  if (WAFER_UNLIKELY(code != TrapCode::None)) raise(c, code);
}

// The host and other instances may have made the memory larger.
void refresh(Context* c) {
  if (const Memory* m = c->instance->memory0) {
    c->memory_base = m->base;
    c->memory_size = size_t(m->size_bytes());
  }
}

namespace service {

void trap(Context* c, uint32_t code) { raise(c, TrapCode(code)); }
void call_function(Context* c, FuncInst* func, Slot* slots) {
  Store& store = *c->instance->store;
  check(c, func->host ? runtime::call_host(store, func, c->instance, slots)
                      : func->call(store, func, slots));
  // A trap that the host has swallowed must not be taken for the next one.
  if (WAFER_UNLIKELY(store.trap().code != TrapCode::None)) store.trap() = {};
  refresh(c);
}
void call_element(Context* c, uint32_t table, uint32_t index, uint32_t type, Slot* slots) {
  FuncInst* func = nullptr;
  const TrapCode code = resolve_indirect(*c->instance, table, c->types[type]->id, index, func);
  if (WAFER_UNLIKELY(code != TrapCode::None))
    raise(c, indirect_failed(*c->instance->store, code, index));
  call_function(c, func, slots);
}
uint32_t memory_pages(Context* c) { return uint32_t(c->instance->memory0->pages()); }
uint32_t memory_grow(Context* c, uint32_t delta) {
  const auto before = uint32_t(c->instance->memory0->grow(delta));
  refresh(c);
  return before;
}
void memory_fill(Context* c, uint32_t at, uint32_t value, uint32_t count) {
  check(c, c->instance->memory0->fill(at, uint8_t(value), count));
}
void memory_copy(Context* c, uint32_t to, uint32_t from, uint32_t count) {
  Memory& m = *c->instance->memory0;
  check(c, Memory::copy(m, to, m, from, count));
}
void memory_init(Context* c, uint32_t data, uint32_t to, uint32_t from, uint32_t count) {
  check(c, c->instance->memory0->init(to, c->instance->data(data), from, count));
}
void data_drop(Context* c, uint32_t data) { c->instance->data_dropped[data] = true; }
void table_copy(Context* c, uint32_t to_table, uint32_t from_table, uint32_t to, uint32_t from,
                uint32_t count) {
  check(c, Table::copy(*c->tables[to_table], to, *c->tables[from_table], from, count));
}
void table_init(Context* c, uint32_t table, uint32_t elem, uint32_t to, uint32_t from,
                uint32_t count) {
  check(c, c->tables[table]->init(to, c->instance->elems[elem], from, count));
}
void elem_drop(Context* c, uint32_t elem) { Vec<runtime::Ref>().swap(c->instance->elems[elem]); }

}  // namespace service

template <class T>
using BitsOf = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;

// An instruction as a function of integers.
template <wasm::Opcode Op>
struct Operation {
  using S = Sem<Op>;
  using In = typename S::In;
  using Out = typename S::Out;
  using A = BitsOf<In>;
  using R = BitsOf<Out>;
  static In value(A bits) { return std::bit_cast<In>(bits); }

  static R unary(A a) { return std::bit_cast<R>(S::eval(value(a))); }
  static R binary(A a, A b) { return std::bit_cast<R>(S::eval(value(a), value(b))); }
  static R unary_trapping(Context* c, A a) {
    Out out{};
    check(c, S::eval(value(a), out));
    return std::bit_cast<R>(out);
  }
  static R binary_trapping(Context* c, A a, A b) {
    Out out{};
    check(c, S::eval(value(a), value(b), out));
    return std::bit_cast<R>(out);
  }
  static constexpr auto function() {
    if constexpr (requires(In v, Out& out) { S::eval(v, v, out); })
      return &binary_trapping;
    else if constexpr (S::kTraps)
      return &unary_trapping;
    else if constexpr (requires(In v) { S::eval(v, v); })
      return &binary;
    else
      return &unary;
  }
};

// In the order of XipCall.
const void* const kFunctions[] = {
#define WAFER_XIP_SERVICE(name, result, params) reinterpret_cast<const void*>(&service::name),
#define WAFER_XIP_OPERATION(opcode) \
  reinterpret_cast<const void*>(Operation<wasm::Opcode::opcode>::function()),
#include "interp/xip_functions.def"
};

// ---- entering code

using EntryCode = void (*)(Context*, uintptr_t function, Slot* slots);

// A function of its own, since no variable may be in a register that longjmp() brings back.
WAFER_NOINLINE TrapCode enter(Context* c, Activation& activation, const XipFunction& f,
                              Slot* slots) {
  if (setjmp(activation.target) != 0) return activation.code;
  const auto base = reinterpret_cast<uintptr_t>(c->file.bytes.data());
  reinterpret_cast<EntryCode>(base + f.entry)(c, base + f.code, slots);
  return TrapCode::None;
}

// FuncInst::call.
TrapCode call_xip(Store& store, FuncInst* func, Slot* slots) {
  auto* const c = static_cast<Context*>(func->context);
  const XipFunction& f = c->file.functions[func->index - c->instance->module->imported_functions];
  if (!f.entry) return store.set_trap(TrapCode::HostError, "function without an entry");
  NativeState& native = *store.native_state;
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const uintptr_t outer = native.stack_limit;
  if (!outer) {
    const size_t bytes = store.engine().config().stack_bytes;
    native.stack_limit = here > bytes ? here - bytes : 1;
    if (store.trap().code != TrapCode::None) store.trap() = {};
  } else if (here < outer + c->file.header->max_frame) {
    return store.set_trap(TrapCode::CallStackExhausted);
  }
  c->stack_limit = native.stack_limit + c->file.header->max_frame;
  refresh(c);
  Activation activation;
  Activation* const previous = c->activation;
  c->activation = &activation;
  const TrapCode code = enter(c, activation, f, slots);
  c->activation = previous;
  native.stack_limit = outer;
  if (WAFER_UNLIKELY(code != TrapCode::None)) {
    const runtime::TrapInfo& info = store.trap();
    if (info.code != code || info.message.empty()) store.set_trap(code);
  }
  return code;
}

Error unsupported(std::string_view what) { return Error(ErrorKind::Unsupported, what); }

}  // namespace

Result<Shared<void>> open_xip(const wasm::Module& module, Bytes bytes) {
  WAFER_LET(file, read_xip(bytes, module.bytes,
                           uint32_t(module.functions.size()) - module.imported_functions));
  const XipTarget& t = file.header->target;
  if (t.machine != kHere.machine) return unsupported("machine code is for another processor");
  if (t.level > kHere.level || (t.features & ~kHere.features))
    return unsupported("machine code takes instructions or floats that this build is not for");
  return Shared<void>(make_shared_in<XipFile>(file));
}

Result<void> attach_xip(Instance& instance) {
  const wasm::Module& module = *instance.module;
  const auto* file = static_cast<const XipFile*>(module.precompiled.get());
  Store& store = *instance.store;
  const runtime::Config& config = store.engine().config();
  if (config.consume_fuel || config.interruptible)
    return unsupported("machine code cannot count fuel or be interrupted");
  if (config.stack_bytes <= file->header->max_frame)
    return unsupported("the stack is smaller than a frame of the machine code");
  if (instance.memory0 && instance.memory0->size_bytes() < file->header->min_memory)
    return unsupported("the memory is smaller than the machine code takes it to be");
  if (!store.native_state) {
    auto native = make_shared_in<NativeState>();
    store.native_state = native.get();
    store.keep_alive(std::move(native));
  }
  auto context = make_shared_in<Context>();
  Context& c = *context;
  c.functions = kFunctions;
  c.own_globals = instance.own_globals.data();
  c.globals = instance.globals;
  c.funcs = instance.funcs;
  c.tables = instance.tables;
  c.instance = &instance;
  c.file = *file;
  for (uint32_t i = 0; i < module.types.size(); ++i) c.type_list.push_back(module.canon_type(i));
  c.types = c.type_list.data();
  for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i) {
    FuncInst* f = instance.funcs[i];
    const uint32_t code = file->functions[i - module.imported_functions].code;
    f->call = &call_xip;
    f->native = const_cast<uint8_t*>(file->bytes.data()) + code;
    f->context = &c;
  }
  instance.tier_data = &c;
  store.keep_alive(std::move(context));
  return {};
}

}  // namespace wafer::interp

#else

namespace wafer::interp {

Result<Shared<void>> open_xip(const wasm::Module&, Bytes) {
  return failure(ErrorKind::Unsupported, "machine code from flash is not in this build");
}

}  // namespace wafer::interp

#endif
