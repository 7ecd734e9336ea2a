// Calls of containerd's gRPC services, over its Unix socket.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shim/loop.h"
#include "shim/ttrpc.h"

namespace wafer::shim {

class GrpcClient {
 public:
  // `path` is the socket. Headers of every call say that it is about `containerd_namespace`.
  GrpcClient(Loop& loop, std::string path, std::string containerd_namespace);
  ~GrpcClient();
  GrpcClient(const GrpcClient&) = delete;
  GrpcClient& operator=(const GrpcClient&) = delete;

  using OnMessage = std::function<void(std::string message)>;
  using Done = std::function<void(RpcResult status)>;
  // Calls "/SERVICE/METHOD"; connects if need be. Each message of the answer is given to
  // `on_message`, and how it ended to `done`, once: Unavailable if the other side is not there or
  // goes, DeadlineExceeded if nothing came for ten seconds, ResourceExhausted beyond `max_bytes`.
  void call(const std::string& method, std::string payload, size_t max_bytes, OnMessage on_message,
            Done done) {
    call({method, {std::move(payload)}, max_bytes, {}}, std::move(on_message), std::move(done));
  }

  struct Request {
    std::string method;
    std::vector<std::string> messages;  // that are sent, in their order
    size_t max_bytes = 0;
    std::string lease;  // holds what is made; empty: none
  };
  // The same, for methods that take many messages.
  void call(Request request, OnMessage on_message, Done done);

 private:
  class Connection;
  Loop& loop_;
  const std::string path_, namespace_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace wafer::shim
