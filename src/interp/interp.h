// Interpreter tier: translates bodies to register code and runs them with
// threaded dispatch.
#pragma once

#include "runtime/store.h"

// Whether functions can be translated. A small system does either this or runs them in place.
#ifndef WAFER_HAS_TRANSLATOR
#define WAFER_HAS_TRANSLATOR 1
#endif

namespace wafer::interp {

// The interpreter, for Engine::create. One for the process.
runtime::Tier* tier();
// Whether it runs functions where their bytes lie: in builds that were made for that.
inline constexpr bool kRunsInPlace = !WAFER_HAS_TRANSLATOR;
// Such a one beside it, except on small systems.
runtime::Tier* in_place_tier();

// Translates every function of `instance` now instead of on its first call.
Result<void> translate_all(runtime::Instance& instance);

// Text listing of the register code of one function, for debugging.
Result<String> disassemble(runtime::Instance& instance, uint32_t func_index);

}  // namespace wafer::interp
