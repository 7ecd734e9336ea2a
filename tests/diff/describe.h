// Values and state of an instance as text, by which tiers are compared: two texts are
// equal exactly when a program could not tell what they stand for apart.
#pragma once

#include <string>
#include <vector>

#include "runtime/store.h"

namespace wafer::diff {

// Bits in hexadecimal; of a reference what it refers to, with objects that are met
// again named by a number. `instance` names functions by index; may be null.
std::string describe(runtime::Store& store, const runtime::Instance* instance,
                     std::span<const runtime::Value> values);

// The exception in flight: its tag and arguments.
std::string describe_exception(runtime::Store& store, const runtime::Instance* instance);

// One line for each global, table and memory.
std::vector<std::string> describe_state(runtime::Store& store, const runtime::Instance& instance);

}  // namespace wafer::diff
