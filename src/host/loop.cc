#include "host/loop.h"

#if defined(__linux__)
#include <sys/epoll.h>
#endif

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "host/clocks.h"
#include "host/poll.h"

namespace wafer::host {

namespace asio = boost::asio;

struct Loop::Impl {
  asio::io_context context{1};
  std::atomic<bool> stopped{false};
  std::vector<std::shared_ptr<void>> kept;
  std::map<const void*, std::shared_ptr<void>> owned;

  // Before anything is run: false after Loop::stop().
  bool begin() {
    // For want of work it has stopped, too; whoever stops it meanwhile is not overlooked.
    if (!stopped && context.stopped()) context.restart();
    return !stopped;
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() {
  impl_->owned.clear();
  impl_->kept.clear();
}

std::shared_ptr<void>& Loop::of(const void* owner) { return impl_->owned[owner]; }

asio::io_context& Loop::context() { return impl_->context; }

void Loop::run() {
  if (impl_->begin()) impl_->context.run();
}

bool Loop::run_one() { return impl_->begin() && impl_->context.run_one() > 0 && !impl_->stopped; }

bool Loop::run_one_for(uint64_t nanoseconds) {
  return impl_->begin() && impl_->context.run_one_for(std::chrono::nanoseconds(nanoseconds)) > 0 &&
         !impl_->stopped;
}

void Loop::run_ready() {
  if (impl_->begin()) impl_->context.poll();
}

void Loop::post(Function<void()> f) { asio::post(impl_->context, std::move(f)); }

void Loop::stop() {
  impl_->stopped = true;
  impl_->context.stop();
}

void Loop::restart() {
  impl_->stopped = false;
  impl_->context.restart();
}

void Loop::keep(std::shared_ptr<void> work) { impl_->kept.push_back(std::move(work)); }

void Loop::release(const void* work) {
  std::erase_if(impl_->kept, [&](const std::shared_ptr<void>& w) { return w.get() == work; });
}

void Loop::finish(uint64_t nanoseconds) {
  const uint64_t end = monotonic_now() + nanoseconds;
  bool late = false;
  const WaitRef limit = timer(end)->wait(*this, [&late] { late = true; });
  while (!impl_->kept.empty() && !late && run_one()) {
  }
}

std::shared_ptr<void> Loop::busy() {
  using Guard = asio::executor_work_guard<asio::io_context::executor_type>;
  return std::make_shared<Guard>(asio::make_work_guard(impl_->context));
}

namespace {

// What is called when an operation of asio is done, unless nobody waits any more.
struct Then {
  Function<void()> f;
  // Once; the wait may be dropped meanwhile.
  void call() {
    if (const Function<void()> once = std::exchange(f, nullptr)) once();
  }
};

class AlwaysReady final : public Pollable {
 public:
  bool ready() override { return true; }
  WaitRef wait(Loop& loop, Function<void()> then) override {
    auto shared = std::make_shared<Then>(Then{std::move(then)});
    loop.post([shared] { shared->call(); });
    return std::make_unique<Posted>(std::move(shared));
  }

 private:
  struct Posted final : Wait {
    explicit Posted(std::shared_ptr<Then> t) : then(std::move(t)) {}
    ~Posted() override { then->f = nullptr; }
    std::shared_ptr<Then> then;
  };
};

class Timer final : public Pollable {
 public:
  explicit Timer(uint64_t deadline) : deadline_(deadline) {}
  bool ready() override { return monotonic_now() >= deadline_; }
  WaitRef wait(Loop& loop, Function<void()> then) override {
    return std::make_unique<Running>(loop.context(), deadline_, std::move(then));
  }

 private:
  struct Running final : Wait {
    Running(asio::io_context& context, uint64_t deadline, Function<void()> f)
        : timer(context), then(std::make_shared<Then>(Then{std::move(f)})) {
      const uint64_t now = monotonic_now();
      // What is further away than that need not be told from never.
      constexpr uint64_t kLongest = uint64_t(365) * 86'400 * 1'000'000'000;
      const uint64_t left = deadline > now ? std::min(deadline - now, kLongest) : 0;
      timer.expires_after(std::chrono::nanoseconds(left));
      timer.async_wait([t = then](const boost::system::error_code& error) {
        if (!error) t->call();
      });
    }
    ~Running() override { then->f = nullptr; }
    asio::steady_timer timer;
    std::shared_ptr<Then> then;
  };
  uint64_t deadline_;
};

// A descriptor is watched through one of epoll's, so that its flags stay what they are: it may
// be shared with other processes.
class Readiness final : public Pollable {
 public:
  Readiness(std::shared_ptr<Node> file, bool write) : file_(std::move(file)), write_(write) {}

  bool ready() override {
    Interest interest{file_->fd(), write_};
    const Outcome<size_t> n = wait_ready({&interest, 1}, 0);
    return !n || *n > 0;
  }

  WaitRef wait(Loop& loop, Function<void()> then) override {
    constexpr auto kRead = asio::posix::stream_descriptor::wait_read;
#if defined(__linux__)
    UniqueFd watch = take_opened(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event = {};
    event.events = write_ ? EPOLLOUT : EPOLLIN;
    const auto what = kRead;
    if (!watch || epoll_ctl(watch.get(), EPOLL_CTL_ADD, file_->fd(), &event) != 0)
      return always_ready()->wait(loop, std::move(then));  // as files are
#else
    UniqueFd watch = duplicate(file_->fd());
    const auto what = write_ ? asio::posix::stream_descriptor::wait_write : kRead;
    if (!watch) return always_ready()->wait(loop, std::move(then));
#endif
    return std::make_unique<Watching>(loop.context(), std::move(watch), what, std::move(then));
  }

 private:
  struct Watching final : Wait {
    Watching(asio::io_context& context, UniqueFd watch,
             asio::posix::stream_descriptor::wait_type what, Function<void()> f)
        : descriptor(context, watch.release()), then(std::make_shared<Then>(Then{std::move(f)})) {
      descriptor.async_wait(what, [t = then](const boost::system::error_code& error) {
        if (error != asio::error::operation_aborted) t->call();
      });
    }
    ~Watching() override { then->f = nullptr; }
    asio::posix::stream_descriptor descriptor;
    std::shared_ptr<Then> then;
  };
  std::shared_ptr<Node> file_;
  bool write_;
};

}  // namespace

PollableRef always_ready() {
  static const PollableRef ready = std::make_shared<AlwaysReady>();
  return ready;
}

PollableRef timer(uint64_t deadline) { return std::make_shared<Timer>(deadline); }

PollableRef readiness(std::shared_ptr<Node> file, bool write) {
  if (file->fd() < 0) return always_ready();
  return std::make_shared<Readiness>(std::move(file), write);
}

// ---- Signal -------------------------------------------------------------------

struct Signal::Waiter final : Wait {
  Waiter(Loop& on, Signal& of, Function<void()> f)
      : loop(on), signal(&of), then(std::make_shared<Then>(Then{std::move(f)})) {}
  ~Waiter() override {
    then->f = nullptr;
    for (Waiter** at = signal ? &signal->waiters_ : nullptr; at && *at; at = &(*at)->next)
      if (*at == this) {
        *at = next;
        break;
      }
  }
  void fire() {
    signal = nullptr;
    loop.post([t = then] { t->call(); });
  }
  Loop& loop;
  Signal* signal;
  Waiter* next = nullptr;
  std::shared_ptr<Then> then;
};

Signal::~Signal() {
  for (Waiter* w = waiters_; w; w = w->next) w->signal = nullptr;
}

WaitRef Signal::wait(Loop& loop, Function<void()> then) {
  auto waiter = std::make_unique<Waiter>(loop, *this, std::move(then));
  if (set_) {
    waiter->fire();
  } else {
    waiter->next = waiters_;
    waiters_ = waiter.get();
  }
  return waiter;
}

void Signal::set() {
  set_ = true;
  while (Waiter* const waiter = waiters_) {
    waiters_ = waiter->next;
    waiter->fire();
  }
}

}  // namespace wafer::host
