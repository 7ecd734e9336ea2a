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

// A component with code that was made ahead of time, which `find_code` gives. `owner`: whose the
// bytes are. Errors: those of decode(); Unsupported if the engine runs no such code.
Result<std::shared_ptr<Component>> decode_compiled(Bytes binary, const runtime::Engine& engine,
                                                   FindCode find_code,
                                                   std::shared_ptr<const void> owner,
                                                   FeatureSet features);

// Has `compile` make code of each different core module in `binary` and of the adapters that its
// instances use. Errors: those of decode() and of `compile`.
Result<std::vector<runtime::CompiledModule>> precompile(
    Bytes binary, const DecodeOptions& options,
    const std::function<Result<Vec<uint8_t>>(const wasm::Module&)>& compile);

}  // namespace wafer::component
