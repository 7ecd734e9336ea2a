// Tokens of the text format (spec 6.3).
#pragma once

#include "base/result.h"

namespace wafer::wat {

enum class TokenKind : uint8_t {
  Open,
  Close,
  Keyword,
  Id,
  String,
  Number,
  Reserved,
  Annotation,
  End
};

struct Token {
  TokenKind kind = TokenKind::End;
  uint32_t offset = 0;
  // Source text; for Annotation the identifier after "(@".
  std::string_view text;
};

// Splits `source` into tokens, ending with one End token. Annotations whose name
// is not in the small set that the parser knows are left out with their contents.
Result<Vec<Token>> tokenize(std::string_view source);

// Contents of a String token: escapes resolved. Bytes need not be UTF-8.
Result<String> string_value(const Token& token);
// Name of an Id token, without the dollar sign; $"..." is resolved.
Result<String> id_value(const Token& token);

}  // namespace wafer::wat
