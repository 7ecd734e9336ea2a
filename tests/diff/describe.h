// Values and state of an instance as text, by which tiers are compared: two texts are
// equal exactly when a program could not tell what they stand for apart.
#pragma once

#include <string>
#include <vector>

#include "runtime/store.h"

namespace wafer::diff {

// Bits in hexadecimal; of a reference what it refers to, with objects that are met
// again named by a number. Functions and tags are named by the instance, in order of
// instantiation, and the index there.
std::string describe(runtime::Store& store, std::span<const runtime::Value> values);

// The exception in flight: its tag and arguments.
std::string describe_exception(runtime::Store& store);

// One line for each global, table and memory of each instance.
std::vector<std::string> describe_state(runtime::Store& store);

}  // namespace wafer::diff
