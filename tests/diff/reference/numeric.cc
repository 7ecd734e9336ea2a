#include "numeric.h"

#include "floats.h"

namespace wafer::reference {

namespace {

using runtime::TrapCode;

Outcome value(Nat v) { return {{v}}; }
Outcome value(const Answer& a) { return {{a.value}, a.trap}; }

bool take(std::string_view& name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return false;
  name.remove_prefix(prefix.size());
  return true;
}
const Format& format_named(std::string_view name) {
  return name.starts_with("f32") ? kF32Format : kF64Format;
}
unsigned width_named(std::string_view name) { return name.substr(1, 2) == "32" ? 32 : 64; }

// A number of 128 bits from its two halves, and back.
Outcome halves(Nat v) { return {{v % pow2(64), v / pow2(64)}}; }

Operator wide(std::string_view name) {
  if (name == "add128")
    return [](const wasm::Instr&, std::span<const Nat> x) {
      return halves((x[0] + x[1] * pow2(64)) + (x[2] + x[3] * pow2(64)));  // mod 2^128
    };
  if (name == "sub128")
    return [](const wasm::Instr&, std::span<const Nat> x) {
      return halves((x[0] + x[1] * pow2(64)) - (x[2] + x[3] * pow2(64)));  // mod 2^128
    };
  if (name == "mul_wide_u")
    return [](const wasm::Instr&, std::span<const Nat> x) { return halves(x[0] * x[1]); };
  if (name == "mul_wide_s")
    return [](const wasm::Instr&, std::span<const Nat> x) {
      return halves(Nat(signed_value(64, x[0]) * signed_value(64, x[1])));
    };
  return {};
}

Operator integer(unsigned n, std::string_view name) {
  if (name == "eqz")
    return [](const wasm::Instr&, std::span<const Nat> x) { return value(Nat(x[0] == 0)); };
  if (const auto f = int_unary(name))
    return [=](const wasm::Instr&, std::span<const Nat> x) { return value(f(n, x[0])); };
  if (const auto f = int_binary(name))
    return [=](const wasm::Instr&, std::span<const Nat> x) { return value(f(n, x[0], x[1])); };
  if (const auto f = int_relation(name))
    return [=](const wasm::Instr&, std::span<const Nat> x) { return value(Nat(f(n, x[0], x[1]))); };
  if (name == "wrap_i64")
    return [](const wasm::Instr&, std::span<const Nat> x) { return value(wrap(32, x[0])); };
  const bool is_signed = name.ends_with("_s");
  if (name.starts_with("extend_i32_"))
    return [=](const wasm::Instr&, std::span<const Nat> x) {
      return value(extend(32, 64, x[0], is_signed));
    };
  if (name.starts_with("reinterpret_"))
    return [](const wasm::Instr&, std::span<const Nat> x) { return value(x[0]); };
  if (take(name, "trunc_sat_")) {
    const Format& f = format_named(name);
    return [=](const wasm::Instr&, std::span<const Nat> x) {
      return value(truncate_saturating(f, n, is_signed, x[0]));
    };
  }
  if (take(name, "trunc_")) {
    const Format& f = format_named(name);
    return [=](const wasm::Instr&, std::span<const Nat> x) {
      return value(truncate(f, n, is_signed, x[0]));
    };
  }
  return wide(name);
}

Operator floating(const Format& f, std::string_view name) {
  if (const auto g = float_unary(name))
    return [=](const wasm::Instr&, std::span<const Nat> x) { return value(g(f, x[0])); };
  if (const auto g = float_binary(name))
    return [=](const wasm::Instr&, std::span<const Nat> x) { return value(g(f, x[0], x[1])); };
  if (const auto g = float_relation(name))
    return [=](const wasm::Instr&, std::span<const Nat> x) { return value(Nat(g(f, x[0], x[1]))); };
  if (name.starts_with("reinterpret_"))
    return [](const wasm::Instr&, std::span<const Nat> x) { return value(x[0]); };
  if (take(name, "convert_")) {
    const bool is_signed = name.ends_with("_s");
    const unsigned n = width_named(name);
    return [=](const wasm::Instr&, std::span<const Nat> x) {
      return value(convert_int(n, is_signed, f, x[0]));
    };
  }
  if (take(name, "demote_") || take(name, "promote_")) {
    const Format& from = format_named(name);
    return [=](const wasm::Instr&, std::span<const Nat> x) {
      return value(convert_float(from, f, x[0]));
    };
  }
  return {};
}

}  // namespace

Operator numeric_operator(wasm::Opcode op) {
  std::string_view name = wasm::opcode_info(op).text;
  if (take(name, "i32.")) return integer(32, name);
  if (take(name, "i64.")) return integer(64, name);
  if (take(name, "f32.")) return floating(kF32Format, name);
  if (take(name, "f64.")) return floating(kF64Format, name);
  return vector_operator(op);
}

}  // namespace wafer::reference
