// Values in slots, and what loads and stores move between them and memory.
#pragma once

#include <bit>

#include "base/access.h"
#include "interp/code.h"
#include "interp/ops.h"

namespace wafer::interp {

template <class T>
WAFER_ALWAYS_INLINE T get(const Slot* fp, unsigned slot) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return load_aligned<T>(reinterpret_cast<const uint8_t*>(fp + slot) + 8 - sizeof(T));
#else
  // Its instruction takes an index, unlike those that load a register for floats.
  if constexpr (kNarrow && std::is_same_v<T, float>)
    return std::bit_cast<float>(get<uint32_t>(fp, slot));
  return load_aligned<T>(fp + slot);
#endif
}
template <class T>
WAFER_ALWAYS_INLINE Slot to_bits(T v) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<uint32_t>(v);
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<uint64_t>(v);
  else
    return v;
}
template <class T>
WAFER_ALWAYS_INLINE void put(Slot* fp, unsigned slot, T v) {
  if constexpr (kNarrow && sizeof(T) == 4) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    store_aligned<T>(reinterpret_cast<uint8_t*>(fp + slot) + 4, v);
#else
    store_aligned<uint32_t>(fp + slot, uint32_t(to_bits(v)));
#endif
  } else {
    fp[slot] = to_bits(v);
  }
}
// The number with these bits.
template <class T>
WAFER_ALWAYS_INLINE T from_bits(uint64_t bits) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<float>(uint32_t(bits));
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(bits);
  else
    return T(bits);
}
// An address or index: what lies above 32 bits counts only if its type is i64.
WAFER_ALWAYS_INLINE uint64_t index_at(const Slot* fp, unsigned slot, bool is64) {
  if (kNarrow && !(wasm::is_built(wasm::Feature::Memory64) && is64)) return get<uint32_t>(fp, slot);
  return fp[slot];
}

// What a scalar load or store moves: memory type and register type.
template <Opcode OP>
struct Access;
#define ACCESS(OP, M, REG)    \
  template <>                 \
  struct Access<Opcode::OP> { \
    using Mem = M;            \
    using Reg = REG;          \
  };
ACCESS(I32Load, uint32_t, uint32_t)
ACCESS(I64Load, uint64_t, uint64_t)
ACCESS(F32Load, float, float)
ACCESS(F64Load, double, double)
ACCESS(I32Load8S, int8_t, uint32_t)
ACCESS(I32Load8U, uint8_t, uint32_t)
ACCESS(I32Load16S, int16_t, uint32_t)
ACCESS(I32Load16U, uint16_t, uint32_t)
ACCESS(I64Load8S, int8_t, uint64_t)
ACCESS(I64Load8U, uint8_t, uint64_t)
ACCESS(I64Load16S, int16_t, uint64_t)
ACCESS(I64Load16U, uint16_t, uint64_t)
ACCESS(I64Load32S, int32_t, uint64_t)
ACCESS(I64Load32U, uint32_t, uint64_t)
ACCESS(I32Store, uint32_t, uint32_t)
ACCESS(I64Store, uint64_t, uint64_t)
ACCESS(F32Store, float, float)
ACCESS(F64Store, double, double)
ACCESS(I32Store8, uint8_t, uint32_t)
ACCESS(I32Store16, uint16_t, uint32_t)
ACCESS(I64Store8, uint8_t, uint64_t)
ACCESS(I64Store16, uint16_t, uint64_t)
ACCESS(I64Store32, uint32_t, uint64_t)
#undef ACCESS

}  // namespace wafer::interp
