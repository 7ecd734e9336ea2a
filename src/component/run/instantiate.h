// Instantiation of components (Explainer.md, "Component Definitions").
#pragma once

#include "component/run/task.h"

namespace wafer::component {

// Makes an instance of `component` with `args` by import name, and of all that it instantiates
// itself. The arguments are known to fit.
Result<std::shared_ptr<ComponentInstance>> instantiate(
    ComponentStore& store, const std::shared_ptr<const Component>& component,
    const InstanceValue& args);

// Why `item` cannot be given to an import of `component` that wants `entity`; empty: it can.
std::string mismatch(const Component& component, const Entity& entity, const Item& item);
// Whether an instance's exports are nothing but types that are no resources.
bool only_types(const Component& component, const Entity& entity);

}  // namespace wafer::component
