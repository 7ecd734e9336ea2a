#include "wasi/p3/errors.h"

#include <errno.h>

#include "wasi/bind/http.h"

namespace wafer::wasi::p3 {

namespace {

template <class Code>
struct Row {
  int host;
  typename Code::Tag tag;
};

// What has no name says what it is.
template <class Code, size_t N>
Code find(const Row<Code> (&rows)[N], host::Status status) {
  for (const Row<Code>& row : rows) {
    if (row.host != status.code()) continue;
    Code code;
    code.tag = row.tag;
    return code;
  }
  return Code::of_other(status.message());
}

constexpr Row<filesystem_types::ErrorCode> kFile[] = {
#define FILE_ERROR(number, name) {number, filesystem_types::ErrorCode::Tag::name},
#include "wasi/bind/errors.def"
};

constexpr Row<sockets_types::ErrorCode> kNetwork[] = {
    {EPIPE, sockets_types::ErrorCode::Tag::ConnectionBroken},
    {EALREADY, sockets_types::ErrorCode::Tag::InvalidState},
#define NETWORK_ERROR(number, name) {number, sockets_types::ErrorCode::Tag::name},
#include "wasi/bind/errors.def"
};

}  // namespace

cli_types::ErrorCode cli_error(host::Status status) {
  switch (status.code()) {
    case EPIPE:
      return cli_types::ErrorCode::Pipe;
    case EILSEQ:
      return cli_types::ErrorCode::IllegalByteSequence;
    default:
      return cli_types::ErrorCode::Io;
  }
}

filesystem_types::ErrorCode file_error(host::Status status) { return find(kFile, status); }
sockets_types::ErrorCode network_error(host::Status status) { return find(kNetwork, status); }
http_types::ErrorCode http_error(host::Status status) {
  return http_error_code<http_types::ErrorCode>(status);
}

}  // namespace wafer::wasi::p3
