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
  bool openable = false;  // by name, at run time: dlopen
};

struct LinkOptions {
  uint32_t stack_size = 1 << 20;
  bool stub_missing = false;  // functions that no library has trap when they are called
  bool built_in_dl = false;   // dlopen, dlsym, dlclose and dlerror are there if no library has them
};

// One core module of `libraries`, with their worlds: they share the memory, table and stack that
// it exports, imports of "env", "GOT.mem" and "GOT.func" are met by what others export (the first
// that has it), and all else is imported. Its start function applies relocations, its export
// `_initialize` runs constructors, of what is needed first.
//
// Libraries that none is in need of, and that neither have exports of a world nor can be opened,
// are left away. Those that can be opened are listed in memory, where `__wasm_libdl_libraries` of
// "GOT.mem" tells (see dl_table.h). Each library with thread-local data (an export
// `__wasm_library_tls_info`) has a place of its own for what `__wasm_get_tls_base` gives: in an
// array that slot 1 of the thread's context leads to, or, where there is but one thread, in the one
// that `__wasm_program_tls_info` of "GOT.mem" {count, address of the libraries' own, this array}
// names, too.
//
// Malformed or Invalid if a library is, if one that is needed or a symbol is missing, or if types
// of a symbol differ; Unsupported for libraries with 64-bit memories, or types other than of
// functions.
Result<Vec<uint8_t>> link(const std::vector<Library>& libraries, const LinkOptions& options = {});

}  // namespace wafer::compose
