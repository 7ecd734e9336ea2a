#include "host/http/pool.h"

#include <sys/socket.h>

#include <algorithm>

#include "host/clocks.h"
#include "host/http/multiplex.h"

namespace wafer::host {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

// ---- What all loops share -----------------------------------------------------

Outcome<std::shared_ptr<TlsContext>> ClientShared::tls() {
  const std::lock_guard lock(mutex);
  if (!context && !failed) {
    auto made = TlsContext::client(options.roots, options.http2 && kHasHttp2);
    if (made) context = *made;
    failed = !made;
    if (!made && options.on_no_tls) options.on_no_tls(std::string_view(made.error().message));
  }
  if (failed) return http_failure(HttpError::ConfigurationError);
  return context;
}

// ---- Dial ---------------------------------------------------------------------

namespace {

Status of_lookup(Status status) {
  return http_failure(status.code() == EAGAIN ? HttpError::DNSTimeout : HttpError::DNSError);
}

Status of_connect(const Channel::Error& error) {
  switch (error.value()) {
    case ECONNREFUSED:
      return http_failure(HttpError::ConnectionRefused);
    case ETIMEDOUT:
      return http_failure(HttpError::ConnectionTimeout);
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return http_failure(HttpError::DestinationIPUnroutable);
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return http_failure(HttpError::ConnectionLimitReached);
    default:
      return http_failure(HttpError::DestinationUnavailable);
  }
}

tcp::endpoint to_asio(const Address& address, uint16_t port) {
  if (!address.v6) {
    asio::ip::address_v4::bytes_type b;
    std::copy_n(address.bytes.begin(), 4, b.begin());
    return {asio::ip::address_v4(b), port};
  }
  return {asio::ip::address_v6(address.bytes), port};
}

}  // namespace

struct Dial::State : std::enable_shared_from_this<Dial::State> {
  State(ClientShared& s, Loop& l, const HttpOrigin& o, std::shared_ptr<void> k, Done d)
      : shared(s),
        loop(l),
        origin(o),
        slot(std::move(k)),
        done(std::move(d)),
        timer(l.context()),
        attempt(l.context()),
        socket(l.context()) {}

  void start(uint64_t timeout) {
    deadline = monotonic_now() + timeout;
    timer.expires_after(std::chrono::nanoseconds(std::min<uint64_t>(timeout, INT64_MAX / 2)));
    timer.async_wait([weak = weak_from_this()](const Channel::Error& error) {
      const auto self = weak.lock();
      if (!error && self) self->finish(http_failure(self->late()));
    });
    if (const std::optional<Address> address = Address::parse(origin.host))
      return loop.post([self = shared_from_this(), a = *address] { self->resolved({a}); });
    lookup.emplace(loop, origin.host);
    wait = lookup->pollable()->wait(loop, [this] {
      const std::shared_ptr<State> self = shared_from_this();
      const Outcome<std::vector<Address>> found = *lookup->result();
      lookup.reset();
      if (!found) return finish(of_lookup(found.status()));
      resolved(*found);
    });
  }

  HttpError late() const { return lookup ? HttpError::DNSTimeout : HttpError::ConnectionTimeout; }

  void resolved(std::vector<Address> found) {
    if (!done) return;
    const size_t all = found.size();
    std::erase_if(found, [&](const Address& a) { return !shared.options.rules.allows(origin, a); });
    if (found.empty())
      return finish(http_failure(all ? HttpError::DestinationIPProhibited : HttpError::DNSError));
    addresses = std::move(found);
    try_next(http_failure(HttpError::DestinationUnavailable));
  }

  // One address after the other; each has its share of the time that is left.
  void try_next(Status last) {
    if (!done) return;
    if (next == addresses.size()) return finish(last);
    const tcp::endpoint to = to_asio(addresses[next], origin.port);
    const uint64_t now = monotonic_now();
    const uint64_t share = (deadline > now ? deadline - now : 0) / (addresses.size() - next);
    ++next;
    Channel::Error error;
    socket.close(error);
    socket.open(to.protocol(), error);
    if (error)
      return loop.post([self = shared_from_this(), e = of_connect(error)] { self->try_next(e); });
    socket.set_option(tcp::no_delay(true), error);
    if (next < addresses.size()) {
      attempt.expires_after(std::chrono::nanoseconds(share));
      attempt.async_wait([weak = weak_from_this()](const Channel::Error& e) {
        const auto self = weak.lock();
        Channel::Error ignored;
        if (!e && self && !self->channel) self->socket.close(ignored);
      });
    }
    socket.async_connect(to, [self = shared_from_this()](const Channel::Error& e) {
      self->attempt.cancel();
      if (!self->done) return;
      if (e == asio::error::operation_aborted)
        return self->try_next(http_failure(HttpError::ConnectionTimeout));
      if (e) return self->try_next(of_connect(e));
      self->connected();
    });
  }

  void connected() {
    if (!origin.tls) return finish(Made{std::make_shared<Channel>(std::move(socket)), slot});
    const Outcome<std::shared_ptr<TlsContext>> tls = shared.tls();
    if (!tls) return finish(tls.status());
    channel = (*tls)->connect(std::move(socket), origin.host,
                              [self = shared_from_this()](Outcome<ChannelRef> made) {
                                if (!made) return self->finish(made.status());
                                self->finish(Made{*made, self->slot});
                              });
  }

  void finish(Outcome<Made> made) {
    const Done f = std::exchange(done, nullptr);
    if (!f) return;
    if (!made) end();
    timer.cancel();
    f(std::move(made));
  }

  void end() {
    done = nullptr;
    wait.reset();
    lookup.reset();
    timer.cancel();
    attempt.cancel();
    Channel::Error ignored;
    socket.close(ignored);
    if (channel) channel->close();
  }

  ClientShared& shared;
  Loop& loop;
  const HttpOrigin origin;
  std::shared_ptr<void> slot;
  Done done;
  uint64_t deadline = 0;
  asio::steady_timer timer, attempt;
  std::optional<Lookup> lookup;
  WaitRef wait;
  std::vector<Address> addresses;
  size_t next = 0;
  tcp::socket socket;
  ChannelRef channel;
};

Dial::Dial(ClientShared& shared, Loop& loop, const HttpOrigin& origin, std::shared_ptr<void> slot,
           uint64_t timeout, Done done)
    : state_(std::make_shared<State>(shared, loop, origin, std::move(slot), std::move(done))) {
  state_->start(timeout);
}

HttpError Dial::late() const { return state_->late(); }

Dial::~Dial() {
  if (state_->done) state_->end();
}

// ---- Pool ---------------------------------------------------------------------

namespace {
constexpr auto kSweep = std::chrono::seconds(5);
constexpr size_t kMostSingle = 64;
}  // namespace

Pool::Pool(std::shared_ptr<ClientShared> shared, Loop& loop)
    : shared_(std::move(shared)), loop_(loop), timer_(loop.context()) {}
Pool::~Pool() = default;

// A server that has closed it, or says something unasked, is not asked again.
bool Pool::usable(Channel& channel) {
  char byte;
  const ssize_t n = recv(channel.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

Dial::Made Pool::take(const HttpOrigin& origin) {
  for (auto at = idle_.begin(); at != idle_.end();) {
    if (at->origin != origin) {
      ++at;
      continue;
    }
    Dial::Made made = std::move(at->made);
    at = idle_.erase(at);
    if (usable(*made.channel)) return made;
    made.channel->close();
  }
  return {};
}

void Pool::give(const HttpOrigin& origin, Dial::Made made) {
  idle_.push_front({origin, std::move(made), monotonic_now()});
  while (idle_.size() > shared_->options.idle_connections) idle_.pop_back();
  sweep_soon();
}

std::shared_ptr<Multiplex> Pool::multiplexed(const HttpOrigin& origin) {
  for (const auto& [at, connection] : multiplexed_)
    if (at == origin && connection->open()) return connection;
  return nullptr;
}

std::shared_ptr<Multiplex> Pool::multiplex(const HttpOrigin& origin, Dial::Made made) {
  // Another request may have been quicker.
  if (auto known = multiplexed(origin)) {
    made.channel->close();
    return known;
  }
  std::erase(single_, origin);
  auto connection = Multiplex::make(*this, origin, std::move(made));
  if (connection) multiplexed_.emplace_back(origin, connection);
  sweep_soon();
  return connection;
}

void Pool::forget(const std::shared_ptr<Multiplex>& connection) {
  loop_.post([kept = connection] {});
  std::erase_if(multiplexed_, [&](const auto& m) { return m.second == connection; });
}

std::shared_ptr<SharedDial> Pool::shared_dial(const HttpOrigin& origin) const {
  for (const auto& dial : dials_)
    if (dial->origin == origin) return dial;
  return nullptr;
}

std::shared_ptr<SharedDial> Pool::begin_dial(const HttpOrigin& origin) {
  if (!kHasHttp2 || !shared_->options.http2 || !origin.tls || shared_dial(origin) ||
      std::find(single_.begin(), single_.end(), origin) != single_.end())
    return nullptr;
  auto dial = std::make_shared<SharedDial>();
  dial->origin = origin;
  dials_.push_back(dial);
  return dial;
}

void Pool::end_dial(const std::shared_ptr<SharedDial>& dial, std::shared_ptr<Multiplex> made,
                    Status failure) {
  if (!dial || std::erase(dials_, dial) == 0) return;
  if (!made && failure.ok()) {
    single_.push_front(dial->origin);
    if (single_.size() > kMostSingle) single_.pop_back();
  }
  dial->made = std::move(made);
  dial->failure = failure;
  dial->dial = nullptr;
  dial->over->set();
}

void Pool::sweep_soon() {
  if (!sweeping_ && !(idle_.empty() && multiplexed_.empty())) sweep();
}

void Pool::sweep() {
  sweeping_ = true;
  timer_.expires_after(kSweep);
  timer_.async_wait([this](const Channel::Error& error) {
    if (error) return;
    const uint64_t now = monotonic_now();
    std::erase_if(idle_, [&](const Idle& i) {
      return now - i.since >= shared_->options.idle_time || !usable(*i.made.channel);
    });
    for (const auto& [at, connection] : std::list(multiplexed_))
      connection->end_if_idle(now - std::min(now, shared_->options.idle_time));
    sweeping_ = false;
    sweep_soon();
  });
}

std::shared_ptr<void> Pool::slot() {
  // Idle ones give way.
  if (*open_ >= shared_->options.connections && !idle_.empty()) idle_.pop_back();
  if (*open_ >= shared_->options.connections)
    for (const auto& [at, connection] : std::list(multiplexed_))
      if (connection->give_way()) break;
  if (*open_ >= shared_->options.connections) return nullptr;
  ++*open_;
  return {this, [open = open_](void*) { --*open; }};
}

void Pool::release(const std::shared_ptr<PoolUser>& user) {
  const auto at = users_.find(user);
  if (at == users_.end()) return;
  loop_.post([kept = *at] {});
  users_.erase(at);
}

}  // namespace wafer::host
