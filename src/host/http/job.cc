#include "host/http/job.h"

#include <algorithm>

#include "host/clocks.h"

namespace wafer::host {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

constexpr size_t kPiece = 16 << 10;
const Status kNotMultiplexed = http_failure(HttpError::HTTPProtocolError);

std::string str(boost::beast::string_view s) { return std::string(s.data(), s.size()); }

}  // namespace

bool is_idempotent(const std::string& method) {
  for (const char* m : {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
    if (method == m) return true;
  return false;
}

Job::Job(Pool& pool, Sending sending)
    : pool_(pool),
      request_(std::move(sending.request)),
      origin_(std::move(sending.origin)),
      timeouts_(sending.timeouts),
      exchange_(std::move(sending.exchange)),
      again_(sending.again),
      read_timer_(pool.loop().context()),
      write_timer_(pool.loop().context()) {}

void Job::begin(Pool& pool, Sending sending) {
  const auto exchange = sending.exchange.lock();
  if (!exchange) return;
  const auto job = std::make_shared<Job>(pool, std::move(sending));
  exchange->given_up = [weak = std::weak_ptr(job)] {
    if (const auto j = weak.lock()) j->give_up();
  };
  pool.keep(job);
  // What the guest writes at once goes out with the header.
  pool.loop().post([weak = std::weak_ptr(job)] {
    if (const auto j = weak.lock()) j->start();
  });
}

void Job::start() {
  if (again_) return connect();
  if (const auto shared = pool_.multiplexed(origin_)) return hand_over(shared);
  Dial::Made idle = pool_.take(origin_);
  if (!idle.channel) return connect();
  begin(std::move(idle), true);
}

void Job::hand_over(const std::shared_ptr<Multiplex>& connection) {
  if (!connection) return fail(kNotMultiplexed);
  connection->send({std::move(request_), origin_, timeouts_, exchange_, again_});
  request_.body = nullptr;
  done();
}

void Job::connect() {
  const uint64_t now = monotonic_now();
  if (!connect_until_) connect_until_ = now + std::min<uint64_t>(*timeouts_.connect, INT64_MAX / 2);
  const uint64_t patience = connect_until_ - std::min(now, connect_until_);
  if (const auto other = pool_.shared_dial(origin_)) {
    followed_ = other;
    expect(read_timer_, patience, HttpError::ConnectionTimeout);
    more_ = other->over->wait(pool_.loop(), [this, other] {
      const auto self = shared_from_this();
      read_timer_.cancel();
      followed_ = nullptr;
      follow(*other);
    });
    return;
  }
  std::shared_ptr<void> slot = pool_.slot();
  if (!slot) return fail(http_failure(HttpError::ConnectionLimitReached));
  shared_dial_ = pool_.begin_dial(origin_);
  dial_ = std::make_unique<Dial>(pool_.shared(), pool_.loop(), origin_, std::move(slot), patience,
                                 [this](Outcome<Dial::Made> made) {
                                   const auto self = shared_from_this();
                                   const std::unique_ptr<Dial> over = std::move(dial_);
                                   const auto shared = std::move(shared_dial_);
                                   if (!made) {
                                     pool_.end_dial(shared, nullptr, made.status());
                                     return fail(made.status());
                                   }
                                   if (made->channel->protocol() != "h2") {
                                     pool_.end_dial(shared, nullptr, {});
                                     return begin(*std::move(made), false);
                                   }
                                   const auto many = pool_.multiplex(origin_, *std::move(made));
                                   pool_.end_dial(shared, many, many ? Status() : kNotMultiplexed);
                                   hand_over(many);
                                 });
  if (shared_dial_) shared_dial_->dial = dial_.get();
}

void Job::follow(const SharedDial& dial) {
  if (dial.made && dial.made->open()) return hand_over(dial.made);
  // Others may have less patience than this.
  const Status f = dial.failure;
  const bool late =
      f == http_failure(HttpError::ConnectionTimeout) || f == http_failure(HttpError::DNSTimeout);
  if (f.ok() || f == Status(ECANCELED) || (late && monotonic_now() < connect_until_))
    return start();
  fail(f);
}

void Job::give_up() {
  if (!answered_) fail(Status(ECANCELED));
}

void Job::begin(Dial::Made made, bool reused) {
  connection_ = std::move(made);
  reused_ = reused;
  heard_ = false;
  buffer_.clear();
  out_.clear();
  out_.text = head();
  head_bytes_ = 0;
  budget_ = {};
  expect_header();
  expect(read_timer_, *timeouts_.first_byte, HttpError::ConnectionReadTimeout);
  send();
  read();
}

// ---- The request

std::string Job::head() {
  std::string out = request_.method + " " + request_.path_with_query +
                    " HTTP/1.1\r\nhost: " + request_.authority + "\r\n";
  bool has_length = false;
  for (const auto& [name, value] : request_.fields) {
    if (is_hop_by_hop(name) || same_name(name, "host")) continue;
    has_length |= same_name(name, "content-length");
    out += name + ": " + value + "\r\n";
  }
  HttpBody* const body = request_.body.get();
  chunked_ = false;
  if (!has_length) {
    if (!body) {
      // Methods that mean something by a body say that there is none.
      for (const char* m : {"POST", "PUT", "PATCH"})
        if (request_.method == m) out += "content-length: 0\r\n";
    } else if (body->done() && body->trailers().empty()) {
      // (Empty, and known to be.)
      out += "content-length: 0\r\n";
    } else if (body->ended() && body->failure().ok() && body->trailers().empty()) {
      out += "content-length: " + std::to_string(body->front().size()) + "\r\n";
    } else {
      chunked_ = true;
      out += "transfer-encoding: chunked\r\n";
    }
  }
  return out + "\r\n";
}

// Sends what there is of the body, if the last piece is out.
void Job::send() {
  if (over_ || writing_ || sent_) return;
  HttpBody* const body = request_.body.get();
  bool last = !body;
  if (body) {
    if (out_.add(*body, chunked_) > 0) body_touched_ = true;
    if (body->ended()) {
      if (!body->failure().ok()) return fail(body->failure());
      out_.end(*body, chunked_);
      last = true;
    }
  }
  if (out_.empty() && !last) {
    // The guest takes its time, which is not the server's.
    if (!answered_) read_timer_.cancel();
    more_ = body->readable().wait(pool_.loop(), [this] {
      const auto self = shared_from_this();
      send();
    });
    return;
  }
  writing_ = true;
  expect(write_timer_, *timeouts_.between_bytes, HttpError::ConnectionWriteTimeout);
  out_.write(*connection_.channel, [self = shared_from_this(), channel = connection_.channel, last](
                                       const Error& error, size_t) {
    if (self->over_ || self->connection_.channel != channel) return;
    self->writing_ = false;
    self->write_timer_.cancel();
    self->out_.clear(self->request_.body.get());
    // A server that answers without reading all may have said why: reading tells.
    if (error) {
      self->sent_ = true;
      if (self->request_.body) self->request_.body->discard();
      return;
    }
    self->sent_ = last;
    if (!self->answered_)
      self->expect(self->read_timer_, *self->timeouts_.first_byte,
                   HttpError::ConnectionReadTimeout);
    if (!last) return self->send();
    if (self->parser_->is_done()) self->finish_response();
  });
}

// ---- The response

// Informational responses and the header of the answer have room together.
void Job::expect_header() {
  parser_.emplace();
  parser_->header_limit(uint32_t(pool_.shared().options.header_bytes - head_bytes_));
  // (None is less than any length to this parser.)
  parser_->body_limit(UINT64_MAX);
  if (request_.method == "HEAD") parser_->skip(true);
}

void Job::expect_body() {
  if (over_ || !reading_) return;
  expect(read_timer_, time_for_more(timeouts_, *body_), HttpError::ConnectionReadTimeout);
}

void Job::read() {
  if (over_ || reading_) return;
  reading_ = true;
  if (answered_) expect_body();
  connection_.channel->read_some(
      buffer_.prepare(kPiece),
      [self = shared_from_this(), channel = connection_.channel](const Error& error, size_t size) {
        if (self->over_ || self->connection_.channel != channel) return;
        self->reading_ = false;
        self->on_read(error, size);
      });
}

void Job::on_read(const Error& error, size_t size) {
  if (error) return broken(error);
  heard_ = true;
  buffer_.commit(size);
  budget_.came(size);
  if (budget_.used_up()) return fail(http_failure(HttpError::HTTPProtocolError));
  parse();
}

void Job::parse() {
  while (!over_) {
    if (parser_->is_header_done() && !answered_) {
      on_header();
      continue;
    }
    if (parser_->is_done()) return finish_response();
    if (buffer_.size() == 0 && !answered_) return read();
    size_t piece = 0;
    uint8_t bytes[kPiece];
    if (answered_) {
      const Outcome<size_t> room = body_->room();
      if (!room) return fail(Status(ECANCELED));  // not wanted any more
      if (*room == 0) {
        read_timer_.cancel();
        room_ = body_->writable().wait(pool_.loop(), [this] {
          const auto self = shared_from_this();
          parse();
        });
        return;
      }
      if (buffer_.size() == 0) return read();
      piece = std::min(*room, sizeof(bytes));
      parser_->get().body().data = bytes;
      parser_->get().body().size = piece;
    }
    Error error;
    const size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    if (!answered_) head_bytes_ = std::min(head_bytes_ + used, pool_.shared().options.header_bytes);
    if (answered_) {
      piece -= parser_->get().body().size;
      budget_.content(piece);
      parser_->get().body().data = nullptr;
      if (piece > 0) body_->write(Bytes(bytes, piece));
    }
    if (error == http::error::need_more) {
      // (The parser has no limit for trailers.)
      if (buffer_.size() > pool_.shared().options.header_bytes)
        return broken(http::make_error_code(http::error::header_limit));
      return read();
    }
    if (error && error != http::error::need_buffer) return broken(error);
  }
}

void Job::on_header() {
  const auto& message = parser_->get();
  const unsigned status = message.result_int();
  if (status == 101) return fail(http_failure(HttpError::HTTPUpgradeFailed));
  if (status < 100 || status > 999) return fail(http_failure(HttpError::HTTPProtocolError));
  // Informational: the answer comes after it.
  if (status < 200) {
    if (head_bytes_ == pool_.shared().options.header_bytes)
      return fail(http_failure(HttpError::HTTPResponseHeaderSectionSize));
    return expect_header();
  }
  if (message.count(http::field::transfer_encoding) &&
      (message.count(http::field::transfer_encoding) > 1 || message.version() < 11 ||
       !same_name(str(message[http::field::transfer_encoding]), "chunked")))
    return fail(http_failure(HttpError::HTTPResponseTransferCoding));
  HttpResponse response;
  response.status = uint16_t(status);
  for (const auto& field : message) {
    std::string value = str(field.value());
    if (!is_field_value(value)) return fail(http_failure(HttpError::HTTPProtocolError));
    response.fields.emplace_back(str(field.name_string()), std::move(value));
    ++fields_;
  }
  body_ = std::make_shared<HttpBody>();
  body_->on_taken = [weak = weak_from_this()](size_t) {
    const auto self = weak.lock();
    if (self && self->body_->discarded()) self->expect_body();
  };
  response.body = body_;
  answered_ = true;
  read_timer_.cancel();
  if (const auto exchange = exchange_.lock())
    exchange->answer(std::move(response));
  else
    return fail(Status(ECANCELED));
}

// The connection, or what comes by it, is broken.
void Job::broken(const Error& error) {
  const bool ended = error == asio::error::eof;
  if (ended && parser_->got_some() && parser_->is_header_done()) {
    // (A body that goes on to the end of the connection.)
    Error more;
    parser_->put_eof(more);
    if (!more) {
      if (!answered_) on_header();
      return over_ ? void() : finish_response();
    }
  }
  // Closed by the server just before it was used again.
  if (reused_ && !heard_ && !body_touched_ && is_idempotent(request_.method)) {
    read_timer_.cancel();
    write_timer_.cancel();
    connection_.channel->close();
    connection_ = {};
    writing_ = reading_ = sent_ = false;
    more_.reset();
    connect_until_ = 0;
    return connect();
  }
  if (error == http::error::header_limit)
    return fail(http_failure(answered_ ? HttpError::HTTPResponseTrailerSectionSize
                                       : HttpError::HTTPResponseHeaderSectionSize));
  if (error == http::error::bad_transfer_encoding)
    return fail(http_failure(HttpError::HTTPResponseTransferCoding));
  if (error.category() == make_error_code(http::error::bad_chunk).category() &&
      error != http::error::partial_message && error != http::error::end_of_stream)
    return fail(http_failure(HttpError::HTTPProtocolError));
  if (!heard_ || (!ended && error == asio::error::connection_reset))
    return fail(http_failure(HttpError::ConnectionTerminated));
  fail(http_failure(HttpError::HTTPResponseIncomplete));
}

void Job::finish_response() {
  if (over_) return;
  HttpFields trailers;
  size_t i = 0;
  for (const auto& field : parser_->get())
    if (i++ >= fields_) trailers.emplace_back(str(field.name_string()), str(field.value()));
  read_timer_.cancel();
  body_->finish(std::move(trailers));
  // What is still to be sent interests nobody, unless it is on its way.
  if (writing_ && !request_.body) return;
  if (sent_ && !writing_ && parser_->keep_alive() && buffer_.size() == 0)
    pool_.give(origin_, std::exchange(connection_, {}));
  done();
}

// ---- The end

void Job::expect(asio::steady_timer& timer, uint64_t nanoseconds, HttpError error) {
  timer.expires_after(std::chrono::nanoseconds(std::min<uint64_t>(nanoseconds, INT64_MAX / 2)));
  timer.async_wait([weak = weak_from_this(), error](const Error& e) {
    const auto self = weak.lock();
    if (e || !self) return;
    if (!self->followed_) return self->fail(http_failure(error));
    // (It may be over just now.)
    const SharedDial& other = *self->followed_;
    if (other.dial) return self->fail(http_failure(other.dial->late()));
    self->fail(other.failure.ok() ? http_failure(error) : other.failure);
  });
}

void Job::fail(Status status) {
  if (over_) return;
  const std::shared_ptr<Job> self = shared_from_this();
  over_ = true;
  if (const auto exchange = exchange_.lock()) exchange->answer(status);
  if (body_) body_->fail(status);
  if (request_.body) request_.body->discard(status);
  done();
}

void Job::done() {
  const std::shared_ptr<Job> self = shared_from_this();
  over_ = true;
  dial_.reset();
  pool_.end_dial(std::exchange(shared_dial_, nullptr), nullptr, Status(ECANCELED));
  read_timer_.cancel();
  write_timer_.cancel();
  more_.reset();
  room_.reset();
  if (request_.body) request_.body->discard();
  if (connection_.channel) connection_.channel->close();
  connection_ = {};
  pool_.release(self);
}

}  // namespace wafer::host
