// Primitive value types: their names and codes (Binary.md, primvaltype), described once.
#pragma once

#include <cstdint>
#include <string_view>

namespace wafer::component {

enum class Prim : uint8_t {
  None,  // no type
  Bool,
  S8,
  U8,
  S16,
  U16,
  S32,
  U32,
  S64,
  U64,
  F32,
  F64,
  Char,
  String,
  ErrorContext,
  Defined,  // a type that is defined elsewhere
};

struct PrimInfo {
  Prim prim;
  std::string_view name;
  uint8_t code;
  uint8_t size;  // bytes in memory, which is its alignment too; 0: a pointer and a length
};

inline constexpr PrimInfo kPrims[] = {
    {Prim::Bool, "bool", 0x7f, 1},     {Prim::S8, "s8", 0x7e, 1},
    {Prim::U8, "u8", 0x7d, 1},         {Prim::S16, "s16", 0x7c, 2},
    {Prim::U16, "u16", 0x7b, 2},       {Prim::S32, "s32", 0x7a, 4},
    {Prim::U32, "u32", 0x79, 4},       {Prim::S64, "s64", 0x78, 8},
    {Prim::U64, "u64", 0x77, 8},       {Prim::F32, "f32", 0x76, 4},
    {Prim::F64, "f64", 0x75, 8},       {Prim::Char, "char", 0x74, 4},
    {Prim::String, "string", 0x73, 0}, {Prim::ErrorContext, "error-context", 0x64, 4},
};

// Facts of `prim`; null for None and Defined.
constexpr const PrimInfo* prim_info(Prim prim) {
  for (const PrimInfo& p : kPrims)
    if (p.prim == prim) return &p;
  return nullptr;
}

// The keyword of a primitive type ("u32"), empty for None and Defined.
constexpr std::string_view prim_name(Prim prim) {
  const PrimInfo* p = prim_info(prim);
  return p ? p->name : std::string_view();
}

// The primitive type of a keyword, None if it is none.
constexpr Prim prim_of(std::string_view keyword) {
  for (const PrimInfo& p : kPrims)
    if (p.name == keyword) return p.prim;
  return Prim::None;
}

// The primitive type of a binary code, None if it is none.
constexpr Prim prim_of_code(uint8_t code) {
  for (const PrimInfo& p : kPrims)
    if (p.code == code) return p.prim;
  return Prim::None;
}

// Whether a map may have keys of this type (Binary.md, keytype).
constexpr bool is_key_prim(Prim prim) {
  return prim_info(prim) && prim != Prim::F32 && prim != Prim::F64 && prim != Prim::ErrorContext;
}

}  // namespace wafer::component
