// Register code of the interpreter and the records that go with it.
//
// A function's code is a row of 64-bit words. An instruction's first word holds
// the operation and up to three 16-bit fields, most often slot indices relative
// to the frame:
//
//   bits 0..15 op | 16..31 a | 32..47 b | 48..63 c
//
// Further words hold what does not fit: an immediate, a branch offset, a type.
// Instructions after which the garbage collector or the unwinder may look at the
// frame end in a safepoint word: own function index (low half) and index of the
// frame's reference map (high half, 0 for none).
//
// A frame is  [params and locals | link: return pc, caller fp, caller instance |
// operand slots]; a callee's frame starts at its first argument in the caller's
// operand slots, and results come back in the same place.
//
// Every integer, f32 and f64 result also stays in an accumulator register, so
// that the next instruction need not wait for memory: an operand is read from a
// slot (S), the accumulator (A) or an immediate word (I).
#pragma once

#include <atomic>

#include "base/result.h"
#include "runtime/store.h"

namespace wafer::interp {

using Word = uint64_t;
using runtime::FuncInst;
using runtime::Instance;
using runtime::Ref;
using runtime::Slot;
using runtime::Store;
using runtime::TrapCode;

class ModuleCodeImpl;

constexpr uint32_t kLinkSlots = 3;
// Slots of one frame are 16-bit indices.
constexpr uint32_t kMaxFrameSlots = 65535;

// The pointer in a slot; on 32-bit processors anything may lie above it.
template <class T>
T* pointer_in(Slot slot) {
  return reinterpret_cast<T*>(uintptr_t(slot));
}

// Whether functions can have handlers.
inline constexpr bool kHasHandlers = wasm::is_built(wasm::Feature::Exceptions) ||
                                     wasm::is_built(wasm::Feature::LegacyExceptions) ||
                                     wasm::is_built(wasm::Feature::StackSwitching);

// Where an exception raised in [begin, end) of a function goes.
struct Handler {
  // Suspend and Switch are clauses of a resume, which names them by index: they guard
  // nothing.
  enum class Kind : uint8_t { Catch, CatchAll, Delegate, Suspend, Switch };
  uint32_t begin, end;  // word range guarded
  uint32_t target;      // word index to continue at
  uint32_t tag;         // Catch
  uint32_t depth;       // control depth of the try; Delegate skips deeper ones
  uint32_t delegate_depth;
  uint16_t dst;  // first slot for the tag's arguments
  Kind kind;
  bool push_args;  // write the arguments
  bool push_ref;   // then the exception reference
};

// What a resume throws, instead of a tag's index.
constexpr uint32_t kResumePlain = ~0u;
constexpr uint32_t kResumeThrowRef = ~0u - 1;

// Translated code of one function; shared by all instances of the module.
struct FuncCode {
  std::atomic<const Word*> entry{nullptr};  // null until translated
  uint32_t frame_slots = 0;                 // whole frame
  uint16_t link = 0;                        // slot of the link area
  uint16_t zero_begin = 0;                  // locals to clear at entry
  uint16_t zero_count = 0;
  uint16_t param_slots = 0;
  uint16_t result_slots = 0;
  uint32_t func_index = 0;
  ModuleCodeImpl* module = nullptr;

  Vec<Word> code;
  Vec<Handler> handlers;     // innermost first
  Vec<uint16_t> ref_locals;  // slots of locals that hold GC references
  Vec<uint16_t> ref_maps;    // runs of: count, slots; map m starts at index m - 1
  Vec<uint8_t> offsets;      // LEB pairs: code delta, module offset delta
  Result<void> failed;       // translation error, sticky

  // Module offset of the instruction that covers word `at`.
  uint32_t module_offset(uint32_t at) const;
};

// Settings that shape code; code is shared only where they agree.
struct CodeOptions {
  bool fuel = false;
  bool interruptible = false;
  bool guard_pages = false;
  bool operator==(const CodeOptions&) const = default;
};

class ModuleCodeImpl final : public runtime::ModuleCode {
 public:
  ModuleCodeImpl(const wasm::Module& module, const runtime::Engine& engine);

  const wasm::Module& module;
  const CodeOptions options;
  const runtime::MemoryMode memory0_mode;
  // One for each function, imported ones unused, in index order.
  FuncCode* funcs;
  uint32_t func_count;

  // Translates `code` if that has not been done; false when it failed.
  bool ensure(FuncCode& code);
  // The function whose code holds `pc`, or null.
  FuncCode* find(const Word* pc);
#if !WAFER_HAS_OS
  // Bytes of the code that there is; and drops that of functions for which `running` is not
  // true, so that they are translated again when they are called.
  size_t code_bytes() const;
  template <class Running>
  void drop_code(Running running);
#endif

  ~ModuleCodeImpl() override;

 private:
  Mutex mutex_;
  Vec<FuncCode*> by_address_;
  bool sorted_ = true;
};

#if !WAFER_HAS_OS
template <class Running>
void ModuleCodeImpl::drop_code(Running running) {
  Vec<FuncCode*> left;
  for (FuncCode* f : by_address_) {
    if (running(f)) {
      left.push_back(f);
      continue;
    }
    const uint32_t index = f->func_index;
    f->~FuncCode();
    new (f) FuncCode;
    f->module = this;
    f->func_index = index;
  }
  by_address_ = std::move(left);
}
#endif

// Translates a validated function.
Result<void> translate(const wasm::Module& module, const ModuleCodeImpl& code, FuncCode& out);

}  // namespace wafer::interp
