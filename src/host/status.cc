#include "host/status.h"

#include <system_error>

namespace wafer::host {

namespace {

constexpr const char* kHttpErrors[] = {
#define HTTP_ERROR(name, text) text,
#include "host/http_errors.def"
#undef HTTP_ERROR
};

}  // namespace

std::string Status::message() const {
  if (code_ < kHttp) return std::generic_category().message(code_);
  return kHttpErrors[(code_ - kHttp) / 256];
}

Error io_error(std::string what, Status status) {
  return Error(ErrorKind::Io, what + ": " + status.message());
}

}  // namespace wafer::host
