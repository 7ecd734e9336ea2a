// Worlds in core modules and beside components: `wafer component embed`, `unbundle`, `targets`.
#pragma once

#include <string>
#include <vector>

#include "component/component.h"
#include "wit/resolve.h"

namespace wafer::compose {

// `module` with a section that tells its world. Malformed if it is no core module.
Result<Vec<uint8_t>> embed(Bytes module, const wit::Resolve& resolve, wit::WorldId world,
                           component::StringEncoding encoding);

struct Unbundled {
  Vec<uint8_t> component;  // which imports its core modules
  struct Module {
    std::string name;  // of the import
    Vec<uint8_t> bytes;
  };
  std::vector<Module> modules;
};

// Takes the core modules of at least `threshold` bytes out of a component. Malformed or Invalid if
// it is none; Unsupported if it has core types of its own.
Result<Unbundled> unbundle(Bytes component, size_t threshold = 0);

// Whether a component fits a world: imports nothing else, exports all that the world does, each
// with a type that will do. Versions may differ where they are compatible. Invalid tells why not.
Result<void> targets(Bytes component, wit::Resolve resolve, wit::WorldId world);

}  // namespace wafer::compose
