// Text format (spec chapter 6). Not in embedded builds.
#pragma once

#include "wafer/engine.hpp"

namespace wafer {

// Parses a module in text format and encodes it as a binary. Errors: Malformed, with
// the byte offset in `text`.
Result<Vec<uint8_t>> wat2wasm(std::string_view text);
// A module as text that wat2wasm turns back into the same module.
Result<String> wasm2wat(const Module& module);
// wat2wasm, then Module::compile. Offsets in errors are into `text`.
Result<Module> compile_wat(const Engine& engine, std::string_view text);

}  // namespace wafer
