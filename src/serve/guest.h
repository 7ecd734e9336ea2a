// A component at work on a worker's loop: its store, and the hosts of both generations of WASI.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "component/run/linker.h"
#include "component/run/snapshot.h"
#include "serve/metrics.h"
#include "serve/serve.h"
#include "wasi/bind/http.h"
#include "wasi/p2/p2.h"
#include "wasi/p3/p3.h"

namespace wafer::serve {

using wasi::HttpAnswer;

class Guest;
class GuestPool;
class Invocation;

// What a thread needs for guests.
struct Surroundings {
  host::Loop& loop;
  host::Process& process;
  const component::ComponentLinker& linker;
  const wasi::ResourceTypes& types_0_2;
  const wasi::ResourceTypes& types_0_3;
  GuestPool& guests;
  const Limits& limits;
  Metrics& metrics;
};

// By which handler a component answers. Errors: Usage if by none, Unlinkable if the handler is of
// another type than the interface's.
Result<Generation> generation_of(const component::Component& component);

class Guest : public std::enable_shared_from_this<Guest> {
 public:
  Guest(const Surroundings& surroundings, Application application);
  ~Guest();
  // Errors: Unlinkable, Trap.
  Result<void> instantiate();

  // Makes it what it was before its request, for the next one: as good as a new one. False if it
  // cannot be.
  bool renew();
  // Whether it is of this application, in which nothing has run yet.
  bool fresh_for(const Application& application) const {
    return !dead_ && used_ == 0 && is_of(application);
  }
  bool is_of(const Application& application) const {
    return application.component == application_.component;
  }

  // By the handler of 0.3, it answers several requests, also at once.
  bool reusable() const { return reusable_; }
  // It is to have no more requests.
  void retire() { late_ = true; }
  // Whether it may have one more.
  bool accepts(const Application& application) const;
  const component::ExportedFunc& handle() const { return handle_; }

  void add(Invocation& invocation);
  // `done`: it has its result. What has none is cancelled, and has a while to end; a guest that
  // takes too long over one request gets no more of them.
  void remove(Invocation& invocation, bool done, bool late);
  // Of one that was removed before, by its admission.
  void finished(const void* admission) { abandoned_.erase(admission); }
  // Does `first`, then what has become ready, until it waits; a trap fails all invocations.
  void run(const Function<runtime::TrapCode()>& first);
  // From any thread: stops it, if it has been running for a while now, and says so before.
  void interrupt(std::atomic<bool>& stopped);
  // The same for what nobody waits for.
  void interrupt_abandoned();
  // What is told of an invocation whose time is up.
  std::string interruption();

  component::ComponentStore& components() { return components_; }
  wasi::p2::Host& host_0_2() { return host_0_2_; }
  wasi::p3::Host& host_0_3() { return host_0_3_; }
  // For its pool.
  bool idle() const { return active_.empty(); }
  bool unused() const { return !busy(); }
  bool over() const { return dead_ || (used_up() && idle() && !busy()); }

 private:
  bool used_up() const {
    return late_ || used_ >= s_.limits.instance_reuse || abandoned_.size() >= s_.limits.concurrent;
  }
  void abandon(Invocation& invocation);
  void cancel_abandoned();
  void tidy();
  void refuel();
  // Whether tasks of it are left.
  bool busy() const;
  int64_t now() const;

  Surroundings s_;
  Application application_;
  runtime::Store store_;
  component::ComponentStore components_;
  wasi::p2::Host host_0_2_;
  wasi::p3::Host host_0_3_;
  component::ExportedFunc handle_;
  std::optional<component::ComponentSnapshot> snapshot_;  // of a fresh one, for 0.2
  int64_t fuel_ = 0;                                      // that it had left then
  std::vector<Invocation*> active_;
  size_t used_ = 0;
  // Requests that it is at, of nobody, by their admissions.
  struct Abandoned {
    host::WaitRef time;
    component::OnCancel cancel;  // null: it was
  };
  std::map<const void*, Abandoned> abandoned_;
  const bool reusable_;
  bool dead_ = false, late_ = false;
  bool stuck_ = false;                  // with what was cancelled
  bool well_ = true;                    // nothing went wrong in it
  bool again_ = false;                  // to be given back when it does not run any more
  bool tidies_ = false;                 // then others are looked after
  std::vector<Invocation*> looked_at_;  // after a turn
  bool running_ = false, waiting_ = false, scheduled_ = false, looking_ = false;
  std::atomic<int64_t> running_since_{0};
  host::WaitRef linger_;
};

// The guests of a worker that may have more requests.
class GuestPool {
 public:
  // One that has room, or a new one.
  Result<std::shared_ptr<Guest>> take(const Surroundings& surroundings,
                                      const Application& application);
  // Lets go of what is over, and of all but one that have nothing to do.
  void tidy();
  // From now on requests are of this application: lets go of guests of others, at the latest when
  // they have nothing to do.
  void change_to(Application application);
  // Takes a guest of 0.2 back, whose request is over.
  void give(std::shared_ptr<Guest> guest);
  // How guests of a component take it that a request is cancelled. Until that is known, one is
  // asked only while no other request would end with it.
  enum class Cancelling : uint8_t { Unknown, Ends, Traps };
  Cancelling cancelling(const Application& application) const {
    return known_.lock() == application.component ? cancelling_ : Cancelling::Unknown;
  }
  void set_cancelling(const Application& application, Cancelling cancelling) {
    known_ = application.component;
    cancelling_ = cancelling;
  }
  // While it runs, with requests of nobody in it; null: not any more.
  void watch(Guest* guest) {
    const std::lock_guard lock(mutex_);
    watched_ = guest;
  }
  // From any thread: stops what is watched, if that takes too long.
  void interrupt_abandoned() {
    const std::lock_guard lock(mutex_);
    if (watched_) watched_->interrupt_abandoned();
  }
  void clear() {
    guests_.clear();
    fresh_.clear();
  }

 private:
  // Guests that wait for their request; the rest is made anew when it is needed.
  static constexpr size_t kMostFresh = 64;
  Application current_;
  std::vector<std::shared_ptr<Guest>> guests_;
  std::vector<std::shared_ptr<Guest>> fresh_;
  std::weak_ptr<const component::Component> known_;
  Cancelling cancelling_ = Cancelling::Unknown;
  std::mutex mutex_;
  Guest* watched_ = nullptr;
};

}  // namespace wafer::serve
