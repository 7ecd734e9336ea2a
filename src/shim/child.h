// Programs of the machine that the shim runs: hooks, and runc.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::shim {

struct ChildProgram {
  std::string path;
  std::vector<std::string> args;                // with the name; none: the path
  std::optional<std::vector<std::string>> env;  // none: this process's
  int streams[3] = {-1, -1, -1};                // above 2
};

// Starts it with these streams and no other descriptor of this process, whoever opened it. If it
// cannot be run, the child says why on its third stream and exits with 127. Io.
Result<pid_t> start_program(const ChildProgram& program);

// In a child that is about to become another program: what the shim ignores or blocks is as usual.
void reset_signals();

}  // namespace wafer::shim
