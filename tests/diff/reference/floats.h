// Floating-point operators (spec 4.3.3), without the processor's: finite numbers are exact,
// m * 2^e, and rounded once at the end. Where the specification allows a set of NaNs, the
// positive canonical one is taken.
#pragma once

#include <string_view>

#include "integers.h"

namespace wafer::reference {

struct Format {
  unsigned width;
  unsigned mantissa;  // bits of the significand that are written
  int bias() const { return int(pow2(width - mantissa - 2)) - 1; }
  Nat exponent_mask() const { return pow2(width - mantissa - 1) - 1; }
  Nat infinity() const { return exponent_mask() * pow2(mantissa); }
  Nat canonical_nan() const { return infinity() + pow2(mantissa - 1); }
  Nat sign() const { return pow2(width - 1); }
};
inline constexpr Format kF32Format{32, 23}, kF64Format{64, 52};

// "add", "nearest", "min", "pmax"... ; null if there is none of that name.
using FloatUnary = Nat (*)(const Format& f, Nat a);
using FloatBinary = Nat (*)(const Format& f, Nat a, Nat b);
using FloatRelation = bool (*)(const Format& f, Nat a, Nat b);
FloatUnary float_unary(std::string_view name);
FloatBinary float_binary(std::string_view name);
FloatRelation float_relation(std::string_view name);

// promote and demote
Nat convert_float(const Format& from, const Format& to, Nat a);
// convert_s and convert_u, from an integer of `n` bits
Nat convert_int(unsigned n, bool is_signed, const Format& to, Nat a);
// trunc_s and trunc_u, to an integer of `n` bits
Answer truncate(const Format& from, unsigned n, bool is_signed, Nat a);
// trunc_sat_s and trunc_sat_u
Nat truncate_saturating(const Format& from, unsigned n, bool is_signed, Nat a);

}  // namespace wafer::reference
