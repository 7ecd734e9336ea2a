// Libraries for dynamic linking ("dylink.0") that become one core module, which
// `wafer component link` makes a component of.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/span.h"

namespace wafer::compose {

struct Library {
  std::string name;  // by which others need it: "libc.so"
  Bytes bytes;
};

struct LinkOptions {
  uint32_t stack_size = 1 << 20;
  bool stub_missing = false;  // functions that no library has trap when they are called
};

// One core module of `libraries`, with their worlds: they share the memory, table and stack that
// it exports, imports of "env", "GOT.mem" and "GOT.func" are met by what others export (the first
// that has it), and all else is imported. Its start function applies relocations, its export
// `_initialize` runs constructors, of what is needed first. Malformed or Invalid if a library is,
// if one that is needed or a symbol is missing, or if types of a symbol differ; Unsupported for
// libraries with 64-bit memories, or types other than of functions.
Result<Vec<uint8_t>> link(const std::vector<Library>& libraries, const LinkOptions& options = {});

}  // namespace wafer::compose
