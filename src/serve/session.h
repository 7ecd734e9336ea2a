// A connection of a client, whatever it speaks.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "host/http/channel.h"

namespace wafer::serve {

class Worker;

class Session : public std::enable_shared_from_this<Session> {
 public:
  virtual ~Session() = default;
  virtual void start() = 0;
  // Ends it between requests, or after those that are under way.
  virtual void drain() = 0;
  // Ends it now.
  virtual void close() = 0;
  // Its turn after Worker::send_soon().
  virtual void send_now() {}
  // Its deadline has passed.
  virtual void late() { close(); }

  // Kept by Worker::expect().
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::time_point kNever = Clock::time_point::max();
  Clock::time_point deadline = kNever;
};

// A new connection: by TLS, if the worker has certificates. What is spoken then, HTTP/1.1 or
// HTTP/2, tells ALPN or the first bytes.
std::shared_ptr<Session> make_session(Worker& worker, boost::asio::ip::tcp::socket socket);

}  // namespace wafer::serve
