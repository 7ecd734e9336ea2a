// C for the modules that a world is implemented or used by (`wafer bindgen c`).
//
// Types have in C the layout that they have in memory by the canonical ABI, so that values in
// memory are the C values themselves; code is made for what is passed flat.
#pragma once

#include <string>

#include "wit/resolve.h"

namespace wafer::bindgen {

struct CBindings {
  std::string name;    // of the files, without ending: the world's
  std::string header;  // NAME.h
  std::string source;  // NAME.c
  // NAME_component_type.o: an object file that brings the world into the module.
  Vec<uint8_t> object;
};

// The bindings of a world. Unsupported names what cannot be had in C. `async_exports`: functions
// that are async are implemented in steps, so that many calls go on at once, and do not block.
Result<CBindings> c_bindings(const wit::Resolve& resolve, wit::WorldId world,
                             bool async_exports = false);

// An object file that brings the world into a module, and the function in it that has to be
// referred to for that; `name`: the world's in C.
Vec<uint8_t> component_type_object(const wit::Resolve& resolve, wit::WorldId world,
                                   const std::string& name);
std::string component_type_symbol(const std::string& name);

}  // namespace wafer::bindgen
