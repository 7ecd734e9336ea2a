// A configuration as bytes, from the shim to the process that becomes its container: that parses
// no JSON again.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "shim/spec.h"

namespace wafer::shim {

// All of it but what is done before the process is there: resources, seccomp, and what is beyond
// this runtime.
std::string pack(const Spec& spec);
std::string pack(const ProcessSpec& process);
// What was packed. Invalid for what was not.
Result<Spec> unpack_spec(std::string_view bytes);
Result<ProcessSpec> unpack_process(std::string_view bytes);

}  // namespace wafer::shim
