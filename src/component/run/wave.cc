#include "component/run/wave.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "component/run/text.h"
#include "component/shape.h"
#include "wasm/cursor.h"

namespace wafer::component {

namespace {

constexpr uint32_t kMaxDepth = 200;

// Labels that could be taken for something else are written with a %.
constexpr std::string_view kKeywords[] = {"true", "false", "inf", "nan",
                                          "none", "some",  "ok",  "err"};

bool is_keyword(std::string_view word) {
  for (std::string_view k : kKeywords)
    if (k == word) return true;
  return false;
}

std::string label_text(const std::string& name) { return is_keyword(name) ? "%" + name : name; }

// Names of labels for messages, as far as there is room in a line.
std::string names_of(const std::vector<Label>& labels, auto&& wanted) {
  constexpr size_t kMost = 500;
  std::string out;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (!wanted(i)) continue;
    if (out.size() > kMost) return out + ", ...";
    out += (out.empty() ? "" : ", ") + label_text(labels[i].name);
  }
  return out;
}

bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  Parser(const TypeArena& types, std::string_view text, size_t base = 0)
      : types_(types), text_(text), base_(base) {}

  Result<Val> value(ValType type);
  Result<std::vector<Val>> arguments(const TypeDef& func);
  Result<void> end() {
    space();
    return at_ == text_.size() ? Result<void>() : Result<void>(expected("the end"));
  }

 private:
  Error expected(std::string_view what) const {
    std::string found = "the end";
    if (at_ < text_.size()) {
      size_t n = 1;
      while (at_ + n < text_.size() && n < 12 && letter(text_[at_ + n])) ++n;
      found = "`" + std::string(text_.substr(at_, n)) + "`";
    }
    return {ErrorKind::Usage, std::string(what) + " expected, " + found + " found", base_ + at_};
  }
  void space() {
    for (;;) {
      while (at_ < text_.size() &&
             (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
        ++at_;
      if (text_.substr(at_, 2) != "//") return;
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    }
  }
  bool take(char c) {
    space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool next_is(char c) {
    space();
    return at_ < text_.size() && text_[at_] == c;
  }
  Result<void> need(char c) {
    if (take(c)) return {};
    return expected(std::string("`") + c + "`");
  }
  // The word at the place, which is not taken. A % makes a label of a keyword.
  std::string_view word() {
    space();
    size_t end = at_;
    if (end < text_.size() && text_[end] == '%') ++end;
    while (end < text_.size() && (letter(text_[end]) || digit(text_[end]) || text_[end] == '-'))
      ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view wanted) {
    if (word() != wanted) return false;
    at_ += wanted.size();
    return true;
  }
  // A label; nothing if there is none.
  std::string_view label() {
    const std::string_view w = word();
    if (w.empty() || digit(w[0]) || w[0] == '-' || w == "%") return {};
    if (w[0] != '%' && is_keyword(w)) return {};
    at_ += w.size();
    return w[0] == '%' ? w.substr(1) : w;
  }

  Result<Val> number(Prim prim);
  Result<Val> real(Prim prim);
  Result<Val> character();
  Result<Val> string();
  Result<uint32_t> scalar(char quote);
  Result<Val> list(const TypeDef& def);
  Result<Val> map(const TypeDef& def);
  Result<Val> record(const TypeDef& def);
  Result<Val> tuple(const TypeDef& def);
  Result<Val> flags(const TypeDef& def);
  Result<Val> named_case(const TypeDef& def);
  // `word`, then the value of a case in parentheses.
  Result<Val> payload(ValType type, uint32_t index);
  bool flattens(ValType type) const;
  // The place of a label; npos: there is none of that name.
  size_t find_label(const TypeDef& def, std::string_view name);
  static constexpr size_t npos = ~size_t{0};

  const TypeArena& types_;
  const std::string_view text_;
  const size_t base_;
  size_t at_ = 0;
  uint32_t depth_ = 0;
  // Of types with many labels that values were read of.
  std::unordered_map<const TypeDef*, std::unordered_map<std::string_view, size_t>> labels_;
};

size_t Parser::find_label(const TypeDef& def, std::string_view name) {
  constexpr size_t kFew = 16;
  if (def.labels.size() <= kFew) {
    for (size_t i = 0; i < def.labels.size(); ++i)
      if (def.labels[i].name == name) return i;
    return npos;
  }
  const auto [places, fresh] = labels_.try_emplace(&def);
  if (fresh) {
    places->second.reserve(def.labels.size());
    for (size_t i = 0; i < def.labels.size(); ++i) places->second.emplace(def.labels[i].name, i);
  }
  const auto it = places->second.find(name);
  return it == places->second.end() ? npos : it->second;
}

Result<Val> Parser::number(Prim prim) {
  space();
  const size_t start = at_;
  const bool minus = at_ < text_.size() && text_[at_] == '-';
  const size_t digits = at_ + minus;
  size_t end = digits;
  while (end < text_.size() && digit(text_[end])) ++end;
  const auto wrong = [&] { return expected(std::string(prim_name(prim))); };
  if (end == digits || (end < text_.size() && (text_[end] == '.' || letter(text_[end]))))
    return wrong();
  const char* const first = text_.data() + start;
  const char* const last = text_.data() + end;
  const unsigned bits = prim_info(prim)->size * 8u;
  const bool is_signed =
      prim == Prim::S8 || prim == Prim::S16 || prim == Prim::S32 || prim == Prim::S64;
  if (is_signed) {
    int64_t v = 0;
    const auto [p, e] = std::from_chars(first, last, v);
    if (e != std::errc() || v < INT64_MIN >> (64 - bits) || v > INT64_MAX >> (64 - bits))
      return Error(ErrorKind::Usage, "number out of range of " + std::string(prim_name(prim)),
                   base_ + start);
    at_ = end;
    return Val::of_int(v);
  }
  if (minus) return wrong();
  uint64_t v = 0;
  const auto [p, e] = std::from_chars(first, last, v);
  if (e != std::errc() || v > ~uint64_t{0} >> (64 - bits))
    return Error(ErrorKind::Usage, "number out of range of " + std::string(prim_name(prim)),
                 base_ + start);
  at_ = end;
  return Val::of_bits(v);
}

Result<Val> Parser::real(Prim prim) {
  space();
  size_t end = at_;
  const auto made = [&](double v) {
    return prim == Prim::F32 ? Val::of_f32(float(v)) : Val::of_f64(v);
  };
  if (take_word("nan"))
    return prim == Prim::F32 ? Val::of_bits(0x7fc00000) : Val::of_bits(0x7ff8000000000000);
  if (take_word("inf")) return made(HUGE_VAL);
  if (take_word("-inf")) return made(-HUGE_VAL);
  while (end < text_.size() && (digit(text_[end]) || std::strchr("+-.eE", text_[end]))) ++end;
  const char* const first = text_.data() + at_;
  const char* const last = text_.data() + end;
  Val out;
  std::from_chars_result r{};
  if (prim == Prim::F32) {
    float v = 0;
    r = std::from_chars(first, last, v);
    out = Val::of_f32(v);
  } else {
    double v = 0;
    r = std::from_chars(first, last, v);
    out = Val::of_f64(v);
  }
  if (r.ec != std::errc() || r.ptr != last) return expected(prim_name(prim));
  at_ = end;
  return out;
}

// One scalar value within quotes, escaped or not.
Result<uint32_t> Parser::scalar(char quote) {
  const auto byte = [&](size_t i) { return i < text_.size() ? uint8_t(text_[i]) : 0; };
  const uint8_t c = byte(at_);
  if (at_ >= text_.size()) return expected(std::string("`") + quote + "`");
  if (c != '\\') {
    const size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (!wasm::is_utf8(text_.substr(at_, n))) return expected("UTF-8");
    uint32_t v = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; ++i) v = v << 6 | (byte(at_ + i) & 0x3f);
    at_ += n;
    return v;
  }
  at_ += 2;
  switch (byte(at_ - 1)) {
    case 'n':
      return uint32_t('\n');
    case 't':
      return uint32_t('\t');
    case 'r':
      return uint32_t('\r');
    case '\\':
    case '\'':
    case '"':
      return uint32_t(byte(at_ - 1));
    case 'u': {
      if (byte(at_) != '{') break;
      uint32_t v = 0;
      const char* const first = text_.data() + at_ + 1;
      const auto [p, e] = std::from_chars(first, text_.data() + text_.size(), v, 16);
      if (e != std::errc() || p - first > 6 || p == text_.data() + text_.size() || *p != '}') break;
      if (v >= 0x110000 || (v >= 0xd800 && v <= 0xdfff)) break;
      at_ = size_t(p - text_.data()) + 1;
      return v;
    }
    default:
      break;
  }
  at_ -= 2;
  return expected("an escape sequence");
}

Result<Val> Parser::character() {
  WAFER_TRY(need('\''));
  if (at_ < text_.size() && text_[at_] == '\'') return expected("a character");
  WAFER_LET(c, scalar('\''));
  if (at_ == text_.size() || text_[at_] != '\'') return expected("`'`");
  ++at_;
  return Val::of_bits(c);
}

Result<Val> Parser::string() {
  space();
  std::string out;
  if (text_.substr(at_, 3) == "\"\"\"") {
    // Over several lines: what the last line begins with is taken from each.
    at_ += 3;
    if (text_.substr(at_, 1) == "\r") ++at_;
    if (text_.substr(at_, 1) != "\n") return expected("a new line");
    ++at_;
    const size_t close = text_.find("\"\"\"", at_);
    if (close == text_.npos) return expected("`\"\"\"`");
    size_t line = text_.rfind('\n', close);
    const std::string_view indent = text_.substr(line + 1, close - line - 1);
    if (indent.find_first_not_of(' ') != indent.npos) return expected("`\"\"\"` on its own line");
    bool first = true;
    while (at_ <= line) {
      size_t end = text_.find('\n', at_);
      if (end != at_ && text_.substr(at_, indent.size()) != indent)
        return expected("the indentation of the last line");
      if (!first) out += '\n';
      first = false;
      at_ += std::min(indent.size(), end - at_);
      while (at_ < end) {
        if (text_[at_] == '\r' && at_ + 1 == end) break;
        WAFER_LET(c, scalar('"'));
        append_utf8(out, c);
      }
      at_ = end + 1;
    }
    at_ = close + 3;
    return Val::of_text(std::move(out));
  }
  WAFER_TRY(need('"'));
  for (;;) {
    if (at_ < text_.size() && text_[at_] == '"') break;
    if (at_ < text_.size() && text_[at_] == '\n') return expected("`\"`");
    WAFER_LET(c, scalar('"'));
    append_utf8(out, c);
  }
  ++at_;
  return Val::of_text(std::move(out));
}

Result<Val> Parser::list(const TypeDef& def) {
  WAFER_TRY(need('['));
  Val::Items items;
  const bool bytes = plain(types_, def.args[0]).prim == Prim::U8;
  Val::Bytes raw;
  while (!next_is(']')) {
    WAFER_LET(v, value(def.args[0]));
    if (bytes)
      raw.push_back(uint8_t(v.bits()));
    else
      items.push_back(std::move(v));
    if (!take(',')) break;
  }
  const size_t before = at_;
  WAFER_TRY(need(']'));
  if (def.kind == TypeKind::FixedList && (bytes ? raw.size() : items.size()) != def.length)
    return Error(ErrorKind::Usage, std::to_string(def.length) + " elements expected",
                 base_ + before);
  return bytes ? Val::of_bytes(std::move(raw)) : Val::of_items(std::move(items));
}

Result<Val> Parser::map(const TypeDef& def) {
  WAFER_TRY(need('{'));
  Val::Items items;
  if (take(':')) {
    WAFER_TRY(need('}'));
    return Val::of_items({});
  }
  while (!next_is('}')) {
    WAFER_LET(key, value(def.args[0]));
    WAFER_TRY(need(':'));
    WAFER_LET(v, value(def.args[1]));
    Val::Items pair;
    pair.push_back(std::move(key));
    pair.push_back(std::move(v));
    items.push_back(Val::of_items(std::move(pair)));
    if (!take(',')) break;
  }
  WAFER_TRY(need('}'));
  return Val::of_items(std::move(items));
}

Result<Val> Parser::record(const TypeDef& def) {
  WAFER_TRY(need('{'));
  std::vector<std::optional<Val>> fields(def.labels.size());
  if (!take(':')) {
    while (!next_is('}')) {
      const size_t start = (space(), at_);
      const std::string_view name = label();
      const size_t i = find_label(def, name);
      if (i == npos || fields[i]) {
        at_ = start;
        const std::string names = names_of(def.labels, [&](size_t k) { return !fields[k]; });
        return expected(names.empty() ? "`}`" : "a field (" + names + ")");
      }
      WAFER_TRY(need(':'));
      WAFER_LET(v, value(def.labels[i].type));
      fields[i] = std::move(v);
      if (!take(',')) break;
    }
  }
  WAFER_TRY(need('}'));
  Val::Items items;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i]) {
      const ValType t = plain(types_, def.labels[i].type);
      if (!t.defined() || types_[t.id].kind != TypeKind::Option)
        return Error(ErrorKind::Usage, "field `" + def.labels[i].name + "` is missing",
                     base_ + at_ - 1);
      fields[i] = Val::none();
    }
    items.push_back(*std::move(fields[i]));
  }
  return Val::of_items(std::move(items));
}

Result<Val> Parser::tuple(const TypeDef& def) {
  WAFER_TRY(need('('));
  Val::Items items;
  for (size_t i = 0; i < def.args.size(); ++i) {
    if (i) WAFER_TRY(need(','));
    WAFER_LET(v, value(def.args[i]));
    items.push_back(std::move(v));
  }
  take(',');
  WAFER_TRY(need(')'));
  return Val::of_items(std::move(items));
}

Result<Val> Parser::flags(const TypeDef& def) {
  WAFER_TRY(need('{'));
  uint64_t bits = 0;
  while (!next_is('}')) {
    const size_t start = (space(), at_);
    const std::string_view name = label();
    const size_t i = find_label(def, name);
    if (i == npos) {
      at_ = start;
      return expected("a flag (" + names_of(def.labels, [](size_t) { return true; }) + ")");
    }
    bits |= uint64_t{1} << i;
    if (!take(',')) break;
  }
  WAFER_TRY(need('}'));
  return Val::of_bits(bits);
}

Result<Val> Parser::payload(ValType type, uint32_t index) {
  if (!type) return Val::of_case(index);
  WAFER_TRY(need('('));
  WAFER_LET(v, value(type));
  WAFER_TRY(need(')'));
  return Val::of_case(index, std::move(v));
}

Result<Val> Parser::named_case(const TypeDef& def) {
  const size_t start = (space(), at_);
  const std::string_view name = label();
  if (const size_t i = find_label(def, name); i != npos) {
    if (def.kind == TypeKind::Enum) return Val::of_bits(i);
    return payload(def.labels[i].type, uint32_t(i));
  }
  at_ = start;
  return expected("a case (" + names_of(def.labels, [](size_t) { return true; }) + ")");
}

// Whether a value may stand for some() or ok() of it: where it cannot be mistaken.
bool Parser::flattens(ValType type) const {
  const ValType t = plain(types_, type);
  return t && (!t.defined() ||
               (types_[t.id].kind != TypeKind::Option && types_[t.id].kind != TypeKind::Result));
}

Result<Val> Parser::value(ValType type) {
  const ValType t = plain(types_, type);
  if (depth_ == kMaxDepth)
    return Error(ErrorKind::Exhaustion, "value is nested too deeply", base_ + at_);
  struct Level {
    uint32_t& depth;
    explicit Level(uint32_t& d) : depth(d) { ++depth; }
    ~Level() { --depth; }
  } level(depth_);
  if (!t.defined()) {
    switch (t.prim) {
      case Prim::Bool:
        if (take_word("true")) return Val::of_bool(true);
        if (take_word("false")) return Val::of_bool(false);
        return expected("`true` or `false`");
      case Prim::F32:
      case Prim::F64:
        return real(t.prim);
      case Prim::Char:
        return character();
      case Prim::String:
        return string();
      case Prim::ErrorContext:
        return expected("nothing that can be written: a value of type error-context");
      default:
        return number(t.prim);
    }
  }
  const TypeDef& def = types_[t.id];
  switch (def.kind) {
    case TypeKind::List:
    case TypeKind::FixedList:
      return list(def);
    case TypeKind::Map:
      return map(def);
    case TypeKind::Record:
      return record(def);
    case TypeKind::Tuple:
      return tuple(def);
    case TypeKind::Flags:
      return flags(def);
    case TypeKind::Enum:
    case TypeKind::Variant:
      return named_case(def);
    case TypeKind::Option:
      if (take_word("none")) return Val::none();
      if (take_word("some")) return payload(def.args[0], 1);
      if (!flattens(def.args[0])) return expected("`some` or `none`");
      {
        WAFER_LET(v, value(def.args[0]));
        return Val::some(std::move(v));
      }
    case TypeKind::Result:
      if (take_word("ok")) return payload(def.args[0], 0);
      if (take_word("err")) return payload(def.args[1], 1);
      if (!flattens(def.args[0])) return expected("`ok` or `err`");
      {
        WAFER_LET(v, value(def.args[0]));
        return Val::of_case(0, std::move(v));
      }
    default:
      return expected("nothing that can be written: a value of type " +
                      std::string(kind_name(def.kind)));
  }
}

Result<std::vector<Val>> Parser::arguments(const TypeDef& func) {
  std::vector<Val> out;
  WAFER_TRY(need('('));
  for (size_t i = 0; i < func.labels.size(); ++i) {
    if (next_is(')')) {
      const ValType t = plain(types_, func.labels[i].type);
      if (!t.defined() || types_[t.id].kind != TypeKind::Option)
        return expected("argument `" + func.labels[i].name + ": " +
                        describe_type(types_, func.labels[i].type) + "`");
      out.push_back(Val::none());
      continue;
    }
    WAFER_LET(v, value(func.labels[i].type));
    out.push_back(std::move(v));
    if (!next_is(')')) WAFER_TRY(need(','));
  }
  WAFER_TRY(need(')'));
  WAFER_TRY(end());
  return out;
}

// ---- Printing

void print_scalar(std::string& out, uint32_t c, char quote) {
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      break;
  }
  if (c == uint32_t(quote)) {
    out += '\\';
    out += quote;
  } else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
    char hex[8];
    const auto [p, e] = std::to_chars(hex, hex + sizeof hex, c, 16);
    out += "\\u{" + std::string(hex, p) + "}";
  } else {
    append_utf8(out, c);
  }
}

void print_string(std::string& out, std::string_view s) {
  out += '"';
  for (size_t i = 0; i < s.size();) {
    if (uint8_t(s[i]) < 0x80) {
      print_scalar(out, uint8_t(s[i++]), '"');
      continue;
    }
    const size_t start = i++;
    while (i < s.size() && (uint8_t(s[i]) & 0xc0) == 0x80) ++i;
    out += s.substr(start, i - start);
  }
  out += '"';
}

void print_real(std::string& out, double v, bool single) {
  if (std::isnan(v)) {
    out += "nan";
  } else if (std::isinf(v)) {
    out += v < 0 ? "-inf" : "inf";
  } else {
    char text[64];
    const auto [p, e] = single ? std::to_chars(text, text + sizeof text, float(v))
                               : std::to_chars(text, text + sizeof text, v);
    out.append(text, p);
  }
}

void print(std::string& out, const TypeArena& types, ValType type, const Val& v) {
  const ValType t = plain(types, type);
  if (!t.defined()) {
    switch (t.prim) {
      case Prim::Bool:
        out += v.as_bool() ? "true" : "false";
        return;
      case Prim::F32:
        return print_real(out, v.as_f32(), true);
      case Prim::F64:
        return print_real(out, v.as_f64(), false);
      case Prim::Char:
        out += '\'';
        print_scalar(out, uint32_t(v.bits()), '\'');
        out += '\'';
        return;
      case Prim::String:
        return print_string(out, v.str());
      case Prim::U8:
      case Prim::U16:
      case Prim::U32:
      case Prim::U64:
        out += std::to_string(v.bits());
        return;
      case Prim::ErrorContext:
        out += "<error-context>";
        return;
      default:
        out += std::to_string(v.as_int());
        return;
    }
  }
  const TypeDef& def = types[t.id];
  const auto items = [&](char open, char close, auto&& each) {
    out += open;
    for (size_t i = 0; i < v.items().size(); ++i) {
      if (i) out += ", ";
      each(i, v.items()[i]);
    }
    out += close;
  };
  switch (def.kind) {
    case TypeKind::List:
    case TypeKind::FixedList:
      if (v.is_bytes()) {
        out += '[';
        for (size_t i = 0; i < v.bytes().size(); ++i) {
          if (i) out += ", ";
          out += std::to_string(v.bytes()[i]);
        }
        out += ']';
        return;
      }
      return items('[', ']', [&](size_t, const Val& e) { print(out, types, def.args[0], e); });
    case TypeKind::Map:
      if (v.items().empty()) {
        out += "{:}";
        return;
      }
      return items('{', '}', [&](size_t, const Val& e) {
        print(out, types, def.args[0], e.items()[0]);
        out += ": ";
        print(out, types, def.args[1], e.items()[1]);
      });
    case TypeKind::Record: {
      bool any = false;
      out += '{';
      for (size_t i = 0; i < def.labels.size(); ++i) {
        const ValType field = plain(types, def.labels[i].type);
        const Val& e = v.items()[i];
        const bool option = field.defined() && types[field.id].kind == TypeKind::Option;
        if (option && e.index() == 0) continue;
        if (any) out += ", ";
        any = true;
        out += label_text(def.labels[i].name) + ": ";
        print(out, types, field, e);
      }
      out += any ? "}" : ":}";
      return;
    }
    case TypeKind::Tuple:
      return items('(', ')', [&](size_t i, const Val& e) { print(out, types, def.args[i], e); });
    case TypeKind::Flags: {
      bool any = false;
      out += '{';
      for (size_t i = 0; i < def.labels.size(); ++i) {
        if (!(v.bits() >> i & 1)) continue;
        if (any) out += ", ";
        any = true;
        out += label_text(def.labels[i].name);
      }
      out += '}';
      return;
    }
    case TypeKind::Enum:
      out += label_text(def.labels[v.bits()].name);
      return;
    case TypeKind::Variant:
      out += label_text(def.labels[v.index()].name);
      break;
    case TypeKind::Option:
      out += v.index() ? "some" : "none";
      break;
    case TypeKind::Result:
      out += v.index() ? "err" : "ok";
      break;
    default:
      out += "<" + std::string(kind_name(def.kind)) + ">";
      return;
  }
  if (const Val* payload = v.payload()) {
    out += '(';
    print(out, types, case_type(def, v.index()), *payload);
    out += ')';
  }
}

}  // namespace

Result<Val> parse_wave(const TypeArena& types, ValType type, std::string_view text) {
  Parser parser(types, text);
  WAFER_LET(v, parser.value(type));
  WAFER_TRY(parser.end());
  return std::move(v);
}

WaveCall split_wave_call(std::string_view text) {
  WaveCall out;
  const size_t open = text.find('(');
  std::string_view name = text.substr(0, open);
  while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
  while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  out.name = name;
  if (open == text.npos) return out;
  out.offset = open;
  out.arguments = text.substr(open);
  return out;
}

Result<std::vector<Val>> parse_wave_arguments(const TypeArena& types, const TypeDef& func,
                                              const WaveCall& call) {
  return Parser(types, call.arguments.empty() ? "()" : call.arguments, call.offset).arguments(func);
}

std::string print_wave(const TypeArena& types, ValType type, const Val& value) {
  std::string out;
  print(out, types, type, value);
  return out;
}

namespace {

// Adds a type as WIT has it to `out`, until that is longer than any message should be.
void describe(std::string& out, const TypeArena& types, ValType type) {
  constexpr size_t kMost = 1000;
  if (out.size() > kMost) {
    out += "...";
    return;
  }
  const ValType t = plain(types, type);
  if (!t) {
    out += '_';
    return;
  }
  if (!t.defined()) {
    out += prim_name(t.prim);
    return;
  }
  const TypeDef& def = types[t.id];
  const auto each = [&](size_t n, auto&& item) {
    for (size_t i = 0; i < n; ++i) {
      if (i) out += ", ";
      if (out.size() > kMost) {
        out += "...";
        return;
      }
      item(i);
    }
  };
  const auto list = [&](size_t n) {
    out += kind_name(def.kind);
    out += '<';
    each(n, [&](size_t i) { describe(out, types, def.args[i]); });
    out += '>';
  };
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Flags:
      out += kind_name(def.kind);
      out += " { ";
      each(def.labels.size(), [&](size_t i) {
        const Label& l = def.labels[i];
        out += l.name;
        if (!l.type) return;
        out += def.kind == TypeKind::Record ? ": " : "(";
        describe(out, types, l.type);
        if (def.kind != TypeKind::Record) out += ')';
      });
      out += " }";
      return;
    case TypeKind::FixedList:
      out += "list<";
      describe(out, types, def.args[0]);
      out += ", " + std::to_string(def.length) + ">";
      return;
    case TypeKind::Result:
      if (def.args[1]) return list(2);
      if (def.args[0]) return list(1);
      out += "result";
      return;
    case TypeKind::Own:
    case TypeKind::Borrow:
    case TypeKind::Resource:
      out += kind_name(def.kind);
      return;
    default:
      if (!def.args.empty() && def.args[0]) return list(def.args.size());
      out += kind_name(def.kind);
  }
}

}  // namespace

std::string describe_type(const TypeArena& types, ValType type) {
  std::string out;
  describe(out, types, type);
  return out;
}

}  // namespace wafer::component
