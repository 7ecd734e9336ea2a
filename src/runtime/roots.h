// Whether there can be references to what the collector owns.
#pragma once

#include "wasm/opcode.h"

namespace wafer::runtime {

inline constexpr bool kHasRoots =
    wasm::is_built(wasm::Feature::ReferenceTypes) || wasm::is_built(wasm::Feature::GC) ||
    wasm::is_built(wasm::Feature::Exceptions) || wasm::is_built(wasm::Feature::LegacyExceptions) ||
    wasm::is_built(wasm::Feature::StackSwitching);

}  // namespace wafer::runtime
