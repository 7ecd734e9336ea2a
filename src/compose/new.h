// From a core module to a component (`wafer component new`).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/span.h"

namespace wafer::compose {

struct Adapter {
  std::string name;  // of the module that it stands for: "wasi_snapshot_preview1"
  Bytes bytes;
};

struct NewOptions {
  std::vector<Adapter> adapters;
  // Imported interfaces of compatible versions become one, the newest.
  bool merge_versions = true;
  // Adapters get memory by growing it, and not from the main module, whose allocator may not be
  // ready when they start (Go).
  bool realloc_via_memory_grow = false;
  // Names of interfaces have only the part of the version that compatible ones share.
  bool canonical_names = false;
};

// The component that `module` and the adapters make. Its world is what sections named
// component-type in them say. Malformed or Invalid if one of the modules is, or if imports or
// exports do not fit the world.
Result<Vec<uint8_t>> new_component(Bytes module, const NewOptions& options = {});

}  // namespace wafer::compose
