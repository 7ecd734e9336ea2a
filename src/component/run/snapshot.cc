#include "component/run/snapshot.h"

#include <algorithm>

#include "component/run/task.h"

namespace wafer::component {

namespace {

// Larger memories are rather made anew.
constexpr uint64_t kMostBytes = 256 << 20;

}  // namespace

bool ComponentSnapshot::quiet(ComponentStore& store) {
  if (store.current || store.depth != 0 || store.outstanding != 0 || !store.blocked.empty() ||
      store.closing || !store.idle_now())
    return false;
  return std::all_of(store.instances.begin(), store.instances.end(), [](const auto& i) {
    return i->complete && !i->root->poisoned && i->threads.live() == 0 && i->may_leave() &&
           i->backpressure == 0 && i->waiting_to_enter == 0 && !i->exclusive && i->entering.empty();
  });
}

std::optional<ComponentSnapshot> ComponentSnapshot::take(ComponentStore& store) {
  if (store.host_calls != 0 || !quiet(store)) return std::nullopt;
  for (const auto& instance : store.instances)
    if (instance->handles.live() != 0) return std::nullopt;
  ComponentSnapshot out;
  out.instances_ = store.instances.size();
  if (!out.core_.take(store.core, kMostBytes)) return std::nullopt;
  return out;
}

bool ComponentSnapshot::restore(ComponentStore& store) const {
  if (!quiet(store) || store.instances.size() != instances_) return false;
  for (const auto& instance : store.instances) {
    // Numbers of handles begin anew, too.
    instance->handles.clear();
    instance->threads.clear();
  }
  return core_.restore(store.core);
}

}  // namespace wafer::component
