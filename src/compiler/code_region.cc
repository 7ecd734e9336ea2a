#include "compiler/code_region.h"

#if defined(__aarch64__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

void publish_code(const void* begin, size_t size) {
  auto* const from = static_cast<char*>(const_cast<void*>(begin));
  __builtin___clear_cache(from, from + size);
#if defined(__aarch64__)
  // Another core may have fetched ahead what was there before, and keeps it until told.
  static const bool registered =
      syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) == 0;
  if (registered) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
#endif
}

}  // namespace wafer::compiler
