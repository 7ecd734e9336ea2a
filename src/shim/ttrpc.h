// ttrpc, containerd's protocol between itself and a shim: frames of a length, a stream, a type
// and a protobuf message, over a Unix socket.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "shim/loop.h"

namespace wafer::shim {

// Codes of gRPC, as containerd tells kinds of errors apart.
enum class RpcCode : int {
  Ok = 0,
  Unknown = 2,
  InvalidArgument = 3,
  DeadlineExceeded = 4,
  NotFound = 5,
  AlreadyExists = 6,
  ResourceExhausted = 8,
  FailedPrecondition = 9,
  Unimplemented = 12,
  Internal = 13,
  Unavailable = 14,
};

// What a call comes to: a message, or what went wrong, for people.
struct RpcResult {
  RpcCode code = RpcCode::Ok;
  std::string text;  // the payload, or the error's message
  static RpcResult error(RpcCode code, std::string message) { return {code, std::move(message)}; }
  bool ok() const { return code == RpcCode::Ok; }
};

// One connection, of either side. Frames are at most kMaxFrame; one that is longer ends it.
class RpcConnection : public std::enable_shared_from_this<RpcConnection> {
 public:
  static constexpr size_t kHeader = 10, kMaxFrame = 4u << 20;
  enum class Type : uint8_t { Request = 1, Response = 2, Data = 3 };
  using OnFrame = std::function<void(uint32_t stream, Type type, std::string_view payload)>;

  RpcConnection(Loop& loop, UniqueFd socket) : loop_(loop), socket_(std::move(socket)) {}
  ~RpcConnection() { close(); }
  // `on_close` is called once, when the other side has gone or breaks the protocol.
  void start(OnFrame on_frame, std::function<void()> on_close);
  // Queues a frame; nothing once it is closed.
  void send(uint32_t stream, Type type, std::string_view payload);
  void close();
  bool is_open() const { return bool(socket_); }
  bool has_unsent() const { return !unsent_.empty(); }

 private:
  void on_events(uint32_t events);
  bool receive();
  bool flush();
  void fail();
  Loop& loop_;
  UniqueFd socket_;
  OnFrame on_frame_;
  std::function<void()> on_close_;
  std::string received_, unsent_;
  bool waits_ = false;  // until more can be sent
};

// Answers calls.
class RpcServer {
 public:
  using Reply = std::function<void(RpcResult)>;
  // Called for each request; `reply` is called once, now or later. `traceparent` is the header of
  // that name, which says of what trace the request is part, or empty.
  using Handler =
      std::function<void(std::string_view service, std::string_view method, std::string payload,
                         std::string_view traceparent, Reply reply)>;
  // `listener` is a listening socket.
  RpcServer(Loop& loop, UniqueFd listener, Handler handler);
  ~RpcServer();
  // True while answers are on their way.
  bool has_unsent() const;

 private:
  void accept();
  void serve(UniqueFd socket);
  Loop& loop_;
  UniqueFd listener_;
  Handler handler_;
  std::unordered_map<RpcConnection*, std::shared_ptr<RpcConnection>> connections_;
};

// Makes calls, one after the other or at once.
class RpcClient {
 public:
  using Done = std::function<void(RpcResult)>;
  RpcClient(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
  // Connects if need be. `done` gets Unavailable if the other side is not there, or goes.
  void call(std::string_view service, std::string_view method, std::string payload, Done done);

 private:
  bool connect();
  void drop();
  Loop& loop_;
  const std::string path_;
  std::shared_ptr<RpcConnection> connection_;
  uint32_t next_stream_ = 1;
  std::unordered_map<uint32_t, Done> waiting_;
};

// A socket that is connected to, or listens at, `path`; or the error.
Result<UniqueFd> connect_unix(const std::string& path);
Result<UniqueFd> listen_unix(const std::string& path);

}  // namespace wafer::shim
