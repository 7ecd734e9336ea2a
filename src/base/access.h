// Loads and stores whose alignment is known, or looked at. To memcpy a compiler gives no alignment
// that only the type of a pointer tells: where processors want accesses aligned, it calls a
// function for a number of four bytes.
#pragma once

#include <bit>
#include <type_traits>

#include "base/leb128.h"
#include "base/platform.h"

namespace wafer {

// Whether the processor wants them aligned. Compilers tell where it does not.
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ || defined(__x86_64__) || defined(__i386__) || \
    defined(__ARM_FEATURE_UNALIGNED) || defined(__riscv_misaligned_fast)
inline constexpr bool kWantsAligned = false;
#else
inline constexpr bool kWantsAligned = true;
#endif

namespace detail {
template <class T, size_t Align>
struct __attribute__((packed, aligned(Align), may_alias)) Aligned {
  T value;
};
}  // namespace detail

// A number that lies at a multiple of `Align`, whatever it was written as.
template <class T, size_t Align = alignof(T)>
WAFER_ALWAYS_INLINE T load_aligned(const void* p) {
  return static_cast<const detail::Aligned<T, Align>*>(p)->value;
}
template <class T, size_t Align = alignof(T)>
WAFER_ALWAYS_INLINE void store_aligned(void* p, std::type_identity_t<T> v) {
  static_cast<detail::Aligned<T, Align>*>(p)->value = v;
}

// A number of `count` bytes, the least significant one first.
WAFER_NOINLINE inline uint64_t load_bytes(const uint8_t* p, unsigned count) {
  uint64_t v = 0;
  while (count) v = v << 8 | p[--count];
  return v;
}
WAFER_NOINLINE inline void store_bytes(uint8_t* p, uint64_t v, unsigned count) {
  for (; count; --count, v >>= 8) *p++ = uint8_t(v);
}

// What is wider than a register goes by registers.
template <class T>
inline constexpr size_t kAccessAlign = sizeof(T) < sizeof(void*) ? sizeof(T) : sizeof(void*);
// Whether `p` is where an access to a T may be.
template <class T>
WAFER_ALWAYS_INLINE bool may_access(const uint8_t* p) {
  return !kWantsAligned || reinterpret_cast<uintptr_t>(p) % kAccessAlign<T> == 0;
}

// Numbers in linear memory, which lie anywhere and mostly aligned. Floats of small builds go as
// integers, whose code is there anyway.
template <class T>
WAFER_ALWAYS_INLINE T load_memory(const uint8_t* p) {
  if constexpr (!kWantsAligned && !kSmall)
    return load_le<T>(p);
  else if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<float>(load_memory<uint32_t>(p));
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(load_memory<uint64_t>(p));
  else if constexpr (!kWantsAligned)
    return load_le<T>(p);
  else if (WAFER_LIKELY(may_access<T>(p)))
    return load_aligned<T, kAccessAlign<T>>(p);
  else
    return T(load_bytes(p, sizeof(T)));
}
template <class T>
WAFER_ALWAYS_INLINE void store_memory(uint8_t* p, std::type_identity_t<T> v) {
  if constexpr (!kWantsAligned && !kSmall)
    store_le<T>(p, v);
  else if constexpr (std::is_same_v<T, float>)
    store_memory<uint32_t>(p, std::bit_cast<uint32_t>(v));
  else if constexpr (std::is_same_v<T, double>)
    store_memory<uint64_t>(p, std::bit_cast<uint64_t>(v));
  else if constexpr (!kWantsAligned)
    store_le<T>(p, v);
  else if (WAFER_LIKELY(may_access<T>(p)))
    store_aligned<T, kAccessAlign<T>>(p, v);
  else
    store_bytes(p, uint64_t(v), sizeof(T));
}

}  // namespace wafer
