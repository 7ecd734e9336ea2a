#include <cstring>

#include "wat/print.h"

namespace wafer::wat {

namespace {

// Deeper nesting than this is not indented further, so that lines stay short.
constexpr unsigned kMaxIndent = 24;
bool plain_id(std::string_view s) {
  if (s.empty()) return false;
  for (const char ch : s) {
    const auto c = static_cast<unsigned char>(ch);
    if (c <= ' ' || c >= 0x7F || std::strchr("\",;()[]{}", ch)) return false;
  }
  return true;
}

}  // namespace

void quote(String& out, std::string_view s) {
  static constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (const char ch : s) {
    const auto c = static_cast<unsigned char>(ch);
    if (c >= 0x20 && c < 0x7F && c != '"' && c != '\\') {
      out += ch;
    } else {
      out += '\\';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  out += '"';
}

void put_line(String& out, unsigned depth, std::string_view text) {
  out.append(2 * std::min(depth, kMaxIndent), ' ');
  out += text;
  out += '\n';
}

String identifier(const String& name) {
  String id("$");
  if (plain_id(name))
    id += name;
  else
    quote(id, name);
  return id;
}

String name_annotation(const String& name) {
  String s("(@name ");
  quote(s, name);
  return s + ")";
}

String CoreTypePrinter::sub_type(const wasm::SubType& t, const Ids& fields) {
  using wasm::CompKind, wasm::SubType;
  String s;
  if (t.sub_written) {
    s += "(sub ";
    if (t.is_final) s += "final ";
    if (t.super != SubType::kNoSuper) s += types_.use(t.super) + " ";
  }
  if (t.describes != SubType::kNone) s += "(describes " + types_.use(t.describes) + ") ";
  if (t.descriptor != SubType::kNone) s += "(descriptor " + types_.use(t.descriptor) + ") ";
  switch (t.kind) {
    case CompKind::Func:
      s += "(func" + signature(t.func, nullptr) + ")";
      break;
    case CompKind::Struct:
      s += "(struct";
      for (uint32_t i = 0; i < t.fields.size(); ++i)
        s += " (field" + fields.binding(i) + " " + field(t.fields[i]) + ")";
      s += ")";
      break;
    case CompKind::Array:
      s += "(array " + field(t.fields[0]) + ")";
      break;
    case CompKind::Cont:
      s += "(cont " + types_.use(t.cont) + ")";
      break;
  }
  return t.sub_written ? s + ")" : s;
}

}  // namespace wafer::wat
