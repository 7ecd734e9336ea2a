// Components and machine code that is made ahead of time: their core modules, and the adapters of
// calls between their parts.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "component/component.h"
#include "runtime/store.h"

namespace wafer::component {

// How components are decoded for `engine`, which outlives them. `find_code`: code that came with
// the component, for a module with these bytes (what becomes wasm::Module::precompiled); without
// it the engine is asked for some.
DecodeOptions options_for(const runtime::Engine& engine, FindCode find_code = nullptr);

// A core module of a component, or an adapter, and what was made of it.
struct ModuleCode {
  std::shared_ptr<const wasm::Module> module;
  Vec<uint8_t> code;
};

// Has `compile` make code of each different core module in `binary` and of the adapters that its
// instances use. Errors: those of decode() and of `compile`.
Result<std::vector<ModuleCode>> precompile(
    Bytes binary, const DecodeOptions& options,
    const std::function<Result<Vec<uint8_t>>(const wasm::Module&)>& compile);

}  // namespace wafer::component
