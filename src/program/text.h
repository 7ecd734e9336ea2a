// Words for people.
#pragma once

#include <string>
#include <string_view>

namespace wafer::program {

// `text` with control characters and invalid UTF-8 escaped, so that names from a
// module cannot write escape sequences to a terminal.
std::string printable(std::string_view text);

// What usually provides the imports from `module`, one of whose names is `name`; empty
// where that is not known.
std::string_view usual_provider(std::string_view module, std::string_view name);

}  // namespace wafer::program
