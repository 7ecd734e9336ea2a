#include "serve/connection2.h"

#if WAFER_WITH_HTTP2

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "host/http/budget.h"
#include "host/http/http2.h"
#include "serve/handling.h"

namespace wafer::serve {

namespace asio = boost::asio;

namespace {

using Clock = Session::Clock;

class Connection2 final : public Session, public Handling::Owner, public host::Http2Events {
 public:
  Connection2(Worker& worker, host::ChannelRef channel, bool tls, Bytes received)
      : worker_(worker),
        channel_(std::move(channel)),
        tls_(tls),
        received_(received.begin(), received.end()) {
    boost::system::error_code error;
    const auto remote = channel_->socket().remote_endpoint(error);
    remote_ = error ? "-" : remote.address().to_string();
  }
  ~Connection2() override {
    for (auto& [id, stream] : streams_) stream.handling->cancel();
    if (session_) nghttp2_session_del(session_);
  }

  void start() override;
  void drain() override;
  void close() override;
  void late() override;

 private:
  struct Stream {
    std::shared_ptr<Handling> handling;
    host::HttpRequest request;
    host::HttpFields trailers;
    size_t header_bytes = 0, body_bytes = 0;
    bool begun = false;    // given to a guest
    bool refused = false;  // answered without one
    bool sent = false;     // all of the response was handed to nghttp2
    bool closed = false;   // by nghttp2
    bool ended = false;    // the request
    std::string own_body;  // of a refusal
    host::WaitRef more;
    Clock::time_point moved = Clock::now();  // the last time that it went on
  };

  std::shared_ptr<Connection2> self() {
    return std::static_pointer_cast<Connection2>(shared_from_this());
  }
  Stream* find(int32_t id) {
    const auto at = streams_.find(id);
    return at == streams_.end() ? nullptr : &at->second;
  }
  int32_t id_of(const Handling& handling) const {
    for (const auto& [id, stream] : streams_)
      if (stream.handling.get() == &handling) return id;
    return -1;
  }
  bool setup();
  // What ends now does so for what the client did: the status of requests that have none yet.
  void blame(int status) {
    for (auto& [id, stream] : streams_) stream.handling->unanswered = status;
  }
  void late_client() {
    blame(408);
    close();
  }
  void read();
  void take(const uint8_t* data, size_t size);
  void flush();
  void flush_soon();
  void stop_unread();
  // Looks in `time` at the latest whether something is late.
  void look_within(std::chrono::milliseconds time);
  void request_head(int32_t id, Stream& stream, bool ends);
  void refuse(int32_t id, Stream& stream, int status, const char* why);
  void respond(int32_t id, Stream& stream);
  void forget(int32_t id);
  void on_response(Handling& handling) override;
  void on_guest_done(Handling& handling) override;
  bool on_inform(Handling& handling, int status, const host::HttpFields& fields) override;

  int on_begin(int32_t id) override;
  int on_field(int32_t id, std::string_view name, std::string_view value) override;
  int on_frame(const nghttp2_frame& frame) override;
  void on_sent(const nghttp2_frame& frame) override;
  int on_data(int32_t id, Bytes data) override;
  int on_close(int32_t id, uint32_t code) override;
  ssize_t body_of(int32_t id, uint8_t* to, size_t size, uint32_t* flags);
  nghttp2_data_provider body_provider();

  Worker& worker_;
  const host::ChannelRef channel_;
  const bool tls_;
  std::vector<uint8_t> received_;
  std::string remote_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, Stream> streams_;
  std::vector<uint8_t> in_;
  std::string out_;
  bool writing_ = false, closed_ = false, draining_ = false, flushing_ = false, taking_ = false;
  bool flush_posted_ = false;
  bool unread_ = false;    // there may be requests whose rest nobody reads
  bool greeted_ = false;   // a frame has come
  bool refrains_ = false;  // from reading, until what is queued is written
  host::HttpBudget budget_;
  Clock::time_point write_began_ = Clock::now();
  Clock::time_point idle_since_ = Clock::now();
};

bool Connection2::setup() {
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, host::kHttp2MostStreams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, host::kHttp2StreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
       uint32_t(std::min<size_t>(worker_.options().limits.header_bytes, UINT32_MAX))},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 0}};
  session_ = host::make_http2_session(*this, true, true, settings, host::kHttp2Window);
  return session_ != nullptr;
}

void Connection2::start() {
  if (!setup()) return close();
  in_.resize(host::kHttp2Piece);
  look_within(worker_.options().limits.header_time);
  const std::vector<uint8_t> received = std::move(received_);
  if (!received.empty()) take(received.data(), received.size());
  if (closed_) return;
  flush();
  read();
}

void Connection2::look_within(std::chrono::milliseconds time) {
  if (!closed_ && deadline > Clock::now() + time) worker_.expect(*this, time);
}

// What has to go on in time goes by what it is, and not by whether frames come. A guest that takes
// its time is interrupted elsewhere.
void Connection2::late() {
  const Limits& limits = worker_.options().limits;
  const Clock::time_point now = Clock::now();
  Clock::time_point next = kNever;
  const auto over = [&](Clock::time_point since, std::chrono::milliseconds time) {
    if (since + time <= now) return true;
    next = std::min(next, since + time);
    return false;
  };
  if (writing_ && over(write_began_, limits.body_time)) return late_client();
  if (!greeted_ && over(idle_since_, limits.header_time)) return close();
  for (const auto& [id, stream] : streams_) {
    if (!stream.begun) {
      if (over(stream.moved, limits.header_time)) return late_client();
    } else if (!stream.closed && !stream.handling->running()) {
      if (over(stream.moved, limits.body_time)) {
        stream.handling->unanswered = 408;
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
      }
    }
  }
  // Idle: said in words.
  if (streams_.empty() && !writing_ && over(idle_since_, limits.idle_time)) {
    nghttp2_session_terminate_session(session_, NGHTTP2_NO_ERROR);
    draining_ = true;
  }
  if (next != kNever) look_within(std::chrono::ceil<std::chrono::milliseconds>(next - now));
  flush();
}

void Connection2::close() {
  if (std::exchange(closed_, true)) return;
  const std::shared_ptr<Connection2> kept = self();
  channel_->close();
  deadline = kNever;
  for (auto& [id, stream] : streams_) {
    stream.more.reset();
    if (stream.request.body) stream.request.body->on_taken = nullptr;
    stream.handling->log_gone(remote_, "HTTP/2");
    stream.handling->cancel();
    worker_.loop().post([kept = stream.handling] {});
  }
  // (nghttp2 may be what runs just now; the session goes with this object.)
  worker_.loop().post([kept] {});
  worker_.remove(*this);
}

void Connection2::drain() {
  if (closed_ || std::exchange(draining_, true)) return;
  // Streams that the client has begun meanwhile are answered still.
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  flush_soon();
}

// ---- Bytes

void Connection2::read() {
  refrains_ =
      writing_ && nghttp2_session_get_outbound_queue_size(session_) > host::kHttp2MostQueued;
  if (refrains_ || !nghttp2_session_want_read(session_)) return;
  channel_->read_some(asio::buffer(in_), [self = self()](const auto& error, size_t size) {
    if (self->closed_) return;
    if (error) return self->close();
    self->take(self->in_.data(), size);
    if (self->closed_) return;
    self->flush();
    if (!self->closed_) self->read();
  });
}

void Connection2::take(const uint8_t* data, size_t size) {
  taking_ = true;
  const ssize_t used = nghttp2_session_mem_recv(session_, data, size);
  taking_ = false;
  budget_.came(size);
  if (budget_.used_up()) nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
  // The other side does not speak HTTP/2.
  if (used >= 0) return;
  blame(400);
  close();
}

void Connection2::flush_soon() {
  if (closed_ || std::exchange(flush_posted_, true)) return;
  worker_.loop().post([self = self()] {
    self->flush_posted_ = false;
    self->flush();
  });
}

// A client whose answer is out need not go on (RFC 9113, 8.1). Some take that for a failure: they
// have a moment to come to their end.
void Connection2::stop_unread() {
  constexpr std::chrono::seconds kMoment{1};
  const Clock::time_point now = Clock::now();
  unread_ = false;
  for (auto& [id, stream] : streams_) {
    if (stream.ended || stream.closed || stream.handling->running()) continue;
    const bool out = stream.sent && nghttp2_session_get_stream_local_close(session_, id) == 1;
    if (out && stream.moved + kMoment <= now) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
      continue;
    }
    unread_ = true;
    if (out)
      look_within(std::chrono::ceil<std::chrono::milliseconds>(stream.moved + kMoment - now));
  }
}

void Connection2::flush() {
  if (closed_ || writing_ || taking_ || flushing_) return;
  flushing_ = true;
  while (out_.size() < host::kHttp2MostOut) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) {
      flushing_ = false;
      return close();
    }
    if (size == 0) {
      if (!unread_) break;
      stop_unread();
      if (!nghttp2_session_want_write(session_)) break;
      continue;
    }
    out_.append(reinterpret_cast<const char*>(data), size_t(size));
  }
  flushing_ = false;
  if (closed_) return;
  if (out_.empty()) {
    const bool over = !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_);
    if (over || (draining_ && streams_.empty())) channel_->end([self = self()] { self->close(); });
    return;
  }
  writing_ = true;
  write_began_ = Clock::now();
  look_within(worker_.options().limits.body_time);
  channel_->write(asio::buffer(out_), [self = self()](const auto& error, size_t) {
    self->writing_ = false;
    if (self->closed_) return;
    if (error) return self->close();
    self->out_.clear();
    self->flush();
    if (self->refrains_ && !self->closed_) self->read();
  });
}

// ---- Requests

int Connection2::on_begin(int32_t id) {
  Stream& stream = streams_[id];
  stream.handling = std::make_shared<Handling>(worker_, *this);
  stream.request.method.clear();
  look_within(worker_.options().limits.header_time);
  return 0;
}

int Connection2::on_field(int32_t id, std::string_view name, std::string_view value) {
  Stream* const stream = find(id);
  if (!stream) return 0;
  stream->header_bytes += name.size() + value.size() + 32;
  if (stream->header_bytes > worker_.options().limits.header_bytes) {
    // Answered when it is there; no more of it is kept.
    if (stream->begun) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return 0;
  }
  host::HttpRequest& request = stream->request;
  if (stream->begun) {
    stream->trailers.emplace_back(name, value);
  } else if (name == ":method") {
    request.method = value;
  } else if (name == ":scheme") {
    request.scheme = value;
  } else if (name == ":authority") {
    request.authority = value;
  } else if (name == ":path") {
    request.path_with_query = value;
  } else if (!name.starts_with(':')) {
    request.fields.emplace_back(name, value);
  }
  return 0;
}

int Connection2::on_frame(const nghttp2_frame& frame) {
  greeted_ = true;
  if (frame.hd.type == NGHTTP2_RST_STREAM) budget_.reset();
  const int32_t id = frame.hd.stream_id;
  Stream* const stream = id ? find(id) : nullptr;
  if (!stream) return 0;
  const bool ends = frame.hd.flags & NGHTTP2_FLAG_END_STREAM;
  if (frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    request_head(id, *stream, ends);
  } else if (ends && (frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA)) {
    stream->ended = true;
    if (const host::HttpBodyRef& body = stream->request.body)
      body->finish(std::move(stream->trailers));
  }
  return 0;
}

void Connection2::on_sent(const nghttp2_frame& frame) {
  if (frame.hd.type == NGHTTP2_GOAWAY && frame.goaway.error_code != NGHTTP2_NO_ERROR) blame(400);
  if (frame.hd.type != NGHTTP2_RST_STREAM) return;
  // Else it is for what the guest did, or was late.
  const uint32_t code = frame.rst_stream.error_code;
  if (code == NGHTTP2_NO_ERROR || code == NGHTTP2_INTERNAL_ERROR || code == NGHTTP2_CANCEL) return;
  budget_.reset();
  if (Stream* const stream = find(frame.hd.stream_id)) stream->handling->unanswered = 400;
}

void Connection2::request_head(int32_t id, Stream& stream, bool ends) {
  host::HttpRequest& request = stream.request;
  Handling& handling = *stream.handling;
  handling.arrived();
  handling.method = request.method;
  handling.target = request.path_with_query;
  stream.begun = true;
  stream.ended = ends;
  stream.moved = Clock::now();
  budget_.content(stream.header_bytes);
  const Limits& limits = worker_.options().limits;
  if (stream.header_bytes > limits.header_bytes) return refuse(id, stream, 431, "header too large");
  stream.header_bytes = 0;  // of the trailers, now
  // What the connection is tells the scheme, whatever the client says.
  request.scheme = tls_ ? "https" : "http";
  for (const auto& [name, value] : request.fields) {
    if (!host::is_field_value(value)) return refuse(id, stream, 400, "field value");
    if (name == "host") {
      if (request.authority.empty()) request.authority = value;
      if (request.authority != value) return refuse(id, stream, 400, "host");
    }
    if (name == "content-length" && limits.body_bytes) {
      uint64_t length = 0;
      for (const char c : value)
        length = std::min<uint64_t>(length * 10 + uint64_t(c - '0'), UINT64_MAX / 20);
      if (length > *limits.body_bytes) return refuse(id, stream, 413, "body too large");
    }
  }
  if (request.method == "CONNECT" || request.path_with_query.empty())
    return refuse(id, stream, 501, "no tunnels");
  if (request.authority.empty()) return refuse(id, stream, 400, "host");
  if (const char* const why = Handling::objection(request)) return refuse(id, stream, 400, why);
  if (!ends) {
    request.body = std::make_shared<host::HttpBody>();
    request.body->on_taken = [weak = weak_from_this(), id](size_t size) {
      const auto session = weak.lock();
      if (!session) return;
      Connection2& self = static_cast<Connection2&>(*session);
      if (self.closed_) return;
      nghttp2_session_consume(self.session_, id, size);
      self.flush_soon();
    };
  }
  host::HttpRequest copy = request;
  request.fields.clear();
  // Not from within nghttp2, which the guest's answer would call.
  worker_.loop().post([self = self(), kept = stream.handling,
                       r = std::make_shared<host::HttpRequest>(std::move(copy)), id] {
    Stream* const s = self->find(id);
    if (self->closed_ || !s || s->handling != kept || s->closed) return;
    kept->begin(std::move(*r));
  });
}

int Connection2::on_data(int32_t id, Bytes data) {
  Stream* const stream = find(id);
  const auto skip = [&] {
    nghttp2_session_consume(session_, id, data.size());
    return 0;
  };
  if (!stream || !stream->request.body) return skip();
  host::HttpBody& body = *stream->request.body;
  stream->body_bytes += data.size();
  if (!stream->sent) stream->moved = Clock::now();
  budget_.content(data.size());
  const auto& limit = worker_.options().limits.body_bytes;
  if (limit && stream->body_bytes > *limit) {
    body.fail(host::Status(EMSGSIZE));
    return skip();
  }
  if (!body.room()) return skip();  // nobody reads
  body.write(data);
  return 0;
}

int Connection2::on_close(int32_t id, uint32_t) {
  Stream* const stream = find(id);
  if (!stream) return 0;
  stream->closed = true;
  // Not now: nghttp2 is at work.
  worker_.loop().post([self = self(), id] {
    if (!self->closed_) self->forget(id);
  });
  return 0;
}

void Connection2::forget(int32_t id) {
  Stream* const stream = find(id);
  if (!stream) return;
  Handling& handling = *stream->handling;
  if (stream->sent && handling.running()) return;  // what it does after its answer
  handling.log_gone(remote_, "HTTP/2");
  if (stream->request.body) host::http2_let_go(session_, *stream->request.body);
  worker_.loop().post([kept = stream->handling] {});
  handling.cancel();
  streams_.erase(id);
  if (streams_.empty()) {
    idle_since_ = Clock::now();
    look_within(worker_.options().limits.idle_time);
  }
  flush();
}

// ---- Responses

void Connection2::refuse(int32_t id, Stream& stream, int status, const char* why) {
  stream.refused = true;
  stream.handling->answered = true;
  stream.handling->status = status;
  stream.handling->log(remote_, "HTTP/2");
  if (stream.handling->method != "HEAD") stream.own_body = why;
  host::Http2Fields fields;
  fields.add(":status", std::to_string(status));
  fields.add("date", http_date());
  fields.add("content-type", "text/plain");
  fields.add("content-length", std::to_string(strlen(why)));
  const std::vector<nghttp2_nv> nv = fields.get();
  const nghttp2_data_provider provider = body_provider();
  nghttp2_submit_response(session_, id, nv.data(), nv.size(),
                          stream.own_body.empty() ? nullptr : &provider);
  stream.sent = true;
  unread_ |= !stream.ended;
  look_within(worker_.options().limits.body_time);
  flush_soon();
}

void Connection2::on_response(Handling& handling) {
  const int32_t id = id_of(handling);
  if (closed_ || id < 0) return;
  respond(id, *find(id));
  flush();
}

void Connection2::respond(int32_t id, Stream& stream) {
  Handling& handling = *stream.handling;
  handling.status = handling.response.status;
  const bool no_body = host::has_no_body(handling.method, handling.status);
  host::HttpBody* const body = handling.response.body.get();
  const auto has = [&handling](std::string_view wanted) {
    return std::any_of(handling.response.fields.begin(), handling.response.fields.end(),
                       [wanted](const auto& f) { return host::same_name(f.first, wanted); });
  };
  host::Http2Fields fields;
  fields.add(":status", std::to_string(handling.status));
  fields.add(handling.response.fields);
  if (!has("date")) fields.add("date", http_date());
  if (!has("content-length") && !no_body &&
      (!body || body->done() ||
       (body->ended() && body->failure().ok() && body->trailers().empty())))
    fields.add("content-length", std::to_string(body ? body->front().size() : 0));
  const std::vector<nghttp2_nv> nv = fields.get();
  const nghttp2_data_provider provider = body_provider();
  const bool bare = no_body || !body;
  if (bare && body) body->discard();
  if (nghttp2_submit_response(session_, id, nv.data(), nv.size(), bare ? nullptr : &provider) != 0)
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
  stream.sent |= bare;
}

nghttp2_data_provider Connection2::body_provider() {
  nghttp2_data_provider provider = {};
  provider.read_callback = [](nghttp2_session*, int32_t id, uint8_t* to, size_t size,
                              uint32_t* flags, nghttp2_data_source*, void* user) {
    return static_cast<Connection2*>(static_cast<host::Http2Events*>(user))
        ->body_of(id, to, size, flags);
  };
  return provider;
}

// What there is of a response's body.
ssize_t Connection2::body_of(int32_t id, uint8_t* to, size_t size, uint32_t* flags) {
  Stream* const stream = find(id);
  if (!stream) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (stream->refused) {
    const size_t n = std::min(size, stream->own_body.size());
    std::copy_n(stream->own_body.begin(), n, to);
    stream->own_body.erase(0, n);
    if (stream->own_body.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return ssize_t(n);
  }
  host::HttpBody& body = *stream->handling->response.body;
  const host::Outcome<size_t> n = body.read(MutableBytes(to, size));
  if (!n && n.code() == EAGAIN) {
    stream->more = body.readable().wait(worker_.loop(), [this, id] {
      nghttp2_session_resume_data(session_, id);
      flush();
    });
    return NGHTTP2_ERR_DEFERRED;
  }
  // Broken off: the client is told so.
  if (!n) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  stream->handling->sent += *n;
  stream->moved = Clock::now();
  budget_.content(*n + host::HttpBudget::kFrameHeader);
  if (!body.done()) return ssize_t(*n);
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  stream->sent = true;
  if (!body.trailers().empty()) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    host::Http2Fields fields;
    fields.add(body.trailers());
    const std::vector<nghttp2_nv> nv = fields.get();
    nghttp2_submit_trailer(session_, id, nv.data(), nv.size());
  }
  return ssize_t(*n);
}

bool Connection2::on_inform(Handling& handling, int status, const host::HttpFields& given) {
  const int32_t id = id_of(handling);
  if (closed_ || id < 0) return false;
  host::Http2Fields fields;
  fields.add(":status", std::to_string(status));
  fields.add(given);
  const std::vector<nghttp2_nv> nv = fields.get();
  const bool ok = nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, id, nullptr, nv.data(),
                                         nv.size(), nullptr) == 0;
  flush_soon();
  return ok;
}

void Connection2::on_guest_done(Handling& handling) {
  const int32_t id = id_of(handling);
  Stream* const stream = id < 0 ? nullptr : find(id);
  if (closed_ || !stream) return;
  // Nobody reads the rest of the request.
  if (stream->request.body && !stream->request.body->ended()) stream->request.body->discard();
  unread_ |= !stream->ended;
  stream->moved = Clock::now();
  if (stream->closed) return forget(id);
  look_within(worker_.options().limits.body_time);
  flush();
}

}  // namespace

std::shared_ptr<Session> make_http2(Worker& worker, host::ChannelRef channel, bool tls,
                                    Bytes received) {
  return std::make_shared<Connection2>(worker, std::move(channel), tls, received);
}

}  // namespace wafer::serve

#else

namespace wafer::serve {

std::shared_ptr<Session> make_http2(Worker&, host::ChannelRef, bool, Bytes) { return nullptr; }

}  // namespace wafer::serve

#endif
