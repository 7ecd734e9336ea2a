// The event loop: what waits for files, sockets, timers and others is told there.
#pragma once

#include <cstdint>
#include <memory>

#include "base/function.h"
#include "host/fs.h"

namespace boost::asio {
class io_context;
}

namespace wafer::host {

// Belongs to one thread at a time: that calls run() and whatever else waits on it; only post()
// and stop() are for any thread.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Does what comes, until there is nothing to wait for or stop() is called.
  void run();
  // Does what is ready, or else waits for something. False when there is nothing to wait for,
  // or after stop().
  bool run_one();
  // The same, waiting at most so many nanoseconds.
  bool run_one_for(uint64_t nanoseconds);
  // Does what is ready, without waiting.
  void run_ready();
  // Has `f` called from the loop, soon.
  void post(Function<void()> f);
  // run_one() returns, now or as soon as it is called, until restart().
  void stop();
  void restart();
  // Something under way outside (another thread, say) that will post(): the loop waits for it.
  std::shared_ptr<void> busy();
  // Keeps `work` until it is released: what goes on although nobody asks for it any more, as
  // sending the rest of a stream. finish() waits for it, for so many nanoseconds at most.
  void keep(std::shared_ptr<void> work);
  void release(const void* work);
  void finish(uint64_t nanoseconds);
  boost::asio::io_context& context();
  // What `owner` keeps for this loop, and ends with it; null at first.
  std::shared_ptr<void>& of(const void* owner);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A wait that is under way: dropping it ends it, and nothing is called.
class Wait {
 public:
  virtual ~Wait() = default;
};
using WaitRef = std::unique_ptr<Wait>;

// Something that is ready, or will be.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual bool ready() = 0;
  // Calls `then` once, from the loop, when ready() is worth asking again.
  virtual WaitRef wait(Loop& loop, Function<void()> then) = 0;
};
using PollableRef = std::shared_ptr<Pollable>;

PollableRef always_ready();
// Ready once host::monotonic_now() is `deadline`.
PollableRef timer(uint64_t deadline);
// Ready when `file` can be read (or written), or failed. Files without a descriptor always are.
PollableRef readiness(std::shared_ptr<Node> file, bool write);

// What others make ready, from the thread of the loop: a queue that is filled, a result that
// comes.
class Signal final : public Pollable {
 public:
  explicit Signal(bool set = false) : set_(set) {}
  ~Signal() override;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  bool ready() override { return set_; }
  WaitRef wait(Loop& loop, Function<void()> then) override;
  void set();
  void clear() { set_ = false; }

 private:
  struct Waiter;
  bool set_;
  Waiter* waiters_ = nullptr;
  friend struct Waiter;
};

}  // namespace wafer::host
