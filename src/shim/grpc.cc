#include "shim/grpc.h"

#if WAFER_WITH_HTTP2
#include <errno.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "host/http/http2.h"

namespace wafer::shim {

namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr int32_t kWindow = 4 << 20;

// Of each message: whether it is compressed, and its length.
constexpr size_t kPrefix = 5;

}  // namespace

// One HTTP/2 connection. Who called is told outside of nghttp2's callbacks, which may not be
// entered twice.
class GrpcClient::Connection final : public host::Http2Events,
                                     public std::enable_shared_from_this<Connection> {
 public:
  Connection(Loop& loop, UniqueFd socket) : loop_(loop), socket_(std::move(socket)) {
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, uint32_t(kWindow)}};
    session_ = host::make_http2_session(*this, false, false, settings, kWindow);
  }
  ~Connection() {
    close();
    nghttp2_session_del(session_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start() {
    loop_.watch(socket_.get(), EPOLLIN,
                [self = shared_from_this()](uint32_t events) { self->ready(events); });
  }
  bool is_open() const { return socket_ && session_; }

  void call(Request request, const std::string& containerd_namespace, OnMessage on_message,
            Done done) {
    host::Http2Fields headers;
    headers.add(":method", "POST");
    headers.add(":scheme", "http");
    headers.add(":path", request.method);
    headers.add(":authority", "localhost");
    headers.add("content-type", "application/grpc");
    headers.add("te", "trailers");
    headers.add("containerd-namespace", containerd_namespace);
    if (!request.lease.empty()) headers.add("containerd-lease", request.lease);
    const std::vector<nghttp2_nv> nv = headers.get();
    auto call = std::make_shared<Call>();
    for (const std::string& message : request.messages) {
      const size_t size = message.size();
      call->unsent += {'\0', char(size >> 24), char(size >> 16), char(size >> 8), char(size)};
      call->unsent += message;
    }
    call->max_bytes = request.max_bytes;
    call->on_message = std::move(on_message);
    call->done = std::move(done);
    nghttp2_data_provider body{};
    body.source.ptr = call.get();
    body.read_callback = [](nghttp2_session*, int32_t, uint8_t* buffer, size_t length,
                            uint32_t* flags, nghttp2_data_source* source, void*) {
      Call& from = *static_cast<Call*>(source->ptr);
      const size_t n = std::min(length, from.unsent.size() - from.sent);
      std::memcpy(buffer, from.unsent.data() + from.sent, n);
      from.sent += n;
      if (from.sent == from.unsent.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
      return ssize_t(n);
    };
    const int32_t stream =
        nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(), &body, nullptr);
    if (stream < 0)
      return call->done(RpcResult::error(RpcCode::Unavailable, nghttp2_strerror(stream)));
    calls_[stream] = call;
    wait_for(stream, *call);
    flush();
    tell();
  }

  // Ends it, with all calls that are under way.
  void close() {
    if (!socket_) return;
    loop_.forget(socket_.get());
    socket_.reset();
    for (auto& [stream, call] : std::exchange(calls_, {}))
      finish(std::move(call), RpcResult::error(RpcCode::Unavailable, "the connection was closed"));
    tell();
  }

 private:
  struct Call {
    std::string unsent, received;
    size_t sent = 0;  // of `unsent`
    size_t max_bytes = 0, bytes = 0;
    int status = -1;  // grpc-status
    std::string text;
    uint64_t timer = 0;
    OnMessage on_message;
    Done done;
  };

  void ready(uint32_t) {
    const auto keep = shared_from_this();
    char buffer[64 << 10];
    for (;;) {
      const ssize_t n = recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n <= 0 ||
          nghttp2_session_mem_recv(session_, reinterpret_cast<uint8_t*>(buffer), size_t(n)) < 0)
        return close();
      tell();
      if (!socket_) return;
    }
    flush();
    tell();
  }

  void flush() {
    while (socket_) {
      if (unsent_.empty()) {
        const uint8_t* data = nullptr;
        const ssize_t n = nghttp2_session_mem_send(session_, &data);
        if (n < 0) return close();
        if (n == 0) break;
        unsent_.assign(reinterpret_cast<const char*>(data), size_t(n));
      }
      const ssize_t n =
          send(socket_.get(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return loop_.change(socket_.get(), EPOLLIN | EPOLLOUT);
      if (n < 0) return close();
      unsent_.erase(0, size_t(n));
    }
    if (socket_) loop_.change(socket_.get(), EPOLLIN);
  }

  void wait_for(int32_t stream, Call& call) {
    if (call.timer) loop_.cancel(call.timer);
    const std::weak_ptr<Connection> weak = weak_from_this();
    call.timer = loop_.after(kPatience, [weak, stream] {
      const auto self = weak.lock();
      if (!self) return;
      self->give_up(stream, RpcCode::DeadlineExceeded, "containerd does not answer");
      self->flush();
      self->tell();
    });
  }

  int on_field(int32_t stream, std::string_view name, std::string_view value) override {
    const auto it = calls_.find(stream);
    if (it == calls_.end()) return 0;
    if (name == "grpc-status") it->second->status = std::atoi(std::string(value).c_str());
    if (name == "grpc-message") it->second->text = value;
    return 0;
  }

  int on_data(int32_t stream, Bytes data) override {
    take(stream, {reinterpret_cast<const char*>(data.data()), data.size()});
    return 0;
  }
  void take(int32_t stream, std::string_view data) {
    const auto it = calls_.find(stream);
    if (it == calls_.end()) return;
    const std::shared_ptr<Call> call = it->second;
    call->bytes += data.size();
    if (call->bytes > call->max_bytes)
      return give_up(stream, RpcCode::ResourceExhausted, "the answer is too long");
    wait_for(stream, *call);
    call->received += data;
    while (call->received.size() >= kPrefix) {
      size_t size = 0;
      for (int i = 1; i < 5; ++i) size = size << 8 | uint8_t(call->received[size_t(i)]);
      if (call->received[0] != 0)
        return give_up(stream, RpcCode::Internal, "a compressed message, which nobody asked for");
      if (call->received.size() - kPrefix < size) break;
      events_.push_back([call, message = call->received.substr(kPrefix, size)]() mutable {
        call->on_message(std::move(message));
      });
      call->received.erase(0, kPrefix + size);
    }
  }

  int on_close(int32_t stream, uint32_t error) override {
    abandoned_.erase(stream);
    const auto it = calls_.find(stream);
    if (it == calls_.end()) return 0;
    std::shared_ptr<Call> call = std::move(it->second);
    calls_.erase(it);
    RpcResult result;
    if (call->status > 0)
      result = RpcResult::error(RpcCode(call->status), call->text);
    else if (call->status < 0)
      result = RpcResult::error(
          RpcCode::Internal, error ? nghttp2_http2_strerror(error) : "an answer without a status");
    finish(std::move(call), std::move(result));
    return 0;
  }

  void give_up(int32_t stream, RpcCode code, const char* why) {
    const auto it = calls_.find(stream);
    if (it == calls_.end()) return;
    std::shared_ptr<Call> call = std::move(it->second);
    calls_.erase(it);
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
    abandoned_[stream] = call;  // nghttp2 may still ask for its body
    finish(std::move(call), RpcResult::error(code, why));
  }

  void finish(std::shared_ptr<Call> call, RpcResult result) {
    if (call->timer) loop_.cancel(call->timer);
    events_.push_back([call = std::move(call), result = std::move(result)]() mutable {
      call->done(std::move(result));
    });
  }

  // Tells those who called what has happened.
  void tell() {
    const auto events = std::exchange(events_, {});
    for (const auto& event : events) event();
  }

  Loop& loop_;
  UniqueFd socket_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::shared_ptr<Call>> calls_;
  std::map<int32_t, std::shared_ptr<Call>> abandoned_;  // until their streams are closed
  std::vector<std::function<void()>> events_;
  std::string unsent_;
};

GrpcClient::GrpcClient(Loop& loop, std::string path, std::string containerd_namespace)
    : loop_(loop), path_(std::move(path)), namespace_(std::move(containerd_namespace)) {}

GrpcClient::~GrpcClient() {
  if (connection_) connection_->close();
}

void GrpcClient::call(Request request, OnMessage on_message, Done done) {
  if (!connection_ || !connection_->is_open()) {
    Result<UniqueFd> socket = connect_unix(path_);
    if (!socket) return done(RpcResult::error(RpcCode::Unavailable, "cannot connect to " + path_));
    connection_ = std::make_shared<Connection>(loop_, *std::move(socket));
    if (!connection_->is_open())
      return done(RpcResult::error(RpcCode::Unavailable, "no memory for a connection"));
    connection_->start();
  }
  const std::shared_ptr<Connection> keep = connection_;
  keep->call(std::move(request), namespace_, std::move(on_message), std::move(done));
}

}  // namespace wafer::shim

#else

namespace wafer::shim {

class GrpcClient::Connection {};

GrpcClient::GrpcClient(Loop& loop, std::string path, std::string containerd_namespace)
    : loop_(loop), path_(std::move(path)), namespace_(std::move(containerd_namespace)) {}
GrpcClient::~GrpcClient() = default;

void GrpcClient::call(Request, OnMessage, Done done) {
  done(RpcResult::error(RpcCode::Unimplemented, "this shim was built without nghttp2"));
}

}  // namespace wafer::shim
#endif
