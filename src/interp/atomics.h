// Semantics of the atomic accesses (threads proposal), one Atomic<opcode> each:
// eval(p, operand, replacement) gives the old value, zero-extended.
#pragma once

#include <bit>
#include <cstdint>

#include "base/access.h"
#include "wasm/opcode.h"

namespace wafer::interp {

template <wasm::Opcode Op>
struct Atomic;

namespace atomics {
enum class Kind { Load, Store, Add, Sub, And, Or, Xor, Xchg, Cmpxchg };

#if WAFER_HAS_OS

static_assert(std::endian::native == std::endian::little);

template <class T, Kind K>
inline uint64_t access(uint8_t* address, uint64_t operand, uint64_t replacement) {
  T* p = reinterpret_cast<T*>(address);
  const T v = T(operand);
  if constexpr (K == Kind::Load) {
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
  } else if constexpr (K == Kind::Store) {
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);
    return 0;
  } else if constexpr (K == Kind::Add) {
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
  } else if constexpr (K == Kind::Sub) {
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);
  } else if constexpr (K == Kind::And) {
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);
  } else if constexpr (K == Kind::Or) {
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);
  } else if constexpr (K == Kind::Xor) {
    return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST);
  } else if constexpr (K == Kind::Xchg) {
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
  } else {
    T expected = v;  // wrapped to the width of the access, as is the replacement
    __atomic_compare_exchange_n(p, &expected, T(replacement), false, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return expected;
  }
}

#else

// An engine and its memories belong to one task, so nobody comes in between; processors without
// instructions for it, or with the most significant byte first, can do it so too.
template <class T, Kind K>
inline uint64_t access(uint8_t* address, uint64_t operand, uint64_t replacement) {
  const T old = K == Kind::Store ? T(0) : load_memory<T>(address);
  const T v = T(operand);
  if constexpr (K == Kind::Store || K == Kind::Xchg) {
    store_memory<T>(address, v);
  } else if constexpr (K == Kind::Add) {
    store_memory<T>(address, T(old + v));
  } else if constexpr (K == Kind::Sub) {
    store_memory<T>(address, T(old - v));
  } else if constexpr (K == Kind::And) {
    store_memory<T>(address, T(old & v));
  } else if constexpr (K == Kind::Or) {
    store_memory<T>(address, T(old | v));
  } else if constexpr (K == Kind::Xor) {
    store_memory<T>(address, T(old ^ v));
  } else if constexpr (K == Kind::Cmpxchg) {
    if (old == v) store_memory<T>(address, T(replacement));
  }
  return old;
}

#endif
}  // namespace atomics

#define WAFER_ATOMIC(OP, T, KIND)                                                   \
  template <>                                                                       \
  struct Atomic<wasm::Opcode::OP> {                                                 \
    static constexpr unsigned kWidth = sizeof(T);                                   \
    static constexpr bool kHasResult = atomics::Kind::KIND != atomics::Kind::Store; \
    static uint64_t eval(uint8_t* p, uint64_t operand, uint64_t replacement) {      \
      return atomics::access<T, atomics::Kind::KIND>(p, operand, replacement);      \
    }                                                                               \
  };
#define WAFER_ATOMIC_WIDTHS(NAME, SUFFIX, KIND)             \
  WAFER_ATOMIC(I32Atomic##NAME, uint32_t, KIND)             \
  WAFER_ATOMIC(I64Atomic##NAME, uint64_t, KIND)             \
  WAFER_ATOMIC(I32Atomic##NAME##8##SUFFIX, uint8_t, KIND)   \
  WAFER_ATOMIC(I32Atomic##NAME##16##SUFFIX, uint16_t, KIND) \
  WAFER_ATOMIC(I64Atomic##NAME##8##SUFFIX, uint8_t, KIND)   \
  WAFER_ATOMIC(I64Atomic##NAME##16##SUFFIX, uint16_t, KIND) \
  WAFER_ATOMIC(I64Atomic##NAME##32##SUFFIX, uint32_t, KIND)
#define WAFER_ATOMIC_RMW(NAME)                          \
  WAFER_ATOMIC(I32AtomicRmw##NAME, uint32_t, NAME)      \
  WAFER_ATOMIC(I64AtomicRmw##NAME, uint64_t, NAME)      \
  WAFER_ATOMIC(I32AtomicRmw8##NAME##U, uint8_t, NAME)   \
  WAFER_ATOMIC(I32AtomicRmw16##NAME##U, uint16_t, NAME) \
  WAFER_ATOMIC(I64AtomicRmw8##NAME##U, uint8_t, NAME)   \
  WAFER_ATOMIC(I64AtomicRmw16##NAME##U, uint16_t, NAME) \
  WAFER_ATOMIC(I64AtomicRmw32##NAME##U, uint32_t, NAME)

WAFER_ATOMIC_WIDTHS(Load, U, Load)
WAFER_ATOMIC_WIDTHS(Store, , Store)
WAFER_ATOMIC_RMW(Add)
WAFER_ATOMIC_RMW(Sub)
WAFER_ATOMIC_RMW(And)
WAFER_ATOMIC_RMW(Or)
WAFER_ATOMIC_RMW(Xor)
WAFER_ATOMIC_RMW(Xchg)
WAFER_ATOMIC_RMW(Cmpxchg)

#undef WAFER_ATOMIC
#undef WAFER_ATOMIC_WIDTHS
#undef WAFER_ATOMIC_RMW

}  // namespace wafer::interp
