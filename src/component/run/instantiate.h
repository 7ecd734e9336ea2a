// Instantiation of components (Explainer.md, "Component Definitions").
#pragma once

#include "component/run/task.h"

namespace wafer::component {

// Makes an instance of `component` with `args` by import name, and of all that it instantiates
// itself. The arguments are known to fit.
Result<std::shared_ptr<ComponentInstance>> instantiate(
    ComponentStore& store, const std::shared_ptr<const Component>& component,
    const InstanceValue& args);

}  // namespace wafer::component
