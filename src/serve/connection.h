// One connection of HTTP/1.1, one request after the other.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <memory>

#include "serve/worker.h"

namespace wafer::serve {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Worker& worker, boost::asio::ip::tcp::socket socket);
  ~Connection();
  void start();
  // Ends it between requests, or after the one that is under way.
  void drain();
  // Ends it now.
  void close();

 private:
  using Error = boost::system::error_code;
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;

  void read_header();
  void on_header(const Error& error);
  void refuse(int status, const char* why);
  host::HttpRequest make_request();
  void invoke(host::HttpRequest request);
  void read_body();
  void on_body(const Error& error);
  void on_answer(HttpAnswer answer);
  void on_ended(const std::string& failure);
  void begin_response();
  void send_body();
  void send(bool last);
  void response_done();
  void finish_request();
  void expect(std::chrono::milliseconds time);
  void log();

  Worker& worker_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  size_t fields_ = 0;  // of the header, before trailers
  bool reading_ = false, writing_ = false, closed_ = false, draining_ = false, idle_ = true;

  // Of the present request.
  std::shared_ptr<Invocation> invocation_;
  host::HttpBodyRef request_body_;
  host::WaitRef room_, more_;
  std::vector<uint8_t> piece_;
  host::HttpResponse response_;
  bool answered_ = false, chunked_ = false, keep_alive_ = true, head_ = false, no_body_ = false;
  bool begun_ = false, done_ = false;
  std::string out_;  // of the response, on its way
  std::string method_, target_;
  uint64_t sent_ = 0;
  int status_ = 0;
  std::chrono::steady_clock::time_point began_;
};

}  // namespace wafer::serve
