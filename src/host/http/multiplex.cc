#include "host/http/multiplex.h"

#if WAFER_WITH_HTTP2

#include <algorithm>
#include <charconv>
#include <map>

#include "host/clocks.h"
#include "host/http/budget.h"
#include "host/http/job.h"

namespace wafer::host {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds kPatience{5};  // for what every server answers at once

class Connection final : public Multiplex,
                         public Http2Events,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(Pool& pool, Dial::Made made)
      : pool_(pool), made_(std::move(made)), doubt_(pool.loop().context()) {}
  ~Connection() override {
    for (auto& [id, stream] : streams_) stream->let_go();
    if (session_) nghttp2_session_del(session_);
  }

  bool start();
  bool open() const override;
  void send(Sending sending) override;
  void end_if_idle(uint64_t time) override;
  bool give_way() override;

 private:
  using Error = boost::system::error_code;
  struct Stream {
    Stream(Sending s, asio::io_context& context) : sending(std::move(s)), timer(context) {}
    // Nothing of it is called any more.
    void let_go() {
      timer.cancel();
      more.reset();
      if (body) body->on_taken = nullptr;
    }

    int32_t id = -1;
    Sending sending;
    HttpResponse response;  // until it is answered
    HttpBodyRef body;       // of the response
    HttpFields trailers;
    size_t field_bytes = 0;  // of what is read now: the header, then the trailers
    asio::steady_timer timer;
    WaitRef more;
    bool touched = false;  // something of the request's body was sent
    bool waits = false;    // for the guest to write more of it
    bool sent = false;     // all of the request
    bool answered = false;
    bool done = false;  // whoever waits for it has been told how it ended
  };
  using StreamRef = std::shared_ptr<Stream>;

  StreamRef find(int32_t id) const {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : at->second;
  }
  void read();
  void take(const uint8_t* data, size_t size);
  void flush();
  void flush_soon();
  // Ends what is on it; `error` for what has no answer yet.
  void broken(HttpError error = HttpError::ConnectionTerminated);
  void expect(const StreamRef& stream);
  // Nothing came in time: is anybody there?
  void doubt();
  // Somebody is.
  void assured() {
    if (std::exchange(doubted_, false)) doubt_.cancel();
  }
  void finish(Stream& stream);
  void fail(Stream& stream, Status status);
  // Ends it at once, and tells the server.
  void cancel(Stream& stream, Status status);
  bool send_again(Stream& stream, bool refused);

  int on_field(int32_t id, std::string_view name, std::string_view value) override;
  int on_frame(const nghttp2_frame& frame) override;
  void on_sent(const nghttp2_frame& frame) override;
  int on_header_end(Stream& stream, bool ends);
  int on_data(int32_t id, Bytes data) override;
  int on_close(int32_t id, uint32_t code) override;
  ssize_t body_of(int32_t id, uint8_t* to, size_t size, uint32_t* flags);

  Pool& pool_;
  Dial::Made made_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, StreamRef> streams_;
  std::vector<uint8_t> in_;
  std::string out_;
  asio::steady_timer doubt_;
  HttpBudget budget_;
  uint64_t write_began_ = 0;
  uint64_t idle_since_ = monotonic_now();
  bool doubted_ = false;
  bool wrong_ = false;  // the server does not speak HTTP/2
  bool used_ = false;   // something came of an earlier request
  bool writing_ = false, closed_ = false, leaving_ = false, busy_ = false, flush_posted_ = false;
  bool refrains_ = false;  // from reading, until what is queued is written
};

bool Connection::start() {
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kHttp2StreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       uint32_t(std::min<size_t>(pool_.shared().options.header_bytes, UINT32_MAX))}};
  session_ = make_http2_session(*this, false, true, settings, kHttp2Window);
  if (!session_) return false;
  in_.resize(kHttp2Piece);
  read();
  flush_soon();
  return true;
}

bool Connection::open() const {
  return !closed_ && !leaving_ && nghttp2_session_check_request_allowed(session_) &&
         streams_.size() <
             std::min(kHttp2MostStreams, nghttp2_session_get_remote_settings(
                                             session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
}

void Connection::end_if_idle(uint64_t time) {
  if (closed_) return;
  // A server that takes nothing has no use for others.
  if (writing_ && write_began_ <= time) return broken(HttpError::ConnectionWriteTimeout);
  if (!streams_.empty() || idle_since_ > time) return;
  leaving_ = true;
  nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
  flush();
}

bool Connection::give_way() {
  if (closed_ || !streams_.empty()) return false;
  broken();
  return true;
}

// ---- Bytes

void Connection::read() {
  refrains_ = writing_ && nghttp2_session_get_outbound_queue_size(session_) > kHttp2MostQueued;
  if (refrains_) return;
  made_.channel->read_some(asio::buffer(in_),
                           [self = shared_from_this()](const Error& error, size_t size) {
                             if (self->closed_) return;
                             if (error) return self->broken();
                             self->take(self->in_.data(), size);
                             if (self->closed_) return;
                             self->flush();
                             if (!self->closed_) self->read();
                           });
}

void Connection::take(const uint8_t* data, size_t size) {
  busy_ = true;
  const ssize_t used = nghttp2_session_mem_recv(session_, data, size);
  busy_ = false;
  budget_.came(size);
  if (used >= 0 && !budget_.used_up()) return;
  wrong_ = true;
  broken(HttpError::HTTPProtocolError);
}

void Connection::flush_soon() {
  if (closed_ || std::exchange(flush_posted_, true)) return;
  pool_.loop().post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->flush_posted_ = false;
    self->flush();
  });
}

void Connection::flush() {
  if (closed_ || writing_ || busy_) return;
  busy_ = true;
  while (out_.size() < kHttp2MostOut) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size <= 0) {
      busy_ = false;
      if (size < 0) return broken();
      break;
    }
    out_.append(reinterpret_cast<const char*>(data), size_t(size));
  }
  busy_ = false;
  if (closed_) return;
  if (out_.empty()) {
    if (!nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_)) broken();
    return;
  }
  writing_ = true;
  write_began_ = monotonic_now();
  made_.channel->write(asio::buffer(out_), [self = shared_from_this()](const Error& error, size_t) {
    self->writing_ = false;
    if (self->closed_) return;
    if (error) return self->broken();
    self->out_.clear();
    self->flush();
    if (self->refrains_ && !self->closed_) self->read();
  });
}

// The connection has come to an end, and what is on it with it.
void Connection::broken(HttpError error) {
  if (std::exchange(closed_, true)) return;
  const auto self = shared_from_this();
  if (wrong_) error = HttpError::HTTPProtocolError;
  doubt_.cancel();
  made_.channel->close();
  for (auto& [id, stream] : std::exchange(streams_, {})) {
    if (!stream->done && !send_again(*stream, false))
      fail(*stream, http_failure(stream->answered ? HttpError::HTTPResponseIncomplete : error));
    stream->let_go();
  }
  // (nghttp2 may be what runs just now; the session goes with this object.)
  pool_.forget(self);
  made_.slot.reset();
}

// ---- Requests

void Connection::send(Sending sending) {
  const auto stream = std::make_shared<Stream>(std::move(sending), pool_.loop().context());
  HttpRequest& request = stream->sending.request;
  HttpBody* const body = request.body.get();
  Http2Fields fields;
  fields.add(":method", request.method);
  fields.add(":scheme", request.scheme);
  fields.add(":authority", request.authority);
  fields.add(":path", request.path_with_query);
  fields.add(request.fields, "host");
  const bool empty = !body || (body->done() && body->trailers().empty());
  const bool has_length =
      std::any_of(request.fields.begin(), request.fields.end(),
                  [](const auto& f) { return same_name(f.first, "content-length"); });
  if (!has_length && body && body->ended() && body->failure().ok() && body->trailers().empty())
    fields.add("content-length", std::to_string(body->front().size()));
  nghttp2_data_provider provider = {};
  provider.read_callback = [](nghttp2_session*, int32_t id, uint8_t* to, size_t size,
                              uint32_t* flags, nghttp2_data_source*, void* user) {
    return static_cast<Connection*>(static_cast<Http2Events*>(user))->body_of(id, to, size, flags);
  };
  const std::vector<nghttp2_nv> nv = fields.get();
  stream->id = nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(),
                                      empty ? nullptr : &provider, nullptr);
  if (stream->id < 0) return fail(*stream, http_failure(HttpError::HTTPProtocolError));
  stream->sent = empty;
  streams_[stream->id] = stream;
  if (const auto exchange = stream->sending.exchange.lock())
    exchange->given_up = [weak = weak_from_this(), id = stream->id] {
      const auto self = weak.lock();
      const StreamRef s = self ? self->find(id) : nullptr;
      if (s && !s->answered) self->cancel(*s, Status(ECANCELED));
    };
  expect(stream);
  flush_soon();
}

ssize_t Connection::body_of(int32_t id, uint8_t* to, size_t size, uint32_t* flags) {
  const StreamRef stream = find(id);
  if (!stream || stream->done) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  HttpBody& body = *stream->sending.request.body;
  const Bytes front = body.front();
  const size_t n = std::min(size, front.size());
  if (n > 0) {
    std::copy_n(front.data(), n, to);
    body.remove(n);
    budget_.content(n + HttpBudget::kFrameHeader);
    stream->touched = true;
  }
  stream->waits = false;
  if (!body.front().empty()) {
    expect(stream);
    return ssize_t(n);
  }
  if (body.ended()) {
    if (!body.failure().ok()) {
      fail(*stream, body.failure());
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    Http2Fields trailers;
    trailers.add(body.trailers(), "host");
    if (const std::vector<nghttp2_nv> nv = trailers.get(); !nv.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      nghttp2_submit_trailer(session_, id, nv.data(), nv.size());
    }
    stream->sent = true;
  } else if (n == 0) {
    stream->waits = true;
    stream->more = body.readable().wait(pool_.loop(), [weak = weak_from_this(), id] {
      const auto self = weak.lock();
      const StreamRef s = self ? self->find(id) : nullptr;
      if (!s || self->closed_) return;
      s->waits = false;
      nghttp2_session_resume_data(self->session_, id);
      self->expect(s);
      self->flush_soon();
    });
  }
  expect(stream);
  return stream->waits ? NGHTTP2_ERR_DEFERRED : ssize_t(n);
}

// Starts the time in which the next thing has to happen.
void Connection::expect(const StreamRef& stream) {
  if (stream->done) return;
  const HttpTimeouts& t = stream->sending.timeouts;
  // The guest takes its time, which is not the server's.
  if (stream->waits && !stream->answered) return void(stream->timer.cancel());
  const uint64_t time = stream->answered ? time_for_more(t, *stream->body)
                        : stream->sent   ? *t.first_byte
                                         : *t.between_bytes;
  stream->timer.expires_after(std::chrono::nanoseconds(std::min<uint64_t>(time, INT64_MAX / 2)));
  stream->timer.async_wait(
      [weak = weak_from_this(), weak_stream = std::weak_ptr(stream)](const Error& error) {
        const auto self = weak.lock();
        const StreamRef s = weak_stream.lock();
        if (error || !self || !s || s->done) return;
        // Nor if it does not read what there is.
        if (s->answered && !s->body->front().empty()) return self->expect(s);
        if (s->answered && s->body->discarded()) return self->cancel(*s, Status(ECANCELED));
        self->cancel(*s, http_failure(s->sent || s->answered ? HttpError::ConnectionReadTimeout
                                                             : HttpError::ConnectionWriteTimeout));
        self->doubt();
      });
}

void Connection::doubt() {
  if (closed_ || std::exchange(doubted_, true)) return;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  flush_soon();
  doubt_.expires_after(kPatience);
  doubt_.async_wait([weak = weak_from_this()](const Error& error) {
    const auto self = weak.lock();
    // One that was cancelled too late finds another's time.
    if (!error && self && self->doubted_ &&
        self->doubt_.expiry() <= std::chrono::steady_clock::now())
      self->broken();
  });
}

// ---- Responses

int Connection::on_field(int32_t id, std::string_view name, std::string_view value) {
  const StreamRef stream = find(id);
  if (!stream || stream->done) return 0;
  const size_t size = name.size() + value.size() + 32;
  stream->field_bytes += size;
  budget_.content(size);
  if (stream->field_bytes > pool_.shared().options.header_bytes) {
    fail(*stream, http_failure(stream->answered ? HttpError::HTTPResponseTrailerSectionSize
                                                : HttpError::HTTPResponseHeaderSectionSize));
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  if (stream->answered) {
    stream->trailers.emplace_back(name, value);
  } else if (name == ":status") {
    unsigned status = 0;
    std::from_chars(value.data(), value.data() + value.size(), status);
    stream->response.status = uint16_t(status);
  } else if (is_field_value(value)) {
    stream->response.fields.emplace_back(name, value);
  } else {
    fail(*stream, http_failure(HttpError::HTTPProtocolError));
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  return 0;
}

int Connection::on_frame(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY) leaving_ = true;
  if (frame.hd.type == NGHTTP2_PING && (frame.hd.flags & NGHTTP2_FLAG_ACK)) assured();
  const StreamRef stream = frame.hd.stream_id ? find(frame.hd.stream_id) : nullptr;
  if (!stream || stream->done) return 0;
  const bool ends = frame.hd.flags & NGHTTP2_FLAG_END_STREAM;
  if (frame.hd.type == NGHTTP2_HEADERS && !stream->answered) return on_header_end(*stream, ends);
  if (ends && (frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA)) finish(*stream);
  return 0;
}

void Connection::on_sent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY && frame.goaway.error_code != NGHTTP2_NO_ERROR) wrong_ = true;
}

int Connection::on_header_end(Stream& stream, bool ends) {
  assured();
  HttpResponse response = std::exchange(stream.response, {});
  // Informational: the answer comes after it, and has what that leaves of the room for a header.
  if (response.status < 200) return 0;
  stream.field_bytes = 0;
  used_ = true;
  stream.body = std::make_shared<HttpBody>();
  stream.body->on_taken = [weak = weak_from_this(), id = stream.id](size_t size) {
    const auto self = weak.lock();
    if (!self || self->closed_) return;
    nghttp2_session_consume(self->session_, id, size);
    const StreamRef s = self->find(id);
    if (s && s->body->discarded()) self->expect(s);
    self->flush_soon();
  };
  response.body = stream.body;
  stream.answered = true;
  const auto exchange = stream.sending.exchange.lock();
  if (!exchange) {
    cancel(stream, Status(ECANCELED));
    return 0;
  }
  exchange->answer(std::move(response));
  if (ends)
    finish(stream);
  else
    expect(find(stream.id));
  return 0;
}

int Connection::on_data(int32_t id, Bytes data) {
  const StreamRef stream = find(id);
  budget_.content(data.size() + HttpBudget::kFrameHeader);
  if (!stream || stream->done || !stream->answered) {
    nghttp2_session_consume(session_, id, data.size());
    return 0;
  }
  // (No more comes than the window allows, which is what a body has room for.)
  if (!stream->body->room()) {
    nghttp2_session_consume(session_, id, data.size());
    cancel(*stream, Status(ECANCELED));  // not wanted any more
    return 0;
  }
  stream->body->write(data);
  assured();
  expect(stream);
  return 0;
}

// The response is there as a whole.
void Connection::finish(Stream& stream) {
  stream.done = true;
  stream.timer.cancel();
  stream.body->finish(std::move(stream.trailers));
  // What is still to be sent interests nobody.
  if (stream.sent) return;
  stream.more.reset();
  if (stream.sending.request.body) stream.sending.request.body->discard();
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_NO_ERROR);
  flush_soon();
}

void Connection::fail(Stream& stream, Status status) {
  if (std::exchange(stream.done, true)) return;
  stream.timer.cancel();
  stream.more.reset();
  if (const auto exchange = stream.sending.exchange.lock()) exchange->answer(status);
  if (stream.body) stream.body->fail(status);
  if (stream.sending.request.body) stream.sending.request.body->discard(status);
}

void Connection::cancel(Stream& stream, Status status) {
  fail(stream, status);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id, NGHTTP2_CANCEL);
  flush_soon();
}

int Connection::on_close(int32_t id, uint32_t code) {
  const auto at = streams_.find(id);
  if (at == streams_.end()) return 0;
  const StreamRef stream = std::move(at->second);
  streams_.erase(at);
  if (stream->body) http2_let_go(session_, *stream->body);
  if (streams_.empty()) idle_since_ = monotonic_now();
  if (!stream->done && !send_again(*stream, code == NGHTTP2_REFUSED_STREAM)) {
    HttpError error = HttpError::HTTPProtocolError;
    if (code == NGHTTP2_NO_ERROR || code == NGHTTP2_CANCEL || code == NGHTTP2_INTERNAL_ERROR)
      error =
          stream->answered ? HttpError::HTTPResponseIncomplete : HttpError::ConnectionTerminated;
    else if (code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_ENHANCE_YOUR_CALM)
      error = HttpError::ConnectionLimitReached;
    fail(*stream, http_failure(error));
  }
  if (leaving_ && streams_.empty()) flush_soon();
  return 0;
}

// Once more, if the server cannot have done anything about it (RFC 9113, 8.7), or it is as if it
// had not and the connection was an old one.
bool Connection::send_again(Stream& stream, bool refused) {
  Sending& s = stream.sending;
  const bool safe = refused || (used_ && !wrong_ && is_idempotent(s.request.method));
  const auto exchange = s.exchange.lock();
  if (s.again || stream.answered || stream.touched || !safe || !exchange) return false;
  stream.done = true;
  stream.let_go();
  leaving_ = true;
  s.again = true;
  Job::begin(pool_, std::move(s));
  return true;
}

}  // namespace

std::shared_ptr<Multiplex> Multiplex::make(Pool& pool, const HttpOrigin&, Dial::Made made) {
  const auto connection = std::make_shared<Connection>(pool, std::move(made));
  return connection->start() ? connection : nullptr;
}

}  // namespace wafer::host

#else

namespace wafer::host {
std::shared_ptr<Multiplex> Multiplex::make(Pool&, const HttpOrigin&, Dial::Made) { return nullptr; }
}  // namespace wafer::host

#endif
