#include "runtime/memory.h"

#include <algorithm>
#include <cstring>

#if WAFER_HAS_OS
#include <chrono>
#include <condition_variable>
#endif

#include "runtime/memory_pool.h"

#if WAFER_HAS_MMAP
#include <sys/mman.h>
#endif

namespace wafer::runtime {

#if WAFER_HAS_GUARDS

bool guard_pages_available() {
  static const bool available = [] {
    void* p = map_pages(MemoryRegion::kReservation, PROT_NONE);
    if (!p) return false;
    const bool ok =
        mprotect(p, size_t(os_page_size()), PROT_READ | PROT_WRITE) == 0 && os_page_size() <= 65536;
    munmap(p, MemoryRegion::kReservation);
    return ok;
  }();
  return available;
}

bool address_in_guarded_memory(const void* address) { return GuardedRanges::contains(address); }

#else

bool guard_pages_available() { return false; }
bool address_in_guarded_memory(const void*) { return false; }

#endif

// ---- Creation and growth --------------------------------------------------------

// Shifts by a constant take less code.
static uint64_t bytes_of(const wasm::MemoryType& type, uint64_t pages) {
  return type.page_size_log2 ? pages << 16 : pages;
}

// Pages that a memory of `type` can ever have: what its address type can address (3.2.13), the
// declared maximum, the embedder's ceiling.
static uint64_t most_pages(const wasm::MemoryType& type, uint64_t ceiling) {
  const bool is64 = type.limits.has_64();
  uint64_t pages = type.page_size_log2 == 0 ? (is64 ? ~uint64_t{0} : (uint64_t{1} << 32) - 1)
                                            : uint64_t{1} << ((is64 ? 64 : 32) - 16);
  if (type.limits.has_max && type.limits.max < pages) pages = type.limits.max;
  if (type.page_size_log2) ceiling >>= 16;
  return pages < ceiling ? pages : ceiling;
}

// Sets up base for a memory of `bytes`; not yet accessible if it is pinned_ without
// being Guarded.
Result<void> Memory::reserve([[maybe_unused]] uint64_t bytes,
                             [[maybe_unused]] const Config& config) {
#if WAFER_HAS_GUARDS
  if (mode_ == MemoryMode::Guarded) {
    if (!shared()) pool_owner_ = config.pool;
    MemoryPool& pool = pool_owner_ ? *pool_owner_ : MemoryPool::on_demand();
    WAFER_LET(region, pool.acquire(bytes, config.image));
    pool_ = &pool;
    region_ = std::move(region);
    base = region_.base;
    committed_ = region_.committed;
    reserved_ = MemoryRegion::kReservation;
    pinned_ = true;
    return {};
  }
#endif
#if WAFER_HAS_MMAP
  if (shared()) {
    // Other threads hold base, so room for all future growth is reserved now; as
    // much as there is, if the declared maximum is beyond reach.
    pinned_ = true;
    uint64_t limit = bytes_of(type_, max_pages_);
    constexpr uint64_t kMost = sizeof(void*) == 8 ? uint64_t{1} << 40 : uint64_t{1} << 30;
    if (limit > kMost) limit = kMost;
    if (limit < bytes) limit = bytes;
    for (;; limit = bytes + (limit - bytes) / 2) {
      reserved_ = round_to_os_page(limit ? limit : 1);
      base = static_cast<uint8_t*>(map_pages(reserved_, PROT_NONE));
      if (base) return {};
      if (limit == bytes)
        return failure(ErrorKind::Exhaustion, "no address space for a shared linear memory");
    }
  }
#endif
  return {};  // commit() allocates
}

void Memory::release_block() {
  if (from_ == From::Storage) return storage_->give_back(storage_->env, index_, base, reserved_);
#if WAFER_HAS_MMAP
  if (from_ == From::Pages) {
    munmap(base, reserved_);
    return;
  }
#endif
  release(base, reserved_, 16);
}

// Has it lie in another block, with its contents.
void Memory::move_to(void* block, size_t bytes, From from) {
  if (base) {
    std::memcpy(block, base, size_bytes());
    release_block();
  }
  base = static_cast<uint8_t*>(block);
  from_ = from;
  reserved_ = bytes;
}

// Makes [0, bytes) accessible and zero beyond the present size. May move base of
// an unpinned memory.
bool Memory::commit(uint64_t bytes) {
  if (bytes > SIZE_MAX) return false;
#if WAFER_HAS_MMAP
  if (bytes <= committed_) return true;
  if (pinned_) {
    if (bytes > reserved_) return false;
    const uint64_t end = round_to_os_page(bytes);
    if (mprotect(base + committed_, end - committed_, PROT_READ | PROT_WRITE) != 0) return false;
    committed_ = end;
    return true;
  }
#endif
  const size_t size = size_t(bytes);
  if (size > reserved_) {
    size_t want = size;
    void* p = nullptr;
    From from = From::Storage;
    if (storage_) {
      p = storage_->take(storage_->env, index_,
                         trimmed_pages_ ? bytes : bytes_of(type_, max_pages_), &want);
      if (want < size) return false;
    }
#if WAFER_HAS_MMAP
    if (!p && (bytes >= 65536 || (base && from_ == From::Pages))) {
      const uint64_t pages = round_to_os_page(bytes);
      if (pages < bytes) return false;
#if defined(__linux__)
      if (base && from_ == From::Pages) {
        p = mremap(base, reserved_, size_t(pages), MREMAP_MAYMOVE);
        if (p == MAP_FAILED) return false;
        base = static_cast<uint8_t*>(p);
        reserved_ = committed_ = pages;
        return true;
      }
#endif
      p = map_pages(pages, PROT_READ | PROT_WRITE);
      if (!p) return false;
      move_to(p, pages, From::Pages);
      committed_ = pages;
      return true;
    }
#endif
    if (!p) {
      // A little headroom, so that one-byte pages do not copy on every growth.
      want = size;
      if (base && type_.page_size_log2 < 12) {
        want = (size + size / 4 + 255) & ~size_t{255};
        if (want < size) want = size;
      }
      p = try_allocate(want, 16);
      from = From::Allocator;
    }
    if (!p) return false;
    move_to(p, want, from);
  }
  const size_t old = size_bytes();
  if (size > old) std::memset(base + old, 0, size - old);
  committed_ = size;
  return true;
}

Result<Shared<Memory>> Memory::create(const wasm::MemoryType& type, const Config& config) {
  auto memory = make_shared_in<Memory>();
#if WAFER_HAS_OS
  memory->self_ = memory;
#endif
  memory->type_ = type;
  memory->max_pages_ = Index(most_pages(type, config.max_bytes));
  memory->storage_ = config.storage;
  memory->index_ = config.index;
  if (config.guard_pages && guardable(type) && guard_pages_available())
    memory->mode_ = MemoryMode::Guarded;
  const uint64_t pages = type.limits.min;
  if (pages > memory->max_pages_)
    return failure(ErrorKind::Exhaustion, "memory size exceeds the limit");
  uint64_t bytes = bytes_of(type, pages);
  if (config.trim < bytes && memory->mode_ == MemoryMode::Checked && !type.limits.shared) {
    memory->trimmed_pages_ = Index(pages);
    bytes = config.trim;
  }
  WAFER_TRY(memory->reserve(bytes, config));
  if (!memory->commit(bytes))
    return failure(ErrorKind::Exhaustion,
                   kBrief ? "out of memory" : "out of memory: cannot allocate a linear memory");
  memory->byte_size.store(size_t(bytes), std::memory_order_release);
  return memory;
}

Memory::~Memory() {
  if (!base) return;
#if WAFER_HAS_GUARDS
  if (mode_ == MemoryMode::Guarded) {
    region_.committed = committed_;
    pool_->release(std::move(region_), type_.limits.min << type_.page_size_log2, size_bytes());
    return;
  }
#endif
  release_block();
}

Shared<Memory> Memory::owner() const {
#if WAFER_HAS_OS
  return self_.lock();
#else
  return Shared<Memory>::of(const_cast<Memory*>(this));
#endif
}

uint64_t Memory::grow(uint64_t delta_pages) {
  MutexLock lock(grow_mutex_);
  const uint64_t old_pages = pages();
  if (delta_pages == 0) return old_pages;
  if (trimmed_pages_ || delta_pages > max_pages_ || old_pages > max_pages_ - delta_pages)
    return ~uint64_t{0};
  const uint64_t bytes = bytes_of(type_, old_pages + delta_pages);
#if WAFER_HAS_GUARDS
  const uint64_t more = delta_pages << type_.page_size_log2;
  if (pool_ && !pool_->charge(more)) return ~uint64_t{0};
#endif
  if (!commit(bytes)) {
#if WAFER_HAS_GUARDS
    if (pool_) pool_->uncharge(more);
#endif
    return ~uint64_t{0};
  }
  byte_size.store(size_t(bytes), std::memory_order_release);
  return old_pages;
}

bool Memory::reset() {
#if WAFER_HAS_GUARDS
  if (mode_ != MemoryMode::Guarded || shared()) return false;
  const uint64_t initial = type_.limits.min << type_.page_size_log2, bytes = size_bytes();
  region_.committed = committed_;
  const bool ok = pool_->reset(region_, initial);
  committed_ = region_.committed;
  if (!ok) return false;
  pool_->uncharge(bytes - initial);
  byte_size.store(initial, std::memory_order_release);
  return true;
#else
  return false;
#endif
}

wasm::MemoryType Memory::type() const {
  wasm::MemoryType t = type_;
  t.limits.min = pages();
  return t;
}

// ---- Bulk operations ------------------------------------------------------------

TrapCode Memory::fill(Index offset, uint8_t value, Index length) {
  const Index size = size_bytes();
  if (offset > size || length > size - offset) return TrapCode::MemoryOutOfBounds;
  if (length) std::memset(base + offset, value, size_t(length));
  return TrapCode::None;
}

TrapCode Memory::copy(Memory& to, Index to_offset, Memory& from, Index from_offset, Index length) {
  const Index to_size = to.size_bytes(), from_size = from.size_bytes();
  if (to_offset > to_size || length > to_size - to_offset || from_offset > from_size ||
      length > from_size - from_offset)
    return TrapCode::MemoryOutOfBounds;
  if (length) std::memmove(to.base + to_offset, from.base + from_offset, size_t(length));
  return TrapCode::None;
}

TrapCode Memory::init(Index offset, Bytes source, Index source_offset, Index length) {
  const Index size = size_bytes();
  if (offset > size || length > size - offset || source_offset > source.size() ||
      length > source.size() - source_offset)
    return TrapCode::MemoryOutOfBounds;
  if (length) std::memcpy(base + offset, source.data() + source_offset, size_t(length));
  return TrapCode::None;
}

// ---- Wait and notify ------------------------------------------------------------

#if WAFER_HAS_OS
namespace {

// Threads waiting on an address, in order of arrival. Addresses share buckets.
struct Waiter {
  const void* address = nullptr;
  Waiter* next = nullptr;
  bool woken = false;
  std::condition_variable condition;
};

struct Bucket {
  Mutex mutex;
  Waiter* first = nullptr;
  Waiter** last = &first;

  void append(Waiter* w) {
    *last = w;
    last = &w->next;
  }
  // Takes the waiter that `link` points at out of the queue.
  void remove(Waiter** link) {
    Waiter* const w = *link;
    *link = w->next;
    if (last == &w->next) last = link;
  }
};

Bucket& bucket_of(const void* address) {
  static constexpr unsigned kBits = 8;
  static Bucket buckets[1u << kBits];
  return buckets[(uint64_t(uintptr_t(address) >> 2) * 0x9E3779B97F4A7C15u) >> (64 - kBits)];
}

}  // namespace
#endif

TrapCode Memory::atomic_wait(uint64_t address, uint64_t expected, bool is64, int64_t timeout_ns,
                             uint32_t& result, const std::atomic<uint32_t>* stop) {
  const uint64_t width = is64 ? 8 : 4;
  const uint64_t size = size_bytes();
  if (address > size || width > size - address) return TrapCode::MemoryOutOfBounds;
  if (address & (width - 1)) return TrapCode::UnalignedAtomic;
  if (!shared()) return TrapCode::ExpectedSharedMemory;
  uint8_t* const p = base + address;
  auto differs = [&] {
    if (is64) {
      uint64_t v = __atomic_load_n(reinterpret_cast<uint64_t*>(p), __ATOMIC_SEQ_CST);
      return load_le<uint64_t>(&v) != expected;
    }
    uint32_t v = __atomic_load_n(reinterpret_cast<uint32_t*>(p), __ATOMIC_SEQ_CST);
    return load_le<uint32_t>(&v) != uint32_t(expected);
  };
#if WAFER_HAS_OS
  Bucket& bucket = bucket_of(p);
  std::unique_lock<Mutex> lock(bucket.mutex);
  // Compared under the bucket's lock: a notify after the store that changes the
  // value cannot slip in between.
  if (differs()) {
    result = 1;
    return TrapCode::None;
  }
  Waiter waiter;
  waiter.address = p;
  bucket.append(&waiter);
  // Longer than any process lives counts as for ever, and keeps the deadline from
  // overflowing.
  constexpr int64_t kForever = int64_t{1} << 62;
  const bool forever = timeout_ns < 0 || timeout_ns >= kForever;
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::nanoseconds(forever ? 0 : timeout_ns);
  bool stopped = false;
  while (!waiter.woken) {
    if (stop && stop->load(std::memory_order_relaxed)) {
      stopped = true;
      break;
    }
    // An interrupt may come from a signal handler, which cannot notify: look for it
    // now and then.
    constexpr auto kSlice = std::chrono::milliseconds(10);
    const auto now = Clock::now();
    if (!forever && now >= deadline) break;
    if (stop)
      waiter.condition.wait_until(lock, forever ? now + kSlice : std::min(now + kSlice, deadline));
    else if (forever)
      waiter.condition.wait(lock);
    else
      waiter.condition.wait_until(lock, deadline);
  }
  if (!waiter.woken) {
    for (Waiter** link = &bucket.first; *link; link = &(*link)->next) {
      if (*link != &waiter) continue;
      bucket.remove(link);
      break;
    }
  }
  if (stopped) return TrapCode::Interrupted;
  result = waiter.woken ? 0 : 2;
  return TrapCode::None;
#else
  if (differs()) {
    result = 1;
    return TrapCode::None;
  }
  // There is no other thread that could notify: the time just passes.
  if (timeout_ns < 0) return TrapCode::HostError;
  result = 2;
  return TrapCode::None;
#endif
}

TrapCode Memory::atomic_notify(uint64_t address, [[maybe_unused]] uint32_t count, uint32_t& woken) {
  const uint64_t size = size_bytes();
  woken = 0;
  if (address > size || 4 > size - address) return TrapCode::MemoryOutOfBounds;
  if (address & 3) return TrapCode::UnalignedAtomic;
#if WAFER_HAS_OS
  if (!shared() || count == 0) return TrapCode::None;
  const uint8_t* const p = base + address;
  Bucket& bucket = bucket_of(p);
  MutexLock lock(bucket.mutex);
  for (Waiter** link = &bucket.first; *link && woken < count;) {
    Waiter* const w = *link;
    if (w->address != p) {
      link = &w->next;
      continue;
    }
    bucket.remove(link);
    w->woken = true;
    // Under the lock: once it is released, `w` may be gone.
    w->condition.notify_one();
    ++woken;
  }
#endif
  return TrapCode::None;
}

}  // namespace wafer::runtime
