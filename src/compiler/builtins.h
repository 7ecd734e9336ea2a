// The functions of builtins.def.
#pragma once

#include <span>

#include "compiler/abi.h"

namespace wafer::compiler {

enum class Builtin : uint8_t {
#define WAFER_BUILTIN(name, result, params) name,
#include "compiler/builtins.def"
#undef WAFER_BUILTIN
  Count,
};

struct BuiltinInfo {
  std::string_view name;
  char result;
  std::string_view params;  // letters, without the context
  void* address;
  bool throws = false;  // exceptions of WebAssembly
  bool returns = true;
};

// Facts of `builtin`.
const BuiltinInfo& builtin_info(Builtin builtin);

// Address of what compiled code may refer to by name: "wafer_NAME" for a builtin, the
// personality routine, and a fixed set of the C library's functions that code
// generators call on their own account. Null for anything else.
void* symbol_address(std::string_view name);

}  // namespace wafer::compiler
