// Encoded bytes that remember where in their source they came from.
#pragma once

#include <algorithm>
#include <optional>

#include "base/result.h"
#include "base/span.h"

namespace wafer {

// Marks say of which place in the source the bytes from an offset on are, until the next mark.
struct SourceBytes : Vec<uint8_t> {
  struct Mark {
    uint32_t offset, source;
  };
  Vec<Mark> marks;  // by rising offset

  using Vec<uint8_t>::Vec;
  void mark(uint32_t source) { marks.push_back({uint32_t(size()), source}); }
  // What stands around parts, as the head of a section, is where the first of them is.
  void mark_around(const Vec<Mark>& parts) {
    if (!parts.empty()) mark(parts[0].source);
  }
  // Marks of what was encoded apart and comes next.
  void take_marks(const Vec<Mark>& from) {
    for (const Mark& m : from) marks.push_back({uint32_t(size()) + m.offset, m.source});
  }
  void append(const SourceBytes& other) {
    take_marks(other.marks);
    insert(end(), other.begin(), other.end());
  }
  // Where what stands at `offset` came from; none if that is in front of all marks.
  std::optional<uint32_t> source_of(uint64_t offset) const {
    auto next = std::upper_bound(marks.begin(), marks.end(), offset,
                                 [](uint64_t at, const Mark& m) { return at < m.offset; });
    if (next == marks.begin()) return std::nullopt;
    return std::prev(next)->source;
  }
  // An error in these bytes, with its offset in the source.
  Error in_source(Error error) const {
    if (error.offset != Error::kNoOffset) error.offset = source_of(error.offset).value_or(0);
    return error;
  }
};

}  // namespace wafer
