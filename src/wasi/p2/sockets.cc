// wasi:sockets: addresses, name lookup and TCP.
#include "wasi/p2/sockets.h"

#include <errno.h>

#include <algorithm>

namespace wafer::wasi::p2 {

// ---- wasi:sockets/instance-network

namespace sockets_instance_network {

Own<Network> instance_network(Host&) { return Own<Network>::make(); }

}  // namespace sockets_instance_network

// ---- wasi:sockets/ip-name-lookup

namespace sockets_ip_name_lookup {

class ResolveAddressStream final : public Object {
 public:
  explicit ResolveAddressStream(std::unique_ptr<host::Lookup> l) : lookup(std::move(l)) {}
  std::unique_ptr<host::Lookup> lookup;
  size_t next = 0;
};

Expected<Own<ResolveAddressStream>, ErrorCode> resolve_addresses(Host& host, Network&,
                                                                 std::string name) {
  if (const std::optional<host::Address> address = address_literal(name))
    return Own<ResolveAddressStream>::make(
        std::make_unique<host::Lookup>(std::vector<host::Address>{*address}));
  if (!is_domain_name(name)) return Err{ErrorCode::InvalidArgument};
  if (!host.process.network.allows_lookup(name)) return Err{ErrorCode::AccessDenied};
  return Own<ResolveAddressStream>::make(
      std::make_unique<host::Lookup>(host.loop, std::move(name)));
}

Expected<std::optional<IpAddress>, ErrorCode> resolve_address_stream_resolve_next_address(
    Host&, ResolveAddressStream& self) {
  const auto* const result = self.lookup->result();
  if (!result) return Err{ErrorCode::WouldBlock};
  if (!*result)
    return Err{result->code() == ENOENT   ? ErrorCode::NameUnresolvable
               : result->code() == EAGAIN ? ErrorCode::TemporaryResolverFailure
                                          : ErrorCode::PermanentResolverFailure};
  if (self.next == (**result).size()) return std::optional<IpAddress>();
  return std::optional(to_guest((**result)[self.next++]));
}

Own<Pollable> resolve_address_stream_subscribe(Host&, ResolveAddressStream& self) {
  return io_poll::make_pollable(self.lookup->pollable());
}

}  // namespace sockets_ip_name_lookup

// ---- wasi:sockets/tcp

namespace sockets_tcp {

using io_error::Error;
using sockets_network::IpAddressFamily;

struct TcpState {
  enum class Phase : uint8_t {
    Unbound,
    Binding,  // start-bind without finish-bind, and so on
    Bound,
    Connecting,
    Connected,
    Listening,
    Listens,
    Closed,
  };
  host::SocketRef socket;
  bool v6 = false;
  Phase phase = Phase::Unbound;
  host::Status failure;  // of a connection that failed at once
  int backlog = 128;
  std::shared_ptr<host::SocketInput> input;
  std::shared_ptr<host::SocketOutput> output;
};

namespace {

using Phase = TcpState::Phase;
template <class T>
using NetResult = Expected<T, ErrorCode>;

#define NET_LET(name, expr)                                       \
  auto WAFER_CONCAT(net_outcome_, __LINE__) = (expr);             \
  if (!WAFER_CONCAT(net_outcome_, __LINE__).ok())                 \
    return failed(WAFER_CONCAT(net_outcome_, __LINE__).status()); \
  auto&& name = *std::move(WAFER_CONCAT(net_outcome_, __LINE__))

Err<ErrorCode> failed(host::Status status) { return Err{network_error(status)}; }

NetResult<Unit> done(host::Status status) {
  if (!status.ok()) return failed(status);
  return Unit{};
}

// What a subscription to a socket waits for depends on what it is doing by then.
class TcpPollable final : public host::Pollable {
 public:
  explicit TcpPollable(std::shared_ptr<TcpState> s) : state_(std::move(s)) {}
  bool ready() override { return present()->ready(); }
  host::WaitRef wait(host::Loop& loop, Function<void()> then) override {
    return present()->wait(loop, std::move(then));
  }

 private:
  host::PollableRef present() const {
    if (state_->phase == Phase::Connecting && state_->failure.ok())
      return host::readiness(state_->socket, true);
    if (state_->phase == Phase::Listens) return host::readiness(state_->socket, false);
    return host::always_ready();
  }
  std::shared_ptr<TcpState> state_;
};

using Streams = std::tuple<Own<InputStream>, Own<OutputStream>>;

Streams connected(Host& host, TcpState& s) {
  s.phase = Phase::Connected;
  s.input = std::make_shared<host::SocketInput>(s.socket);
  s.output = std::make_shared<host::SocketOutput>(host.loop, s.socket);
  return {Own<InputStream>::make(s.input, Error::Of::Network),
          Own<OutputStream>::make(s.output, Error::Of::Network)};
}

}  // namespace

class TcpSocket final : public Object {
 public:
  TcpSocket(host::SocketRef socket, bool v6) {
    state->socket = std::move(socket);
    state->v6 = v6;
  }
  std::shared_ptr<TcpState> state = std::make_shared<TcpState>();
};

NetResult<Unit> tcp_socket_start_bind(Host& host, TcpSocket& self, Network&,
                                      IpSocketAddress local_address) {
  TcpState& s = *self.state;
  const host::Endpoint local = to_host(local_address);
  if (const host::Status status = check_local(local, s.v6, true); !status.ok())
    return failed(status);
  if (s.phase != Phase::Unbound) return Err{ErrorCode::InvalidState};
  if (!host.process.network.allows(host::Network::Use::TcpListen, local))
    return Err{ErrorCode::AccessDenied};
  if (const host::Status status = s.socket->bind(local); !status.ok()) return failed(status);
  s.phase = Phase::Binding;
  return Unit{};
}

NetResult<Unit> tcp_socket_finish_bind(Host&, TcpSocket& self) {
  if (self.state->phase != Phase::Binding) return Err{ErrorCode::NotInProgress};
  self.state->phase = Phase::Bound;
  return Unit{};
}

NetResult<Unit> tcp_socket_start_connect(Host& host, TcpSocket& self, Network&,
                                         IpSocketAddress remote_address) {
  TcpState& s = *self.state;
  const host::Endpoint remote = to_host(remote_address);
  if (s.phase != Phase::Unbound && s.phase != Phase::Bound) return Err{ErrorCode::InvalidState};
  if (const host::Status status = check_remote(remote, s.v6, true); !status.ok())
    return failed(status);
  if (!host.process.network.allows(host::Network::Use::TcpConnect, remote))
    return Err{ErrorCode::AccessDenied};
  const host::Status status = s.socket->connect(remote);
  s.phase = Phase::Connecting;
  if (!status.ok() && status.code() != EINPROGRESS && status.code() != EINTR) s.failure = status;
  return Unit{};
}

NetResult<Streams> tcp_socket_finish_connect(Host& host, TcpSocket& self) {
  TcpState& s = *self.state;
  if (s.phase != Phase::Connecting) return Err{ErrorCode::NotInProgress};
  if (s.failure.ok()) {
    if (!host::readiness(s.socket, true)->ready()) return Err{ErrorCode::WouldBlock};
    s.failure = s.socket->connect_result();
  }
  if (s.failure.ok()) return connected(host, s);
  s.phase = Phase::Closed;
  // All ports of the host are taken.
  if (s.failure.code() == EADDRNOTAVAIL) return Err{ErrorCode::AddressInUse};
  return failed(s.failure);
}

NetResult<Unit> tcp_socket_start_listen(Host&, TcpSocket& self) {
  TcpState& s = *self.state;
  if (s.phase != Phase::Bound) return Err{ErrorCode::InvalidState};
  if (const host::Status status = s.socket->listen(s.backlog); !status.ok()) return failed(status);
  s.phase = Phase::Listening;
  return Unit{};
}

NetResult<Unit> tcp_socket_finish_listen(Host&, TcpSocket& self) {
  if (self.state->phase != Phase::Listening) return Err{ErrorCode::NotInProgress};
  self.state->phase = Phase::Listens;
  return Unit{};
}

NetResult<std::tuple<Own<TcpSocket>, Own<InputStream>, Own<OutputStream>>> tcp_socket_accept(
    Host& host, TcpSocket& self) {
  TcpState& s = *self.state;
  if (s.phase != Phase::Listens) return Err{ErrorCode::InvalidState};
  for (;;) {
    host::Outcome<host::SocketRef> socket = s.socket->accept(true);
    // One that was there and is gone.
    if (!socket && (socket.code() == EINTR || socket.code() == ECONNABORTED)) continue;
    if (!socket) return failed(socket.status());
    auto accepted = std::make_unique<TcpSocket>(*std::move(socket), s.v6);
    auto [input, output] = connected(host, *accepted->state);
    return std::tuple(Own(std::move(accepted)), std::move(input), std::move(output));
  }
}

NetResult<IpSocketAddress> tcp_socket_local_address(Host&, TcpSocket& self) {
  const Phase phase = self.state->phase;
  if (phase == Phase::Unbound || phase == Phase::Binding || phase == Phase::Closed)
    return Err{ErrorCode::InvalidState};
  NET_LET(local, self.state->socket->local());
  return to_guest(local);
}

NetResult<IpSocketAddress> tcp_socket_remote_address(Host&, TcpSocket& self) {
  if (self.state->phase != Phase::Connected) return Err{ErrorCode::InvalidState};
  NET_LET(remote, self.state->socket->remote());
  return to_guest(remote);
}

bool tcp_socket_is_listening(Host&, TcpSocket& self) { return self.state->phase == Phase::Listens; }

IpAddressFamily tcp_socket_address_family(Host&, TcpSocket& self) {
  return self.state->v6 ? IpAddressFamily::Ipv6 : IpAddressFamily::Ipv4;
}

NetResult<Unit> tcp_socket_set_listen_backlog_size(Host&, TcpSocket& self, uint64_t value) {
  TcpState& s = *self.state;
  if (value == 0) return Err{ErrorCode::InvalidArgument};
  if (s.phase == Phase::Connecting || s.phase == Phase::Connected || s.phase == Phase::Closed)
    return Err{ErrorCode::InvalidState};
  s.backlog = int(std::min(value, kMostBacklog));
  if (s.phase == Phase::Listens) return done(s.socket->listen(s.backlog));
  return Unit{};
}

namespace {

using Option = host::Socket::Option;

NetResult<uint64_t> get(TcpSocket& self, Option option) {
  NET_LET(value, self.state->socket->get(option));
  return value;
}

NetResult<Unit> set(TcpSocket& self, Option option, uint64_t value) {
  return done(set_option(*self.state->socket, option, value));
}

NetResult<Duration> get_time(TcpSocket& self, Option option) {
  NET_LET(time, get_time_option(*self.state->socket, option));
  return time;
}

NetResult<Unit> set_time(TcpSocket& self, Option option, Duration value) {
  return done(set_time_option(*self.state->socket, option, value));
}

}  // namespace

NetResult<bool> tcp_socket_keep_alive_enabled(Host&, TcpSocket& self) {
  auto value = get(self, Option::KeepAlive);
  if (!value) return Err{value.error()};
  return *value != 0;
}
NetResult<Unit> tcp_socket_set_keep_alive_enabled(Host&, TcpSocket& self, bool value) {
  return done(self.state->socket->set(Option::KeepAlive, value));
}
NetResult<Duration> tcp_socket_keep_alive_idle_time(Host&, TcpSocket& self) {
  return get_time(self, Option::KeepAliveIdle);
}
NetResult<Unit> tcp_socket_set_keep_alive_idle_time(Host&, TcpSocket& self, Duration value) {
  return set_time(self, Option::KeepAliveIdle, value);
}
NetResult<Duration> tcp_socket_keep_alive_interval(Host&, TcpSocket& self) {
  return get_time(self, Option::KeepAliveInterval);
}
NetResult<Unit> tcp_socket_set_keep_alive_interval(Host&, TcpSocket& self, Duration value) {
  return set_time(self, Option::KeepAliveInterval, value);
}
NetResult<uint32_t> tcp_socket_keep_alive_count(Host&, TcpSocket& self) {
  auto value = get(self, Option::KeepAliveCount);
  if (!value) return Err{value.error()};
  return uint32_t(*value);
}
NetResult<Unit> tcp_socket_set_keep_alive_count(Host&, TcpSocket& self, uint32_t value) {
  return set(self, Option::KeepAliveCount, value);
}
NetResult<uint8_t> tcp_socket_hop_limit(Host&, TcpSocket& self) {
  auto value = get(self, Option::HopLimit);
  if (!value) return Err{value.error()};
  return uint8_t(*value);
}
NetResult<Unit> tcp_socket_set_hop_limit(Host&, TcpSocket& self, uint8_t value) {
  return set(self, Option::HopLimit, value);
}
NetResult<uint64_t> tcp_socket_receive_buffer_size(Host&, TcpSocket& self) {
  return get(self, Option::ReceiveBuffer);
}
NetResult<Unit> tcp_socket_set_receive_buffer_size(Host&, TcpSocket& self, uint64_t value) {
  return set(self, Option::ReceiveBuffer, value);
}
NetResult<uint64_t> tcp_socket_send_buffer_size(Host&, TcpSocket& self) {
  return get(self, Option::SendBuffer);
}
NetResult<Unit> tcp_socket_set_send_buffer_size(Host&, TcpSocket& self, uint64_t value) {
  return set(self, Option::SendBuffer, value);
}

Own<Pollable> tcp_socket_subscribe(Host&, TcpSocket& self) {
  return io_poll::make_pollable(std::make_shared<TcpPollable>(self.state));
}

NetResult<Unit> tcp_socket_shutdown(Host&, TcpSocket& self, ShutdownType type) {
  TcpState& s = *self.state;
  if (s.phase != Phase::Connected) return Err{ErrorCode::InvalidState};
  host::Status status;
  if (type != ShutdownType::Send) {
    s.input->close();
    status = s.socket->shutdown(host::Socket::Shutdown::Receive);
  }
  if (type != ShutdownType::Receive) status = s.output->shutdown();
  // That the other side is gone is no failure.
  return status.code() == ENOTCONN ? NetResult<Unit>(Unit{}) : done(status);
}

}  // namespace sockets_tcp

namespace sockets_tcp_create_socket {

Expected<Own<TcpSocket>, ErrorCode> create_tcp_socket(Host&, IpAddressFamily family) {
  const bool v6 = family == IpAddressFamily::Ipv6;
  host::Outcome<host::SocketRef> socket = host::Socket::create(v6, true);
  if (!socket) return Err{network_error(socket.status())};
  return Own<TcpSocket>::make(*std::move(socket), v6);
}

}  // namespace sockets_tcp_create_socket

}  // namespace wafer::wasi::p2
