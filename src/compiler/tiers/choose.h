// Which functions are worth the time of the slower code generator, by what their bodies tell.
#pragma once

#include "base/memory.h"
#include "wasm/module.h"

namespace wafer::compiler {

// By function index: whether the function is one of those of the validated `module` that gain the
// most for their size, whose bodies have `most_bytes` together at the most. What gains is what is
// run often: in loops, and where that is called from. Takes time by the module's size.
Vec<bool> choose_functions(const wasm::Module& module, uint64_t most_bytes);

}  // namespace wafer::compiler
