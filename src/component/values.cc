// Values of components (Binary.md, "Value Definitions" and "Start Definitions").
#include <bit>
#include <cmath>

#include "component/scope.h"
#include "component/shape.h"
#include "wasm/cursor.h"

namespace wafer::component {

void Decoder::add_value(ValType type, uint32_t number) { scope().values.push_back({type, number}); }

Result<ValueEntry> Decoder::consume(uint32_t index, uint32_t at) {
  WAFER_TRY(check_index(scope().values, index, "value", at));
  ValueEntry& value = scope().values[index];
  if (value.consumed)
    return error(at, "value " + std::to_string(index) + " cannot be used more than once");
  value.consumed = true;
  return value;
}

Result<void> Decoder::check_exported_value(const Entity& entity, uint32_t at) const {
  if (entity.sort == Sort::Value && types().has_borrow(entity.value))
    return error(at, "exported value type cannot contain a `borrow` type");
  return {};
}

Result<void> Decoder::check_consumed(uint32_t at) const {
  for (size_t i = 0; i < scope().values.size(); ++i)
    if (!scope().values[i].consumed)
      return error(at, "value index " + std::to_string(i) +
                           " was not used as part of an instantiation, start function, or export");
  return {};
}

Result<void> Decoder::value_definition(Cursor& c, Component& out) {
  const uint32_t at = c.offset();
  WAFER_LET(type, val_type(c));
  WAFER_LET(size, u32(c));
  if (size > c.remaining()) return malformed(at, "unexpected end-of-file");
  Cursor inside(bytes_.data(), c.offset(), c.offset() + size, bytes_.size(),
                options_.core_features);
  WAFER_LET(read, value(inside, type));
  if (!inside.at_end()) return malformed(inside.offset(), "unexpected content after the value");
  c.skip(size);
  add_value(type, kConstantValue + constants_++);
  out.definitions.emplace_back(ValueDef{type, std::move(read)});
  return {};
}

// `val(t)`. Each value takes a byte at least.
Result<Val> Decoder::value(Cursor& c, ValType type, uint32_t depth) const {
  const uint32_t at = c.offset();
  if (depth == kMaxTypeDepth) return Error(ErrorKind::Exhaustion, "value is nested too deeply", at);
  const auto inner = [&](ValType t) { return value(c, t, depth + 1); };
  const ValType t = plain(types(), type);
  const auto index = [&](size_t below, const char* what) -> Result<uint32_t> {
    WAFER_LET(i, u32(c));
    if (i >= below) return malformed(at, std::string("invalid ") + what + " of a value");
    return i;
  };
  // An integer of `bits` bits in LEB128, which is no longer than these need.
  const auto integer = [&](unsigned bits, bool is_signed) -> Result<Val> {
    int64_t out = 0;
    if (is_signed) {
      if (!c.s64(out)) return c.take_error();
    } else {
      uint64_t plain_bits = 0;
      if (!c.u64(plain_bits)) return c.take_error();
      out = int64_t(plain_bits);
    }
    const bool fits = bits == 64 || (is_signed ? out >= -(int64_t{1} << (bits - 1)) &&
                                                     out < int64_t{1} << (bits - 1)
                                               : uint64_t(out) >> bits == 0);
    if (!fits) return malformed(at, "integer too large");
    if (c.offset() - at > (bits + 6) / 7) return malformed(at, "integer representation too long");
    return Val::of_int(out);
  };
  const auto little_endian = [&](unsigned bytes) -> Result<uint64_t> {
    uint64_t out = 0;
    for (unsigned i = 0; i < bytes; ++i) {
      WAFER_LET(b, byte(c));
      out |= uint64_t{b} << (8 * i);
    }
    return out;
  };
  if (!t.defined()) {
    switch (t.prim) {
      case Prim::Bool: {
        WAFER_LET(b, index(2, "boolean"));
        if (c.offset() - at > 1) return malformed(at, "invalid boolean of a value");
        return Val::of_bool(b != 0);
      }
      case Prim::U8: {
        WAFER_LET(b, byte(c));
        return Val::of_int(b);
      }
      case Prim::S8: {
        WAFER_LET(b, byte(c));
        return Val::of_int(static_cast<int8_t>(b));
      }
      case Prim::U16:
        return integer(16, false);
      case Prim::S16:
        return integer(16, true);
      case Prim::U32:
        return integer(32, false);
      case Prim::S32:
        return integer(32, true);
      case Prim::U64:
        return integer(64, false);
      case Prim::S64:
        return integer(64, true);
      case Prim::F32: {
        WAFER_LET(bits, little_endian(4));
        if (std::isnan(std::bit_cast<float>(static_cast<uint32_t>(bits))) && bits != 0x7FC00000)
          return malformed(at, "a NaN that is not canonical");
        return Val::of_bits(bits);
      }
      case Prim::F64: {
        WAFER_LET(bits, little_endian(8));
        if (std::isnan(std::bit_cast<double>(bits)) && bits != 0x7FF8000000000000)
          return malformed(at, "a NaN that is not canonical");
        return Val::of_bits(bits);
      }
      case Prim::Char: {
        // The length of a sequence follows from its first byte.
        WAFER_LET(first, byte(c));
        const unsigned more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
        uint32_t code = more == 0 ? first : first & (0x3Fu >> more);
        for (unsigned i = 0; i < more; ++i) {
          WAFER_LET(b, byte(c));
          code = code << 6 | (b & 0x3F);
        }
        const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + at, more + 1);
        if (!wasm::is_utf8(text)) return malformed(at, "malformed UTF-8 encoding");
        return Val::of_bits(code);
      }
      case Prim::String: {
        WAFER_LET(text, string(c));
        return Val::of_text(std::move(text));
      }
      default:
        return error(at,
                     "values of type `" + std::string(types().describe(t)) + "` cannot be written");
    }
  }
  const TypeDef& def = types()[t.id];
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple: {
      Val::Items items;
      for (size_t i = 0; i < field_count(def); ++i) {
        WAFER_LET(item, inner(field_type(def, i)));
        items.push_back(std::move(item));
      }
      return Val::of_items(std::move(items));
    }
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      const bool byte_wide = def.kind == TypeKind::Option || def.kind == TypeKind::Result;
      WAFER_LET(which, index(case_count(def), "case"));
      if (byte_wide && c.offset() - at > 1) return malformed(at, "invalid case of a value");
      if (def.kind == TypeKind::Enum) return Val::of_bits(which);
      const ValType payload = case_type(def, which);
      if (!payload) return Val::of_case(which);
      WAFER_LET(held, inner(payload));
      return Val::of_case(which, std::move(held));
    }
    case TypeKind::Flags: {
      uint64_t bits = 0;
      WAFER_LET(read, little_endian(static_cast<unsigned>((def.labels.size() + 7) / 8)));
      bits = read;
      if (def.labels.size() < 64) bits &= (uint64_t{1} << def.labels.size()) - 1;
      return Val::of_bits(bits);
    }
    case TypeKind::List:
    case TypeKind::FixedList: {
      uint32_t n = def.length;
      if (def.kind == TypeKind::List) {
        WAFER_LET(written, u32(c));
        n = written;
      }
      if (n > c.remaining()) return malformed(at, "unexpected end-of-file");
      const bool bytes =
          def.kind == TypeKind::List && plain(types(), def.args[0]) == ValType{Prim::U8, 0};
      if (bytes) {
        const Bytes text = bytes_.subspan(c.offset(), n);
        c.skip(n);
        return Val::of_bytes(Val::Bytes(text.begin(), text.end()));
      }
      Val::Items items;
      for (uint32_t i = 0; i < n; ++i) {
        WAFER_LET(item, inner(def.args[0]));
        items.push_back(std::move(item));
      }
      return Val::of_items(std::move(items));
    }
    case TypeKind::Map: {
      WAFER_LET(n, u32(c));
      if (n > c.remaining()) return malformed(at, "unexpected end-of-file");
      Val::Items items;
      for (uint32_t i = 0; i < n; ++i) {
        Val::Items entry;
        for (const ValType half : {def.args[0], def.args[1]}) {
          WAFER_LET(item, inner(half));
          entry.push_back(std::move(item));
        }
        items.push_back(Val::of_items(std::move(entry)));
      }
      return Val::of_items(std::move(items));
    }
    default:
      return error(at,
                   "values of type `" + std::string(kind_name(def.kind)) + "` cannot be written");
  }
}

Result<void> Decoder::start(Cursor& c, Component& out) {
  const uint32_t at = c.offset();
  Start def;
  WAFER_LET(func, u32(c));
  WAFER_TRY(check_index(scope().funcs, func, "function", at));
  def.func = func;
  def.type = scope().funcs[func];
  WAFER_LET(n, count(c, "arguments of a start function"));
  std::vector<uint32_t> places;
  for (uint32_t i = 0; i < n; ++i) {
    places.push_back(c.offset());
    WAFER_LET(index, u32(c));
    def.args.push_back(index);
  }
  const uint32_t results_at = c.offset();
  WAFER_LET(results, u32(c));
  if (results > kMaxDefinitions)
    return malformed(results_at, "start function results size is out of bounds");
  def.results = results;
  if (!c.at_end())
    return malformed(c.offset(), "unexpected content in the component start section");
  const TypeDef& type = types()[def.type];
  if (n != type.labels.size())
    return error(at, "start function requires " + std::to_string(type.labels.size()) +
                         " arguments but was given " + std::to_string(n));
  for (uint32_t i = 0; i < n; ++i) {
    WAFER_LET(value, consume(def.args[i], places[i]));
    if (auto r = types().match_value(value.type, type.labels[i].type); !r.ok())
      return Error(r.error().kind,
                   "type mismatch for component start function argument " + std::to_string(i) +
                       ": " + std::string(std::string_view(r.error().message)),
                   places[i]);
  }
  const ValType result = type.args[0];
  if (results != (result ? 1 : 0))
    return error(results_at, "component start function has a result count of " +
                                 std::to_string(results) + " but the function type has " +
                                 (result ? "1" : "0"));
  if (result) add_value(result, types().fresh_value());
  out.definitions.emplace_back(std::move(def));
  return {};
}

}  // namespace wafer::component
