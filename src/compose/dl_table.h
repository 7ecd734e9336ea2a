// Libraries that are opened by name at run time: the table of their names and symbols in memory,
// and the functions of <dlfcn.h> on it (the linker ABI of wasi-libc's libdl).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "component/core_module.h"

namespace wafer::compose {

struct DlSymbol {
  std::string name;
  uint32_t address = 0;  // of data, or of a function in the table
};
struct DlLibrary {
  std::string name;
  std::vector<DlSymbol> symbols;
};

// The table as it lies at `base`, a multiple of 4: names, then
//   struct { u32 name_size; char* name; void* address; } symbols[];
//   struct { u32 name_size; char* name; u32 symbol_count; symbol* symbols; } libraries[];
//   struct { u32 library_count; library* libraries; };
// of which the last is at `root`. Its size depends on names alone. Sorts what it is given by name.
struct DlTable {
  std::vector<uint8_t> bytes;
  uint32_t root = 0;
};
DlTable write_dl_table(std::vector<DlLibrary>& libraries, uint32_t base);

// The functions of <dlfcn.h> that are made.
inline constexpr std::string_view kDlNames[] = {"dlopen", "dlsym", "dlclose", "dlerror"};
inline constexpr size_t kDlCount = std::size(kDlNames);
wasm::FuncType dl_type(size_t which);

// What dlerror tells, one after the other, each with a zero at its end.
std::vector<uint8_t> dl_messages();

// The bodies. `root` is the table's, `messages` where these lie, `error` a global of type i32, and
// `find` the function whose body is dl_find(): (entries, count, size of one, name) -> entry or 0.
Vec<uint8_t> dl_find();
Vec<uint8_t> dl_body(size_t which, uint32_t root, uint32_t messages, uint32_t error, uint32_t find);

}  // namespace wafer::compose
