// The bytes of a connection, plain or by TLS.
#pragma once

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <span>
#include <string>

#include "base/function.h"

namespace wafer::host {

class Channel {
 public:
  using Error = boost::system::error_code;
  using Done = Function<void(const Error&, size_t)>;

  explicit Channel(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}
  virtual ~Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // At most one of each at a time. `done` is never called from within.
  virtual void read_some(boost::asio::mutable_buffer to, Done done);
  // All of it.
  virtual void write(boost::asio::const_buffer from, Done done);
  using Pair = std::array<boost::asio::const_buffer, 2>;
  virtual void write(const Pair& from, Done done);
  // As much of it as the system takes at once: 0 of nothing, of a failure, and of what has to be
  // encrypted. Not while a write() is under way.
  virtual size_t write_now(std::span<const boost::asio::const_buffer> from);
  // Tells the other side that nothing more comes, then calls `done`.
  virtual void end(Function<void()> done);
  // Now; what is under way fails.
  void close();
  // What both sides agreed on by ALPN ("h2"), or nothing.
  virtual std::string protocol() const { return {}; }
  boost::asio::ip::tcp::socket& socket() { return socket_; }

 protected:
  // As much at once as the system takes. (Asio's own condition is 64 KiB, which cuts the ends off
  // pieces that are a little longer.)
  struct All {
    size_t operator()(const Error& error, size_t) const { return error ? 0 : 1 << 20; }
  };
  boost::asio::ip::tcp::socket socket_;
};
using ChannelRef = std::shared_ptr<Channel>;

}  // namespace wafer::host
