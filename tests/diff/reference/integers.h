// Integer operators (spec 4.3.2) on numbers of any width up to 64 bits: an integer of N
// bits is a natural number below 2^N.
#pragma once

#include <optional>
#include <string_view>

#include "natural.h"
#include "runtime/trap.h"

namespace wafer::reference {

constexpr Nat pow2(unsigned n) { return Nat(1) << n; }
// i mod 2^N
constexpr Nat wrap(unsigned n, Nat i) { return i % pow2(n); }
// signed_N(i)
constexpr Int signed_value(unsigned n, Nat i) {
  return i < pow2(n - 1) ? Int(i) : Int(i) - Int(pow2(n));
}
// The inverse of signed_N, after wrapping: the number of N bits that is congruent to `i`.
constexpr Nat unsigned_value(unsigned n, Int i) {
  const Int modulus = Int(pow2(n));
  const Int rest = i % modulus;
  return Nat(rest < 0 ? rest + modulus : rest);
}
// sat_s_N and sat_u_N
constexpr Nat saturate_signed(unsigned n, Int i) {
  const Int least = -Int(pow2(n - 1)), most = Int(pow2(n - 1)) - 1;
  return unsigned_value(n, i < least ? least : i > most ? most : i);
}
constexpr Nat saturate_unsigned(unsigned n, Int i) {
  const Int most = Int(pow2(n)) - 1;
  return Nat(i < 0 ? 0 : i > most ? most : i);
}
// extend_u and extend_s from M to N bits.
constexpr Nat extend(unsigned m, unsigned n, Nat i, bool is_signed) {
  return is_signed ? unsigned_value(n, signed_value(m, i)) : i;
}

// What an operator gives: a number, or the trap where it is undefined.
struct Answer {
  Nat value = 0;
  runtime::TrapCode trap = runtime::TrapCode::None;
};

// An operator "add", "div_s", "shr_u", "lt_s"... on integers of `n` bits; null if there is
// none of that name. Comparisons give 0 or 1.
using IntUnary = Nat (*)(unsigned n, Nat a);
using IntBinary = Answer (*)(unsigned n, Nat a, Nat b);
using IntRelation = bool (*)(unsigned n, Nat a, Nat b);
IntUnary int_unary(std::string_view name);
IntBinary int_binary(std::string_view name);
IntRelation int_relation(std::string_view name);

}  // namespace wafer::reference
