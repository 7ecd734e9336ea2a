#include "serve/connection.h"

#include <fmt/format.h>

#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>

#include "wasm/cursor.h"

namespace wafer::serve {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::string_view;

namespace {

std::string str(string_view s) { return std::string(s.data(), s.size()); }

std::string_view reason(int status) {
  const string_view r = http::obsolete_reason(http::int_to_status(unsigned(status)));
  return {r.data(), r.size()};
}

// What is read at once besides a header.
constexpr size_t kMostRead = 64 << 10;
// What is left of a request that nobody reads, so that its connection can go on.
constexpr uint64_t kMostSkipped = 256 << 10;

std::string json(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", c);
    else
      out += c;
  }
  return out + "\"";
}

// Date of a response (RFC 9110, 5.6.7), made once a second.
const std::string& date() {
  thread_local std::string text;
  thread_local time_t at = 0;
  const time_t now = time(nullptr);
  if (now != at || text.empty()) {
    at = now;
    tm t = {};
    gmtime_r(&now, &t);
    char buffer[40];
    strftime(buffer, sizeof(buffer), "%a, %d %b %Y %H:%M:%S GMT", &t);
    text = buffer;
  }
  return text;
}

}  // namespace

Connection::Connection(Worker& worker, asio::ip::tcp::socket socket)
    : worker_(worker),
      socket_(std::move(socket)),
      timer_(worker.context()),
      // (The parser has no limit for trailers.)
      buffer_(worker.options().limits.header_bytes + kMostRead) {
  ++worker_.metrics().connections;
  ++worker_.metrics().open;
  Error ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
}

Connection::~Connection() { --worker_.metrics().open; }

void Connection::start() { read_header(); }

void Connection::expect(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([weak = weak_from_this()](const Error& error) {
    if (error) return;
    if (const auto self = weak.lock()) self->close();
  });
}

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  const std::shared_ptr<Connection> self = shared_from_this();
  Error ignored;
  socket_.close(ignored);
  timer_.cancel();
  room_.reset();
  more_.reset();
  if (request_body_) request_body_->fail(host::Status(ECONNRESET));
  if (response_.body) response_.body->discard();
  if (invocation_) {
    worker_.unwatch(*invocation_);
    invocation_->cancel();
    // It may be what is running just now.
    worker_.loop().post([kept = std::move(invocation_)] {});
    --worker_.metrics().active;
  }
  worker_.remove(*this);
}

void Connection::drain() {
  draining_ = true;
  if (idle_) close();
}

// ---- The request

void Connection::read_header() {
  parser_.emplace();
  parser_->header_limit(uint32_t(worker_.options().limits.header_bytes));
  // (None is less than any length to this parser.)
  parser_->body_limit(worker_.options().limits.body_bytes.value_or(UINT64_MAX));
  const bool begun = buffer_.size() > 0;
  idle_ = !begun;
  expect(begun ? worker_.options().limits.header_time : worker_.options().limits.idle_time);
  if (begun) {
    http::async_read_header(
        socket_, buffer_, *parser_,
        [self = shared_from_this()](const Error& error, size_t) { self->on_header(error); });
    return;
  }
  // The time for a header begins with its first byte.
  socket_.async_wait(
      asio::ip::tcp::socket::wait_read, [self = shared_from_this()](const Error& error) {
        if (error || self->closed_) return self->close();
        self->idle_ = false;
        self->expect(self->worker_.options().limits.header_time);
        http::async_read_header(self->socket_, self->buffer_, *self->parser_,
                                [self](const Error& e, size_t) { self->on_header(e); });
      });
}

void Connection::on_header(const Error& error) {
  if (closed_) return;
  began_ = std::chrono::steady_clock::now();
  if (error == http::error::header_limit) return refuse(431, "header too large");
  if (error == http::error::body_limit) return refuse(413, "body too large");
  if (error == http::error::end_of_stream || error == asio::error::connection_reset ||
      error == asio::error::operation_aborted)
    return close();
  if (error == http::error::bad_version) return refuse(505, "HTTP version");
  if (error) return refuse(400, "no HTTP request");
  const auto& message = parser_->get();
  method_ = str(message.method_string());
  target_ = str(message.target());
  head_ = message.method() == http::verb::head;
  keep_alive_ = message.keep_alive();
  if (message.version() != 11 && message.version() != 10) return refuse(505, "HTTP version");
  size_t hosts = 0;
  for (const auto& field : message) hosts += field.name() == http::field::host;
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) return refuse(400, "host");
  // Only chunked, and nothing before or after it (RFC 9112, 6.1).
  if (message.count(http::field::transfer_encoding) > 1 ||
      (message.count(http::field::transfer_encoding) && !parser_->chunked()))
    return refuse(400, "transfer encoding");
  if (message.count(http::field::transfer_encoding) && message.version() == 10)
    return refuse(400, "transfer encoding");
  const string_view expectation = message[http::field::expect];
  if (!expectation.empty() && !boost::beast::iequals(expectation, "100-continue"))
    return refuse(417, "expectation");
  for (const auto& field : message) {
    const std::string_view value(field.value().data(), field.value().size());
    if (!host::is_field_value(value)) return refuse(400, "field value");
    ++fields_;
  }
  timer_.cancel();
  host::HttpRequest request = make_request();
  if (!request.body || expectation.empty()) return invoke(std::move(request));
  out_ = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(socket_, asio::buffer(out_),
                    [self = shared_from_this(), r = std::make_shared<host::HttpRequest>(
                                                    std::move(request))](const Error& e, size_t) {
                      if (e || self->closed_) return self->close();
                      self->invoke(std::move(*r));
                    });
}

host::HttpRequest Connection::make_request() {
  const auto& message = parser_->get();
  host::HttpRequest request;
  request.method = method_;
  request.scheme = "http";
  request.authority = str(message[http::field::host]);
  request.path_with_query = target_;
  // "GET http://host/path": the target tells the authority (RFC 9112, 3.2.2).
  if (const size_t slashes = target_.find("://");
      slashes != std::string::npos && target_.front() != '/') {
    const size_t begin = slashes + 3, end = std::min(target_.find('/', begin), target_.size());
    request.authority = target_.substr(begin, end - begin);
    request.path_with_query = end < target_.size() ? target_.substr(end) : "/";
  }
  for (const auto& field : message)
    request.fields.emplace_back(str(field.name_string()), str(field.value()));
  const auto length = parser_->content_length();
  if (parser_->chunked() || (length && *length > 0)) {
    request.body = std::make_shared<host::HttpBody>();
    request_body_ = request.body;
  }
  return request;
}

void Connection::invoke(host::HttpRequest request) {
  ++worker_.metrics().requests;
  ++worker_.metrics().active;
  if (!wasm::is_utf8(request.authority) || !wasm::is_utf8(request.path_with_query) ||
      !wasm::is_utf8(request.method)) {
    --worker_.metrics().active;
    return refuse(400, "no UTF-8");
  }
  invocation_ = std::make_shared<Invocation>(
      worker_.surroundings(), worker_.application(),
      [this](HttpAnswer answer) { on_answer(std::move(answer)); },
      [this](const std::string& failure) { on_ended(failure); });
  worker_.watch(invocation_, began_ + worker_.options().limits.request_time);
  if (request_body_) read_body();
  const std::shared_ptr<Connection> self = shared_from_this();
  const std::shared_ptr<Invocation> invocation = invocation_;
  invocation->start(std::move(request));
}

void Connection::read_body() {
  if (closed_ || reading_) return;
  if (parser_->is_done()) {
    host::HttpFields trailers;
    size_t i = 0;
    for (const auto& field : parser_->get())
      if (i++ >= fields_) trailers.emplace_back(str(field.name_string()), str(field.value()));
    timer_.cancel();
    request_body_->finish(std::move(trailers));
    if (done_) finish_request();
    return;
  }
  const host::Outcome<size_t> room = request_body_->room();
  if (room && *room == 0) {
    room_ = request_body_->writable()->wait(worker_.loop(), [this] { read_body(); });
    return;
  }
  // What nobody wants is read to its end, if that is near.
  if (!room && done_) {
    const auto left = parser_->content_length_remaining();
    if (!left || *left > kMostSkipped) return close();
  }
  piece_.resize(std::min<size_t>(room ? *room : 16 << 10, 16 << 10));
  auto& body = parser_->get().body();
  body.data = piece_.data();
  body.size = piece_.size();
  reading_ = true;
  expect(worker_.options().limits.body_time);
  http::async_read_some(socket_, buffer_, *parser_,
                        [self = shared_from_this()](const Error& error, size_t) {
                          self->reading_ = false;
                          self->on_body(error);
                        });
}

void Connection::on_body(const Error& error) {
  if (closed_) return;
  if (error && error != http::error::need_buffer) {
    if (error == http::error::body_limit && !begun_) {
      request_body_->fail(host::Status(EMSGSIZE));
      return;
    }
    return close();
  }
  const size_t n = piece_.size() - parser_->get().body().size;
  request_body_->write(Bytes(piece_).first(n));
  read_body();
}

// ---- The response

void Connection::refuse(int status, const char* why) {
  keep_alive_ = false;
  answered_ = done_ = true;
  status_ = status;
  log();
  out_ = fmt::format(
      "HTTP/1.1 {} {}\r\ndate: {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n"
      "connection: close\r\n\r\n{}",
      status, reason(status), date(), std::char_traits<char>::length(why), head_ ? "" : why);
  asio::async_write(socket_, asio::buffer(out_), [self = shared_from_this()](const Error&, size_t) {
    Error ignored;
    self->socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    self->close();
  });
}

void Connection::on_answer(HttpAnswer answer) {
  if (closed_ || answered_) return;
  answered_ = true;
  if (!answer.failure.empty()) {
    ++worker_.metrics().failures;
    const bool late = invocation_ && invocation_->interrupted();
    worker_.log_error(method_ + " " + target_ + ": " + answer.failure);
    response_ = {};
    response_.status = late ? 504 : 500;
  } else {
    response_ = std::move(answer.response);
  }
  // What the guest writes at once goes out with the header.
  worker_.loop().post([self = shared_from_this()] { self->begin_response(); });
}

void Connection::on_ended(const std::string& failure) {
  if (closed_) return;
  worker_.unwatch(*invocation_);
  if (!failure.empty() && response_.body && !response_.body->ended()) {
    worker_.log_error(method_ + " " + target_ + ": " + failure);
    response_.body->fail(host::Status(ECONNRESET));
  }
  // A guest that has returned cannot finish what it has not.
  worker_.loop().post([self = shared_from_this(), kept = std::move(invocation_)]() mutable {
    --self->worker_.metrics().active;
    kept.reset();
    if (self->done_) self->finish_request();
  });
}

void Connection::begin_response() {
  if (closed_ || begun_) return;
  begun_ = true;
  status_ = response_.status;
  no_body_ = status_ == 204 || status_ == 304 || status_ < 200;
  host::HttpBody* const body = response_.body.get();
  std::optional<uint64_t> length;
  bool has_length = false, has_date = false;
  out_ = fmt::format("HTTP/1.1 {} {}\r\n", status_, reason(status_));
  for (const auto& [name, value] : response_.fields) {
    if (host::is_hop_by_hop(name)) continue;
    has_length |= host::same_name(name, "content-length");
    has_date |= host::same_name(name, "date");
    out_ += name;
    out_ += ": ";
    out_ += value;
    out_ += "\r\n";
  }
  if (!has_date) out_ += fmt::format("date: {}\r\n", date());
  if (!body)
    length = 0;
  else if (body->ended() && body->failure().ok() && body->trailers().empty())
    length = body->front().size();
  if (!has_length && !no_body_) {
    if (length && !(head_ && body)) {
      out_ += fmt::format("content-length: {}\r\n", *length);
    } else if (parser_->get().version() == 11) {
      chunked_ = true;
      out_ += "transfer-encoding: chunked\r\n";
    } else {
      keep_alive_ = false;  // the end of the connection is the end of the body
    }
  }
  if (draining_ || worker_.stopping()) keep_alive_ = false;
  if (!keep_alive_)
    out_ += "connection: close\r\n";
  else if (parser_->get().version() == 10)
    out_ += "connection: keep-alive\r\n";
  out_ += "\r\n";
  send_body();
}

// Adds what there is of the body to what goes out.
void Connection::send_body() {
  if (closed_ || writing_) return;
  host::HttpBody* const body = response_.body.get();
  const bool silent = head_ || no_body_;
  if (!body) return send(true);
  if (silent) {
    body->discard();
    return send(true);
  }
  const Bytes front = body->front();
  if (!front.empty()) {
    if (chunked_) out_ += fmt::format("{:x}\r\n", front.size());
    out_.append(reinterpret_cast<const char*>(front.data()), front.size());
    if (chunked_) out_ += "\r\n";
    sent_ += front.size();
    body->remove(front.size());
  }
  if (body->ended()) {
    // Broken off: whoever reads must not take it for whole.
    if (!body->failure().ok()) return close();
    if (chunked_) {
      out_ += "0\r\n";
      for (const auto& [name, value] : body->trailers())
        if (!host::is_hop_by_hop(name)) out_ += name + ": " + value + "\r\n";
      out_ += "\r\n";
    }
    return send(true);
  }
  if (!out_.empty()) return send(false);
  more_ = body->readable()->wait(worker_.loop(), [this] { send_body(); });
}

void Connection::send(bool last) {
  writing_ = true;
  if (!reading_) expect(worker_.options().limits.body_time);
  asio::async_write(socket_, asio::buffer(out_),
                    [self = shared_from_this(), last](const Error& error, size_t) {
                      self->writing_ = false;
                      if (error || self->closed_) return self->close();
                      self->out_.clear();
                      if (!self->reading_) self->timer_.cancel();
                      if (last) return self->response_done();
                      self->send_body();
                    });
}

void Connection::response_done() {
  done_ = true;
  log();
  finish_request();
}

// Goes on to the next request once the guest, the response and the request's body are over.
void Connection::finish_request() {
  if (closed_ || invocation_ || !done_) return;
  if (!keep_alive_ || draining_ || worker_.stopping()) {
    Error ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    return close();
  }
  if (request_body_ && !request_body_->ended()) {
    request_body_->discard();
    return read_body();
  }
  room_.reset();
  more_.reset();
  request_body_.reset();
  response_ = {};
  fields_ = 0;
  sent_ = 0;
  answered_ = chunked_ = head_ = no_body_ = begun_ = done_ = false;
  read_header();
}

void Connection::log() {
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - began_);
  Metrics& m = worker_.metrics();
  m.microseconds += uint64_t(took.count());
  if (status_ >= 100 && status_ < 600) ++m.by_class[status_ / 100 - 1];
  const Options& options = worker_.options();
  if (!options.access_log) return;
  Error ignored;
  const auto remote = socket_.remote_endpoint(ignored);
  const std::string from = ignored ? "-" : remote.address().to_string();
  const time_t now = time(nullptr);
  tm t = {};
  gmtime_r(&now, &t);
  char when[40];
  strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &t);
  options.access_log(
      options.json_log
          ? fmt::format("{{\"time\":\"{}\",\"remote\":\"{}\",\"method\":{},\"target\":{},"
                        "\"status\":{},\"bytes\":{},\"microseconds\":{}}}",
                        when, from, json(method_), json(target_), status_, sent_, took.count())
          : fmt::format("{} {} {} {} {} {} {}us", when, from, method_.empty() ? "-" : method_,
                        target_.empty() ? "-" : target_, status_, sent_, took.count()));
}

}  // namespace wafer::serve
