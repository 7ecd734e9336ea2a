#include "wasi/bind/sockets.h"

#include <errno.h>

namespace wafer::wasi {

using host::Status;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

}  // namespace

Status check_local(const host::Endpoint& e, bool v6, bool stream) {
  const host::Address& a = e.address;
  const bool fits =
      a.v6 == v6 && !a.is_mapped() && (!stream || (!a.is_multicast() && !a.is_broadcast()));
  return fits ? Status() : Status(EINVAL);
}

Status check_remote(const host::Endpoint& e, bool v6, bool stream) {
  const host::Address& a = e.address;
  const bool fits = a.v6 == v6 && !a.is_unspecified() && !a.is_mapped() && e.port != 0 &&
                    (!stream || (!a.is_multicast() && !a.is_broadcast()));
  return fits ? Status() : Status(EINVAL);
}

std::optional<host::Address> address_literal(std::string_view name) {
  if (name.size() > 2 && name.front() == '[' && name.back() == ']')
    name = name.substr(1, name.size() - 2);
  return host::Address::parse(name);
}

bool is_domain_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || (c & 0x80);
    if (!fits || ++label > 63) return false;
  }
  return label != 0;
}

Status set_option(host::Socket& socket, host::Socket::Option option, uint64_t value) {
  if (value == 0) return Status(EINVAL);
  return socket.set(option, value);
}

// The system counts in seconds.
Status set_time_option(host::Socket& socket, host::Socket::Option option, uint64_t value) {
  return set_option(socket, option, value / kSecond + (value % kSecond != 0));
}

host::Outcome<uint64_t> get_time_option(const host::Socket& socket, host::Socket::Option option) {
  HOST_LET(seconds, socket.get(option));
  return seconds * kSecond;
}

}  // namespace wafer::wasi
