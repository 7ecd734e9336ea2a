// Guarded reservations: address space that covers every access of a 32-bit memory,
// and how one is made ready for a memory and cleaned after it.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "base/platform.h"

#if WAFER_HAS_OS && __has_include(<sys/mman.h>)
#define WAFER_HAS_MMAP 1
#else
#define WAFER_HAS_MMAP 0
#endif

#if WAFER_HAS_MMAP && UINTPTR_MAX > 0xFFFFFFFFu
#define WAFER_HAS_GUARDS 1
#else
#define WAFER_HAS_GUARDS 0
#endif

namespace wafer::runtime {

class MemoryImage;

#if WAFER_HAS_MMAP

// Pages of the operating system.
uint64_t os_page_size();
uint64_t round_to_os_page(uint64_t bytes);
// New anonymous pages, or null.
void* map_pages(uint64_t bytes, int protection);

#endif

#if WAFER_HAS_GUARDS

// One reservation. Between uses its accessible bytes hold the image, and zero
// elsewhere; all beyond them is inaccessible.
struct MemoryRegion {
  // Covers a 32-bit index plus a 32-bit offset plus the widest access.
  static constexpr uint64_t kReservation = (uint64_t(8) << 30) + (64 << 10);

  uint8_t* base = nullptr;
  uint64_t committed = 0;           // bytes from base on that are accessible
  uint64_t kept = 0;                // written bytes that the last reset kept in memory
  uint64_t reach = 0;               // up to where they lie, also past `committed`
  Shared<const MemoryImage> image;  // mapped into them, or null
  uint32_t id = 0;                  // of its slot in the pool
  uint32_t range = ~0u;             // in GuardedRanges, if it has its own

  // Between uses: makes exactly `bytes` accessible, with the contents of `wanted`.
  // False if the system refuses; only wipe() may follow.
  bool prepare(uint64_t bytes, const Shared<const MemoryImage>& wanted);
  // After use: restores the contents and makes exactly `bytes` accessible. At most
  // `keep_resident` bytes that were written keep their physical pages, which spares
  // the next use as many page faults (`kept`), also where it has to grow first. False as for
  // prepare().
  bool reset(uint64_t bytes, uint64_t keep_resident);
  // Drops contents and image; nothing is accessible then. False if the system
  // refuses: the region must not be used again.
  bool wipe();

 private:
  bool set_committed(uint64_t bytes);
};

// The reservations that address_in_guarded_memory() knows.
class GuardedRanges {
 public:
  static constexpr uint32_t kNone = ~0u;
  // Adds one; kNone if there are too many already.
  static uint32_t add(const uint8_t* base, uint64_t size);
  static void remove(uint32_t id);
  // Changes the size of one: 0 while it is not in use.
  static void resize(uint32_t id, uint64_t size);
  // Takes no lock, for signal handlers.
  static bool contains(const void* address);
};

#endif

// Opens the system's list of this process's pages, by which reset() finds those that were
// written, for a process that will lose sight of /proc. Without it reset() drops all pages, and
// each costs the next use a fault.
void open_page_map();

}  // namespace wafer::runtime
