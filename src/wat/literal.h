// Numeric literals of the text format (spec 6.3.1, 6.3.2).
#pragma once

#include <optional>
#include <string_view>

#include "base/memory.h"

namespace wafer::wat {

// Unsigned literal of at most `bits` bits, no sign allowed; nothing if the text is
// not one or does not fit.
std::optional<uint64_t> parse_unsigned(std::string_view text, unsigned bits);
// Signed or unsigned literal in [-2^(bits-1), 2^bits), as its low `bits` bits.
std::optional<uint64_t> parse_integer(std::string_view text, unsigned bits);
// Float literal, correctly rounded, as bits; nothing if malformed or too large.
std::optional<uint32_t> parse_f32(std::string_view text);
std::optional<uint64_t> parse_f64(std::string_view text);

}  // namespace wafer::wat
