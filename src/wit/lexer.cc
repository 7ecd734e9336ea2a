#include "wit/lexer.h"

#include <algorithm>
#include <array>

#include "base/semver.h"
#include "component/names.h"

namespace wafer::wit {

namespace {

constexpr std::array<std::string_view, 43> kKeywords = {
    "as",       "async",     "bool", "borrow", "char",   "constructor", "enum",    "error-context",
    "export",   "f32",       "f64",  "flags",  "from",   "func",        "future",  "import",
    "include",  "interface", "list", "map",    "option", "own",         "package", "record",
    "resource", "result",    "s16",  "s32",    "s64",    "s8",          "static",  "stream",
    "string",   "tuple",     "type", "u16",    "u32",    "u64",         "u8",      "use",
    "variant",  "with",      "world"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_lower(c) || is_upper(c) || is_digit(c) || c == '-'; }

// Decodes the character at `s`; 0 bytes if that is not UTF-8.
uint32_t decode(std::string_view s, size_t& length) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char b = byte(0);
  length = b < 0x80 ? 1 : (b >> 5) == 6 ? 2 : (b >> 4) == 14 ? 3 : (b >> 3) == 30 ? 4 : 0;
  if (length == 0 || length > s.size()) return length = 0;
  uint32_t c = length == 1 ? b : b & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return length = 0;
    c = c << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kLeast[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return length = 0;
  return c;
}

const char* forbidden(uint32_t c) {
  if (c < 0x20 && c != '\n' && c != '\r' && c != '\t') return "control code";
  if (c >= 0x7f && c < 0xa0) return "control code";
  if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) return "bidirectional override";
  // Deprecated or strongly discouraged by the Unicode standard.
  if (c == 0x149 || c == 0x673 || c == 0xf77 || c == 0xf79 || c == 0x17a3 || c == 0x17a4 ||
      c == 0x17b4 || c == 0x17b5)
    return "discouraged character";
  return nullptr;
}

std::string_view trim(std::string_view s, bool front = true) {
  const std::string_view space = " \t\r\n";
  const size_t last = s.find_last_not_of(space);
  if (last == s.npos) return {};
  const size_t first = front ? s.find_first_not_of(space) : 0;
  return s.substr(first, last + 1 - first);
}

}  // namespace

bool is_keyword(std::string_view word) {
  return std::find(kKeywords.begin(), kKeywords.end(), word) != kKeywords.end();
}

Result<Lexer> Lexer::create(const SourceMap& sources, uint32_t start) {
  Lexer lexer;
  lexer.sources_ = &sources;
  lexer.start_ = start;
  lexer.text_ = sources.text_from(start);
  if (lexer.text_.substr(0, 3) == "\xef\xbb\xbf") lexer.pos_ = 3;
  WAFER_TRY(lexer.check_characters());
  WAFER_TRY(lexer.advance());
  return lexer;
}

Span Lexer::span(size_t from, size_t to) const {
  return {start_ + static_cast<uint32_t>(from), start_ + static_cast<uint32_t>(to)};
}

Error Lexer::error_at(size_t from, size_t to, std::string_view message) const {
  return sources_->error(ErrorKind::Malformed, span(from, to), message);
}

Result<void> Lexer::check_characters() const {
  for (size_t i = pos_; i < text_.size();) {
    size_t length = 1;
    const uint32_t c = decode(text_.substr(i), length);
    if (length == 0) return error_at(i, i + 1, "malformed UTF-8 encoding");
    if (const char* what = forbidden(c)) {
      char hex[8];
      snprintf(hex, sizeof hex, "%04x", c);
      return error_at(i, i + length, std::string(what) + " U+" + hex + " is not allowed");
    }
    i += length;
  }
  return {};
}

Result<void> Lexer::skip_space() {
  comments_.clear();
  docs_span_ = {};
  while (pos_ < text_.size()) {
    const size_t from = pos_;
    const char c = text_[pos_];
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
      ++pos_;
      continue;
    }
    const std::string_view two = text_.substr(pos_, 2);
    if (two == "//") {
      pos_ = std::min(text_.find('\n', pos_), text_.size());
    } else if (two == "/*") {
      uint32_t depth = 0;
      do {
        const std::string_view mark = text_.substr(pos_, 2);
        if (mark.size() < 2) return error_at(from, from + 2, "unterminated block comment");
        if (mark == "/*") ++depth;
        if (mark == "*/") --depth;
        pos_ += mark == "/*" || mark == "*/" ? 2 : 1;
      } while (depth);
    } else {
      break;
    }
    if (comments_.empty()) docs_span_ = span(from, pos_);
    docs_span_.end = span(from, pos_).end;
    comments_.push_back(text_.substr(from, pos_ - from));
  }
  return {};
}

Result<void> Lexer::advance() {
  WAFER_TRY(skip_space());
  const size_t from = pos_;
  const auto finish = [&](TokenKind kind, size_t to) {
    pos_ = to;
    token_ = {kind, span(from, to), text_.substr(from, to - from)};
  };
  if (from == text_.size()) {
    token_ = {TokenKind::End, span(from, from), {}};
    return {};
  }
  const char c = text_[from];
  if (text_.substr(from, 2) == "->") {
    finish(TokenKind::Punctuation, from + 2);
  } else if (std::string_view("=,:;(){}<>*/.@").find(c) != std::string_view::npos) {
    finish(TokenKind::Punctuation, from + 1);
  } else if (c == '_') {
    finish(TokenKind::Punctuation, from + 1);
  } else if (c == '"') {
    size_t i = from + 1;
    while (i < text_.size() && text_[i] != '"' && text_[i] != '\n') i += text_[i] == '\\' ? 2 : 1;
    if (i >= text_.size() || text_[i] != '"')
      return error_at(from, from + 1, "unterminated string literal");
    finish(TokenKind::String, i + 1);
  } else if (c == '%' || is_word(c)) {
    const size_t first = c == '%' ? from + 1 : from;
    size_t to = first;
    while (to < text_.size() && is_word(text_[to])) ++to;
    const std::string_view word = text_.substr(first, to - first);
    if (c != '%' && std::all_of(word.begin(), word.end(), is_digit)) {
      finish(TokenKind::Integer, to);
      return {};
    }
    std::string why;
    if (!component::is_label(word, &why))
      return error_at(from, std::max(to, from + 1),
                      "invalid identifier `" + std::string(word) + "`: " + why);
    const bool keyword = c != '%' && is_keyword(word);
    finish(keyword ? TokenKind::Keyword : TokenKind::Id, to);
    token_.text = word;
  } else {
    size_t length = 1;
    decode(text_.substr(from), length);
    return error_at(from, from + length,
                    "unexpected character `" + std::string(text_.substr(from, length)) + "`");
  }
  return {};
}

Result<Token> Lexer::next() {
  const Token t = token_;
  WAFER_TRY(advance());
  return t;
}

Result<bool> Lexer::take(std::string_view text) {
  if (!at(text)) return false;
  WAFER_TRY(advance());
  return true;
}

Error Lexer::unexpected(std::string_view wanted) const {
  std::string message = "expected " + std::string(wanted) + ", found ";
  switch (token_.kind) {
    case TokenKind::End:
      message += "the end of the file";
      break;
    case TokenKind::Keyword:
      message += "keyword `" + std::string(token_.text) + "`";
      break;
    case TokenKind::Id:
      message += "identifier `" + std::string(token_.text) + "`";
      break;
    default:
      message += "`" + std::string(token_.text) + "`";
  }
  return sources_->error(ErrorKind::Malformed, token_.span, message);
}

Result<Token> Lexer::expect(std::string_view text) {
  if (!at(text)) return unexpected("`" + std::string(text) + "`");
  return next();
}

Result<Token> Lexer::expect_id() {
  if (!at_id()) return unexpected("an identifier");
  return next();
}

Result<Token> Lexer::version() {
  const size_t from = token_.span.start - start_;
  size_t to = from;
  while (to < text_.size()) {
    const char c = text_[to];
    // In `use a:b/c@1.0.0.{d}` the last dot is not the version's.
    const bool dot = c == '.' && to + 1 < text_.size() && is_word(text_[to + 1]);
    if (!is_word(c) && c != '+' && !dot) break;
    ++to;
  }
  Token t{TokenKind::String, span(from, std::max(to, from + 1)), text_.substr(from, to - from)};
  if (!is_semver(t.text))
    return error_at(from, std::max(to, from + 1),
                    "`" + std::string(t.text) + "` is not a semantic version");
  pos_ = to;
  WAFER_TRY(advance());
  return t;
}

std::string Lexer::docs() const {
  // Lines without comment markers. What all comments are indented by is left out, but not within
  // a block comment, whose further lines are as they are written.
  std::vector<std::pair<std::string_view, bool>> lines;
  for (std::string_view c : comments_) {
    if (c.substr(0, 3) == "/**") {
      c = c.substr(3);
      if (c.size() >= 2 && c.substr(c.size() - 2) == "*/") c = c.substr(0, c.size() - 2);
    } else {
      c = c.substr(std::min(c.find_first_not_of('/'), c.size()));
    }
    for (bool first = true;; first = false) {
      const size_t newline = c.find('\n');
      lines.emplace_back(trim(c.substr(0, newline), false), first);
      if (newline == c.npos) break;
      c = c.substr(newline + 1);
    }
  }
  size_t indent = std::string_view::npos;
  for (const auto& [l, first] : lines)
    if (first && !l.empty()) indent = std::min(indent, l.find_first_not_of(" \t"));
  std::string out;
  for (const auto& [l, first] : lines) {
    if (!l.empty()) out += first ? l.substr(indent) : l;
    out += '\n';
  }
  const size_t last = out.find_last_not_of('\n');
  out.resize(last == out.npos ? 0 : last + 1);
  const size_t first = out.find_first_not_of('\n');
  return first == out.npos ? std::string() : out.substr(first);
}

}  // namespace wafer::wit
