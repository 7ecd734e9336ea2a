// The shim's event loop: descriptors, timers and child processes, in one thread.
#pragma once

#include <sys/epoll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/descriptor.h"
#include "shim/async.h"

namespace wafer::shim {

class Loop {
 public:
  using Handler = std::function<void(uint32_t events)>;

  // Blocks SIGCHLD, which the loop takes itself.
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Calls `handler` while `fd` has one of `events` (EPOLLIN, ...; level-triggered), until
  // forget(fd), which comes before close(fd).
  void watch(int fd, uint32_t events, Handler handler);
  void change(int fd, uint32_t events);
  void forget(int fd);

  // Calls `handler` once, unless it is cancelled before.
  uint64_t after(std::chrono::milliseconds delay, std::function<void()> handler);
  void cancel(uint64_t timer);

  // The wait status of the child `pid`, once it has ended. Ends of children that nobody has asked
  // for are kept while expect_child() says that one may be: its number arrives after its end.
  Later<int> ended(pid_t pid);
  void expect_child(bool yes) {
    expected_ += yes ? 1 : -1;
    if (expected_ == 0) unclaimed_.clear();
  }

  // Runs until stop().
  void run();
  void stop() { stopped_ = true; }

 private:
  void reap();
  int run_timers();
  using Clock = std::chrono::steady_clock;
  UniqueFd epoll_, signals_;
  std::unordered_map<int, std::shared_ptr<Handler>> handlers_;
  std::multimap<Clock::time_point, std::pair<uint64_t, std::function<void()>>> timers_;
  uint64_t last_timer_ = 0;
  std::unordered_map<pid_t, Later<int>> children_;
  std::unordered_map<pid_t, int> unclaimed_;
  int expected_ = 0;
  bool stopped_ = false;
};

}  // namespace wafer::shim
