#include "runtime/memory_image.h"

#include <algorithm>
#include <cstring>

#include "runtime/memory.h"
#include "runtime/memory_pool.h"
#include "runtime/store.h"

#if WAFER_HAS_GUARDS
#include <sys/mman.h>
#include <unistd.h>

#include "base/descriptor.h"

namespace wafer::runtime {

Shared<MemoryImage> MemoryImage::create(uint64_t begin, uint64_t end) {
#if defined(__linux__)
  if (!file_size_allowed(end - begin)) return nullptr;
  auto image = make_shared_in<MemoryImage>();
  image->begin_ = begin;
  image->end_ = end;
  image->file_ = take_opened(memfd_create("wafer-memory-image", MFD_CLOEXEC)).release();
  if (image->file_ < 0 || ftruncate(image->file_, off_t(end - begin)) != 0) return nullptr;
  void* const p =
      mmap(nullptr, size_t(end - begin), PROT_READ | PROT_WRITE, MAP_SHARED, image->file_, 0);
  if (p == MAP_FAILED) return nullptr;
  image->contents_ = static_cast<uint8_t*>(p);
  return image;
#else
  (void)begin, (void)end;
  return nullptr;
#endif
}

MemoryImage::~MemoryImage() {
  if (contents_) munmap(contents_, size_t(size()));
  if (file_ >= 0) close(file_);
}

bool MemoryImage::seal() { return mprotect(contents_, size_t(size()), PROT_READ) == 0; }

bool MemoryImage::map_into(uint8_t* base) const {
  return mmap(base + begin_, size_t(size()), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file_,
              0) != MAP_FAILED;
}

namespace {

// Less data than this is as well copied: an image takes a file descriptor.
constexpr uint64_t kMinBytes = 4096;
// Nor is it spread over much more than its own size.
constexpr uint64_t kMaxGaps = 4 << 20;

// One memory's data.
struct Extent {
  uint64_t begin = ~uint64_t{0}, end = 0, bytes = 0;
};

struct Planner {
  const wasm::Module& module;
  Vec<Extent> extents;
  Vec<uint64_t> offsets;  // of the segments below data_end
  uint32_t data_end = 0;

  explicit Planner(const wasm::Module& m)
      : module(m), extents(m.memories.size() - m.imported_memories) {}

  // Adds segments until one that may trap, or belongs elsewhere. True if the rest is
  // worth an image.
  bool run() {
    uint64_t bytes = 0;
    for (; data_end < module.datas.size(); ++data_end) {
      const wasm::DataSegment& data = module.datas[data_end];
      uint64_t offset = 0;
      if (data.mode == wasm::SegmentMode::Active) {
        if (data.memory < module.imported_memories || !const_integer(module, data.offset, offset) ||
            !add(data, offset))
          break;
        bytes += data.bytes.size();
      }
      offsets.push_back(offset);
    }
    return bytes >= kMinBytes;
  }

  bool add(const wasm::DataSegment& data, uint64_t offset) {
    const wasm::MemoryType& type = module.memories[data.memory].type;
    if (!Memory::guardable(type)) return false;
    const uint64_t size = type.limits.min << type.page_size_log2, length = data.bytes.size();
    if (offset > size || length > size - offset) return false;
    if (length == 0) return true;
    Extent& extent = extents[data.memory - module.imported_memories];
    const uint64_t page = os_page_size();
    Extent more = extent;
    more.begin = std::min(more.begin, offset / page * page);
    more.end = std::max(more.end, round_to_os_page(offset + length));
    more.bytes += length;
    if (more.end - more.begin > kMaxGaps + 4 * more.bytes) return false;
    extent = more;
    return true;
  }
};

// Null if the system has no room for them.
Shared<ModuleImages> make_images(const Planner& plan) {
  const wasm::Module& module = plan.module;
  Vec<Shared<MemoryImage>> images;
  for (const Extent& extent : plan.extents) {
    images.push_back(extent.bytes ? MemoryImage::create(extent.begin, extent.end) : nullptr);
    if (extent.bytes && !images.back()) return nullptr;
  }
  for (uint32_t i = 0; i < plan.data_end; ++i) {
    const wasm::DataSegment& data = module.datas[i];
    if (data.mode != wasm::SegmentMode::Active || data.bytes.size() == 0) continue;
    const MemoryImage& image = *images[data.memory - module.imported_memories];
    std::memcpy(image.contents() + (plan.offsets[i] - image.begin()),
                module.slice(data.bytes).data(), data.bytes.size());
  }
  auto made = make_shared_in<ModuleImages>();
  made->data_end = plan.data_end;
  for (Shared<MemoryImage>& image : images) {
    if (image && !image->seal()) return nullptr;
    made->memories.push_back(std::move(image));
  }
  return made;
}

}  // namespace

const ModuleImages* ModuleImages::get(const wasm::Module& module, bool worth_it) {
  if (module.datas.empty() || module.memories.size() == module.imported_memories) return nullptr;
  const void* known = module.images_state.load(std::memory_order_acquire);
  // Looked at already: the images, or the module itself if it has none.
  if (known) return known == &module ? nullptr : static_cast<const ModuleImages*>(known);
  if (!worth_it) return nullptr;
  MutexLock lock(module.images_mutex);
  known = module.images_state.load(std::memory_order_relaxed);
  if (known) return known == &module ? nullptr : static_cast<const ModuleImages*>(known);
  Planner plan(module);
  Shared<ModuleImages> images = plan.run() ? make_images(plan) : nullptr;
  const ModuleImages* const p = images.get();
  module.images = std::move(images);
  module.images_state.store(p ? static_cast<const void*>(p) : &module, std::memory_order_release);
  return p;
}

ModuleImages::~ModuleImages() {
  for (Shared<const MemoryImage>& image : memories)
    if (image) MemoryPool::forget(image);
}

}  // namespace wafer::runtime

#endif
