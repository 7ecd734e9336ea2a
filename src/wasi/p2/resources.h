// Resources of wasi:io, which the others hand out.
#pragma once

#include "host/streams.h"
#include "wasi/p2/bindings.h"
#include "wasi/p2/p2.h"

namespace wafer::wasi::p2 {

namespace io_error {

// What went wrong with a stream, and what kind of thing it was the stream of.
class Error final : public Object {
 public:
  enum class Of : uint8_t { Stream, File, Network, Http };
  Error(host::Status status, Of of) : status(status), of(of) {}
  const host::Status status;
  const Of of;
};

}  // namespace io_error

namespace io_poll {

class Pollable final : public Object {
 public:
  explicit Pollable(host::PollableRef p) : pollable(std::move(p)) {}
  const host::PollableRef pollable;
};

inline Own<Pollable> make_pollable(host::PollableRef p) {
  return Own<Pollable>::make(std::move(p));
}

}  // namespace io_poll

namespace io_streams {

class InputStream final : public Object {
 public:
  InputStream(host::InputStreamRef s, Error::Of of) : stream(std::move(s)), of(of) {}
  const host::InputStreamRef stream;
  const Error::Of of;
};

class OutputStream final : public Object {
 public:
  OutputStream(host::OutputStreamRef s, Error::Of of) : stream(std::move(s)), of(of) {}
  const host::OutputStreamRef stream;
  const Error::Of of;
  size_t permitted = 0;  // that the last check-write told
};

}  // namespace io_streams

// How the host's failures are called by files and by the network.
filesystem_types::ErrorCode file_error(host::Status status);
sockets_network::ErrorCode network_error(host::Status status);
http_types::ErrorCode http_error(host::Status status);

}  // namespace wafer::wasi::p2
