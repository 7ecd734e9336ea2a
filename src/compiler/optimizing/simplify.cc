// What makes single instructions simpler. Rules on integers are written for i32 and serve both
// types.
#include <algorithm>
#include <bit>

#include "compiler/optimizing/numbering.h"

namespace wafer::compiler {

namespace {

constexpr uint64_t mask_of(bool wide) { return wide ? ~uint64_t{0} : 0xFFFFFFFF; }
constexpr uint32_t bits_of(bool wide) { return wide ? 64 : 32; }
constexpr uint64_t sign_of(bool wide) { return uint64_t{1} << (bits_of(wide) - 1); }
constexpr bool is_mask(uint64_t c) { return (c & (c + 1)) == 0; }
constexpr int64_t as_signed(uint64_t c, bool wide) { return wide ? int64_t(c) : int32_t(c); }
constexpr int kDepth = 4;

// An instruction can have a constant of 32 bits, which is sign-extended.
constexpr bool fits_immediate(uint64_t c, bool wide) {
  return !wide || int64_t(c) == int32_t(uint32_t(c));
}

}  // namespace

uint64_t most(const Function& f, ValueId v, int depth) {
  using Kind = Node::Kind;
  const Node& n = f.nodes[v];
  const auto args = f.args_of(n);
  const uint64_t all = mask_of(n.type == wasm::kI64);
  if (n.kind == Kind::Const) return n.value;
  if (n.kind != Kind::Instr || depth > kDepth) return all;
  Opcode op = n.op;
  const bool wide = facts::is_i64(op);
  if (facts::is_comparison(op)) return 1;
  if (wide) op = facts::narrow(op);
  const auto of = [&](uint32_t i) { return most(f, args[i], depth + 1); };
  const bool constant = args.size() == 2 && f.nodes[args[1]].kind == Kind::Const;
  uint64_t c = constant ? f.nodes[args[1]].value : 0;
  switch (op) {
    case Opcode::I32And:
      return std::min(of(0), of(1));
    case Opcode::I32Or:
    case Opcode::I32Xor: {
      const uint64_t both = of(0) | of(1);
      return both ? ~uint64_t{0} >> std::countl_zero(both) : 0;
    }
    case Opcode::I32ShrU:
      return constant ? of(0) >> (c & (bits_of(wide) - 1)) : of(0);
    case Opcode::I32Shl:
      if (!constant) return all;
      c &= bits_of(wide) - 1;
      if (const uint64_t x = of(0); x <= all >> c) return x << c;
      return all;
    case Opcode::I32Add: {
      const uint64_t a = of(0), b = of(1);
      return a <= all - b ? a + b : all;
    }
    case Opcode::I32Mul: {
      const uint64_t a = of(0), b = of(1);
      return a == 0 || b <= all / a ? a * b : all;
    }
    case Opcode::I32DivU:
      return constant && c ? of(0) / c : of(0);
    case Opcode::I32RemU:
      return constant && c ? std::min(of(0), c - 1) : of(0);
    case Opcode::I32Clz:
    case Opcode::I32Ctz:
    case Opcode::I32Popcnt:
      return bits_of(wide);
    case Opcode::I64ExtendI32U:
      return of(0);
    case Opcode::I32WrapI64:
      return std::min(of(0), all);
    case Opcode::Select:
    case Opcode::SelectT:
      return std::max(of(0), of(1));
    case Opcode::RefIsNull:
    case Opcode::RefEq:
    case Opcode::RefTest:
    case Opcode::RefTestNull:
    case Opcode::V128AnyTrue:
      return 1;
    case Opcode::I32Load8U:
    case Opcode::I64Load8U:
    case Opcode::I8x16ExtractLaneU:
      return 0xFF;
    case Opcode::I32Load16U:
    case Opcode::I64Load16U:
    case Opcode::I16x8ExtractLaneU:
      return 0xFFFF;
    case Opcode::I64Load32U:
      return 0xFFFFFFFF;
    default:
      return all;
  }
}

ValueId Numbering::simplify(ValueId id) {
  const Node& n = node(id);
  const Opcode op = n.op;
  if (!facts::is_built(op)) return kNoValue;
  const wasm::OpSig& sig = facts::row(op).sig();
  if (n.arg_count && n.arg_count <= 2 && sig.result_count == 1) {
    uint64_t a, b = 0, result;
    if (is_constant(arg(id, 0), a) && (n.arg_count == 1 || is_constant(arg(id, 1), b)) &&
        evaluate(op, a, b, result))
      return constant(n.type, result);
  }
  if (facts::is_i32(op)) return simplify_int(id, op, false);
  if (facts::is_i64(op)) return simplify_int(id, facts::narrow(op), true);
  if (facts::is_memory_access(op)) return simplify_access(id);
  if (op == Opcode::Select || op == Opcode::SelectT) return simplify_select(id);
  if (facts::within(op, Opcode::F32Eq, Opcode::F64Copysign)) return simplify_float(id, op);
  if (op == Opcode::V128Or) return simplify_rotation(id);
  return simplify_conversion(id, op);
}

// Lanes that are rotated by whole bytes are a shuffle of these.
ValueId Numbering::simplify_rotation(ValueId id) {
  ValueId left = arg(id, 0), right = arg(id, 1);
  if (op_of(right) == Opcode::I32x4Shl || op_of(right) == Opcode::I64x2Shl) std::swap(left, right);
  const bool wide = op_of(left) == Opcode::I64x2Shl;
  uint64_t l, r;
  if (!is_with(left, wide ? Opcode::I64x2Shl : Opcode::I32x4Shl, l) ||
      !is_with(right, wide ? Opcode::I64x2ShrU : Opcode::I32x4ShrU, r) ||
      arg(left, 0) != arg(right, 0))
    return kNoValue;
  const uint32_t bits = bits_of(wide), bytes = bits / 8;
  l &= bits - 1;
  r &= bits - 1;
  if (l == 0 || l % 8 || l + r != bits) return kNoValue;
  const ValueId x = arg(left, 0);
  change(id, Opcode::I8x16Shuffle, {x, x});
  Instr instr;
  instr.op = Opcode::I8x16Shuffle;
  for (uint32_t i = 0; i < 16; ++i)
    instr.v128.bytes[i] = uint8_t((i & ~(bytes - 1)) | ((i - uint32_t(l) / 8) & (bytes - 1)));
  f_.nodes[id].value = f_.instrs.size();
  f_.instrs.push_back(std::move(instr));
  return id;
}

ValueId Numbering::simplify_int(ValueId id, Opcode op, bool wide) {
  if (op == Opcode::I32Eqz) return simplify_eqz(id, wide);
  if (node(id).arg_count != 2) return kNoValue;
  ValueId a = arg(id, 0), b = arg(id, 1);
  uint64_t c;
  // A constant stands on the right.
  if (is_constant(a, c) && !is_constant(b, c)) {
    if (facts::commutes(op)) return change(id, at(op, wide), {b, a});
    if (facts::is_comparison(op)) return change(id, at(facts::mirrored(op), wide), {b, a});
  }
  if (facts::is_comparison(op)) return simplify_comparison(id, op, wide);
  if (is_constant(b, c)) {
    if (const ValueId v = simplify_constant_right(id, op, wide, c); v != kNoValue) return v;
  } else if (facts::commutes(op) && a > b) {
    return change(id, at(op, wide), {b, a});
  }
  const Opcode add = at(Opcode::I32Add, wide), sub = at(Opcode::I32Sub, wide);
  switch (op) {
    case Opcode::I32Add:
      // a + (0 - y), (0 - x) + b
      if (op_of(b) == sub && is_constant(arg(b, 0), c) && c == 0)
        return change(id, sub, {a, arg(b, 1)});
      if (op_of(a) == sub && is_constant(arg(a, 0), c) && c == 0)
        return change(id, sub, {b, arg(a, 1)});
      if (op_of(a) == sub && arg(a, 1) == b) return arg(a, 0);
      if (op_of(b) == sub && arg(b, 1) == a) return arg(b, 0);
      break;
    case Opcode::I32Sub:
      if (a == b) return int_constant(wide, 0);
      if (op_of(a) == add && arg(a, 0) == b) return arg(a, 1);
      if (op_of(a) == add && arg(a, 1) == b) return arg(a, 0);
      if (op_of(b) == sub && is_constant(arg(b, 0), c) && c == 0)
        return change(id, add, {a, arg(b, 1)});
      // c - (x + k)
      if (uint64_t k; is_constant(a, c) && is_with(b, add, k))
        return change(id, sub, {int_constant(wide, c - k), arg(b, 0)});
      break;
    case Opcode::I32And:
    case Opcode::I32Or:
      if (a == b) return a;
      break;
    case Opcode::I32Xor:
      if (a == b) return int_constant(wide, 0);
      break;
    case Opcode::I32Shl:
    case Opcode::I32ShrS:
    case Opcode::I32ShrU:
    case Opcode::I32Rotl:
    case Opcode::I32Rotr: {
      // Only the low bits of the count are looked at.
      const uint64_t low = bits_of(wide) - 1;
      if (is_with(b, at(Opcode::I32And, wide), c) && (c & low) == low)
        return change(id, at(op, wide), {a, arg(b, 0)});
      if (is_constant(a, c) && c == 0) return a;
      break;
    }
    case Opcode::I32DivS:
    case Opcode::I32RemS:
      if (most(a) < sign_of(wide) && most(b) < sign_of(wide))
        return change(id, at(op == Opcode::I32DivS ? Opcode::I32DivU : Opcode::I32RemU, wide),
                      {a, b});
      break;
    default:
      break;
  }
  return kNoValue;
}

ValueId Numbering::simplify_constant_right(ValueId id, Opcode op, bool wide, uint64_t c) {
  const ValueId x = arg(id, 0);
  const uint64_t all = mask_of(wide);
  const Opcode wide_op = at(op, wide);
  uint64_t k;
  // (x op k) op c
  const auto joined = [&](uint64_t both) {
    return change(id, wide_op, {arg(x, 0), int_constant(wide, both & all)});
  };
  switch (op) {
    case Opcode::I32Add:
      if (c == 0) return x;
      if (is_with(x, wide_op, k)) return joined(k + c);
      if (op_of(x) == at(Opcode::I32Sub, wide) && is_constant(arg(x, 0), k))
        return change(id, at(Opcode::I32Sub, wide), {int_constant(wide, (k + c) & all), arg(x, 1)});
      break;
    case Opcode::I32Sub:
      return change(id, at(Opcode::I32Add, wide), {x, int_constant(wide, -c & all)});
    case Opcode::I32Mul:
      if (c == 0) return arg(id, 1);
      if (c == 1) return x;
      if (c == all) return change(id, at(Opcode::I32Sub, wide), {int_constant(wide, 0), x});
      if (is_with(x, wide_op, k)) return joined(k * c);
      if (std::has_single_bit(c))
        return change(id, at(Opcode::I32Shl, wide),
                      {x, int_constant(wide, uint64_t(std::countr_zero(c)))});
      if (is_with(x, at(Opcode::I32Shl, wide), k)) return joined(c << (k & (bits_of(wide) - 1)));
      break;
    case Opcode::I32And:
      if (c == 0) return arg(id, 1);
      if (c == all || (is_mask(c) && most(x) <= c)) return x;
      if (is_with(x, wide_op, k)) return joined(k & c);
      // Bits that only the sign reached.
      if (op_of(x) == (wide ? Opcode::I64Extend8S : Opcode::I32Extend8S) && c <= 0xFF)
        return change(id, wide_op, {arg(x, 0), arg(id, 1)});
      if (op_of(x) == (wide ? Opcode::I64Extend16S : Opcode::I32Extend16S) && c <= 0xFFFF)
        return change(id, wide_op, {arg(x, 0), arg(id, 1)});
      break;
    case Opcode::I32Or:
      if (c == 0) return x;
      if (c == all) return arg(id, 1);
      if (is_with(x, wide_op, k)) return joined(k | c);
      break;
    case Opcode::I32Xor:
      if (c == 0) return x;
      if (is_with(x, wide_op, k)) return joined(k ^ c);
      if (c == 1 && !wide && most(x) <= 1) return change(id, Opcode::I32Eqz, {x});
      break;
    case Opcode::I32Shl:
    case Opcode::I32ShrS:
    case Opcode::I32ShrU:
    case Opcode::I32Rotl:
    case Opcode::I32Rotr: {
      const uint64_t count = c & (bits_of(wide) - 1);
      if (count == 0) return x;
      if (count != c) return change(id, wide_op, {x, int_constant(wide, count)});
      return simplify_shift(id, op, wide, uint32_t(count));
    }
    case Opcode::I32DivS:
    case Opcode::I32DivU:
    case Opcode::I32RemS:
    case Opcode::I32RemU:
      return simplify_division(id, op, wide, c);
    default:
      break;
  }
  return kNoValue;
}

ValueId Numbering::simplify_shift(ValueId id, Opcode op, bool wide, uint32_t count) {
  const ValueId x = arg(id, 0);
  const uint32_t bits = bits_of(wide);
  uint64_t k;
  if (is_with(x, at(op, wide), k)) {
    const uint64_t sum = (k & (bits - 1)) + count;
    if (op == Opcode::I32Rotl || op == Opcode::I32Rotr)
      return change(id, at(op, wide), {arg(x, 0), int_constant(wide, sum & (bits - 1))});
    if (sum < bits) return change(id, at(op, wide), {arg(x, 0), int_constant(wide, sum)});
    if (op != Opcode::I32ShrS) return int_constant(wide, 0);
    return change(id, at(op, wide), {arg(x, 0), int_constant(wide, bits - 1)});
  }
  if (op == Opcode::I32ShrS) {
    if (is_with(x, at(Opcode::I32Shl, wide), k) && k == count) {
      if (count == bits - 8)
        return change(id, wide ? Opcode::I64Extend8S : Opcode::I32Extend8S, {arg(x, 0)});
      if (count == bits - 16)
        return change(id, wide ? Opcode::I64Extend16S : Opcode::I32Extend16S, {arg(x, 0)});
      if (wide && count == 32) return change(id, Opcode::I64Extend32S, {arg(x, 0)});
    }
    if (most(x) < sign_of(wide)) return change(id, at(Opcode::I32ShrU, wide), {x, arg(id, 1)});
  }
  if (op == Opcode::I32ShrU && most(x) >> count == 0) return int_constant(wide, 0);
  const bool left = op == Opcode::I32Shl;
  const bool back =
      left ? is_with(x, at(Opcode::I32ShrU, wide), k) || is_with(x, at(Opcode::I32ShrS, wide), k)
           : op == Opcode::I32ShrU && is_with(x, at(Opcode::I32Shl, wide), k);
  if (back && k == count) {
    const uint64_t kept = left ? mask_of(wide) << count & mask_of(wide) : mask_of(wide) >> count;
    if (fits_immediate(kept, wide))
      return change(id, at(Opcode::I32And, wide), {arg(x, 0), int_constant(wide, kept)});
  }
  return kNoValue;
}

ValueId Numbering::simplify_division(ValueId id, Opcode op, bool wide, uint64_t c) {
  const ValueId x = arg(id, 0);
  const bool is_div = op == Opcode::I32DivS || op == Opcode::I32DivU;
  const bool is_signed = op == Opcode::I32DivS || op == Opcode::I32RemS;
  if (c == 0) return kNoValue;
  if (c == 1) return is_div ? x : int_constant(wide, 0);
  if (is_signed) {
    // By -1 there may be an overflow. That by the least number is a comparison; it is rare.
    if (c == mask_of(wide)) return is_div ? kNoValue : int_constant(wide, 0);
    if (c == sign_of(wide)) return kNoValue;
    if (most(x) < sign_of(wide) && c < sign_of(wide))
      return change(id, at(is_div ? Opcode::I32DivU : Opcode::I32RemU, wide), {x, arg(id, 1)});
    if (!is_div && c > sign_of(wide)) c = -c & mask_of(wide);  // does not change what is left
    const ValueId quotient = divide_signed(x, wide, c);
    if (quotient == kNoValue || is_div) return quotient;
    return change(id, at(Opcode::I32Sub, wide),
                  {x, binary(Opcode::I32Mul, wide, quotient, int_constant(wide, c))});
  }
  if (std::has_single_bit(c)) {
    if (!is_div) return change(id, at(Opcode::I32And, wide), {x, int_constant(wide, c - 1)});
    return change(id, at(Opcode::I32ShrU, wide),
                  {x, int_constant(wide, uint64_t(std::countr_zero(c)))});
  }
  if (most(x) < c) return is_div ? int_constant(wide, 0) : x;
  if (wide) return kNoValue;
  const ValueId quotient = divide_unsigned(x, uint32_t(c));
  if (is_div) return quotient;
  return change(id, Opcode::I32Sub, {x, make(Opcode::I32Mul, {quotient, constant(wasm::kI32, c)})});
}

// x / c = x * m >> 32 + s, where m is 2^(32 + s) / c, rounded up. That is exact for all x if what
// rounding adds, times c, is at most 2^s.
ValueId Numbering::divide_unsigned(ValueId x, uint32_t c) {
  const auto i32 = [&](uint64_t v) { return constant(wasm::kI32, v); };
  const auto i64 = [&](uint64_t v) { return constant(wasm::kI64, v); };
  const auto product = [&](ValueId v, uint64_t m, uint64_t shift) {
    const ValueId all = make(Opcode::I64Mul, {make(Opcode::I64ExtendI32U, {v}), i64(m)});
    return make(Opcode::I32WrapI64, {make(Opcode::I64ShrU, {all, i64(shift)})});
  };
  const auto log = uint32_t(std::bit_width(c - 1));  // rounded up
  for (uint32_t s = 0; s < log; ++s) {
    const uint64_t power = uint64_t{1} << (32 + s);
    const uint64_t m = power / c + 1;
    if (m >> 32 == 0 && m * c - power <= uint64_t{1} << s) return product(x, m, 32 + s);
  }
  // Without zeros at the end of c, x has fewer bits.
  if (const auto zeros = uint32_t(std::countr_zero(c)); zeros) {
    const uint32_t odd = c >> zeros;
    for (uint32_t s = 0; s < 32; ++s) {
      const uint64_t power = uint64_t{1} << (32 + s);
      const uint64_t m = power / odd + 1;
      if (m >> 32 == 0 && m * odd - power <= uint64_t{1} << (s + zeros))
        return product(make(Opcode::I32ShrU, {x, i32(zeros)}), m, 32 + s);
    }
  }
  // m has 33 bits: x * 2^32 is added after. The sum has too, so half of it is.
  const uint64_t power = uint64_t{1} << (32 + log - 1) << 1;
  const uint64_t m = (log == 32 ? ~uint64_t{0} : power - 1) / c + 1;
  const ValueId high = product(x, m - (uint64_t{1} << 32), 32);
  const ValueId half = make(Opcode::I32ShrU, {make(Opcode::I32Sub, {x, high}), i32(1)});
  return make(Opcode::I32ShrU, {make(Opcode::I32Add, {half, high}), i32(log - 1)});
}

// By a power of two: what is below 0 is made greater first, so that it is rounded to 0. Others of
// i32: as without sign, and 1 more for what is below 0.
ValueId Numbering::divide_signed(ValueId x, bool wide, uint64_t c) {
  const bool negative = c & sign_of(wide);
  const uint64_t magnitude = (negative ? -c : c) & mask_of(wide);
  const uint32_t bits = bits_of(wide);
  ValueId quotient;
  if (std::has_single_bit(magnitude)) {
    const auto shift = uint32_t(std::countr_zero(magnitude));
    ValueId more = x;
    if (shift > 1) more = binary(Opcode::I32ShrS, wide, x, int_constant(wide, bits - 1));
    more = binary(Opcode::I32ShrU, wide, more, int_constant(wide, bits - shift));
    quotient = binary(Opcode::I32ShrS, wide, binary(Opcode::I32Add, wide, x, more),
                      int_constant(wide, shift));
  } else {
    if (wide) return kNoValue;
    const auto s = uint32_t(std::bit_width(magnitude)) - 1;
    const uint64_t m = (uint64_t{1} << (32 + s)) / magnitude + 1;
    const ValueId product =
        make(Opcode::I64Mul, {make(Opcode::I64ExtendI32S, {x}), constant(wasm::kI64, m)});
    const ValueId high =
        make(Opcode::I32WrapI64, {make(Opcode::I64ShrS, {product, constant(wasm::kI64, 32 + s)})});
    quotient = make(Opcode::I32Sub, {high, make(Opcode::I32ShrS, {x, constant(wasm::kI32, 31)})});
  }
  if (!negative) return quotient;
  return binary(Opcode::I32Sub, wide, int_constant(wide, 0), quotient);
}

ValueId Numbering::simplify_comparison(ValueId id, Opcode op, bool wide) {
  const ValueId a = arg(id, 0), b = arg(id, 1);
  const bool equality = op == Opcode::I32Eq || op == Opcode::I32Ne;
  if (a == b)
    return boolean(op == Opcode::I32Eq || facts::within(op, Opcode::I32LeS, Opcode::I32GeU));
  uint64_t c, k;
  if (!is_constant(b, c)) {
    if (equality && a > b) return change(id, at(op, wide), {b, a});
    return kNoValue;
  }
  const ValueId x = a;
  if (equality && wide && c <= 0xFFFFFFFF && op_of(x) == Opcode::I64ExtendI32U)
    return change(id, op, {arg(x, 0), constant(wasm::kI32, c)});
  if (equality && wide && fits_immediate(c, true) && op_of(x) == Opcode::I64ExtendI32S)
    return change(id, op, {arg(x, 0), constant(wasm::kI32, c)});
  const uint64_t above = most(x);
  switch (op) {
    case Opcode::I32Eq:
    case Opcode::I32Ne: {
      const bool eq = op == Opcode::I32Eq;
      if (c > above) return boolean(!eq);
      if (is_with(x, at(Opcode::I32Add, wide), k))
        return change(id, at(op, wide), {arg(x, 0), int_constant(wide, (c - k) & mask_of(wide))});
      if (is_with(x, at(Opcode::I32Xor, wide), k))
        return change(id, at(op, wide), {arg(x, 0), int_constant(wide, c ^ k)});
      if (!wide && above == 1) {
        if (eq == (c == 1)) return x;
        return change(id, Opcode::I32Eqz, {x});
      }
      if (c != 0) break;
      if (eq) return change(id, at(Opcode::I32Eqz, wide), {x});
      if (op_of(x) == at(Opcode::I32Xor, wide) || op_of(x) == at(Opcode::I32Sub, wide))
        return change(id, at(Opcode::I32Ne, wide), {arg(x, 0), arg(x, 1)});
      break;
    }
    case Opcode::I32LtU:
      if (c > above) return boolean(true);
      if (c == 0) return boolean(false);
      if (c == 1) return change(id, at(Opcode::I32Eqz, wide), {x});
      break;
    case Opcode::I32GeU:
      if (c > above) return boolean(false);
      if (c == 0) return boolean(true);
      if (c == 1) return change(id, at(Opcode::I32Ne, wide), {x, int_constant(wide, 0)});
      break;
    case Opcode::I32GtU:
      if (c >= above) return boolean(false);
      if (c == 0) return change(id, at(Opcode::I32Ne, wide), {x, b});
      break;
    case Opcode::I32LeU:
      if (c >= above) return boolean(true);
      if (c == 0) return change(id, at(Opcode::I32Eqz, wide), {x});
      break;
    default: {  // signed
      if (above >= sign_of(wide)) break;
      // x is not below 0.
      const int64_t limit = as_signed(c, wide);
      const bool less = op == Opcode::I32LtS || op == Opcode::I32LeS;
      if (limit < 0) return boolean(!less);
      if (op == Opcode::I32LtS || op == Opcode::I32GeS) {
        if (limit == 0) return boolean(!less);
        if (uint64_t(limit) > above) return boolean(less);
      } else if (uint64_t(limit) >= above) {
        return boolean(less);
      }
    }
  }
  return kNoValue;
}

ValueId Numbering::simplify_eqz(ValueId id, bool wide) {
  const ValueId x = arg(id, 0);
  const Opcode inner = op_of(x);
  if (!wide) {
    if (const Opcode other = facts::opposite(inner); other != Opcode::Illegal)
      return change(id, other, {arg(x, 0), arg(x, 1)});
    if (inner == Opcode::I32Eqz || inner == Opcode::I64Eqz) {
      const bool of_wide = inner == Opcode::I64Eqz;
      return change(id, at(Opcode::I32Ne, of_wide), {arg(x, 0), int_constant(of_wide, 0)});
    }
  } else if (inner == Opcode::I64ExtendI32U || inner == Opcode::I64ExtendI32S) {
    return change(id, Opcode::I32Eqz, {arg(x, 0)});
  }
  if (inner == at(Opcode::I32Xor, wide) || inner == at(Opcode::I32Sub, wide))
    return change(id, at(Opcode::I32Eq, wide), {arg(x, 0), arg(x, 1)});
  if (uint64_t k; is_with(x, at(Opcode::I32Add, wide), k))
    return change(id, at(Opcode::I32Eq, wide), {arg(x, 0), int_constant(wide, -k & mask_of(wide))});
  return kNoValue;
}

ValueId Numbering::simplify_conversion(ValueId id, Opcode op) {
  if (node(id).arg_count != 1) return kNoValue;
  const ValueId x = arg(id, 0);
  const Opcode inner = op_of(x);
  uint64_t c;
  switch (op) {
    case Opcode::I32WrapI64: {
      if (inner == Opcode::I64ExtendI32S || inner == Opcode::I64ExtendI32U) return arg(x, 0);
      if (is_with(x, Opcode::I64And, c) && uint32_t(c) == 0xFFFFFFFF)
        return change(id, op, {arg(x, 0)});
      if (inner == Opcode::I64Extend32S) return change(id, op, {arg(x, 0)});
      // Of what is computed from extended numbers, the low half needs no others.
      const Opcode narrow = facts::is_i64(inner) ? facts::narrow(inner) : Opcode::Illegal;
      const bool low = narrow == Opcode::I32Add || narrow == Opcode::I32Sub ||
                       narrow == Opcode::I32Mul || narrow == Opcode::I32And ||
                       narrow == Opcode::I32Or || narrow == Opcode::I32Xor;
      if (!low && !(narrow == Opcode::I32Shl && is_constant(arg(x, 1), c) && (c & 63) < 32)) break;
      ValueId args[2];
      bool extended = true;
      for (uint32_t i = 0; i < 2; ++i) {
        args[i] = arg(x, i);
        const Opcode from = op_of(args[i]);
        if (from == Opcode::I64ExtendI32S || from == Opcode::I64ExtendI32U)
          args[i] = arg(args[i], 0);
        else if (is_constant(args[i], c))
          args[i] = constant(wasm::kI32, c);
        else
          extended = false;
      }
      if (extended) return change(id, narrow, {args[0], args[1]});
      break;
    }
    case Opcode::I64ExtendI32S:
      if (inner == Opcode::I32WrapI64) return change(id, Opcode::I64Extend32S, {arg(x, 0)});
      if (most(x) <= 0x7FFFFFFF) return change(id, Opcode::I64ExtendI32U, {x});
      break;
    case Opcode::I64ExtendI32U:
      if (inner == Opcode::I32WrapI64 && most(arg(x, 0)) <= 0xFFFFFFFF) return arg(x, 0);
      break;
    case Opcode::I32Extend8S:
    case Opcode::I64Extend8S: {
      const bool wide = op == Opcode::I64Extend8S;
      if (inner == op || inner == (wide ? Opcode::I64Load8S : Opcode::I32Load8S) || most(x) <= 0x7F)
        return x;
      if (is_with(x, at(Opcode::I32And, wide), c) && (c & 0xFF) == 0xFF)
        return change(id, op, {arg(x, 0)});
      if (inner == (wide ? Opcode::I64Extend16S : Opcode::I32Extend16S) ||
          inner == Opcode::I64Extend32S)
        return change(id, op, {arg(x, 0)});
      break;
    }
    case Opcode::I32Extend16S:
    case Opcode::I64Extend16S: {
      const bool wide = op == Opcode::I64Extend16S;
      const bool known = wide ? inner == Opcode::I64Extend8S || inner == Opcode::I64Load8S ||
                                    inner == Opcode::I64Load16S
                              : inner == Opcode::I32Extend8S || inner == Opcode::I32Load8S ||
                                    inner == Opcode::I32Load16S;
      if (inner == op || known || most(x) <= 0x7FFF) return x;
      if (is_with(x, at(Opcode::I32And, wide), c) && (c & 0xFFFF) == 0xFFFF)
        return change(id, op, {arg(x, 0)});
      if (inner == Opcode::I64Extend32S) return change(id, op, {arg(x, 0)});
      break;
    }
    case Opcode::I64Extend32S:
      switch (inner) {
        case Opcode::I64Extend32S:
        case Opcode::I64Extend16S:
        case Opcode::I64Extend8S:
        case Opcode::I64ExtendI32S:
        case Opcode::I64Load8S:
        case Opcode::I64Load16S:
        case Opcode::I64Load32S:
          return x;
        case Opcode::I64ExtendI32U:
          return change(id, Opcode::I64ExtendI32S, {arg(x, 0)});
        default:
          if (most(x) <= 0x7FFFFFFF) return x;
          if (is_with(x, Opcode::I64And, c) && uint32_t(c) == 0xFFFFFFFF)
            return change(id, op, {arg(x, 0)});
      }
      break;
    case Opcode::I32ReinterpretF32:
      if (inner == Opcode::F32ReinterpretI32) return arg(x, 0);
      break;
    case Opcode::I64ReinterpretF64:
      if (inner == Opcode::F64ReinterpretI64) return arg(x, 0);
      break;
    case Opcode::F32ReinterpretI32:
      if (inner == Opcode::I32ReinterpretF32) return arg(x, 0);
      break;
    case Opcode::F64ReinterpretI64:
      if (inner == Opcode::I64ReinterpretF64) return arg(x, 0);
      break;
    default:
      break;
  }
  return kNoValue;
}

ValueId Numbering::simplify_float(ValueId id, Opcode op) {
  const ValueId x = arg(id, 0);
  const Opcode inner = op_of(x);
  uint64_t c, other;
  switch (op) {
    case Opcode::F32Neg:
    case Opcode::F64Neg:
      // These move bits only, also of a NaN.
      if (inner == op) return arg(x, 0);
      break;
    case Opcode::F32Abs:
    case Opcode::F64Abs:
      if (inner == op) return x;
      if (inner == (op == Opcode::F32Abs ? Opcode::F32Neg : Opcode::F64Neg))
        return change(id, op, {arg(x, 0)});
      break;
    case Opcode::F32Div:
    case Opcode::F64Div: {
      // By a power of two of which there is the reciprocal, in full precision.
      if (!is_constant(arg(id, 1), c)) break;
      const bool wide = op == Opcode::F64Div;
      const uint64_t mantissa = wide ? (uint64_t{1} << 52) - 1 : (1u << 23) - 1;
      const uint64_t exponent = wide ? c >> 52 & 0x7FF : c >> 23 & 0xFF;
      const uint64_t greatest = wide ? 0x7FD : 0xFD;
      if ((c & mantissa) || exponent < 1 || exponent > greatest) break;
      const uint64_t one = wide ? 0x3FF0000000000000 : 0x3F800000;
      if (!evaluate(op, one, c, other)) break;
      return change(id, wide ? Opcode::F64Mul : Opcode::F32Mul,
                    {x, constant(node(id).type, other)});
    }
    default:
      break;
  }
  // A constant stands on the right of a comparison.
  if (facts::is_comparison(op) && node(id).arg_count == 2 && is_constant(x, c) &&
      !is_constant(arg(id, 1), c))
    return change(id, facts::mirrored(op), {arg(id, 1), x});
  return kNoValue;
}

ValueId Numbering::simplify_select(ValueId id) {
  const ValueId a = arg(id, 0), b = arg(id, 1);
  uint64_t c, x, y;
  if (a == b) return a;
  if (node(id).op == Opcode::SelectT && !node(id).type.is_ref())
    return change(id, Opcode::Select, {a, b, arg(id, 2)});
  bool inverted = false;
  const ValueId condition = simplify_condition(arg(id, 2), inverted);
  if (is_constant(condition, c)) return (c != 0) != inverted ? a : b;
  if (is_constant(a, x) && is_constant(b, y)) {
    if (inverted) std::swap(x, y);
    const bool wide = node(id).type == wasm::kI64;
    if ((wide || node(id).type == wasm::kI32) && x + y == 1 && (x == 1 || y == 1)) {
      ValueId truth = condition;
      if (y == 1)
        truth = make(Opcode::I32Eqz, {condition});
      else if (most(condition) > 1)
        truth = make(Opcode::I32Ne, {condition, constant(wasm::kI32, 0)});
      if (!wide) return truth;
      return change(id, Opcode::I64ExtendI32U, {truth});
    }
  }
  if (condition == arg(id, 2)) return kNoValue;
  const ValueId args[] = {inverted ? b : a, inverted ? a : b, condition};
  std::copy(args, args + 3, f_.args.begin() + node(id).first_arg);
  return id;
}

ValueId Numbering::simplify_condition(ValueId condition, bool& inverted) {
  uint64_t c;
  while (true) {
    if (op_of(condition) == Opcode::I32Eqz)
      inverted = !inverted;
    else if (!is_with(condition, Opcode::I32Ne, c) || c != 0)
      return condition;
    condition = arg(condition, 0);
  }
}

// Addresses do not wrap. So a sum is split only if it does not either.
ValueId Numbering::simplify_access(ValueId id) {
  const ValueId address = arg(id, 0);
  const bool wide = node(address).type == wasm::kI64;
  const Instr* immediates = f_.immediates(node(id));
  uint64_t c;
  if (!immediates || !is_with(address, at(Opcode::I32Add, wide), c)) return kNoValue;
  constexpr uint64_t kMax = 0x7FFFFFFF;  // also what an instruction can add
  if (c > kMax || immediates->offset > kMax - c) return kNoValue;
  if (most(arg(address, 0)) > mask_of(wide) - c) return kNoValue;
  Instr moved = *immediates;
  moved.offset += c;
  f_.args[node(id).first_arg] = arg(address, 0);
  f_.nodes[id].value = f_.instrs.size();
  f_.instrs.push_back(std::move(moved));
  return id;
}

}  // namespace wafer::compiler
