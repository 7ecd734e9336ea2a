#include "runtime/memory_pool.h"

#include <algorithm>
#include <utility>

#include "runtime/memory.h"

#if WAFER_HAS_OS

#if WAFER_HAS_GUARDS
#include <sys/mman.h>
#endif

namespace wafer::runtime {

#if WAFER_HAS_GUARDS

namespace {

// Of the on-demand pool: what it keeps.
constexpr uint32_t kMaxIdle = 64;
constexpr uint64_t kMaxIdleBytes = 16 << 20;

// All pools, so that they can forget images.
struct PoolList {
  Mutex mutex;
  MemoryPool* first = nullptr;
};
PoolList& all_pools() {
  // Never destroyed: modules may outlive static destruction.
  static PoolList* const list = new (allocate(sizeof(PoolList))) PoolList;
  return *list;
}

}  // namespace

// ---- Making pools -------------------------------------------------------------------

Result<Shared<MemoryPool>> MemoryPool::create(const Options& options) {
  if (options.slots == 0) return failure(ErrorKind::Usage, "a memory pool needs at least one slot");
  if (!guard_pages_available())
    return failure(ErrorKind::Unsupported,
                   "memory pools need guard pages, which are not available");
  // kNone and the tables of ranges stay far away.
  constexpr uint64_t kMost = (uint64_t{1} << 47) / MemoryRegion::kReservation;
  void* const base = options.slots <= kMost
                         ? map_pages(options.slots * MemoryRegion::kReservation, PROT_NONE)
                         : nullptr;
  if (!base)
    return failure(ErrorKind::Exhaustion, "not enough address space for the memory pool's slots");
  auto pool = make_shared_in<MemoryPool>(options, static_cast<uint8_t*>(base));
  if (pool->range_ == kNone) return failure(ErrorKind::Exhaustion, "too many memory pools");
  return pool;
}

MemoryPool::MemoryPool(const Options& options, uint8_t* base) : options_(options), base_(base) {
  if (base) {
    range_ = GuardedRanges::add(base, options.slots * MemoryRegion::kReservation);
    slots_.resize(options.slots);
    fresh_.reserve(options.slots);
    for (uint32_t i = options.slots; i-- > 0;) {
      slots_[i].region.base = base + i * MemoryRegion::kReservation;
      slots_[i].region.id = i;
      fresh_.push_back(i);
    }
  }
  PoolList& all = all_pools();
  MutexLock lock(all.mutex);
  next_ = all.first;
  if (next_) next_->previous_ = this;
  all.first = this;
}

MemoryPool::~MemoryPool() {
  {
    PoolList& all = all_pools();
    MutexLock lock(all.mutex);
    (previous_ ? previous_->next_ : all.first) = next_;
    if (next_) next_->previous_ = previous_;
  }
  if (range_ != kNone) GuardedRanges::remove(range_);
  munmap(base_, size_t(options_.slots * MemoryRegion::kReservation));
}

MemoryPool& MemoryPool::on_demand() {
  // Never destroyed: memories may outlive static destruction.
  static MemoryPool* const pool = [] {
    Options options;
    options.slots = kNone;
    options.warm_slots = 8;
    return new (allocate(sizeof(MemoryPool), alignof(MemoryPool))) MemoryPool(options, nullptr);
  }();
  return *pool;
}

// ---- Slots --------------------------------------------------------------------------

// What an idle slot is ready for: its image, or zeros of its size.
uint64_t MemoryPool::key_of(uint64_t bytes, const MemoryImage* image) {
  return image ? uintptr_t(image) : bytes | 1;
}

// Makes `slot` the newest of the idle ones.
void MemoryPool::link(uint32_t slot) {
  Slot& s = slots_[slot];
  s.older = newest_;
  s.newer = kNone;
  (newest_ == kNone ? oldest_ : slots_[newest_].newer) = slot;
  newest_ = slot;
  uint32_t& newest_same = newest_by_key_.try_emplace(s.key, kNone).first->second;
  s.newer_same = kNone;
  s.older_same = newest_same;
  if (newest_same != kNone) slots_[newest_same].newer_same = slot;
  newest_same = slot;
  ++idle_;
}

void MemoryPool::unlink(uint32_t slot) {
  Slot& s = slots_[slot];
  (s.older == kNone ? oldest_ : slots_[s.older].newer) = s.newer;
  (s.newer == kNone ? newest_ : slots_[s.newer].older) = s.older;
  if (s.older_same != kNone) slots_[s.older_same].newer_same = s.newer_same;
  (s.newer_same == kNone ? newest_by_key_[s.key] : slots_[s.newer_same].older_same) = s.older_same;
  --idle_;
}

// The best slot for `key`, no longer idle; kNone if all are in use.
uint32_t MemoryPool::take(uint64_t key) {
  uint32_t slot = kNone;
  if (auto it = newest_by_key_.find(key); it != newest_by_key_.end()) slot = it->second;
  if (slot == kNone && (idle_ > options_.warm_slots || (fresh_.empty() && base_))) slot = oldest_;
  if (slot != kNone) {
    unlink(slot);
    return slot;
  }
  if (!fresh_.empty()) {
    slot = fresh_.back();
    fresh_.pop_back();
    return slot;
  }
  if (base_) return kNone;
  slot = uint32_t(slots_.size());
  slots_.emplace_back().region.id = slot;
  return slot;
}

// On demand: gives a fresh slot its address space.
bool MemoryPool::reserve(MemoryRegion& region) {
  auto* const base = static_cast<uint8_t*>(map_pages(MemoryRegion::kReservation, PROT_NONE));
  if (!base) return false;
  region.range = GuardedRanges::add(base, MemoryRegion::kReservation);
  if (region.range == GuardedRanges::kNone) {
    munmap(base, MemoryRegion::kReservation);
    return false;
  }
  region.base = base;
  return true;
}

// Makes a region that no list has fit for a fresh slot. False if the system cannot
// clean it: the slot is lost then.
bool MemoryPool::discard(MemoryRegion& region) {
  kept_.fetch_sub(std::exchange(region.kept, 0), std::memory_order_relaxed);
  if (base_) return region.wipe();
  if (!region.base) return true;
  GuardedRanges::remove(region.range);
  munmap(region.base, MemoryRegion::kReservation);
  const uint32_t id = region.id;
  region = {};
  region.id = id;
  return true;
}

void MemoryPool::discard_idle(uint32_t slot) {
  unlink(slot);
  if (discard(slots_[slot].region)) fresh_.push_back(slot);
}

Result<MemoryRegion> MemoryPool::acquire(uint64_t bytes, const Shared<const MemoryImage>& image) {
  if (!charge(bytes))
    return failure(ErrorKind::Exhaustion, "the memory pool's ceiling on bytes is reached");
  MemoryRegion region;
  {
    MutexLock lock(mutex_);
    const uint32_t slot = take(key_of(bytes, image.get()));
    if (slot == kNone) {
      uncharge(bytes);
      return failure(ErrorKind::Exhaustion, "all slots of the memory pool are in use");
    }
    region = std::move(slots_[slot].region);
    ++in_use_;
  }
  if ((region.base || reserve(region)) && region.prepare(bytes, image)) {
    if (region.range != kNone) GuardedRanges::resize(region.range, MemoryRegion::kReservation);
    return region;
  }
  give_back(std::move(region), bytes, false);
  return failure(ErrorKind::Exhaustion, "out of memory: cannot allocate a linear memory");
}

bool MemoryPool::reset(MemoryRegion& region, uint64_t bytes) {
  const uint64_t kept = region.kept, most = options_.keep_resident_total;
  // Others may keep more meanwhile, which is then a little more than the most.
  const uint64_t others = kept_.load(std::memory_order_relaxed) - kept;
  const bool ok =
      region.reset(bytes, std::min(options_.keep_resident, most - std::min(others, most)));
  kept_.fetch_add(region.kept - kept, std::memory_order_relaxed);
  return ok;
}

void MemoryPool::release(MemoryRegion region, uint64_t initial, uint64_t bytes) {
  const bool clean = (base_ || initial <= kMaxIdleBytes) && reset(region, initial);
  give_back(std::move(region), bytes, clean);
}

// Ends the use of a slot, which is idle then if its region is `clean`, else fresh.
void MemoryPool::give_back(MemoryRegion region, uint64_t bytes, bool clean) {
  uncharge(bytes);
  const uint64_t initial = region.committed;
  if (region.range != kNone) GuardedRanges::resize(region.range, 0);
  bool lost = !clean && !discard(region);
  MutexLock lock(mutex_);
  --in_use_;
  if (clean && region.image && region.image->retired()) {
    clean = false;
    lost = !discard(region);
  }
  const uint32_t slot = region.id;
  slots_[slot].region = std::move(region);
  if (clean) {
    slots_[slot].key = key_of(initial, slots_[slot].region.image.get());
    link(slot);
    if (!base_ && idle_ > kMaxIdle) discard_idle(oldest_);
  } else if (!lost) {
    fresh_.push_back(slot);
  }
}

bool MemoryPool::charge(uint64_t bytes) {
  uint64_t now = bytes_in_use_.load(std::memory_order_relaxed);
  do {
    if (now > options_.total_bytes || bytes > options_.total_bytes - now) return false;
  } while (!bytes_in_use_.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  return true;
}

void MemoryPool::forget(const Shared<const MemoryImage>& image) {
  image->retire();
  const uint64_t key = key_of(0, image.get());
  PoolList& all = all_pools();
  MutexLock lock(all.mutex);
  for (MemoryPool* pool = all.first; pool; pool = pool->next_) {
    MutexLock pool_lock(pool->mutex_);
    auto it = pool->newest_by_key_.find(key);
    if (it == pool->newest_by_key_.end()) continue;
    while (it->second != kNone) pool->discard_idle(it->second);
    pool->newest_by_key_.erase(it);
  }
}

uint32_t MemoryPool::slots_in_use() const {
  MutexLock lock(mutex_);
  return in_use_;
}

void MemoryPool::trim() {
  MutexLock lock(mutex_);
  while (oldest_ != kNone) discard_idle(oldest_);
}

#else

Result<Shared<MemoryPool>> MemoryPool::create(const Options&) {
  return failure(ErrorKind::Unsupported, "memory pools need guard pages, which are not available");
}

#endif

}  // namespace wafer::runtime

#endif
