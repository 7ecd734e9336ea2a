// Garbage-collected heap: non-moving mark and sweep over size-segregated blocks,
// with precise roots.
#pragma once

#include "base/result.h"
#include "runtime/trap.h"
#include "runtime/value.h"
#include "wasm/type_registry.h"

namespace wafer::runtime {

struct TagInst;

// Every object starts with its type. Struct payload follows directly at +8;
// an array has its length at +8 and its elements at +16.
struct alignas(8) GcObject {
  const wasm::CanonType* type;
  uint8_t* payload() { return reinterpret_cast<uint8_t*>(this + 1); }
};
struct GcArray : GcObject {
  uint64_t length;
  uint8_t* elements() { return reinterpret_cast<uint8_t*>(this + 1); }
};
// An exception (4.2.9): the tag, then its arguments as slots.
struct GcException : GcObject {
  TagInst* tag;
  Slot* args() { return reinterpret_cast<Slot*>(this + 1); }
};
// A host value behind an externref; `finalize(data)` runs when it dies.
struct GcHostObject : GcObject {
  void* data;
  void (*finalize)(void* data);
};

// A value of the engine that holds references itself: `trace(data, visitor)` shows them, and
// gives the bytes that it holds outside of the heap.
class RootVisitor;
using GcTrace = size_t (*)(void* data, RootVisitor& visitor);
struct GcTraced : GcHostObject {
  GcTrace trace;
};

// References inside objects, tables and globals take 8 bytes on every target.
inline constexpr uint32_t kRefSize = 8;

// Calls visit(root) for each root slot; null, i31 and func references are fine.
// Func references are recognised by their owner's static type and must not be
// passed.
class RootVisitor {
 public:
  virtual void visit(Ref root) = 0;
  // Takes every word in [begin, end) that points at or into a live object's cell for a
  // reference to it: for native stacks, whose layout is the code generator's.
  virtual void visit_conservatively(const uint64_t* begin, const uint64_t* end) = 0;

 protected:
  ~RootVisitor() = default;
};
// Something that holds roots (the store's globals and tables, an interpreter's
// stack, embedder handles).
class RootSource {
 public:
  virtual void enumerate_roots(RootVisitor& visitor) = 0;

 protected:
  ~RootSource() = default;
};

// 4 GiB, or what the address space has.
inline constexpr size_t kDefaultMaxBytes = SIZE_MAX > 0xFFFFFFFF ? size_t(uint64_t(1) << 32)
                                                                 : SIZE_MAX;

#if WAFER_HAS_ReferenceTypes

class GcHeap {
 public:
  struct Config {
    size_t max_bytes = kDefaultMaxBytes;  // ceiling on live + free blocks
    // Allocation volume before the first collection.
    size_t initial_threshold = WAFER_HAS_OS ? size_t(4) << 20 : size_t(64) << 10;
    // Ceiling on the marker's stack; a deeper graph is marked in several passes.
    size_t mark_stack_entries = size_t(1) << 20;
  };
  // Special types that tell exceptions and host objects from structs and arrays.
  static const wasm::CanonType kExceptionType;
  static const wasm::CanonType kHostType;
  static const wasm::CanonType kTracedType;
  static bool is_exception(const GcObject* object) { return object->type == &kExceptionType; }
  static bool is_host_object(const GcObject* object) { return object->type == &kHostType; }

  explicit GcHeap(const Config& config);
  ~GcHeap();
  GcHeap(const GcHeap&) = delete;
  GcHeap& operator=(const GcHeap&) = delete;

  void add_root_source(RootSource* source);
  void remove_root_source(RootSource* source);

  // Has to be called before a root source calls visit_conservatively().
  void allow_conservative_roots();

  // Collections run as `through(env, run, argument)`, which calls run(argument): on a stack
  // with room for finalizers, and with all others at rest.
  using Through = void (*)(void* env, void (*run)(void*), void* argument);
  void collect_through(Through through, void* env);

  // Allocate, zero-filled. May collect first (so every live reference must be
  // reachable from a root source); nullptr when full even so.
  GcObject* new_struct(const wasm::CanonType* type);
  GcArray* new_array(const wasm::CanonType* type, uint64_t length);
  GcException* new_exception(TagInst* tag);
  GcHostObject* new_host_object(void* data, void (*finalize)(void*));
  GcTraced* new_traced(void* data, void (*finalize)(void*), GcTrace trace);
  // Counts bytes outside of the heap that an object has come to hold.
  void charge(size_t bytes);

  // Full collection now.
  void collect();
  size_t live_bytes() const;  // after the last collection plus allocated since
  uint64_t collections() const;
  size_t held_bytes() const;  // blocks taken from the allocator, live or free
  // True if `ref` points into this heap: tells an object from a function
  // reference (or null, or i31) where the static type is not known.
  bool owns(Ref ref) const;

 private:
  struct Impl;
  Box<Impl> impl_;
};

#else

// Where there are no references to objects, there is no heap.
class GcHeap {
 public:
  struct Config {
    size_t max_bytes = kDefaultMaxBytes;
  };
  static constexpr bool is_exception(const GcObject*) { return false; }
  static constexpr bool is_host_object(const GcObject*) { return false; }
  explicit GcHeap(const Config&) {}
  void add_root_source(RootSource*) {}
  void remove_root_source(RootSource*) {}
  GcObject* new_struct(const wasm::CanonType*) { return nullptr; }
  GcArray* new_array(const wasm::CanonType*, uint64_t) { return nullptr; }
  GcException* new_exception(TagInst*) { return nullptr; }
  GcHostObject* new_host_object(void*, void (*)(void*)) { return nullptr; }
  GcTraced* new_traced(void*, void (*)(void*), GcTrace) { return nullptr; }
  void charge(size_t) {}
  void collect() {}
  size_t live_bytes() const { return 0; }
  uint64_t collections() const { return 0; }
  size_t held_bytes() const { return 0; }
  bool owns(Ref) const { return false; }
};

#endif

// True if `ref` is of heap type `type` (canonical), as ref.test decides (4.4.5).
// The hierarchy is the static type's: func references and others are told apart
// by `type`.
bool ref_matches(const wasm::TypeRegistry& registry, Ref ref, wasm::HeapType type);

// The descriptor that `ref` was made with (custom descriptors proposal), or null if it, being
// null, i31, an array or of another type, has none. Not for func references.
Ref descriptor_of(Ref ref);

}  // namespace wafer::runtime
