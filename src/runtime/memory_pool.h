// Where guarded memories come from: reservations that are made once and used again
// and again.
#pragma once

#include <atomic>

#include "base/result.h"
#include "runtime/memory_image.h"

namespace wafer::runtime {

#if WAFER_HAS_OS

// A fixed number of slots for the memories of engines that name the pool in their
// Config. Thread-safe. A slot remembers the image that it had last, so that the next
// instance of the same module finds its contents in place.
class MemoryPool {
 public:
  struct Options {
    // Memories that may be alive at once. Each takes 8 GiB of address space.
    uint32_t slots = 1000;
    // Ceiling on the sum of their sizes; creation and growth fail past it.
    uint64_t total_bytes = ~uint64_t{0};
    // Bytes that were written keep their physical memory when a slot is made ready for its next
    // use, so many of each slot, and so many of all.
    uint64_t keep_resident = 4 << 20;
    uint64_t keep_resident_total = 64 << 20;
    // Idle slots that wait for their module before a new module takes the one that
    // has been idle for longest rather than a slot that was never used.
    uint32_t warm_slots = 100;
  };

  // Exhaustion if there is not as much address space; Unsupported where guard pages
  // are not available; Usage for no slots.
  static Result<Shared<MemoryPool>> create(const Options& options);
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  const Options& options() const { return options_; }
  uint32_t slots_in_use() const;
  uint64_t bytes_in_use() const { return bytes_in_use_.load(std::memory_order_relaxed); }
  // Gives the memory that idle slots keep back to the system.
  void trim();

#if WAFER_HAS_GUARDS
  // What engines without a pool use: reserves address space as it is needed and keeps
  // a few idle slots.
  static MemoryPool& on_demand();

  // For Memory: a region with exactly `bytes` accessible and the contents of `image`
  // (may be null), or Exhaustion. The bytes count against the ceiling.
  Result<MemoryRegion> acquire(uint64_t bytes, const Shared<const MemoryImage>& image);
  // Takes back what was acquired with `initial` bytes and has `bytes` now.
  void release(MemoryRegion region, uint64_t initial, uint64_t bytes);
  // Restores the first contents of a region in use, with exactly `bytes` accessible. False as for
  // MemoryRegion::reset.
  bool reset(MemoryRegion& region, uint64_t bytes);
  // Counts growth; false if it goes past the ceiling.
  bool charge(uint64_t bytes);
  void uncharge(uint64_t bytes) { bytes_in_use_.fetch_sub(bytes, std::memory_order_relaxed); }
  // Drops `image`, whose module is gone, from the idle slots of every pool.
  static void forget(const Shared<const MemoryImage>& image);

  MemoryPool(const Options& options, uint8_t* base);  // use create()

 private:
  static constexpr uint32_t kNone = ~0u;
  // A slot is in use, idle (ready for its key; in two lists) or fresh (nothing
  // accessible, no contents; on demand: no address space either).
  struct Slot {
    MemoryRegion region;
    uint64_t key = 0;
    uint32_t older = kNone, newer = kNone;            // among all idle slots
    uint32_t older_same = kNone, newer_same = kNone;  // among those with its key
  };

  static uint64_t key_of(uint64_t bytes, const MemoryImage* image);
  void link(uint32_t slot);
  void unlink(uint32_t slot);
  uint32_t take(uint64_t key);
  static bool reserve(MemoryRegion& region);
  bool discard(MemoryRegion& region);
  void discard_idle(uint32_t slot);
  void give_back(MemoryRegion region, uint64_t bytes, bool clean);

  const Options options_;
  std::atomic<uint64_t> bytes_in_use_{0};
  std::atomic<uint64_t> kept_{0};                     // by all regions
  uint8_t* const base_;                               // null: on demand
  uint32_t range_ = kNone;                            // of all slots, in GuardedRanges
  MemoryPool *previous_ = nullptr, *next_ = nullptr;  // in the list of all pools

  mutable Mutex mutex_;
  Vec<Slot> slots_;
  Vec<uint32_t> fresh_;
  HashMap<uint64_t, uint32_t> newest_by_key_;  // kNone: had one
  uint32_t oldest_ = kNone, newest_ = kNone;
  uint32_t idle_ = 0, in_use_ = 0;
#else
 private:
  const Options options_;
  std::atomic<uint64_t> bytes_in_use_{0};
#endif
};

#endif

}  // namespace wafer::runtime
