// Which slots of a frame hold references while code waits: maps of safepoints.
#pragma once

#include <utility>

#include "base/result.h"
#include "runtime/roots.h"

namespace wafer::interp {

// A map is a slot and the map of those below it on the operand stack, which others share: there
// may be as many safepoints as references. Maps are numbered from 1 on; 0 has none.
struct RefMapNode {
  uint32_t below;
  uint16_t slot;
};
using RefMapNodes = VecIf<runtime::kHasRoots, RefMapNode>;

// Makes the maps of a function.
class RefMapMaker {
 public:
  explicit RefMapMaker(RefMapNodes& nodes) : nodes_(nodes) {}

  // The operand at `height`, and those above, may be others than they were.
  void changed_from(uint32_t height) {
    if constexpr (runtime::kHasRoots)
      if (height < maps_.size()) maps_.resize(height);
  }
  // The map of the first `count` operands; `slot_of(i)` is where the operand `i` is if it is a
  // reference, or kNoSlot.
  static constexpr uint32_t kNoSlot = ~0u;
  template <class SlotOf>
  uint32_t map(uint32_t count, SlotOf&& slot_of) {
    if constexpr (runtime::kHasRoots) {
      while (maps_.size() < count) {
        uint32_t map = maps_.empty() ? 0 : maps_.back();
        const uint32_t slot = slot_of(uint32_t(maps_.size()));
        if (slot != kNoSlot) {
          nodes_.push_back({map, uint16_t(slot)});
          map = uint32_t(nodes_.size());
        }
        maps_.push_back(map);
      }
      if (count) return maps_[count - 1];
    }
    return 0;
  }

 private:
  RefMapNodes& nodes_;
  [[no_unique_address]] VecIf<runtime::kHasRoots, uint32_t> maps_;  // of so many operands, and one
};

}  // namespace wafer::interp
