#include "serve/connection.h"

#include <fmt/format.h>

#include "serve/connection2.h"

namespace wafer::serve {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::string_view;

namespace {

std::string str(string_view s) { return std::string(s.data(), s.size()); }

std::string_view reason(int status) {
  if (status == 103) return "Early Hints";
  const http::status known = http::int_to_status(unsigned(status));
  if (known == http::status::unknown) return {};
  const string_view r = http::obsolete_reason(known);
  return {r.data(), r.size()};
}

// What is read at once: of a body, or what a header begins with.
constexpr size_t kMostRead = 64 << 10;
constexpr size_t kLeastRead = 4 << 10;
// What of a body is sent in one turn of the guest.
constexpr size_t kMostPassed = 1 << 20;
// For a client that sends no more to get something of its answer: it may be gone.
constexpr std::chrono::seconds kHalfClosed{5};
// What is left of a request that nobody reads, so that its connection can go on.
constexpr uint64_t kMostSkipped = 256 << 10;

std::string remote_of(host::Channel& channel) {
  boost::system::error_code error;
  const auto remote = channel.socket().remote_endpoint(error);
  return error ? "-" : remote.address().to_string();
}

void append(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

}  // namespace

Connection::Connection(Worker& worker, host::ChannelRef channel, bool tls)
    : worker_(worker),
      channel_(std::move(channel)),
      tls_(tls),
      remote_(worker.options().access_log ? remote_of(*channel_) : std::string()),
      // (The parser has no limit for trailers.)
      buffer_(worker.options().limits.header_bytes + kMostRead) {}

Connection::~Connection() {
  if (handling_) handling_->cancel();
}

void Connection::start() { read_header(); }

void Connection::expect(std::chrono::milliseconds time) { worker_.expect(*this, time); }

void Connection::close() {
  if (std::exchange(closed_, true)) return;
  const std::shared_ptr<Connection> kept = self();
  channel_->close();
  deadline = kNever;
  room_.reset();
  more_.reset();
  if (handling_) {
    handling_->log_gone(remote_, protocol());
    handling_->cancel();
    worker_.loop().post([kept = std::move(handling_)] {});
  }
  worker_.remove(*this);
}

void Connection::late() { end_by(half_closed_ ? Handling::kClientGone : 408); }

void Connection::end_by(int status) {
  if (handling_) handling_->unanswered = status;
  close();
}

void Connection::drain() {
  draining_ = true;
  if (idle_) close();
}

void Connection::fill(size_t most, Then then) {
  then_ = then;
  if (std::exchange(reading_, true)) return;
  // (The end is told once.)
  if (half_closed_)
    return worker_.loop().post([self = self()] {
      self->reading_ = false;
      if (!self->closed_) (*self.*(self->then_))(asio::error::eof);
    });
  const size_t room = buffer_.max_size() - buffer_.size();
  channel_->read_some(buffer_.prepare(std::min(room, most)),
                      [self = self()](const Error& error, size_t size) {
                        self->reading_ = false;
                        if (self->closed_) return;
                        self->buffer_.commit(size);
                        (*self.*(self->then_))(error);
                      });
}

// What a body needed is not kept while nothing comes.
void Connection::shrink() {
  if (!reading_ && buffer_.capacity() > kLeastRead) buffer_.shrink_to_fit();
}

void Connection::watch_client() {
  if (closed_ || buffer_.size() > 0) return;
  shrink();
  fill(kLeastRead, &Connection::on_ahead);
}

// What comes is for later.
void Connection::on_ahead(const Error& error) {
  if (error && error != asio::error::eof) return close();
  half_closed_ |= error == asio::error::eof;
  if (!writing_) await_guest();
}

void Connection::await_guest() {
  if (half_closed_)
    expect(kHalfClosed);
  else
    deadline = kNever;
}

// ---- The request

void Connection::read_header() {
  parser_.emplace();
  parser_->header_limit(uint32_t(worker_.options().limits.header_bytes));
  // (None is less than any length to this parser.)
  parser_->body_limit(worker_.options().limits.body_bytes.value_or(UINT64_MAX));
  idle_ = buffer_.size() == 0;
  if (idle_) {
    shrink();
    // The first request is what a connection is made for.
    const Limits& limits = worker_.options().limits;
    expect(first_ ? limits.header_time : limits.idle_time);
    return fill(kLeastRead, &Connection::parse_header);
  }
  expect(worker_.options().limits.header_time);
  // Others have their turn in between, however many requests have come at once.
  worker_.loop().post([self = self()] {
    if (!self->closed_) self->parse_header({});
  });
}

void Connection::parse_header(const Error& error) {
  if (error == asio::error::eof && buffer_.size() > 0) return refuse(400, "no HTTP request");
  if (error) return close();
  const bool begins = std::exchange(idle_, false) && !first_;
  if (!handling_) handling_ = std::make_shared<Handling>(worker_, *this);
  if (first_ && is_http2()) return;
  Error problem;
  const size_t size = parser_->put(buffer_.data(), problem);
  // Lines that go on (RFC 9112, 5.2): not everybody reads them as the parser does.
  const std::string_view header(static_cast<const char*>(buffer_.data().data()), size);
  if (header.find("\n ") != header.npos || header.find("\n\t") != header.npos)
    problem = http::error::bad_field;
  buffer_.consume(size);
  if (problem != http::error::need_more) return on_header(problem);
  if (buffer_.size() == buffer_.max_size()) return refuse(431, "header too large");
  // The time for another header begins with its first byte.
  if (begins) expect(worker_.options().limits.header_time);
  fill(kMostRead, &Connection::parse_header);
}

// HTTP/2 with prior knowledge begins with words of its own (RFC 9113, 3.4).
bool Connection::is_http2() {
  if (tls_ || !worker_.options().http2) return false;
  const std::string_view got(static_cast<const char*>(buffer_.data().data()), buffer_.size());
  const std::string_view part = kHttp2Preface.substr(0, got.size());
  if (!got.starts_with(part)) return false;
  if (part.size() < kHttp2Preface.size()) {
    fill(kMostRead, &Connection::parse_header);
    return true;
  }
  const auto next =
      make_http2(worker_, channel_, false,
                 Bytes(static_cast<const uint8_t*>(buffer_.data().data()), buffer_.size()));
  if (!next) return false;
  closed_ = true;
  deadline = kNever;
  worker_.replace(*this, next);
  return true;
}

void Connection::on_header(const Error& error) {
  first_ = false;
  handling_->arrived();
  if (error == http::error::header_limit) return refuse(431, "header too large");
  if (error == http::error::body_limit) return refuse(413, "body too large");
  if (error == http::error::bad_version) return refuse(505, "HTTP version");
  if (error) return refuse(400, "no HTTP request");
  const auto& message = parser_->get();
  handling_->method = str(message.method_string());
  handling_->target = str(message.target());
  keep_alive_ = message.keep_alive();
  if (message.version() != 11 && message.version() != 10) return refuse(505, "HTTP version");
  size_t hosts = 0, codings = 0, lengths = 0;
  std::string_view coding, length, expectation;
  bool expects = false, fits = true;
  for (const auto& field : message) {
    const std::string_view value(field.value().data(), field.value().size());
    fits &= host::is_field_value(value);
    ++fields_;
    if (field.name() == http::field::host) ++hosts;
    if (field.name() == http::field::transfer_encoding && ++codings == 1) coding = value;
    if (field.name() == http::field::content_length && ++lengths == 1) length = value;
    if (field.name() == http::field::expect && !std::exchange(expects, true)) expectation = value;
  }
  if (hosts > 1 || (hosts == 0 && message.version() == 11)) return refuse(400, "host");
  // Only chunked, and nothing before or after it (RFC 9112, 6.1); one length (6.3).
  if (codings > 1 || (codings && (message.version() == 10 || !host::same_name(coding, "chunked"))))
    return refuse(400, "transfer encoding");
  if (lengths > 1 || length.find(',') != length.npos) return refuse(400, "content length");
  if (handling_->method == "CONNECT") return refuse(501, "no tunnels");
  if (!expectation.empty() && !host::same_name(expectation, "100-continue"))
    return refuse(417, "expectation");
  if (!fits) return refuse(400, "field value");
  deadline = kNever;
  host::HttpRequest request = make_request();
  if (const char* const why = Handling::objection(request)) return refuse(400, why);
  if (!request.body || expectation.empty()) return invoke(std::move(request));
  out_.text = "HTTP/1.1 100 Continue\r\n\r\n";
  out_.write(*channel_, [self = self(), r = std::make_shared<host::HttpRequest>(
                                            std::move(request))](const Error& e, size_t) {
    if (e || self->closed_) return self->close();
    self->out_.clear();
    self->invoke(std::move(*r));
  });
}

host::HttpRequest Connection::make_request() {
  const auto& message = parser_->get();
  const std::string& target = handling_->target;
  host::HttpRequest request;
  request.method = handling_->method;
  request.scheme = tls_ ? "https" : "http";
  request.authority = str(message[http::field::host]);
  request.path_with_query = target;
  // "GET http://host/path": the target tells the authority (RFC 9112, 3.2.2).
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!host::same_name(std::string_view(target).substr(0, scheme.size()), scheme)) continue;
    const size_t begin = scheme.size(),
                 end = std::min(target.find_first_of("/?", begin), target.size());
    request.authority = target.substr(begin, end - begin);
    request.path_with_query = target.substr(end);
    if (!request.path_with_query.starts_with('/')) request.path_with_query.insert(0, 1, '/');
  }
  request.fields.reserve(fields_);
  for (const auto& field : message)
    request.fields.emplace_back(str(field.name_string()), str(field.value()));
  const auto length = parser_->content_length();
  if (parser_->chunked() || (length && *length > 0))
    request.body = std::make_shared<host::HttpBody>();
  return request;
}

void Connection::invoke(host::HttpRequest request) {
  handling_->request_body = request.body;
  if (request.body)
    read_body();
  else
    watch_client();
  // (What came with the header may have ended it.)
  if (closed_) return;
  handling_->begin(std::move(request));
}

void Connection::read_body() {
  if (closed_ || reading_) return;
  host::HttpBody& body = *handling_->request_body;
  for (;;) {
    if (parser_->is_done()) {
      host::HttpFields trailers;
      size_t i = 0;
      for (const auto& field : parser_->get())
        if (i++ >= fields_) trailers.emplace_back(str(field.name_string()), str(field.value()));
      // What is being written has a time of its own, which was not asked for while this was read.
      if (writing_)
        expect(worker_.options().limits.body_time);
      else
        deadline = kNever;
      body.finish(std::move(trailers));
      if (done_) return finish_request();
      return watch_client();
    }
    const host::Outcome<size_t> room = body.room();
    if (room && *room == 0) {
      room_ = body.writable().wait(worker_.loop(), [this] { read_body(); });
      return;
    }
    // What nobody wants is read to its end, if that is near.
    if (!room && done_) {
      const auto left = parser_->content_length_remaining();
      if (!left || *left > kMostSkipped) return close();
    }
    const auto more = [this] {
      if (buffer_.size() == buffer_.max_size()) return end_by(400);
      expect(worker_.options().limits.body_time);
      fill(kMostRead, &Connection::on_body);
    };
    if (buffer_.size() == 0) return more();
    const MutableBytes piece =
        worker_.scratch().first(std::min<size_t>(room ? *room : SIZE_MAX, Worker::kScratch));
    auto& target = parser_->get().body();
    target.data = piece.data();
    target.size = piece.size();
    Error error;
    buffer_.consume(parser_->put(buffer_.data(), error));
    body.write(piece.first(piece.size() - target.size));
    target.data = nullptr;
    if (error == http::error::need_more) return more();
    if (error == http::error::body_limit && !begun_) return body.fail(host::Status(EMSGSIZE));
    if (error && error != http::error::need_buffer) return end_by(400);
  }
}

void Connection::on_body(const Error& error) {
  if (error) return close();
  read_body();
}

// ---- The response

void Connection::refuse(int status, const char* why) {
  if (!handling_) handling_ = std::make_shared<Handling>(worker_, *this);
  keep_alive_ = false;
  done_ = true;
  handling_->answered = true;
  handling_->status = status;
  handling_->log(remote_, "HTTP/1.1");
  out_.text = fmt::format(
      "HTTP/1.1 {} {}\r\ndate: {}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n"
      "connection: close\r\n\r\n{}",
      status, reason(status), http_date(), std::char_traits<char>::length(why),
      handling_->method == "HEAD" ? "" : why);
  expect(worker_.options().limits.body_time);
  out_.write(*channel_, [self = self()](const Error& error, size_t) {
    if (error || self->closed_) return self->close();
    self->channel_->end([self] { self->close(); });
  });
}

bool Connection::on_inform(Handling&, int status, const host::HttpFields& fields) {
  if (closed_ || begun_ || parser_->get().version() != 11) return false;
  head_ += fmt::format("HTTP/1.1 {} {}\r\n", status, reason(status));
  for (const auto& [name, value] : fields)
    if (!host::is_hop_by_hop(name)) append(head_, name, value);
  head_ += "\r\n";
  // It goes out now, and the response later.
  worker_.loop().post([self = self()] { self->send_body(); });
  return true;
}

void Connection::on_response(Handling& handling) {
  if (closed_ || begun_) return;
  begun_ = true;
  const int status = handling.status = handling.response.status;
  const bool no_body = host::has_no_body(handling.method, status);
  host::HttpBody* const body = handling.response.body.get();
  std::optional<uint64_t> length;
  bool has_length = false, has_date = false;
  std::string& head = writing_ || !head_.empty() ? head_ : out_.text;
  head += "HTTP/1.1 ";
  head += std::to_string(status);
  head += ' ';
  head += reason(status);
  head += "\r\n";
  for (const auto& [name, value] : handling.response.fields) {
    if (host::is_hop_by_hop(name)) continue;
    has_length |= host::same_name(name, "content-length");
    has_date |= host::same_name(name, "date");
    append(head, name, value);
  }
  if (!has_date) append(head, "date", http_date());
  if (!body)
    length = 0;
  else if (body->ended() && body->failure().ok() && body->trailers().empty())
    length = body->front().size();
  const bool is_head = handling.method == "HEAD";
  if (!has_length && (!no_body || is_head)) {
    if (length && !(is_head && body)) {
      append(head, "content-length", std::to_string(*length));
    } else if (parser_->get().version() == 11) {
      chunked_ = true;
      head += "transfer-encoding: chunked\r\n";
    } else {
      keep_alive_ = false;  // the end of the connection is the end of the body
    }
  }
  if (draining_ || worker_.stopping()) keep_alive_ = false;
  if (!keep_alive_)
    head += "connection: close\r\n";
  else if (parser_->get().version() == 10)
    head += "connection: keep-alive\r\n";
  head += "\r\n";
  send_body();
}

// Adds what there is of the body to what goes out.
void Connection::send_body() {
  if (closed_ || writing_) return;
  out_.text += std::exchange(head_, {});
  if (!begun_) return out_.empty() ? void() : send(false);
  host::HttpBody* const body = handling_->response.body.get();
  if (!body) return send(true);
  if (host::has_no_body(handling_->method, handling_->status)) {
    body->discard();
    return send(true);
  }
  handling_->sent += out_.add(*body, chunked_);
  if (body->ended()) {
    // Broken off: whoever reads must not take it for whole.
    if (!body->failure().ok()) return close();
    out_.end(*body, chunked_);
    return send(true);
  }
  if (!out_.empty()) return send(false);
  passed_ = 0;
  if (!body->pass_on)
    body->pass_on = [weak = std::weak_ptr(self()), body](Bytes bytes) {
      const std::shared_ptr<Connection> to = weak.lock();
      // It may have gone on to another request.
      const bool ours = to && to->handling_ && to->handling_->response.body.get() == body;
      return ours ? to->pass_on(bytes) : host::HttpBody::Passed();
    };
  more_ = body->readable().wait(worker_.loop(), [this] { send_body(); });
}

// What the guest has just written goes out from its memory. After some of that it waits for its
// turn.
host::HttpBody::Passed Connection::pass_on(Bytes bytes) {
  if (closed_ || writing_ || !begun_ || !head_.empty() || passed_ > kMostPassed) return {};
  const host::HttpBody::Passed passed = out_.pass(*channel_, bytes, chunked_);
  passed_ += passed.taken;
  handling_->sent += passed.taken;
  if (!out_.empty()) send(false);
  return passed;
}

void Connection::send(bool last) {
  writing_ = true;
  if (last)
    worker_.send_soon(self());
  else
    write(false);
}

void Connection::send_now() {
  if (closed_) return;
  // What is short goes out at once, mostly.
  if (!out_.write_now(*channel_)) return write(true);
  writing_ = false;
  sent(true);
}

void Connection::write(bool last) {
  if (!reads_body()) expect(worker_.options().limits.body_time);
  out_.write(*channel_, [self = self(), last](const Error& error, size_t) {
    self->writing_ = false;
    if (error || self->closed_) return self->close();
    self->sent(last);
  });
}

void Connection::sent(bool last) {
  out_.clear(begun_ ? handling_->response.body.get() : nullptr);
  if (!reads_body()) await_guest();
  if (last) return response_done();
  send_body();
}

const char* Connection::protocol() const {
  return parser_->get().version() == 10 ? "HTTP/1.0" : "HTTP/1.1";
}

void Connection::response_done() {
  done_ = true;
  handling_->log(remote_, protocol());
  finish_request();
}

// Goes on to the next request once the guest, the response and the request's body are over.
void Connection::finish_request() {
  if (closed_ || !done_ || handling_->running()) return;
  if (!keep_alive_ || draining_ || worker_.stopping())
    return channel_->end([self = self()] { self->close(); });
  if (host::HttpBody* const body = handling_->request_body.get(); body && !body->ended()) {
    body->discard();
    return read_body();
  }
  room_.reset();
  more_.reset();
  std::exchange(handling_, nullptr)->cancel();
  out_.shrink();
  fields_ = 0;
  chunked_ = begun_ = done_ = false;
  read_header();
}

}  // namespace wafer::serve
