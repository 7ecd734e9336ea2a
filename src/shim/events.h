// Events of containers, forwarded to containerd.
#pragma once

#include <deque>
#include <string>

#include "shim/proto/events.pb.h"
#include "shim/ttrpc.h"

namespace wafer::shim {

proto::Timestamp timestamp_now();

// Forwards events in their order, each once if that can be: what containerd does not take while
// it restarts is sent again.
class Publisher {
 public:
  // `address` is that of containerd's ttrpc socket; empty: nobody is told.
  Publisher(Loop& loop, const std::string& address, std::string name_space)
      : loop_(loop),
        client_(loop, address),
        enabled_(!address.empty()),
        namespace_(std::move(name_space)) {}

  // `type` is the event's full name, `event` its message.
  template <class Message>
  void publish(std::string topic, std::string type, const Message& event) {
    publish(std::move(topic), std::move(type), event.SerializeAsString());
  }
  bool has_unsent() const { return !queue_.empty(); }

 private:
  void publish(std::string topic, std::string type, std::string event);
  void send_first();
  static constexpr size_t kMaxQueue = 4096;
  static constexpr int kTries = 6;
  Loop& loop_;
  RpcClient client_;
  const bool enabled_;
  const std::string namespace_;
  std::deque<std::string> queue_;
  bool sending_ = false;
  int tries_ = 0;
};

}  // namespace wafer::shim
