// What a look over the bodies tells before any is translated.
#pragma once

#include <span>

#include "compiler/llvm/translate.h"

namespace wafer::compiler {

// Facts of `functions` of `module`, which are compiled together. Takes time by their size only: a
// few at a time are made of a large module while it runs.
FunctionFacts scan_functions(const wasm::Module& module, std::span<const uint32_t> functions);

// Functions that `func` calls directly, and they in turn, nearest first: as many small ones
// as are worth having at hand for inlining.
std::vector<uint32_t> find_callees(const wasm::Module& module, uint32_t func);

}  // namespace wafer::compiler
