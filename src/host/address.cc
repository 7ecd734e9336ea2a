#include "host/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace wafer::host {

std::optional<Address> Address::parse(std::string_view text) {
  const std::string copy(text);
  if (copy.find('\0') != std::string::npos) return std::nullopt;
  Address a;
  if (inet_pton(AF_INET, copy.c_str(), a.bytes.data()) == 1) return a;
  a.v6 = true;
  if (inet_pton(AF_INET6, copy.c_str(), a.bytes.data()) == 1) return a;
  return std::nullopt;
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer, sizeof(buffer)) ? buffer : "";
}

bool Address::is_unspecified() const {
  return std::all_of(bytes.begin(), bytes.begin() + size(), [](uint8_t b) { return b == 0; });
}
bool Address::is_multicast() const { return v6 ? bytes[0] == 0xFF : bytes[0] >> 4 == 0xE; }
bool Address::is_broadcast() const {
  return !v6 && std::all_of(bytes.begin(), bytes.begin() + 4, [](uint8_t b) { return b == 0xFF; });
}
bool Address::is_mapped() const {
  return v6 && std::all_of(bytes.begin(), bytes.begin() + 10, [](uint8_t b) { return b == 0; }) &&
         bytes[10] == 0xFF && bytes[11] == 0xFF;
}

bool Address::is_global() const {
  struct Range {
    const char* prefix;
    unsigned bits;
  };
  // The special-purpose registries of RFC 6890.
  constexpr Range kLocal4[] = {{"0.0.0.0", 8},      {"10.0.0.0", 8},     {"100.64.0.0", 10},
                               {"127.0.0.0", 8},    {"169.254.0.0", 16}, {"172.16.0.0", 12},
                               {"192.0.0.0", 24},   {"192.0.2.0", 24},   {"192.88.99.0", 24},
                               {"192.168.0.0", 16}, {"198.18.0.0", 15},  {"198.51.100.0", 24},
                               {"203.0.113.0", 24}, {"224.0.0.0", 3}};
  constexpr Range kLocal6[] = {{"2001::", 23}, {"2001:db8::", 32}, {"2002::", 16}, {"3fff::", 20}};
  const auto in = [this](const Range& r) { return within(*parse(r.prefix), r.bits); };
  if (!v6) return std::none_of(std::begin(kLocal4), std::end(kLocal4), in);
  if (is_mapped() || in({"64:ff9b::", 96})) {
    Address inner;
    std::copy_n(bytes.begin() + 12, 4, inner.bytes.begin());
    return inner.is_global();
  }
  return in({"2000::", 3}) && std::none_of(std::begin(kLocal6), std::end(kLocal6), in);
}

bool Address::within(const Address& prefix, unsigned bits) const {
  if (v6 != prefix.v6) return false;
  for (unsigned i = 0; i < bits; i += 8) {
    const unsigned here = std::min(8u, bits - i);
    if ((bytes[i / 8] ^ prefix.bytes[i / 8]) >> (8 - here)) return false;
  }
  return true;
}

std::optional<Endpoint> Endpoint::from(const sockaddr_storage& storage) {
  Endpoint e;
  if (storage.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &storage, sizeof(in));
    std::memcpy(e.address.bytes.data(), &in.sin_addr, 4);
    e.port = ntohs(in.sin_port);
    return e;
  }
  if (storage.ss_family != AF_INET6) return std::nullopt;
  sockaddr_in6 in;
  std::memcpy(&in, &storage, sizeof(in));
  e.address.v6 = true;
  std::memcpy(e.address.bytes.data(), &in.sin6_addr, 16);
  e.port = ntohs(in.sin6_port);
  e.flow = ntohl(in.sin6_flowinfo);
  e.scope = in.sin6_scope_id;
  return e;
}

socklen_t Endpoint::fill(sockaddr_storage& storage) const {
  storage = {};
  if (!address.v6) {
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes.data(), 4);
    std::memcpy(&storage, &in, sizeof(in));
    return sizeof(in);
  }
  sockaddr_in6 in = {};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  in.sin6_flowinfo = htonl(flow);
  in.sin6_scope_id = scope;
  std::memcpy(&in.sin6_addr, address.bytes.data(), 16);
  std::memcpy(&storage, &in, sizeof(in));
  return sizeof(in);
}

std::string Endpoint::text() const {
  return (address.v6 ? "[" + address.text() + "]" : address.text()) + ":" + std::to_string(port);
}

bool split_port(std::string_view text, std::string_view& host, std::string_view& port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  host = text.substr(0, colon);
  port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  return true;
}

}  // namespace wafer::host
