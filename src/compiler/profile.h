// Tells profilers and debuggers where machine code of WebAssembly functions lies.
#pragma once

#include <span>

#include "wasm/module.h"

namespace wafer::compiler {

// From now on, lists code in /tmp/perf-PID.map, where `perf report` looks it up.
void enable_perf_map();
// From now on, gives code to a debugger that attaches (GDB's JIT interface): names of
// functions and callers in backtraces, and breakpoints by name.
void enable_debugger();

struct CodeName {
  const void* begin;
  size_t size;
  uint32_t func_index;
};

// Announces new code of `module`, where that was asked for. `tier` is part of the names
// in profiles; `unwind` is the code's .eh_frame. Neither may be freed before forget_code()
// with the same `begin`.
void announce_code(const wasm::Module& module, std::span<const CodeName> code, const char* tier,
                   Bytes unwind);
void forget_code(const void* begin);

}  // namespace wafer::compiler
