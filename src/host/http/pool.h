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
  // What it is at, for whoever has waited too long.
  HttpError late() const;

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

// A connection that somebody makes, and that others may have as well if it is by HTTP/2.
struct SharedDial {
  HttpOrigin origin;
  std::shared_ptr<Signal> over = std::make_shared<Signal>();
  // Once it is over: what was made, if others may have it; why nothing was.
  std::shared_ptr<Multiplex> made;
  Status failure;
  const Dial* dial = nullptr;  // until it is over
};

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
  // What somebody dials already, for who can wait for that; null: dial yourself.
  std::shared_ptr<SharedDial> shared_dial(const HttpOrigin& origin) const;
  // Has others wait until end_dial(). Null if they had nothing of it: the origin is not spoken to
  // by HTTP/2.
  std::shared_ptr<SharedDial> begin_dial(const HttpOrigin& origin);
  void end_dial(const std::shared_ptr<SharedDial>& dial, std::shared_ptr<Multiplex> made,
                Status failure);
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
  std::vector<std::shared_ptr<SharedDial>> dials_;
  std::list<HttpOrigin> single_;  // by TLS, and yet HTTP/1.1; the latest first
  std::shared_ptr<size_t> open_ = std::make_shared<size_t>(0);
  std::set<std::shared_ptr<PoolUser>> users_;
  boost::asio::steady_timer timer_;
  bool sweeping_ = false;
};

}  // namespace wafer::host
