// Semantics of the vector instructions (spec 4.3.5), one Simd<opcode> each, over
// the compilers' portable vector types. Relaxed instructions take the choice
// that is the same on every target.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "base/access.h"
#include "interp/numeric.h"

namespace wafer::interp {

// Where a lane lies in a vector, which is two slots, the lower half first: 64-bit numbers, in which
// lanes of processors with the most significant byte first come in reverse.
template <class T>
constexpr unsigned lane_at(unsigned lane) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  return lane ^ (8 / sizeof(T) - 1);
#else
  return lane;
#endif
}

#if WAFER_HAS_OS

using i8x16 = int8_t __attribute__((vector_size(16)));
using u8x16 = uint8_t __attribute__((vector_size(16)));
using i16x8 = int16_t __attribute__((vector_size(16)));
using u16x8 = uint16_t __attribute__((vector_size(16)));
using i32x4 = int32_t __attribute__((vector_size(16)));
using u32x4 = uint32_t __attribute__((vector_size(16)));
using i64x2 = int64_t __attribute__((vector_size(16)));
using u64x2 = uint64_t __attribute__((vector_size(16)));
using f32x4 = float __attribute__((vector_size(16)));
using f64x2 = double __attribute__((vector_size(16)));

#else

// Where there are no vector registers and space counts: lanes with loops over them, which
// compilers leave as they are, unlike their own vectors.
template <class T>
struct __attribute__((may_alias)) Lanes {
  static constexpr unsigned kCount = 16 / sizeof(T);
  using Mask = Lanes<
      std::conditional_t<sizeof(T) == 1, int8_t,
                         std::conditional_t<sizeof(T) == 2, int16_t,
                                            std::conditional_t<sizeof(T) == 4, int32_t, int64_t>>>>;
  T v[kCount];
  Lanes() = default;
  Lanes(T all) {
    for (T& e : v) e = all;
  }
  T& operator[](unsigned i) { return v[lane_at<T>(i)]; }
  // By value: a reference to a lane is to a T, of which compilers know that it is no other type's.
  T operator[](unsigned i) const { return v[lane_at<T>(i)]; }
  template <class R, class F>
  static R zip(const Lanes& a, const Lanes& b, F f) {
    R r;
    for (unsigned i = 0; i < kCount; ++i) r.v[i] = f(a.v[i], b.v[i]);
    return r;
  }
#define WAFER_LANES(OP)                                          \
  friend Lanes operator OP(const Lanes& a, const Lanes& b) {     \
    return zip<Lanes>(a, b, [](T x, T y) { return T(x OP y); }); \
  }
#define WAFER_LANES_COMPARE(OP)                                       \
  friend Mask operator OP(const Lanes& a, const Lanes& b) {           \
    return zip<Mask>(a, b, [](T x, T y) { return x OP y ? -1 : 0; }); \
  }
  WAFER_LANES(+)
  WAFER_LANES(-)
  WAFER_LANES(*)
  WAFER_LANES(/)
  WAFER_LANES(&)
  WAFER_LANES(|)
  WAFER_LANES(^)
  WAFER_LANES_COMPARE(==)
  WAFER_LANES_COMPARE(!=)
  WAFER_LANES_COMPARE(<)
  WAFER_LANES_COMPARE(>)
  WAFER_LANES_COMPARE(<=)
  WAFER_LANES_COMPARE(>=)
#undef WAFER_LANES
#undef WAFER_LANES_COMPARE
  Lanes operator~() const { return *this ^ Lanes(T(-1)); }
  Lanes operator-() const { return Lanes(T(0)) - *this; }
  Lanes operator<<(int n) const {
    Lanes r;
    for (unsigned i = 0; i < kCount; ++i) r.v[i] = T(v[i] << n);
    return r;
  }
  Lanes operator>>(int n) const {
    Lanes r;
    for (unsigned i = 0; i < kCount; ++i) r.v[i] = T(v[i] >> n);
    return r;
  }
};

using i8x16 = Lanes<int8_t>;
using u8x16 = Lanes<uint8_t>;
using i16x8 = Lanes<int16_t>;
using u16x8 = Lanes<uint16_t>;
using i32x4 = Lanes<int32_t>;
using u32x4 = Lanes<uint32_t>;
using i64x2 = Lanes<int64_t>;
using u64x2 = Lanes<uint64_t>;
using f32x4 = Lanes<float>;
using f64x2 = Lanes<double>;

#endif

// A v128 value; as<V>() reinterprets its bits.
struct alignas(WAFER_HAS_OS ? 16 : 8) Vec128 {
  u64x2 bits;
  Vec128() = default;
  template <class V>
  Vec128(V v) {
    static_assert(sizeof(V) == 16);
    std::memcpy(&bits, &v, 16);
  }
#if WAFER_HAS_OS
  template <class V>
  V as() const {
    V v;
    std::memcpy(&v, &bits, 16);
    return v;
  }
#else
  template <class V>
  const V& as() const {
    return reinterpret_cast<const V&>(bits);
  }
#endif
};

template <wasm::Opcode Op>
struct Simd;

namespace simd {

template <class V>
constexpr unsigned lanes() {
  return sizeof(V) / sizeof(std::declval<V>()[0]);
}
template <class V>
using LaneOf = std::remove_cvref_t<decltype(std::declval<V&>()[0])>;

// Where `mask` is set lanes of `x`, else of `y`.
template <class M, class V>
inline Vec128 select(const M& mask, const V& x, const V& y) {
#if WAFER_HAS_OS
  return mask ? x : y;
#else
  V r;
  for (unsigned i = 0; i < lanes<V>(); ++i) r[i] = mask[i] ? x[i] : y[i];
  return r;
#endif
}
// Applies f to each lane. The loops below are unrolled and vectorised.
template <class Out, class In, class F>
inline Vec128 map(const Vec128& a, F f) {
  const In& x = a.as<In>();
  Out r{};
  for (unsigned i = 0; i < lanes<Out>() && i < lanes<In>(); ++i) r[i] = f(LaneOf<In>(x[i]));
  return r;
}
template <class V, class F>
inline Vec128 zip(const Vec128& a, const Vec128& b, F f) {
  const V &x = a.as<V>(), &y = b.as<V>();
  V r{};
  for (unsigned i = 0; i < lanes<V>(); ++i) r[i] = f(LaneOf<V>(x[i]), LaneOf<V>(y[i]));
  return r;
}
// Lane-wise minimum and maximum by comparison.
template <class V>
inline Vec128 min(const Vec128& a, const Vec128& b) {
  const V &x = a.as<V>(), &y = b.as<V>();
  return select(x < y, x, y);
}
template <class V>
inline Vec128 max(const Vec128& a, const Vec128& b) {
  const V &x = a.as<V>(), &y = b.as<V>();
  return select(x > y, x, y);
}
template <class T>
inline T saturate(int64_t v) {
  constexpr int64_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  return T(v < kLow ? kLow : v > kHigh ? kHigh : v);
}
// Packs two vectors of In lanes into one of Out lanes with saturation.
template <class Out, class In>
inline Vec128 narrow(const Vec128& a, const Vec128& b) {
  const In &x = a.as<In>(), &y = b.as<In>();
  Out r{};
  for (unsigned i = 0; i < lanes<In>(); ++i) {
    r[i] = saturate<LaneOf<Out>>(x[i]);
    r[i + lanes<In>()] = saturate<LaneOf<Out>>(y[i]);
  }
  return r;
}
template <class Out, class In, bool High>
inline Vec128 extend(const Vec128& a) {
  const In& x = a.as<In>();
  Out r{};
  for (unsigned i = 0; i < lanes<Out>(); ++i) r[i] = LaneOf<Out>(x[i + (High ? lanes<Out>() : 0)]);
  return r;
}
template <class Out, class In, bool High>
inline Vec128 extmul(const Vec128& a, const Vec128& b) {
  return extend<Out, In, High>(a).template as<Out>() * extend<Out, In, High>(b).template as<Out>();
}
template <class Out, class In>
inline Vec128 extadd(const Vec128& a) {
  const In& x = a.as<In>();
  Out r{};
  for (unsigned i = 0; i < lanes<Out>(); ++i)
    r[i] = LaneOf<Out>(LaneOf<Out>(x[2 * i]) + LaneOf<Out>(x[2 * i + 1]));
  return r;
}
template <class V>
inline uint32_t all_true(const Vec128& a) {
  const V& x = a.as<V>();
  bool all = true;
  for (unsigned i = 0; i < lanes<V>(); ++i) all = all && x[i] != 0;
  return all;
}
template <class V>
inline uint32_t bitmask(const Vec128& a) {
  const V& x = a.as<V>();
  uint32_t r = 0;
  for (unsigned i = 0; i < lanes<V>(); ++i) r |= uint32_t(x[i] < 0) << i;
  return r;
}
template <class V>
inline Vec128 splat(LaneOf<V> v) {
  return V{} + v;
}
inline Vec128 swizzle(const Vec128& a, const Vec128& s) {
  const u8x16 &x = a.as<u8x16>(), &y = s.as<u8x16>();
  u8x16 r{};
  for (unsigned i = 0; i < 16; ++i) r[i] = y[i] < 16 ? x[y[i] & 15] : 0;
  return r;
}
inline Vec128 bitselect(const Vec128& a, const Vec128& b, const Vec128& mask) {
  return (a.bits & mask.bits) | (b.bits & ~mask.bits);
}
// Floating-point splat keeps NaN bits, so it goes through integers.
inline int16_t q15mulr(int16_t a, int16_t b) {
  return saturate<int16_t>((int64_t(a) * b + 0x4000) >> 15);
}

}  // namespace simd

#define WAFER_V1(OP, EXPR)                               \
  template <>                                            \
  struct Simd<wasm::Opcode::OP> {                        \
    static Vec128 eval(const Vec128& a) { return EXPR; } \
  };
#define WAFER_V2(OP, EXPR)                                                \
  template <>                                                             \
  struct Simd<wasm::Opcode::OP> {                                         \
    static Vec128 eval(const Vec128& a, const Vec128& b) { return EXPR; } \
  };
#define WAFER_V3(OP, EXPR)                                                                 \
  template <>                                                                              \
  struct Simd<wasm::Opcode::OP> {                                                          \
    static Vec128 eval(const Vec128& a, const Vec128& b, const Vec128& c) { return EXPR; } \
  };
#define WAFER_VSHIFT(OP, V, EXPR)                     \
  template <>                                         \
  struct Simd<wasm::Opcode::OP> {                     \
    static Vec128 eval(const Vec128& a, uint32_t n) { \
      const V& x = a.as<V>();                         \
      const int s = int(n & (8 * sizeof(x[0]) - 1));  \
      return V(EXPR);                                 \
    }                                                 \
  };
#define WAFER_VTEST(OP, EXPR)                              \
  template <>                                              \
  struct Simd<wasm::Opcode::OP> {                          \
    static uint32_t eval(const Vec128& a) { return EXPR; } \
  };
#define WAFER_VLANE(P, V, SUFFIX, LANE, SCALAR)          \
  template <>                                            \
  struct Simd<wasm::Opcode::P##ExtractLane##SUFFIX> {    \
    static SCALAR eval(const Vec128& a, unsigned lane) { \
      LANE v[16 / sizeof(LANE)];                         \
      std::memcpy(v, &a, 16);                            \
      return SCALAR(v[lane_at<LANE>(lane)]);             \
    }                                                    \
  };
#define WAFER_VREPLACE(P, V, SCALAR)                                                               \
  template <>                                                                                      \
  struct Simd<wasm::Opcode::P##Splat> {                                                            \
    static Vec128 eval(SCALAR x) {                                                                 \
      simd::LaneOf<V> v[simd::lanes<V>()];                                                         \
      for (auto& e : v) e = simd::LaneOf<V>(x);                                                    \
      Vec128 r;                                                                                    \
      std::memcpy(&r, v, 16);                                                                      \
      return r;                                                                                    \
    }                                                                                              \
  };                                                                                               \
  template <>                                                                                      \
  struct Simd<wasm::Opcode::P##ReplaceLane> {                                                      \
    static Vec128 eval(const Vec128& a, SCALAR x, unsigned lane) {                                 \
      Vec128 r = a;                                                                                \
      const auto v = simd::LaneOf<V>(x);                                                           \
      std::memcpy(reinterpret_cast<uint8_t*>(&r) + lane_at<simd::LaneOf<V>>(lane) * sizeof(v), &v, \
                  sizeof(v));                                                                      \
      return r;                                                                                    \
    }                                                                                              \
  };

WAFER_VLANE(I8x16, i8x16, S, int8_t, uint32_t)
WAFER_VLANE(I8x16, u8x16, U, uint8_t, uint32_t)
WAFER_VLANE(I16x8, i16x8, S, int16_t, uint32_t)
WAFER_VLANE(I16x8, u16x8, U, uint16_t, uint32_t)
WAFER_VLANE(I32x4, u32x4, , uint32_t, uint32_t)
WAFER_VLANE(I64x2, u64x2, , uint64_t, uint64_t)
WAFER_VLANE(F32x4, f32x4, , float, float)
WAFER_VLANE(F64x2, f64x2, , double, double)
WAFER_VREPLACE(I8x16, u8x16, uint32_t)
WAFER_VREPLACE(I16x8, u16x8, uint32_t)
WAFER_VREPLACE(I32x4, u32x4, uint32_t)
WAFER_VREPLACE(I64x2, u64x2, uint64_t)
WAFER_VREPLACE(F32x4, f32x4, float)
WAFER_VREPLACE(F64x2, f64x2, double)

template <>
struct Simd<wasm::Opcode::I8x16Shuffle> {
  static Vec128 eval(const Vec128& a, const Vec128& b, const uint8_t* lanes) {
    uint8_t both[32], r[16];
    std::memcpy(both, &a, 16);
    std::memcpy(both + 16, &b, 16);
    for (unsigned i = 0; i < 16; ++i)
      r[lane_at<uint8_t>(i)] = both[lane_at<uint8_t>(lanes[i] & 31)];
    Vec128 v;
    std::memcpy(&v, r, 16);
    return v;
  }
};
WAFER_V2(I8x16Swizzle, simd::swizzle(a, b))
WAFER_V2(I8x16RelaxedSwizzle, simd::swizzle(a, b))

#define WAFER_VCMP_SIGN(P, S, U)           \
  WAFER_V2(P##LtS, a.as<S>() < b.as<S>())  \
  WAFER_V2(P##GtS, a.as<S>() > b.as<S>())  \
  WAFER_V2(P##LeS, a.as<S>() <= b.as<S>()) \
  WAFER_V2(P##GeS, a.as<S>() >= b.as<S>())
#define WAFER_VCMP_UNSIGN(P, U)            \
  WAFER_V2(P##LtU, a.as<U>() < b.as<U>())  \
  WAFER_V2(P##GtU, a.as<U>() > b.as<U>())  \
  WAFER_V2(P##LeU, a.as<U>() <= b.as<U>()) \
  WAFER_V2(P##GeU, a.as<U>() >= b.as<U>())
#define WAFER_VINT(P, S, U)                                               \
  WAFER_V2(P##Eq, a.as<S>() == b.as<S>())                                 \
  WAFER_V2(P##Ne, a.as<S>() != b.as<S>())                                 \
  WAFER_VCMP_SIGN(P, S, U)                                                \
  WAFER_V2(P##Add, a.as<U>() + b.as<U>())                                 \
  WAFER_V2(P##Sub, a.as<U>() - b.as<U>())                                 \
  WAFER_V1(P##Neg, -a.as<U>())                                            \
  WAFER_V1(P##Abs, simd::select(a.as<S>() < 0, U(-a.as<U>()), a.as<U>())) \
  WAFER_VSHIFT(P##Shl, U, x << s)                                         \
  WAFER_VSHIFT(P##ShrS, S, x >> s)                                        \
  WAFER_VSHIFT(P##ShrU, U, x >> s)                                        \
  WAFER_VTEST(P##AllTrue, simd::all_true<U>(a))                           \
  WAFER_VTEST(P##Bitmask, simd::bitmask<S>(a))
#define WAFER_VMINMAX(P, S, U)          \
  WAFER_V2(P##MinS, simd::min<S>(a, b)) \
  WAFER_V2(P##MinU, simd::min<U>(a, b)) \
  WAFER_V2(P##MaxS, simd::max<S>(a, b)) \
  WAFER_V2(P##MaxU, simd::max<U>(a, b)) \
  WAFER_VCMP_UNSIGN(P, U)
#define WAFER_VSAT(P, S, U)                                          \
  WAFER_V2(P##AddSatS, simd::zip<S>(a, b, [](int x, int y) {         \
             return simd::saturate<simd::LaneOf<S>>(x + y);          \
           }))                                                       \
  WAFER_V2(P##AddSatU, simd::zip<U>(a, b, [](int x, int y) {         \
             return simd::saturate<simd::LaneOf<U>>(x + y);          \
           }))                                                       \
  WAFER_V2(P##SubSatS, simd::zip<S>(a, b, [](int x, int y) {         \
             return simd::saturate<simd::LaneOf<S>>(x - y);          \
           }))                                                       \
  WAFER_V2(P##SubSatU, simd::zip<U>(a, b, [](int x, int y) {         \
             return simd::saturate<simd::LaneOf<U>>(x - y);          \
           }))                                                       \
  WAFER_V2(P##AvgrU, simd::zip<U>(a, b, [](unsigned x, unsigned y) { \
             return simd::LaneOf<U>((x + y + 1) / 2);                \
           }))

WAFER_VINT(I8x16, i8x16, u8x16)
WAFER_VINT(I16x8, i16x8, u16x8)
WAFER_VINT(I32x4, i32x4, u32x4)
WAFER_VINT(I64x2, i64x2, u64x2)
WAFER_VMINMAX(I8x16, i8x16, u8x16)
WAFER_VMINMAX(I16x8, i16x8, u16x8)
WAFER_VMINMAX(I32x4, i32x4, u32x4)
WAFER_VSAT(I8x16, i8x16, u8x16)
WAFER_VSAT(I16x8, i16x8, u16x8)
WAFER_V2(I16x8Mul, a.as<u16x8>() * b.as<u16x8>())
WAFER_V2(I32x4Mul, a.as<u32x4>() * b.as<u32x4>())
WAFER_V2(I64x2Mul, a.as<u64x2>() * b.as<u64x2>())
WAFER_V1(I8x16Popcnt,
         (simd::map<u8x16, u8x16>(a, [](uint8_t x) { return uint8_t(std::popcount(x)); })))
WAFER_V2(I16x8Q15mulrSatS, simd::zip<i16x8>(a, b, simd::q15mulr))
WAFER_V2(I16x8RelaxedQ15mulrS, simd::zip<i16x8>(a, b, simd::q15mulr))

WAFER_V1(V128Not, ~a.bits)
WAFER_V2(V128And, a.bits & b.bits)
WAFER_V2(V128Andnot, a.bits & ~b.bits)
WAFER_V2(V128Or, a.bits | b.bits)
WAFER_V2(V128Xor, a.bits ^ b.bits)
WAFER_V3(V128Bitselect, simd::bitselect(a, b, c))
WAFER_V3(I8x16RelaxedLaneselect, simd::bitselect(a, b, c))
WAFER_V3(I16x8RelaxedLaneselect, simd::bitselect(a, b, c))
WAFER_V3(I32x4RelaxedLaneselect, simd::bitselect(a, b, c))
WAFER_V3(I64x2RelaxedLaneselect, simd::bitselect(a, b, c))
WAFER_VTEST(V128AnyTrue, (a.bits[0] | a.bits[1]) != 0)

WAFER_V2(I8x16NarrowI16x8S, (simd::narrow<i8x16, i16x8>(a, b)))
WAFER_V2(I8x16NarrowI16x8U, (simd::narrow<u8x16, i16x8>(a, b)))
WAFER_V2(I16x8NarrowI32x4S, (simd::narrow<i16x8, i32x4>(a, b)))
WAFER_V2(I16x8NarrowI32x4U, (simd::narrow<u16x8, i32x4>(a, b)))

#define WAFER_VEXT(P, FROM, SO, UO, SI, UI)                            \
  WAFER_V1(P##ExtendLow##FROM##S, (simd::extend<SO, SI, false>(a)))    \
  WAFER_V1(P##ExtendHigh##FROM##S, (simd::extend<SO, SI, true>(a)))    \
  WAFER_V1(P##ExtendLow##FROM##U, (simd::extend<UO, UI, false>(a)))    \
  WAFER_V1(P##ExtendHigh##FROM##U, (simd::extend<UO, UI, true>(a)))    \
  WAFER_V2(P##ExtmulLow##FROM##S, (simd::extmul<SO, SI, false>(a, b))) \
  WAFER_V2(P##ExtmulHigh##FROM##S, (simd::extmul<SO, SI, true>(a, b))) \
  WAFER_V2(P##ExtmulLow##FROM##U, (simd::extmul<UO, UI, false>(a, b))) \
  WAFER_V2(P##ExtmulHigh##FROM##U, (simd::extmul<UO, UI, true>(a, b)))
WAFER_VEXT(I16x8, I8x16, i16x8, u16x8, i8x16, u8x16)
WAFER_VEXT(I32x4, I16x8, i32x4, u32x4, i16x8, u16x8)
WAFER_VEXT(I64x2, I32x4, i64x2, u64x2, i32x4, u32x4)
WAFER_V1(I16x8ExtaddPairwiseI8x16S, (simd::extadd<i16x8, i8x16>(a)))
WAFER_V1(I16x8ExtaddPairwiseI8x16U, (simd::extadd<u16x8, u8x16>(a)))
WAFER_V1(I32x4ExtaddPairwiseI16x8S, (simd::extadd<i32x4, i16x8>(a)))
WAFER_V1(I32x4ExtaddPairwiseI16x8U, (simd::extadd<u32x4, u16x8>(a)))

namespace simd {
inline Vec128 dot_i16x8(const Vec128& a, const Vec128& b) {
  const i16x8 &x = a.as<i16x8>(), &y = b.as<i16x8>();
  u32x4 r{};
  for (unsigned i = 0; i < 4; ++i)
    r[i] = uint32_t(int32_t(x[2 * i]) * y[2 * i]) + uint32_t(int32_t(x[2 * i + 1]) * y[2 * i + 1]);
  return r;
}
inline Vec128 dot_i8x16(const Vec128& a, const Vec128& b) {
  const i8x16 &x = a.as<i8x16>(), &y = b.as<i8x16>();
  i16x8 r{};
  for (unsigned i = 0; i < 8; ++i)
    r[i] = saturate<int16_t>(int32_t(x[2 * i]) * y[2 * i] + int32_t(x[2 * i + 1]) * y[2 * i + 1]);
  return r;
}
inline Vec128 dot_i8x16_add(const Vec128& a, const Vec128& b, const Vec128& c) {
  return extadd<i32x4, i16x8>(dot_i8x16(a, b)).as<u32x4>() + c.as<u32x4>();
}
}  // namespace simd
WAFER_V2(I32x4DotI16x8S, simd::dot_i16x8(a, b))
WAFER_V2(I16x8RelaxedDotI8x16I7x16S, simd::dot_i8x16(a, b))
WAFER_V3(I32x4RelaxedDotI8x16I7x16AddS, simd::dot_i8x16_add(a, b, c))

#define WAFER_VFLOAT(P, V, F, U, SIGN)                                           \
  WAFER_V2(P##Eq, a.as<V>() == b.as<V>())                                        \
  WAFER_V2(P##Ne, a.as<V>() != b.as<V>())                                        \
  WAFER_V2(P##Lt, a.as<V>() < b.as<V>())                                         \
  WAFER_V2(P##Gt, a.as<V>() > b.as<V>())                                         \
  WAFER_V2(P##Le, a.as<V>() <= b.as<V>())                                        \
  WAFER_V2(P##Ge, a.as<V>() >= b.as<V>())                                        \
  WAFER_V1(P##Abs, a.as<U>() & ~(SIGN))                                          \
  WAFER_V1(P##Neg, a.as<U>() ^ (SIGN))                                           \
  WAFER_V1(P##Sqrt, (simd::map<V, V>(a, [](F x) { return num::sqrt(x); })))      \
  WAFER_V1(P##Ceil, (simd::map<V, V>(a, num::round<num::Round::Ceil, F>)))       \
  WAFER_V1(P##Floor, (simd::map<V, V>(a, num::round<num::Round::Floor, F>)))     \
  WAFER_V1(P##Trunc, (simd::map<V, V>(a, num::round<num::Round::Trunc, F>)))     \
  WAFER_V1(P##Nearest, (simd::map<V, V>(a, num::round<num::Round::Nearest, F>))) \
  WAFER_V2(P##Add, a.as<V>() + b.as<V>())                                        \
  WAFER_V2(P##Sub, a.as<V>() - b.as<V>())                                        \
  WAFER_V2(P##Mul, a.as<V>() * b.as<V>())                                        \
  WAFER_V2(P##Div, a.as<V>() / b.as<V>())                                        \
  WAFER_V2(P##Min, simd::zip<V>(a, b, num::min<F>))                              \
  WAFER_V2(P##Max, simd::zip<V>(a, b, num::max<F>))                              \
  WAFER_V2(P##RelaxedMin, simd::zip<V>(a, b, num::min<F>))                       \
  WAFER_V2(P##RelaxedMax, simd::zip<V>(a, b, num::max<F>))                       \
  WAFER_V2(P##Pmin, simd::select(b.as<V>() < a.as<V>(), b.as<V>(), a.as<V>()))   \
  WAFER_V2(P##Pmax, simd::select(a.as<V>() < b.as<V>(), b.as<V>(), a.as<V>()))   \
  WAFER_V3(P##RelaxedMadd, V(V(a.as<V>() * b.as<V>()) + c.as<V>()))              \
  WAFER_V3(P##RelaxedNmadd, V(c.as<V>() - V(a.as<V>() * b.as<V>())))
WAFER_VFLOAT(F32x4, f32x4, float, u32x4, 0x80000000u)
WAFER_VFLOAT(F64x2, f64x2, double, u64x2, uint64_t(1) << 63)

namespace simd {
template <class Out, class In, class I>
inline Vec128 trunc_sat(const Vec128& a) {
  using U = std::make_unsigned_t<I>;
  return map<Out, In>(a, [](LaneOf<In> x) { return LaneOf<Out>(num::trunc_sat<I, U>(x)); });
}
template <class Out, class In>
inline Vec128 convert(const Vec128& a) {
  return map<Out, In>(a, [](LaneOf<In> x) { return LaneOf<Out>(x); });
}
}  // namespace simd
WAFER_V1(I32x4TruncSatF32x4S, (simd::trunc_sat<i32x4, f32x4, int32_t>(a)))
WAFER_V1(I32x4TruncSatF32x4U, (simd::trunc_sat<u32x4, f32x4, uint32_t>(a)))
WAFER_V1(I32x4TruncSatF64x2SZero, (simd::trunc_sat<i32x4, f64x2, int32_t>(a)))
WAFER_V1(I32x4TruncSatF64x2UZero, (simd::trunc_sat<u32x4, f64x2, uint32_t>(a)))
WAFER_V1(I32x4RelaxedTruncF32x4S, (simd::trunc_sat<i32x4, f32x4, int32_t>(a)))
WAFER_V1(I32x4RelaxedTruncF32x4U, (simd::trunc_sat<u32x4, f32x4, uint32_t>(a)))
WAFER_V1(I32x4RelaxedTruncF64x2SZero, (simd::trunc_sat<i32x4, f64x2, int32_t>(a)))
WAFER_V1(I32x4RelaxedTruncF64x2UZero, (simd::trunc_sat<u32x4, f64x2, uint32_t>(a)))
WAFER_V1(F32x4ConvertI32x4S, (simd::convert<f32x4, i32x4>(a)))
WAFER_V1(F32x4ConvertI32x4U, (simd::convert<f32x4, u32x4>(a)))
WAFER_V1(F64x2ConvertLowI32x4S, (simd::convert<f64x2, i32x4>(a)))
WAFER_V1(F64x2ConvertLowI32x4U, (simd::convert<f64x2, u32x4>(a)))
WAFER_V1(F32x4DemoteF64x2Zero, (simd::convert<f32x4, f64x2>(a)))
WAFER_V1(F64x2PromoteLowF32x4,
         (simd::map<f64x2, f32x4>(a, [](float x) { return num::promote(x); })))

// ---- loads: eval(p) from kBytes bytes -------------------------------------

namespace simd {
template <class Out, class T>
inline Vec128 load_extend(const uint8_t* p) {
  Out r{};
  for (unsigned i = 0; i < lanes<Out>(); ++i) r[i] = LaneOf<Out>(load_memory<T>(p + i * sizeof(T)));
  return r;
}
template <class V>
inline Vec128 load_splat(const uint8_t* p) {
  return splat<V>(load_memory<LaneOf<V>>(p));
}
template <unsigned N>
inline Vec128 load_low(const uint8_t* p) {
  uint8_t b[16] = {};
  std::memcpy(b, p, N);
  const uint64_t halves[2] = {load_le<uint64_t>(b), load_le<uint64_t>(b + 8)};
  Vec128 v;
  std::memcpy(&v, halves, 16);
  return v;
}
// A lane of N bytes from memory, and to memory.
template <unsigned N>
using UnsignedOf = std::conditional_t<
    N == 1, uint8_t,
    std::conditional_t<N == 2, uint16_t, std::conditional_t<N == 4, uint32_t, uint64_t>>>;
template <unsigned N>
inline void load_lane(Vec128& v, unsigned lane, const uint8_t* p) {
  using T = UnsignedOf<N>;
  const T x = load_memory<T>(p);
  std::memcpy(reinterpret_cast<uint8_t*>(&v) + lane_at<T>(lane) * N, &x, N);
}
template <unsigned N>
inline void store_lane(const Vec128& v, unsigned lane, uint8_t* p) {
  using T = UnsignedOf<N>;
  T x;
  std::memcpy(&x, reinterpret_cast<const uint8_t*>(&v) + lane_at<T>(lane) * N, N);
  store_memory<T>(p, x);
}
}  // namespace simd

#define WAFER_VLOAD(OP, N, EXPR)                          \
  template <>                                             \
  struct Simd<wasm::Opcode::OP> {                         \
    static constexpr unsigned kBytes = N;                 \
    static Vec128 eval(const uint8_t* p) { return EXPR; } \
  };
WAFER_VLOAD(V128Load, 16, simd::load_low<16>(p))
WAFER_VLOAD(V128Load8x8S, 8, (simd::load_extend<i16x8, int8_t>(p)))
WAFER_VLOAD(V128Load8x8U, 8, (simd::load_extend<u16x8, uint8_t>(p)))
WAFER_VLOAD(V128Load16x4S, 8, (simd::load_extend<i32x4, int16_t>(p)))
WAFER_VLOAD(V128Load16x4U, 8, (simd::load_extend<u32x4, uint16_t>(p)))
WAFER_VLOAD(V128Load32x2S, 8, (simd::load_extend<i64x2, int32_t>(p)))
WAFER_VLOAD(V128Load32x2U, 8, (simd::load_extend<u64x2, uint32_t>(p)))
WAFER_VLOAD(V128Load8Splat, 1, simd::load_splat<u8x16>(p))
WAFER_VLOAD(V128Load16Splat, 2, simd::load_splat<u16x8>(p))
WAFER_VLOAD(V128Load32Splat, 4, simd::load_splat<u32x4>(p))
WAFER_VLOAD(V128Load64Splat, 8, simd::load_splat<u64x2>(p))
WAFER_VLOAD(V128Load32Zero, 4, simd::load_low<4>(p))
WAFER_VLOAD(V128Load64Zero, 8, simd::load_low<8>(p))

#define WAFER_VMEMLANE(BITS)                         \
  template <>                                        \
  struct Simd<wasm::Opcode::V128Load##BITS##Lane> {  \
    static constexpr unsigned kBytes = BITS / 8;     \
    static constexpr bool kIsLoad = true;            \
  };                                                 \
  template <>                                        \
  struct Simd<wasm::Opcode::V128Store##BITS##Lane> { \
    static constexpr unsigned kBytes = BITS / 8;     \
    static constexpr bool kIsLoad = false;           \
  };
WAFER_VMEMLANE(8)
WAFER_VMEMLANE(16)
WAFER_VMEMLANE(32)
WAFER_VMEMLANE(64)

#undef WAFER_V1
#undef WAFER_V2
#undef WAFER_V3
#undef WAFER_VSHIFT
#undef WAFER_VTEST
#undef WAFER_VLANE
#undef WAFER_VREPLACE
#undef WAFER_VCMP_SIGN
#undef WAFER_VCMP_UNSIGN
#undef WAFER_VINT
#undef WAFER_VMINMAX
#undef WAFER_VSAT
#undef WAFER_VEXT
#undef WAFER_VFLOAT
#undef WAFER_VLOAD
#undef WAFER_VMEMLANE

}  // namespace wafer::interp
