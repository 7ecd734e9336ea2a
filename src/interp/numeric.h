// Semantics of the scalar numeric instructions (spec 4.3), one Sem<opcode> each.
//
// Total operations have `static R eval(T...)`; those that can trap have
// `static TrapCode eval(T..., R& out)` and kTraps set. i32 and i64 are unsigned.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/platform.h"
#include "runtime/trap.h"
#include "wasm/opcode.h"

namespace wafer::interp {

using runtime::TrapCode;

template <wasm::Opcode Op>
struct Sem;

namespace num {

// Whether the processor has instructions for floats, as far as the compiler tells.
#if defined(__ARM_FP)
inline constexpr bool kHasF32 = __ARM_FP & 4, kHasF64 = __ARM_FP & 8;
#elif defined(__riscv_flen)
inline constexpr bool kHasF32 = __riscv_flen >= 32, kHasF64 = __riscv_flen >= 64;
#elif defined(__arm__) || defined(__riscv)
inline constexpr bool kHasF32 = false, kHasF64 = false;
#else
inline constexpr bool kHasF32 = true, kHasF64 = true;
#endif

// What several handlers do at length is there once, where size counts.
#if WAFER_HAS_OS
#define WAFER_SHARED inline
#else
#define WAFER_SHARED WAFER_NOINLINE inline
#endif

// Quiets a NaN, as every arithmetic operation that passes one on must (4.3.3).
template <class F>
inline F quiet(F v) {
  if constexpr (sizeof(F) == 4)
    return std::bit_cast<float>(std::bit_cast<uint32_t>(v) | 0x400000u);
  else
    return std::bit_cast<double>(std::bit_cast<uint64_t>(v) | 0x8000000000000ull);
}

// Whether the compiler's helpers would compare, of which there are several, and of some size.
template <class F>
inline constexpr bool kByOrder = !WAFER_HAS_OS && sizeof(void*) == 4 && sizeof(F) == 8 && !kHasF64;
inline constexpr unsigned kLess = 1, kEqual = 2, kGreater = 4;
// One of these, or 0 if one is a NaN.
WAFER_NOINLINE inline unsigned order(double a, double b) {
  constexpr uint64_t kInfinity = uint64_t(0x7FF) << 52;
  const auto x = std::bit_cast<uint64_t>(a), y = std::bit_cast<uint64_t>(b);
  if (x << 1 > kInfinity << 1 || y << 1 > kInfinity << 1) return 0;
  if (x == y || (x | y) << 1 == 0) return kEqual;
  // Of two that are negative the one with more in its bits is less.
  const bool below = int64_t(x & y) < 0 ? x > y : int64_t(x) < int64_t(y);
  return below ? kLess : kGreater;
}
template <class F>
WAFER_ALWAYS_INLINE bool is_nan(F v) {
  if constexpr (kByOrder<F>) return std::bit_cast<uint64_t>(v) << 1 > uint64_t(0x7FF) << 53;
  return v != v;
}
template <class F>
WAFER_ALWAYS_INLINE bool equal(F a, F b) {
  if constexpr (kByOrder<F>) return order(a, b) & kEqual;
  return a == b;
}
template <class F>
WAFER_ALWAYS_INLINE bool less(F a, F b) {
  if constexpr (kByOrder<F>) return order(a, b) & kLess;
  return a < b;
}
template <class F>
WAFER_ALWAYS_INLINE bool less_or_equal(F a, F b) {
  if constexpr (kByOrder<F>) return order(a, b) & (kLess | kEqual);
  return a <= b;
}

template <class F>
WAFER_SHARED F min(F a, F b) {
  if (WAFER_UNLIKELY(is_nan(a))) return quiet(a);
  if (WAFER_UNLIKELY(is_nan(b))) return quiet(b);
  if (equal(a, b)) {
    // -0 is below +0.
    using U = std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>;
    return std::bit_cast<F>(U(std::bit_cast<U>(a) | std::bit_cast<U>(b)));
  }
  return less(a, b) ? a : b;
}

template <class F>
WAFER_ALWAYS_INLINE F negated(F v) {
  using U = std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>;
  return std::bit_cast<F>(U(std::bit_cast<U>(v) ^ U(1) << (sizeof(U) * 8 - 1)));
}
template <class F>
WAFER_SHARED F max(F a, F b) {
  // The least of the negated ones, where size counts.
  if constexpr (!WAFER_HAS_OS) return negated(min(negated(a), negated(b)));
  if (WAFER_UNLIKELY(is_nan(a))) return quiet(a);
  if (WAFER_UNLIKELY(is_nan(b))) return quiet(b);
  if (equal(a, b)) {
    using U = std::conditional_t<sizeof(F) == 4, uint32_t, uint64_t>;
    return std::bit_cast<F>(U(std::bit_cast<U>(a) & std::bit_cast<U>(b)));
  }
  return less(b, a) ? a : b;
}

// Rounding by `Mode`: adding and taking away 2^(mantissa bits) rounds to nearest
// even without a libm call; the other modes correct that result by one.
enum class Round { Nearest, Floor, Ceil, Trunc };

#if WAFER_HAS_OS
template <Round Mode, class F>
inline F round(F v) {
  if (v != v) return quiet(v);
  constexpr F kBig = sizeof(F) == 4 ? F(8388608.0f) : F(4503599627370496.0);
  const F mag = __builtin_copysign(v, F(1));
  if (!(mag < kBig)) return v;
  volatile F sum = mag + kBig;  // volatile: no reassociation
  F r = __builtin_copysign(F(sum - kBig), v);
  if constexpr (Mode == Round::Floor) {
    if (r > v) r -= F(1);
  } else if constexpr (Mode == Round::Ceil) {
    if (r < v) r += F(1);
  } else if constexpr (Mode == Round::Trunc) {
    if (__builtin_copysign(r, F(1)) > mag) r -= __builtin_copysign(F(1), v);
  }
  return __builtin_copysign(r, v);
}
#else
// By its bits, which needs no floating-point unit and is there once.
WAFER_NOINLINE inline double round_to(double v, Round mode) {
  using U = uint64_t;
  constexpr int kMantissa = 52, kBias = 1023;
  constexpr U kOne = U(1), kSign = kOne << 63;
  U bits = std::bit_cast<U>(v);
  const U sign = bits & kSign;
  const int exponent = int((bits & ~kSign) >> kMantissa) - kBias;
  if (exponent >= kMantissa) return is_nan(v) ? quiet(v) : v;
  U fraction, half;
  bool odd;
  if (exponent < 0) {  // below 1
    // A half counts as the bits of 0.5; all of the number is its fraction.
    fraction = bits & ~kSign;
    half = U(kBias - 1) << kMantissa;
    bits = sign;
    odd = false;
  } else {
    const U unit = kOne << (kMantissa - exponent);
    fraction = bits & (unit - 1);
    half = unit >> 1;
    bits -= fraction;
    // The bit of 1 is the exponent's lowest where the number is below 2: set, as it must be.
    odd = bits & unit;
  }
  const bool up = mode == Round::Nearest ? fraction > half || (fraction == half && odd)
                  : mode == Round::Floor ? fraction && sign
                  : mode == Round::Ceil  ? fraction && !sign
                                         : false;
  if (up) bits = exponent < 0 ? sign | U(kBias) << kMantissa : bits + 2 * half;
  return std::bit_cast<double>(bits);
}
// An f32 by f64, which holds all of them, and a whole number for each.
template <Round Mode, class F>
inline F round(F v) {
  return F(round_to(v, Mode));
}
#endif

// Truncation to the integer type I: valid inputs lie strictly between the bounds.
template <class I, class F>
struct TruncRange {
  static constexpr F low() {
    if constexpr (std::is_signed_v<I>) {
      // min-1 where F can hold it, else compare with min itself (see below).
      return -F(uint64_t(1) << (sizeof(I) * 8 - 1));
    } else {
      return F(-1);
    }
  }
  static constexpr F high() {
    return std::is_signed_v<I> ? F(uint64_t(1) << (sizeof(I) * 8 - 1))
                               : F(2) * F(uint64_t(1) << (sizeof(I) * 8 - 1));
  }
  static constexpr bool below(F v) {
    if constexpr (!std::is_signed_v<I>)
      return v <= low();
    else if constexpr (sizeof(I) == 4 && sizeof(F) == 8)
      return v <= low() - F(1);
    else
      return v < low();
  }
};

#if WAFER_HAS_OS
template <class I, class U, class F>
WAFER_ALWAYS_INLINE TrapCode trunc(F v, U& out) {
  if (WAFER_UNLIKELY(v != v)) return TrapCode::InvalidConversion;
  if (WAFER_UNLIKELY((TruncRange<I, F>::below(v) || v >= TruncRange<I, F>::high())))
    return TrapCode::IntegerOverflow;
  out = U(I(v));
  return TrapCode::None;
}

template <class I, class U, class F>
inline U trunc_sat(F v) {
  if (v != v) return 0;
  if (TruncRange<I, F>::below(v)) return U(std::numeric_limits<I>::min());
  if (v >= TruncRange<I, F>::high()) return U(std::numeric_limits<I>::max());
  return U(I(v));
}
#else
// By its bits, to an integer whose greatest value is `most`, for all types of integers. `out`
// becomes the nearest that there is, 0 for a NaN.
WAFER_NOINLINE inline TrapCode truncate_bits(double v, uint64_t most, bool is_signed,
                                             uint64_t& out) {
  const uint64_t bits = std::bit_cast<uint64_t>(v), fraction = bits << 12 >> 12;
  const bool negative = bits >> 63;
  const int exponent = int(bits >> 52 & 0x7FF) - 1023;
  if (exponent == 1024 && fraction) {
    out = 0;
    return TrapCode::InvalidConversion;
  }
  uint64_t magnitude = fraction | uint64_t(1) << 52;
  if (exponent < 0)
    magnitude = 0;
  else if (exponent <= 52)
    magnitude >>= 52 - exponent;
  else if (exponent <= 63)
    magnitude <<= exponent - 52;
  if (negative) most = is_signed ? most + 1 : 0;
  TrapCode code = TrapCode::None;
  if (exponent > 63 || magnitude > most) {
    magnitude = most;
    code = TrapCode::IntegerOverflow;
  }
  out = negative ? -magnitude : magnitude;
  return code;
}
template <class I>
WAFER_ALWAYS_INLINE TrapCode truncate(double v, I& out) {
  uint64_t bits;
  const TrapCode code =
      truncate_bits(v, uint64_t(std::numeric_limits<I>::max()), std::is_signed_v<I>, bits);
  out = I(bits);
  return code;
}
// By instructions, where there are any.
template <class I>
WAFER_NOINLINE inline TrapCode truncate(float v, I& out) {
  TrapCode code = TrapCode::IntegerOverflow;
  if (v != v) {
    out = 0;
    code = TrapCode::InvalidConversion;
  } else if (TruncRange<I, float>::below(v)) {
    out = std::numeric_limits<I>::min();
  } else if (v >= TruncRange<I, float>::high()) {
    out = std::numeric_limits<I>::max();
  } else {
    out = I(v);
    code = TrapCode::None;
  }
  return code;
}
// All others go by f64, which holds each f32.
template <class I, class F>
using TruncFrom = std::conditional_t<sizeof(I) == 8 || !kHasF32, double, F>;
template <class I, class U, class F>
WAFER_ALWAYS_INLINE TrapCode trunc(F v, U& out) {
  I i;
  const TrapCode code = truncate<I>(TruncFrom<I, F>(v), i);
  out = U(i);
  return code;
}
template <class I, class U, class F>
WAFER_ALWAYS_INLINE U trunc_sat(F v) {
  I i;
  truncate<I>(TruncFrom<I, F>(v), i);
  return U(i);
}
#endif

// By its bits, one digit of the root after the other.
WAFER_NOINLINE inline double root_of(double v) {
  constexpr uint64_t kOne = uint64_t(1) << 52, kInfinity = uint64_t(0x7FF) << 52;
  uint64_t rest = std::bit_cast<uint64_t>(v);
  if (rest << 1 == 0 || rest == kInfinity) return v;
  // Negative, or a NaN.
  if (rest > kInfinity)
    return rest << 1 > kInfinity << 1 ? quiet(v) : std::numeric_limits<double>::quiet_NaN();
  int exponent = int(rest >> 52);
  if (exponent == 0) {
    ++exponent;
    for (; rest < kOne; rest <<= 1) --exponent;
  } else {
    rest = (rest & (kOne - 1)) | kOne;
  }
  exponent -= 1023;
  rest <<= 1 + (exponent & 1);
  // 53 digits and one to round by; `twice` is two times the root so far.
  uint64_t root = 0, twice = 0;
  for (uint64_t digit = kOne << 1; digit; digit >>= 1) {
    if (const uint64_t next = twice + digit; next <= rest) {
      twice = next + digit;
      rest -= next;
      root += digit;
    }
    rest <<= 1;
  }
  return std::bit_cast<double>((root >> 1) + (root & 1) + (uint64_t((exponent >> 1) + 1022) << 52));
}
// Where there is no instruction, the C library's takes more space. The root of an f32 has so few
// digits that it may be rounded twice.
template <class F>
WAFER_ALWAYS_INLINE F sqrt(F v) {
  if constexpr (!WAFER_HAS_OS && !(sizeof(F) == 4 ? kHasF32 : kHasF64))
    return F(root_of(v));
  else
    return std::sqrt(v);
}

WAFER_ALWAYS_INLINE double promote(float v) {
#ifdef __powerpc__
  // There an f32 becomes an f64 as it is loaded, and a signalling NaN stays one.
  if (v != v) return std::bit_cast<double>(std::bit_cast<uint64_t>(double(v)) | uint64_t(1) << 51);
#endif
  return v;
}

// By f64. What that has no bits for sets the last that it has, so that it is rounded once.
WAFER_NOINLINE inline float to_f32(uint64_t v) {
  if (v >> 53 && v & 0x7FF) v = (v & ~uint64_t(0x7FF)) | 0x800;
  return float(double(v));
}
WAFER_NOINLINE inline uint32_t ones_of(uint32_t v) {
  v -= v >> 1 & 0x55555555;
  v = (v & 0x33333333) + (v >> 2 & 0x33333333);
  v = (v + (v >> 4)) & 0x0F0F0F0F;
  return v * 0x01010101 >> 24;
}
// Where registers have 32 bits, the compiler's helpers for what follows are long or have tables.
inline constexpr bool kShortHelpers = !WAFER_HAS_OS && sizeof(void*) == 4;
WAFER_ALWAYS_INLINE float u64_to_f32(uint64_t v) { return kShortHelpers ? to_f32(v) : float(v); }
WAFER_ALWAYS_INLINE float s64_to_f32(int64_t v) {
  if (!kShortHelpers) return float(v);
  return v < 0 ? -to_f32(-uint64_t(v)) : to_f32(uint64_t(v));
}
template <class U>
WAFER_ALWAYS_INLINE U count_ones(U v) {
  if (!kShortHelpers) return U(std::popcount(v));
  return sizeof(U) == 4 ? ones_of(uint32_t(v))
                        : ones_of(uint32_t(v)) + ones_of(uint32_t(uint64_t(v) >> 32));
}
template <class U>
WAFER_ALWAYS_INLINE U count_trailing_zeros(U v) {
  if (!kShortHelpers || sizeof(U) == 4) return U(std::countr_zero(v));
  const uint32_t low = uint32_t(v);
  return U(low ? std::countr_zero(low) : 32 + std::countr_zero(uint32_t(uint64_t(v) >> 32)));
}

// Left by as many bits as the lowest six of `n` say.
WAFER_NOINLINE inline uint64_t rotated(uint64_t v, uint32_t n) { return std::rotl(v, int(n & 63)); }
template <class U>
WAFER_ALWAYS_INLINE U rotl(U v, U n) {
  if constexpr (kShortHelpers && sizeof(U) == 8) return rotated(v, uint32_t(n));
  return std::rotl(v, int(n & (sizeof(U) * 8 - 1)));
}
template <class U>
WAFER_ALWAYS_INLINE U rotr(U v, U n) {
  if constexpr (kShortHelpers && sizeof(U) == 8) return rotated(v, 0u - uint32_t(n));
  return std::rotr(v, int(n & (sizeof(U) * 8 - 1)));
}

// The quotient, or what is left: the compiler's helpers are quicker where `d` has more than 16
// bits, but several times as large.
WAFER_NOINLINE inline uint64_t divide(uint64_t n, uint64_t d, bool give_rest) {
  uint64_t quotient = 0;
  if (d <= 0xFFFF) {
    // Digits of 16 bits: what is left and the next one fit a register.
    uint32_t rest = 0;
    for (int i = 0; i < 4; ++i, n <<= 16) {
      const uint32_t digits = rest << 16 | uint32_t(n >> 48);
      quotient = quotient << 16 | digits / uint32_t(d);
      rest = digits % uint32_t(d);
    }
    return give_rest ? rest : quotient;
  }
  // By estimates that are never too large, from the upper bits of both.
  const int below = 48 - std::countl_zero(d);
  while (n >= d) {
    const int left_out = std::max(32 - std::countl_zero(n), 0);
    uint32_t part = uint32_t(n >> left_out) / (uint32_t(d >> below) + 1);
    int shift = left_out - below;
    if (shift < 0) {
      part >>= -shift;
      shift = 0;
    }
    if (part == 0) part = 1;
    quotient += uint64_t(part) << shift;
    n -= (d * part) << shift;
  }
  return give_rest ? n : quotient;
}
WAFER_NOINLINE inline int64_t divide_signed(int64_t n, int64_t d, bool give_rest) {
  const uint64_t v =
      divide(n < 0 ? -uint64_t(n) : uint64_t(n), d < 0 ? -uint64_t(d) : uint64_t(d), give_rest);
  return int64_t((n < 0) != (!give_rest && d < 0) ? -v : v);
}
// These are functions of their own, so that handlers need no frame.
template <bool Rest, class T>
WAFER_SHARED T long_division(T a, T b) {
  if constexpr (std::is_signed_v<T>)
    return divide_signed(a, b, Rest);
  else
    return divide(a, b, Rest);
}
template <class T>
WAFER_ALWAYS_INLINE T quotient(T a, T b) {
  if constexpr (kShortHelpers && sizeof(T) == 8)
    return long_division<false>(a, b);
  else
    return a / b;
}
template <class T>
WAFER_ALWAYS_INLINE T remainder(T a, T b) {
  if constexpr (kShortHelpers && sizeof(T) == 8)
    return long_division<true>(a, b);
  else
    return a % b;
}

WAFER_ALWAYS_INLINE void mul_wide_u(uint64_t a, uint64_t b, uint64_t& lo, uint64_t& hi) {
#ifdef __SIZEOF_INT128__
  const unsigned __int128 p = (unsigned __int128)a * b;
  lo = uint64_t(p);
  hi = uint64_t(p >> 64);
#else
  const uint64_t a0 = uint32_t(a), a1 = a >> 32, b0 = uint32_t(b), b1 = b >> 32;
  const uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
  const uint64_t mid = (p00 >> 32) + uint32_t(p01) + uint32_t(p10);
  lo = (mid << 32) | uint32_t(p00);
  hi = p11 + (p01 >> 32) + (p10 >> 32) + (mid >> 32);
#endif
}

}  // namespace num

#define WAFER_BIN(OP, T, R, EXPR)                                   \
  template <>                                                       \
  struct Sem<wasm::Opcode::OP> {                                    \
    using In = T;                                                   \
    using Out = R;                                                  \
    static constexpr bool kTraps = false;                           \
    WAFER_ALWAYS_INLINE static R eval(T a, T b) { return R(EXPR); } \
  };
#define WAFER_UN(OP, T, R, EXPR)                               \
  template <>                                                  \
  struct Sem<wasm::Opcode::OP> {                               \
    using In = T;                                              \
    using Out = R;                                             \
    static constexpr bool kTraps = false;                      \
    WAFER_ALWAYS_INLINE static R eval(T a) { return R(EXPR); } \
  };
#define WAFER_BIN_TRAP(OP, T, BODY)                                 \
  template <>                                                       \
  struct Sem<wasm::Opcode::OP> {                                    \
    using In = T;                                                   \
    using Out = T;                                                  \
    static constexpr bool kTraps = true;                            \
    WAFER_ALWAYS_INLINE static TrapCode eval(T a, T b, T& out) BODY \
  };
#define WAFER_UN_TRAP(OP, T, R, EXPR)                                      \
  template <>                                                              \
  struct Sem<wasm::Opcode::OP> {                                           \
    using In = T;                                                          \
    using Out = R;                                                         \
    static constexpr bool kTraps = true;                                   \
    WAFER_ALWAYS_INLINE static TrapCode eval(T a, R& out) { return EXPR; } \
  };

#define WAFER_INT_OPS(P, U, S, BITS)                                                             \
  WAFER_UN(P##Eqz, U, uint32_t, a == 0)                                                          \
  WAFER_BIN(P##Eq, U, uint32_t, a == b)                                                          \
  WAFER_BIN(P##Ne, U, uint32_t, a != b)                                                          \
  WAFER_BIN(P##LtS, U, uint32_t, S(a) < S(b))                                                    \
  WAFER_BIN(P##LtU, U, uint32_t, a < b)                                                          \
  WAFER_BIN(P##GtS, U, uint32_t, S(a) > S(b))                                                    \
  WAFER_BIN(P##GtU, U, uint32_t, a > b)                                                          \
  WAFER_BIN(P##LeS, U, uint32_t, S(a) <= S(b))                                                   \
  WAFER_BIN(P##LeU, U, uint32_t, a <= b)                                                         \
  WAFER_BIN(P##GeS, U, uint32_t, S(a) >= S(b))                                                   \
  WAFER_BIN(P##GeU, U, uint32_t, a >= b)                                                         \
  WAFER_UN(P##Clz, U, U, std::countl_zero(a))                                                    \
  WAFER_UN(P##Ctz, U, U, num::count_trailing_zeros(a))                                           \
  WAFER_UN(P##Popcnt, U, U, num::count_ones(a))                                                  \
  WAFER_BIN(P##Add, U, U, a + b)                                                                 \
  WAFER_BIN(P##Sub, U, U, a - b)                                                                 \
  WAFER_BIN(P##Mul, U, U, a* b)                                                                  \
  WAFER_BIN(P##And, U, U, a& b)                                                                  \
  WAFER_BIN(P##Or, U, U, a | b)                                                                  \
  WAFER_BIN(P##Xor, U, U, a ^ b)                                                                 \
  WAFER_BIN(P##Shl, U, U, a << (b & (BITS - 1)))                                                 \
  WAFER_BIN(P##ShrS, U, U, S(a) >> (b & (BITS - 1)))                                             \
  WAFER_BIN(P##ShrU, U, U, a >> (b & (BITS - 1)))                                                \
  WAFER_BIN(P##Rotl, U, U, num::rotl(a, b))                                                      \
  WAFER_BIN(P##Rotr, U, U, num::rotr(a, b))                                                      \
  WAFER_BIN_TRAP(P##DivS, U, {                                                                   \
    if (WAFER_UNLIKELY(b == 0)) return TrapCode::IntegerDivideByZero;                            \
    if (WAFER_UNLIKELY(a == U(1) << (BITS - 1) && b == U(-1))) return TrapCode::IntegerOverflow; \
    out = U(num::quotient(S(a), S(b)));                                                          \
    return TrapCode::None;                                                                       \
  })                                                                                             \
  WAFER_BIN_TRAP(P##DivU, U, {                                                                   \
    if (WAFER_UNLIKELY(b == 0)) return TrapCode::IntegerDivideByZero;                            \
    out = num::quotient(a, b);                                                                   \
    return TrapCode::None;                                                                       \
  })                                                                                             \
  WAFER_BIN_TRAP(P##RemS, U, {                                                                   \
    if (WAFER_UNLIKELY(b == 0)) return TrapCode::IntegerDivideByZero;                            \
    out = b == U(-1) ? 0 : U(num::remainder(S(a), S(b)));                                        \
    return TrapCode::None;                                                                       \
  })                                                                                             \
  WAFER_BIN_TRAP(P##RemU, U, {                                                                   \
    if (WAFER_UNLIKELY(b == 0)) return TrapCode::IntegerDivideByZero;                            \
    out = num::remainder(a, b);                                                                  \
    return TrapCode::None;                                                                       \
  })                                                                                             \
  WAFER_UN(P##Extend8S, U, U, S(int8_t(a)))                                                      \
  WAFER_UN(P##Extend16S, U, U, S(int16_t(a)))                                                    \
  WAFER_UN_TRAP(P##TruncF32S, float, U, (num::trunc<S, U>(a, out)))                              \
  WAFER_UN_TRAP(P##TruncF32U, float, U, (num::trunc<U, U>(a, out)))                              \
  WAFER_UN_TRAP(P##TruncF64S, double, U, (num::trunc<S, U>(a, out)))                             \
  WAFER_UN_TRAP(P##TruncF64U, double, U, (num::trunc<U, U>(a, out)))                             \
  WAFER_UN(P##TruncSatF32S, float, U, (num::trunc_sat<S, U>(a)))                                 \
  WAFER_UN(P##TruncSatF32U, float, U, (num::trunc_sat<U, U>(a)))                                 \
  WAFER_UN(P##TruncSatF64S, double, U, (num::trunc_sat<S, U>(a)))                                \
  WAFER_UN(P##TruncSatF64U, double, U, (num::trunc_sat<U, U>(a)))

WAFER_INT_OPS(I32, uint32_t, int32_t, 32)
WAFER_INT_OPS(I64, uint64_t, int64_t, 64)
WAFER_UN(I64Extend32S, uint64_t, uint64_t, int64_t(int32_t(a)))
WAFER_UN(I32WrapI64, uint64_t, uint32_t, a)
WAFER_UN(I64ExtendI32S, uint32_t, uint64_t, int64_t(int32_t(a)))
WAFER_UN(I64ExtendI32U, uint32_t, uint64_t, a)

#define WAFER_FLOAT_OPS(P, F, U, SIGN)                                       \
  WAFER_BIN(P##Eq, F, uint32_t, num::equal(a, b))                            \
  WAFER_BIN(P##Ne, F, uint32_t, !num::equal(a, b))                           \
  WAFER_BIN(P##Lt, F, uint32_t, num::less(a, b))                             \
  WAFER_BIN(P##Gt, F, uint32_t, num::less(b, a))                             \
  WAFER_BIN(P##Le, F, uint32_t, num::less_or_equal(a, b))                    \
  WAFER_BIN(P##Ge, F, uint32_t, num::less_or_equal(b, a))                    \
  WAFER_UN(P##Abs, F, F, std::bit_cast<F>(U(std::bit_cast<U>(a) & ~(SIGN)))) \
  WAFER_UN(P##Neg, F, F, std::bit_cast<F>(U(std::bit_cast<U>(a) ^ (SIGN))))  \
  WAFER_UN(P##Ceil, F, F, num::round<num::Round::Ceil>(a))                   \
  WAFER_UN(P##Floor, F, F, num::round<num::Round::Floor>(a))                 \
  WAFER_UN(P##Trunc, F, F, num::round<num::Round::Trunc>(a))                 \
  WAFER_UN(P##Nearest, F, F, num::round<num::Round::Nearest>(a))             \
  WAFER_UN(P##Sqrt, F, F, num::sqrt(a))                                      \
  WAFER_BIN(P##Add, F, F, a + b)                                             \
  WAFER_BIN(P##Sub, F, F, a - b)                                             \
  WAFER_BIN(P##Mul, F, F, a* b)                                              \
  WAFER_BIN(P##Div, F, F, a / b)                                             \
  WAFER_BIN(P##Min, F, F, num::min(a, b))                                    \
  WAFER_BIN(P##Max, F, F, num::max(a, b))                                    \
  WAFER_BIN(P##Copysign, F, F,                                               \
            std::bit_cast<F>(U((std::bit_cast<U>(a) & ~(SIGN)) | (std::bit_cast<U>(b) & (SIGN)))))

WAFER_FLOAT_OPS(F32, float, uint32_t, 0x80000000u)
WAFER_FLOAT_OPS(F64, double, uint64_t, 0x8000000000000000ull)

WAFER_UN(F32ConvertI32S, uint32_t, float, int32_t(a))
WAFER_UN(F32ConvertI32U, uint32_t, float, a)
WAFER_UN(F32ConvertI64S, uint64_t, float, num::s64_to_f32(int64_t(a)))
WAFER_UN(F32ConvertI64U, uint64_t, float, num::u64_to_f32(a))
WAFER_UN(F64ConvertI32S, uint32_t, double, int32_t(a))
WAFER_UN(F64ConvertI32U, uint32_t, double, a)
WAFER_UN(F64ConvertI64S, uint64_t, double, int64_t(a))
WAFER_UN(F64ConvertI64U, uint64_t, double, a)
WAFER_UN(F32DemoteF64, double, float, a)
WAFER_UN(F64PromoteF32, float, double, num::promote(a))
WAFER_UN(I32ReinterpretF32, float, uint32_t, std::bit_cast<uint32_t>(a))
WAFER_UN(I64ReinterpretF64, double, uint64_t, std::bit_cast<uint64_t>(a))
WAFER_UN(F32ReinterpretI32, uint32_t, float, std::bit_cast<float>(a))
WAFER_UN(F64ReinterpretI64, uint64_t, double, std::bit_cast<double>(a))

#undef WAFER_BIN
#undef WAFER_UN
#undef WAFER_BIN_TRAP
#undef WAFER_UN_TRAP
#undef WAFER_INT_OPS
#undef WAFER_FLOAT_OPS

}  // namespace wafer::interp
