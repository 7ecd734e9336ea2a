#include "floats.h"

namespace wafer::reference {

namespace {

using runtime::TrapCode;

bool is_negative(const Format& f, Nat a) { return a >= f.sign(); }
Nat magnitude(const Format& f, Nat a) { return a % f.sign(); }
bool is_nan(const Format& f, Nat a) { return magnitude(f, a) > f.infinity(); }
bool is_infinite(const Format& f, Nat a) { return magnitude(f, a) == f.infinity(); }
bool is_zero(const Format& f, Nat a) { return magnitude(f, a) == 0; }
Nat with_sign(const Format& f, bool negative, Nat a) { return a + (negative ? f.sign() : 0); }

// A finite number: the sign, and m * 2^e.
struct Exact {
  bool negative = false;
  Natural m;
  int e = 0;
};

Exact exact(const Format& f, Nat a) {
  Exact out;
  out.negative = is_negative(f, a);
  const Nat fraction = a % pow2(f.mantissa);
  const Nat exponent = magnitude(f, a) / pow2(f.mantissa);
  // Subnormal numbers have the least exponent and no hidden bit.
  out.m = Natural(exponent == 0 ? fraction : fraction + pow2(f.mantissa));
  out.e = int(exponent == 0 ? 1 : exponent) - f.bias() - int(f.mantissa);
  return out;
}

// float_N: the nearest number of the format, of two that are as near the even one.
Nat round(const Format& f, const Exact& x) {
  if (x.m.is_zero()) return with_sign(f, x.negative, 0);
  // The exponent of a unit in the last place.
  const int least = 1 - f.bias();
  const int top = int(x.m.bit_length()) + x.e - 1;
  int unit = (top > least ? top : least) - int(f.mantissa);
  Nat q;
  if (x.e >= unit) {
    q = (x.m << unsigned(x.e - unit)).value();
  } else {
    const auto shift = unsigned(unit - x.e);
    const Natural whole = x.m >> shift;
    const Natural rest = x.m - (whole << shift);
    q = whole.value();
    const int to_half = rest.compare(Natural(1) << (shift - 1));
    if (to_half > 0 || (to_half == 0 && q % 2 == 1)) ++q;
  }
  if (q == pow2(f.mantissa + 1)) {
    q /= 2;
    ++unit;
  }
  if (q < pow2(f.mantissa)) return with_sign(f, x.negative, q);  // subnormal
  const int exponent = unit + int(f.mantissa) + f.bias();
  if (exponent >= int(f.exponent_mask())) return with_sign(f, x.negative, f.infinity());
  return with_sign(f, x.negative, Nat(exponent) * pow2(f.mantissa) + (q - pow2(f.mantissa)));
}

// The exact sum; of a sum that is zero, the sign is not of use.
Exact sum(const Exact& a, const Exact& b) {
  const int e = a.e < b.e ? a.e : b.e;
  const Natural x = a.m << unsigned(a.e - e), y = b.m << unsigned(b.e - e);
  if (a.negative == b.negative) return {a.negative, x + y, e};
  const int order = x.compare(y);
  if (order >= 0) return {order > 0 && a.negative, x - y, e};
  return {b.negative, y - x, e};
}

// --- Arithmetic ------------------------------------------------------------------------

Nat add(const Format& f, Nat a, Nat b) {
  if (is_nan(f, a) || is_nan(f, b)) return f.canonical_nan();
  if (is_infinite(f, a) && is_infinite(f, b))
    return is_negative(f, a) == is_negative(f, b) ? a : f.canonical_nan();
  if (is_infinite(f, a)) return a;
  if (is_infinite(f, b)) return b;
  if (is_zero(f, a) && is_zero(f, b)) return is_negative(f, a) && is_negative(f, b) ? f.sign() : 0;
  return round(f, sum(exact(f, a), exact(f, b)));
}
Nat neg(const Format& f, Nat a) { return with_sign(f, !is_negative(f, a), magnitude(f, a)); }
Nat sub(const Format& f, Nat a, Nat b) {
  // a - b is a + (-b), but for NaNs, which all give one here.
  return add(f, a, neg(f, b));
}
Nat mul(const Format& f, Nat a, Nat b) {
  if (is_nan(f, a) || is_nan(f, b)) return f.canonical_nan();
  const bool negative = is_negative(f, a) != is_negative(f, b);
  if (is_infinite(f, a) || is_infinite(f, b)) {
    if (is_zero(f, a) || is_zero(f, b)) return f.canonical_nan();
    return with_sign(f, negative, f.infinity());
  }
  const Exact x = exact(f, a), y = exact(f, b);
  return round(f, {negative, Natural(x.m.value() * y.m.value()), x.e + y.e});
}

Nat div(const Format& f, Nat a, Nat b) {
  if (is_nan(f, a) || is_nan(f, b)) return f.canonical_nan();
  const bool negative = is_negative(f, a) != is_negative(f, b);
  if (is_infinite(f, a))
    return is_infinite(f, b) ? f.canonical_nan() : with_sign(f, negative, f.infinity());
  if (is_infinite(f, b)) return with_sign(f, negative, 0);
  if (is_zero(f, b))
    return is_zero(f, a) ? f.canonical_nan() : with_sign(f, negative, f.infinity());
  if (is_zero(f, a)) return with_sign(f, negative, 0);
  // More bits of the quotient than the format has, and one that tells if some follow.
  const Exact x = exact(f, a), y = exact(f, b);
  const unsigned shift = 120 - x.m.bit_length();
  const Nat dividend = (x.m << shift).value(), divisor = y.m.value();
  const Nat quotient = dividend / divisor;
  const Nat more = dividend % divisor != 0;
  return round(f, {negative, Natural(quotient * 2 + more), x.e - int(shift) - y.e - 1});
}

Nat sqrt(const Format& f, Nat a) {
  if (is_nan(f, a)) return f.canonical_nan();
  if (is_zero(f, a)) return a;
  if (is_negative(f, a)) return f.canonical_nan();
  if (is_infinite(f, a)) return a;
  const Exact x = exact(f, a);
  unsigned shift = 120 - x.m.bit_length();
  if ((x.e - int(shift)) % 2 != 0) ++shift;
  const Nat m = (x.m << shift).value();
  Nat root = 0;
  for (unsigned bit = 61; bit--;)
    if ((root + pow2(bit)) * (root + pow2(bit)) <= m) root += pow2(bit);
  const Nat more = root * root != m;
  return round(f, {false, Natural(root * 2 + more), (x.e - int(shift)) / 2 - 1});
}

// --- Order -----------------------------------------------------------------------------

// A number in the order of the values, for all but NaNs; both zeros are 0.
Int rank(const Format& f, Nat a) {
  const Int m = Int(magnitude(f, a));
  return is_negative(f, a) ? -m : m;
}
bool ordered(const Format& f, Nat a, Nat b) { return !is_nan(f, a) && !is_nan(f, b); }
bool eq(const Format& f, Nat a, Nat b) { return ordered(f, a, b) && rank(f, a) == rank(f, b); }
bool ne(const Format& f, Nat a, Nat b) { return !eq(f, a, b); }
bool lt(const Format& f, Nat a, Nat b) { return ordered(f, a, b) && rank(f, a) < rank(f, b); }
bool gt(const Format& f, Nat a, Nat b) { return ordered(f, a, b) && rank(f, a) > rank(f, b); }
bool le(const Format& f, Nat a, Nat b) { return ordered(f, a, b) && rank(f, a) <= rank(f, b); }
bool ge(const Format& f, Nat a, Nat b) { return ordered(f, a, b) && rank(f, a) >= rank(f, b); }

Nat min(const Format& f, Nat a, Nat b) {
  if (!ordered(f, a, b)) return f.canonical_nan();
  if (is_zero(f, a) && is_zero(f, b)) return is_negative(f, a) ? a : b;
  return lt(f, a, b) ? a : b;
}
Nat max(const Format& f, Nat a, Nat b) {
  if (!ordered(f, a, b)) return f.canonical_nan();
  if (is_zero(f, a) && is_zero(f, b)) return is_negative(f, a) ? b : a;
  return lt(f, a, b) ? b : a;
}
Nat pmin(const Format& f, Nat a, Nat b) { return lt(f, b, a) ? b : a; }
Nat pmax(const Format& f, Nat a, Nat b) { return lt(f, a, b) ? b : a; }

Nat abs(const Format& f, Nat a) { return magnitude(f, a); }
Nat copysign(const Format& f, Nat a, Nat b) {
  return with_sign(f, is_negative(f, b), magnitude(f, a));
}

// --- Whole numbers ---------------------------------------------------------------------

// The whole part of the magnitude of a finite number, and where the rest lies: -1 below a
// half, 0 at it, 1 above; exact if there is none.
struct Whole {
  Natural value;
  bool is_exact = true;
  int to_half = -1;
};
Whole whole(const Exact& x) {
  if (x.e >= 0) return {x.m << unsigned(x.e)};
  const auto shift = unsigned(-x.e);
  Whole out;
  out.value = x.m >> shift;
  const Natural rest = x.m - (out.value << shift);
  out.is_exact = rest.is_zero();
  out.to_half = rest.compare(Natural(1) << (shift - 1));
  return out;
}

// Rounds to a whole number; up(w) tells if away from zero.
template <class F>
Nat to_whole(const Format& f, Nat a, F up) {
  if (is_nan(f, a)) return f.canonical_nan();
  if (is_infinite(f, a) || is_zero(f, a)) return a;
  const Exact x = exact(f, a);
  Whole w = whole(x);
  if (!w.is_exact && up(w)) w.value = w.value + Natural(1);
  return round(f, {x.negative, w.value, 0});  // exact; a zero keeps the sign
}
Nat trunc(const Format& f, Nat a) {
  return to_whole(f, a, [](const Whole&) { return false; });
}
Nat ceil(const Format& f, Nat a) {
  return to_whole(f, a, [&](const Whole&) { return !is_negative(f, a); });
}
Nat floor(const Format& f, Nat a) {
  return to_whole(f, a, [&](const Whole&) { return is_negative(f, a); });
}
Nat nearest(const Format& f, Nat a) {
  return to_whole(f, a, [](const Whole& w) {
    const bool odd = !(w.value - ((w.value >> 1) << 1)).is_zero();
    return w.to_half > 0 || (w.to_half == 0 && odd);
  });
}

template <class F>
struct Named {
  std::string_view name;
  F function;
};
template <class F, size_t kCount>
F find(const Named<F> (&list)[kCount], std::string_view name) {
  for (const Named<F>& item : list)
    if (item.name == name) return item.function;
  return nullptr;
}
constexpr Named<FloatUnary> kUnary[] = {{"abs", abs},        {"neg", neg},     {"sqrt", sqrt},
                                        {"ceil", ceil},      {"floor", floor}, {"trunc", trunc},
                                        {"nearest", nearest}};
constexpr Named<FloatBinary> kBinary[] = {{"add", add},   {"sub", sub},   {"mul", mul},
                                          {"div", div},   {"min", min},   {"max", max},
                                          {"pmin", pmin}, {"pmax", pmax}, {"copysign", copysign}};
constexpr Named<FloatRelation> kRelations[] = {{"eq", eq}, {"ne", ne}, {"lt", lt},
                                               {"gt", gt}, {"le", le}, {"ge", ge}};

}  // namespace

FloatUnary float_unary(std::string_view name) { return find(kUnary, name); }
FloatBinary float_binary(std::string_view name) { return find(kBinary, name); }
FloatRelation float_relation(std::string_view name) { return find(kRelations, name); }

Nat convert_float(const Format& from, const Format& to, Nat a) {
  if (is_nan(from, a)) return to.canonical_nan();
  if (is_infinite(from, a)) return with_sign(to, is_negative(from, a), to.infinity());
  return round(to, exact(from, a));
}

Nat convert_int(unsigned n, bool is_signed, const Format& to, Nat a) {
  const bool negative = is_signed && signed_value(n, a) < 0;
  return round(to, {false, Natural(negative ? pow2(n) - a : a), 0}) + (negative ? to.sign() : 0);
}

Answer truncate(const Format& from, unsigned n, bool is_signed, Nat a) {
  if (is_nan(from, a)) return {0, TrapCode::InvalidConversion};
  if (is_infinite(from, a)) return {0, TrapCode::IntegerOverflow};
  const Exact x = exact(from, a);
  const Natural m = whole(x).value;
  if (m.bit_length() > n) return {0, TrapCode::IntegerOverflow};
  const Int value = x.negative ? -Int(m.value()) : Int(m.value());
  const Int least = is_signed ? -Int(pow2(n - 1)) : 0;
  const Int most = is_signed ? Int(pow2(n - 1)) - 1 : Int(pow2(n)) - 1;
  if (value < least || value > most) return {0, TrapCode::IntegerOverflow};
  return {unsigned_value(n, value)};
}

Nat truncate_saturating(const Format& from, unsigned n, bool is_signed, Nat a) {
  if (is_nan(from, a)) return 0;
  const Answer answer = truncate(from, n, is_signed, a);
  if (answer.trap == TrapCode::None) return answer.value;
  if (is_negative(from, a)) return is_signed ? pow2(n - 1) : 0;
  return is_signed ? pow2(n - 1) - 1 : pow2(n) - 1;
}

}  // namespace wafer::reference
