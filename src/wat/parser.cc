// Parsing of whole modules (spec 6.6.13) and components.
#include "wat/module_parser.h"

namespace wafer::wat {

Result<SourceBytes> ModuleParser::run(std::string_view name) {
  WAFER_TRY(scan());
  // Types first: implicit ones come after every explicit one.
  fields_.resize(types_.count);
  for (const FieldRef& f : fields_list_) {
    p_ = f.token;
    const uint32_t source = source_of(f);
    if (f.keyword == "type") {
      WAFER_TRY(type_def());
      groups_.push_back({1, false, source});
      note_plain(uint32_t(defs_.size() - 1));
    } else if (f.keyword == "rec") {
      uint32_t n = 0;
      while (open("type")) {
        WAFER_TRY(type_def());
        ++n;
      }
      WAFER_TRY(close());
      groups_.push_back({n, true, source});
      if (n == 1) note_plain(uint32_t(defs_.size() - 1));
    }
  }
  for (const FieldRef& f : fields_list_) WAFER_TRY(parse_field(f));
  return encode(name);
}

Result<SourceBytes> parse_module_fields(const Vec<Token>& tokens, size_t begin, size_t end,
                                        std::string_view name, const ParseOptions& options) {
  return ModuleParser(tokens, begin, end, options).run(name);
}

Result<SourceBytes> parse_wat(std::string_view source, const ParseOptions& options) {
  WAFER_LET(tokens, tokenize(source));
  size_t begin = 0, end = tokens.size() - 1;
  String name;
  const bool component =
      end >= 2 && tokens[0].kind == TokenKind::Open && tokens[1].text == "component";
  const bool wrapped =
      component || (end >= 2 && tokens[0].kind == TokenKind::Open && tokens[1].text == "module");
  if (wrapped) {
    begin = 2;
    if (begin < end && tokens[begin].kind == TokenKind::Id) {
      WAFER_LET(id, id_value(tokens[begin]));
      name = id;
      ++begin;
    }
    if (begin < end && tokens[begin].kind == TokenKind::Keyword && tokens[begin].text == "binary") {
      SourceBytes bytes;
      for (++begin; begin + 1 < end; ++begin) {
        if (tokens[begin].kind != TokenKind::String)
          return Error(ErrorKind::Malformed, "unexpected token", tokens[begin].offset);
        bytes.mark(tokens[begin].offset);
        WAFER_LET(s, string_value(tokens[begin]));
        bytes.insert(bytes.end(), s.begin(), s.end());
      }
      return bytes;
    }
    // The parenthesis that closes the module must be the last token.
    size_t depth = 0, close = end;
    for (size_t i = 0; i < end; ++i) {
      if (tokens[i].kind == TokenKind::Open || tokens[i].kind == TokenKind::Annotation) ++depth;
      if (tokens[i].kind == TokenKind::Close && --depth == 0) {
        close = i;
        break;
      }
    }
    if (close == end) return Error(ErrorKind::Malformed, "unexpected end", tokens[end].offset);
    if (close + 1 != end)
      return Error(ErrorKind::Malformed, "unexpected token", tokens[close + 1].offset);
    end = close;
  }
  return component ? parse_component_fields(tokens, begin, end, name, options)
                   : parse_module_fields(tokens, begin, end, name, options);
}

LineColumn line_column(std::string_view source, uint64_t offset) {
  LineColumn at;
  for (uint64_t i = 0; i < offset && i < source.size(); ++i) {
    if (source[i] == '\n') {
      ++at.line;
      at.column = 1;
    } else {
      ++at.column;
    }
  }
  return at;
}

}  // namespace wafer::wat
