#include "host/http/tls.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <iterator>
#include <optional>
#include <vector>

#include "host/address.h"
#include "host/http.h"
#include "host/http/tls_engine.h"

namespace wafer::host {

namespace asio = boost::asio;

namespace {

// What is read at once: a record, and a little more.
constexpr size_t kInput = 17 << 10;
// More than this is not made ready to be sent at once.
constexpr size_t kOutput = 256 << 10;
// More than this is not kept while nothing goes out.
constexpr size_t kKept = 32 << 10;

class TlsChannel final : public Channel,
                         public TlsWire,
                         public std::enable_shared_from_this<TlsChannel> {
 public:
  explicit TlsChannel(asio::ip::tcp::socket socket) : Channel(std::move(socket)) {}
  // First of all.
  void use(std::unique_ptr<TlsSession> session) { session_ = std::move(session); }
  TlsSession& session() { return *session_; }

  void handshake(std::function<void(const Error&)> done) {
    handshake_ = std::move(done);
    go(true);
  }

  void read_some(asio::mutable_buffer to, Done done) override {
    reading_ = Reading{{static_cast<uint8_t*>(to.data()), to.size()}, std::move(done)};
    go(true);
  }
  void write(asio::const_buffer from, Done done) override {
    write(Pair{from, asio::const_buffer()}, std::move(done));
  }
  void write(const Pair& from, Done done) override {
    writing_ = Writing{
        {bytes_of(from[0]), bytes_of(from[1])}, from[0].size() + from[1].size(), std::move(done)};
    go(true);
  }
  size_t write_now(std::span<const asio::const_buffer>) override { return 0; }
  void end(Function<void()> done) override {
    // The other side may take its time to agree: that is not waited for.
    session_->end();
    when_sent_.push_back([this, self = shared_from_this(), done = std::move(done)]() mutable {
      Channel::end(std::move(done));
    });
    go(true);
  }
  std::string protocol() const override { return std::string(session_->protocol()); }

 private:
  struct Reading {
    MutableBytes to;
    Done done;
  };
  struct Writing {
    std::array<Bytes, 2> left;
    size_t size;
    Done done;
  };

  // Keeps the channel while the system is at work for it. A loop that ends calls nobody any more,
  // and forgets whom it would have called; so does the channel then, which they may keep in turn.
  struct Kept {
    std::shared_ptr<TlsChannel> channel;
    Kept(std::shared_ptr<TlsChannel> c) : channel(std::move(c)) {}
    Kept(Kept&&) = default;
    ~Kept() {
      if (channel) channel->forget();
    }
  };
  void forget() {
    const auto handshake = std::exchange(handshake_, nullptr);
    const auto reading = std::exchange(reading_, std::nullopt);
    const auto writing = std::exchange(writing_, std::nullopt);
    const auto when_sent = std::exchange(when_sent_, {});
  }

  static Bytes bytes_of(const asio::const_buffer& buffer) {
    return {static_cast<const uint8_t*>(buffer.data()), buffer.size()};
  }
  static Error broken() { return make_error_code(boost::system::errc::protocol_error); }

  // ---- For the session
  size_t take(MutableBytes to) override {
    const size_t n = std::min(to.size(), input_end_ - input_at_);
    std::copy_n(input_.begin() + ptrdiff_t(input_at_), n, to.begin());
    input_at_ += n;
    return n;
  }
  void put(Bytes from) override { output_.insert(output_.end(), from.begin(), from.end()); }

  // ---- Does what can be done now. Within a `call` to the channel, nobody is called back.
  void go(bool call) {
    starved_ = false;
    if (handshake_) shake_hands();
    if (!handshake_ && writing_) write_more();
    if (!handshake_ && reading_) read_more();
    send();
    if (starved_) receive();
    for (auto& f : std::exchange(ready_, {})) {
      if (call)
        asio::post(socket_.get_executor(), std::move(f));
      else
        f();
    }
  }

  void shake_hands() {
    const TlsStep step = session_->handshake();
    if (step == TlsStep::Starved && !input_error_) {
      starved_ = true;
      return;
    }
    const Error error = step == TlsStep::Done      ? Error()
                        : step == TlsStep::Starved ? input_error_
                                                   : broken();
    // What is wrong is told to the other side first.
    when_sent_.push_back([self = shared_from_this(), done = std::exchange(handshake_, nullptr),
                          error] { done(error); });
  }

  void read_more() {
    MutableBytes to = reading_->to;
    TlsStep step = TlsStep::Done;
    size_t got = 0;
    while (step == TlsStep::Done && got < to.size()) {
      size_t n = 0;
      step = session_->read(to.subspan(got), n);
      if (step == TlsStep::Done) got += n;
    }
    Error error;
    if (step == TlsStep::Starved && got == 0 && !input_error_) {
      starved_ = true;
      return;
    }
    if (step != TlsStep::Done && got == 0)
      error = step == TlsStep::Ended    ? Error(asio::error::eof)
              : step == TlsStep::Failed ? broken()
              : input_error_ == asio::error::eof
                  // Cut off: the other side has not said that this is the end.
                  ? make_error_code(boost::system::errc::connection_aborted)
                  : input_error_;
    ready_.push_back([self = shared_from_this(), done = std::move(reading_->done), error, got] {
      done(error, got);
    });
    reading_.reset();
  }

  void write_more() {
    Error error = output_error_;
    for (Bytes& left : writing_->left)
      while (!error && !left.empty()) {
        if (output_.size() >= kOutput) return;
        const Bytes piece = left.first(std::min(left.size(), kOutput / 4));
        const TlsStep step = session_->write(piece);
        if (step == TlsStep::Starved && !input_error_) {
          starved_ = true;
          return;
        }
        if (step != TlsStep::Done) error = step == TlsStep::Starved ? input_error_ : broken();
        if (!error) left = left.subspan(piece.size());
      }
    when_sent_.push_back([this, self = shared_from_this(), done = std::move(writing_->done),
                          size = writing_->size, error] {
      const Error& e = error ? error : output_error_;
      done(e, e ? 0 : size);
    });
    writing_.reset();
  }

  void send() {
    if (sending_) return;
    if (output_.empty() || output_error_) {
      output_.clear();
      std::move(when_sent_.begin(), when_sent_.end(), std::back_inserter(ready_));
      when_sent_.clear();
      return;
    }
    sending_ = true;
    sent_.swap(output_);
    asio::async_write(socket_, asio::const_buffers_1(asio::buffer(sent_)), All(),
                      [this, kept = Kept{shared_from_this()}](const Error& error, size_t) mutable {
                        const auto self = std::move(kept.channel);
                        sending_ = false;
                        sent_.clear();
                        if (sent_.capacity() > kKept) sent_ = {};
                        if (error) output_error_ = error;
                        go(false);
                      });
  }

  void receive() {
    if (receiving_) return;
    receiving_ = true;
    input_.resize(kInput);
    socket_.async_read_some(
        asio::mutable_buffers_1(asio::buffer(input_)),
        [this, kept = Kept{shared_from_this()}](const Error& error, size_t n) mutable {
          const auto self = std::move(kept.channel);
          receiving_ = false;
          input_at_ = 0;
          input_end_ = n;
          if (error) input_error_ = error;
          go(false);
        });
  }

  std::function<void(const Error&)> handshake_;
  std::optional<Reading> reading_;
  std::optional<Writing> writing_;
  // Once everything has gone out that is to.
  std::vector<Function<void()>> when_sent_;
  std::vector<Function<void()>> ready_;  // what is to be called at the end of go()
  bool starved_ = false, sending_ = false, receiving_ = false;
  std::vector<uint8_t> input_, output_, sent_;
  size_t input_at_ = 0, input_end_ = 0;
  Error input_error_, output_error_;
  std::unique_ptr<TlsSession> session_;
};

Status failure(const Channel::Error& error, const TlsSession& session) {
  if (error == asio::error::operation_aborted) return Status(ECANCELED);
  const TlsFailure why = session.failure();
  if (why.certificate) return http_failure(HttpError::TLSCertificateError);
  if (why.alert >= 0) return http_failure(HttpError::TLSAlertReceived, uint8_t(why.alert));
  return http_failure(HttpError::TLSProtocolError);
}

void begin(const std::shared_ptr<TlsChannel>& channel, std::unique_ptr<TlsSession> session,
           TlsContext::Done done) {
  if (!session) {
    asio::post(channel->socket().get_executor(),
               [done = std::move(done)] { done(http_failure(HttpError::TLSProtocolError)); });
    return;
  }
  channel->use(std::move(session));
  channel->handshake([channel, done = std::move(done)](const Channel::Error& error) {
    if (!error) return done(ChannelRef(channel));
    done(failure(error, channel->session()));
  });
}

Result<std::shared_ptr<TlsContext>> made(std::unique_ptr<TlsSettings> settings,
                                         const std::string& why) {
  if (!settings) return Error(ErrorKind::Io, why);
  return std::make_shared<TlsContext>(std::move(settings));
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<TlsSettings> settings) : settings_(std::move(settings)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::client(const std::string& roots, bool http2) {
  WAFER_LET(engine, load_tls_engine());
  std::string why;
  auto settings = engine->client(roots, http2, why);
  return made(std::move(settings), why);
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const std::string& certificate,
                                                       const std::string& key, bool http2) {
  WAFER_LET(engine, load_tls_engine());
  std::string why;
  auto settings = engine->server(certificate, key, http2, why);
  return made(std::move(settings), why);
}

ChannelRef TlsContext::connect(asio::ip::tcp::socket socket, const std::string& host, Done done) {
  auto channel = std::make_shared<TlsChannel>(std::move(socket));
  begin(channel, settings_->connect(*channel, host, Address::parse(host).has_value()),
        std::move(done));
  return channel;
}

ChannelRef TlsContext::accept(asio::ip::tcp::socket socket, Done done) {
  auto channel = std::make_shared<TlsChannel>(std::move(socket));
  begin(channel, settings_->accept(*channel), std::move(done));
  return channel;
}

}  // namespace wafer::host
