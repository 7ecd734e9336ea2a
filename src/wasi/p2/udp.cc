// wasi:sockets/udp.
#include <errno.h>

#include <algorithm>

#include "wasi/p2/sockets.h"

namespace wafer::wasi::p2 {

namespace sockets_udp {

using io_poll::make_pollable;

namespace {

template <class T>
using NetResult = Expected<T, ErrorCode>;

constexpr uint64_t kMostDatagrams = 16;  // that one call moves
constexpr size_t kLargest = 65535;

Err<ErrorCode> failed(host::Status status) { return Err{network_error(status)}; }

NetResult<Unit> done(host::Status status) {
  if (!status.ok()) return failed(status);
  return Unit{};
}

}  // namespace

struct UdpState {
  enum class Phase : uint8_t { Unbound, Binding, Bound };
  host::SocketRef socket;
  bool v6 = false;
  Phase phase = Phase::Unbound;
  std::optional<host::Endpoint> remote;
  uint64_t generation = 0;  // of the streams that are at work
};

class UdpSocket final : public Object {
 public:
  UdpSocket(host::SocketRef socket, bool v6) {
    state->socket = std::move(socket);
    state->v6 = v6;
  }
  std::shared_ptr<UdpState> state = std::make_shared<UdpState>();
};

class IncomingDatagramStream final : public Object {
 public:
  explicit IncomingDatagramStream(std::shared_ptr<UdpState> s)
      : state(std::move(s)), generation(state->generation) {}
  std::shared_ptr<UdpState> state;
  uint64_t generation;
};

class OutgoingDatagramStream final : public Object {
 public:
  explicit OutgoingDatagramStream(std::shared_ptr<UdpState> s)
      : state(std::move(s)), generation(state->generation) {}
  std::shared_ptr<UdpState> state;
  uint64_t generation;
  uint64_t permitted = 0;
};

using Phase = UdpState::Phase;

NetResult<Unit> udp_socket_start_bind(Host& host, UdpSocket& self, Network&,
                                      IpSocketAddress local_address) {
  UdpState& s = *self.state;
  const host::Endpoint local = to_host(local_address);
  if (const host::Status status = check_local(local, s.v6, false); !status.ok())
    return failed(status);
  if (s.phase != Phase::Unbound) return Err{ErrorCode::InvalidState};
  if (!host.process.network.allows(host::Network::Use::UdpBind, local))
    return Err{ErrorCode::AccessDenied};
  if (const host::Status status = s.socket->bind(local); !status.ok()) return failed(status);
  s.phase = Phase::Binding;
  return Unit{};
}

NetResult<Unit> udp_socket_finish_bind(Host&, UdpSocket& self) {
  if (self.state->phase != Phase::Binding) return Err{ErrorCode::NotInProgress};
  self.state->phase = Phase::Bound;
  return Unit{};
}

NetResult<std::tuple<Own<IncomingDatagramStream>, Own<OutgoingDatagramStream>>> udp_socket_stream(
    Host& host, UdpSocket& self, std::optional<IpSocketAddress> remote_address) {
  UdpState& s = *self.state;
  if (s.phase != Phase::Bound) return Err{ErrorCode::InvalidState};
  std::optional<host::Endpoint> remote;
  if (remote_address) {
    remote = to_host(*remote_address);
    if (const host::Status status = check_remote(*remote, s.v6, false); !status.ok())
      return failed(status);
    if (!host.process.network.allows(host::Network::Use::UdpSend, *remote))
      return Err{ErrorCode::AccessDenied};
  }
  if (s.remote) {
    if (const host::Status status = s.socket->disconnect(); !status.ok()) return failed(status);
    s.remote.reset();
  }
  if (remote) {
    if (const host::Status status = s.socket->connect(*remote); !status.ok()) return failed(status);
    s.remote = remote;
  }
  ++s.generation;
  return std::tuple(Own<IncomingDatagramStream>::make(self.state),
                    Own<OutgoingDatagramStream>::make(self.state));
}

NetResult<IpSocketAddress> udp_socket_local_address(Host&, UdpSocket& self) {
  if (self.state->phase != Phase::Bound) return Err{ErrorCode::InvalidState};
  const host::Outcome<host::Endpoint> local = self.state->socket->local();
  if (!local) return failed(local.status());
  return to_guest(*local);
}

NetResult<IpSocketAddress> udp_socket_remote_address(Host&, UdpSocket& self) {
  if (!self.state->remote) return Err{ErrorCode::InvalidState};
  return to_guest(*self.state->remote);
}

IpAddressFamily udp_socket_address_family(Host&, UdpSocket& self) {
  return self.state->v6 ? IpAddressFamily::Ipv6 : IpAddressFamily::Ipv4;
}

namespace {

using Option = host::Socket::Option;

NetResult<uint64_t> get(UdpSocket& self, Option option) {
  const host::Outcome<uint64_t> value = self.state->socket->get(option);
  if (!value) return failed(value.status());
  return *value;
}

NetResult<Unit> set(UdpSocket& self, Option option, uint64_t value) {
  return done(set_option(*self.state->socket, option, value));
}

}  // namespace

NetResult<uint8_t> udp_socket_unicast_hop_limit(Host&, UdpSocket& self) {
  auto value = get(self, Option::HopLimit);
  if (!value) return Err{value.error()};
  return uint8_t(*value);
}
NetResult<Unit> udp_socket_set_unicast_hop_limit(Host&, UdpSocket& self, uint8_t value) {
  return set(self, Option::HopLimit, value);
}
NetResult<uint64_t> udp_socket_receive_buffer_size(Host&, UdpSocket& self) {
  return get(self, Option::ReceiveBuffer);
}
NetResult<Unit> udp_socket_set_receive_buffer_size(Host&, UdpSocket& self, uint64_t value) {
  return set(self, Option::ReceiveBuffer, value);
}
NetResult<uint64_t> udp_socket_send_buffer_size(Host&, UdpSocket& self) {
  return get(self, Option::SendBuffer);
}
NetResult<Unit> udp_socket_set_send_buffer_size(Host&, UdpSocket& self, uint64_t value) {
  return set(self, Option::SendBuffer, value);
}

// Nothing that a socket itself does takes time.
Own<Pollable> udp_socket_subscribe(Host&, UdpSocket&) {
  return make_pollable(host::always_ready());
}

NetResult<std::vector<IncomingDatagram>> incoming_datagram_stream_receive(
    Host&, IncomingDatagramStream& self, uint64_t max_results) {
  UdpState& s = *self.state;
  if (self.generation != s.generation) return Err{ErrorCode::InvalidState};
  std::vector<IncomingDatagram> out;
  std::vector<uint8_t> buffer;
  for (uint64_t i = 0; i < std::min(max_results, kMostDatagrams); ++i) {
    buffer.resize(kLargest);
    const iovec v = {buffer.data(), buffer.size()};
    const auto received = s.socket->receive({&v, 1}, false, false);
    if (!received && received.code() == EINTR) continue;
    if (!received && (received.code() == EAGAIN || !out.empty())) break;
    if (!received) return failed(received.status());
    const std::optional<host::Endpoint> from = received->from ? received->from : s.remote;
    if (!from) continue;
    out.push_back(
        {std::vector<uint8_t>(buffer.begin(), buffer.begin() + received->size), to_guest(*from)});
  }
  return out;
}

Own<Pollable> incoming_datagram_stream_subscribe(Host&, IncomingDatagramStream& self) {
  return make_pollable(host::readiness(self.state->socket, false));
}

NetResult<uint64_t> outgoing_datagram_stream_check_send(Host&, OutgoingDatagramStream& self) {
  if (self.generation != self.state->generation) return Err{ErrorCode::InvalidState};
  self.permitted = host::readiness(self.state->socket, true)->ready() ? kMostDatagrams : 0;
  return self.permitted;
}

NetResult<uint64_t> outgoing_datagram_stream_send(Host& host, OutgoingDatagramStream& self,
                                                  std::vector<OutgoingDatagram> datagrams) {
  UdpState& s = *self.state;
  if (datagrams.size() > self.permitted) {
    host.fail("send of more datagrams than check-send permits");
    return uint64_t{0};
  }
  if (self.generation != s.generation) return Err{ErrorCode::InvalidState};
  self.permitted = 0;
  uint64_t sent = 0;
  const auto send = [&](const OutgoingDatagram& d) -> NetResult<bool> {
    std::optional<host::Endpoint> to;
    if (d.remote_address) to = to_host(*d.remote_address);
    if (s.remote) {
      if (to && *to != *s.remote) return Err{ErrorCode::InvalidArgument};
      to.reset();
    } else {
      if (!to || !check_remote(*to, s.v6, false).ok()) return Err{ErrorCode::InvalidArgument};
      if (!host.process.network.allows(host::Network::Use::UdpSend, *to))
        return Err{ErrorCode::AccessDenied};
    }
    const iovec v = {const_cast<uint8_t*>(d.data.data()), d.data.size()};
    for (;;) {
      const host::Outcome<size_t> n = s.socket->send({&v, 1}, true, to ? &*to : nullptr);
      if (n) return true;
      if (n.code() == EAGAIN) return false;
      if (n.code() != EINTR) return failed(n.status());
    }
  };
  for (const OutgoingDatagram& d : datagrams) {
    auto result = send(d);
    if (!result && sent == 0) return Err{result.error()};
    if (!result || !*result) break;
    ++sent;
  }
  return sent;
}

Own<Pollable> outgoing_datagram_stream_subscribe(Host&, OutgoingDatagramStream& self) {
  return make_pollable(host::readiness(self.state->socket, true));
}

}  // namespace sockets_udp

namespace sockets_udp_create_socket {

Expected<Own<UdpSocket>, ErrorCode> create_udp_socket(Host&, IpAddressFamily family) {
  const bool v6 = family == IpAddressFamily::Ipv6;
  host::Outcome<host::SocketRef> socket = host::Socket::create(v6, false);
  if (!socket) return Err{network_error(socket.status())};
  return Own<UdpSocket>::make(*std::move(socket), v6);
}

}  // namespace sockets_udp_create_socket

}  // namespace wafer::wasi::p2
