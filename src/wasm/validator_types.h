// What the files of the validator share.
#pragma once

#include "wasm/op_tables.h"
#include "wasm/validator.h"

namespace wafer::wasm {

inline constexpr ValType kNumTypes[] = {kI32, kI64, kF32, kF64, kV128};

inline bool is_num_or_vec(ValType t) {
  return t.kind() >= TypeKind::I32 && t.kind() <= TypeKind::V128;
}

// "[i32 f64]", for messages.
String type_list(std::span<const ValType> types);

}  // namespace wafer::wasm
