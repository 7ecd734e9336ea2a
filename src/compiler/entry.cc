// Into compiled code and out of it: calls, traps, the collector's view of its frames.
#include <ucontext.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "compiler/code_region.h"
#include "compiler/tier.h"
#include "compiler/unwind.h"
#include "runtime/backtrace.h"
#include "runtime/fiber.h"

extern "C" {
extern __attribute__((visibility("hidden"))) const uint32_t wafer_uncaught_code;
const uint32_t wafer_uncaught_code = uint32_t(wafer::runtime::TrapCode::UncaughtException);
}

namespace wafer::compiler {

namespace {

using wasm::TypeKind;
using wasm::ValType;

// For an entry at `sp` with no other below.
uintptr_t stack_limit(const Store& store, uintptr_t sp) {
  if (store.current_fiber) return store.current_fiber->native_limit();
  const uintptr_t floor = runtime::thread_stack_floor(sp);
  const size_t stack_bytes = store.engine().config().stack_bytes;
  return sp > stack_bytes ? std::max(sp - stack_bytes, floor) : floor;
}

void store_slots(ValType t, Slot* to, uint64_t gpr, const wasm::V128& fpr) {
  switch (t.kind()) {
    case TypeKind::I32:
      *to = uint32_t(gpr);
      break;
    case TypeKind::F32: {
      uint32_t bits;
      std::memcpy(&bits, fpr.bytes, 4);
      *to = bits;
      break;
    }
    case TypeKind::F64:
      std::memcpy(to, fpr.bytes, 8);
      break;
    case TypeKind::V128:
      std::memcpy(to, fpr.bytes, 16);
      break;
    default:
      *to = gpr;
  }
}

// Moves values of `types` from slots to where the convention has them.
void to_native(std::span<const ValType> types, bool results, const Slot* slots, uint64_t* gpr,
               wasm::V128* fpr, Slot* spill) {
  ArgAssigner assign(results);
  for (const ValType t : types) {
    const ArgLocation at = assign.next(t);
    const size_t bytes = slot_count(t) * sizeof(Slot);
    switch (at.kind) {
      case ArgLocation::Kind::Gpr:
        gpr[at.index] = *slots;
        break;
      case ArgLocation::Kind::Fpr:
        std::memcpy(&fpr[at.index], slots, bytes);
        break;
      case ArgLocation::Kind::Spill:
        std::memcpy(spill + at.index, slots, bytes);
        break;
    }
    slots += slot_count(t);
  }
}

void from_native(std::span<const ValType> types, bool results, Slot* slots, const uint64_t* gpr,
                 const wasm::V128* fpr, const Slot* spill) {
  ArgAssigner assign(results);
  for (const ValType t : types) {
    const ArgLocation at = assign.next(t);
    if (at.kind == ArgLocation::Kind::Spill) {
      std::memcpy(slots, spill + at.index, slot_count(t) * sizeof(Slot));
      if (t.kind() == TypeKind::I32 || t.kind() == TypeKind::F32) *slots = uint32_t(*slots);
    } else {
      store_slots(t, slots, at.kind == ArgLocation::Kind::Gpr ? gpr[at.index] : 0,
                  fpr[at.kind == ArgLocation::Kind::Fpr ? at.index : 0]);
    }
    slots += slot_count(t);
  }
}

struct MachineState {
  uintptr_t pc;
};

#if defined(__x86_64__)
uintptr_t context_pc(const ucontext_t& c) { return uintptr_t(c.uc_mcontext.gregs[REG_RIP]); }
void redirect(ucontext_t& c, Entry* entry, TrapCode code) {
  c.uc_mcontext.gregs[REG_RIP] = greg_t(reinterpret_cast<uintptr_t>(&wafer_leave));
  c.uc_mcontext.gregs[REG_RDI] = greg_t(reinterpret_cast<uintptr_t>(entry));
  c.uc_mcontext.gregs[REG_RSI] = greg_t(code);
}
#elif defined(__aarch64__)
uintptr_t context_pc(const ucontext_t& c) { return uintptr_t(c.uc_mcontext.pc); }
void redirect(ucontext_t& c, Entry* entry, TrapCode code) {
  c.uc_mcontext.pc = reinterpret_cast<uintptr_t>(&wafer_leave);
  c.uc_mcontext.regs[0] = reinterpret_cast<uintptr_t>(entry);
  c.uc_mcontext.regs[1] = uint64_t(code);
}
#endif

Entry* entry_of(runtime::FaultScope& scope) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
  return reinterpret_cast<Entry*>(reinterpret_cast<char*>(&scope) - offsetof(Entry, scope));
#pragma GCC diagnostic pop
}

// FaultScope::recover of compiled code. Runs in the signal handler.
bool recover(runtime::FaultScope& scope, int signal, void* address, void* context) {
  auto& machine = *static_cast<ucontext_t*>(context);
  TrapCode code = TrapCode::None;
  if (signal == SIGILL) {
    const auto* pc = reinterpret_cast<const void*>(context_pc(machine));
    if (!region_at(pc) || !trap_at(pc, code)) return false;
  } else {
    if (!runtime::address_in_guarded_memory(address)) return false;
    code = TrapCode::MemoryOutOfBounds;
  }
  Entry* entry = entry_of(scope);
  // The frames are still whole here, and compiled code holds no lock.
  Store& store = *entry->exec->store;
  store.set_trap(code);
  collect_backtrace(store);
  redirect(machine, entry, code);
  return true;
}

}  // namespace

bool trap_at(const void* pc, TrapCode& code) {
  const auto* p = static_cast<const uint8_t*>(pc);
#if defined(__x86_64__)
  // ud1l CODE(%eax), %eax
  if (p[0] != 0x67 || p[1] != 0x0F || p[2] != 0xB9 || p[3] != 0x40) return false;
  code = TrapCode(p[4]);
  return true;
#elif defined(__aarch64__)
  // udf #CODE
  const auto word = load_le<uint32_t>(p);
  if (word >> 16) return false;
  code = TrapCode(word);
  return true;
#else
  return false;
#endif
}

void raise_trap(ExecState& exec, TrapCode code, std::string_view message) {
  exec.store->set_trap(code, message);
  collect_backtrace(*exec.store);
  wafer_leave(exec.entry, uint32_t(code));
}

void raise_noted_trap(ExecState& exec, TrapCode code) {
  Store& store = *exec.store;
  if (store.trap().code != code) store.set_trap(code);
  if (code != TrapCode::Exit) collect_backtrace(store);
  wafer_leave(exec.entry, uint32_t(code));
}

void raise_exception(ExecState& exec, Ref exception) {
  exec.store->pending_exception = exception;
  start_unwinding(exec);
}

void note_uncaught() {
  Entry* entry = entry_of(*runtime::current_fault_scope);
  Store& store = *entry->exec->store;
  if (store.trap().code != TrapCode::UncaughtException) store.set_trap(TrapCode::UncaughtException);
  collect_backtrace(store);
}

ExecState* exec_of(Store& store) {
  if (!store.native_state) {
    auto* exec = new (allocate(sizeof(ExecState), alignof(ExecState))) ExecState;
    exec->store = &store;
    store.native_state = exec;
    store.gc().allow_conservative_roots();
    store.gc().add_root_source(exec);
  }
  return static_cast<ExecState*>(store.native_state);
}

void ExecState::enumerate_roots(runtime::RootVisitor& visitor) {
  // Collections run on the thread's own stack.
  for (const runtime::Fiber* f = store->fibers; f; f = f->next())
    if (!f->suspended()) visitor.visit_conservatively(f->frames_begin(), f->frames_end());
  if (!entry) return;
  // Callee-saved registers go to this frame; everything up to the outermost entry is
  // looked at, host frames between included.
  jmp_buf registers;
  __builtin_unwind_init();
  setjmp(registers);
  const Entry* outermost = entry;
  while (outermost->previous) outermost = outermost->previous;
  const auto from = reinterpret_cast<uintptr_t>(&registers) & ~uintptr_t{7};
  visitor.visit_conservatively(reinterpret_cast<const uint64_t*>(from),
                               reinterpret_cast<const uint64_t*>(outermost->stack_base));
}

TrapCode call_native(Store& store, FuncInst* func, Slot* slots) {
  ExecState& exec = *exec_of(store);
  const wasm::FuncType& type = func->type->func;
  RegisterFile registers;
  registers.gpr[0] = reinterpret_cast<uintptr_t>(func->context);

  Entry entry;
  const auto sp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  entry.previous = exec.entry;
  entry.exec = &exec;
  entry.saved_limit = exec.stack_limit;
  entry.saved_caller = exec.caller;
  entry.stack_base = sp;
  if (!entry.previous) {
    exec.stack_limit = stack_limit(store, sp);
    // A trap that the host has swallowed must not be taken for the next one.
    if (store.trap().code != TrapCode::None) store.trap() = {};
  }
  if (sp < exec.stack_limit) {
    exec.stack_limit = entry.saved_limit;
    return store.set_trap(TrapCode::CallStackExhausted);
  }
  to_native(type.params, false, slots, registers.gpr + 1, registers.fpr, exec.spill);
  entry.scope.recover = recover;
  exec.entry = &entry;
  entry.scope.previous = runtime::exchange_fault_scope(&entry.scope);
  void* const code = std::atomic_ref<void*>(func->native).load(std::memory_order_acquire);
  const auto trap = TrapCode(wafer_enter(code, &registers, &entry));
  runtime::exchange_fault_scope(entry.scope.previous);
  exec.entry = entry.previous;
  exec.caller = entry.saved_caller;
  exec.stack_limit = entry.saved_limit;
  if (trap == TrapCode::None)
    from_native(type.results, true, slots, registers.gpr, registers.fpr, exec.spill);
  return trap;
}

namespace {

// Runs a function of the host or of the interpreter that compiled code has called. Slots lie on
// the stack, where the collector finds references.
inline void call_out(ExecState& exec, FuncInst* func, Slot* slots) {
  Store& store = *exec.store;
  runtime::FaultScope* const scope = runtime::exchange_fault_scope(nullptr);
  Instance* const caller = exec.caller;
  const TrapCode code =
      func->host ? runtime::call_host(store, func, caller, slots) : func->call(store, func, slots);
  runtime::exchange_fault_scope(scope);
  exec.caller = caller;
  if (WAFER_UNLIKELY(code != TrapCode::None)) {
    if (code == TrapCode::UncaughtException) {
      const Ref exception = std::exchange(store.pending_exception, runtime::kNullRef);
      if (exception) raise_exception(exec, exception);
    }
    raise_noted_trap(exec, code);
  }
  if (WAFER_UNLIKELY(store.trap().code != TrapCode::None)) store.trap() = {};
}

}  // namespace

// Called by the stubs.
extern "C" void wafer_call_out(FuncInst* func, RegisterFile* registers) {
  ExecState& exec = *exec_of(*func->store);
  const wasm::CanonType& type = *func->type;
  constexpr size_t kInline = 32;
  Slot few[kInline];
  Slot* slots = few;
  const size_t needed = std::max(type.param_slots, type.result_slots);
  if (needed > kInline) slots = static_cast<Slot*>(alloca(needed * sizeof(Slot)));
  from_native(type.func.params, false, slots, registers->gpr + 1, registers->fpr, exec.spill);
  call_out(exec, func, slots);
  to_native(type.func.results, true, slots, registers->gpr, registers->fpr, exec.spill);
}

// Of a function that only_gprs() is true of: arguments as they were in registers, which are the
// slots as well.
extern "C" Slot wafer_call_out_integers(FuncInst* func, Slot* slots) {
  const auto& params = func->type->func.params;
  for (size_t i = 0; i < params.size(); ++i)
    if (params[i] == wasm::kI32) slots[i] = uint32_t(slots[i]);
  call_out(*exec_of(*func->store), func, slots);
  return slots[0];
}

namespace {

// The store's instance of `module`. Code does not tell which one of several it runs for.
Instance* only_instance(const Store& store, const wasm::Module& module) {
  Instance* found = nullptr;
  for (const auto& instance : store.instances()) {
    if (instance->module.get() != &module) continue;
    if (found) return nullptr;
    found = instance.get();
  }
  return found;
}

}  // namespace

bool describe_native_frames(const Store& store, const void* pc, Vec<runtime::BacktraceFrame>& out) {
  CodeRegion* region = region_at(pc);
  CodeLocation at;
  const wasm::Module* const described = region ? region->described_by.load() : nullptr;
  if (!described || !region->locate(pc, at)) return false;
  const wasm::Module& module = *described;
  Instance* const instance = only_instance(store, module);
  uint32_t offset = at.module_offset;
  for (const uint32_t call : at.calls) {
    if (const auto inlined = runtime::function_at(module, offset))
      out.push_back(runtime::make_frame(module, *inlined, offset, instance));
    offset = call;
  }
  out.push_back(runtime::make_frame(module, at.func_index, offset, instance));
  return at.entered_at_loop;
}

}  // namespace wafer::compiler
