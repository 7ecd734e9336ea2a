// WIT from binary components: what a component imports and exports, and packages in binary form
// (WIT.md, "Package Format").
#pragma once

#include "component/component.h"
#include "wit/resolve.h"

namespace wafer::wit {

// The world of a component: `root` in a package `root:component`, with all interfaces that it
// names, in packages of theirs.
Result<Resolved> world_of(const component::Component& component);

// Whether a component is nothing but a WIT package: all that it exports are types of components.
bool is_package(const component::Component& component);

// The package that such a component holds, with what its section of comments says if `bytes` are
// those that the component was decoded from. Interfaces of other packages are there as far as the
// package refers to them.
Result<Resolved> decode_package(const component::Component& component, Bytes bytes = {});

// What the bytes of a module or component say as WIT: a package in binary form, the world of a
// component, or the world that a core module tells in its custom sections. Invalid if a core module
// tells none.
Result<Resolved> decode_binary(Bytes bytes);

}  // namespace wafer::wit
