// wasi:sockets.
#include "wasi/bind/sockets.h"

#include <errno.h>

#include <algorithm>

#include "wasi/p3/errors.h"
#include "wasi/p3/streams.h"

namespace wafer::wasi::p3 {

namespace sockets_types {

namespace {

using host::Status;
template <class T>
using NetResult = Expected<T, ErrorCode>;
using Option = host::Socket::Option;
using Use = host::Network::Use;

ErrorCode error_code(ErrorCode::Tag tag) {
  ErrorCode e;
  e.tag = tag;
  return e;
}
Err<ErrorCode> refused(ErrorCode::Tag tag) { return Err{error_code(tag)}; }
Err<ErrorCode> invalid_state() { return refused(ErrorCode::Tag::InvalidState); }
Err<ErrorCode> failed(Status status) { return Err{network_error(status)}; }
NetResult<Unit> done(Status status) { return result_of(status, network_error); }

// What an outcome gives, as T.
template <class T, class V>
NetResult<T> value(host::Outcome<V> outcome) {
  if (!outcome) return failed(outcome.status());
  return T(*std::move(outcome));
}

host::Endpoint to_host(const IpSocketAddress& a) { return host_endpoint<IpAddress>(a); }
IpSocketAddress to_guest(const host::Endpoint& e) {
  return guest_endpoint<IpAddress, IpSocketAddress>(e);
}
NetResult<IpSocketAddress> address(host::Outcome<host::Endpoint> e) {
  if (!e) return failed(e.status());
  return to_guest(*e);
}

// Where a socket is bound that does not say where.
host::Endpoint anywhere(bool v6) {
  host::Endpoint e;
  e.address.v6 = v6;
  return e;
}

// Tries again, whenever `ready`, until `attempt` gives something to reply with.
template <class R>
void until(Host& host, host::PollableRef ready, std::function<std::optional<R>()> attempt,
           Reply<R> reply) {
  if (std::optional<R> result = attempt()) return reply(*std::move(result));
  const SystemHost::PendingRef pending = host.when_ready(
      {ready}, [&host, ready, attempt, reply] { until<R>(host, ready, attempt, reply); });
  if (!pending.expired()) reply.on_cancel([&host, pending] { host.forget(pending); });
}

}  // namespace

// ---- TCP

class TcpSocket final : public Object {
 public:
  enum class Phase : uint8_t { Unbound, Bound, Connecting, Connected, Listening, Closed };
  TcpSocket(host::SocketRef s, bool v6, Phase p = Phase::Unbound)
      : socket(std::move(s)), v6(v6), phase(p) {}

  const host::SocketRef socket;
  const bool v6;
  Phase phase;
  int backlog = 128;
  bool sends = false, receives = false;  // its streams were given away
};

namespace {

using Phase = TcpSocket::Phase;

// When to accept again: not at once when nothing more can be open.
class Acceptable final : public host::Pollable {
 public:
  explicit Acceptable(host::SocketRef s) : socket_(std::move(s)) {}
  bool ready() override { return present()->ready(); }
  host::WaitRef wait(host::Loop& loop, Function<void()> then) override {
    return present()->wait(loop, std::move(then));
  }
  void rest() { rests_until_ = host::monotonic_now() + 20'000'000; }

 private:
  host::PollableRef present() const {
    return rests_until_ > host::monotonic_now() ? host::timer(rests_until_)
                                                : host::readiness(socket_, false);
  }
  const host::SocketRef socket_;
  uint64_t rests_until_ = 0;
};

// Whether nothing comes of this one connection, or of all that follow.
bool is_fatal(int code) {
  return code == EBADF || code == EINVAL || code == ENOTSOCK || code == EFAULT;
}

void connected(TcpSocket& self, Status status, const Reply<NetResult<Unit>>& reply) {
  self.phase = status.ok() ? Phase::Connected : Phase::Closed;
  // All ports of the host are taken.
  if (status.code() == EADDRNOTAVAIL) status = Status(EADDRINUSE);
  reply(done(status));
}

}  // namespace

NetResult<Own<TcpSocket>> tcp_socket_create(Host&, IpAddressFamily address_family) {
  const bool v6 = address_family == IpAddressFamily::Ipv6;
  host::Outcome<host::SocketRef> socket = host::Socket::create(v6, true);
  if (!socket) return failed(socket.status());
  return Own<TcpSocket>::make(*std::move(socket), v6);
}

NetResult<Unit> tcp_socket_bind(Host& host, TcpSocket& self, IpSocketAddress local_address) {
  const host::Endpoint local = to_host(local_address);
  if (const Status s = check_local(local, self.v6, true); !s.ok()) return failed(s);
  if (self.phase != Phase::Unbound) return invalid_state();
  if (!host.process.network.allows(Use::TcpListen, local))
    return refused(ErrorCode::Tag::AccessDenied);
  if (const Status s = self.socket->bind(local); !s.ok()) return failed(s);
  self.phase = Phase::Bound;
  return Unit{};
}

void tcp_socket_connect(Host& host, TcpSocket& self, IpSocketAddress remote_address,
                        Reply<NetResult<Unit>> reply) {
  const host::Endpoint remote = to_host(remote_address);
  if (self.phase != Phase::Unbound && self.phase != Phase::Bound) return reply(invalid_state());
  if (const Status s = check_remote(remote, self.v6, true); !s.ok()) return reply(failed(s));
  if (!host.process.network.allows(Use::TcpConnect, remote))
    return reply(refused(ErrorCode::Tag::AccessDenied));
  const Status status = self.socket->connect(remote);
  if (status.code() != EINPROGRESS && status.code() != EINTR) return connected(self, status, reply);
  self.phase = Phase::Connecting;
  // The guest cannot drop a socket that a call has borrowed.
  const auto pending = host.when_ready({host::readiness(self.socket, true)}, [&self, reply] {
    connected(self, self.socket->connect_result(), reply);
  });
  if (pending.expired()) return;
  reply.on_cancel([&host, &self, pending] {
    host.forget(pending);
    // The guest has the socket still, but nobody wants the connection.
    (void)self.socket->disconnect();
    self.phase = Phase::Closed;
  });
}

NetResult<Stream<Own<TcpSocket>>> tcp_socket_listen(Host& host, TcpSocket& self) {
  if (self.phase != Phase::Unbound && self.phase != Phase::Bound) return invalid_state();
  if (self.phase == Phase::Unbound &&
      !host.process.network.allows(Use::TcpListen, anywhere(self.v6)))
    return refused(ErrorCode::Tag::AccessDenied);
  if (const Status s = self.socket->listen(self.backlog); !s.ok()) return failed(s);
  self.phase = Phase::Listening;
  const auto ready = std::make_shared<Acceptable>(self.socket);
  return give_items<Own<TcpSocket>>(
      host,
      [socket = self.socket, v6 = self.v6,
       ready](size_t most) -> host::Outcome<std::vector<Own<TcpSocket>>> {
        std::vector<Own<TcpSocket>> out;
        while (out.size() < most) {
          host::Outcome<host::SocketRef> next = socket->accept(true);
          if (next) {
            out.push_back(Own<TcpSocket>::make(*std::move(next), v6, Phase::Connected));
            continue;
          }
          const int code = next.code();
          const bool full = code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
          if (full) ready->rest();
          if (!out.empty()) break;
          if (full || code == EAGAIN) return Status(EAGAIN);
          if (is_fatal(code)) return next.status();
          // One that was there and is gone.
        }
        return out;
      },
      ready, nullptr);
}

Outgoing<ErrorCode> tcp_socket_send(Host& host, TcpSocket& self, Stream<uint8_t> data) {
  if (self.phase != Phase::Connected || std::exchange(self.sends, true))
    return ready_future<NetResult<Unit>>(host, invalid_state());
  auto [future, promise] = new_future<NetResult<Unit>>(host);
  const auto output = std::make_shared<host::SocketOutput>(host.loop, self.socket);
  take_bytes(
      host, std::move(data), output, [p = promise](Status status) { p->set(done(status)); },
      [output] { (void)output->shutdown(); });
  return std::move(future);
}

Incoming<ErrorCode> tcp_socket_receive(Host& host, TcpSocket& self) {
  if (self.phase != Phase::Connected || std::exchange(self.receives, true))
    return {give_bytes(host, host::empty_stream(), nullptr),
            ready_future<NetResult<Unit>>(host, invalid_state())};
  auto [future, promise] = new_future<NetResult<Unit>>(host);
  Stream<uint8_t> stream = give_bytes(host, std::make_shared<host::SocketInput>(self.socket),
                                      [p = promise, socket = self.socket](Status status) {
                                        (void)socket->shutdown(host::Socket::Shutdown::Receive);
                                        p->set(done(status));
                                      });
  return {std::move(stream), std::move(future)};
}

NetResult<IpSocketAddress> tcp_socket_get_local_address(Host&, TcpSocket& self) {
  if (self.phase == Phase::Unbound || self.phase == Phase::Closed) return invalid_state();
  return address(self.socket->local());
}
NetResult<IpSocketAddress> tcp_socket_get_remote_address(Host&, TcpSocket& self) {
  if (self.phase != Phase::Connected) return invalid_state();
  return address(self.socket->remote());
}
bool tcp_socket_get_is_listening(Host&, TcpSocket& self) { return self.phase == Phase::Listening; }
IpAddressFamily tcp_socket_get_address_family(Host&, TcpSocket& self) {
  return self.v6 ? IpAddressFamily::Ipv6 : IpAddressFamily::Ipv4;
}

NetResult<Unit> tcp_socket_set_listen_backlog_size(Host&, TcpSocket& self, uint64_t value) {
  if (value == 0) return refused(ErrorCode::Tag::InvalidArgument);
  if (self.phase == Phase::Connecting || self.phase == Phase::Connected) return invalid_state();
  self.backlog = int(std::min(value, kMostBacklog));
  if (self.phase == Phase::Listening) return done(self.socket->listen(self.backlog));
  return Unit{};
}

NetResult<bool> tcp_socket_get_keep_alive_enabled(Host&, TcpSocket& self) {
  return value<bool>(self.socket->get(Option::KeepAlive));
}
NetResult<Unit> tcp_socket_set_keep_alive_enabled(Host&, TcpSocket& self, bool value) {
  return done(self.socket->set(Option::KeepAlive, value));
}
NetResult<Duration> tcp_socket_get_keep_alive_idle_time(Host&, TcpSocket& self) {
  return value<Duration>(get_time_option(*self.socket, Option::KeepAliveIdle));
}
NetResult<Unit> tcp_socket_set_keep_alive_idle_time(Host&, TcpSocket& self, Duration value) {
  return done(set_time_option(*self.socket, Option::KeepAliveIdle, value));
}
NetResult<Duration> tcp_socket_get_keep_alive_interval(Host&, TcpSocket& self) {
  return value<Duration>(get_time_option(*self.socket, Option::KeepAliveInterval));
}
NetResult<Unit> tcp_socket_set_keep_alive_interval(Host&, TcpSocket& self, Duration value) {
  return done(set_time_option(*self.socket, Option::KeepAliveInterval, value));
}
NetResult<uint32_t> tcp_socket_get_keep_alive_count(Host&, TcpSocket& self) {
  return value<uint32_t>(self.socket->get(Option::KeepAliveCount));
}
NetResult<Unit> tcp_socket_set_keep_alive_count(Host&, TcpSocket& self, uint32_t value) {
  return done(set_option(*self.socket, Option::KeepAliveCount, value));
}
NetResult<uint8_t> tcp_socket_get_hop_limit(Host&, TcpSocket& self) {
  return value<uint8_t>(self.socket->get(Option::HopLimit));
}
NetResult<Unit> tcp_socket_set_hop_limit(Host&, TcpSocket& self, uint8_t value) {
  return done(set_option(*self.socket, Option::HopLimit, value));
}
NetResult<uint64_t> tcp_socket_get_receive_buffer_size(Host&, TcpSocket& self) {
  return value<uint64_t>(self.socket->get(Option::ReceiveBuffer));
}
NetResult<Unit> tcp_socket_set_receive_buffer_size(Host&, TcpSocket& self, uint64_t value) {
  return done(set_option(*self.socket, Option::ReceiveBuffer, value));
}
NetResult<uint64_t> tcp_socket_get_send_buffer_size(Host&, TcpSocket& self) {
  return value<uint64_t>(self.socket->get(Option::SendBuffer));
}
NetResult<Unit> tcp_socket_set_send_buffer_size(Host&, TcpSocket& self, uint64_t value) {
  return done(set_option(*self.socket, Option::SendBuffer, value));
}

// ---- UDP

class UdpSocket final : public Object {
 public:
  UdpSocket(host::SocketRef s, bool v6) : socket(std::move(s)), v6(v6) {}
  const host::SocketRef socket;
  const bool v6;
  bool bound = false;
  std::optional<host::Endpoint> remote;
};

NetResult<Own<UdpSocket>> udp_socket_create(Host&, IpAddressFamily address_family) {
  const bool v6 = address_family == IpAddressFamily::Ipv6;
  host::Outcome<host::SocketRef> socket = host::Socket::create(v6, false);
  if (!socket) return failed(socket.status());
  return Own<UdpSocket>::make(*std::move(socket), v6);
}

NetResult<Unit> udp_socket_bind(Host& host, UdpSocket& self, IpSocketAddress local_address) {
  const host::Endpoint local = to_host(local_address);
  if (const Status s = check_local(local, self.v6, false); !s.ok()) return failed(s);
  if (self.bound) return invalid_state();
  if (!host.process.network.allows(Use::UdpBind, local))
    return refused(ErrorCode::Tag::AccessDenied);
  if (const Status s = self.socket->bind(local); !s.ok()) return failed(s);
  self.bound = true;
  return Unit{};
}

NetResult<Unit> udp_socket_connect(Host& host, UdpSocket& self, IpSocketAddress remote_address) {
  const host::Endpoint remote = to_host(remote_address);
  if (const Status s = check_remote(remote, self.v6, false); !s.ok()) return failed(s);
  if (!host.process.network.allows(Use::UdpSend, remote))
    return refused(ErrorCode::Tag::AccessDenied);
  if (self.remote) {
    if (const Status s = self.socket->disconnect(); !s.ok()) return failed(s);
    self.remote.reset();
  }
  if (const Status s = self.socket->connect(remote); !s.ok()) return failed(s);
  self.remote = remote;
  self.bound = true;
  return Unit{};
}

NetResult<Unit> udp_socket_disconnect(Host&, UdpSocket& self) {
  if (!self.remote) return invalid_state();
  self.remote.reset();
  return done(self.socket->disconnect());
}

void udp_socket_send(Host& host, UdpSocket& self, Bytes data,
                     std::optional<IpSocketAddress> remote_address, Reply<NetResult<Unit>> reply) {
  std::optional<host::Endpoint> to;
  if (remote_address) to = to_host(*remote_address);
  if (self.remote) {
    if (to && *to != *self.remote) return reply(refused(ErrorCode::Tag::InvalidArgument));
    to.reset();
  } else {
    if (!to) return reply(refused(ErrorCode::Tag::InvalidArgument));
    if (const Status s = check_remote(*to, self.v6, false); !s.ok()) return reply(failed(s));
    if (!host.process.network.allows(Use::UdpSend, *to))
      return reply(refused(ErrorCode::Tag::AccessDenied));
  }
  until<NetResult<Unit>>(
      host, host::readiness(self.socket, true),
      [&self, to,
       bytes = std::vector(data.begin(), data.end())]() -> std::optional<NetResult<Unit>> {
        const iovec v = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
        for (;;) {
          const host::Outcome<size_t> n = self.socket->send({&v, 1}, true, to ? &*to : nullptr);
          if (!n && n.code() == EINTR) continue;
          if (!n && n.code() == EAGAIN) return std::nullopt;
          if (n) self.bound = true;
          return done(n.status());
        }
      },
      reply);
}

void udp_socket_receive(Host& host, UdpSocket& self,
                        Reply<NetResult<std::tuple<std::vector<uint8_t>, IpSocketAddress>>> reply) {
  using R = NetResult<std::tuple<std::vector<uint8_t>, IpSocketAddress>>;
  constexpr size_t kLargest = 65535;
  if (!self.bound) return reply(invalid_state());
  until<R>(
      host, host::readiness(self.socket, false),
      [&self]() -> std::optional<R> {
        std::vector<uint8_t> bytes(kLargest);
        const iovec v = {bytes.data(), bytes.size()};
        for (;;) {
          const auto received = self.socket->receive({&v, 1}, false, false);
          if (!received && received.code() == EINTR) continue;
          if (!received && received.code() == EAGAIN) return std::nullopt;
          if (!received) return R(failed(received.status()));
          const std::optional<host::Endpoint> from = received->from ? received->from : self.remote;
          if (!from) continue;
          bytes.resize(received->size);
          return R(std::tuple(std::move(bytes), to_guest(*from)));
        }
      },
      reply);
}

NetResult<IpSocketAddress> udp_socket_get_local_address(Host&, UdpSocket& self) {
  if (!self.bound) return invalid_state();
  return address(self.socket->local());
}
NetResult<IpSocketAddress> udp_socket_get_remote_address(Host&, UdpSocket& self) {
  if (!self.remote) return invalid_state();
  return to_guest(*self.remote);
}
IpAddressFamily udp_socket_get_address_family(Host&, UdpSocket& self) {
  return self.v6 ? IpAddressFamily::Ipv6 : IpAddressFamily::Ipv4;
}
NetResult<uint8_t> udp_socket_get_unicast_hop_limit(Host&, UdpSocket& self) {
  return value<uint8_t>(self.socket->get(Option::HopLimit));
}
NetResult<Unit> udp_socket_set_unicast_hop_limit(Host&, UdpSocket& self, uint8_t value) {
  return done(set_option(*self.socket, Option::HopLimit, value));
}
NetResult<uint64_t> udp_socket_get_receive_buffer_size(Host&, UdpSocket& self) {
  return value<uint64_t>(self.socket->get(Option::ReceiveBuffer));
}
NetResult<Unit> udp_socket_set_receive_buffer_size(Host&, UdpSocket& self, uint64_t value) {
  return done(set_option(*self.socket, Option::ReceiveBuffer, value));
}
NetResult<uint64_t> udp_socket_get_send_buffer_size(Host&, UdpSocket& self) {
  return value<uint64_t>(self.socket->get(Option::SendBuffer));
}
NetResult<Unit> udp_socket_set_send_buffer_size(Host&, UdpSocket& self, uint64_t value) {
  return done(set_option(*self.socket, Option::SendBuffer, value));
}

}  // namespace sockets_types

// ---- Names

namespace sockets_ip_name_lookup {

void resolve_addresses(Host& host, std::string name,
                       Reply<Expected<std::vector<IpAddress>, ErrorCode>> reply) {
  using Tag = ErrorCode::Tag;
  const auto refuse = [reply](Tag tag) {
    ErrorCode error;
    error.tag = tag;
    reply(Err{std::move(error)});
  };
  if (const std::optional<host::Address> address = address_literal(name))
    return reply(std::vector{guest_address<IpAddress>(*address)});
  if (!is_domain_name(name)) return refuse(Tag::InvalidArgument);
  if (!host.process.network.allows_lookup(name)) return refuse(Tag::AccessDenied);
  const auto lookup = std::make_shared<host::Lookup>(host.loop, std::move(name));
  const auto pending = host.when_ready({lookup->pollable()}, [lookup, reply, refuse] {
    const auto& found = *lookup->result();
    if (!found)
      return refuse(found.code() == ENOENT   ? Tag::NameUnresolvable
                    : found.code() == EAGAIN ? Tag::TemporaryResolverFailure
                                             : Tag::PermanentResolverFailure);
    std::vector<IpAddress> out;
    for (const host::Address& a : *found)
      if (!a.is_mapped()) out.push_back(guest_address<IpAddress>(a));
    if (out.empty()) return refuse(Tag::NameUnresolvable);
    reply(std::move(out));
  });
  if (!pending.expired()) reply.on_cancel([&host, pending] { host.forget(pending); });
}

}  // namespace sockets_ip_name_lookup

}  // namespace wafer::wasi::p3
