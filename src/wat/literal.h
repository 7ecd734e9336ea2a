// Numeric literals of the text format (spec 6.3.1, 6.3.2).
#pragma once

#include <optional>
#include <string_view>

#include "base/memory.h"

namespace wafer::wat {

// Is this the token of an integer or a float, NaN and infinity included? What parse_f32 and
// parse_f64 are given has to be.
bool is_number(std::string_view text);

// Unsigned literal of at most `bits` bits, no sign allowed; nothing if the text is
// not one or does not fit.
std::optional<uint64_t> parse_unsigned(std::string_view text, unsigned bits);
// Signed or unsigned literal in [-2^(bits-1), 2^bits), as its low `bits` bits.
std::optional<uint64_t> parse_integer(std::string_view text, unsigned bits);
// Float literal, correctly rounded, as bits; nothing if malformed or too large.
std::optional<uint32_t> parse_f32(std::string_view text);
std::optional<uint64_t> parse_f64(std::string_view text);

// How v128.const divides a vector: "i32x4", ...
struct LaneShape {
  std::string_view name;
  unsigned lanes;
  bool is_float;
  unsigned bits() const { return 128 / lanes; }
};
// Null if there is no such shape.
const LaneShape* lane_shape(std::string_view name);
// One lane's literal as its bits.
std::optional<uint64_t> parse_lane(const LaneShape& shape, std::string_view text);

}  // namespace wafer::wat
