// What a look over the bodies tells before any is translated.
#pragma once

#include <span>

#include "compiler/llvm/translate.h"

namespace wafer::compiler {

// Facts of all functions of `module`, of which `functions` are compiled together.
FunctionFacts scan_functions(const wasm::Module& module, std::span<const uint32_t> functions);

// Functions that `func` calls directly, and they in turn, nearest first: as many small ones
// as are worth having at hand for inlining.
std::vector<uint32_t> find_callees(const wasm::Module& module, uint32_t func);

}  // namespace wafer::compiler
