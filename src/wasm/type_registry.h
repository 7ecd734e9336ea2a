// Canonical types: structurally equal recursive type groups of any modules get
// the same ids, so that type equality is integer equality (spec 3.1.2, 3.3).
#pragma once

#include <atomic>

#include "base/result.h"
#include "wasm/types.h"

namespace wafer::wasm {

// Without these there are only function types, each a group for itself.
inline constexpr bool kOnlyFuncs = !is_built(Feature::GC) && !is_built(Feature::StackSwitching);

// On small systems such types are found without a table: they are nodes of a tree, in which each
// bit of a type's hash says which way to go.
inline constexpr bool kInTree = kSmall && kOnlyFuncs;
struct TreeLinks {
  uint32_t below[2] = {0, 0};  // ids of types; 0, which is the root's, for none
};
struct NoTreeLinks {};

// A canonical defined type. Immutable and never freed while its registry lives.
struct CanonType {
  uint32_t id = 0;
  CompKind kind = CompKind::Func;
  bool is_final = true;
  // Proper supertypes, root first; `supers[depth-1]` is the direct one. A type S
  // is a subtype of T iff S==T or T.depth < S.depth && S.supers[T.depth] == T.id.
  [[no_unique_address]] VecOf<Feature::GC, uint32_t> supers;
  uint32_t depth() const { return uint32_t(supers.size()); }
  // Canonical ids of the type of descriptors, and of the type that this one describes.
  uint32_t descriptor = SubType::kNone, describes = SubType::kNone;
  uint32_t descriptor_after = 0;   // fields that lie before the reference to the descriptor
  uint32_t descriptor_offset = 0;  // of that reference in the payload
  bool has_descriptor() const { return descriptor != SubType::kNone; }
  FuncType func;  // concrete heap types hold canonical ids
  [[no_unique_address]] FieldTypes fields;
  uint32_t cont = 0;  // Cont: id of the function type

  // Layout of GC objects of this type; payload begins after the object header.
  [[no_unique_address]] VecOf<Feature::GC, uint32_t>
      field_offsets;  // Struct: byte offset of each field in the payload
  [[no_unique_address]] VecOf<Feature::GC, uint32_t>
      ref_offsets;              // Struct: payload offsets that hold GC references
  uint32_t payload_size = 0;    // Struct: payload bytes
  uint32_t element_size = 0;    // Array: bytes an element
  bool element_is_ref = false;  // Array: elements are GC references

  // Func: slots (64-bit) that parameters and results take.
  uint32_t param_slots = 0;
  uint32_t result_slots = 0;

  [[no_unique_address]] std::conditional_t<kInTree, TreeLinks, NoTreeLinks> tree;
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
                          const Vec<uint32_t>& canon_of) {
    return enter(group, count, first_local, canon_of.data());
  }

  // Interns a lone final function type whose indices are canonical already.
  uint32_t intern_func(const FuncType& type);

  // The type of a canonical id. Thread-safe; the pointer stays good.
  const CanonType* get(uint32_t id) const { return types_.get(id); }

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
  // Types by their ids, read by threads while another adds to them.
  class Chunked {
   public:
    static constexpr unsigned kBits = 10;
    static constexpr unsigned kSize = 1u << kBits;
    static constexpr uint32_t kMax = kMaxTypeIndex + 1;
    ~Chunked();
    const CanonType* get(uint32_t id) const {
      return chunks_[id >> kBits].load(std::memory_order_acquire)[id & (kSize - 1)];
    }
    uint32_t size() const { return count_; }
    void add(Box<CanonType> type);

   private:
    std::atomic<const CanonType**> chunks_[kMax >> kBits] = {};
    uint32_t count_ = 0;
  };
  // The same where there is one thread.
  class Listed {
   public:
    static constexpr uint32_t kMax = kMaxTypeIndex + 1;
    const CanonType* get(uint32_t id) const { return types_[id].get(); }
    uint32_t size() const { return uint32_t(types_.size()); }
    void add(Box<CanonType> type) { types_.push_back(std::move(type)); }

   private:
    Vec<Box<CanonType>> types_;
  };
  // The first types of groups by what tells them apart.
  class Keys {
   public:
    const uint32_t* find(const String& key) const {
      auto it = groups_.find(key);
      return it == groups_.end() ? nullptr : &it->second;
    }
    void add(String key, uint32_t first) { groups_.emplace(std::move(key), first); }

   private:
    HashMap<String, uint32_t, StringHash, StringEqual> groups_;
  };
  struct NoKeys {
    static const uint32_t* find(const String&) { return nullptr; }
    static void add(const String&, uint32_t) {}
  };
  // If `canon_of` is null, indices below `first_local` are canonical already.
  Result<uint32_t> enter(const SubType* group, size_t count, uint32_t first_local,
                         const uint32_t* canon_of);

  std::conditional_t<kSmall, Listed, Chunked> types_;
  [[no_unique_address]] Mutex mutex_;
  [[no_unique_address]] std::conditional_t<kInTree, NoKeys, Keys> keys_;
};

}  // namespace wafer::wasm
