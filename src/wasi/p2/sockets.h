// What TCP and UDP share.
#pragma once

#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

namespace sockets_network {

// What may be reached is a matter of the process, not of this.
class Network final : public Object {};

}  // namespace sockets_network

host::Address to_host(const sockets_network::IpAddress& a);
sockets_network::IpAddress to_guest(const host::Address& a);
host::Endpoint to_host(const sockets_network::IpSocketAddress& a);
sockets_network::IpSocketAddress to_guest(const host::Endpoint& e);

// Whether a socket of that family can send to `e`.
bool is_remote(const host::Endpoint& e, bool v6);

}  // namespace wafer::wasi::p2
