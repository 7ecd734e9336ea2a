// What an entry into the interpreter keeps, and its stacks.
#pragma once

#include "interp/code.h"
#include "interp/ops.h"

namespace wafer::interp {

using MemorySize = std::conditional_t<kNarrow, uint32_t, uint64_t>;

// State of one entry from native code into the interpreter.
struct Activation {
  Activation* previous = nullptr;
  Store* store = nullptr;
  Instance* instance = nullptr;  // whose code runs now
  Slot* stack_limit = nullptr;
  MemorySize memory_size = 0;  // of memory 0, for checked accesses
  // Saved where the collector, the unwinder or a host may look: the word after
  // the current instruction, and its frame.
  const Word* pc = nullptr;
  Slot* fp = nullptr;
  // Host call in progress: its function and arguments.
  FuncInst* host_func = nullptr;
  Slot* host_slots = nullptr;
  const Handler* handler = nullptr;  // that the unwinder has found
  TrapCode trap = TrapCode::None;
  bool running = true;  // cleared by the handler that stops
};

// Call stack of a store, or of a fiber.
struct Stack final : runtime::TierStack {
  Slot* base = nullptr;
  Slot* limit = nullptr;
  Slot* top = nullptr;  // first slot free for the next entry
  size_t bytes = 0;     // to be freed; 0: they are a fiber's
  Store* store = nullptr;
  Activation* current = nullptr;
#if !WAFER_HAS_OS
  Stack* next = nullptr;  // of the same engine
#endif
  void enumerate_roots(runtime::RootVisitor& visitor) override;
  void destroy() override;
};

#if defined(__SANITIZE_ADDRESS__)
#define WAFER_INTERP_LOOP 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WAFER_INTERP_LOOP 1  // its stack frames and guaranteed tail calls do not mix
#endif
#endif

// How handlers follow each other; see handlers.h.
#if defined(__clang__) && !defined(WAFER_INTERP_LOOP) && !defined(__arm__)
#define WAFER_TAIL 1
#else
#define WAFER_TAIL 0
#endif
// Registers reserved for the machine state: GNU's compiler, where it knows how.
#if !defined(__clang__) && !defined(WAFER_INTERP_LOOP) && defined(__OPTIMIZE__) && \
    ((defined(__thumb2__) && !defined(__PIC__)) || (defined(__riscv) && __riscv_xlen == 32))
#define WAFER_REGS 1
#else
#define WAFER_REGS 0
#endif

}  // namespace wafer::interp
