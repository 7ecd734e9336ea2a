// Filters of system calls.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::shim {

struct SeccompFilter {
  std::string program;  // an array of sock_filter
  uint32_t flags = 0;   // SECCOMP_FILTER_FLAG_*
};

// What linux.seccomp of a configuration says, as the kernel takes it. Invalid if it says what
// cannot be, Unsupported if only this runtime cannot: notifications.
Result<SeccompFilter> compile_seccomp(const nlohmann::json& seccomp);

// Installs a filter for this process, which has given up gaining privileges or may. False with
// errno.
bool install_seccomp(std::string_view program, uint32_t flags);

// System calls that no WebAssembly program needs: to run other programs, to trace, to mount, to
// change namespaces, modules, keys or the machine.
std::vector<uint32_t> refused_to_wasm();
// A filter that refuses them with EPERM, and ends who calls with the numbers of another machine.
SeccompFilter wasm_filter();
// Takes them from this process for good. New privileges were given up before. False with errno.
bool confine_wasm();

// What a process needs that compiles what it has open: memory, and to read and write.
std::vector<uint32_t> needed_to_compile();
// A filter that refuses all else, as wasm_filter() does.
SeccompFilter compiler_filter();

}  // namespace wafer::shim
