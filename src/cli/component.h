// Components on the command line.
#pragma once

#include "cli/support.h"
#include "component/component.h"

namespace wafer::cli {

// Features that --enable and --disable of `options` give; unknown names are left to the modules'.
component::FeatureSet component_features(const FeatureOptions& options);

// Why a file is no component, or no core module; empty: it is.
std::string other_kind(Bytes bytes, bool component);

// Decodes and validates the component in `input`. On failure prints the error line.
std::shared_ptr<component::Component> decode_component(const ModuleInput& input,
                                                       const FeatureOptions& options);

// What `wafer inspect` shows of a component: its imports and exports as WIT.
int inspect_component(const ModuleInput& input, const FeatureOptions& options);

}  // namespace wafer::cli
