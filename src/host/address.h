// Addresses of the internet.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wafer::host {

struct Address {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // 4 of them for IPv4

  // "127.0.0.1", "::1"; nothing else.
  static std::optional<Address> parse(std::string_view text);
  std::string text() const;
  size_t size() const { return v6 ? 16 : 4; }
  bool is_unspecified() const;
  bool is_multicast() const;
  bool is_broadcast() const;
  // IPv4 inside IPv6 ("::ffff:127.0.0.1").
  bool is_mapped() const;
  // An address of the internet at large: neither this machine's own, nor one of private or local
  // networks, nor one that stands for such (RFC 6890; IPv4 within IPv6 as the IPv4 it is).
  bool is_global() const;
  // Whether the first `bits` bits are those of `prefix`.
  bool within(const Address& prefix, unsigned bits) const;
  bool operator==(const Address&) const = default;
};

// An address and a port.
struct Endpoint {
  Address address;
  uint16_t port = 0;
  uint32_t flow = 0, scope = 0;  // of IPv6

  static std::optional<Endpoint> from(const sockaddr_storage& storage);
  socklen_t fill(sockaddr_storage& storage) const;
  // "127.0.0.1:80", "[::1]:80".
  std::string text() const;
  bool operator==(const Endpoint&) const = default;
};

// Parts "HOST:PORT" or "[HOST]:PORT" at the last colon; false without one.
bool split_port(std::string_view text, std::string_view& host, std::string_view& port);

}  // namespace wafer::host
