// One connection of HTTP/1.1, one request after the other.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "host/http/outgoing.h"
#include "serve/handling.h"
#include "serve/session.h"

namespace wafer::serve {

class Connection final : public Session, public Handling::Owner {
 public:
  Connection(Worker& worker, host::ChannelRef channel, bool tls);
  ~Connection() override;
  void start() override;
  void drain() override;
  void close() override;
  void send_now() override;
  void late() override;

 private:
  using Error = boost::system::error_code;
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

  std::shared_ptr<Connection> self() {
    return std::static_pointer_cast<Connection>(shared_from_this());
  }
  // Reads more, `most` bytes at once, then calls `then`, unless the connection is closed. Goes on
  // with a read that is under way.
  using Then = void (Connection::*)(const Error&);
  void fill(size_t most, Then then);
  // Closes it for what the client did: the status of a request that has none yet.
  void end_by(int status);
  // While the guest is at work: whether somebody waits for it.
  void watch_client();
  void on_ahead(const Error& error);
  void shrink();
  bool reads_body() const { return reading_ && then_ != &Connection::on_ahead; }
  void await_guest();
  void read_header();
  void parse_header(const Error& error);
  bool is_http2();
  void on_header(const Error& error);
  void refuse(int status, const char* why);
  host::HttpRequest make_request();
  void invoke(host::HttpRequest request);
  void read_body();
  void on_body(const Error& error);
  void on_response(Handling&) override;
  void on_guest_done(Handling&) override { finish_request(); }
  bool on_inform(Handling&, int status, const host::HttpFields& fields) override;
  void send_body();
  host::HttpBody::Passed pass_on(Bytes bytes);
  void send(bool last);
  void write(bool last);
  void sent(bool last);
  const char* protocol() const;
  void response_done();
  void finish_request();
  void expect(std::chrono::milliseconds time);

  Worker& worker_;
  const host::ChannelRef channel_;
  const bool tls_;
  const std::string remote_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  size_t fields_ = 0;  // of the header, before trailers
  bool reading_ = false, writing_ = false, closed_ = false, draining_ = false, idle_ = true;
  bool first_ = true;  // no request was read yet
  bool half_closed_ = false;
  Then then_ = nullptr;  // of the read under way

  // Of the present request.
  std::shared_ptr<Handling> handling_;
  host::WaitRef room_, more_;
  bool chunked_ = false, keep_alive_ = true, begun_ = false, done_ = false;
  std::string head_;    // of the response, to be sent
  host::Outgoing out_;  // on its way
  size_t passed_ = 0;   // since others had their turn
};

}  // namespace wafer::serve
