#include "shim/ttrpc.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

#include "shim/files.h"
#include "shim/proto/common.pb.h"

namespace wafer::shim {

namespace {

uint32_t big_endian(const char* p) {
  const auto* b = reinterpret_cast<const uint8_t*>(p);
  return uint32_t(b[0]) << 24 | uint32_t(b[1]) << 16 | uint32_t(b[2]) << 8 | b[3];
}

void put_big_endian(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += char(value >> shift);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return Error(ErrorKind::Usage, "the path of a socket is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

}  // namespace

Result<UniqueFd> connect_unix(const std::string& path) {
  WAFER_LET(address, address_of(path));
  UniqueFd fd = take_opened(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return system_error("cannot connect to " + path);
  return fd;
}

Result<UniqueFd> listen_unix(const std::string& path) {
  WAFER_LET(address, address_of(path));
  UniqueFd fd = take_opened(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  const mode_t before = umask(0177);
  const int status = bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  umask(before);
  if (status != 0 || listen(fd.get(), SOMAXCONN) != 0)
    return system_error("cannot listen on " + path);
  return fd;
}

// ---- Connection -------------------------------------------------------------

void RpcConnection::start(OnFrame on_frame, std::function<void()> on_close) {
  on_frame_ = std::move(on_frame);
  on_close_ = std::move(on_close);
  loop_.watch(socket_.get(), EPOLLIN, [this](uint32_t events) { on_events(events); });
}

void RpcConnection::close() {
  if (!socket_) return;
  loop_.forget(socket_.get());
  socket_.reset();
}

void RpcConnection::fail() {
  if (!socket_) return;
  close();
  if (const auto on_close = std::exchange(on_close_, nullptr)) on_close();
}

void RpcConnection::on_events(uint32_t events) {
  const std::shared_ptr<RpcConnection> keep = shared_from_this();
  bool ok = true;
  if (events & EPOLLOUT) ok = flush();
  if (ok && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) ok = receive();
  if (!ok) fail();
}

bool RpcConnection::receive() {
  for (;;) {
    char buffer[16 << 10];
    const ssize_t n = read(socket_.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      if (errno != EAGAIN) return false;
      break;
    }
    if (n == 0) return false;
    received_.append(buffer, size_t(n));
    if (size_t(n) < sizeof buffer) break;
  }
  size_t at = 0;
  while (received_.size() - at >= kHeader) {
    const char* header = received_.data() + at;
    const size_t length = big_endian(header);
    if (length > kMaxFrame) return false;
    if (received_.size() - at - kHeader < length) break;
    const uint32_t stream = big_endian(header + 4);
    on_frame_(stream, Type(header[8]), std::string_view(received_).substr(at + kHeader, length));
    if (!socket_) return true;  // closed by what was called
    at += kHeader + length;
  }
  received_.erase(0, at);
  if (received_.empty()) received_.shrink_to_fit();
  return true;
}

void RpcConnection::send(uint32_t stream, Type type, std::string_view payload) {
  if (!socket_) return;
  const bool idle = unsent_.empty();
  put_big_endian(unsent_, uint32_t(payload.size()));
  put_big_endian(unsent_, stream);
  unsent_ += char(type);
  unsent_ += '\0';
  unsent_ += payload;
  // Whoever goes away is noticed when reading.
  if (idle) (void)flush();
}

bool RpcConnection::flush() {
  size_t sent = 0;
  bool ok = true;
  const bool waited = waits_;
  while (sent < unsent_.size()) {
    const ssize_t n =
        ::send(socket_.get(), unsent_.data() + sent, unsent_.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      ok = errno == EAGAIN;
      break;
    }
    sent += size_t(n);
  }
  if (!ok)
    unsent_.clear();
  else
    unsent_.erase(0, sent);
  waits_ = !unsent_.empty();
  if (waits_ != waited) loop_.change(socket_.get(), waits_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
  return ok;
}

// ---- Server -----------------------------------------------------------------

RpcServer::RpcServer(Loop& loop, UniqueFd listener, Handler handler)
    : loop_(loop), listener_(std::move(listener)), handler_(std::move(handler)) {
  loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept(); });
}

RpcServer::~RpcServer() { loop_.forget(listener_.get()); }

bool RpcServer::has_unsent() const {
  for (const auto& [key, connection] : connections_)
    if (connection->has_unsent()) return true;
  return false;
}

void RpcServer::accept() {
  for (;;) {
    UniqueFd socket =
        take_opened(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EINTR) continue;
      return;
    }
    serve(std::move(socket));
  }
}

void RpcServer::serve(UniqueFd socket) {
  auto connection = std::make_shared<RpcConnection>(loop_, std::move(socket));
  RpcConnection* const key = connection.get();
  connections_[key] = connection;
  const std::weak_ptr<RpcConnection> weak = connection;
  connection->start(
      [this, weak](uint32_t stream, RpcConnection::Type type, std::string_view payload) {
        if (type != RpcConnection::Type::Request) return;  // nothing here is a stream of many
        const auto reply = [weak, stream](RpcResult result) {
          const auto to = weak.lock();
          if (!to) return;
          proto::Response response;
          if (result.ok()) {
            response.set_payload(std::move(result.text));
          } else {
            response.mutable_status()->set_code(int(result.code));
            response.mutable_status()->set_message(std::move(result.text));
          }
          to->send(stream, RpcConnection::Type::Response, response.SerializeAsString());
        };
        proto::Request request;
        if (!request.ParseFromArray(payload.data(), int(payload.size())))
          return reply(RpcResult::error(RpcCode::InvalidArgument, "not a request"));
        std::string_view traceparent;
        for (const auto& entry : request.metadata())
          if (entry.key() == "traceparent") traceparent = entry.value();
        handler_(request.service(), request.method(), std::move(*request.mutable_payload()),
                 traceparent, reply);
      },
      [this, key] { connections_.erase(key); });
}

// ---- Client -----------------------------------------------------------------

bool RpcClient::connect() {
  if (connection_ && connection_->is_open()) return true;
  Result<UniqueFd> socket = connect_unix(path_);
  if (!socket) return false;
  connection_ = std::make_shared<RpcConnection>(loop_, *std::move(socket));
  connection_->start(
      [this](uint32_t stream, RpcConnection::Type type, std::string_view payload) {
        const auto it = waiting_.find(stream);
        if (type != RpcConnection::Type::Response || it == waiting_.end()) return;
        const Done done = std::move(it->second);
        waiting_.erase(it);
        proto::Response response;
        if (!response.ParseFromArray(payload.data(), int(payload.size())))
          return done(RpcResult::error(RpcCode::Internal, "not a response"));
        if (response.status().code() != 0)
          return done(
              RpcResult::error(RpcCode(response.status().code()), response.status().message()));
        done({RpcCode::Ok, std::move(*response.mutable_payload())});
      },
      [this] { drop(); });
  return true;
}

void RpcClient::drop() {
  connection_.reset();
  const auto waiting = std::exchange(waiting_, {});
  for (const auto& [stream, done] : waiting)
    done(RpcResult::error(RpcCode::Unavailable, "the connection was closed"));
}

void RpcClient::call(std::string_view service, std::string_view method, std::string payload,
                     Done done) {
  if (!connect()) return done(RpcResult::error(RpcCode::Unavailable, "cannot connect to " + path_));
  const uint32_t stream = std::exchange(next_stream_, next_stream_ + 2);
  proto::Request request;
  request.set_service(std::string(service));
  request.set_method(std::string(method));
  request.set_payload(std::move(payload));
  waiting_[stream] = std::move(done);
  connection_->send(stream, RpcConnection::Type::Request, request.SerializeAsString());
}

}  // namespace wafer::shim
