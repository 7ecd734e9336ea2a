// A thread that serves: its loop, its connections, and the guests that run on it.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <mutex>
#include <set>

#include "host/http/tls.h"
#include "serve/invocation.h"
#include "serve/metrics.h"
#include "serve/session.h"

namespace wafer::serve {

class Worker {
 public:
  Worker(const Options& options, host::Process& process, Metrics& metrics);
  ~Worker();

  // Takes over a listening descriptor.
  void listen(int fd);
  void set(Application application);
  Application application() const;
  // For connections from now on; null: no TLS.
  void set(std::shared_ptr<host::TlsContext> tls);
  std::shared_ptr<host::TlsContext> tls() const;
  void run();
  // A connection of a client; on the worker's thread, as run() does with those it accepts.
  void take(boost::asio::ip::tcp::socket socket);
  // From any thread.
  void stop();

  // ---- For connections, on the worker's thread
  Surroundings surroundings() {
    return {loop_, process_, linker_, types_0_2_, types_0_3_, guests_, options_.limits, metrics_};
  }
  const Options& options() const { return options_; }
  Metrics& metrics() { return metrics_; }
  boost::asio::io_context& context() { return loop_.context(); }
  host::Loop& loop() { return loop_; }
  bool stopping() const { return stopping_; }
  // Nothing runs any more.
  bool ended() const { return ended_; }
  // Room for a moment, of kScratch bytes.
  static constexpr size_t kScratch = 64 << 10;
  MutableBytes scratch() {
    scratch_.resize(kScratch);
    return scratch_;
  }
  void remove(Session& session);
  // `next` goes on where `session` has nothing more to do.
  void replace(Session& session, std::shared_ptr<Session> next);
  // Something has to happen to the session in that time: otherwise late() is called, soon after.
  // One timer is for all sessions, and set anew only for what comes before it.
  void expect(Session& session, std::chrono::milliseconds time);
  // Has the session send what it has after what else there is to do now: many that send one after
  // the other find their clients' threads awake, and waking one costs as much as sending.
  void send_soon(std::shared_ptr<Session> session);
  // While it is watched, an invocation is interrupted when its time is up.
  void watch(const std::shared_ptr<Invocation>& invocation,
             std::chrono::steady_clock::time_point deadline);
  void unwatch(const Invocation& invocation);
  void log_error(const std::string& message);

 private:
  void accept();
  void drain();
  void watch_clock();
  void watch_deadlines(std::chrono::steady_clock::time_point first);

  const Options& options_;
  host::Process& process_;
  Metrics& metrics_;
  host::Loop loop_;
  component::ComponentLinker linker_;
  wasi::ResourceTypes types_0_2_, types_0_3_;
  GuestPool guests_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer timer_, deadline_timer_;
  std::chrono::steady_clock::time_point looks_at_ = Session::kNever;  // the deadlines
  std::set<std::shared_ptr<Session>> sessions_;
  std::vector<std::shared_ptr<Session>> senders_;
  bool stopping_ = false;
  std::vector<uint8_t> scratch_;

  mutable std::mutex mutex_;
  Application application_;
  std::shared_ptr<host::TlsContext> tls_;
  std::vector<std::pair<std::shared_ptr<Invocation>, std::chrono::steady_clock::time_point>>
      watched_;
  bool ended_ = false;
  std::thread watcher_;
};

}  // namespace wafer::serve
