// Connections of one loop to servers, in use and idle.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "host/http/client.h"
#include "host/http/tls.h"
#include "host/loop.h"
#include "host/network.h"

namespace wafer::host {

// What all loops share.
struct ClientShared {
  HttpClientOptions options;
  // Made by the first that needs it: reading the system's certificates takes a while.
  Outcome<std::shared_ptr<TlsContext>> tls();
  std::mutex mutex;
  std::shared_ptr<TlsContext> context;
  bool failed = false;
};

// Gets a connection to an origin: name, address, TLS. Dropping it ends it.
class Dial {
 public:
  // A connection, which counts as open for as long as `slot` is kept.
  struct Made {
    ChannelRef channel;
    std::shared_ptr<void> slot;
  };
  using Done = std::function<void(Outcome<Made>)>;
  // Calls `done` once, from the loop. `timeout` in nanoseconds.
  Dial(ClientShared& shared, Loop& loop, const HttpOrigin& origin, std::shared_ptr<void> slot,
       uint64_t timeout, Done done);
  ~Dial();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// What goes on at a connection, until the pool has it no more.
class PoolUser {
 public:
  virtual ~PoolUser() = default;
};

class Multiplex;

class Pool {
 public:
  Pool(std::shared_ptr<ClientShared> shared, Loop& loop);
  ~Pool();

  ClientShared& shared() { return *shared_; }
  Loop& loop() { return loop_; }
  // An idle connection; null if there is none.
  Dial::Made take(const HttpOrigin& origin);
  void give(const HttpOrigin& origin, Dial::Made made);
  // A connection by HTTP/2 that takes one more request; null if there is none.
  std::shared_ptr<Multiplex> multiplexed(const HttpOrigin& origin);
  // One that was just made, or one that there is already; null if it cannot be.
  std::shared_ptr<Multiplex> multiplex(const HttpOrigin& origin, Dial::Made made);
  void forget(const std::shared_ptr<Multiplex>& connection);
  // Counts one more; null if there are too many.
  std::shared_ptr<void> slot();

  void keep(std::shared_ptr<PoolUser> user) { users_.insert(std::move(user)); }
  // Ends it, but not within this call.
  void release(const std::shared_ptr<PoolUser>& user);

 private:
  struct Idle {
    HttpOrigin origin;
    Dial::Made made;
    uint64_t since;
  };
  static bool usable(Channel& channel);
  void sweep();
  void sweep_soon();

  std::shared_ptr<ClientShared> shared_;
  Loop& loop_;
  std::list<Idle> idle_;  // the latest first
  std::list<std::pair<HttpOrigin, std::shared_ptr<Multiplex>>> multiplexed_;
  std::shared_ptr<size_t> open_ = std::make_shared<size_t>(0);
  std::set<std::shared_ptr<PoolUser>> users_;
  boost::asio::steady_timer timer_;
  bool sweeping_ = false;
};

}  // namespace wafer::host
