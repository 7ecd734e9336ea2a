// The name section (appendix "Custom Sections").
#pragma once

#include "wasm/module.h"

namespace wafer::wasm {

// Fills `module.names` from `section`; stops quietly where it is malformed.
void decode_names(Module& module, const CustomSection& section);

// Contents of a name section, without empty subsections; empty if there are no names.
Vec<uint8_t> encode_names(const NameSection& names);

}  // namespace wafer::wasm
