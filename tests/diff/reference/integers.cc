#include "integers.h"

namespace wafer::reference {

namespace {

using runtime::TrapCode;

unsigned bit(Nat i, unsigned at) { return unsigned(i / pow2(at) % 2); }

// --- One operand -----------------------------------------------------------------------

Nat clz(unsigned n, Nat a) {
  Nat count = 0;
  while (count < n && !bit(a, n - 1 - unsigned(count))) ++count;
  return count;
}
Nat ctz(unsigned n, Nat a) {
  Nat count = 0;
  while (count < n && !bit(a, unsigned(count))) ++count;
  return count;
}
Nat popcnt(unsigned n, Nat a) {
  Nat count = 0;
  for (unsigned i = 0; i < n; ++i) count += bit(a, i);
  return count;
}
Nat neg(unsigned n, Nat a) { return wrap(n, pow2(n) - a); }
Nat abs(unsigned n, Nat a) { return signed_value(n, a) < 0 ? neg(n, a) : a; }
Nat extend8(unsigned n, Nat a) { return extend(8, n, wrap(8, a), true); }
Nat extend16(unsigned n, Nat a) { return extend(16, n, wrap(16, a), true); }
Nat extend32(unsigned n, Nat a) { return extend(32, n, wrap(32, a), true); }

// --- Two operands ----------------------------------------------------------------------

Answer add(unsigned n, Nat a, Nat b) { return {wrap(n, a + b)}; }
Answer sub(unsigned n, Nat a, Nat b) { return {wrap(n, a + pow2(n) - b)}; }
Answer mul(unsigned n, Nat a, Nat b) { return {wrap(n, a * b)}; }

Answer div_u(unsigned, Nat a, Nat b) {
  if (b == 0) return {0, TrapCode::IntegerDivideByZero};
  return {a / b};
}
Answer div_s(unsigned n, Nat a, Nat b) {
  if (b == 0) return {0, TrapCode::IntegerDivideByZero};
  const Int quotient = signed_value(n, a) / signed_value(n, b);  // truncates
  if (quotient == Int(pow2(n - 1))) return {0, TrapCode::IntegerOverflow};
  return {unsigned_value(n, quotient)};
}
Answer rem_u(unsigned, Nat a, Nat b) {
  if (b == 0) return {0, TrapCode::IntegerDivideByZero};
  return {a - b * (a / b)};
}
Answer rem_s(unsigned n, Nat a, Nat b) {
  if (b == 0) return {0, TrapCode::IntegerDivideByZero};
  const Int x = signed_value(n, a), y = signed_value(n, b);
  return {unsigned_value(n, x - y * (x / y))};
}

// Makes a number of bits, each from those of a and b at the same place.
template <class F>
Nat bitwise(unsigned n, Nat a, Nat b, F f) {
  Nat out = 0;
  for (unsigned i = 0; i < n; ++i)
    if (f(bit(a, i), bit(b, i))) out += pow2(i);
  return out;
}
Answer and_(unsigned n, Nat a, Nat b) {
  return {bitwise(n, a, b, [](unsigned x, unsigned y) { return x == 1 && y == 1; })};
}
Answer or_(unsigned n, Nat a, Nat b) {
  return {bitwise(n, a, b, [](unsigned x, unsigned y) { return x == 1 || y == 1; })};
}
Answer xor_(unsigned n, Nat a, Nat b) {
  return {bitwise(n, a, b, [](unsigned x, unsigned y) { return x != y; })};
}
Answer andnot(unsigned n, Nat a, Nat b) {
  return {bitwise(n, a, b, [](unsigned x, unsigned y) { return x == 1 && y == 0; })};
}

// The distance is taken modulo N.
Answer shl(unsigned n, Nat a, Nat b) { return {wrap(n, a * pow2(unsigned(b % n)))}; }
Answer shr_u(unsigned n, Nat a, Nat b) { return {a / pow2(unsigned(b % n))}; }
Answer shr_s(unsigned n, Nat a, Nat b) {
  const Int divisor = Int(pow2(unsigned(b % n)));
  const Int x = signed_value(n, a);
  // Division that rounds down.
  const Int quotient = x >= 0 ? x / divisor : -((-x + divisor - 1) / divisor);
  return {unsigned_value(n, quotient)};
}
Answer rotl(unsigned n, Nat a, Nat b) {
  Nat out = 0;
  for (unsigned i = 0; i < n; ++i)
    if (bit(a, i)) out += pow2(unsigned((i + b) % n));
  return {out};
}
Answer rotr(unsigned n, Nat a, Nat b) {
  Nat out = 0;
  for (unsigned i = 0; i < n; ++i)
    if (bit(a, unsigned((i + b) % n))) out += pow2(i);
  return {out};
}

// --- Comparisons -----------------------------------------------------------------------

bool eq(unsigned, Nat a, Nat b) { return a == b; }
bool ne(unsigned, Nat a, Nat b) { return a != b; }
bool lt_u(unsigned, Nat a, Nat b) { return a < b; }
bool gt_u(unsigned, Nat a, Nat b) { return a > b; }
bool le_u(unsigned, Nat a, Nat b) { return a <= b; }
bool ge_u(unsigned, Nat a, Nat b) { return a >= b; }
bool lt_s(unsigned n, Nat a, Nat b) { return signed_value(n, a) < signed_value(n, b); }
bool gt_s(unsigned n, Nat a, Nat b) { return signed_value(n, a) > signed_value(n, b); }
bool le_s(unsigned n, Nat a, Nat b) { return signed_value(n, a) <= signed_value(n, b); }
bool ge_s(unsigned n, Nat a, Nat b) { return signed_value(n, a) >= signed_value(n, b); }

// --- Those of vectors alone ------------------------------------------------------------

Answer min_u(unsigned, Nat a, Nat b) { return {a < b ? a : b}; }
Answer max_u(unsigned, Nat a, Nat b) { return {a < b ? b : a}; }
Answer min_s(unsigned n, Nat a, Nat b) { return {lt_s(n, a, b) ? a : b}; }
Answer max_s(unsigned n, Nat a, Nat b) { return {lt_s(n, a, b) ? b : a}; }
Answer add_sat_u(unsigned n, Nat a, Nat b) { return {saturate_unsigned(n, Int(a) + Int(b))}; }
Answer sub_sat_u(unsigned n, Nat a, Nat b) { return {saturate_unsigned(n, Int(a) - Int(b))}; }
Answer add_sat_s(unsigned n, Nat a, Nat b) {
  return {saturate_signed(n, signed_value(n, a) + signed_value(n, b))};
}
Answer sub_sat_s(unsigned n, Nat a, Nat b) {
  return {saturate_signed(n, signed_value(n, a) - signed_value(n, b))};
}
Answer avgr_u(unsigned, Nat a, Nat b) { return {(a + b + 1) / 2}; }
Answer q15mulr_sat_s(unsigned n, Nat a, Nat b) {
  const Int rounded = signed_value(n, a) * signed_value(n, b) + Int(pow2(14));
  const Int divisor = Int(pow2(15));
  const Int quotient = rounded >= 0 ? rounded / divisor : -((-rounded + divisor - 1) / divisor);
  return {saturate_signed(n, quotient)};
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

constexpr Named<IntUnary> kUnary[] = {
    {"clz", clz}, {"ctz", ctz},           {"popcnt", popcnt},       {"neg", neg},
    {"abs", abs}, {"extend8_s", extend8}, {"extend16_s", extend16}, {"extend32_s", extend32},
};
constexpr Named<IntBinary> kBinary[] = {
    {"add", add},
    {"sub", sub},
    {"mul", mul},
    {"div_u", div_u},
    {"div_s", div_s},
    {"rem_u", rem_u},
    {"rem_s", rem_s},
    {"and", and_},
    {"or", or_},
    {"xor", xor_},
    {"andnot", andnot},
    {"shl", shl},
    {"shr_u", shr_u},
    {"shr_s", shr_s},
    {"rotl", rotl},
    {"rotr", rotr},
    {"min_u", min_u},
    {"max_u", max_u},
    {"min_s", min_s},
    {"max_s", max_s},
    {"add_sat_u", add_sat_u},
    {"sub_sat_u", sub_sat_u},
    {"add_sat_s", add_sat_s},
    {"sub_sat_s", sub_sat_s},
    {"avgr_u", avgr_u},
    {"q15mulr_sat_s", q15mulr_sat_s},
};
constexpr Named<IntRelation> kRelations[] = {
    {"eq", eq},     {"ne", ne},     {"lt_u", lt_u}, {"gt_u", gt_u}, {"le_u", le_u},
    {"ge_u", ge_u}, {"lt_s", lt_s}, {"gt_s", gt_s}, {"le_s", le_s}, {"ge_s", ge_s},
};

}  // namespace

IntUnary int_unary(std::string_view name) { return find(kUnary, name); }
IntBinary int_binary(std::string_view name) { return find(kBinary, name); }
IntRelation int_relation(std::string_view name) { return find(kRelations, name); }

}  // namespace wafer::reference
