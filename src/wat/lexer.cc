#include "wat/lexer.h"

#include "wasm/cursor.h"
#include "wasm/hints.h"
#include "wat/literal.h"
#include "wat/sections.h"

namespace wafer::wat {

namespace {

// idchar of 6.3.5.
bool is_idchar(unsigned char c) {
  if (c <= ' ' || c >= 0x7F) return false;
  switch (c) {
    case '"':
    case ',':
    case ';':
    case '(':
    case ')':
    case '[':
    case ']':
    case '{':
    case '}':
      return false;
    default:
      return true;
  }
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool known_annotation(std::string_view id) {
  return id == "custom" || id == "name" || id == wasm::kBranchHintSection ||
         id == kSectionAnnotation || id == kLocalsAnnotation || id == kNameAnnotation ||
         id == kUnnamedAnnotation;
}

class Lexer {
 public:
  explicit Lexer(std::string_view s) : s_(s) {}
  Result<Vec<Token>> run();

 private:
  Error fail(std::string_view message, size_t at) {
    return Error(ErrorKind::Malformed, message, at);
  }
  Result<void> space();
  // End of the string whose opening quote is at `at`.
  Result<size_t> string_end(size_t at);
  Result<Token> next();

  std::string_view s_;
  size_t pos_ = 0;
  size_t char_size() const;
  bool in_annotation_ = false;
};

Result<void> Lexer::space() {
  while (pos_ < s_.size()) {
    const char c = s_[pos_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++pos_;
    } else if (c == ';' && s_.substr(pos_, 2) == ";;") {
      const size_t begin = pos_;
      while (pos_ < s_.size() && s_[pos_] != '\n' && s_[pos_] != '\r') ++pos_;
      if (!wasm::is_utf8(s_.substr(begin, pos_ - begin)))
        return fail("malformed UTF-8 encoding", begin);
    } else if (c == '(' && s_.substr(pos_, 2) == "(;") {
      const size_t begin = pos_;
      size_t depth = 1;
      pos_ += 2;
      while (depth) {
        if (pos_ + 1 >= s_.size()) return fail("unclosed comment", begin);
        if (s_[pos_] == '(' && s_[pos_ + 1] == ';') {
          ++depth;
          pos_ += 2;
        } else if (s_[pos_] == ';' && s_[pos_ + 1] == ')') {
          --depth;
          pos_ += 2;
        } else {
          ++pos_;
        }
      }
      if (!wasm::is_utf8(s_.substr(begin, pos_ - begin)))
        return fail("malformed UTF-8 encoding", begin);
    } else {
      break;
    }
  }
  return {};
}

Result<size_t> Lexer::string_end(size_t at) {
  size_t i = at + 1;
  while (true) {
    if (i >= s_.size() || s_[i] == '\n') return fail("unclosed string", at);
    const unsigned char c = static_cast<unsigned char>(s_[i]);
    if (c == '"') return i + 1;
    if (c < 0x20 || c == 0x7F) return fail("illegal character in string", i);
    if (c == '\\') {
      ++i;
      if (i >= s_.size()) return fail("unclosed string", at);
    }
    ++i;
  }
}

// The length of 'c' in quotes; 0 if it is none.
size_t Lexer::char_size() const {
  size_t i = pos_ + 1;
  const auto at = [&](size_t k) {
    return k < s_.size() ? static_cast<unsigned char>(s_[k]) : static_cast<unsigned char>(0);
  };
  if (at(i) == '\\') {
    ++i;
    if (at(i) == 'u') {
      while (i < s_.size() && s_[i] != '}' && i - pos_ < 24) ++i;
    } else if (hex_digit(s_[std::min(i, s_.size() - 1)]) >= 0) {
      ++i;
    }
    ++i;
  } else {
    if (at(i) < 0x20 || at(i) == '\'' || at(i) == 0x7F) return 0;
    for (++i; (at(i) & 0xC0) == 0x80;) ++i;
  }
  return at(i) == '\'' ? i + 1 - pos_ : 0;
}

Result<Token> Lexer::next() {
  WAFER_TRY(space());
  Token t;
  t.offset = uint32_t(pos_);
  if (pos_ == s_.size()) {
    t.kind = TokenKind::End;
    t.text = s_.substr(pos_, 0);
    return t;
  }
  const unsigned char c = static_cast<unsigned char>(s_[pos_]);
  if (c == '(') {
    if (s_.substr(pos_, 2) == "(@") {
      size_t i = pos_ + 2;
      if (i < s_.size() && s_[i] == '"') {
        auto end = string_end(i);
        if (!end.ok()) return fail("empty annotation id", t.offset);
        t.text = s_.substr(i, *end - i);
        pos_ = *end;
        if (t.text == "\"\"") return fail("empty annotation id", t.offset);
        Token id;
        id.kind = TokenKind::String;
        id.offset = uint32_t(i);
        id.text = t.text;
        WAFER_LET(value, string_value(id));
        if (!wasm::is_utf8(value)) return fail("malformed UTF-8 encoding", t.offset);
        // A quoted name that is one of ours would be compared by its text; the
        // plain spelling is kept in the source when they agree.
        t.text = t.text.substr(1, t.text.size() - 2);
      } else {
        while (i < s_.size() && is_idchar(static_cast<unsigned char>(s_[i]))) ++i;
        t.text = s_.substr(pos_ + 2, i - pos_ - 2);
        // Within an annotation that nobody reads, anything that nests will do.
        if (t.text.empty() && !in_annotation_) return fail("empty annotation id", t.offset);
        pos_ = i;
      }
      t.kind = TokenKind::Annotation;
      return t;
    }
    t.kind = TokenKind::Open;
    t.text = s_.substr(pos_++, 1);
    return t;
  }
  if (c == ')') {
    t.kind = TokenKind::Close;
    t.text = s_.substr(pos_++, 1);
    return t;
  }
  const size_t begin = pos_;
  // A character, which only values of components can be.
  if (const size_t size = c == '\'' && !in_annotation_ ? char_size() : 0) {
    pos_ += size;
    t.text = s_.substr(begin, size);
    t.kind = TokenKind::Reserved;
    return t;
  }
  // A run of idchars and strings is one token; only some runs mean something.
  size_t pieces = 0, strings = 0;
  while (pos_ < s_.size()) {
    const unsigned char d = static_cast<unsigned char>(s_[pos_]);
    if (d == '"') {
      auto end = string_end(pos_);
      if (!end.ok() && c == '$' && pos_ == begin + 1) return fail("empty identifier", begin);
      if (!end.ok()) return end.take_error();
      pos_ = *end;
      ++strings;
    } else if (is_idchar(d)) {
      while (pos_ < s_.size() && is_idchar(static_cast<unsigned char>(s_[pos_]))) ++pos_;
    } else if (d == ',' || d == ';' || d == '[' || d == ']' || d == '{' || d == '}') {
      if (d == ';' && s_.substr(pos_, 2) == ";;") break;
      ++pos_;
    } else {
      break;
    }
    ++pieces;
  }
  if (pos_ == begin) {
    if (c >= 0x80 && !wasm::is_utf8(s_.substr(begin)))
      return fail("malformed UTF-8 encoding", begin);
    return fail("illegal character", begin);
  }
  t.text = s_.substr(begin, pos_ - begin);
  const bool plain = t.text.find_first_of(",;[]{}") == std::string_view::npos;
  if (pieces == 1 && strings == 1) {
    t.kind = TokenKind::String;
  } else if (c == '$') {
    if (t.text.size() == 1) return fail("empty identifier", begin);
    const bool quoted = pieces == 2 && strings == 1 && t.text[1] == '"';
    if (quoted && t.text == "$\"\"") return fail("empty identifier", begin);
    t.kind = (pieces == 1 && plain) || quoted ? TokenKind::Id : TokenKind::Reserved;
  } else if (pieces == 1 && is_number(t.text)) {
    t.kind = TokenKind::Number;
  } else if (pieces == 1 && plain && c >= 'a' && c <= 'z') {
    t.kind = TokenKind::Keyword;
  } else {
    t.kind = TokenKind::Reserved;
  }
  return t;
}

Result<Vec<Token>> Lexer::run() {
  Vec<Token> out;
  out.reserve(s_.size() / 6 + 16);
  // Inside an unknown annotation, how many parentheses are still open.
  size_t skipping = 0;
  size_t skip_start = 0;
  for (;;) {
    WAFER_LET(t, next());
    if (skipping) {
      if (t.kind == TokenKind::End) return fail("unclosed annotation", skip_start);
      if (t.kind == TokenKind::Open || t.kind == TokenKind::Annotation) ++skipping;
      if (t.kind == TokenKind::Close) --skipping;
      in_annotation_ = skipping != 0;
      continue;
    }
    if (t.kind == TokenKind::Annotation && !known_annotation(t.text)) {
      skipping = 1;
      in_annotation_ = true;
      skip_start = t.offset;
      continue;
    }
    out.push_back(t);
    if (t.kind == TokenKind::End) return out;
  }
}

}  // namespace

Result<Vec<Token>> tokenize(std::string_view source) {
  if (source.size() >= (uint64_t(1) << 32))
    return Error(ErrorKind::Exhaustion, "source is too large");
  return Lexer(source).run();
}

Result<String> string_value(const Token& token) {
  const auto fail = [&](std::string_view m, size_t i) {
    return Error(ErrorKind::Malformed, m, token.offset + i);
  };
  const std::string_view s = token.text;
  String out;
  out.reserve(s.size());
  for (size_t i = 1; i + 1 < s.size(); ++i) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    ++i;
    switch (s[i]) {
      case 't':
        out += '\t';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case '"':
        out += '"';
        break;
      case '\'':
        out += '\'';
        break;
      case '\\':
        out += '\\';
        break;
      case 'u': {
        if (i + 1 >= s.size() || s[i + 1] != '{') return fail("illegal escape", i);
        uint32_t value = 0;
        size_t k = i + 2;
        bool any = false;
        for (; k < s.size() && s[k] != '}'; ++k) {
          if (s[k] == '_' && any) continue;
          const int h = hex_digit(s[k]);
          if (h < 0) return fail("illegal escape", i);
          value = value * 16 + uint32_t(h);
          any = true;
          if (value > 0x10FFFF) return fail("illegal escape", i);
        }
        if (!any || k >= s.size() || (value >= 0xD800 && value < 0xE000))
          return fail("illegal escape", i);
        if (value < 0x80) {
          out += char(value);
        } else if (value < 0x800) {
          out += char(0xC0 | value >> 6);
          out += char(0x80 | (value & 0x3F));
        } else if (value < 0x10000) {
          out += char(0xE0 | value >> 12);
          out += char(0x80 | (value >> 6 & 0x3F));
          out += char(0x80 | (value & 0x3F));
        } else {
          out += char(0xF0 | value >> 18);
          out += char(0x80 | (value >> 12 & 0x3F));
          out += char(0x80 | (value >> 6 & 0x3F));
          out += char(0x80 | (value & 0x3F));
        }
        i = k;
        break;
      }
      default: {
        const int hi = hex_digit(s[i]);
        const int lo = i + 1 < s.size() ? hex_digit(s[i + 1]) : -1;
        if (hi < 0 || lo < 0) return fail("illegal escape", i);
        out += char(hi * 16 + lo);
        ++i;
      }
    }
  }
  return out;
}

Result<String> id_value(const Token& token) {
  if (token.text.size() > 1 && token.text[1] == '"') {
    Token inner = token;
    inner.text = token.text.substr(1);
    inner.offset = token.offset + 1;
    WAFER_LET(value, string_value(inner));
    if (value.empty()) return Error(ErrorKind::Malformed, "empty identifier", token.offset);
    if (!wasm::is_utf8(value))
      return Error(ErrorKind::Malformed, "malformed UTF-8 encoding", token.offset);
    return std::move(value);
  }
  return String(token.text.substr(1));
}

}  // namespace wafer::wat
