#include "floats.h"
#include "numeric.h"

namespace wafer::reference {

namespace {

using Operands = std::span<const Nat>;
using Lanes = std::vector<Nat>;

bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}

// "i8x16": so many lanes of so many bits.
struct Shape {
  bool is_float = false;
  unsigned n = 0;
  unsigned count = 0;
  const Format& format() const { return n == 32 ? kF32Format : kF64Format; }
  Lanes lanes(Nat v) const {
    Lanes out;
    for (unsigned i = 0; i < count; ++i) out.push_back(lane(v, n, i));
    return out;
  }
};

bool take_shape(std::string_view& name, Shape& out) {
  static constexpr struct {
    std::string_view name;
    Shape shape;
  } kShapes[] = {{"i8x16", {false, 8, 16}}, {"i16x8", {false, 16, 8}}, {"i32x4", {false, 32, 4}},
                 {"i64x2", {false, 64, 2}}, {"f32x4", {true, 32, 4}},  {"f64x2", {true, 64, 2}}};
  for (const auto& s : kShapes) {
    if (!take(name, s.name)) continue;
    out = s.shape;
    return true;
  }
  return false;
}

Nat all_ones(unsigned n) { return pow2(n) - 1; }
Outcome scalar(Nat v) { return {{v}}; }
Outcome pack(const Shape& s, const Lanes& lanes) { return {{vector_of(s.n, lanes)}}; }

// --- Lane by lane ----------------------------------------------------------------------

template <class F>
Operator map1(Shape s, F f) {
  return [=](const wasm::Instr&, Operands x) {
    Lanes out;
    for (const Nat a : s.lanes(x[0])) out.push_back(f(a));
    return pack(s, out);
  };
}
template <class F>
Operator map2(Shape s, F f) {
  return [=](const wasm::Instr&, Operands x) {
    const Lanes a = s.lanes(x[0]), b = s.lanes(x[1]);
    Lanes out;
    for (unsigned i = 0; i < s.count; ++i) out.push_back(f(a[i], b[i]));
    return pack(s, out);
  };
}
template <class F>
Operator map3(Shape s, F f) {
  return [=](const wasm::Instr&, Operands x) {
    const Lanes a = s.lanes(x[0]), b = s.lanes(x[1]), c = s.lanes(x[2]);
    Lanes out;
    for (unsigned i = 0; i < s.count; ++i) out.push_back(f(a[i], b[i], c[i]));
    return pack(s, out);
  };
}

Operator integer_lanes(Shape s, std::string_view name) {
  const unsigned n = s.n;
  if (name == "shl" || name == "shr_s" || name == "shr_u") {
    const IntBinary f = int_binary(name);
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (const Nat a : s.lanes(x[0])) out.push_back(f(n, a, x[1]).value);
      return pack(s, out);
    };
  }
  if (const auto f = int_unary(name)) return map1(s, [=](Nat a) { return f(n, a); });
  if (const auto f = int_binary(name))
    return map2(s, [=](Nat a, Nat b) { return f(n, a, b).value; });
  if (const auto f = int_relation(name))
    return map2(s, [=](Nat a, Nat b) { return f(n, a, b) ? all_ones(n) : 0; });
  if (name == "all_true")
    return [=](const wasm::Instr&, Operands x) {
      for (const Nat a : s.lanes(x[0]))
        if (a == 0) return scalar(0);
      return scalar(1);
    };
  if (name == "bitmask")
    return [=](const wasm::Instr&, Operands x) {
      Nat out = 0;
      for (unsigned i = 0; i < s.count; ++i)
        if (signed_value(n, lane(x[0], n, i)) < 0) out += pow2(i);
      return scalar(out);
    };
  return {};
}

Operator float_lanes(Shape s, std::string_view name) {
  const Format& f = s.format();
  if (const auto g = float_unary(name)) return map1(s, [=](Nat a) { return g(f, a); });
  if (const auto g = float_binary(name)) return map2(s, [=](Nat a, Nat b) { return g(f, a, b); });
  if (const auto g = float_relation(name))
    return map2(s, [=](Nat a, Nat b) { return g(f, a, b) ? all_ones(s.n) : 0; });
  return {};
}

// --- Lanes that change place or width --------------------------------------------------

Operator moving(Shape s, std::string_view name) {
  if (name == "splat")
    return [=](const wasm::Instr&, Operands x) { return pack(s, Lanes(s.count, wrap(s.n, x[0]))); };
  if (name.starts_with("extract_lane")) {
    const bool is_signed = name.ends_with("_s");
    return [=](const wasm::Instr& in, Operands x) {
      const Nat v = lane(x[0], s.n, in.lane);
      return scalar(is_signed ? extend(s.n, 32, v, true) : v);
    };
  }
  if (name == "replace_lane")
    return [=](const wasm::Instr& in, Operands x) {
      Lanes lanes = s.lanes(x[0]);
      lanes[in.lane] = wrap(s.n, x[1]);
      return pack(s, lanes);
    };
  if (name == "swizzle")
    return [=](const wasm::Instr&, Operands x) {
      const Lanes a = s.lanes(x[0]);
      Lanes out;
      for (const Nat at : s.lanes(x[1])) out.push_back(at < 16 ? a[size_t(at)] : 0);
      return pack(s, out);
    };
  if (name == "shuffle")
    return [=](const wasm::Instr& in, Operands x) {
      Lanes both = s.lanes(x[0]);
      for (const Nat b : s.lanes(x[1])) both.push_back(b);
      Lanes out;
      for (const uint8_t at : in.v128.bytes) out.push_back(both[at]);
      return pack(s, out);
    };
  return {};
}

// `from` follows the operator's name: "extend_low_i8x16_s".
Operator widening(Shape to, std::string_view name) {
  const bool is_signed = name.ends_with("_s");
  Shape from;
  const auto wide = [is_signed, to](const Shape& s, Nat a) {
    return extend(s.n, to.n, a, is_signed);
  };
  for (const bool high : {false, true}) {
    std::string_view rest = name;
    if (take(rest, high ? "extend_high_" : "extend_low_") && take_shape(rest, from))
      return [=](const wasm::Instr&, Operands x) {
        Lanes out;
        for (unsigned i = 0; i < to.count; ++i)
          out.push_back(wide(from, lane(x[0], from.n, i + (high ? to.count : 0))));
        return pack(to, out);
      };
    rest = name;
    if (take(rest, high ? "extmul_high_" : "extmul_low_") && take_shape(rest, from))
      return [=](const wasm::Instr&, Operands x) {
        Lanes out;
        for (unsigned i = 0; i < to.count; ++i) {
          const unsigned at = i + (high ? to.count : 0);
          out.push_back(int_binary("mul")(to.n, wide(from, lane(x[0], from.n, at)),
                                          wide(from, lane(x[1], from.n, at)))
                            .value);
        }
        return pack(to, out);
      };
  }
  std::string_view rest = name;
  if (take(rest, "extadd_pairwise_") && take_shape(rest, from))
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (unsigned i = 0; i < to.count; ++i)
        out.push_back(int_binary("add")(to.n, wide(from, lane(x[0], from.n, 2 * i)),
                                        wide(from, lane(x[0], from.n, 2 * i + 1)))
                          .value);
      return pack(to, out);
    };
  rest = name;
  if (take(rest, "narrow_") && take_shape(rest, from))
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (const Nat v : {x[0], x[1]})
        for (const Nat a : from.lanes(v)) {
          const Int i = signed_value(from.n, a);
          out.push_back(is_signed ? saturate_signed(to.n, i) : saturate_unsigned(to.n, i));
        }
      return pack(to, out);
    };
  // Products of pairs of neighbours, added.
  if (name == "dot_i16x8_s")
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (unsigned i = 0; i < to.count; ++i) {
        Int sum = 0;
        for (const unsigned at : {2 * i, 2 * i + 1})
          sum += signed_value(16, lane(x[0], 16, at)) * signed_value(16, lane(x[1], 16, at));
        out.push_back(unsigned_value(32, sum));
      }
      return pack(to, out);
    };
  return {};
}

Operator converting(Shape to, std::string_view name) {
  std::string_view rest = name;
  Shape from;
  if (take(rest, "trunc_sat_") && take_shape(rest, from)) {
    const bool is_signed = rest.starts_with("_s");
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (const Nat a : from.lanes(x[0]))
        out.push_back(truncate_saturating(from.format(), to.n, is_signed, a));
      return pack(to, out);
    };
  }
  rest = name;
  if ((take(rest, "convert_low_") || take(rest, "convert_")) && take_shape(rest, from)) {
    const bool is_signed = rest == "_s";
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (unsigned i = 0; i < to.count; ++i)
        out.push_back(convert_int(from.n, is_signed, to.format(), lane(x[0], from.n, i)));
      return pack(to, out);
    };
  }
  if (name == "demote_f64x2_zero")
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (unsigned i = 0; i < 2; ++i)
        out.push_back(convert_float(kF64Format, kF32Format, lane(x[0], 64, i)));
      return pack(to, out);
    };
  if (name == "promote_low_f32x4")
    return [=](const wasm::Instr&, Operands x) {
      Lanes out;
      for (unsigned i = 0; i < 2; ++i)
        out.push_back(convert_float(kF32Format, kF64Format, lane(x[0], 32, i)));
      return pack(to, out);
    };
  return {};
}

// --- Relaxed instructions --------------------------------------------------------------

// The specification leaves each to a choice that is made once (4.3.6); these are the
// choices that the engine documents, as members of the sets that it allows.
Operator relaxed(Shape s, std::string_view name) {
  const unsigned n = s.n;
  if (name == "swizzle") return moving(s, name);
  if (name == "trunc_f32x4_s") return converting(s, "trunc_sat_f32x4_s");
  if (name == "trunc_f32x4_u") return converting(s, "trunc_sat_f32x4_u");
  if (name == "trunc_f64x2_s_zero") return converting(s, "trunc_sat_f64x2_s_zero");
  if (name == "trunc_f64x2_u_zero") return converting(s, "trunc_sat_f64x2_u_zero");
  if (name == "min" || name == "max") return float_lanes(s, name);
  if (name == "q15mulr_s") return integer_lanes(s, "q15mulr_sat_s");
  // Rounded twice.
  if (name == "madd" || name == "nmadd") {
    const bool negate = name == "nmadd";
    const Format& f = s.format();
    return map3(s, [=](Nat a, Nat b, Nat c) {
      const Nat x = negate ? float_unary("neg")(f, a) : a;
      return float_binary("add")(f, float_binary("mul")(f, x, b), c);
    });
  }
  // Bit by bit.
  if (name == "laneselect")
    return map3(s, [=](Nat a, Nat b, Nat c) {
      const auto with = int_binary("and"), without = int_binary("andnot");
      return with(n, a, c).value + without(n, b, c).value;
    });
  if (name == "dot_i8x16_i7x16_s" || name == "dot_i8x16_i7x16_add_s") {
    const bool add = name.ends_with("add_s");
    return [=](const wasm::Instr&, Operands x) {
      Lanes sums;  // of i16x8
      for (unsigned i = 0; i < 8; ++i) {
        Int sum = 0;
        for (const unsigned at : {2 * i, 2 * i + 1})
          sum += signed_value(8, lane(x[0], 8, at)) * signed_value(8, lane(x[1], 8, at));
        sums.push_back(saturate_signed(16, sum));
      }
      if (!add) return pack(s, sums);
      Lanes out;
      for (unsigned i = 0; i < 4; ++i)
        out.push_back(unsigned_value(32, signed_value(16, sums[2 * i]) +
                                             signed_value(16, sums[2 * i + 1]) +
                                             Int(lane(x[2], 32, i))));
      return pack(s, out);
    };
  }
  return {};
}

Operator whole(std::string_view name) {
  if (name == "not")
    return [](const wasm::Instr&, Operands x) {
      return scalar(int_binary("xor")(128, x[0], ~Nat(0)).value);
    };
  if (name == "and" || name == "or" || name == "xor" || name == "andnot") {
    const IntBinary f = int_binary(name);
    return [=](const wasm::Instr&, Operands x) { return scalar(f(128, x[0], x[1]).value); };
  }
  if (name == "bitselect")
    return [](const wasm::Instr&, Operands x) {
      const auto with = int_binary("and"), without = int_binary("andnot");
      return scalar(with(128, x[0], x[2]).value + without(128, x[1], x[2]).value);
    };
  if (name == "any_true") return [](const wasm::Instr&, Operands x) { return scalar(x[0] != 0); };
  return {};
}

}  // namespace

Operator vector_operator(wasm::Opcode op) {
  std::string_view name = wasm::opcode_info(op).text;
  if (take(name, "v128.")) return whole(name);
  Shape s;
  if (!take_shape(name, s) || !take(name, ".")) return {};
  if (take(name, "relaxed_")) return relaxed(s, name);
  if (Operator f = moving(s, name)) return f;
  if (Operator f = s.is_float ? float_lanes(s, name) : integer_lanes(s, name)) return f;
  if (Operator f = widening(s, name)) return f;
  return converting(s, name);
}

}  // namespace wafer::reference
