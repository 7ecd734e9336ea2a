#include "compiler/code_region.h"

#include <algorithm>
#include <mutex>
#include <shared_mutex>

namespace wafer::compiler {

namespace {

std::shared_mutex mutex;
Vec<CodeRegion*> regions;

}  // namespace

void CodeRegion::enter_region(const void* begin, size_t size) {
  const std::unique_lock lock(mutex);
  begin_ = reinterpret_cast<uintptr_t>(begin);
  end_ = begin_ + size;
  regions.push_back(this);
  entered_ = true;
}

void CodeRegion::leave_region() {
  if (!entered_) return;
  const std::unique_lock lock(mutex);
  regions.erase(std::find(regions.begin(), regions.end(), this));
  entered_ = false;
}

CodeRegion* region_at(const void* pc) {
  const std::shared_lock lock(mutex);
  for (CodeRegion* region : regions)
    if (region->contains(pc)) return region;
  return nullptr;
}

}  // namespace wafer::compiler
