// Source locations from DWARF sections, for backtraces.
#pragma once

#include "wasm/module.h"

namespace wafer::runtime {

// "file.c:12:3" of the instruction at `module_offset` (bytes into the module), or
// empty when the module has no usable line table (DWARF 4 and 5 for WebAssembly).
String dwarf_location(const wasm::Module& module, uint32_t module_offset);

}  // namespace wafer::runtime
