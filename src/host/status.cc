#include "host/status.h"

#include <system_error>

namespace wafer::host {

std::string Status::message() const { return std::generic_category().message(code_); }

Error io_error(std::string what, Status status) {
  return Error(ErrorKind::Io, what + ": " + status.message());
}

}  // namespace wafer::host
