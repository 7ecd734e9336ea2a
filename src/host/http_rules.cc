#include "host/http_rules.h"

#include <algorithm>

#include "host/network.h"

namespace wafer::host {

namespace {

// What names of hosts consist of; anything else stays out of the resolver.
bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= 253 && text[0] != '.' && text[0] != '-' &&
         text.find("..") == text.npos && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                  c == '_';
         });
}

// In lower case and without the dot of the root.
std::string normal_name(std::string_view text) {
  std::string name = lower_case(text);
  if (name.size() > 1 && name.back() == '.') name.pop_back();
  return name;
}

bool is_localhost(std::string_view name) {
  return name == "localhost" || name.ends_with(".localhost");
}

bool is_loopback(const Address& a) {
  if (!a.v6) return a.bytes[0] == 127;
  return a == *Address::parse("::1");
}

// Parts "HOST", "HOST:PORT", "[HOST]:PORT", "[HOST]/BITS:PORT"; no port leaves `port` empty.
bool split_host(std::string_view text, std::string_view& host, std::string_view& port) {
  const size_t bracket = text.rfind(']');
  const size_t colon = text.find(':', bracket == text.npos ? 0 : bracket);
  host = text.substr(0, colon);
  port = {};
  if (colon == text.npos) return true;
  port = text.substr(colon + 1);
  return !port.empty();
}

// "[::1]" or "127.0.0.1".
std::optional<Address> literal(std::string_view host) {
  const bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  const std::optional<Address> a =
      Address::parse(brackets ? host.substr(1, host.size() - 2) : host);
  return a && a->v6 == brackets ? a : std::nullopt;
}

}  // namespace

std::optional<HttpOrigin> HttpOrigin::parse(bool tls, std::string_view authority) {
  HttpOrigin origin;
  origin.tls = tls;
  origin.port = origin.default_port();
  std::string_view host, port;
  if (!split_host(authority, host, port)) return std::nullopt;
  if (!port.empty()) {
    unsigned low, high;
    if (port == "*" || !parse_ports(port, low, high) || low != high || low == 0)
      return std::nullopt;
    origin.port = uint16_t(low);
  }
  if (const std::optional<Address> address = literal(host)) {
    origin.host = address->text();
    return origin;
  }
  origin.host = normal_name(host);
  if (!is_host_name(origin.host)) return std::nullopt;
  return origin;
}

Result<void> HttpRules::allow(std::string_view text) {
  const Error bad(ErrorKind::Usage,
                  "not [SCHEME://]HOST[:PORT], with a name, an address or a range: '" +
                      std::string(text) + "'");
  Rule rule;
  std::string_view rest = text;
  if (const size_t slashes = rest.find("://"); slashes != rest.npos) {
    const std::string scheme = lower_case(rest.substr(0, slashes));
    rule.http = scheme == "http";
    rule.https = scheme == "https";
    if (!rule.http && !rule.https) return bad;
    rest.remove_prefix(slashes + 3);
  }
  std::string_view host, port;
  if (!split_host(rest, host, port)) return bad;
  if (!port.empty()) {
    rule.default_port = false;
    if (!parse_ports(port, rule.low, rule.high)) return bad;
  }
  const size_t slash = host.find('/');
  if (host == "*") {
    rule.kind = Kind::Any;
  } else if (const auto address = literal(host.substr(0, slash))) {
    rule.kind = Kind::Range;
    rule.prefix = *address;
    rule.bits = address->v6 ? 128 : 32;
    if (slash != host.npos && !parse_number(host.substr(slash + 1), rule.bits, rule.bits))
      return bad;
  } else if (host.starts_with("*.")) {
    rule.kind = Kind::Below;
    rule.name = normal_name(host.substr(1));
    if (!is_host_name(std::string_view(rule.name).substr(1))) return bad;
  } else {
    rule.kind = Kind::Name;
    rule.name = normal_name(host);
    if (!is_host_name(rule.name)) return bad;
    // A name that is not known now may be later.
    if (!is_localhost(rule.name))
      if (const Outcome<std::vector<Address>> found = look_up(rule.name)) {
        rule.known = *found;
        std::erase_if(rule.known, [](const Address& a) { return a.is_global(); });
      }
  }
  rules_.push_back(std::move(rule));
  return {};
}

// By scheme and port.
bool HttpRules::fits(const Rule& rule, const HttpOrigin& origin) {
  if (!(origin.tls ? rule.https : rule.http)) return false;
  return rule.default_port ? origin.port == origin.default_port()
                           : origin.port >= rule.low && origin.port <= rule.high;
}

bool HttpRules::allows(const HttpOrigin& origin) const {
  if (all_) return true;
  const std::optional<Address> address = Address::parse(origin.host);
  for (const Rule& r : rules_) {
    if (!fits(r, origin)) continue;
    if (r.kind == Kind::Any || (r.kind == Kind::Name && r.name == origin.host) ||
        (r.kind == Kind::Below && origin.host.ends_with(r.name)) ||
        (r.kind == Kind::Range && address && address->within(r.prefix, r.bits)))
      return true;
  }
  return ask && ask(origin);
}

bool HttpRules::allows(const HttpOrigin& origin, const Address& address) const {
  if (all_) return true;
  if (const std::optional<Address> same = Address::parse(origin.host); same && *same == address)
    return allows(origin);
  if (!allows(origin)) return false;
  if (address.is_global()) return true;
  for (const Rule& r : rules_) {
    if (!fits(r, origin)) continue;
    if (r.kind == Kind::Any || (r.kind == Kind::Range && address.within(r.prefix, r.bits)))
      return true;
    if (r.kind == Kind::Name && r.name == origin.host &&
        (std::find(r.known.begin(), r.known.end(), address) != r.known.end() ||
         (is_localhost(r.name) && is_loopback(address))))
      return true;
  }
  return ask && ask({origin.tls, address.text(), origin.port});
}

}  // namespace wafer::host
