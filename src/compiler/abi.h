// How compiled code calls, and how it sees the run-time structure.
//
// Native calling convention. A function takes the callee's VmContext in the first
// integer register, up to kGprArgs integers and references in the further ones, and up
// to kFprArgs floats and vectors in vector registers. What does not fit lies in
// ExecState::spill, from slot 0 on in order of the parameters; the callee reads it
// before it does anything else. The first result comes in the result register of its
// class, the others in ExecState::spill from slot 0 on; the caller reads those before
// it does anything else. An i32 is significant in its low 32 bits only, an f32 or f64 in
// the low bits of its register. In a spill slot, a v128 takes two slots. There are no
// stack arguments, so any function can tail-call any other. For functions of few
// parameters this is the platform's C convention.
//
// Callee-saved registers are those of the platform's C convention.
#pragma once

#include <cstddef>

#include "runtime/fault.h"
#include "runtime/store.h"

namespace wafer::compiler {

using runtime::FuncInst;
using runtime::Instance;
using runtime::Ref;
using runtime::Slot;
using runtime::Store;
using runtime::TrapCode;

constexpr unsigned kGprArgs = 5;  // besides the context
constexpr unsigned kFprArgs = 8;

// Where a parameter travels.
struct ArgLocation {
  enum class Kind : uint8_t { Gpr, Fpr, Spill } kind;
  uint16_t index;  // register number (0 is the first after the context), or slot
};

// Hands out locations in order of the parameters (or, with `results`, of the results).
class ArgAssigner {
 public:
  explicit ArgAssigner(bool results = false) : results_(results) {}
  ArgLocation next(wasm::ValType type) {
    using K = wasm::TypeKind;
    const bool fpr = type.kind() == K::F32 || type.kind() == K::F64 || type.kind() == K::V128;
    if (results_) {
      if (first_) {
        first_ = false;
        return {fpr ? ArgLocation::Kind::Fpr : ArgLocation::Kind::Gpr, 0};
      }
    } else if (fpr ? fprs_ < kFprArgs : gprs_ < kGprArgs) {
      return {fpr ? ArgLocation::Kind::Fpr : ArgLocation::Kind::Gpr, fpr ? fprs_++ : gprs_++};
    }
    const uint16_t slot = slots_;
    slots_ = uint16_t(slots_ + slot_count(type));
    return {ArgLocation::Kind::Spill, slot};
  }

 private:
  bool results_, first_ = true;
  uint16_t gprs_ = 0, fprs_ = 0, slots_ = 0;
};

// Native calling convention of code that is entered at a loop (LoopEntry): it takes the
// VmContext, and the address of a frame that holds the function's locals and, above them,
// the operand stack as it is before the loop, in slots of 8 bytes that grow downwards.
// Slot s holds an integer or reference in the low bytes of [frame - 8 * (s + 1)]; a v128
// takes two slots, s and s + 1. It returns as the function would. There is no such code
// for functions with tail calls, nor for loops in the handlers of a legacy `try`.
constexpr int64_t loop_frame_offset(uint32_t slot, wasm::ValType type) {
  return -8 * int64_t(slot + slot_count(type));
}

// Most slots that one call can spill.
constexpr unsigned kSpillSlots = 2000;

struct Entry;

// Per-store state of compiled code; what NativeState has is of the present stack.
struct ExecState final : runtime::RootSource, runtime::NativeState {
  Store* store = nullptr;
  Slot spill[kSpillSlots];

  void enumerate_roots(runtime::RootVisitor& visitor) override;
};

// Per-instance data that compiled code reads; first argument of its functions.
struct VmContext {
  Instance* instance = nullptr;
  Store* store = nullptr;
  ExecState* exec = nullptr;
  uint8_t* memory0 = nullptr;  // base of memory 0 in Guarded mode
  runtime::GlobalInst* own_globals = nullptr;
  runtime::GlobalInst** globals = nullptr;
  FuncInst** funcs = nullptr;
  runtime::Table** tables = nullptr;
  runtime::Memory** memories = nullptr;
  runtime::TagInst** tags = nullptr;
  const wasm::CanonType* const* types = nullptr;  // by the module's type index
  // Native entry of every own or imported function by function index, for code that is
  // compiled function by function. An entry changes when better code is there.
  void** entries = nullptr;
  uint32_t* heat = nullptr;  // by function index: counts down to the next tier
  // Told when the heat of a function has run out, at its entry (`loop` is 0) or at the
  // loop at module offset `loop`; gives code to go on with there, or null. Null if nobody
  // waits for that.
  void* (*better_code)(VmContext& context, uint32_t func, uint32_t loop) = nullptr;
  void* better_code_from = nullptr;
};

// Argument and result registers, as the trampolines pass them.
struct RegisterFile {
  uint64_t gpr[1 + kGprArgs];  // gpr[0]: the context; the result on return
  wasm::V128 fpr[kFprArgs];    // fpr[0]: the result on return
};

// One entry from native code into compiled code. `sp` comes first: the trampolines know.
struct Entry {
  void* sp = nullptr;
  Entry* previous = nullptr;
  ExecState* exec = nullptr;
  uintptr_t saved_limit = 0;
  uintptr_t stack_base = 0;  // the collector scans up to here
  Instance* saved_caller = nullptr;
  runtime::FaultScope scope;
};

// Compiled code traps by an undefined instruction that carries a TrapCode; this is how
// it is told from others. True, with the code, if `pc` is at one.
bool trap_at(const void* pc, TrapCode& code);

// Changes whenever compiled code of other builds would not fit this one: layouts above,
// the set of builtins, trap codes.
uint64_t abi_fingerprint();

extern "C" {
// Calls `native` with `registers`, and gives TrapCode::None, or the code that
// wafer_leave() was called with.
uint32_t wafer_enter(void* native, RegisterFile* registers, Entry* entry);
// Leaves every frame since `entry` at once.
[[noreturn]] void wafer_leave(Entry* entry, uint32_t code);
// FuncInst::native of functions that other tiers or the host run; takes the FuncInst as
// the context.
void wafer_call_out_stub();
}

// Leaves compiled code with a trap, after noting the backtrace. Message as for
// Store::set_trap.
[[noreturn]] void raise_trap(ExecState& exec, TrapCode code, std::string_view message = {});
// Leaves compiled code with a trap that is noted already, perhaps, by who it came from.
[[noreturn]] void raise_noted_trap(ExecState& exec, TrapCode code);
// Raises `exception` (a GcException, not null) in compiled code.
[[noreturn]] void raise_exception(ExecState& exec, Ref exception);

}  // namespace wafer::compiler
