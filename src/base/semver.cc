#include "base/semver.h"

#include <algorithm>

namespace wafer {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool all_digits(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), is_digit);
}
bool is_number(std::string_view s) { return all_digits(s) && (s.size() == 1 || s[0] != '0'); }
bool is_identifier(std::string_view s) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

// Takes the part before the next `mark` from the front of `s`.
std::string_view take_part(std::string_view& s, char mark) {
  const size_t at = s.find(mark);
  const std::string_view part = s.substr(0, at);
  s = at == s.npos ? std::string_view() : s.substr(at + 1);
  return part;
}

template <class F>
bool all_parts(std::string_view s, F&& ok) {
  while (true) {
    const bool last = s.find('.') == s.npos;
    if (!ok(take_part(s, '.'))) return false;
    if (last) return true;
  }
}

struct Parts {
  std::string_view numbers, pre;
  explicit Parts(std::string_view text) {
    text = text.substr(0, text.find('+'));
    pre = text;
    numbers = take_part(pre, '-');
  }
};

std::strong_ordering compare_numbers(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

}  // namespace

bool is_semver(std::string_view text) {
  const size_t plus = text.find('+');
  if (plus != text.npos && !all_parts(text.substr(plus + 1), is_identifier)) return false;
  text = text.substr(0, plus);
  const size_t hyphen = text.find('-');
  if (hyphen != text.npos && !all_parts(text.substr(hyphen + 1), [](std::string_view s) {
        return is_identifier(s) && (!all_digits(s) || is_number(s));
      }))
    return false;
  text = text.substr(0, hyphen);
  return std::count(text.begin(), text.end(), '.') == 2 &&
         all_parts(text, [](std::string_view s) { return is_number(s) && s.size() < 20; });
}

std::strong_ordering compare_semver(std::string_view a, std::string_view b) {
  Parts x(a), y(b);
  for (int i = 0; i < 3; ++i) {
    const auto order = compare_numbers(take_part(x.numbers, '.'), take_part(y.numbers, '.'));
    if (order != 0) return order;
  }
  // A version is later than its pre-releases.
  if (x.pre.empty() || y.pre.empty()) return x.pre.empty() <=> y.pre.empty();
  while (!x.pre.empty() && !y.pre.empty()) {
    const std::string_view p = take_part(x.pre, '.');
    const std::string_view q = take_part(y.pre, '.');
    const bool numeric = all_digits(p);
    if (numeric != all_digits(q))
      return numeric ? std::strong_ordering::less : std::strong_ordering::greater;
    const auto order = numeric ? compare_numbers(p, q) : p <=> q;
    if (order != 0) return order;
  }
  return y.pre.empty() <=> x.pre.empty();
}

std::string_view compatible_version(std::string_view version) {
  const Parts parts(version);
  if (!parts.pre.empty()) return version.substr(0, version.find('+'));
  std::string_view rest = parts.numbers;
  size_t length = 0;
  for (int i = 0; i < 3; ++i) {
    const std::string_view part = take_part(rest, '.');
    length += part.size();
    if (part != "0") break;
    ++length;
  }
  return version.substr(0, std::min(length, parts.numbers.size()));
}

}  // namespace wafer
