// Interpreter tier: translates bodies to register code and runs them with
// threaded dispatch.
#pragma once

#include "runtime/store.h"

namespace wafer::interp {

// The interpreter, for Engine::create. One for the process.
runtime::Tier* tier();

// Translates every function of `instance` now instead of on its first call.
Result<void> translate_all(runtime::Instance& instance);

// Text listing of the register code of one function, for debugging.
Result<String> disassemble(runtime::Instance& instance, uint32_t func_index);

}  // namespace wafer::interp
