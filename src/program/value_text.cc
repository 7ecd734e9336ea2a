#include "program/value_text.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "wat/literal.h"

namespace wafer::program {

using runtime::Value;
using wasm::HeapKind;
using wasm::TypeKind;
using wasm::ValType;

namespace {

// Words of `text`, which blanks separate.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = 0;;) {
    at = text.find_first_not_of(" \t\n,", at);
    if (at == text.npos) return words;
    const size_t end = std::min(text.find_first_of(" \t\n,", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
}

// A shape and its lanes, or one number for all 128 bits, in hex.
std::optional<Value> parse_v128(std::string_view text) {
  std::vector<std::string_view> words = words_of(text);
  if (!words.empty() && words[0] == "v128.const") words.erase(words.begin());
  Value value{wasm::kV128, {0, 0}};
  if (const wat::LaneShape* shape = words.empty() ? nullptr : wat::lane_shape(words[0])) {
    if (words.size() != shape->lanes + 1) return std::nullopt;
    const unsigned bits = shape->bits();
    for (unsigned i = 0; i < shape->lanes; ++i) {
      if (!wat::is_number(words[i + 1])) return std::nullopt;
      const std::optional<uint64_t> lane = wat::parse_lane(*shape, words[i + 1]);
      if (!lane) return std::nullopt;
      value.bits[i * bits / 64] |= *lane << (i * bits % 64);
    }
    return value;
  }
  if (words.size() != 1) return std::nullopt;
  text = words[0];
  if (!text.starts_with("0x") || text.size() <= 18 || text.size() > 34) {
    // Of 64 bits.
    const std::optional<uint64_t> low = wat::parse_unsigned(text, 64);
    if (low) value.bits[0] = *low;
    return low ? std::optional(value) : std::nullopt;
  }
  const size_t split = text.size() - 16;
  const auto high = wat::parse_unsigned(text.substr(0, split), 64);
  const auto low = wat::parse_unsigned("0x" + std::string(text.substr(split)), 64);
  if (!high || !low || text.find('_') != text.npos) return std::nullopt;
  value.bits[0] = *low;
  value.bits[1] = *high;
  return value;
}

// The abstract heap type of that name.
std::optional<HeapKind> abstract_heap(std::string_view name) {
  for (auto kind = HeapKind::Func; kind != HeapKind::Concrete; kind = HeapKind(int(kind) + 1))
    if (std::string_view(wasm::to_string(wasm::HeapType(kind))) == name) return kind;
  return std::nullopt;
}

std::optional<Value> parse_ref(runtime::Store& store, ValType type, std::string_view text) {
  const std::vector<std::string_view> words = words_of(text);
  if (words.empty()) return std::nullopt;
  const wasm::TypeRegistry& registry = store.registry();
  if (words[0] == "null" || words[0] == "ref.null") {
    const bool typed = words[0] == "ref.null" && words.size() == 2;
    if (!type.nullable() || !(typed || words.size() == 1)) return std::nullopt;
    if (typed) {
      const std::optional<HeapKind> heap = abstract_heap(words[1]);
      if (!heap || !registry.is_subtype(*heap, type.heap())) return std::nullopt;
    }
    return Value::ref(runtime::kNullRef, type);
  }
  const auto takes = [&](HeapKind kind) { return registry.is_subtype(kind, type.heap()); };
  if (words.size() != 2) return std::nullopt;
  if (words[0] == "ref.i31" && takes(HeapKind::I31)) {
    const auto v = wat::parse_integer(words[1], 31);
    if (v) return Value::ref(runtime::make_i31(uint32_t(*v)), type);
  }
  // A value of the host, which has nothing but a number.
  if (words[0] == "ref.extern" && takes(HeapKind::Extern)) {
    const auto v = wat::parse_unsigned(words[1], 32);
    if (!v) return std::nullopt;
    auto* const object =
        store.gc().new_host_object(reinterpret_cast<void*>(uintptr_t(*v)), nullptr);
    if (!object) return std::nullopt;
    const auto ref = reinterpret_cast<runtime::Ref>(object);
    (void)store.root(ref);
    return Value::ref(ref, type);
  }
  return std::nullopt;
}

// The literal of a float of `bits` bits. {fmt} has no NaN payloads.
template <class F, class U>
std::string print_float(F value, U bits, unsigned mantissa) {
  if (!std::isnan(value)) return fmt::format("{}", value);
  const U payload = bits & ((U{1} << mantissa) - 1);
  const char* const sign = bits >> (sizeof(U) * 8 - 1) ? "-" : "";
  if (payload == U{1} << (mantissa - 1)) return fmt::format("{}nan", sign);
  return fmt::format("{}nan:0x{:x}", sign, payload);
}

}  // namespace

std::optional<Value> parse_value(runtime::Store& store, ValType type, std::string_view text) {
  const auto number = [&](std::optional<uint64_t> bits) {
    return bits ? std::optional(Value{type, {*bits, 0}}) : std::nullopt;
  };
  switch (type.kind()) {
    case TypeKind::I32:
      return number(wat::parse_integer(text, 32));
    case TypeKind::I64:
      return number(wat::parse_integer(text, 64));
    case TypeKind::F32:
      return wat::is_number(text) ? number(wat::parse_f32(text)) : std::nullopt;
    case TypeKind::F64:
      return wat::is_number(text) ? number(wat::parse_f64(text)) : std::nullopt;
    case TypeKind::V128:
      return parse_v128(text);
    case TypeKind::Ref:
      return parse_ref(store, type, text);
    default:
      return std::nullopt;
  }
}

std::string_view value_example(ValType type) {
  switch (type.kind()) {
    case TypeKind::I32:
    case TypeKind::I64:
      return "42, -1, 0xff, 1_000";
    case TypeKind::F32:
    case TypeKind::F64:
      return "1.5, -0x1p-3, inf, nan, nan:0x200000";
    case TypeKind::V128:
      return "'i32x4 1 2 3 4', 'f64x2 0.5 inf', 0x00ff";
    default:
      return "null, 'ref.i31 5', 'ref.extern 5', by the type";
  }
}

std::string print_value(runtime::Store& store, const Value& value) {
  switch (value.type.kind()) {
    case TypeKind::I32:
      return fmt::format("{}", value.as_i32());
    case TypeKind::I64:
      return fmt::format("{}", value.as_i64());
    case TypeKind::F32:
      return print_float(value.as_f32(), uint32_t(value.bits[0]), 23);
    case TypeKind::F64:
      return print_float(value.as_f64(), value.bits[0], 52);
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
  if (registry.is_subtype(heap, HeapKind::Cont)) return "contref";
  if (runtime::is_i31(ref)) return fmt::format("ref.i31 {}", runtime::i31_get_s(ref));
  if (runtime::ref_matches(registry, ref, HeapKind::Struct)) return "structref";
  if (runtime::ref_matches(registry, ref, HeapKind::Array)) return "arrayref";
  if (!registry.is_subtype(heap, HeapKind::Extern)) return "anyref";
  // Values of the host are those of parse_value.
  const auto* object = reinterpret_cast<const runtime::GcHostObject*>(ref);
  if (!runtime::GcHeap::is_host_object(object)) return "externref";
  return fmt::format("ref.extern {}", reinterpret_cast<uintptr_t>(object->data));
}

std::string type_list(const Vec<ValType>& types) {
  std::string out = "(";
  for (const ValType t : types) {
    if (out.size() > 1) out += ", ";
    out += std::string_view(wasm::to_string(t));
  }
  return out + ")";
}

}  // namespace wafer::program
