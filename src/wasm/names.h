// Decoder of the name section (appendix "Custom Sections"). Internal.
#pragma once

#include "wasm/module.h"

namespace wafer::wasm {

// Fills `module.names` from `section`; stops quietly where it is malformed.
void decode_names(Module& module, const CustomSection& section);

}  // namespace wafer::wasm
