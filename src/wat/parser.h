// Parsers of modules and components over a row of tokens; used by parse_wat and by scripts.
#pragma once

#include "wat/lexer.h"
#include "wat/wat.h"

namespace wafer::wat {

// Parses the module whose fields are tokens [begin, end), the parentheses and
// "module" keyword around them excluded, and encodes it. `name` is the module's
// identifier or empty.
Result<SourceBytes> parse_module_fields(const Vec<Token>& tokens, size_t begin, size_t end,
                                        std::string_view name, const ParseOptions& options);

// The same of a component, whose definitions are tokens [begin, end).
Result<SourceBytes> parse_component_fields(const Vec<Token>& tokens, size_t begin, size_t end,
                                           std::string_view name, const ParseOptions& options);

}  // namespace wafer::wat
