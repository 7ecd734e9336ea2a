// Reads types in binary form (5.3), of modules and of what components say of modules. Functions
// give false on failure; the error is the cursor's then.
#pragma once

#include "wasm/cursor.h"
#include "wasm/type_registry.h"

namespace wafer::wasm {

// Of a module.
inline constexpr uint32_t kMaxTypes = 1000000;
inline constexpr uint32_t kMaxSubtypeDepth = 63;

// The length of a vector of things (`what`) of which `present` exist already, and of which there
// may be `limit`.
bool read_count(Cursor& c, uint32_t& out, uint32_t present, uint32_t limit, Text what);
// A sub type, composite or not, which gets the index `index`.
bool read_sub_type(Cursor& c, SubType& out, uint32_t index);
// Whether the type `sub` may declare `super` as its supertype (3.2.9), which is not final. Both are
// canonical ids.
bool may_extend(const TypeRegistry& registry, uint32_t sub, uint32_t super);
bool read_table_type(Cursor& c, TableType& out);
bool read_memory_type(Cursor& c, MemoryType& out);
bool read_global_type(Cursor& c, GlobalType& out);

}  // namespace wafer::wasm
