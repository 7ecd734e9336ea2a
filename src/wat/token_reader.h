// What the parsers of modules and of components share: a place in a row of tokens, and the
// identifiers of index spaces.
#pragma once

#include <optional>

#include "wasm/cursor.h"
#include "wat/lexer.h"
#include "wat/literal.h"

namespace wafer::wat {

using IdMap = HashMap<String, uint32_t, StringHash, StringEqual>;

// Names of an index space for the name section, by index.
using DebugNames = Vec<std::pair<uint32_t, String>>;

struct IndexSpace {
  const char* what;  // for messages: "function"
  IdMap names;
  uint32_t count = 0;
  DebugNames debug;
};

class TokenReader {
 protected:
  using Status = Result<void>;

  TokenReader(const Vec<Token>& tokens, size_t begin, size_t end)
      : tokens_(tokens), p_(begin), end_(end) {}

  // ---- tokens
  const Token& peek(size_t ahead = 0) const {
    static const Token kEnd;
    return p_ + ahead < end_ ? tokens_[p_ + ahead] : kEnd;
  }
  uint32_t here() const { return p_ < tokens_.size() ? tokens_[p_].offset : tokens_.back().offset; }
  Error fail(std::string_view message) const {
    return Error(ErrorKind::Malformed, message, here());
  }
  // Words that were once part of the format, and NaNs without a proper payload.
  static bool is_obsolete(std::string_view text) {
    return text == "anyfunc" ||
           (text.substr(0, 4) == "nan:" && text.size() > 4 && text[4] >= '0' && text[4] <= '9');
  }
  Error unknown_operator() const {
    String m("unknown operator ");
    m += peek().text.substr(0, 40);
    return fail(m);
  }
  Error unexpected() const {
    const Token& t = peek();
    if (t.kind == TokenKind::Annotation) {
      String m("misplaced @");
      m += t.text;
      m += " annotation";
      return fail(m);
    }
    if (t.kind == TokenKind::Reserved || is_obsolete(t.text)) return unknown_operator();
    String m("unexpected token");
    if (peek().kind != TokenKind::End) {
      m += " ";
      m += peek().text.substr(0, 40);
    }
    return fail(m);
  }
  bool at_open(std::string_view keyword) const {
    return peek().kind == TokenKind::Open && peek(1).kind == TokenKind::Keyword &&
           peek(1).text == keyword;
  }
  bool at_keyword(std::string_view k) const {
    return peek().kind == TokenKind::Keyword && peek().text == k;
  }
  // Takes "(keyword" if it is next.
  bool open(std::string_view keyword) {
    if (!at_open(keyword)) return false;
    p_ += 2;
    return true;
  }
  bool take_keyword(std::string_view k) {
    if (!at_keyword(k)) return false;
    ++p_;
    return true;
  }
  Status close() {
    if (peek().kind != TokenKind::Close) return unexpected();
    ++p_;
    return {};
  }
  bool at_index() const { return peek().kind == TokenKind::Id || peek().kind == TokenKind::Number; }
  // Moves past the group whose "(" or "(@" is at p_.
  void skip_group() {
    size_t depth = 0;
    do {
      const TokenKind k = tokens_[p_++].kind;
      if (k == TokenKind::Open || k == TokenKind::Annotation) ++depth;
      if (k == TokenKind::Close) --depth;
    } while (depth && p_ < end_);
  }
  bool at_annotation(std::string_view name) const {
    return peek().kind == TokenKind::Annotation && peek().text == name;
  }
  // Moves past the identifier and the (@name ...) that scan() has read.
  void skip_binding() {
    if (peek().kind == TokenKind::Id) ++p_;
    if (at_annotation("name")) skip_group();
  }
  Result<String> string() {
    if (peek().kind != TokenKind::String) return unexpected();
    return string_value(tokens_[p_++]);
  }
  Result<String> name_string() {
    const Token t = peek();
    WAFER_LET(s, string());
    if (!wasm::is_utf8(s)) return Error(ErrorKind::Malformed, "malformed UTF-8 encoding", t.offset);
    return std::move(s);
  }
  Result<uint32_t> u32() {
    if (peek().kind != TokenKind::Number) return unexpected();
    const auto v = parse_unsigned(peek().text, 32);
    if (!v) {
      if (peek().text.find_first_of(".+-einp") != std::string_view::npos &&
          peek().text.substr(0, 2) != "0x")
        return unexpected();
      return fail("i32 constant out of range");
    }
    ++p_;
    return uint32_t(*v);
  }
  Result<uint64_t> u64() {
    if (peek().kind != TokenKind::Number) return unexpected();
    const auto v = parse_unsigned(peek().text, 64);
    if (!v) return fail("i64 constant out of range");
    ++p_;
    return *v;
  }

  // ---- identifiers
  // Gives the next definition of `space` its index and takes an optional id.
  Result<uint32_t> define(IndexSpace& space);
  // Takes the id and the (@name "...") of `index`, whose kind is `what`; the id goes to
  // `ids`, and the name, or else the id, to `names`, if that is given.
  Status binding(std::string_view what, uint32_t index, IdMap& ids, DebugNames* names);
  bool at_binding() const { return peek().kind == TokenKind::Id || at_annotation("name"); }
  // The rest of a (@name "...") of a `what`.
  Result<String> annotation_name(std::string_view what);
  Result<uint32_t> index(const IndexSpace& space);
  // What an identifier that `space` does not have means; nothing if it is unknown.
  virtual std::optional<uint32_t> outer_index(const IndexSpace& space, std::string_view id);
  ~TokenReader() = default;

  const Vec<Token>& tokens_;
  size_t p_, end_;
};

}  // namespace wafer::wat
