// What of the network may be used: nothing, unless a rule allows it.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "host/address.h"
#include "host/loop.h"

namespace wafer::host {

// What rules are made of: a decimal number up to `most`; "80", "8000-8080", "*".
bool parse_number(std::string_view text, unsigned most, unsigned& value);
bool parse_ports(std::string_view text, unsigned& low, unsigned& high);
// Of ASCII.
std::string lower_case(std::string_view text);

class Network {
 public:
  enum class Use : uint8_t { TcpConnect, TcpListen, UdpSend, UdpBind };

  // Everything, name lookup too.
  void allow_all() { all_ = lookup_ = true; }
  // A rule "HOST:PORT": HOST is an address ("127.0.0.1", "[::1]"), a range of them
  // ("10.0.0.0/8", "[fd00::]/8"), "*", or a name, which is looked up now and which the guest may
  // look up then; PORT is a number, a range ("8000-8080") or "*". Errors: Usage for what is no
  // such rule; Io for a name that is not known.
  Result<void> allow(Use use, std::string_view rule);
  // Looking up any name.
  void allow_lookup() { lookup_ = true; }
  // For embedders: asked about what no rule allows.
  std::function<bool(Use, const Endpoint&)> ask;

  bool allows(Use use, const Endpoint& endpoint) const;
  bool allows_lookup(std::string_view name) const;

 private:
  struct Rule {
    Use use;
    bool any_address;
    Address prefix;
    unsigned bits;
    unsigned low, high;  // ports
  };
  std::vector<Rule> rules_;
  std::set<std::string, std::less<>> names_;
  bool all_ = false, lookup_ = false;
};

// All addresses of a name, by the system's resolver, which may take its time. ENOENT if there
// are none, EAGAIN if asking again may help, EIO if not.
Outcome<std::vector<Address>> look_up(const std::string& name);

// A look_up() that goes on beside the loop. Dropping it forgets it.
class Lookup {
 public:
  // At most kMost go on at once, and kMostWaiting wait for them; beyond, and without a thread for
  // it, it fails with EAGAIN.
  Lookup(Loop& loop, std::string name);
  // One that is answered already.
  explicit Lookup(std::vector<Address> addresses);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  const PollableRef& pollable() const { return pollable_; }
  // Null until it is there.
  const Outcome<std::vector<Address>>* result() const;
  static constexpr int kMost = 64;
  static constexpr size_t kMostWaiting = 1024;

 private:
  struct State;
  struct Queue;
  std::shared_ptr<State> state_;
  PollableRef pollable_;
};

}  // namespace wafer::host
