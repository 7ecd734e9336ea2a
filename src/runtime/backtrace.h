// Turning positions in a module into something that people can read.
#pragma once

#include <optional>
#include <span>

#include "runtime/trap.h"
#include "wasm/module.h"

namespace wafer::runtime {

// Index of the function whose body holds byte `module_offset`, if any.
std::optional<uint32_t> function_at(const wasm::Module& module, uint32_t module_offset);

// A frame without names yet: quick, for the time of the trap.
BacktraceFrame make_frame(const wasm::Module& module, uint32_t func_index, uint32_t module_offset,
                          Instance* instance);

// Writes what `mangled` stands for in the source to `out`; false if it is no mangled name.
using Demangle = bool (*)(std::string_view mangled, String& out);

// Looks up the names of a backtrace, if that was not done yet, while its modules are still
// there: function names, made readable by `demangle` (or null), and by the modules' DWARF the
// source positions, and the frames of functions that their compilers inlined.
void describe(TrapInfo& info, Demangle demangle);

// One line a frame: "  #0  module!function (file.c:12:3) @0x1f4".
String format_backtrace(std::span<const BacktraceFrame> frames);

// A position in the source, "file.c:12:3", and the function there by its linkage name, or
// else its plain one; either may be empty.
struct SourceFrame {
  String function, source;
};
// The functions of the source that the code at `module_offset` belongs to, innermost first:
// those that were inlined there, and the one whose code it is. From the module's DWARF
// sections (versions 2 to 5, as compilers emit them for WebAssembly), empty without any.
// Broken sections can make it give nothing or something wrong, and take at most `budget`
// steps, which it counts down.
Vec<SourceFrame> dwarf_frames(const wasm::Module& module, uint32_t module_offset, uint64_t& budget);

}  // namespace wafer::runtime
