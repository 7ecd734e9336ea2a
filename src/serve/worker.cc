#include "serve/worker.h"

#include <sys/socket.h>

#include <algorithm>

namespace wafer::serve {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

Worker::Worker(const Options& options, host::Process& process, Metrics& metrics)
    : options_(options),
      process_(process),
      metrics_(metrics),
      types_0_2_(wasi::p2::add_to_linker(linker_)),
      types_0_3_(wasi::p3::add_to_linker(linker_)),
      acceptor_(loop_.context()),
      timer_(loop_.context()),
      deadline_timer_(loop_.context()) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  if (watcher_.joinable()) watcher_.join();
  while (!sessions_.empty()) {
    const std::shared_ptr<Session> session = *sessions_.begin();
    session->close();
  }
  guests_.clear();
  // What was put off: the ends of invocations.
  loop_.restart();
  loop_.run_ready();
}

void Worker::listen(int fd) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  acceptor_.assign(address.ss_family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), fd);
}

void Worker::set(Application application) {
  {
    const std::lock_guard lock(mutex_);
    application_ = std::move(application);
  }
  loop_.post([this] { guests_.change_to(this->application()); });
}

Application Worker::application() const {
  const std::lock_guard lock(mutex_);
  return application_;
}

void Worker::set(std::shared_ptr<host::TlsContext> tls) {
  const std::lock_guard lock(mutex_);
  tls_ = std::move(tls);
}

std::shared_ptr<host::TlsContext> Worker::tls() const {
  const std::lock_guard lock(mutex_);
  return tls_;
}

void Worker::take(asio::ip::tcp::socket socket) {
  ++metrics_.connections;
  ++metrics_.open;
  const auto session = make_session(*this, std::move(socket));
  sessions_.insert(session);
  session->start();
}

void Worker::accept() {
  acceptor_.async_accept(
      [this](const boost::system::error_code& error, asio::ip::tcp::socket socket) {
        if (stopping_) return;
        if (!error) take(std::move(socket));
        // Out of descriptors, or of what is allowed: others have to go first.
        const bool full = metrics_.open >= options_.limits.connections ||
                          (error && error != asio::error::connection_aborted);
        if (!full) return accept();
        timer_.expires_after(std::chrono::milliseconds(20));
        timer_.async_wait([this](const boost::system::error_code& e) {
          if (!e && !stopping_) accept();
        });
      });
}

void Worker::run() {
  watcher_ = std::thread([this] { watch_clock(); });
  accept();
  loop_.run();
}

void Worker::stop() {
  loop_.post([this] { drain(); });
}

void Worker::drain() {
  if (std::exchange(stopping_, true)) return loop_.stop();
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  timer_.expires_after(options_.limits.drain_time);
  timer_.async_wait([this](const boost::system::error_code& e) {
    if (!e) loop_.stop();
  });
  for (const std::shared_ptr<Session>& s : std::vector(sessions_.begin(), sessions_.end()))
    s->drain();
  if (sessions_.empty()) loop_.stop();
}

void Worker::remove(Session& session) {
  if (sessions_.erase(session.shared_from_this())) --metrics_.open;
  if (stopping_ && sessions_.empty()) loop_.post([this] { loop_.stop(); });
}

void Worker::replace(Session& session, std::shared_ptr<Session> next) {
  // It may be what is running just now.
  loop_.post([kept = session.shared_from_this()] {});
  sessions_.erase(session.shared_from_this());
  sessions_.insert(next);
  next->start();
  if (stopping_) next->drain();
}

void Worker::expect(Session& session, std::chrono::milliseconds time) {
  session.deadline = Clock::now() + time;
  watch_deadlines(session.deadline);
}

// Looks at all of them a little after the first.
void Worker::watch_deadlines(Clock::time_point first) {
  constexpr std::chrono::milliseconds kLater{50};
  if (first == Session::kNever || first >= looks_at_ - kLater) return;
  looks_at_ = first + kLater;
  deadline_timer_.expires_at(looks_at_);
  deadline_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    looks_at_ = Session::kNever;
    const auto now = Clock::now();
    std::vector<std::shared_ptr<Session>> late;
    auto next = Session::kNever;
    for (const std::shared_ptr<Session>& s : sessions_) {
      if (s->deadline <= now)
        late.push_back(s);
      else
        next = std::min(next, s->deadline);
    }
    watch_deadlines(next);
    for (const std::shared_ptr<Session>& s : late) {
      if (s->deadline > now) continue;
      s->deadline = Session::kNever;
      s->late();
    }
  });
}

void Worker::send_soon(std::shared_ptr<Session> session) {
  senders_.push_back(std::move(session));
  if (senders_.size() > 1) return;
  loop_.post([this] {
    std::vector<std::shared_ptr<Session>> now = std::exchange(senders_, {});
    for (const std::shared_ptr<Session>& s : now) s->send_now();
    now.clear();
    if (senders_.empty()) senders_ = std::move(now);  // its memory
  });
}

void Worker::watch(const std::shared_ptr<Invocation>& invocation, Clock::time_point deadline) {
  const std::lock_guard lock(mutex_);
  watched_.emplace_back(invocation, deadline);
}

void Worker::unwatch(const Invocation& invocation) {
  std::shared_ptr<Invocation> kept;  // ends outside of the lock
  const std::lock_guard lock(mutex_);
  const auto at = std::find_if(watched_.begin(), watched_.end(),
                               [&](const auto& w) { return w.first.get() == &invocation; });
  if (at == watched_.end()) return;
  kept = std::move(at->first);
  *at = std::move(watched_.back());
  watched_.pop_back();
}

// Interrupts what has run for too long, even while it keeps the worker's thread busy.
void Worker::watch_clock() {
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    guests_.interrupt_abandoned();
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    const auto now = Clock::now();
    for (auto& [invocation, deadline] : watched_) {
      if (deadline > now || invocation->interrupted()) continue;
      invocation->interrupt();
      // One that waits does not look.
      loop_.post([weak = std::weak_ptr(invocation)] {
        if (const auto i = weak.lock()) i->wake();
      });
    }
  }
}

void Worker::log_error(const std::string& message) {
  if (options_.error_log) options_.error_log(message);
}

}  // namespace wafer::serve
