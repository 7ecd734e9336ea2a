// Tokens of WIT (WIT.md, "Lexical structure").
#pragma once

#include <string_view>

#include "wit/source.h"

namespace wafer::wit {

enum class TokenKind : uint8_t {
  End,
  Punctuation,  // one of = , : ; ( ) { } < > * -> / . @ _
  Keyword,
  Id,  // also with a leading %
  Integer,
  String,
};

struct Token {
  TokenKind kind = TokenKind::End;
  Span span;
  std::string_view text;  // of an Id without the %
};

// Reads one file's tokens, one ahead. Checks the file's characters first: no control codes but
// newline, carriage return and tab, no bidirectional overrides, nothing that Unicode discourages.
class Lexer {
 public:
  // `start` is where the text is in `sources`, which must outlive the lexer.
  static Result<Lexer> create(const SourceMap& sources, uint32_t start);

  const Token& peek() const { return token_; }
  Result<Token> next();

  bool at(std::string_view text) const {
    return token_.text == text && token_.kind != TokenKind::Id && token_.kind != TokenKind::String;
  }
  bool at_id() const { return token_.kind == TokenKind::Id; }
  // Takes the token if it is this punctuation or keyword.
  Result<bool> take(std::string_view text);
  Result<Token> expect(std::string_view text);
  Result<Token> expect_id();
  // An error that says what stands where `wanted` should.
  Error unexpected(std::string_view wanted) const;

  // A semantic version, read from where the token ahead starts.
  Result<Token> version();
  // The comments directly before the token ahead, without their markers.
  std::string docs() const;
  // Of those comments; empty where there are none.
  Span docs_span() const { return docs_span_; }

  const SourceMap& sources() const { return *sources_; }

 private:
  Result<void> check_characters() const;
  Result<void> advance();
  Result<void> skip_space();
  Error error_at(size_t from, size_t to, std::string_view message) const;
  Span span(size_t from, size_t to) const;

  const SourceMap* sources_ = nullptr;
  uint32_t start_ = 0;
  std::string_view text_;
  size_t pos_ = 0;  // after the token ahead
  Token token_;
  std::vector<std::string_view> comments_;
  Span docs_span_;
};

bool is_keyword(std::string_view word);

}  // namespace wafer::wit
