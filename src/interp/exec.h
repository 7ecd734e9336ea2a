// Register file and dispatch of the interpreter.
//
// Handlers are written once against the macros below and run in one of two ways:
// as tail calls that keep the machine state in registers, or, where the compiler
// cannot promise tail calls, one call at a time from a loop.
#pragma once

#include "interp/code.h"
#include "interp/ops.h"

namespace wafer::interp {

// State of one entry from native code into the interpreter.
struct Activation {
  Activation* previous = nullptr;
  Store* store = nullptr;
  Instance* instance = nullptr;  // whose code runs now
  Slot* stack_limit = nullptr;
  uint64_t memory_size = 0;  // of memory 0, for checked accesses
  // Saved where the collector, the unwinder or a host may look: the word after
  // the current instruction, and its frame.
  const Word* pc = nullptr;
  Slot* fp = nullptr;
  // Host call in progress: its function and arguments.
  FuncInst* host_func = nullptr;
  Slot* host_slots = nullptr;
  TrapCode trap = TrapCode::None;
};

// Call stack of a store, or of a fiber.
struct Stack final : runtime::TierStack {
  Slot* base = nullptr;
  Slot* limit = nullptr;
  Slot* top = nullptr;  // first slot free for the next entry
  size_t bytes = 0;     // to be freed; 0: they are a fiber's
  Store* store = nullptr;
  Activation* current = nullptr;
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

#if defined(__clang__) && !defined(WAFER_INTERP_LOOP) && !defined(__arm__)
#define WAFER_TAIL 1
#else
#define WAFER_TAIL 0
#endif

#if WAFER_TAIL

#if __has_attribute(preserve_none) && (defined(__x86_64__) || defined(__aarch64__))
#define WAFER_CC __attribute__((preserve_none))
#else
#define WAFER_CC
#endif
#define WAFER_PARAMS                                                                      \
  const Word *PC, Slot *FP, uint8_t *MEM, Activation *CTX, uint64_t ACC, const void *TBL, \
      float F32A, double F64A
#define WAFER_ARGS PC, FP, MEM, CTX, ACC, TBL, F32A, F64A
using HandlerFn = WAFER_CC void (*)(WAFER_PARAMS);
#define DISPATCH() \
  [[clang::musttail]] return static_cast<const HandlerFn*>(TBL)[uint16_t(*PC)](WAFER_ARGS)
#define STOP() return

#else

#define WAFER_CC
struct Regs {
  const Word* pc;
  Slot* fp;
  uint8_t* mem;
  Activation* ctx;
  uint64_t acc;
  float f32a;
  double f64a;
  bool running;
};
#define WAFER_PARAMS Regs& R
#define PC (R.pc)
#define FP (R.fp)
#define MEM (R.mem)
#define CTX (R.ctx)
#define ACC (R.acc)
#define F32A (R.f32a)
#define F64A (R.f64a)
using HandlerFn = void (*)(WAFER_PARAMS);
#define DISPATCH() return
#define STOP()         \
  do {                 \
    R.running = false; \
    return;            \
  } while (0)

#endif

#define NEXT(n) \
  do {          \
    PC += (n);  \
    DISPATCH(); \
  } while (0)
// Ends execution with a trap at the current instruction.
#define TRAP(code)      \
  do {                  \
    CTX->trap = (code); \
    CTX->pc = PC + 1;   \
    CTX->fp = FP;       \
    STOP();             \
  } while (0)

// Fields of the current instruction, each by a narrow load of its own: that beats
// taking one wide load apart.
template <unsigned Index>
WAFER_ALWAYS_INLINE uint16_t field(const Word* pc) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return uint16_t(*pc >> (16 * Index));
#else
  uint16_t v;
  __builtin_memcpy(&v, reinterpret_cast<const char*>(pc) + 2 * Index, 2);
  return v;
#endif
}
#define FA (field<1>(PC))
#define FB (field<2>(PC))
#define FC (field<3>(PC))
#define LO(w) (uint32_t(w))
#define HI(w) (uint32_t((w) >> 32))

}  // namespace wafer::interp
