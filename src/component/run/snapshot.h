// What components of a store are after they were made, to make them so again.
#pragma once

#include <optional>

#include "component/run/state.h"
#include "runtime/snapshot.h"

namespace wafer::component {

class ComponentSnapshot {
 public:
  // Of instances that nothing was called of yet. None if they cannot be put back: making them
  // called the host, left handles behind, or the core store cannot be (StoreSnapshot::take).
  static std::optional<ComponentSnapshot> take(ComponentStore& store);
  // Makes them what they were: handles are gone (what stands behind those of the host is the
  // host's to drop, before this), and so is all that was written. False if something is still
  // under way, or the core store cannot be put back: then the store must not be used again.
  bool restore(ComponentStore& store) const;

 private:
  static bool quiet(ComponentStore& store);

  runtime::StoreSnapshot core_;
  size_t instances_ = 0;
};

}  // namespace wafer::component
