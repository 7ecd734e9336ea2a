// One request of a guest by HTTP/1.1, from its start to the end of the response.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "host/http/budget.h"
#include "host/http/multiplex.h"
#include "host/http/outgoing.h"

namespace wafer::host {

// RFC 9110, 9.2.2.
bool is_idempotent(const std::string& method);

// Owned by the pool until it is over.
class Job final : public PoolUser, public std::enable_shared_from_this<Job> {
 public:
  Job(Pool& pool, Sending sending);
  // Has the pool keep one for `sending`, and starts it.
  static void begin(Pool& pool, Sending sending);
  // Nobody waits for the answer.
  void give_up();

 private:
  using Error = boost::system::error_code;
  using Parser = boost::beast::http::response_parser<boost::beast::http::buffer_body>;

  void start();
  void connect();
  // Has what another has dialled, if it came to that.
  void follow(const SharedDial& dial);
  // By HTTP/2 it goes on there; null: that cannot be.
  void hand_over(const std::shared_ptr<Multiplex>& connection);
  void begin(Dial::Made made, bool reused);
  std::string head();
  void send();
  void expect_header();
  // It goes on in time.
  void expect_body();
  void read();
  void on_read(const Error& error, size_t size);
  void parse();
  void on_header();
  void broken(const Error& error);
  void finish_response();
  // Ends the connection, and tells whoever waits for what is missing.
  void fail(Status status);
  void close();
  void done();
  void expect(boost::asio::steady_timer& timer, uint64_t nanoseconds, HttpError error);

  Pool& pool_;
  HttpRequest request_;
  const HttpOrigin origin_;
  const HttpTimeouts timeouts_;
  std::weak_ptr<HttpExchange> exchange_;

  std::unique_ptr<Dial> dial_;
  std::shared_ptr<SharedDial> shared_dial_;  // of dial_, or null
  std::shared_ptr<SharedDial> followed_;     // of another, which is waited for
  uint64_t connect_until_ = 0;               // of the monotonic clock; 0: not begun
  Dial::Made connection_;
  bool reused_ = false;
  const bool again_;
  boost::asio::steady_timer read_timer_, write_timer_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  HttpBodyRef body_;  // of the response
  WaitRef more_, room_;
  Outgoing out_;
  bool chunked_ = false, writing_ = false, reading_ = false, sent_ = false, over_ = false;
  bool body_touched_ = false, answered_ = false, heard_ = false;
  size_t fields_ = 0;      // of the header, before trailers
  size_t head_bytes_ = 0;  // of the answer so far, up to the room for them
  HttpBudget budget_;
};

}  // namespace wafer::host
