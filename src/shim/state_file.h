// What a shim leaves in a container's bundle for one who has to clean up after it.
#pragma once

#include <sys/types.h>

#include <string>

namespace wafer::shim {

// Notes the container's first process.
void write_state_file(const std::string& bundle, pid_t pid);
// That process, if it still lives; else 0. Another that got its number is not taken for it.
pid_t read_state_file(const std::string& bundle);

}  // namespace wafer::shim
