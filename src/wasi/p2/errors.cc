// What the host says in the words of WASI 0.2.
#include <errno.h>

#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

namespace {

template <class Code>
struct Row {
  int host;
  Code code;
};

template <class Code, size_t N>
Code find(const Row<Code> (&rows)[N], int host, Code otherwise) {
  for (const Row<Code>& row : rows)
    if (row.host == host) return row.code;
  return otherwise;
}

using File = filesystem_types::ErrorCode;
constexpr Row<File> kFile[] = {
    {EAGAIN, File::WouldBlock},
#define FILE_ERROR(number, name) {number, File::name},
#include "wasi/bind/errors.def"
};

using Net = sockets_network::ErrorCode;
constexpr Row<Net> kNetwork[] = {
    {EALREADY, Net::ConcurrencyConflict}, {EAGAIN, Net::WouldBlock},
    {EINPROGRESS, Net::WouldBlock},       {EMFILE, Net::NewSocketLimit},
    {ENFILE, Net::NewSocketLimit},
#define NETWORK_ERROR(number, name) {number, Net::name},
#include "wasi/bind/errors.def"
};

}  // namespace

filesystem_types::ErrorCode file_error(host::Status status) {
  return find(kFile, status.code(), File::Io);
}

sockets_network::ErrorCode network_error(host::Status status) {
  return find(kNetwork, status.code(), Net::Unknown);
}

namespace filesystem_types {

std::optional<ErrorCode> filesystem_error_code(Host&, Error& err) {
  if (err.of != Error::Of::File) return std::nullopt;
  return file_error(err.status);
}

}  // namespace filesystem_types

namespace sockets_network {

std::optional<ErrorCode> network_error_code(Host&, Error& err) {
  if (err.of != Error::Of::Network) return std::nullopt;
  return network_error(err.status);
}

}  // namespace sockets_network

}  // namespace wafer::wasi::p2
