// The components' side of a store. Internal to src/api and src/capi.
#pragma once

#include "component/run/linker.h"

namespace wafer {

// Made with the first component in the store, and gone with it.
component::ComponentStore& component_state(runtime::Store& store);

}  // namespace wafer
