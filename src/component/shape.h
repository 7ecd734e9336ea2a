// How value types are made, specialized ones alike ("Despecialization").
#pragma once

#include <algorithm>
#include <span>

#include "component/types.h"

namespace wafer::component {

// CanonicalABI.md, "Flattening".
inline constexpr uint32_t kMaxFlatParams = 16;
inline constexpr uint32_t kMaxFlatAsyncParams = 4;
inline constexpr uint32_t kMaxFlatResults = 1;

// Fields of a record, tuple, or element of a map.
inline size_t field_count(const TypeDef& def) {
  return def.kind == TypeKind::Record ? def.labels.size() : def.args.size();
}
inline ValType field_type(const TypeDef& def, size_t i) {
  return def.kind == TypeKind::Record ? def.labels[i].type : def.args[i];
}

inline bool is_variant(TypeKind kind) {
  return kind == TypeKind::Variant || kind == TypeKind::Enum || kind == TypeKind::Option ||
         kind == TypeKind::Result;
}
// Cases of a variant, enum, option or result.
inline size_t case_count(const TypeDef& def) {
  return def.kind == TypeKind::Option || def.kind == TypeKind::Result ? 2 : def.labels.size();
}
inline ValType case_type(const TypeDef& def, size_t i) {
  switch (def.kind) {
    case TypeKind::Option:
      return i == 0 ? ValType{} : def.args[0];
    case TypeKind::Result:
      return def.args[i];
    case TypeKind::Enum:
      return {};
    default:
      return def.labels[i].type;
  }
}
// Bytes of a discriminant of that many cases ("Alignment").
inline uint32_t discriminant_bytes(size_t cases) {
  return cases <= 256 ? 1 : cases <= 65536 ? 2 : 4;
}
inline uint32_t flags_bytes(size_t labels) { return labels <= 8 ? 1 : labels <= 16 ? 2 : 4; }

inline uint64_t align_up(uint64_t at, uint64_t align) { return (at + align - 1) & ~(align - 1); }

// Follows names of primitive types.
inline ValType plain(const TypeArena& types, ValType t) {
  while (t.defined() && types[t.id].kind == TypeKind::Primitive) t = types[t.id].args[0];
  return t;
}

// Size and alignment in memory of one pointer width.
struct Place {
  uint64_t size;
  uint32_t align;
};
inline Place place_of(const TypeArena& types, ValType t, bool is64) {
  const Layout l = types.layout(t);
  return {l.size[is64], l.align[is64]};
}
// Of values one after the other, as in a tuple.
inline Place tuple_place(const TypeArena& types, std::span<const ValType> values, bool is64) {
  Place out{0, 1};
  for (const ValType t : values) {
    const Place p = place_of(types, t, is64);
    out.size = align_up(out.size, p.align) + p.size;
    out.align = std::max(out.align, p.align);
  }
  out.size = align_up(out.size, out.align);
  return out;
}
// Calls `f(i, offset)` for each of them.
template <class F>
void each_in_tuple(const TypeArena& types, std::span<const ValType> values, bool is64, F&& f) {
  uint64_t at = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const Place p = place_of(types, values[i], is64);
    at = align_up(at, p.align);
    f(i, at);
    at += p.size;
  }
}
// Where the value of any case lies behind the discriminant.
inline uint64_t payload_offset(const TypeArena& types, const TypeDef& def, bool is64) {
  uint32_t align = 1;
  for (size_t i = 0; i < case_count(def); ++i)
    if (const ValType t = case_type(def, i))
      align = std::max(align, place_of(types, t, is64).align);
  return align_up(discriminant_bytes(case_count(def)), align);
}

}  // namespace wafer::component
