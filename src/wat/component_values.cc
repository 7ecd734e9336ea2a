// Values of components (Explainer.md, "Value Definitions").
#include <cmath>

#include "component/types.h"
#include "wat/component_parser.h"
#include "wat/sections.h"

namespace wafer::wat {

using component::Prim;
using Kind = component::TypeKind;

void ComponentParser::note_type(const Bytes& definition) {
  if (definition.empty() || component::kind_of_code(definition[0]) >= Kind::Func ||
      definition[0] == component::kAsyncFuncCode)
    return;
  scope().types[space(scope(), Space::Type).count] = {&scope(),
                                                      std::make_shared<const Bytes>(definition)};
}

void ComponentParser::note_type(const Scope& from, uint32_t index) {
  const auto known = from.types.find(index);
  if (known == from.types.end()) return;
  const KnownType type = known->second;
  scope().types[space(scope(), Space::Type).count] = type;
}

// The rest of "(value $id? TYPE VALUE)", or of an alias.
Result<void> ComponentParser::value_field() {
  const size_t binding = p_;
  skip_binding();
  WAFER_LET(aliased, inverted_alias(Space::Value));
  if (!aliased) {
    Bytes bytes, data;
    WAFER_TRY(value_type(bytes));
    if (open("binary")) {
      while (peek().kind == TokenKind::String) {
        WAFER_LET(piece, string());
        data.insert(data.end(), piece.begin(), piece.end());
      }
      WAFER_TRY(close());
    } else {
      wasm::Cursor type(bytes.data(), 0, bytes.size(), bytes.size(), wasm::FeatureSet::all());
      WAFER_TRY(value(scope(), type, data));
    }
    WAFER_TRY(close());
    write_uleb(bytes, data.size());
    put_bytes(bytes, data);
    emit(kValue, bytes);
  }
  WAFER_TRY(define(Space::Value, binding));
  return {};
}

Result<void> ComponentParser::value(const Scope& in, wasm::Cursor& type, Bytes& out,
                                    unsigned depth) {
  if (depth == kMaxComponentDepth)
    return Error(ErrorKind::Exhaustion, "value is nested too deeply", here());
  int64_t code = 0;
  if (!type.s33(code)) return type.take_error();
  if (code < 0)
    return primitive_value(
        code < -64 ? Prim::None : component::prim_of_code(static_cast<uint8_t>(code & 0x7F)), out);
  const auto known = in.types.find(static_cast<uint32_t>(code));
  if (known == in.types.end())
    return fail("the type of the value is not known here: write it as (binary \"...\")");
  return defined_value(known->second, out, depth + 1);
}

Result<void> ComponentParser::primitive_value(Prim prim, Bytes& out) {
  const Token& t = peek();
  const auto integer = [&](unsigned bits, bool is_signed) -> Result<uint64_t> {
    if (t.kind != TokenKind::Number) return unexpected();
    const bool minus = t.text[0] == '-', sign = minus || t.text[0] == '+';
    // A number without a sign goes up to twice as far.
    const auto magnitude = parse_unsigned(sign ? t.text.substr(1) : t.text, 64);
    const uint64_t most = is_signed ? (uint64_t{1} << (bits - 1)) - !minus
                          : minus   ? 0
                                    : ~uint64_t{0} >> (64 - bits);
    if (!magnitude || *magnitude > most) return fail("value is out of the range of its type");
    ++p_;
    return minus ? 0 - *magnitude : *magnitude;
  };
  const auto little_endian = [&](uint64_t bits, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) out.push_back(static_cast<uint8_t>(bits >> (8 * i)));
    ++p_;
  };
  switch (prim) {
    case Prim::Bool:
      if (!at_keyword("true") && !at_keyword("false")) return unexpected();
      out.push_back(at_keyword("true"));
      ++p_;
      return {};
    case Prim::U8:
    case Prim::S8: {
      WAFER_LET(v, integer(8, prim == Prim::S8));
      out.push_back(static_cast<uint8_t>(v));
      return {};
    }
    case Prim::U16:
    case Prim::U32:
    case Prim::U64: {
      WAFER_LET(v, integer(prim == Prim::U16 ? 16 : prim == Prim::U32 ? 32 : 64, false));
      write_uleb(out, v);
      return {};
    }
    case Prim::S16:
    case Prim::S32:
    case Prim::S64: {
      WAFER_LET(v, integer(prim == Prim::S16 ? 16 : prim == Prim::S32 ? 32 : 64, true));
      write_sleb(out, static_cast<int64_t>(v));
      return {};
    }
    case Prim::F32:
    case Prim::F64: {
      // There is one NaN.
      const bool narrow = prim == Prim::F32;
      if (t.kind != TokenKind::Number || (t.text.find("nan") != t.text.npos && t.text != "nan"))
        return unexpected();
      if (narrow) {
        const auto bits = parse_f32(t.text);
        if (!bits) return fail("value is out of the range of its type");
        little_endian(*bits, 4);
      } else {
        const auto bits = parse_f64(t.text);
        if (!bits) return fail("value is out of the range of its type");
        little_endian(*bits, 8);
      }
      return {};
    }
    case Prim::Char: {
      if (t.kind != TokenKind::Reserved || t.text[0] != '\'') return unexpected();
      WAFER_LET(text, string_value(t));
      const size_t length = static_cast<size_t>(
          std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
      if (!wasm::is_utf8(text) || length != 1) return fail("malformed character");
      ++p_;
      out.insert(out.end(), text.begin(), text.end());
      return {};
    }
    case Prim::String: {
      WAFER_LET(text, name_string());
      put_string(out, text);
      return {};
    }
    default:
      return fail("values of this type cannot be written");
  }
}

Result<void> ComponentParser::defined_value(const KnownType& known, Bytes& out, unsigned depth) {
  const Bytes& bytes = *known.bytes;
  const Scope& in = *known.scope;
  const auto from = [&bytes](uint32_t offset) {
    return wasm::Cursor(bytes.data(), offset, bytes.size(), bytes.size(), wasm::FeatureSet::all());
  };
  wasm::Cursor type = from(0);
  uint8_t code = 0;
  if (!type.byte(code)) return type.take_error();
  const auto number = [&]() {
    uint32_t n = 0;
    (void)type.u32(n);
    return n;
  };
  const auto label = [&]() {
    std::string_view text;
    (void)type.name(text);
    return text;
  };
  // The types are those that this parser has written.
  const auto skip_optional = [&](bool& present, uint32_t& at) {
    uint8_t flag = 0;
    (void)type.byte(flag);
    present = flag;
    at = type.offset();
    int64_t ignored = 0;
    if (present) (void)type.s33(ignored);
  };
  // Values of the type at `element` until ")".
  const auto each = [&](uint32_t& count, Bytes& items, auto&& one) -> Status {
    for (count = 0; peek().kind != TokenKind::Close; ++count) WAFER_TRY(one(items));
    return close();
  };
  const Kind kind = component::kind_of_code(code);
  switch (kind) {
    case Kind::Primitive:
      return primitive_value(component::prim_of_code(code), out);
    case Kind::Record:
    case Kind::Tuple: {
      if (!open(component::kind_name(kind))) return unexpected();
      for (uint32_t n = number(); n > 0; --n) {
        if (kind == Kind::Record) label();
        WAFER_TRY(value(in, type, out, depth));
      }
      return close();
    }
    case Kind::Variant: {
      if (!open("variant")) return unexpected();
      WAFER_LET(wanted, name_string());
      const uint32_t n = number();
      for (uint32_t i = 0; i < n; ++i) {
        const std::string_view name = label();
        bool present = false;
        uint32_t payload = 0;
        skip_optional(present, payload);
        uint8_t zero = 0;
        (void)type.byte(zero);
        if (name != std::string_view(wanted)) continue;
        write_uleb(out, i);
        wasm::Cursor held = from(payload);
        if (present) WAFER_TRY(value(in, held, out, depth));
        return close();
      }
      return fail("the variant has no such case");
    }
    case Kind::Enum: {
      if (!open("enum")) return unexpected();
      WAFER_LET(wanted, name_string());
      const uint32_t n = number();
      for (uint32_t i = 0; i < n; ++i) {
        if (label() != std::string_view(wanted)) continue;
        write_uleb(out, i);
        return close();
      }
      return fail("the enum has no such case");
    }
    case Kind::Flags: {
      if (!open("flags")) return unexpected();
      IdMap places;
      const uint32_t n = number();
      if (n > 32) return fail("more than 32 flags");
      for (uint32_t i = 0; i < n; ++i) places.emplace(String(label()), i);
      const size_t begin = out.size();
      out.resize(begin + (n + 7) / 8);
      while (peek().kind == TokenKind::String) {
        WAFER_LET(name, name_string());
        const auto found = places.find(std::string_view(name));
        if (found == places.end()) return fail("the flags have no such name");
        out[begin + found->second / 8] |= static_cast<uint8_t>(1u << found->second % 8);
      }
      return close();
    }
    case Kind::Option: {
      if (take_keyword("none")) {
        out.push_back(0);
        return {};
      }
      if (!open("some")) return unexpected();
      out.push_back(1);
      WAFER_TRY(value(in, type, out, depth));
      return close();
    }
    case Kind::Result: {
      bool has[2] = {};
      uint32_t payloads[2] = {};
      for (int i = 0; i < 2; ++i) skip_optional(has[i], payloads[i]);
      for (uint8_t i = 0; i < 2; ++i) {
        const std::string_view word = i ? "error" : "ok";
        if (has[i] ? !open(word) : !take_keyword(word)) continue;
        out.push_back(i);
        if (!has[i]) return {};
        wasm::Cursor held = from(payloads[i]);
        WAFER_TRY(value(in, held, out, depth));
        return close();
      }
      return unexpected();
    }
    case Kind::List:
    case Kind::FixedList:
    case Kind::Map: {
      if (!open(kind == Kind::Map ? "map" : "list")) return unexpected();
      const uint32_t element = type.offset();
      Bytes items;
      uint32_t count = 0;
      WAFER_TRY(each(count, items, [&](Bytes& to) -> Status {
        wasm::Cursor at = from(element);
        if (kind != Kind::Map) return value(in, at, to, depth);
        if (!open("entry")) return unexpected();
        WAFER_TRY(value(in, at, to, depth));
        WAFER_TRY(value(in, at, to, depth));
        return close();
      }));
      if (kind == Kind::FixedList) {
        int64_t ignored = 0;
        (void)type.s33(ignored);
        if (number() != count) return fail("a list of another length than its type has");
      } else {
        write_uleb(out, count);
      }
      put_bytes(out, items);
      return {};
    }
    default:
      return fail("values of this type cannot be written");
  }
}

}  // namespace wafer::wat
