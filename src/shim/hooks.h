// Hooks of a container: programs that are run at steps of its life, told its state.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/spec.h"

namespace wafer::shim {

struct RunningHook {
  pid_t pid = -1;
  UniqueFd output;  // what it writes to its standard streams
};
// Starts one, with `state` on standard input.
Result<RunningHook> start_hook(const HookSpec& hook, const std::string& state);
// What came of one that ended with the wait status `status`.
Result<void> hook_result(const HookSpec& hook, const RunningHook& running, int status);
// Start, wait and result in one, for a process that has nothing else to do.
Result<void> run_hook_and_wait(const HookSpec& hook, const std::string& state);

}  // namespace wafer::shim
