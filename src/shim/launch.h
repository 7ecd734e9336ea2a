// From a new process to a container's program.
#pragma once

#include "base/descriptor.h"

namespace wafer::shim {

// Becomes what the LaunchRequest on `control` asks for. Runs in a process of its own, made with
// the container's new namespaces, which it ends.
[[noreturn]] void launch(UniqueFd control);

// Does once, in the process that others are forked from, what each of them would do at first.
void warm_up();

}  // namespace wafer::shim
