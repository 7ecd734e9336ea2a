// What the host says in the words of WASI 0.3.
#pragma once

#include "host/status.h"
#include "wasi/p3/bindings.h"

namespace wafer::wasi::p3 {

cli_types::ErrorCode cli_error(host::Status status);
filesystem_types::ErrorCode file_error(host::Status status);
sockets_types::ErrorCode network_error(host::Status status);
http_types::ErrorCode http_error(host::Status status);

}  // namespace wafer::wasi::p3
