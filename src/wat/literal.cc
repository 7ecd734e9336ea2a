#include "wat/literal.h"

#include <locale.h>
#include <stdlib.h>

#include <bit>
#include <cmath>

namespace wafer::wat {

namespace {

bool is_digit(char c, bool hex) {
  return (c >= '0' && c <= '9') || (hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));
}

// A sequence of digits with single underscores between; advances `i`.
bool digits(std::string_view s, size_t& i, bool hex) {
  const size_t start = i;
  bool last_digit = false;
  while (i < s.size()) {
    if (is_digit(s[i], hex)) {
      last_digit = true;
    } else if (s[i] == '_' && last_digit) {
      last_digit = false;
    } else {
      break;
    }
    ++i;
  }
  return i > start && last_digit;
}

std::optional<uint64_t> magnitude(std::string_view s) {
  const bool hex = s.substr(0, 2) == "0x";
  if (hex) s.remove_prefix(2);
  if (s.empty()) return std::nullopt;
  const uint64_t base = hex ? 16 : 10;
  uint64_t value = 0;
  bool digit_before = false;
  for (const char c : s) {
    unsigned d;
    if (c == '_' && digit_before) {
      digit_before = false;
      continue;
    } else if (c >= '0' && c <= '9') {
      d = unsigned(c - '0');
    } else if (hex && c >= 'a' && c <= 'f') {
      d = unsigned(c - 'a') + 10;
    } else if (hex && c >= 'A' && c <= 'F') {
      d = unsigned(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    digit_before = true;
    if (value > (~uint64_t{0} - d) / base) return std::nullopt;
    value = value * base + d;
  }
  if (!digit_before) return std::nullopt;
  return value;
}

// F: float or double; U: its bits; Mantissa: explicit mantissa bits.
template <class F, class U, unsigned Mantissa>
std::optional<U> parse_float(std::string_view s) {
  constexpr unsigned kBits = sizeof(U) * 8;
  constexpr U kExponent = ((U(1) << (kBits - 1 - Mantissa)) - 1) << Mantissa;
  U sign = 0;
  std::string_view rest = s;
  if (!rest.empty() && (rest[0] == '+' || rest[0] == '-')) {
    if (rest[0] == '-') sign = U(1) << (kBits - 1);
    rest.remove_prefix(1);
  }
  if (rest == "inf") return U(sign | kExponent);
  if (rest == "nan") return U(sign | kExponent | U(1) << (Mantissa - 1));
  if (rest.substr(0, 4) == "nan:") {
    const auto payload = magnitude(rest.substr(4));
    if (!payload || rest.substr(4, 2) != "0x" || *payload == 0 || *payload >> Mantissa)
      return std::nullopt;
    return U(sign | kExponent | U(*payload));
  }
  // The token's shape has been checked; strtod wants it without underscores.
  String clean;
  for (const char c : rest)
    if (c != '_') clean += c;
  if (clean.empty() || !((clean[0] >= '0' && clean[0] <= '9'))) return std::nullopt;
  static const locale_t kLocale = newlocale(LC_ALL_MASK, "C", nullptr);
  char* end = nullptr;
  F v;
  if constexpr (sizeof(F) == 4)
    v = strtof_l(clean.c_str(), &end, kLocale);
  else
    v = strtod_l(clean.c_str(), &end, kLocale);
  if (*end != 0 || std::isinf(v)) return std::nullopt;
  return U(std::bit_cast<U>(v) | sign);
}

}  // namespace

bool is_number(std::string_view s) {
  size_t i = 0;
  if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
  const std::string_view rest = s.substr(i);
  if (rest == "inf" || rest == "nan") return true;
  if (rest.substr(0, 6) == "nan:0x") {
    size_t k = 6;
    return digits(rest, k, true) && k == rest.size();
  }
  const bool hex = rest.substr(0, 2) == "0x";
  if (hex) i += 2;
  if (!digits(s, i, hex)) return false;
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (i < s.size() && is_digit(s[i], hex) && !digits(s, i, hex)) return false;
  }
  if (i < s.size() && (hex ? (s[i] == 'p' || s[i] == 'P') : (s[i] == 'e' || s[i] == 'E'))) {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-')) ++i;
    if (!digits(s, i, false)) return false;
  }
  return i == s.size();
}

const LaneShape* lane_shape(std::string_view name) {
  static constexpr LaneShape kShapes[] = {{"i8x16", 16, false}, {"i16x8", 8, false},
                                          {"i32x4", 4, false},  {"i64x2", 2, false},
                                          {"f32x4", 4, true},   {"f64x2", 2, true}};
  for (const LaneShape& s : kShapes)
    if (s.name == name) return &s;
  return nullptr;
}

std::optional<uint64_t> parse_lane(const LaneShape& shape, std::string_view text) {
  if (!shape.is_float) return parse_integer(text, shape.bits());
  if (shape.bits() == 32) return parse_f32(text);
  return parse_f64(text);
}

std::optional<uint64_t> parse_unsigned(std::string_view text, unsigned bits) {
  const auto v = magnitude(text);
  if (!v || (bits < 64 && *v >> bits)) return std::nullopt;
  return v;
}

std::optional<uint64_t> parse_integer(std::string_view text, unsigned bits) {
  if (text.empty()) return std::nullopt;
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') text.remove_prefix(1);
  const auto v = magnitude(text);
  if (!v) return std::nullopt;
  const uint64_t mask = bits < 64 ? (uint64_t(1) << bits) - 1 : ~uint64_t{0};
  if (negative) {
    if (*v > uint64_t(1) << (bits - 1)) return std::nullopt;
    return (0 - *v) & mask;
  }
  if (*v > mask) return std::nullopt;
  return v;
}

std::optional<uint32_t> parse_f32(std::string_view text) {
  return parse_float<float, uint32_t, 23>(text);
}
std::optional<uint64_t> parse_f64(std::string_view text) {
  return parse_float<double, uint64_t, 52>(text);
}

}  // namespace wafer::wat
