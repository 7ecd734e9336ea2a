// What the server tells about itself, at an address of its own: /metrics (Prometheus), /healthz
// (it lives), /readyz (it takes requests).
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <thread>

#include "host/sockets.h"
#include "serve/metrics.h"

namespace wafer::serve {

class Admin {
 public:
  // `metrics` outlives it.
  Admin(const Metrics& metrics, host::SocketRef listener);
  ~Admin();
  void start();
  const std::string& address() const { return address_; }
  // From now on it is not ready.
  void set_stopping() { stopping_ = true; }

 private:
  struct Client;
  void accept();

  const Metrics& metrics_;
  std::string address_;
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::acceptor acceptor_;
  std::atomic<bool> stopping_{false};
  size_t clients_ = 0;
  std::thread thread_;
};

}  // namespace wafer::serve
