#include "shim/loop.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

namespace wafer::shim {

Loop::Loop() : epoll_(take_opened(epoll_create1(EPOLL_CLOEXEC))) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals_ = take_opened(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  watch(signals_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info[16];
    while (read(signals_.get(), info, sizeof info) > 0) continue;
    reap();
  });
}

void Loop::watch(int fd, uint32_t events, Handler handler) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const bool known = handlers_.count(fd) != 0;
  handlers_[fd] = std::make_shared<Handler>(std::move(handler));
  epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
}

void Loop::change(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::forget(int fd) {
  if (handlers_.erase(fd)) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

uint64_t Loop::after(std::chrono::milliseconds delay, std::function<void()> handler) {
  const uint64_t id = ++last_timer_;
  timers_.emplace(Clock::now() + delay, std::make_pair(id, std::move(handler)));
  return id;
}

void Loop::cancel(uint64_t timer) {
  std::erase_if(timers_, [timer](const auto& t) { return t.second.first == timer; });
}

Later<int> Loop::ended(pid_t pid) {
  Later<int> later;
  if (const auto it = unclaimed_.find(pid); it != unclaimed_.end()) {
    later.set(it->second);
    unclaimed_.erase(it);
  } else {
    children_.insert_or_assign(pid, later);
  }
  return later;
}

void Loop::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    const auto it = children_.find(pid);
    if (it == children_.end()) {
      if (expected_) unclaimed_[pid] = status;
      continue;
    }
    const Later<int> later = it->second;
    children_.erase(it);
    later.set(status);
  }
}

// Calls what is due; gives how long to wait for the next, in milliseconds, or -1.
int Loop::run_timers() {
  while (!timers_.empty() && !stopped_) {
    const auto first = timers_.begin();
    const auto now = Clock::now();
    if (first->first > now) {
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(first->first - now);
      return int(std::min<int64_t>(wait.count(), 3'600'000));
    }
    const auto handler = std::move(first->second.second);
    timers_.erase(first);
    handler();
  }
  return -1;
}

void Loop::run() {
  stopped_ = false;
  while (!stopped_) {
    const int wait = run_timers();
    if (stopped_) break;
    epoll_event events[64];
    const int n = epoll_wait(epoll_.get(), events, 64, wait);
    for (int i = 0; i < n && !stopped_; ++i) {
      const auto it = handlers_.find(events[i].data.fd);
      if (it == handlers_.end()) continue;  // forgotten by one before
      const std::shared_ptr<Handler> handler = it->second;
      (*handler)(events[i].events);
    }
  }
}

}  // namespace wafer::shim
