#include "shim/http.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace wafer::shim {

namespace {

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGQUIT}) sigaddset(&set, number);
  return set;
}

}  // namespace

std::string http_address(const std::string& said) {
  if (said.empty()) return "0.0.0.0:8080";
  const bool port =
      std::all_of(said.begin(), said.end(), [](char c) { return c >= '0' && c <= '9'; });
  return port ? "0.0.0.0:" + said : said;
}

bool HttpProgram::is(const component::Component& component) {
  bool handles = false;
  for (const component::NamedEntity& e : component.shape().exports) {
    const std::string_view name(e.name);
    if (name.starts_with("wasi:cli/run@")) return false;
    handles |=
        name.starts_with("wasi:http/incoming-handler@") || name.starts_with("wasi:http/handler@");
  }
  return handles;
}

bool HttpProgram::sends_requests(const component::Component& component) {
  for (const component::NamedEntity& e : component.shape().imports)
    for (const char* interface : {"outgoing-handler@", "handler@", "client@"})
      if (std::string_view(e.name).starts_with(std::string("wasi:http/") + interface)) return true;
  return false;
}

Result<void> HttpProgram::open(serve::Application application, host::Config surroundings,
                               HttpSettings settings) {
  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  serve::Options options;
  options.address = std::move(settings.address);
  options.threads = settings.threads;
  options.surroundings = std::move(surroundings);
  options.surroundings.stdin_source = host::Input::null();
  options.limits = settings.limits;
  options.error_log = std::move(settings.error_log);
  server_ = std::make_unique<serve::Server>(std::move(options));
  return server_->open(std::move(application));
}

int HttpProgram::run() {
  std::atomic<bool> ended{false};
  std::thread waiter([&] {
    const sigset_t signals = ending_signals();
    for (bool again = false;; again = true) {
      int number = 0;
      if (sigwait(&signals, &number) != 0) continue;
      if (ended) return;
      if (again) _exit(128 + number);
      server_->stop();
    }
  });
  server_->run();
  ended = true;
  pthread_kill(waiter.native_handle(), SIGTERM);
  waiter.join();
  return 0;
}

Result<void> HttpProgram::reload(serve::Application application) {
  return server_->reload(std::move(application));
}

}  // namespace wafer::shim
