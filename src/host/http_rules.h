// Where a guest may send HTTP requests: nowhere, unless a rule allows it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/address.h"

namespace wafer::host {

// An origin as requests name it.
struct HttpOrigin {
  bool tls = false;  // https
  std::string host;  // in lower case, without brackets
  uint16_t port = 0;

  // "HOST", "HOST:PORT", "[ADDRESS]:PORT"; the port is the scheme's unless it is given. None for
  // what is no such authority (RFC 3986, 3.2), or has a user in it.
  static std::optional<HttpOrigin> parse(bool tls, std::string_view authority);
  uint16_t default_port() const { return tls ? 443 : 80; }
  auto operator<=>(const HttpOrigin&) const = default;
};

// Requests are checked twice: by the host that they name, and by the address that it is found
// to have. What a name is allowed for ends at the internet at large: an address of this machine
// or a local network needs a rule of its own, or to be what the name stood for when the rule was
// made. So who answers for a name cannot lead a guest to somewhere else.
class HttpRules {
 public:
  // Everything.
  void allow_all() { all_ = true; }
  // A rule "[http://|https://]HOST[:PORT]": HOST is a name, "*.NAME" for all names below one, an
  // address ("127.0.0.1", "[::1]"), a range of them ("10.0.0.0/8", "[fd00::]/8"), or "*" for all;
  // PORT is a number, a range, or "*"; without it, the scheme's own. Names are looked up now.
  // Usage for what is no such rule.
  Result<void> allow(std::string_view rule);
  // For embedders: asked about a host that no rule allows, and then about an address that its
  // name does not lead to by the rules.
  std::function<bool(const HttpOrigin&)> ask;

  // Whether the host may be asked at all.
  bool allows(const HttpOrigin& origin) const;
  // Whether it may be at `address`.
  bool allows(const HttpOrigin& origin, const Address& address) const;

 private:
  enum class Kind : uint8_t { Any, Name, Below, Range };
  struct Rule {
    Kind kind = Kind::Any;
    bool http = true, https = true;
    bool default_port = true;
    unsigned low = 0, high = 0;  // ports otherwise
    std::string name;            // of Below: with the dot in front
    Address prefix;
    unsigned bits = 0;
    std::vector<Address> known;  // of Name: local ones that it stood for
  };
  static bool fits(const Rule& rule, const HttpOrigin& origin);
  std::vector<Rule> rules_;
  bool all_ = false;
};

}  // namespace wafer::host
