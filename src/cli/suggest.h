// Help for those who mistyped, and for those whose module wants what is not here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wafer::cli {

// Of `known`, the word that `word` is most likely a slip of; empty if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

// "; did you mean 'X'?", or nothing.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

// One line on stderr: "hint: MESSAGE".
void print_hint(std::string_view message);

}  // namespace wafer::cli
