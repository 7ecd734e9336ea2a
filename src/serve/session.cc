#include "serve/session.h"

#include "serve/connection.h"
#include "serve/connection2.h"
#include "serve/worker.h"

namespace wafer::serve {

namespace {

std::shared_ptr<Session> speak(Worker& worker, const host::ChannelRef& channel, bool tls) {
  if (channel->protocol() == "h2")
    if (auto session = make_http2(worker, channel, tls, {})) return session;
  return std::make_shared<Connection>(worker, channel, tls);
}

// One that begins with TLS.
class Handshake final : public Session {
 public:
  Handshake(Worker& worker, boost::asio::ip::tcp::socket socket,
            std::shared_ptr<host::TlsContext> tls)
      : worker_(worker), tls_(std::move(tls)), raw_(std::move(socket)) {}

  void start() override {
    worker_.expect(*this, worker_.options().limits.header_time);
    channel_ = tls_->accept(
        std::move(raw_), [kept = shared_from_this(), this](host::Outcome<host::ChannelRef> made) {
          if (closed_) return;
          if (!made) return close();
          deadline = kNever;
          closed_ = true;
          worker_.replace(*this, speak(worker_, *made, true));
        });
  }
  void drain() override { close(); }
  void close() override {
    if (std::exchange(closed_, true)) return;
    deadline = kNever;
    const auto kept = shared_from_this();
    if (channel_) channel_->close();
    worker_.remove(*this);
  }

 private:
  Worker& worker_;
  const std::shared_ptr<host::TlsContext> tls_;
  boost::asio::ip::tcp::socket raw_;
  host::ChannelRef channel_;
  bool closed_ = false;
};

}  // namespace

std::shared_ptr<Session> make_session(Worker& worker, boost::asio::ip::tcp::socket socket) {
  boost::system::error_code ignored;
  socket.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  if (auto tls = worker.tls())
    return std::make_shared<Handshake>(worker, std::move(socket), std::move(tls));
  return std::make_shared<Connection>(worker, std::make_shared<host::Channel>(std::move(socket)),
                                      false);
}

}  // namespace wafer::serve
