#include "wasi/bind/http.h"

#include <errno.h>

#include <algorithm>
#include <charconv>

namespace wafer::wasi {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

template <class F>
bool all(std::string_view text, F&& fits) {
  return std::all_of(text.begin(), text.end(), fits);
}

// What names of hosts and users consist of (RFC 3986, 3.2).
bool is_name_char(char c) {
  return is_letter(c) || is_digit(c) || std::string_view("-._~%!$&'()*+,;=").find(c) != ~size_t{0};
}

}  // namespace

bool is_forbidden_field(std::string_view name) {
  return host::is_hop_by_hop(name) || host::same_name(name, "host");
}

host::HttpFields received_fields(host::HttpFields fields) {
  std::erase_if(fields, [](const auto& f) { return is_forbidden_field(f.first); });
  return fields;
}

std::optional<uint64_t> content_length(const host::HttpFields& fields) {
  for (const auto& [name, value] : fields) {
    if (!host::same_name(name, "content-length")) continue;
    uint64_t length = 0;
    const char* const end = value.data() + value.size();
    const auto [at, error] = std::from_chars(value.data(), end, length);
    if (error == std::errc() && at == end) return length;
  }
  return std::nullopt;
}

host::HttpError http_error_of_system(int code) {
  using E = host::HttpError;
  switch (code) {
    case EACCES:
    case EPERM:
      return E::HTTPRequestDenied;
    case ENOENT:
      return E::DNSError;
    case EAGAIN:
      return E::DNSTimeout;
    case ECONNREFUSED:
      return E::ConnectionRefused;
    case ETIMEDOUT:
      return E::ConnectionTimeout;
    case EHOSTUNREACH:
    case ENETUNREACH:
      return E::DestinationUnavailable;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
      return E::ConnectionTerminated;
    case EBADMSG:
      return E::HTTPResponseIncomplete;
    case EINVAL:
      return E::HTTPRequestURIInvalid;
    case EMSGSIZE:
      return E::HTTPRequestBodySize;
    default:
      return E::HTTPProtocolError;
  }
}

bool is_path_with_query(std::string_view text) {
  // Letters beyond ASCII come as they are, too.
  return all(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte != 0x7F && std::string_view("\"<>\\^`{|}#").find(c) == ~size_t{0};
  });
}

bool is_scheme(std::string_view text) {
  return !text.empty() && is_letter(text[0]) && all(text, [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  });
}

bool is_authority(std::string_view text) {
  if (const size_t at = text.rfind('@'); at != text.npos) {
    if (!all(text.substr(0, at), [](char c) { return is_name_char(c) || c == ':'; })) return false;
    text.remove_prefix(at + 1);
  }
  std::string_view host = text, port;
  if (const size_t colon = text.rfind(':');
      colon != text.npos && text.find(']', colon) == text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  uint16_t number = 0;
  if (!port.empty() &&
      (!all(port, is_digit) ||
       std::from_chars(port.data(), port.data() + port.size(), number).ec != std::errc()))
    return false;
  if (host.starts_with('['))
    return host.ends_with(']') && host::Address::parse(host.substr(1, host.size() - 2)).has_value();
  return !host.empty() && all(host, is_name_char);
}

host::Status HttpBodyWriter::write(Bytes from) {
  if (const host::Outcome<size_t> room = body->room(); !room) return room.status();
  written += from.size();
  if (limit && written > *limit) return host::Status(EMSGSIZE);
  body->write(from);
  return {};
}

}  // namespace wafer::wasi
