// The components' side of a store. Internal to src/api and src/capi.
#pragma once

#include "component/run/linker.h"
#include "wafer/component.hpp"

namespace wafer {

// Made with the first component in the store, and gone with it.
component::ComponentStore& component_state(runtime::Store& store);

// As those of a Store.
Result<RunOutcome> run_until(component::ComponentStore& store, const std::function<bool()>& done,
                             std::chrono::nanoseconds most);

}  // namespace wafer
