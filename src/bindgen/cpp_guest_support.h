// The header that all bindings of guests in C++ include.
#pragma once

#include <string_view>

namespace wafer::bindgen {

// wit.hpp.
extern const std::string_view kCppGuestSupport;

}  // namespace wafer::bindgen
