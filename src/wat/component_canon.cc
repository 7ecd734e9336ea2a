// Canonical definitions (Explainer.md, "Canonical Definitions").
#include "component/builtins.h"
#include "wat/component_parser.h"

namespace wafer::wat {

// The rest of "(canon".
Result<void> ComponentParser::canon() {
  if (!take_keyword("lift")) {
    WAFER_LET(bytes, core_canon());
    if (!at_sort(Space::CoreFunc, /*prefixed=*/true)) return unexpected();
    p_ += 3;
    const size_t binding = p_;
    skip_binding();
    WAFER_TRY(close());
    WAFER_TRY(close());
    emit(kCanon, bytes);
    WAFER_TRY(define(Space::CoreFunc, binding));
    return {};
  }
  // The type stands last, but what it defines comes first.
  const size_t start = p_;
  while (!at_open("func") && peek().kind != TokenKind::Close && peek().kind != TokenKind::End)
    skip_item();
  const size_t type_at = p_;
  if (!open("func")) return unexpected();
  const size_t binding = p_;
  skip_binding();
  WAFER_LET(type, type_use(Space::Func));
  WAFER_TRY(close());
  const size_t end = p_;
  p_ = start;
  WAFER_LET(bytes, lift(type));
  if (p_ != type_at) return unexpected();
  p_ = end;
  WAFER_TRY(close());
  emit(kCanon, bytes);
  WAFER_TRY(define(Space::Func, binding));
  return {};
}

Result<Vec<uint8_t>> ComponentParser::lift(uint32_t type) {
  Bytes out{0, 0};
  WAFER_LET(func, sorted_item(Space::CoreFunc));
  write_uleb(out, func);
  WAFER_TRY(canon_options(out));
  write_uleb(out, type);
  return std::move(out);
}

Result<void> ComponentParser::canon_options(Bytes& out) {
  Bytes options;
  uint32_t count = 0;
  for (;; ++count) {
    size_t code = 0;
    for (; code < std::size(kCanonOptions); ++code) {
      const CanonOption& o = kCanonOptions[code];
      if (o.operand ? at_open(o.keyword) : at_keyword(o.keyword)) break;
    }
    if (code == std::size(kCanonOptions)) break;
    const CanonOption& option = kCanonOptions[code];
    options.push_back(uint8_t(code));
    p_ += option.operand ? 2 : 1;
    if (!option.operand) continue;
    WAFER_LET(index, item(option.space));
    write_uleb(options, index);
    WAFER_TRY(close());
  }
  write_uleb(out, count);
  put_bytes(out, options);
  return {};
}

// What follows "(canon" where it makes a core function.
Result<Vec<uint8_t>> ComponentParser::core_canon() {
  if (peek().kind != TokenKind::Keyword) return unexpected();
  Bytes out;
  if (take_keyword("lower")) {
    out = {1, 0};
    WAFER_LET(func, sorted_item(Space::Func));
    write_uleb(out, func);
    WAFER_TRY(canon_options(out));
    return std::move(out);
  }
  const component::BuiltinInfo* const builtin = component::builtin_of_name(peek().text);
  if (!builtin) return unexpected();
  ++p_;
  out.push_back(builtin->code);
  for (const char immediate : builtin->immediates) {
    switch (immediate) {
      case 'L':
      case 'R':
      case 'S':
      case 'F': {
        WAFER_LET(type, item(Space::Type));
        write_uleb(out, type);
        break;
      }
      case 'o':
        WAFER_TRY(canon_options(out));
        break;
      case 'a':
        out.push_back(take_keyword("async"));
        break;
      case 'h':
        out.push_back(take_keyword("shared"));
        break;
      case 'z':
        out.push_back(0);
        break;
      case 'm': {
        if (!open("memory")) return unexpected();
        WAFER_LET(memory, item(Space::CoreMemory));
        write_uleb(out, memory);
        WAFER_TRY(close());
        break;
      }
      case 'v': {
        WAFER_LET(type, with_core_types([](CoreTypes& types) { return types.value_type(); }));
        put_bytes(out, type);
        break;
      }
      case 'i': {
        WAFER_LET(number, u32());
        write_uleb(out, number);
        break;
      }
      case 'f': {
        WAFER_LET(type, item(Space::CoreType));
        write_uleb(out, type);
        break;
      }
      case 't': {
        WAFER_LET(table, item(Space::CoreTable));
        write_uleb(out, table);
        break;
      }
      case 'r':
        WAFER_TRY(result_list(out));
        break;
      default:
        return unexpected();
    }
  }
  return std::move(out);
}

}  // namespace wafer::wat
