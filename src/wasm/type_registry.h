// Canonical types: structurally equal recursive type groups of any modules get
// the same ids, so that type equality is integer equality (spec 3.1.2, 3.3).
#pragma once

#include <atomic>

#include "base/result.h"
#include "wasm/types.h"

namespace wafer::wasm {

// A canonical defined type. Immutable and never freed while its registry lives.
struct CanonType {
  uint32_t id = 0;
  CompKind kind = CompKind::Func;
  bool is_final = true;
  // Proper supertypes, root first; `supers[depth-1]` is the direct one. A type S
  // is a subtype of T iff S==T or T.depth < S.depth && S.supers[T.depth] == T.id.
  Vec<uint32_t> supers;
  uint32_t depth() const { return uint32_t(supers.size()); }
  // Canonical ids of the type of descriptors, and of the type that this one describes.
  uint32_t descriptor = SubType::kNone, describes = SubType::kNone;
  uint32_t descriptor_after = 0;   // fields that lie before the reference to the descriptor
  uint32_t descriptor_offset = 0;  // of that reference in the payload
  bool has_descriptor() const { return descriptor != SubType::kNone; }
  FuncType func;  // concrete heap types hold canonical ids
  Vec<FieldType> fields;
  uint32_t cont = 0;  // Cont: id of the function type

  // Layout of GC objects of this type; payload begins after the object header.
  Vec<uint32_t> field_offsets;  // Struct: byte offset of each field in the payload
  Vec<uint32_t> ref_offsets;    // Struct: payload offsets that hold GC references
  uint32_t payload_size = 0;    // Struct: payload bytes
  uint32_t element_size = 0;    // Array: bytes an element
  bool element_is_ref = false;  // Array: elements are GC references

  // Func: slots (64-bit) that parameters and results take.
  uint32_t param_slots = 0;
  uint32_t result_slots = 0;
};

class TypeRegistry {
 public:
  TypeRegistry();
  ~TypeRegistry();
  TypeRegistry(const TypeRegistry&) = delete;
  TypeRegistry& operator=(const TypeRegistry&) = delete;

  // Enters one recursive group. In `group`, a concrete index or `super` below
  // `first_local` is looked up in `canon_of` (module index to canonical id), and
  // index first_local+i names the i-th member. Returns the id of member 0; the
  // others follow consecutively. Thread-safe.
  Result<uint32_t> intern(const SubType* group, size_t count, uint32_t first_local,
                          const Vec<uint32_t>& canon_of);

  // Interns a lone final function type whose indices are canonical already.
  uint32_t intern_func(const FuncType& type);

  // The type of a canonical id. Thread-safe; the pointer stays good.
  const CanonType* get(uint32_t id) const {
    return chunks_[id >> kChunkBits].load(std::memory_order_acquire)[id & (kChunkSize - 1)];
  }

  // Subtyping over canonical ids and over types that hold canonical ids (3.3).
  bool is_subtype(uint32_t sub, uint32_t super) const {
    if (sub == super) return true;
    const CanonType* s = get(sub);
    const uint32_t depth = get(super)->depth();
    return depth < s->depth() && s->supers[depth] == super;
  }
  bool is_subtype(HeapType sub, HeapType super) const;
  bool is_subtype(ValType sub, ValType super) const;
  // True if `type` (canonical) is a reference that the collector follows: one in any
  // hierarchy but that of functions.
  bool is_gc_ref(ValType type) const;
  // Top of the hierarchy of `type` (canonical).
  HeapKind top(HeapType type) const {
    return type.is_concrete() ? top_of(get(type.index())->kind) : top_of(type.kind());
  }

 private:
  // On small systems 2048 types are all.
  static constexpr unsigned kChunkBits = kSmall ? 5 : 10;
  static constexpr unsigned kChunkSize = 1u << kChunkBits;
  static constexpr unsigned kMaxChunks = kSmall ? 64 : (kMaxTypeIndex + 1) >> kChunkBits;
  static constexpr uint32_t kMaxTypes = kMaxChunks << kChunkBits;
  std::atomic<const CanonType**> chunks_[kMaxChunks] = {};
  uint32_t count_ = 0;
  Mutex mutex_;
  HashMap<String, uint32_t, StringHash, StringEqual> groups_;
};

}  // namespace wafer::wasm
