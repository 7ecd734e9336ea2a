// Readable names of C++ and Rust functions, by LLVM's demanglers.
#pragma once

#include <string_view>

#include "base/memory.h"

namespace wafer {

// Writes what the mangled `name` stands for in the source to `out`; false if it is not
// mangled, or not well, or is longer than sense. Names may come from anywhere: work, memory
// and stack are bounded. As linkers demangle names on their own, the hash that Rust adds is
// taken from plain names too.
bool demangle(std::string_view name, String& out);

}  // namespace wafer
