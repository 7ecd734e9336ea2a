// Initial contents of memories, mapped copy-on-write into each instance.
#pragma once

#include <atomic>
#include <memory>

#include "base/memory.h"
#include "runtime/memory_region.h"
#include "wasm/module.h"

namespace wafer::runtime {

#if WAFER_HAS_GUARDS

// Bytes [begin, end) of a memory at its instantiation, whole pages in a file that
// lives in memory. Immutable.
class MemoryImage {
 public:
  // An image of zeros that `contents` can still be written to; null if the system
  // has no such files or no room.
  static Shared<MemoryImage> create(uint64_t begin, uint64_t end);
  ~MemoryImage();
  MemoryImage(const MemoryImage&) = delete;
  MemoryImage& operator=(const MemoryImage&) = delete;

  uint64_t begin() const { return begin_; }
  uint64_t end() const { return end_; }
  uint64_t size() const { return end_ - begin_; }
  // The bytes themselves; writable until seal().
  uint8_t* contents() const { return contents_; }
  bool seal();
  // Maps the image over its place in the memory that starts at `base`.
  bool map_into(uint8_t* base) const;
  // Its module is gone: nobody will ask for it again.
  void retire() const { retired_.store(true, std::memory_order_relaxed); }
  bool retired() const { return retired_.load(std::memory_order_relaxed); }

  MemoryImage() = default;  // use create()

 private:
  uint64_t begin_ = 0, end_ = 0;
  uint8_t* contents_ = nullptr;
  int file_ = -1;
  mutable std::atomic<bool> retired_{false};
};

// Images of the memories that a module defines, and which of its data segments are
// in them: the longest row from the first on that cannot trap, whatever is imported.
struct ModuleImages {
  // By index among the module's own memories; null: nothing but zeros.
  Vec<Shared<const MemoryImage>> memories;
  // Active data segments below this index are in the images.
  uint32_t data_end = 0;

  // The images of `module`, made on the first call that is `worth_it` and kept with
  // the module; null if there are none. For engines with guard pages.
  static const ModuleImages* get(const wasm::Module& module, bool worth_it);

  ~ModuleImages();
};

#endif

}  // namespace wafer::runtime
