#include "runtime/memory_region.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "runtime/memory_image.h"

#if WAFER_HAS_MMAP
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/ioctl.h>

#include "base/descriptor.h"
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#endif

namespace wafer::runtime {

#if WAFER_HAS_MMAP

uint64_t os_page_size() {
  static const uint64_t size = uint64_t(sysconf(_SC_PAGESIZE));
  return size;
}

uint64_t round_to_os_page(uint64_t bytes) {
  const uint64_t mask = os_page_size() - 1;
  return bytes > ~mask ? ~mask : (bytes + mask) & ~mask;
}

void* map_pages(uint64_t bytes, int protection) {
  if (bytes > SIZE_MAX) return nullptr;
  void* p =
      mmap(nullptr, size_t(bytes), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

#endif

#if WAFER_HAS_GUARDS

// ---- Ranges -------------------------------------------------------------------------

namespace {

// 47 bits of address space hold no more reservations than these.
constexpr uint32_t kMaxRanges = 16384;

struct Range {
  std::atomic<uintptr_t> base;  // 0: none
  std::atomic<uint64_t> size;
};
Range g_ranges[kMaxRanges];
std::atomic<uint32_t> g_ranges_used{0};
// Removed ones, to be used again.
uint16_t g_free_ranges[kMaxRanges];
uint32_t g_free_ranges_count = 0;

Mutex& ranges_mutex() {
  // Never destroyed: memories may outlive static destruction.
  static Mutex* const mutex = new (allocate(sizeof(Mutex))) Mutex;
  return *mutex;
}

}  // namespace

uint32_t GuardedRanges::add(const uint8_t* base, uint64_t size) {
  MutexLock lock(ranges_mutex());
  uint32_t id;
  if (g_free_ranges_count > 0) {
    id = g_free_ranges[--g_free_ranges_count];
  } else {
    id = g_ranges_used.load(std::memory_order_relaxed);
    if (id == kMaxRanges) return kNone;
    g_ranges_used.store(id + 1, std::memory_order_release);
  }
  g_ranges[id].size.store(size, std::memory_order_relaxed);
  g_ranges[id].base.store(uintptr_t(base), std::memory_order_release);
  return id;
}

void GuardedRanges::remove(uint32_t id) {
  MutexLock lock(ranges_mutex());
  g_ranges[id].base.store(0, std::memory_order_release);
  g_free_ranges[g_free_ranges_count++] = uint16_t(id);
}

void GuardedRanges::resize(uint32_t id, uint64_t size) {
  g_ranges[id].size.store(size, std::memory_order_relaxed);
}

bool GuardedRanges::contains(const void* address) {
  const uint32_t n = g_ranges_used.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < n; ++i) {
    const uintptr_t base = g_ranges[i].base.load(std::memory_order_acquire);
    if (base && uintptr_t(address) - base < g_ranges[i].size.load(std::memory_order_relaxed))
      return true;
  }
  return false;
}

// ---- Written pages ------------------------------------------------------------------

namespace {

#if defined(__linux__)

// PAGEMAP_SCAN of Linux 6.7: lists the pages of a range that are in a given state.
struct ScannedRange {
  uint64_t start, end, categories;
};
struct ScanRequest {
  uint64_t size, flags, start, end, walk_end, found, found_size, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr unsigned long kScan = _IOWR('f', 16, ScanRequest);
enum Category : uint64_t { kFile = 1 << 2, kPresent = 1 << 3, kSwapped = 1 << 4, kZero = 1 << 5 };

// This process's page map, opened on first use and again in a child of fork: the
// descriptor that the child inherits shows its parent.
class PageMap {
 public:
  static PageMap& get() {
    static PageMap* const map = new (allocate(sizeof(PageMap))) PageMap;
    return *map;
  }

  // The descriptor, or -1 if the system has no such thing.
  int file() {
    if (reach(kTried) < kTried) return -1;
    return file_.load(std::memory_order_relaxed);
  }
  // Opens it, to be tried when it is first needed.
  void open_file() { (void)reach(kOpened); }

  // Written ranges in [start, end), at most `pages` pages. Gives how many there are,
  // with `stopped` telling how far the search went, or a negative number.
  static int scan(int file, uint64_t start, uint64_t end, uint64_t pages, ScannedRange* found,
                  size_t found_size, uint64_t& stopped) {
    ScanRequest request = {};
    request.size = sizeof request;
    request.start = start;
    request.end = end;
    request.found = uintptr_t(found);
    request.found_size = found_size;
    request.max_pages = pages;
    // A private copy, in memory or swapped out: neither a page of the image's file
    // nor the zero page.
    request.category_mask = request.category_inverted = kFile | kZero;
    request.category_anyof_mask = kPresent | kSwapped;
    request.return_mask = kPresent;
    const int n = ioctl(file, kScan, &request);
    stopped = request.walk_end;
    return n;
  }

 private:
  // How far it is in this process.
  enum Stage : uint8_t { kNone, kOpened, kTried };

  // Goes on to that stage, and gives the one that it is at.
  Stage reach(Stage wanted) {
    if (!stage_) return kNone;
    if (const Stage at = stage_->load(std::memory_order_acquire); at >= wanted) return at;
    // Not waited for: in a child its holder may not exist.
    std::unique_lock<Mutex> lock(mutex_, std::try_to_lock);
    if (!lock || stage_->load(std::memory_order_relaxed) >= wanted) return kNone;
    int file = file_.load(std::memory_order_relaxed);
    if (stage_->load(std::memory_order_relaxed) == kNone) {
      if (file >= 0) close(file);  // inherited
      file = take_opened(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)).release();
    }
    if (wanted == kTried && file >= 0 && !works(file)) {
      close(file);
      file = -1;
    }
    file_.store(file, std::memory_order_relaxed);
    stage_->store(wanted, std::memory_order_release);
    return wanted;
  }

  PageMap() {
    const auto page = size_t(os_page_size());
    void* const p = map_pages(page, PROT_READ | PROT_WRITE);
    if (!p) return;
#ifdef MADV_WIPEONFORK
    if (madvise(p, page, MADV_WIPEONFORK) == 0) {
      stage_ = new (p) std::atomic<Stage>(kNone);
      return;
    }
#endif
    munmap(p, page);
  }

  // Does `file` tell a written page from one that was only read?
  static bool works(int file) {
    const uint64_t page = os_page_size();
    auto* const p = static_cast<volatile uint8_t*>(map_pages(2 * page, PROT_READ | PROT_WRITE));
    if (!p) return false;
    (void)p[0];
    p[page] = 1;
    ScannedRange found[2];
    uint64_t stopped = 0;
    const uint64_t start = uintptr_t(p);
    const bool ok = scan(file, start, start + 2 * page, 2, found, 2, stopped) == 1 &&
                    found[0].start == start + page && found[0].end == start + 2 * page;
    munmap(const_cast<uint8_t*>(p), size_t(2 * page));
    return ok;
  }

  Mutex mutex_;
  std::atomic<Stage>* stage_ = nullptr;  // in a page that fork clears
  std::atomic<int> file_{-1};
};

// Writes the first contents over [from, to).
void restore(const MemoryRegion& region, uint64_t from, uint64_t to) {
  if (const MemoryImage* image = region.image.get()) {
    const uint64_t begin = std::max(from, image->begin()), end = std::min(to, image->end());
    if (begin < end) {
      std::memset(region.base + from, 0, size_t(begin - from));
      std::memcpy(region.base + begin, image->contents() + (begin - image->begin()),
                  size_t(end - begin));
      from = end;
    }
  }
  std::memset(region.base + from, 0, size_t(to - from));
}

// Restores written pages below `extent` one by one, at most `bytes` of them, and counts them as
// kept. Gives the offset up to which everything is restored. What is not accessible is as it was
// kept.
uint64_t restore_written(MemoryRegion& region, uint64_t extent, uint64_t bytes) {
  uint64_t pages = bytes / os_page_size();
  const int file = pages ? PageMap::get().file() : -1;
  if (file < 0) return 0;
  const uint64_t base = uintptr_t(region.base), end = base + extent;
  uint64_t at = base;
  while (at < end && pages > 0) {
    constexpr size_t kRanges = 64;
    ScannedRange found[kRanges];
    uint64_t stopped = 0;
    const int n = PageMap::scan(file, at, end, pages, found, kRanges, stopped);
    if (n < 0 || stopped <= at) break;
    for (int i = 0; i < n; ++i) {
      const uint64_t from = found[i].start - base;
      const uint64_t to = std::min(found[i].end - base, region.committed);
      if (from < to) restore(region, from, to);
      region.kept += found[i].end - found[i].start;
      pages -= std::min(pages, (found[i].end - found[i].start) / os_page_size());
    }
    at = stopped;
  }
  return at - base;
}

// Gives pages back, so that the next access finds what is mapped there.
bool drop_pages(uint8_t* p, uint64_t bytes) {
  return madvise(p, size_t(bytes), MADV_DONTNEED) == 0;
}

#else

uint64_t restore_written(MemoryRegion&, uint64_t, uint64_t) { return 0; }

// There are no images here, so zeros are what is to be found.
bool drop_pages(uint8_t* p, uint64_t bytes) {
  return mmap(p, size_t(bytes), PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

#endif

}  // namespace

// ---- Regions ------------------------------------------------------------------------

bool MemoryRegion::set_committed(uint64_t bytes) {
  bytes = round_to_os_page(bytes);
  if (bytes > committed &&
      mprotect(base + committed, size_t(bytes - committed), PROT_READ | PROT_WRITE) != 0)
    return false;
  if (bytes < committed && mprotect(base + bytes, size_t(committed - bytes), PROT_NONE) != 0)
    return false;
  committed = bytes;
  return true;
}

bool MemoryRegion::prepare(uint64_t bytes, const Shared<const MemoryImage>& wanted) {
  if (wanted == image) return set_committed(bytes);
  if (image) {
    const bool covered =
        wanted && wanted->begin() <= image->begin() && wanted->end() >= image->end();
    if (!covered &&
        mmap(base + image->begin(), size_t(image->size()), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
      return false;
    image.reset();
  }
  if (!set_committed(bytes)) return false;
  if (wanted && !wanted->map_into(base)) return false;
  image = wanted;
  return true;
}

bool MemoryRegion::reset(uint64_t bytes, uint64_t keep_resident) {
  const uint64_t extent = std::max(committed, reach);
  kept = 0;
  reach = restore_written(*this, extent, keep_resident);
  if (reach < extent && !drop_pages(base + reach, extent - reach)) return false;
  return set_committed(bytes);
}

bool MemoryRegion::wipe() {
  if (mmap(base, size_t(kReservation), PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
    return false;
  committed = 0;
  reach = 0;
  image.reset();
  return true;
}

#endif

void open_page_map() {
#if WAFER_HAS_GUARDS && defined(__linux__)
  PageMap::get().open_file();
#endif
}

}  // namespace wafer::runtime
