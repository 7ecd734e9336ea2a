// How handlers are written: they name the machine's registers and end in NEXT, DISPATCH, TRAP
// or STOP. That comes in three forms: tail calls with the state in argument registers; handlers
// without arguments that follow each other by jumps, with the state in registers that the
// compiler is told to reserve; and, where the compiler promises neither, one call at a time from
// a loop.
//
// A file that defines WAFER_COLD_HANDLERS before it includes this has handlers whose own
// dispatch does not matter.
#pragma once

#include <bit>
#include <cstring>

#include "interp/exec.h"
#include "interp/ops.h"
#include "interp/run.h"
#include "interp/slots.h"

namespace wafer::interp {

using Acc = uint64_t;

// A byte of an instruction on narrow slots.
template <unsigned Index>
WAFER_ALWAYS_INLINE uint8_t code_byte(const Word* pc) {
  if constexpr (std::endian::native == std::endian::little)
    return reinterpret_cast<const uint8_t*>(pc)[Index];
  return uint8_t(pc[Index / 2] >> 8 * (Index % 2));
}
// Where its handler is in their table, or on narrow slots that of its kind.
WAFER_ALWAYS_INLINE unsigned operation_at(const Word* pc) {
  return kNarrow ? code_byte<0>(pc) : uint16_t(*pc);
}

#if WAFER_TAIL

#if __has_attribute(preserve_none) && (defined(__x86_64__) || defined(__aarch64__))
#define WAFER_CC __attribute__((preserve_none))
#else
#define WAFER_CC
#endif
#define WAFER_PARAMS                                                                             \
  const Word *PC, Slot *FP, uint8_t *MEM, Activation *CTX, Acc ACC, const void *TBL, float F32A, \
      double F64A
#define WAFER_ARGS PC, FP, MEM, CTX, ACC, TBL, F32A, F64A
using HandlerFn = WAFER_CC void (*)(WAFER_PARAMS);
#define DISPATCH() \
  [[clang::musttail]] return static_cast<const HandlerFn*>(TBL)[uint16_t(*PC)](WAFER_ARGS)
#define STOP() return

#elif WAFER_REGS

// Whatever the system's flags are: calls that -O1 leaves as such would fill the stack.
#pragma GCC optimize("optimize-sibling-calls")
#define WAFER_CC
#define WAFER_PARAMS void
using HandlerFn = void (*)();
#if defined(__thumb2__)
#define WAFER_REG(arm, riscv) __asm__(arm)
#else
#define WAFER_REG(arm, riscv) __asm__(riscv)
#endif
// Files that include this leave them alone otherwise; dispatch() gives them back.
register const Word* PC WAFER_REG("r4", "s1");
register Slot* FP WAFER_REG("r5", "s2");
register uint8_t* MEM WAFER_REG("r6", "s3");
register Activation* CTX WAFER_REG("r8", "s5");
register const HandlerFn* TBL WAFER_REG("r7", "s4");
register uint32_t MEMORY_SIZE WAFER_REG("r9", "s6");
#define STOP()            \
  do {                    \
    CTX->running = false; \
    return;               \
  } while (0)
#if defined(WAFER_COLD_HANDLERS)
// To the loop: nothing depends on the compiler's making a tail call.
#define DISPATCH() return
#else
#define DISPATCH() return TBL[operation_at(PC)]()
#endif
#if WAFER_NARROW && (defined(__thumb2__) || defined(__riscv)) && !defined(WAFER_COLD_HANDLERS)
#ifdef __thumb2__
#define WAFER_STEP "ldrb %0, [%1, %2]!"
#else
#define WAFER_STEP "lbu %0, %2(%1)\n\tadd %1, %1, %2"
#endif
// Steps and reads the next operation at once, where the distance is known and short.
#define NEXT(n)                                                              \
  do {                                                                       \
    if (__builtin_constant_p(n) && (n) > 0 && (n) < 64) {                    \
      uint32_t op_;                                                          \
      __asm__ volatile(WAFER_STEP : "=&r"(op_), "+r"(PC) : "i"(2 * int(n))); \
      return TBL[op_]();                                                     \
    }                                                                        \
    PC += (n);                                                               \
    DISPATCH();                                                              \
  } while (0)
#endif

#else

#define WAFER_CC
struct Regs {
  const Word* pc;
  Slot* fp;
  uint8_t* mem;
  Activation* ctx;
  Acc acc;
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

#ifndef NEXT
#define NEXT(n) \
  do {          \
    PC += (n);  \
    DISPATCH(); \
  } while (0)
#endif
// Ends execution with a trap at the current instruction.
#if WAFER_REGS
void trap_here(TrapCode code);
void trap_out_of_bounds();
#define TRAP(code) return trap_here(code)
#define TRAP_OUT_OF_BOUNDS() return trap_out_of_bounds()
#else
#define TRAP_OUT_OF_BOUNDS() TRAP(TrapCode::MemoryOutOfBounds)
#define TRAP(code)      \
  do {                  \
    CTX->trap = (code); \
    CTX->pc = PC + 1;   \
    CTX->fp = FP;       \
    STOP();             \
  } while (0)
#endif

// Fields of the current instruction, each by a narrow load of its own: that beats
// taking one wide load apart.
template <unsigned Index>
WAFER_ALWAYS_INLINE uint16_t field(const Word* pc) {
  if constexpr (sizeof(Word) == 2) return pc[Index];
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return uint16_t(*pc >> (16 * Index));
#else
  return load_aligned<uint16_t>(reinterpret_cast<const char*>(pc) + 2 * Index);
#endif
}
// The slots that fields name.
template <unsigned Index>
WAFER_ALWAYS_INLINE Slot* slot_of(const Word* pc, Slot* fp) {
  if constexpr (kNarrow)
    return reinterpret_cast<Slot*>(reinterpret_cast<uint8_t*>(fp) + field<Index>(pc));
  return fp + field<Index>(pc);
}
// Words of an instruction's long form; with the safepoint at its end.
constexpr int words(int n) { return kNarrow ? 4 * n : n; }
constexpr int and_safepoint(int n) { return words(n) + int(kSafepointWords); }
// In that form the slots that the first word's fields name, and the words after it.
#define LA (slot_of<1>(PC, FP))
#define LB (slot_of<2>(PC, FP))
#define LC (slot_of<3>(PC, FP))
#define ARG(n) (number_at<Quad>(PC + words(n)))
#define LO(w) (uint32_t(w))
#define HI(w) (uint32_t((w) >> 32))
#if WAFER_NARROW
#define ARG_LO(n) (number_at<uint32_t>(PC + words(n)))
#define ARG_HI(n) (number_at<uint32_t>(PC + words(n) + 2))
#else
#define ARG_LO(n) LO(PC[n])
#define ARG_HI(n) HI(PC[n])
#endif
#define LONG_HI ARG_HI(0)
#if WAFER_NARROW && !defined(WAFER_COLD_HANDLERS)
#define SA (FP + code_byte<1>(PC))
#define SB (FP + code_byte<2>(PC))
#define SC (FP + code_byte<3>(PC))
#define FB (field<1>(PC))
#define FC (field<2>(PC))
// What an operation has after `|*`, and where a branch leads.
#define OFFSET (int16_t(FB))
#define AFTER (number_at<uint32_t>(PC + 1))
#else
#define SA LA
#define SB LB
#define SC LC
#define FA (field<1>(PC))
#define FB (field<2>(PC))
#define FC (field<3>(PC))
#define AFTER ARG_LO(1)
#define OFFSET (int32_t(AFTER))
#endif
// Words of short forms: with slots only, with a constant or offset, and with what is after `|*`.
constexpr int kSlotsOnly = kNarrow ? 2 : 1;
constexpr int kWithOffset = kNarrow ? 3 : 1;
constexpr int kWithAfter = kNarrow ? 3 : 2;
constexpr int kBranchWords = 2;

// ---- operand access -------------------------------------------------------

// The index of a memory or table, and its address type, from where both stand.
WAFER_ALWAYS_INLINE uint32_t space_index(uint32_t word) { return kNarrow ? word & ~kIs64 : word; }
WAFER_ALWAYS_INLINE bool space_is64(uint32_t word) { return word & kIs64; }

// A slot that a field names, of which so many bytes are read or written: one instruction does it
// for both halves where the compiler does not take their addresses apart.
template <size_t Bytes, class S>
WAFER_ALWAYS_INLINE S* whole_slot(S* slot) {
  if constexpr (kNarrow && Bytes == 8) __asm__("" : "+r"(slot));
  return slot;
}
template <class T>
WAFER_ALWAYS_INLINE T get_at(const Slot* slot) {
  return get<T>(whole_slot<sizeof(T)>(slot), 0);
}

// The accumulator of type T, if there is one.
#if WAFER_NARROW
#define GET_ACC(T) (T())
#define SET_ACC(v) ((void)0)
#define PUT(T, v) put<T>(whole_slot<sizeof(T)>(SA), 0, (v))
#else
#define SET_ACC(v) (ACC = Acc(v))
#define GET_ACC(T)                                \
  ([&]() -> T {                                   \
    if constexpr (std::is_same_v<T, float>)       \
      return F32A;                                \
    else if constexpr (std::is_same_v<T, double>) \
      return F64A;                                \
    else                                          \
      return T(ACC);                              \
  }())
// Writes a result to its slot and accumulator.
#define PUT(T, v)                                 \
  do {                                            \
    const T put_v_ = (v);                         \
    put<T>(SA, 0, put_v_);                        \
    if constexpr (std::is_same_v<T, float>)       \
      F32A = put_v_;                              \
    else if constexpr (std::is_same_v<T, double>) \
      F64A = put_v_;                              \
    else                                          \
      ACC = put_v_;                               \
  } while (0)
#endif

// ---- linear memory --------------------------------------------------------

// The size of memory 0, where checked accesses find it.
#if !WAFER_REGS
#define MEMORY_SIZE (CTX->memory_size)
#endif
// Points MEM and MEMORY_SIZE at the current instance's memory 0.
#define RELOAD_MEMORY()                           \
  do {                                            \
    runtime::Memory* m_ = CTX->instance->memory0; \
    if (m_) {                                     \
      MEM = m_->base;                             \
      MEMORY_SIZE = MemorySize(m_->size_bytes()); \
    }                                             \
  } while (0)

// Whether memory 0 reaches to `end`: another thread may have grown it since its size was
// cached.
bool has_grown(const Activation& activation, uint64_t end);

// `out` becomes the address of `size` bytes of memory 0 at `address` plus the offset in FC,
// which on narrow slots has `size` added.
#if WAFER_NARROW
#if WAFER_REGS
// Does the instruction again if memory 0 reaches to `end` by now, or traps.
void again_or_trap(uint32_t end);
#define MEMORY_TOO_SMALL(end)                                                        \
  do {                                                                               \
    if constexpr (wasm::is_built(wasm::Feature::Threads)) return again_or_trap(end); \
    TRAP_OUT_OF_BOUNDS();                                                            \
  } while (0)
#else
#define MEMORY_TOO_SMALL(end)                        \
  do {                                               \
    if (!has_grown(*CTX, end)) TRAP_OUT_OF_BOUNDS(); \
    RELOAD_MEMORY();                                 \
  } while (0)
#endif
#define CHECKED_ADDRESS(out, address, size)                                      \
  do {                                                                           \
    const uint32_t step_ = FC;                                                   \
    uint32_t end_;                                                               \
    if (WAFER_UNLIKELY(__builtin_add_overflow(uint32_t(address), step_, &end_))) \
      TRAP_OUT_OF_BOUNDS();                                                      \
    if (WAFER_UNLIKELY(end_ > MEMORY_SIZE)) MEMORY_TOO_SMALL(end_);              \
    out = MEM + end_ - (size);                                                   \
  } while (0)
#else
#define CHECKED_ADDRESS(out, address, size)                     \
  do {                                                          \
    const uint64_t at_ = uint64_t(address) + FC;                \
    if (WAFER_UNLIKELY(at_ + (size) > MEMORY_SIZE)) {           \
      if (!has_grown(*CTX, at_ + (size))) TRAP_OUT_OF_BOUNDS(); \
      RELOAD_MEMORY();                                          \
    }                                                           \
    out = MEM + at_;                                            \
  } while (0)
#endif

#if WAFER_HAS_OS
#define WAFER_FAR WAFER_ALWAYS_INLINE
#else
#define WAFER_FAR WAFER_NOINLINE inline
#endif
// [address + offset, +size) of the memory that `word` names, or null.
WAFER_FAR uint8_t* far_address(Activation* ctx, uint32_t word, const Slot* fp, unsigned address,
                               uint64_t offset, uint64_t size) {
  runtime::Memory* m = ctx->instance->memories[space_index(word)];
  const uint64_t base = index_at(fp, address, space_is64(word));
  const uint64_t ea = base + offset;
  const uint64_t limit = m->size_bytes();
  if (WAFER_UNLIKELY(ea < base || ea > limit || size > limit - ea)) return nullptr;
  return m->base + ea;
}

// Goes on where the unwinder has put the activation.
#define RESUME()     \
  do {               \
    PC = CTX->pc;    \
    FP = CTX->fp;    \
    RELOAD_MEMORY(); \
    DISPATCH();      \
  } while (0)

// Comes before a store at `p` where guard pages tell what is out of bounds: one that traps writes
// nothing, but processors may write what lies in one page before they look at the next.
template <unsigned Bytes>
WAFER_ALWAYS_INLINE void touch_end(const uint8_t* p) {
#if WAFER_HAS_OS && !defined(__x86_64__)
  if constexpr (Bytes > 1) (void)*static_cast<const volatile uint8_t*>(p + Bytes - 1);
#endif
}

// ---- handlers of other files ----------------------------------------------

namespace handlers {

// exec_memory.cc
template <Opcode OP>
WAFER_CC void atomic(WAFER_PARAMS);
template <bool Is64>
WAFER_CC void atomic_wait(WAFER_PARAMS);
WAFER_CC void atomic_notify(WAFER_PARAMS);
WAFER_CC void atomic_fence(WAFER_PARAMS);
WAFER_CC void copy_many(WAFER_PARAMS);
template <Opcode OP>
WAFER_CC void wide(WAFER_PARAMS);
WAFER_CC void memory_size(WAFER_PARAMS);
WAFER_CC void memory_grow(WAFER_PARAMS);
WAFER_CC void memory_fill(WAFER_PARAMS);
WAFER_CC void memory_copy(WAFER_PARAMS);
WAFER_CC void memory_init(WAFER_PARAMS);
WAFER_CC void data_drop(WAFER_PARAMS);
WAFER_CC void table_get(WAFER_PARAMS);
WAFER_CC void table_set(WAFER_PARAMS);
WAFER_CC void table_size(WAFER_PARAMS);
WAFER_CC void table_grow(WAFER_PARAMS);
WAFER_CC void table_fill(WAFER_PARAMS);
WAFER_CC void table_copy(WAFER_PARAMS);
WAFER_CC void table_init(WAFER_PARAMS);
WAFER_CC void elem_drop(WAFER_PARAMS);

// exec_simd.cc
WAFER_CC void copy128(WAFER_PARAMS);
WAFER_CC void const128(WAFER_PARAMS);
WAFER_CC void select128(WAFER_PARAMS);
WAFER_CC void global_get128(WAFER_PARAMS);
WAFER_CC void global_set128(WAFER_PARAMS);
template <Opcode OP>
WAFER_CC void vec(WAFER_PARAMS);
template <Opcode OP, unsigned V>
WAFER_CC void vec_load(WAFER_PARAMS);
template <Opcode OP, unsigned V>
WAFER_CC void vec_store(WAFER_PARAMS);
template <Opcode OP>
WAFER_CC void vec_lane(WAFER_PARAMS);

// exec_gc.cc
WAFER_CC void cont_new(WAFER_PARAMS);
WAFER_CC void cont_bind(WAFER_PARAMS);
WAFER_CC void suspend(WAFER_PARAMS);
WAFER_CC void switch_op(WAFER_PARAMS);
WAFER_CC void resume(WAFER_PARAMS);
WAFER_CC void throw_op(WAFER_PARAMS);
WAFER_CC void throw_ref(WAFER_PARAMS);
WAFER_CC void ref_func(WAFER_PARAMS);
WAFER_CC void ref_is_null(WAFER_PARAMS);
WAFER_CC void ref_as_non_null(WAFER_PARAMS);
WAFER_CC void ref_eq(WAFER_PARAMS);
WAFER_CC void check_descriptor(WAFER_PARAMS);
WAFER_CC void ref_test_desc(WAFER_PARAMS);
WAFER_CC void ref_cast_desc(WAFER_PARAMS);
WAFER_CC void ref_test(WAFER_PARAMS);
WAFER_CC void ref_cast(WAFER_PARAMS);
WAFER_CC void ref_i31(WAFER_PARAMS);
template <bool Signed>
WAFER_CC void i31_get(WAFER_PARAMS);
WAFER_CC void struct_new(WAFER_PARAMS);
WAFER_CC void struct_new_default(WAFER_PARAMS);
template <class M, class T>
WAFER_CC void struct_get(WAFER_PARAMS);
WAFER_CC void struct_get128(WAFER_PARAMS);
template <unsigned Bytes>
WAFER_CC void struct_set(WAFER_PARAMS);
WAFER_CC void array_new(WAFER_PARAMS);
WAFER_CC void array_new_default(WAFER_PARAMS);
WAFER_CC void array_new_fixed(WAFER_PARAMS);
WAFER_CC void array_new_data(WAFER_PARAMS);
WAFER_CC void array_new_elem(WAFER_PARAMS);
template <class M, class T>
WAFER_CC void array_get(WAFER_PARAMS);
WAFER_CC void array_get128(WAFER_PARAMS);
template <unsigned Bytes>
WAFER_CC void array_set(WAFER_PARAMS);
WAFER_CC void array_len(WAFER_PARAMS);
WAFER_CC void array_fill(WAFER_PARAMS);
WAFER_CC void array_copy(WAFER_PARAMS);
WAFER_CC void array_init_data(WAFER_PARAMS);
WAFER_CC void array_init_elem(WAFER_PARAMS);

}  // namespace handlers

}  // namespace wafer::interp
