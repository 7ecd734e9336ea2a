// Mark and sweep without moving. Small objects live in blocks that are aligned to
// their size and hold cells of one size; a bitmap at the block's start has a bit
// for each 16 bytes, set for cells that the last collection reached. Cells are
// handed out by bumping through runs of unmarked cells, found as they are needed
// (lazy sweeping); what is allocated after a collection needs no mark, because a
// block's runs are never looked at twice. An object too large for a block has one
// of its own kind to itself.
#include "runtime/gc_heap.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/access.h"
#include "base/sort.h"
#include "runtime/store.h"

namespace wafer::runtime {

#if WAFER_HAS_ReferenceTypes

namespace {

#if WAFER_HAS_OS
constexpr unsigned kBlockBits = 15;
constexpr size_t kMinChunkBlocks = 2, kMaxChunkBlocks = 32;
#else
constexpr unsigned kBlockBits = 12;
constexpr size_t kMinChunkBlocks = 1, kMaxChunkBlocks = 4;
#endif
constexpr size_t kBlockSize = size_t(1) << kBlockBits;
constexpr unsigned kGranuleBits = 4;
constexpr size_t kGranule = size_t(1) << kGranuleBits;
constexpr size_t kMarkWords = (kBlockSize >> kGranuleBits) / 64;

enum class BlockState : uint8_t { Free, Small, Large };

struct Block {
  uint32_t cell_size = 0;  // Small
  uint32_t live = 0;       // marked objects
  size_t large_size = 0;   // Large: bytes of the whole allocation
  Block* next = nullptr;   // in the list of free blocks, or of blocks to sweep
  BlockState state = BlockState::Free;
  uint8_t size_class = 0;
  uint64_t marks[kMarkWords];
};

constexpr size_t kCellsOffset = (sizeof(Block) + kGranule - 1) & ~(kGranule - 1);
constexpr size_t kCellBytes = kBlockSize - kCellsOffset;
constexpr size_t kMaxSmall = kBlockSize / 4;
constexpr unsigned kMaxClasses = 40;

struct SizeClasses {
  unsigned count = 0;
  std::array<uint32_t, kMaxClasses> size{};
  std::array<uint8_t, kMaxSmall / kGranule + 1> of_granules{};
};

// Steps of 16 bytes at first, then of about a quarter; the large ones stretched so
// that a whole number of cells fills the block.
constexpr SizeClasses make_size_classes() {
  SizeClasses t;
  size_t size = kGranule;
  while (size < kMaxSmall) {
    size_t cell = size;
    if (cell > 256) cell = (kCellBytes / (kCellBytes / cell)) & ~(kGranule - 1);
    if (cell > kMaxSmall) cell = kMaxSmall;
    t.size[t.count++] = uint32_t(cell);
    const size_t step = cell < 128 ? kGranule : (cell / 4) & ~(kGranule - 1);
    size = cell + step;
  }
  if (t.size[t.count - 1] < kMaxSmall) t.size[t.count++] = kMaxSmall;
  unsigned c = 0;
  for (size_t g = 0; g < t.of_granules.size(); ++g) {
    while (t.size[c] < g * kGranule) ++c;
    t.of_granules[g] = uint8_t(c);
  }
  return t;
}
constexpr SizeClasses kClasses = make_size_classes();
static_assert(kClasses.size[kClasses.count - 1] == kMaxSmall);

Block* block_of(const void* p) {
  return reinterpret_cast<Block*>(uintptr_t(p) & ~uintptr_t(kBlockSize - 1));
}
Block* block_of(Ref r) { return block_of(reinterpret_cast<const void*>(uintptr_t(r))); }
size_t granule_of(Ref r) { return (size_t(r) & (kBlockSize - 1)) >> kGranuleBits; }

bool marked(const Block* b, size_t granule) {
  return (b->marks[granule >> 6] >> (granule & 63)) & 1;
}
bool marked(const GcObject* o) {
  const Ref r = uintptr_t(o);
  return marked(block_of(r), granule_of(r));
}

Ref load_ref(const uint8_t* p) { return load_aligned<Ref>(p); }

wasm::CanonType special_type() {
  wasm::CanonType t;
  t.id = ~0u;
  return t;
}

}  // namespace

// Neither is a struct or an array: everything that looks at an object's type sees
// kind Func and then asks which of the two it is.
const wasm::CanonType GcHeap::kExceptionType = special_type();
const wasm::CanonType GcHeap::kHostType = special_type();
const wasm::CanonType GcHeap::kTracedType = special_type();

struct GcHeap::Impl final : RootVisitor {
  struct Bump {
    uint8_t* cursor = nullptr;
    uint8_t* limit = nullptr;
  };
  struct Class {
    Block* current = nullptr;  // block whose runs are being used
    uint32_t scan = 0;         // byte offset in it where the search goes on
    Block* unswept = nullptr;  // blocks with free cells
  };
  struct Chunk {
    uint8_t* base;
    size_t blocks;
    uint8_t* end() const { return base + blocks * kBlockSize; }
  };
  struct Range {
    uint8_t* base;
    uint8_t* end;
  };

  Bump bump[kClasses.count];
  Class classes[kClasses.count];
  Config config;
  Block* free_blocks = nullptr;
  Vec<Chunk> chunks;
  Vec<Block*> large;
  Vec<GcHostObject*> hosts;
  Vec<RootSource*> roots;
  size_t held = 0;       // bytes of chunks and large objects
  size_t live = 0;       // bytes that the last collection reached
  size_t allocated = 0;  // bytes of runs and large objects taken since
  size_t threshold;
  uint64_t collections = 0;
  bool collecting = false;
  Through through = nullptr;
  void* through_env = nullptr;
  mutable Vec<Range> ranges;  // chunks and large objects by address, for owns()
  mutable bool ranges_stale = true;
  bool clear_dead = false;  // sweeping clears the type of every dead cell at once

  // Mark stack: objects whose references are still to be followed; for the rest of
  // a long array, its index below its address with the low bit set.
  static constexpr size_t kInlineStack = WAFER_HAS_OS ? 256 : 32;
  uint64_t inline_stack[kInlineStack];
  uint64_t* stack = inline_stack;
  size_t stack_size = 0, stack_capacity = kInlineStack;
  bool stack_overflow = false;

  explicit Impl(const Config& c) : config(c), threshold(c.initial_threshold) {
    if (config.mark_stack_entries < 8) config.mark_stack_entries = 8;
    if (stack_capacity > config.mark_stack_entries) stack_capacity = config.mark_stack_entries;
  }

  ~Impl() {
    for (GcHostObject* h : hosts)
      if (h->finalize) h->finalize(h->data);
    for (const Chunk& c : chunks) wafer::release(c.base, c.blocks * kBlockSize, kBlockSize);
    for (Block* b : large) wafer::release(b, b->large_size, kBlockSize);
    drop_stack();
  }

  void drop_stack() {
    if (stack != inline_stack) wafer::release(stack, stack_capacity * 8, 8);
    stack = inline_stack;
    stack_capacity = std::min(kInlineStack, config.mark_stack_entries);
  }

  // ---- Allocation

  // `size` bytes, zeroed, or null.
  WAFER_ALWAYS_INLINE void* allocate(size_t size) {
    if (WAFER_LIKELY(size <= kMaxSmall)) {
      const unsigned c = kClasses.of_granules[(size + kGranule - 1) >> kGranuleBits];
      const size_t cell = kClasses.size[c];
      Bump& b = bump[c];
      uint8_t* const p = b.cursor;
      if (WAFER_LIKELY(size_t(b.limit - p) >= cell)) {
        b.cursor = p + cell;
        return p;
      }
      return allocate_slow(c);
    }
    return allocate_large(size);
  }

  WAFER_NOINLINE void* allocate_slow(unsigned c) {
    const size_t cell = kClasses.size[c];
    Bump& b = bump[c];
    bool collected = false;
    if (allocated >= threshold) {
      collect(false);
      collected = true;
    }
    Class& k = classes[c];
    for (;;) {
      if (k.current && next_run(k, cell, b)) {
        uint8_t* const p = b.cursor;
        b.cursor = p + cell;
        return p;
      }
      if (k.unswept) {
        k.current = k.unswept;
        k.unswept = k.current->next;
        k.scan = kCellsOffset;
      } else if (Block* fresh = take_block()) {
        fresh->state = BlockState::Small;
        fresh->size_class = uint8_t(c);
        fresh->cell_size = uint32_t(cell);
        fresh->live = 0;
        std::memset(fresh->marks, 0, sizeof fresh->marks);
        k.current = fresh;
        k.scan = kCellsOffset;
      } else if (!collected) {
        collect(false);
        collected = true;
      } else {
        return nullptr;
      }
    }
  }

  // Finds the next run of free cells in k.current, clears it and gives it to `b`.
  bool next_run(Class& k, size_t cell, Bump& b) {
    Block* const block = k.current;
    uint8_t* const start = reinterpret_cast<uint8_t*>(block);
    const size_t end = kCellsOffset + kCellBytes / cell * cell;
    size_t at = k.scan;
    while (at < end && marked(block, at >> kGranuleBits)) at += cell;
    if (at >= end) {
      k.current = nullptr;
      return false;
    }
    // Only first granules of cells are ever marked, so the next mark ends the run.
    size_t stop = end;
    size_t word = at >> kGranuleBits >> 6;
    uint64_t bits = block->marks[word] & (~uint64_t{0} << ((at >> kGranuleBits) & 63));
    while (!bits && ++word < kMarkWords) bits = block->marks[word];
    if (bits) stop = (word * 64 + size_t(__builtin_ctzll(bits))) << kGranuleBits;
    std::memset(start + at, 0, stop - at);
    b.cursor = start + at;
    b.limit = start + stop;
    k.scan = uint32_t(stop);
    allocated += stop - at;
    return true;
  }

  Block* take_block() {
    if (!free_blocks && !add_chunk()) return nullptr;
    Block* const b = free_blocks;
    free_blocks = b->next;
    return b;
  }

  bool add_chunk() {
    const size_t room = held < config.max_bytes ? (config.max_bytes - held) / kBlockSize : 0;
    size_t blocks = std::clamp(held / kBlockSize / 2, kMinChunkBlocks, kMaxChunkBlocks);
    blocks = std::min(blocks, room);
    for (; blocks > 0; blocks /= 2) {
      auto* base = static_cast<uint8_t*>(try_allocate(blocks * kBlockSize, kBlockSize));
      if (!base) continue;
      chunks.push_back({base, blocks});
      held += blocks * kBlockSize;
      ranges_stale = true;
      for (size_t i = blocks; i-- > 0;) push_free(base + i * kBlockSize);
      return true;
    }
    return false;
  }

  void push_free(uint8_t* at) {
    Block* const b = new (at) Block;
    b->next = free_blocks;
    free_blocks = b;
  }

  WAFER_NOINLINE void* allocate_large(size_t size) {
    if (size > config.max_bytes || size > SIZE_MAX - kBlockSize) return nullptr;
    const size_t total = kCellsOffset + size;
    if (allocated >= threshold) collect(false);
    bool collected = false;
    for (;;) {
      if (held <= config.max_bytes && total <= config.max_bytes - held) {
        if (void* p = try_allocate(total, kBlockSize)) {
          Block* const b = new (p) Block;
          b->state = BlockState::Large;
          b->large_size = total;
          b->marks[kCellsOffset >> kGranuleBits >> 6] = 0;
          large.push_back(b);
          held += total;
          allocated += total;
          ranges_stale = true;
          return std::memset(static_cast<uint8_t*>(p) + kCellsOffset, 0, size);
        }
      }
      if (collected) return nullptr;
      collect(true);
      collected = true;
    }
  }

  // ---- Marking

  void visit(Ref root) override { mark(root); }

  WAFER_NO_ADDRESS_SANITIZER void visit_conservatively(const uint64_t* begin,
                                                       const uint64_t* end) override {
    for (const uint64_t* p = begin; p < end; ++p)
      if (const Ref r = object_at(*p)) mark(r);
  }

  // The allocated object whose cell holds `address`, or null. Cells that are free have
  // no type, which clear_dead sees to.
  Ref object_at(uint64_t address) const {
    const Range* range = range_of(address);
    if (!range) return kNullRef;
    auto* b = reinterpret_cast<Block*>(range->base);
    size_t cell = kCellsOffset;
    if (b->state != BlockState::Large) {
      b = block_of(address);
      const size_t offset = size_t(address - uintptr_t(b));
      if (b->state != BlockState::Small || offset < kCellsOffset) return kNullRef;
      const size_t index = (offset - kCellsOffset) / b->cell_size;
      if (index >= kCellBytes / b->cell_size) return kNullRef;
      cell += index * b->cell_size;
    } else if (address - uintptr_t(b) < kCellsOffset) {
      return kNullRef;
    }
    const auto* object = reinterpret_cast<const GcObject*>(uintptr_t(b) + cell);
    return object->type ? uintptr_t(object) : kNullRef;
  }

  WAFER_ALWAYS_INLINE void mark(Ref r) {
    if (r == kNullRef || is_i31(r)) return;
    Block* const b = block_of(r);
    const size_t g = granule_of(r);
    const uint64_t bit = uint64_t{1} << (g & 63);
    uint64_t& word = b->marks[g >> 6];
    if (word & bit) return;
    word |= bit;
    ++b->live;
    live += b->state == BlockState::Large ? b->large_size : b->cell_size;
    push(r);
  }

  WAFER_ALWAYS_INLINE void push(uint64_t entry) {
    if (WAFER_UNLIKELY(stack_size == stack_capacity) && !grow_stack()) {
      stack_overflow = true;
      return;
    }
    stack[stack_size++] = entry;
  }

  WAFER_NOINLINE bool grow_stack() {
    const size_t wanted = std::min(stack_capacity * 2, config.mark_stack_entries);
    if (wanted <= stack_capacity) return false;
    auto* p = static_cast<uint64_t*>(try_allocate(wanted * 8, 8));
    if (!p) return false;
    std::memcpy(p, stack, stack_size * 8);
    if (stack != inline_stack) wafer::release(stack, stack_capacity * 8, 8);
    stack = p;
    stack_capacity = wanted;
    return true;
  }

  void trace_array(GcArray* array, uint64_t from) {
    // In pieces, so that one long array cannot fill the stack.
    constexpr uint64_t kPiece = 512;
    uint64_t to = array->length;
    if (to - from > kPiece) {
      to = from + kPiece;
      if (stack_capacity - stack_size < 2) grow_stack();
      if (stack_capacity - stack_size < 2) {
        stack_overflow = true;  // traced again, from its start, on an empty stack
      } else {
        stack[stack_size++] = to;
        stack[stack_size++] = uint64_t(uintptr_t(array)) | 1;
      }
    }
    const uint8_t* p = array->elements() + from * kRefSize;
    for (uint64_t i = from; i < to; ++i, p += kRefSize) mark(load_ref(p));
  }

  WAFER_ALWAYS_INLINE void trace(GcObject* object) {
    const wasm::CanonType* const type = object->type;
    switch (type->kind) {
      case wasm::CompKind::Struct: {
        const uint8_t* const payload = object->payload();
        for (const uint32_t offset : type->ref_offsets) mark(load_ref(payload + offset));
        break;
      }
      case wasm::CompKind::Array:
        if (type->element_is_ref) trace_array(static_cast<GcArray*>(object), 0);
        break;
      case wasm::CompKind::Func:
        if (type == &kExceptionType) {
          auto* e = static_cast<GcException*>(object);
          if (e->tag)
            for (const uint32_t slot : e->tag->ref_slots) mark(e->args()[slot]);
        } else if (WAFER_UNLIKELY(type == &kTracedType)) {
          auto* t = static_cast<GcTraced*>(object);
          live += t->trace(t->data, *this);
        }
        break;
      case wasm::CompKind::Cont:
        break;
    }
  }

  void drain() {
    // A short queue between the stack and the tracing gives the prefetches time.
    constexpr size_t kQueue = 8;
    GcObject* queue[kQueue] = {};
    size_t at = 0, idle = 0;
    while (idle < kQueue) {
      GcObject* incoming = nullptr;
      if (stack_size > 0) {
        const uint64_t entry = stack[--stack_size];
        if (entry & 1) {
          const uint64_t from = stack[--stack_size];
          trace_array(reinterpret_cast<GcArray*>(uintptr_t(entry & ~uint64_t{1})), from);
          continue;
        }
        incoming = reinterpret_cast<GcObject*>(uintptr_t(entry));
        __builtin_prefetch(incoming);
      }
      GcObject* const object = queue[at];
      queue[at] = incoming;
      at = (at + 1) % kQueue;
      if (object) trace(object);
      idle = incoming || object || stack_size > 0 ? 0 : idle + 1;
    }
  }

  // Calls f(object) for every marked object.
  template <class F>
  void for_each_marked(F f) {
    for (const Chunk& chunk : chunks) {
      for (uint8_t* p = chunk.base; p != chunk.end(); p += kBlockSize) {
        auto* const b = reinterpret_cast<Block*>(p);
        if (b->state != BlockState::Small || b->live == 0) continue;
        for (size_t w = 0; w < kMarkWords; ++w)
          for (uint64_t bits = b->marks[w]; bits; bits &= bits - 1)
            f(reinterpret_cast<GcObject*>(
                p + ((w * 64 + size_t(__builtin_ctzll(bits))) << kGranuleBits)));
      }
    }
    for (Block* b : large)
      if (b->live) f(reinterpret_cast<GcObject*>(reinterpret_cast<uint8_t*>(b) + kCellsOffset));
  }

  // ---- Collection

  // `trim`: give every free chunk back, for the sake of a large allocation.
  void collect(bool trim) {
    if (collecting) return;
    if (!through) return collect_here(trim);
    struct Run {
      Impl* self;
      bool trim;
    } run{this, trim};
    through(
        through_env,
        [](void* p) {
          const Run& r = *static_cast<Run*>(p);
          r.self->collect_here(r.trim);
        },
        &run);
  }

  void collect_here(bool trim) {
    collecting = true;
    ++collections;
    for (Bump& b : bump) b = {};
    for (Class& k : classes) k = {};
    for (const Chunk& chunk : chunks) {
      for (uint8_t* p = chunk.base; p != chunk.end(); p += kBlockSize) {
        auto* const b = reinterpret_cast<Block*>(p);
        if (b->state != BlockState::Small) continue;
        b->live = 0;
        std::memset(b->marks, 0, sizeof b->marks);
      }
    }
    for (Block* b : large) {
      b->live = 0;
      b->marks[kCellsOffset >> kGranuleBits >> 6] = 0;
    }

    live = 0;
    allocated = 0;
    stack_overflow = false;
    for (RootSource* source : roots) source->enumerate_roots(*this);
    drain();
    while (stack_overflow) {
      // Some marked objects were not pushed: look through all of them. Each round
      // marks at least one more object or is the last.
      stack_overflow = false;
      for_each_marked([&](GcObject* o) {
        trace(o);
        drain();
      });
    }
    if (stack_capacity > 4096) drop_stack();

    Vec<std::pair<void (*)(void*), void*>> finalizers;
    size_t kept = 0;
    for (GcHostObject* h : hosts) {
      if (marked(h))
        hosts[kept++] = h;
      else if (h->finalize)
        finalizers.push_back({h->finalize, h->data});
    }
    hosts.resize(kept);

    sweep(trim);
    // Collect again when the heap has doubled.
    threshold = std::max(config.initial_threshold, live);
    collecting = false;
    for (const auto& [finalize, data] : finalizers) finalize(data);
  }

  void sweep(bool trim) {
    kept_large();
    free_blocks = nullptr;
    // Empty chunks beyond what the mutator is likely to need soon go back.
    size_t spare = trim ? 0 : std::max(config.initial_threshold, live);
    size_t kept = 0;
    for (const Chunk chunk : chunks) {
      size_t used = 0;
      for (uint8_t* p = chunk.base; p != chunk.end(); p += kBlockSize) {
        const auto* b = reinterpret_cast<const Block*>(p);
        used += b->state == BlockState::Small && b->live > 0;
      }
      const size_t bytes = chunk.blocks * kBlockSize;
      if (used == 0) {
        if (spare < bytes) {
          held -= bytes;
          wafer::release(chunk.base, bytes, kBlockSize);
          ranges_stale = true;
          continue;
        }
        spare -= bytes;
      }
      for (size_t i = chunk.blocks; i-- > 0;) {
        uint8_t* const p = chunk.base + i * kBlockSize;
        auto* const b = reinterpret_cast<Block*>(p);
        if (b->state != BlockState::Small || b->live == 0) {
          push_free(p);
        } else if (b->live < kCellBytes / b->cell_size) {
          if (clear_dead) clear_dead_cells(b);
          Class& k = classes[b->size_class];
          b->next = k.unswept;
          k.unswept = b;
        }
      }
      chunks[kept++] = chunk;
    }
    chunks.resize(kept);
  }

  static void clear_dead_cells(Block* b) {
    auto* const start = reinterpret_cast<uint8_t*>(b);
    const size_t end = kCellsOffset + kCellBytes / b->cell_size * b->cell_size;
    for (size_t at = kCellsOffset; at < end; at += b->cell_size)
      if (!marked(b, at >> kGranuleBits)) reinterpret_cast<GcObject*>(start + at)->type = nullptr;
  }

  void kept_large() {
    size_t kept = 0;
    for (Block* b : large) {
      if (b->live) {
        large[kept++] = b;
      } else {
        held -= b->large_size;
        wafer::release(b, b->large_size, kBlockSize);
        ranges_stale = true;
      }
    }
    large.resize(kept);
  }

  // The chunk or large object that holds `address`, or null.
  const Range* range_of(uint64_t address) const {
    if (ranges_stale) {
      ranges.clear();
      for (const Chunk& c : chunks) ranges.push_back({c.base, c.end()});
      for (Block* b : large) {
        auto* base = reinterpret_cast<uint8_t*>(b);
        ranges.push_back({base, base + b->large_size});
      }
      sort(ranges.data(), ranges.data() + ranges.size(),
           [](const Range& a, const Range& b) { return a.base < b.base; });
      ranges_stale = false;
    }
    auto* const p = reinterpret_cast<uint8_t*>(uintptr_t(address));
    auto it = std::upper_bound(ranges.begin(), ranges.end(), p,
                               [](uint8_t* a, const Range& r) { return a < r.base; });
    if (it == ranges.begin()) return nullptr;
    --it;
    return p < it->end ? &*it : nullptr;
  }

  bool owns(Ref ref) const { return ref != kNullRef && !is_i31(ref) && range_of(ref); }
};

GcHeap::GcHeap(const Config& config) : impl_(make_box<Impl>(config)) {}
GcHeap::~GcHeap() = default;

void GcHeap::add_root_source(RootSource* source) { impl_->roots.push_back(source); }

void GcHeap::collect_through(Through through, void* env) {
  impl_->through = through;
  impl_->through_env = env;
}

void GcHeap::remove_root_source(RootSource* source) {
  // The last added is most often the first to go.
  for (size_t i = impl_->roots.size(); i-- > 0;) {
    if (impl_->roots[i] != source) continue;
    impl_->roots.erase(impl_->roots.begin() + ptrdiff_t(i));
    return;
  }
}

GcObject* GcHeap::new_struct(const wasm::CanonType* type) {
  auto* o = static_cast<GcObject*>(impl_->allocate(sizeof(GcObject) + type->payload_size));
  if (WAFER_LIKELY(o != nullptr)) o->type = type;
  return o;
}

GcArray* GcHeap::new_array(const wasm::CanonType* type, uint64_t length) {
  if (WAFER_UNLIKELY(type->element_size && length > impl_->config.max_bytes / type->element_size))
    return nullptr;
  const uint64_t size = sizeof(GcArray) + length * type->element_size;
  if (WAFER_UNLIKELY(size > SIZE_MAX || size < sizeof(GcArray))) return nullptr;
  auto* a = static_cast<GcArray*>(impl_->allocate(size_t(size)));
  if (WAFER_LIKELY(a != nullptr)) {
    a->type = type;
    a->length = length;
  }
  return a;
}

GcException* GcHeap::new_exception(TagInst* tag) {
  const size_t size = sizeof(GcException) + tag->type->param_slots * sizeof(Slot);
  auto* e = static_cast<GcException*>(impl_->allocate(size));
  if (WAFER_LIKELY(e != nullptr)) {
    e->type = &kExceptionType;
    e->tag = tag;
  }
  return e;
}

GcHostObject* GcHeap::new_host_object(void* data, void (*finalize)(void*)) {
  auto* h = static_cast<GcHostObject*>(impl_->allocate(sizeof(GcHostObject)));
  if (WAFER_LIKELY(h != nullptr)) {
    h->type = &kHostType;
    h->data = data;
    h->finalize = finalize;
    if (finalize) impl_->hosts.push_back(h);
  }
  return h;
}

void GcHeap::charge(size_t bytes) { impl_->allocated += bytes; }

GcTraced* GcHeap::new_traced(void* data, void (*finalize)(void*), GcTrace trace) {
  auto* t = static_cast<GcTraced*>(impl_->allocate(sizeof(GcTraced)));
  if (WAFER_UNLIKELY(!t)) return nullptr;
  t->type = &kTracedType;
  t->data = data;
  t->finalize = finalize;
  t->trace = trace;
  impl_->hosts.push_back(t);
  return t;
}

void GcHeap::allow_conservative_roots() {
  if (impl_->clear_dead) return;
  impl_->clear_dead = true;
  // Earlier sweeps left dead cells as they were.
  if (impl_->collections > 0) impl_->collect(false);
}

void GcHeap::collect() { impl_->collect(false); }

size_t GcHeap::live_bytes() const {
  size_t unused = 0;
  for (const Impl::Bump& b : impl_->bump) unused += size_t(b.limit - b.cursor);
  return impl_->live + impl_->allocated - unused;
}

uint64_t GcHeap::collections() const { return impl_->collections; }
size_t GcHeap::held_bytes() const { return impl_->held; }
bool GcHeap::owns(Ref ref) const { return impl_->owns(ref); }

#endif

bool ref_matches(const wasm::TypeRegistry& registry, Ref ref, wasm::HeapType type) {
  using wasm::CompKind;
  using wasm::HeapKind;
  if (ref == kNullRef) return false;
  if (!WAFER_HAS_GC && !type.is_concrete()) return true;
  auto kind_of = [&] { return reinterpret_cast<const GcObject*>(uintptr_t(ref))->type->kind; };
  switch (type.kind()) {
    case HeapKind::Func:
    case HeapKind::Extern:
    case HeapKind::Any:
    case HeapKind::Exn:
    case HeapKind::Cont:
      return true;
    case HeapKind::I31:
      return is_i31(ref);
    case HeapKind::Eq:
      // Not an external value that any.convert_extern brought in.
      return is_i31(ref) || kind_of() != CompKind::Func;
    case HeapKind::Struct:
      return !is_i31(ref) && kind_of() == CompKind::Struct;
    case HeapKind::Array:
      return !is_i31(ref) && kind_of() == CompKind::Array;
    case HeapKind::Concrete: {
      if (is_i31(ref)) return false;
      const wasm::CanonType* const target = registry.get(type.index());
      const wasm::CanonType* actual;
      if (target->kind == CompKind::Func) {
        actual = reinterpret_cast<const FuncInst*>(uintptr_t(ref))->type;
      } else {
        actual = reinterpret_cast<const GcObject*>(uintptr_t(ref))->type;
        if (actual->kind == CompKind::Func) return false;
      }
      if (actual == target) return true;
      if (type.is_exact()) return false;
      const uint32_t depth = target->depth();
      return depth < actual->depth() && actual->supers[depth] == target->id;
    }
    default:
      return false;  // the bottom types have no values but null
  }
}

Ref descriptor_of(Ref ref) {
  if (ref == kNullRef || is_i31(ref)) return kNullRef;
  auto* object = reinterpret_cast<GcObject*>(uintptr_t(ref));
  if (!object->type->has_descriptor()) return kNullRef;
  Ref descriptor;
  std::memcpy(&descriptor, object->payload() + object->type->descriptor_offset, sizeof descriptor);
  return descriptor;
}

}  // namespace wafer::runtime
