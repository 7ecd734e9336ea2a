// LEB128 integers (spec 5.2.2) and little-endian loads and stores.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/memory.h"

namespace wafer {

enum class LebStatus : uint8_t {
  Ok,
  UnexpectedEnd,  // "unexpected end"
  TooLong,        // "integer representation too long"
  TooLarge,       // "integer too large"
};

// Reads a LEB128 of at most `bits` bits from [p, end); advances p past it on success, and leaves p
// at the byte that is wrong otherwise. A signed one is extended to 64 bits.
WAFER_ALWAYS_INLINE LebStatus read_leb_inline(const uint8_t*& p, const uint8_t* end, unsigned bits,
                                              bool is_signed, uint64_t& out) {
  uint64_t result = 0;
  for (unsigned shift = 0;; shift += 7) {
    if (WAFER_UNLIKELY(p == end)) return LebStatus::UnexpectedEnd;
    const uint8_t byte = *p;
    if (const unsigned left = bits - shift; left <= 7) {
      if (byte & 0x80) return LebStatus::TooLong;
      // The unused bits must be zero, or all repeat the sign bit.
      const unsigned unused = byte >> (left - is_signed);
      if (unused != 0 && !(is_signed && unused == 0x7Fu >> (left - 1))) return LebStatus::TooLarge;
    }
    ++p;
    result |= uint64_t(byte & 0x7F) << shift;
    if (byte & 0x80) continue;
    if (is_signed && (byte & 0x40) && shift + 7 < 64) result |= ~uint64_t{0} << (shift + 7);
    out = result;
    return LebStatus::Ok;
  }
}
// The same, once for all numbers of bits.
LebStatus read_leb(const uint8_t*& p, const uint8_t* end, unsigned bits, bool is_signed,
                   uint64_t& out);

// An unsigned one.
template <unsigned Bits>
inline LebStatus read_uleb(const uint8_t*& p, const uint8_t* end, uint64_t& out) {
  if constexpr (kSmall) return read_leb(p, end, Bits, false, out);
  return read_leb_inline(p, end, Bits, false, out);
}
// A signed one.
template <unsigned Bits>
inline LebStatus read_sleb(const uint8_t*& p, const uint8_t* end, int64_t& out) {
  uint64_t bits = 0;
  const LebStatus status =
      kSmall ? read_leb(p, end, Bits, true, bits) : read_leb_inline(p, end, Bits, true, bits);
  if (WAFER_LIKELY(status == LebStatus::Ok)) out = int64_t(bits);
  return status;
}

void write_uleb(Vec<uint8_t>& out, uint64_t value);
void write_sleb(Vec<uint8_t>& out, int64_t value);

// Unaligned little-endian access; WebAssembly memory is little-endian (2.3.1).
template <class T>
inline T load_le(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  uint8_t* b = reinterpret_cast<uint8_t*>(&v);
  for (size_t i = 0; i < sizeof(T) / 2; ++i) {
    const uint8_t t = b[i];
    b[i] = b[sizeof(T) - 1 - i];
    b[sizeof(T) - 1 - i] = t;
  }
#endif
  return v;
}
template <class T>
inline void store_le(void* p, T v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  v = load_le<T>(&v);
#endif
  std::memcpy(p, &v, sizeof(T));
}

}  // namespace wafer
