// What the shim writes to containerd's log.
#pragma once

#include <string_view>

namespace wafer::shim {

void log_warning(std::string_view message);
void log_error(std::string_view message);

}  // namespace wafer::shim
