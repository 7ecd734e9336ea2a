// What wasi:sockets of 0.2 and 0.3 have in common.
#pragma once

#include <optional>
#include <string_view>
#include <tuple>

#include "host/address.h"
#include "host/sockets.h"

namespace wafer::wasi {

// ---- Addresses: those of both generations have the same parts

// From a variant `ip-address`.
template <class A>
host::Address host_address(const A& a) {
  host::Address out;
  if (a.tag == A::Tag::Ipv4) {
    const auto& [b0, b1, b2, b3] = *a.ipv4;
    out.bytes = {b0, b1, b2, b3};
    return out;
  }
  out.v6 = true;
  size_t i = 0;
  std::apply(
      [&](auto... word) {
        ((out.bytes[i] = uint8_t(word >> 8), out.bytes[i + 1] = uint8_t(word), i += 2), ...);
      },
      *a.ipv6);
  return out;
}

template <class A>
A guest_address(const host::Address& a) {
  const auto& b = a.bytes;
  if (!a.v6) return A::of_ipv4({b[0], b[1], b[2], b[3]});
  const auto word = [&](size_t i) { return uint16_t(b[2 * i] << 8 | b[2 * i + 1]); };
  return A::of_ipv6({word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7)});
}

// From a variant `ip-socket-address`, with A for its addresses.
template <class A, class S>
host::Endpoint host_endpoint(const S& s) {
  host::Endpoint e;
  if (s.tag == S::Tag::Ipv4) {
    e.address = host_address(A::of_ipv4(s.ipv4->address));
    e.port = s.ipv4->port;
    return e;
  }
  e.address = host_address(A::of_ipv6(s.ipv6->address));
  e.port = s.ipv6->port;
  e.flow = s.ipv6->flow_info;
  e.scope = s.ipv6->scope_id;
  return e;
}

template <class A, class S>
S guest_endpoint(const host::Endpoint& e) {
  const A a = guest_address<A>(e.address);
  return e.address.v6 ? S::of_ipv6({e.port, e.flow, *a.ipv6, e.scope})
                      : S::of_ipv4({e.port, *a.ipv4});
}

// Whether a socket of that family can be bound there, or connected or sent there (EINVAL).
host::Status check_local(const host::Endpoint& e, bool v6, bool stream);
host::Status check_remote(const host::Endpoint& e, bool v6, bool stream);

// ---- Names

// An address, also in brackets.
std::optional<host::Address> address_literal(std::string_view name);
// Whether `name` may be one of the domain name system: labels of letters, digits, hyphens and
// underscores, or of letters beyond ASCII.
bool is_domain_name(std::string_view name);

// ---- Options: EINVAL for 0; times are nanoseconds

inline constexpr uint64_t kMostBacklog = 4096;
host::Status set_option(host::Socket& socket, host::Socket::Option option, uint64_t value);
host::Status set_time_option(host::Socket& socket, host::Socket::Option option, uint64_t value);
host::Outcome<uint64_t> get_time_option(const host::Socket& socket, host::Socket::Option option);

}  // namespace wafer::wasi
