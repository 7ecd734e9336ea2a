#include "host/network.h"

#include <netdb.h>

#include <algorithm>
#include <charconv>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <tuple>

namespace wafer::host {

bool parse_number(std::string_view text, unsigned most, unsigned& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= most;
}

std::string lower_case(std::string_view text) {
  std::string s(text);
  for (char& c : s)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return s;
}

bool parse_ports(std::string_view text, unsigned& low, unsigned& high) {
  low = 0;
  high = 65535;
  if (text == "*") return true;
  const size_t dash = text.find('-');
  if (!parse_number(text.substr(0, dash), 65535, low)) return false;
  high = low;
  return dash == std::string_view::npos ||
         (parse_number(text.substr(dash + 1), 65535, high) && low <= high);
}

Result<void> Network::allow(Use use, std::string_view text) {
  const auto bad = [&] {
    return Error(ErrorKind::Usage,
                 "not HOST:PORT, with an address, a range or a name: '" + std::string(text) + "'");
  };
  std::string_view host, port;
  Rule rule{use, false, {}, 0, 0, 0};
  if (!split_port(text, host, port) || host.empty() || !parse_ports(port, rule.low, rule.high))
    return bad();
  if (host == "*") {
    rule.any_address = true;
    rules_.push_back(rule);
    return {};
  }
  const size_t slash = host.find('/');
  std::string_view literal = host.substr(0, slash);
  if (literal.size() >= 2 && literal.front() == '[' && literal.back() == ']')
    literal = literal.substr(1, literal.size() - 2);
  if (const std::optional<Address> address = Address::parse(literal)) {
    rule.prefix = *address;
    rule.bits = address->v6 ? 128 : 32;
    if (slash != std::string_view::npos &&
        !parse_number(host.substr(slash + 1), rule.bits, rule.bits))
      return bad();
    rules_.push_back(rule);
    return {};
  }
  if (slash != std::string_view::npos || host.find(':') != std::string_view::npos) return bad();
  const Outcome<std::vector<Address>> found = look_up(std::string(host));
  if (!found) return io_error("cannot look up '" + std::string(host) + "'", found.status());
  for (const Address& address : *found) {
    rule.prefix = address;
    rule.bits = address.v6 ? 128 : 32;
    rules_.push_back(rule);
  }
  names_.insert(lower_case(host));
  return {};
}

bool Network::allows(Use use, const Endpoint& endpoint) const {
  if (all_) return true;
  // Who may send needs a port to send from.
  if (use == Use::UdpBind && endpoint.port == 0 &&
      std::any_of(rules_.begin(), rules_.end(),
                  [](const Rule& r) { return r.use == Use::UdpSend; }))
    return true;
  for (const Rule& r : rules_)
    if (r.use == use && endpoint.port >= r.low && endpoint.port <= r.high &&
        (r.any_address || endpoint.address.within(r.prefix, r.bits)))
      return true;
  return ask && ask(use, endpoint);
}

bool Network::allows_lookup(std::string_view name) const {
  return lookup_ || names_.contains(lower_case(name));
}

Outcome<std::vector<Address>> look_up(const std::string& name) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;  // each address once
#if defined(AI_IDN)
  hints.ai_flags = AI_IDN;
#endif
  addrinfo* found = nullptr;
  switch (getaddrinfo(name.c_str(), nullptr, &hints, &found)) {
    case 0:
      break;
    case EAI_NONAME:
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#endif
      return Status(ENOENT);
    case EAI_AGAIN:
      return Status(EAGAIN);
    default:
      return Status(EIO);
  }
  std::vector<Address> addresses;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    sockaddr_storage storage = {};
    if (a->ai_addrlen > sizeof(storage)) continue;
    std::copy_n(reinterpret_cast<const char*>(a->ai_addr), a->ai_addrlen,
                reinterpret_cast<char*>(&storage));
    const std::optional<Endpoint> e = Endpoint::from(storage);
    if (e && std::find(addresses.begin(), addresses.end(), e->address) == addresses.end())
      addresses.push_back(e->address);
  }
  freeaddrinfo(found);
  if (addresses.empty()) return Status(ENOENT);
  return addresses;
}

struct Lookup::State {
  std::mutex mutex;
  Loop* loop = nullptr;  // null: nobody wants to know
  std::shared_ptr<void> busy;
  std::shared_ptr<Signal> done = std::make_shared<Signal>();
  std::optional<Outcome<std::vector<Address>>> result;
};

// Threads that look names up, and what waits for one of them.
struct Lookup::Queue {
  std::mutex mutex;
  int threads = 0;
  std::list<std::pair<std::shared_ptr<State>, std::string>> waiting;

  // It outlives the threads, which nobody waits for.
  static Queue& get() {
    static Queue& queue = *new Queue;
    return queue;
  }
  // False if there is no thread for it, or too many wait already.
  bool add(const std::shared_ptr<State>& state, std::string name) {
    const std::lock_guard lock(mutex);
    if (threads < kMost) {
      try {
        std::thread([this, state, name] { run(state, name); }).detach();
        ++threads;
        return true;
      } catch (const std::system_error&) {
        if (threads == 0) return false;
      }
    }
    if (waiting.size() >= kMostWaiting) return false;
    waiting.emplace_back(state, std::move(name));
    return true;
  }
  void remove(const std::shared_ptr<State>& state) {
    const std::lock_guard lock(mutex);
    waiting.remove_if([&](const auto& w) { return w.first == state; });
  }
  void run(std::shared_ptr<State> state, std::string name) {
    for (;;) {
      Outcome<std::vector<Address>> result = look_up(name);
      {
        const std::lock_guard lock(state->mutex);
        if (state->loop)
          state->loop->post([state, result = std::move(result)]() mutable {
            state->result = std::move(result);
            state->busy.reset();
            state->done->set();
          });
      }
      const std::lock_guard lock(mutex);
      if (waiting.empty()) {
        --threads;
        return;
      }
      std::tie(state, name) = std::move(waiting.front());
      waiting.pop_front();
    }
  }
};

Lookup::Lookup(Loop& loop, std::string name) : state_(std::make_shared<State>()) {
  pollable_ = state_->done;
  state_->loop = &loop;
  state_->busy = loop.busy();
  if (Queue::get().add(state_, std::move(name))) return;
  state_->busy.reset();
  state_->result = Status(EAGAIN);
  state_->done->set();
}

Lookup::Lookup(std::vector<Address> addresses) : state_(std::make_shared<State>()) {
  state_->result = std::move(addresses);
  pollable_ = always_ready();
}

Lookup::~Lookup() {
  if (!state_->result) Queue::get().remove(state_);
  const std::lock_guard lock(state_->mutex);
  state_->loop = nullptr;
  state_->busy.reset();
}

const Outcome<std::vector<Address>>* Lookup::result() const {
  return state_->result ? &*state_->result : nullptr;
}

}  // namespace wafer::host
