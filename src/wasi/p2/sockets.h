// What TCP and UDP share.
#pragma once

#include "wasi/bind/sockets.h"
#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

namespace sockets_network {

// What may be reached is a matter of the process, not of this.
class Network final : public Object {};

}  // namespace sockets_network

inline sockets_network::IpAddress to_guest(const host::Address& a) {
  return guest_address<sockets_network::IpAddress>(a);
}
inline host::Endpoint to_host(const sockets_network::IpSocketAddress& a) {
  return host_endpoint<sockets_network::IpAddress>(a);
}
inline sockets_network::IpSocketAddress to_guest(const host::Endpoint& e) {
  return guest_endpoint<sockets_network::IpAddress, sockets_network::IpSocketAddress>(e);
}

}  // namespace wafer::wasi::p2
