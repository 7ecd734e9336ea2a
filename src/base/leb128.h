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

// Reads an unsigned LEB128 of at most `Bits` bits from [p, end); advances p past
// it on success, and leaves p at the byte that is wrong otherwise.
template <unsigned Bits>
inline LebStatus read_uleb(const uint8_t*& p, const uint8_t* end, uint64_t& out) {
  constexpr unsigned kMaxBytes = (Bits + 6) / 7;
  uint64_t result = 0;
  for (unsigned i = 0; i < kMaxBytes; ++i) {
    if (WAFER_UNLIKELY(p == end)) return LebStatus::UnexpectedEnd;
    const uint8_t byte = *p;
    if (i == kMaxBytes - 1) {
      constexpr unsigned kLastBits = Bits - 7 * (kMaxBytes - 1);
      if (byte & 0x80) return LebStatus::TooLong;
      if (kLastBits < 7 && (byte >> kLastBits) != 0) return LebStatus::TooLarge;
    }
    ++p;
    result |= uint64_t(byte & 0x7F) << (7 * i);
    if (!(byte & 0x80)) {
      out = result;
      return LebStatus::Ok;
    }
  }
  return LebStatus::TooLong;
}

// Signed counterpart; `out` is sign-extended to 64 bits.
template <unsigned Bits>
inline LebStatus read_sleb(const uint8_t*& p, const uint8_t* end, int64_t& out) {
  constexpr unsigned kMaxBytes = (Bits + 6) / 7;
  uint64_t result = 0;
  for (unsigned i = 0; i < kMaxBytes; ++i) {
    if (WAFER_UNLIKELY(p == end)) return LebStatus::UnexpectedEnd;
    const uint8_t byte = *p;
    if (i == kMaxBytes - 1) {
      constexpr unsigned kLastBits = Bits - 7 * (kMaxBytes - 1);
      if (byte & 0x80) return LebStatus::TooLong;
      // The unused bits must all repeat the sign bit.
      const uint8_t mask = uint8_t(0x7F & (0xFF << (kLastBits - 1)));
      if ((byte & mask) != 0 && (byte & mask) != mask) return LebStatus::TooLarge;
    }
    ++p;
    result |= uint64_t(byte & 0x7F) << (7 * i);
    if (!(byte & 0x80)) {
      const unsigned used = 7 * (i + 1);
      if (used < 64 && (byte & 0x40)) result |= ~uint64_t{0} << used;
      out = int64_t(result);
      return LebStatus::Ok;
    }
  }
  return LebStatus::TooLong;
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
