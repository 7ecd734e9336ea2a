// Encodings of strings. Strings between components are UTF-8 here; see Text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace wafer::component {

// What is wrong with bytes as UTF-8; null: nothing.
const char* utf8_fault(std::string_view bytes);

// UTF-16, little endian at any address, to UTF-8; nothing for a surrogate by itself.
std::optional<std::string> utf16_to_utf8(const uint8_t* units, size_t count);
std::string latin1_to_utf8(std::string_view bytes);

// Of valid UTF-8: its length in UTF-16 code units, in scalar values, and whether every scalar
// value is below U+0100.
struct TextSize {
  size_t utf16_units = 0;
  size_t scalars = 0;
  bool latin1 = true;
};
TextSize measure(std::string_view utf8);

// Valid UTF-8 to others; `out` has room.
void utf8_to_utf16(std::string_view utf8, uint8_t* out);
void utf8_to_latin1(std::string_view utf8, uint8_t* out);

// One scalar value as UTF-8.
void append_utf8(std::string& out, uint32_t scalar);

}  // namespace wafer::component
