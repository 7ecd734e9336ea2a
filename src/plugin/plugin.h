// Shared libraries of this project that programs open when they need them: they are large, or have
// a price for whoever does not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::plugin {

struct Plugin {
  const char* file;  // "libwafer-NAME.so"
  // The environment variable that says where it is.
  const char* variable;
  // The function of the library that tells the version of what lies between it and the program.
  const char* version_function;
  uint64_t version;
};

// Files that may be the library, the best first: `where_it_is`, if that is not empty; else where
// the environment variable says, else what is there beside this library or the program, in wafer,
// ../wafer, ../lib/wafer or ../lib from there, and at last the bare name, for the system to look.
std::vector<std::string> candidates(const Plugin& plugin, const std::string& where_it_is);

// Opens the first of them that is of the right version. Unsupported, with the reason, if there is
// none.
Result<void*> open(const Plugin& plugin, const std::string& where_it_is);

}  // namespace wafer::plugin
