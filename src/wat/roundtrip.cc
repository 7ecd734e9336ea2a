#include "wat/roundtrip.h"

#include "base/leb128.h"

namespace wafer::wat {

namespace {

struct Integer {
  uint64_t value = 0;
  size_t length = 0;  // 0: not an integer
};

template <class T, LebStatus (*read)(const uint8_t*&, const uint8_t*, T&)>
Integer integer_at(Bytes bytes, size_t at) {
  const uint8_t* p = bytes.data() + at;
  T value = 0;
  if (read(p, bytes.data() + bytes.size(), value) != LebStatus::Ok) return {};
  return {uint64_t(value), size_t(p - bytes.data()) - at};
}

Integer unsigned_at(Bytes bytes, size_t at) {
  return integer_at<uint64_t, read_uleb<64>>(bytes, at);
}
Integer signed_at(Bytes bytes, size_t at) { return integer_at<int64_t, read_sleb<64>>(bytes, at); }

}  // namespace

bool is_shortened(Bytes from, Bytes to) {
  // Where something with a size ends, in both.
  struct Extent {
    uint64_t from, to;
  };
  Vec<Extent> extents;
  size_t i = 0, j = 0;
  for (;;) {
    while (!extents.empty() && (i == extents.back().from || j == extents.back().to)) {
      if (i != extents.back().from || j != extents.back().to) return false;
      extents.pop_back();
    }
    if (i == from.size() || j == to.size()) return i == from.size() && j == to.size();
    if (from[i] == to[j]) {
      ++i, ++j;
      continue;
    }
    const auto padded = [&](Integer a, Integer b) {
      if (!b.length || a.value != b.value || a.length <= b.length) return false;
      i += a.length, j += b.length;
      return true;
    };
    if (padded(unsigned_at(from, i), unsigned_at(to, j)) ||
        padded(signed_at(from, i), signed_at(to, j)))
      continue;
    if (from[i] == 0x63 && i + 1 < from.size() && from[i + 1] == to[j]) {
      ++i;
      continue;
    }
    if (from[i] == (to[j] | 0x40) && i + 1 < from.size()) {
      const Integer memory = unsigned_at(from, i + 1);
      if (memory.length && memory.value == 0) {
        i += 1 + memory.length, ++j;
        continue;
      }
    }
    // A size, of which the first bytes may be the same.
    while (i && j && (from[i - 1] & 0x80) && from[i - 1] == to[j - 1]) --i, --j;
    const Integer a = unsigned_at(from, i), b = unsigned_at(to, j);
    if (!a.length || !b.length || a.value <= b.value) return false;
    i += a.length, j += b.length;
    if (a.value > from.size() - i || b.value > to.size() - j) return false;
    extents.push_back({i + a.value, j + b.value});
  }
}

}  // namespace wafer::wat
