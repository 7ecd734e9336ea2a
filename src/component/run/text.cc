#include "component/run/text.h"

#include <cstring>

#include "wasm/cursor.h"

namespace wafer::component {

namespace {

// The scalar value at `at` of valid UTF-8, which moves past it.
uint32_t next(std::string_view s, size_t& at) {
  const auto byte = [&](size_t i) { return uint32_t(uint8_t(s[i])); };
  const uint32_t a = byte(at);
  if (a < 0x80) return ++at, a;
  if (a < 0xe0) {
    at += 2;
    return (a & 0x1f) << 6 | (byte(at - 1) & 0x3f);
  }
  if (a < 0xf0) {
    at += 3;
    return (a & 0x0f) << 12 | (byte(at - 2) & 0x3f) << 6 | (byte(at - 1) & 0x3f);
  }
  at += 4;
  return (a & 0x07) << 18 | (byte(at - 3) & 0x3f) << 12 | (byte(at - 2) & 0x3f) << 6 |
         (byte(at - 1) & 0x3f);
}

// How many bytes from `at` on are ASCII.
size_t ascii_run(std::string_view s, size_t at) {
  const size_t begin = at;
  // In blocks, which a compiler makes vector code of.
  while (at + 64 <= s.size()) {
    uint64_t words[8], any = 0;
    std::memcpy(words, s.data() + at, 64);
    for (uint64_t w : words) any |= w;
    if (any & 0x8080808080808080) break;
    at += 64;
  }
  while (at + 8 <= s.size()) {
    uint64_t word;
    std::memcpy(&word, s.data() + at, 8);
    if (word & 0x8080808080808080) break;
    at += 8;
  }
  while (at < s.size() && uint8_t(s[at]) < 0x80) ++at;
  return at - begin;
}

}  // namespace

void append_utf8(std::string& out, uint32_t c) {
  const auto tail = [&](unsigned shift) { out += char(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xc0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    out += char(0xe0 | c >> 12);
    tail(6);
    tail(0);
  } else {
    out += char(0xf0 | c >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

const char* utf8_fault(std::string_view bytes) {
  if (ascii_run(bytes, 0) == bytes.size() || wasm::is_utf8(bytes)) return nullptr;
  // A sequence that is right as far as it goes and ends with the string is called incomplete.
  for (size_t cut = 1; cut <= 3 && cut <= bytes.size(); ++cut) {
    const uint8_t lead = uint8_t(bytes[bytes.size() - cut]);
    if ((lead & 0xc0) == 0x80) continue;
    const size_t length = lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 1;
    if (lead < 0xf5 && length > cut && wasm::is_utf8(bytes.substr(0, bytes.size() - cut)))
      return "incomplete utf-8 byte sequence";
    break;
  }
  return "invalid utf-8";
}

std::optional<std::string> utf16_to_utf8(const uint8_t* units, size_t count) {
  std::string out;
  out.reserve(count + 16);
  const auto unit = [&](size_t i) {
    return uint32_t(units[2 * i]) | uint32_t(units[2 * i + 1]) << 8;
  };
  for (size_t i = 0; i < count; ++i) {
    // Sixteen units of ASCII at a time.
    while (i + 16 <= count) {
      uint64_t words[4], any = 0;
      std::memcpy(words, units + 2 * i, 32);
      for (uint64_t w : words) any |= w;
      if (any & 0xff80ff80ff80ff80) break;
      char block[16];
      for (size_t k = 0; k < 16; ++k) block[k] = char(units[2 * (i + k)]);
      out.append(block, 16);
      i += 16;
    }
    if (i == count) break;
    uint32_t c = unit(i);
    if (c >= 0xd800 && c < 0xe000) {
      if (c >= 0xdc00 || i + 1 == count) return std::nullopt;
      const uint32_t low = unit(++i);
      if (low < 0xdc00 || low >= 0xe000) return std::nullopt;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, c);
  }
  return out;
}

std::string latin1_to_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t i = 0; i < bytes.size();) {
    const size_t run = ascii_run(bytes, i);
    out.append(bytes.substr(i, run));
    i += run;
    if (i < bytes.size()) append_utf8(out, uint8_t(bytes[i++]));
  }
  return out;
}

TextSize measure(std::string_view s) {
  TextSize out;
  for (size_t i = 0; i < s.size();) {
    const size_t run = ascii_run(s, i);
    i += run;
    out.utf16_units += run;
    out.scalars += run;
    if (i == s.size()) break;
    const uint32_t c = next(s, i);
    out.utf16_units += c >= 0x10000 ? 2 : 1;
    ++out.scalars;
    out.latin1 &= c < 0x100;
  }
  return out;
}

void utf8_to_utf16(std::string_view s, uint8_t* out) {
  const auto put = [&](uint32_t unit) {
    *out++ = uint8_t(unit);
    *out++ = uint8_t(unit >> 8);
  };
  for (size_t i = 0; i < s.size();) {
    for (size_t run = ascii_run(s, i); run; --run) put(uint8_t(s[i++]));
    if (i == s.size()) break;
    const uint32_t c = next(s, i);
    if (c < 0x10000) {
      put(c);
    } else {
      put(0xd800 + ((c - 0x10000) >> 10));
      put(0xdc00 + ((c - 0x10000) & 0x3ff));
    }
  }
}

void utf8_to_latin1(std::string_view s, uint8_t* out) {
  for (size_t i = 0; i < s.size();) *out++ = uint8_t(next(s, i));
}

}  // namespace wafer::component
