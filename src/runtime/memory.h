// Linear memories (spec 4.2.8).
#pragma once

#include <atomic>
#include <memory>

#include "base/leb128.h"
#include "base/result.h"
#include "base/span.h"
#include "runtime/memory_region.h"
#include "runtime/trap.h"
#include "runtime/value.h"
#include "wasm/types.h"

namespace wafer::runtime {

// How accesses to a memory are kept in bounds.
enum class MemoryMode : uint8_t {
  // 32-bit addresses over a reservation that covers every index + offset, so that
  // a stray access faults and becomes a trap. base never changes.
  Guarded,
  // Every access is compared with byte_size; base may change on growth.
  Checked,
};

class MemoryPool;

class Memory {
 public:
  // Hot fields first: read by the interpreter and by compiled code.
  uint8_t* base = nullptr;
  // Bytes now accessible. Other threads may grow a shared memory.
  std::atomic<size_t> byte_size{0};

  struct Config {
    bool guard_pages = true;            // try MemoryMode::Guarded for 32-bit memories
    uint64_t max_bytes = ~uint64_t{0};  // embedder's ceiling; growth past it fails
    uint64_t trim = ~uint64_t{0};       // bytes that there are, if fewer than the pages' (Checked)
    const MemoryStorage* storage = nullptr;  // asked for memories whose base may move
    uint32_t index = ~uint32_t{0};           // that it is told
#if WAFER_HAS_GUARDS
    // Where a Guarded memory that is not shared comes from; null: reserved as needed.
    Shared<MemoryPool> pool = nullptr;
    // Contents of a Guarded memory; null: zeros.
    Shared<const MemoryImage> image = nullptr;
#endif
  };

  // A memory of `type` with the contents of the image, else zeroed. Exhaustion if it
  // does not fit.
  static Result<Shared<Memory>> create(const wasm::MemoryType& type, const Config& config);
  ~Memory();

  // memory.grow: previous size in pages, or -1 (all ones) on failure.
  uint64_t grow(uint64_t delta_pages);
  // Gives it the size and contents that it was created with. Only of Guarded memories that are
  // not shared; false if it cannot be done: it must not be used again.
  bool reset();
  uint64_t pages() const {
    if (trimmed_pages_) return trimmed_pages_;
    return byte_size.load(std::memory_order_relaxed) >> type_.page_size_log2;
  }
  size_t size_bytes() const { return byte_size.load(std::memory_order_relaxed); }
  // The type, with min being the present size (4.5.3.3).
  wasm::MemoryType type() const;
  // The shared pointer that create() gave.
  Shared<Memory> owner() const;
  MemoryMode mode() const { return mode_; }
  // Can memories of `type` be Guarded, where guard pages are available?
  static bool guardable(const wasm::MemoryType& type) {
    return !type.limits.is64 && type.page_size_log2 == 16;
  }
  bool shared() const { return type_.limits.shared; }
  MutableBytes bytes() { return {base, size_bytes()}; }
  // [offset, offset+length) if in bounds, else an empty span with data()==nullptr.
  MutableBytes slice(uint64_t offset, uint64_t length) {
    const uint64_t size = size_bytes();
    if (offset > size || length > size - offset) return {};
    return {base + offset, size_t(length)};
  }
  // memory.fill / memory.copy / memory.init bodies: check, then act.
  TrapCode fill(Index offset, uint8_t value, Index length);
  static TrapCode copy(Memory& to, Index to_offset, Memory& from, Index from_offset, Index length);
  TrapCode init(Index offset, Bytes source, Index source_offset, Index length);
  // memory.atomic.wait32/64 and notify (threads proposal). Timeout in
  // nanoseconds, negative waits for ever. Gives 0 "ok", 1 "not-equal", 2 "timed-out";
  // Interrupted soon after `stop` becomes non-zero (null: never).
  TrapCode atomic_wait(uint64_t address, uint64_t expected, bool is64, int64_t timeout_ns,
                       uint32_t& result, const std::atomic<uint32_t>* stop = nullptr);
  TrapCode atomic_notify(uint64_t address, uint32_t count, uint32_t& woken);

  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  Memory() = default;  // use create()

 private:
  wasm::MemoryType type_;
  MemoryMode mode_ = MemoryMode::Checked;
  Index max_pages_ = 0;   // that it can ever have
  size_t reserved_ = 0;   // Checked: bytes of address space behind base
  size_t committed_ = 0;  // bytes from base on that may be accessed
  bool pinned_ = false;   // base must not move (Guarded, or shared)
  enum class From : uint8_t { Pages, Allocator, Storage } from_ = From::Pages;  // base
  uint32_t index_ = 0;                                                          // for storage_
  Index trimmed_pages_ = 0;  // of a memory that has fewer bytes than that; never grows
#if WAFER_HAS_OS
  std::weak_ptr<Memory> self_;
#endif
  const MemoryStorage* storage_ = nullptr;
#if WAFER_HAS_GUARDS
  MemoryRegion region_;            // Guarded: what base lies in
  Shared<MemoryPool> pool_owner_;  // and the pool it came from,
  MemoryPool* pool_ = nullptr;     // this one
#endif
  Mutex grow_mutex_;

  Result<void> reserve(uint64_t bytes, const Config& config);
  bool commit(uint64_t bytes);
  void move_to(void* block, size_t bytes, From from);
  void release_block();
};

// True if this process can reserve address space for Guarded memories. Probed on
// the first call.
bool guard_pages_available();

// True if `address` lies in the reservation of a live Guarded memory or in a pool.
// Safe to call from a signal handler.
bool address_in_guarded_memory(const void* address);

}  // namespace wafer::runtime
