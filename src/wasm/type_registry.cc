#include "wasm/type_registry.h"

#include <algorithm>

#include "wasm/opcode.h"

namespace wafer::wasm {

namespace {

// Whether types are only of functions, which are groups for themselves and refer to no others.
constexpr bool kPlainFuncs = kInTree && !kHasTypeRefs;

// Equality of function types, in which a reference to the type itself is equal to no other.
bool same(const CanonType& a, const Vec<ValType>& list_a, const CanonType& b,
          const Vec<ValType>& list_b) {
  if constexpr (!kHasTypeRefs) return std::ranges::equal(list_a, list_b);
  if (list_a.size() != list_b.size()) return false;
  for (size_t i = 0; i < list_a.size(); ++i) {
    const ValType x = list_a[i];
    ValType y = list_b[i];
    const bool to_itself = y.is_ref() && y.heap() == HeapType::concrete(b.id, y.heap().is_exact());
    if (to_itself)
      y = ValType::ref(HeapType::concrete(a.id, y.heap().is_exact()), y.nullable());
    else if (x.is_ref() && x.heap().is_concrete() && x.heap().index() == a.id)
      return false;
    if (x != y) return false;
  }
  return true;
}
[[maybe_unused]] bool same_func(const CanonType& a, const CanonType& b) {
  return same(a, a.func.params, b, b.func.params) && same(a, a.func.results, b, b.func.results);
}

// Equal for types that are the same; others that agree in one `round` hardly do in the next.
[[maybe_unused]] uint32_t hash_func(const CanonType& type, uint32_t round) {
  uint32_t h = round;
  for (const Vec<ValType>* list : {&type.func.params, &type.func.results}) {
    for (ValType t : *list) {
      const bool to_itself =
          kHasTypeRefs && t.is_ref() && t.heap().is_concrete() && t.heap().index() == type.id;
      h = (h ^ (to_itself ? t.bits() & 0x3FF : t.bits())) * 0x9E3779B1u;
      h ^= h >> 15;
    }
    h = ~h;
  }
  return h;
}

// The type in the tree that is the same as `type`, which is not in it, and else `type`, which is
// hung in. `get` gives the type of an id.
template <class Type, class Get>
uint32_t find_or_hang(Type& type, Get get) {
  if (type.id == 0) return 0;
  uint32_t at = 0, hash = 0;
  for (uint32_t depth = 0;; ++depth, hash <<= 1) {
    Type& known = get(at);
    if (same_func(known, type)) return at;
    if (depth % 32 == 0) hash = hash_func(type, depth);
    uint32_t& next = known.tree.below[hash >> 31];
    if (!next) return next = type.id;
    at = next;
  }
}

// Types are compared by a byte string in which references within the group are
// relative to it and all others are canonical ids, so that equal strings mean
// equal types (iso-recursive equality, 3.3.2).
class KeyWriter {
 public:
  KeyWriter(uint32_t first_local, const uint32_t* canon_of)
      : first_(first_local), canon_(canon_of) {}

  void byte(unsigned b) { key.push_back(char(b)); }
  void number(uint32_t v) {
    for (; v >= 0x80; v >>= 7) byte(0x80 | (v & 0x7F));
    byte(v);
  }
  void index(uint32_t i) {
    if (i >= first_) {
      byte(1);
      number(i - first_);
    } else {
      byte(0);
      number(canon_ ? canon_[i] : i);
    }
  }
  void type(ValType t) {
    byte(unsigned(t.kind()) | unsigned(t.is_ref() && t.nullable()) << 4);
    if (!t.is_ref()) return;
    byte(unsigned(t.heap().kind()) | unsigned(t.heap().is_exact()) << 6);
    if (t.heap().is_concrete()) index(t.heap().index());
  }
  void types(const Vec<ValType>& list) {
    number(uint32_t(list.size()));
    for (ValType t : list) type(t);
  }
  void sub(const SubType& t) {
    byte(unsigned(t.kind) | unsigned(t.is_final) << 4 |
         unsigned(t.super != SubType::kNoSuper) << 5 |
         unsigned(t.descriptor != SubType::kNone) << 6 |
         unsigned(t.describes != SubType::kNone) << 7);
    if constexpr (!kOnlyFuncs) {
      for (const uint32_t other : {t.super, t.descriptor, t.describes})
        if (other != SubType::kNone) index(other);
    }
    if (kOnlyFuncs || t.kind == CompKind::Func) {
      types(t.func.params);
      types(t.func.results);
      return;
    }
    if (t.kind == CompKind::Cont) return index(t.cont);
    number(uint32_t(t.fields.size()));
    for (const FieldType& f : t.fields) {
      byte(f.is_mutable);
      type(f.storage);
    }
  }

  String key;

 private:
  uint32_t first_;
  const uint32_t* canon_;
};

uint32_t storage_size(ValType t) {
  switch (t.kind()) {
    case TypeKind::I8:
      return 1;
    case TypeKind::I16:
      return 2;
    case TypeKind::I32:
    case TypeKind::F32:
      return 4;
    case TypeKind::V128:
      return 16;
    case TypeKind::Ref:
      return 8;  // runtime::kRefSize, on every target
    default:
      return 8;
  }
}

// `is_gc_ref(t)` tells references to GC objects from all other types, function
// references among them.
template <class IsGcRef>
void lay_out(CanonType& type, IsGcRef is_gc_ref) {
  switch (kOnlyFuncs ? CompKind::Func : type.kind) {
    case CompKind::Func:
      for (ValType t : type.func.params) type.param_slots += slot_count(t);
      for (ValType t : type.func.results) type.result_slots += slot_count(t);
      break;
    case CompKind::Array:
      type.element_size = storage_size(type.fields[0].storage);
      type.element_is_ref = is_gc_ref(type.fields[0].storage);
      break;
    case CompKind::Struct: {
      // Fields stay in order: a supertype's fields are a prefix of ours and must
      // lie at the same offsets.
      uint32_t offset = 0;
      const auto place_descriptor = [&](size_t fields) {
        if (!type.has_descriptor() || type.descriptor_after != fields) return;
        offset = (offset + 7) & ~7u;
        type.descriptor_offset = offset;
        type.ref_offsets.push_back(offset);
        offset += 8;
      };
      type.field_offsets.reserve(type.fields.size());
      for (const FieldType& f : type.fields) {
        place_descriptor(type.field_offsets.size());
        const uint32_t size = storage_size(f.storage);
        const uint32_t align = size > 8 ? 8 : size;
        offset = (offset + align - 1) & ~(align - 1);
        type.field_offsets.push_back(offset);
        if (is_gc_ref(f.storage)) type.ref_offsets.push_back(offset);
        offset += size;
      }
      place_descriptor(type.fields.size());
      type.payload_size = offset;
      break;
    }
    case CompKind::Cont:
      break;
  }
}

}  // namespace

TypeRegistry::TypeRegistry() = default;
TypeRegistry::~TypeRegistry() = default;

TypeRegistry::Chunked::~Chunked() {
  for (uint32_t id = 0; id < count_; ++id) BoxDelete<CanonType>{}(const_cast<CanonType*>(get(id)));
  for (auto& chunk : chunks_)
    if (const CanonType** p = chunk.load(std::memory_order_relaxed))
      release(p, sizeof(*p) * kSize, alignof(const CanonType*));
}

void TypeRegistry::Chunked::add(Box<CanonType> type) {
  auto& chunk = chunks_[count_ >> kBits];
  const CanonType** types = chunk.load(std::memory_order_relaxed);
  if (!types) {
    types = static_cast<const CanonType**>(
        allocate(sizeof(const CanonType*) * kSize, alignof(const CanonType*)));
    for (unsigned k = 0; k < kSize; ++k) types[k] = nullptr;
    chunk.store(types, std::memory_order_release);
  }
  types[count_++ & (kSize - 1)] = type.release();
}

Result<uint32_t> TypeRegistry::enter(const SubType* group, size_t count, uint32_t first_local,
                                     const uint32_t* canon_of) {
  if constexpr (kPlainFuncs) {
    if (types_.size() == decltype(types_)::kMax)
      return failure(ErrorKind::Exhaustion, "type registry is full");
    Box<CanonType> type = make_box<CanonType>();
    type->id = types_.size();
    type->func = group->func;
    const uint32_t known = find_or_hang(
        *type, [&](uint32_t other) -> CanonType& { return *const_cast<CanonType*>(get(other)); });
    if (known != type->id) return known;
    lay_out(*type, [](ValType t) { return t.is_ref(); });
    types_.add(std::move(type));
    return known;
  }
  String key;
  if constexpr (!kInTree) {
    KeyWriter writer(first_local, canon_of);
    writer.number(uint32_t(count));
    for (size_t i = 0; i < count; ++i) writer.sub(group[i]);
    key = std::move(writer.key);
  }
  MutexLock lock(mutex_);
  if (const uint32_t* known = keys_.find(key)) return *known;
  const uint32_t first = types_.size();
  if (count > decltype(types_)::kMax - first)
    return failure(ErrorKind::Exhaustion, "type registry is full");

  auto canonical = [&](uint32_t i) {
    return i >= first_local ? first + (i - first_local) : canon_of ? canon_of[i] : i;
  };
  auto canonical_type = [&](ValType t) {
    if (!kHasTypeRefs || !t.is_ref() || !t.heap().is_concrete()) return t;
    return ValType::ref(HeapType::concrete(canonical(t.heap().index()), t.heap().is_exact()),
                        t.nullable());
  };
  for (size_t i = 0; i < count; ++i) {
    const SubType& in = group[i];
    Box<CanonType> type = make_box<CanonType>();
    type->id = first + uint32_t(i);
    type->kind = in.kind;
    type->is_final = in.is_final;
    if (!kOnlyFuncs && in.super != SubType::kNoSuper) {
      const CanonType& above = *get(canonical(in.super));
      type->supers = above.supers;
      type->supers.push_back(above.id);
      // The descriptor lies where the first type of the chain that has one put it.
      type->descriptor_after =
          above.has_descriptor() ? above.descriptor_after : uint32_t(above.fields.size());
    }
    if (!kOnlyFuncs && in.descriptor != SubType::kNone) type->descriptor = canonical(in.descriptor);
    if (!kOnlyFuncs && in.describes != SubType::kNone) type->describes = canonical(in.describes);
    const auto canonical_types = [&](Vec<ValType>& to, const Vec<ValType>& from) {
      to.reserve(from.size());
      for (ValType t : from) to.push_back(canonical_type(t));
    };
    canonical_types(type->func.params, in.func.params);
    canonical_types(type->func.results, in.func.results);
    if constexpr (kInTree) {
      const uint32_t known = find_or_hang(
          *type, [&](uint32_t other) -> CanonType& { return *const_cast<CanonType*>(get(other)); });
      if (known != type->id) return known;
    }
    type->fields.reserve(in.fields.size());
    for (const FieldType& f : in.fields)
      type->fields.push_back({canonical_type(f.storage), f.is_mutable});
    if (!kOnlyFuncs && in.kind == CompKind::Cont) type->cont = canonical(in.cont);
    lay_out(*type, [&](ValType t) {
      if (!t.is_ref()) return false;
      const HeapType heap = t.heap();
      if (!heap.is_concrete()) return top_of(heap.kind()) != HeapKind::Func;
      const uint32_t i = heap.index();
      return (i >= first ? group[i - first].kind : get(i)->kind) != CompKind::Func;
    });
    types_.add(std::move(type));
  }
  keys_.add(std::move(key), first);
  return first;
}

uint32_t TypeRegistry::intern_func(const FuncType& type) {
  // Indices are canonical already.
  SubType sub;
  sub.func = type;
  auto id = enter(&sub, 1, kMaxTypeIndex + 1, nullptr);
  if (!id) panic("type registry is full");
  return *id;
}

bool TypeRegistry::is_subtype(HeapType sub, HeapType super) const {
  if (sub == super) return true;
  const HeapKind a = sub.kind(), b = super.kind();
  if (a == HeapKind::Bot) return true;
  if (b == HeapKind::Bot) return false;
  if (!kHasTypeRefs && !is_built(Feature::Exceptions)) return false;
  if (a == HeapKind::Concrete) {
    if (b == HeapKind::Concrete) return !super.is_exact() && is_subtype(sub.index(), super.index());
    switch (kOnlyFuncs ? CompKind::Func : get(sub.index())->kind) {
      case CompKind::Func:
        return b == HeapKind::Func;
      case CompKind::Struct:
        return b == HeapKind::Struct || b == HeapKind::Eq || b == HeapKind::Any;
      case CompKind::Array:
        return b == HeapKind::Array || b == HeapKind::Eq || b == HeapKind::Any;
      case CompKind::Cont:
        return b == HeapKind::Cont;
    }
  }
  if (b == HeapKind::Concrete) {
    switch (kOnlyFuncs ? HeapKind::Func : top_of(get(super.index())->kind)) {
      case HeapKind::Func:
        return a == HeapKind::NoFunc;
      case HeapKind::Cont:
        return a == HeapKind::NoCont;
      default:
        return a == HeapKind::None;
    }
  }
  switch (a) {
    case HeapKind::NoFunc:
      return b == HeapKind::Func;
    case HeapKind::NoExtern:
      return b == HeapKind::Extern;
    case HeapKind::NoExn:
      return b == HeapKind::Exn;
    case HeapKind::NoCont:
      return b == HeapKind::Cont;
    case HeapKind::None:
      return b == HeapKind::I31 || b == HeapKind::Struct || b == HeapKind::Array ||
             b == HeapKind::Eq || b == HeapKind::Any;
    case HeapKind::I31:
    case HeapKind::Struct:
    case HeapKind::Array:
      return b == HeapKind::Eq || b == HeapKind::Any;
    case HeapKind::Eq:
      return b == HeapKind::Any;
    default:
      return false;
  }
}

bool TypeRegistry::is_gc_ref(ValType type) const {
  if (!type.is_ref()) return false;
  const HeapType heap = type.heap();
  if (!heap.is_concrete()) return top_of(heap.kind()) != HeapKind::Func;
  return get(heap.index())->kind != CompKind::Func;
}

bool TypeRegistry::is_subtype(ValType sub, ValType super) const {
  if (sub == super) return true;
  if (sub.is_bot()) return true;
  if (!sub.is_ref() || !super.is_ref()) return false;
  if (sub.nullable() && !super.nullable()) return false;
  return is_subtype(sub.heap(), super.heap());
}

}  // namespace wafer::wasm
