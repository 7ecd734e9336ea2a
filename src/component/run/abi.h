// Lifting and lowering without dynamic values (wafer/component_abi.hpp).
#pragma once

#include "component/run/values.h"
#include "wafer/component_abi.hpp"

namespace wafer::component {

// A type that is a handle, as the component has it.
struct AbiHandle {
  const TypeDef* def;
  ResourceType* resource;  // that it is of; null: none, or it is not known yet
};

// Those of parameters and result, in order.
std::vector<AbiHandle> abi_handles(const ComponentInstance& instance, const TypeDef& func);

}  // namespace wafer::component
