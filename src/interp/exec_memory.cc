// Handlers of bulk memory and table instructions, and of atomic accesses.
#define WAFER_COLD_HANDLERS
#include "interp/atomics.h"
#include "interp/handlers.h"
#include "interp/numeric.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp {

bool has_grown(const Activation& activation, uint64_t end) {
  return end <= activation.instance->memory0->size_bytes();
}

namespace handlers {

using runtime::Memory;

// ---- atomics --------------------------------------------------------------

#if WAFER_REGS
// What is around an access is there once.
using OnMemory = uint64_t (*)(uint8_t* p, uint64_t operand, uint64_t replacement);
WAFER_NOINLINE void on_memory(OnMemory access, unsigned width, bool has_result) {
  uint8_t* p = far_address(CTX, ARG_LO(1), SB, 0, ARG(2), width);
  if (WAFER_UNLIKELY((uint32_t(*SB) + uint32_t(ARG(2))) % width)) TRAP(TrapCode::UnalignedAtomic);
  if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
  const uint64_t r = access(p, *SC, FP[uint16_t(ARG_HI(1))]);
  if (has_result) *SA = r;
  NEXT(words(3));
}
template <Opcode OP>
WAFER_CC void atomic(WAFER_PARAMS) {
  return on_memory(Atomic<OP>::eval, Atomic<OP>::kWidth, Atomic<OP>::kHasResult);
}
#else
template <Opcode OP>
WAFER_CC void atomic(WAFER_PARAMS) {
  using A = Atomic<OP>;
  uint8_t* p = far_address(CTX, ARG_LO(1), SB, 0, ARG(2), A::kWidth);
  // Alignment is checked first: it does not depend on the memory's size.
  if (WAFER_UNLIKELY((uint32_t(*SB) + uint32_t(ARG(2))) % A::kWidth))
    TRAP(TrapCode::UnalignedAtomic);
  if (WAFER_UNLIKELY(!p)) TRAP_OUT_OF_BOUNDS();
  const uint64_t r = A::eval(p, *SC, FP[uint16_t(ARG_HI(1))]);
  if constexpr (A::kHasResult) *SA = r;
  NEXT(words(3));
}

#endif

template <bool Is64>
WAFER_CC void atomic_wait(WAFER_PARAMS) {
  Memory* m = CTX->instance->memories[space_index(ARG_LO(1))];
  const uint64_t base = index_at(SB, 0, space_is64(ARG_LO(1)));
  const uint64_t ea = base + ARG(2);
  uint32_t result = 0;
  TrapCode code = TrapCode::MemoryOutOfBounds;
  if (ea >= base)
    code = m->atomic_wait(ea, Is64 ? *SC : uint32_t(*SC), Is64, int64_t(FP[ARG_LO(3)]), result,
                          &CTX->store->interrupt_flag);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  *SA = result;
  NEXT(words(4));
}

WAFER_CC void atomic_notify(WAFER_PARAMS) {
  Memory* m = CTX->instance->memories[space_index(ARG_LO(1))];
  const uint64_t base = index_at(SB, 0, space_is64(ARG_LO(1)));
  const uint64_t ea = base + ARG(2);
  uint32_t woken = 0;
  TrapCode code = TrapCode::MemoryOutOfBounds;
  if (ea >= base) code = m->atomic_notify(ea, uint32_t(*SC), woken);
  if (WAFER_UNLIKELY(code != TrapCode::None)) TRAP(code);
  *SA = woken;
  NEXT(words(3));
}

WAFER_CC void atomic_fence(WAFER_PARAMS) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  NEXT(words(1));
}

template WAFER_CC void atomic_wait<false>(WAFER_PARAMS);
template WAFER_CC void atomic_wait<true>(WAFER_PARAMS);

// ---- moves ----------------------------------------------------------------

WAFER_CC void copy_many(WAFER_PARAMS) {
  std::memmove(SA, SB, FC * sizeof(Slot));
  NEXT(words(1));
}

// ---- wide arithmetic ------------------------------------------------------

template <Opcode OP>
WAFER_CC void wide(WAFER_PARAMS) {
  const uint64_t a = *SB, b = *SC;
  uint64_t lo, hi;
  if constexpr (OP == Opcode::I64MulWideU || OP == Opcode::I64MulWideS) {
    num::mul_wide_u(a, b, lo, hi);
    if constexpr (OP == Opcode::I64MulWideS) {
      if (int64_t(a) < 0) hi -= b;
      if (int64_t(b) < 0) hi -= a;
    }
  } else {
    const uint64_t c = FP[ARG_LO(1)], d = FP[ARG_HI(1)];
    if constexpr (OP == Opcode::I64Add128) {
      lo = a + c;
      hi = b + d + (lo < a);
    } else {
      lo = a - c;
      hi = b - d - (a < c);
    }
  }
  Slot* dst = SA;
  dst[0] = lo;
  dst[1] = hi;
  NEXT(words(2));
}

// Nobody reads it: it is for the instances, which the table of handlers refers to.
template <Opcode OP>
constexpr HandlerFn instance() {
  if constexpr (shape_of(OP) == Shape::Atomic)
    return atomic<OP>;
  else if constexpr (shape_of(OP) == Shape::Wide)
    return wide<OP>;
  else
    return nullptr;
}
extern const HandlerFn kPlainHandlers[];
const HandlerFn kPlainHandlers[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, instance<Opcode::id>(), )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

// ---- memories and tables --------------------------------------------------

WAFER_CC void memory_size(WAFER_PARAMS) {
  *SA = CTX->instance->memories[ARG_LO(1)]->pages();
  NEXT(words(2));
}
WAFER_CC void memory_grow(WAFER_PARAMS) {
  const uint64_t r = CTX->instance->memories[ARG_LO(1)]->grow(index_at(SB, 0, ARG_HI(1)));
  *SA = ARG_HI(1) ? r : uint32_t(r);
  RELOAD_MEMORY();
  NEXT(words(2));
}
WAFER_CC void memory_fill(WAFER_PARAMS) {
  const bool is64 = space_is64(ARG_LO(1));
  const TrapCode c = CTX->instance->memories[space_index(ARG_LO(1))]->fill(
      index_at(SA, 0, is64), uint8_t(*SB), index_at(SC, 0, is64));
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(words(2));
}
WAFER_CC void memory_copy(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const uint32_t to = ARG_LO(1), from = ARG_HI(1);
  const TrapCode c =
      Memory::copy(*i->memories[space_index(to)], index_at(SA, 0, space_is64(to)),
                   *i->memories[space_index(from)], index_at(SB, 0, space_is64(from)),
                   index_at(SC, 0, space_is64(to & from)));
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(words(2));
}
WAFER_CC void memory_init(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const uint32_t to = ARG_LO(1);
  const TrapCode c = i->memories[space_index(to)]->init(
      index_at(SA, 0, space_is64(to)), i->data(ARG_HI(1)), uint32_t(*SB), uint32_t(*SC));
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(words(2));
}
WAFER_CC void data_drop(WAFER_PARAMS) {
  CTX->instance->data_dropped[ARG_LO(1)] = true;
  NEXT(words(2));
}
WAFER_CC void table_get(WAFER_PARAMS) {
  const runtime::Table* t = CTX->instance->tables[ARG_LO(1)];
  const uint64_t i = index_at(SB, 0, ARG_HI(1));
  if (WAFER_UNLIKELY(i >= t->size)) TRAP(TrapCode::TableOutOfBounds);
  *SA = t->elements[i];
  NEXT(words(2));
}
WAFER_CC void table_set(WAFER_PARAMS) {
  runtime::Table* t = CTX->instance->tables[ARG_LO(1)];
  const uint64_t i = index_at(SA, 0, ARG_HI(1));
  if (WAFER_UNLIKELY(i >= t->size)) TRAP(TrapCode::TableOutOfBounds);
  t->elements[i] = *SB;
  NEXT(words(2));
}
WAFER_CC void table_size(WAFER_PARAMS) {
  *SA = CTX->instance->tables[ARG_LO(1)]->size;
  NEXT(words(2));
}
WAFER_CC void table_grow(WAFER_PARAMS) {
  const uint64_t r = CTX->instance->tables[ARG_LO(1)]->grow(index_at(SC, 0, ARG_HI(1)), *SB);
  *SA = ARG_HI(1) ? r : uint32_t(r);
  NEXT(words(2));
}
WAFER_CC void table_fill(WAFER_PARAMS) {
  const bool is64 = ARG_HI(1);
  const TrapCode c =
      CTX->instance->tables[ARG_LO(1)]->fill(index_at(SA, 0, is64), *SB, index_at(SC, 0, is64));
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(words(2));
}
WAFER_CC void table_copy(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const uint32_t to = ARG_LO(1), from = ARG_HI(1);
  const TrapCode c = runtime::Table::copy(
      *i->tables[space_index(to)], index_at(SA, 0, space_is64(to)), *i->tables[space_index(from)],
      index_at(SB, 0, space_is64(from)), index_at(SC, 0, space_is64(to & from)));
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(words(2));
}
WAFER_CC void table_init(WAFER_PARAMS) {
  Instance* i = CTX->instance;
  const uint32_t to = ARG_LO(1);
  const TrapCode c = i->tables[space_index(to)]->init(
      index_at(SA, 0, space_is64(to)), i->elems[ARG_HI(1)], uint32_t(*SB), uint32_t(*SC));
  if (WAFER_UNLIKELY(c != TrapCode::None)) TRAP(c);
  NEXT(words(2));
}
WAFER_CC void elem_drop(WAFER_PARAMS) {
  Vec<Ref>().swap(CTX->instance->elems[ARG_LO(1)]);
  NEXT(words(2));
}

}  // namespace handlers
}  // namespace wafer::interp

#endif
