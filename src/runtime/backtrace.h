// Turning positions in a module into something that people can read.
#pragma once

#include <optional>
#include <span>

#include "runtime/trap.h"
#include "wasm/module.h"

namespace wafer::runtime {

// Index of the function whose body holds byte `module_offset`, if any.
std::optional<uint32_t> function_at(const wasm::Module& module, uint32_t module_offset);

// A frame with names, and with the source position if the module has DWARF and
// `with_source` asks for it (that reads the debug sections).
BacktraceFrame describe_frame(const wasm::Module& module, uint32_t func_index,
                              uint32_t module_offset, bool with_source = true);

// One line a frame: "  #0  module!function (file.c:12:3) @0x1f4".
String format_backtrace(std::span<const BacktraceFrame> frames);

// "file.c:12:3" for the code at `module_offset`, from the module's DWARF sections
// (versions 2 to 5, as compilers emit them for WebAssembly); empty without any.
String dwarf_location(const wasm::Module& module, uint32_t module_offset);

}  // namespace wafer::runtime
