#include "cli/value_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace wafer::cli {

using runtime::Value;
using wasm::HeapKind;
using wasm::TypeKind;
using wasm::ValType;

namespace {

// An integer of `bits` bits, signed or unsigned notation, as its bit pattern.
std::optional<uint64_t> parse_integer(std::string_view text, unsigned bits) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t magnitude = 0;
  const char* end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, magnitude, base);
  if (text.empty() || status != std::errc() || rest != end) return std::nullopt;
  const uint64_t limit = uint64_t{1} << (bits - 1);
  if (negative) {
    if (magnitude > limit) return std::nullopt;
    magnitude = ~magnitude + 1;
  } else if (bits < 64 && magnitude >> bits) {
    return std::nullopt;
  }
  return bits < 64 ? magnitude & ((uint64_t{1} << bits) - 1) : magnitude;
}

template <class T>
std::optional<T> parse_float(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  T value = 0;
  if (text == "inf" || text == "infinity") {
    value = std::numeric_limits<T>::infinity();
  } else if (text == "nan") {
    value = std::numeric_limits<T>::quiet_NaN();
  } else {
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex) text.remove_prefix(2);
    const char* end = text.data() + text.size();
    const auto [rest, status] = std::from_chars(
        text.data(), end, value, hex ? std::chars_format::hex : std::chars_format::general);
    if (text.empty() || text[0] == '-' || status != std::errc() || rest != end) return std::nullopt;
  }
  return negative ? -value : value;
}

std::optional<Value> parse_v128(std::string_view text) {
  if (!text.starts_with("0x") && !text.starts_with("0X")) {
    const auto low = parse_integer(text, 64);
    if (!low || text.starts_with('-')) return std::nullopt;
    return Value{wasm::kV128, {*low, 0}};
  }
  text.remove_prefix(2);
  if (text.empty() || text.size() > 32) return std::nullopt;
  uint64_t halves[2] = {0, 0};
  for (const char c : text) {
    unsigned digit = 0;
    const auto [rest, status] = std::from_chars(&c, &c + 1, digit, 16);
    if (status != std::errc() || rest != &c + 1) return std::nullopt;
    halves[1] = halves[1] << 4 | halves[0] >> 60;
    halves[0] = halves[0] << 4 | digit;
  }
  return Value{wasm::kV128, {halves[0], halves[1]}};
}

}  // namespace

std::optional<Value> parse_value(ValType type, std::string_view text) {
  switch (type.kind()) {
    case TypeKind::I32:
      if (const auto v = parse_integer(text, 32)) return Value{type, {*v, 0}};
      return std::nullopt;
    case TypeKind::I64:
      if (const auto v = parse_integer(text, 64)) return Value{type, {*v, 0}};
      return std::nullopt;
    case TypeKind::F32:
      if (const auto v = parse_float<float>(text)) return Value::f32(*v);
      return std::nullopt;
    case TypeKind::F64:
      if (const auto v = parse_float<double>(text)) return Value::f64(*v);
      return std::nullopt;
    case TypeKind::V128:
      return parse_v128(text);
    case TypeKind::Ref:
      if (text == "null" && type.nullable()) return Value::ref(runtime::kNullRef, type);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::string print_value(runtime::Store& store, const Value& value) {
  switch (value.type.kind()) {
    case TypeKind::I32:
      return fmt::format("{}", value.as_i32());
    case TypeKind::I64:
      return fmt::format("{}", value.as_i64());
    case TypeKind::F32:
      return fmt::format("{}", value.as_f32());
    case TypeKind::F64:
      return fmt::format("{}", value.as_f64());
    case TypeKind::V128:
      return fmt::format("0x{:016x}{:016x}", value.bits[1], value.bits[0]);
    case TypeKind::Ref:
      break;
    default:
      return "?";
  }
  const runtime::Ref ref = value.as_ref();
  if (ref == runtime::kNullRef) return "null";
  // A concrete type's hierarchy is that of what it defines.
  const wasm::HeapType heap = value.type.heap();
  const wasm::TypeRegistry& registry = store.registry();
  if (registry.is_subtype(heap, HeapKind::Func)) return "funcref";
  if (registry.is_subtype(heap, HeapKind::Exn)) return "exnref";
  if (runtime::is_i31(ref)) return fmt::format("i31 {}", runtime::i31_get_s(ref));
  if (runtime::ref_matches(registry, ref, HeapKind::Struct)) return "structref";
  if (runtime::ref_matches(registry, ref, HeapKind::Array)) return "arrayref";
  return registry.is_subtype(heap, HeapKind::Extern) ? "externref" : "anyref";
}

std::string type_list(const Vec<ValType>& types) {
  std::string out = "(";
  for (const ValType t : types) {
    if (out.size() > 1) out += ", ";
    out += std::string_view(wasm::to_string(t));
  }
  return out + ")";
}

}  // namespace wafer::cli
