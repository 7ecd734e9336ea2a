// Bringing packages and worlds that were resolved apart together.
#pragma once

#include <map>

#include "wit/resolve.h"

namespace wafer::wit {

// What the numbers of a Resolve became in the one that it was merged into.
struct Remap {
  std::vector<PackageId> packages;
  std::vector<InterfaceId> interfaces;
  std::vector<TypeId> types;
  std::vector<WorldId> worlds;

  Type operator()(Type t) const { return t.defined() ? Type::of(types[t.id]) : t; }
};

// Adds all of `from` to `into`. Packages of the same name become one: interfaces get what only
// one of the two has, and what both have must be equal, as must worlds of the same name. Invalid
// if they are not.
Result<Remap> merge(Resolve& into, const Resolve& from);

// Adds the imports and exports of world `from` to `into`; both are of `resolve`. What both have
// must be equal. Invalid if not, or if an export of one is what exports of the other import.
Result<void> merge_worlds(Resolve& resolve, WorldId from, WorldId into);

// Of imported interfaces that differ in nothing but compatible versions, keeps the newest, with
// all that refers to the others referring to it. Invalid if it lacks something.
Result<void> merge_compatible_imports(Resolve& resolve, WorldId world);

}  // namespace wafer::wit
