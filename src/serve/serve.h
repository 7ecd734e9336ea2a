// HTTP served by a component: by `wasi:http/handler` of WASI 0.3, whose instances answer many
// requests, or `wasi:http/incoming-handler` of 0.2, with a fresh instance for each request.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "component/component.h"
#include "host/process.h"
#include "runtime/store.h"

namespace wafer::serve {

struct Limits {
  size_t header_bytes = 64 << 10;
  std::optional<uint64_t> body_bytes;              // of a request
  size_t connections = 20'000;                     // in all; more wait to be accepted
  size_t requests = 4096;                          // at once, in all; more are answered by 503
  std::chrono::milliseconds header_time{10'000};   // for a header to come in whole
  std::chrono::milliseconds idle_time{75'000};     // between requests
  std::chrono::milliseconds body_time{30'000};     // without a byte of a body, either way
  std::chrono::milliseconds request_time{60'000};  // of the guest's, from request to response's end
  std::optional<uint64_t> fuel;                    // of one request
  size_t instance_reuse = 1024;                    // requests that an instance of 0.3 answers,
  size_t concurrent = 16;                          // and how many of them at once
  runtime::StoreLimits store;
  std::chrono::milliseconds drain_time{30'000};  // for requests under way at the end
};

struct Options {
  std::string address = "127.0.0.1:8080";
  unsigned threads = 0;  // 0: as many as there are processors
  host::Config surroundings;
  Limits limits;
  // A line of the access log, without its end; null: none. Called by any thread.
  std::function<void(const std::string&)> access_log;
  bool json_log = false;
  // A certificate with what it is issued by, and its key, in PEM; empty: no TLS.
  std::string tls_certificate, tls_key;
  bool http2 = true;
  // Where metrics and the state of the server are told; empty: nowhere.
  std::string admin_address;
  // What goes wrong with a request; called by any thread.
  std::function<void(const std::string&)> error_log;
};

// Whose handler of requests a component exports.
enum class Generation : uint8_t { Wasi_0_2, Wasi_0_3 };

// What is served: a component, with the engine that runs it.
struct Application {
  std::shared_ptr<runtime::Engine> engine;
  std::shared_ptr<const component::Component> component;
  std::optional<Generation> generation;  // of check(); the server finds out if there is none
};

// How `component` is served; Unlinkable or Usage if it cannot be.
Result<Generation> check(const component::Component& component);

class Worker;
class Admin;

class Server {
 public:
  explicit Server(Options options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Listens. The engine has to be interruptible. Errors: Io, Usage, of check().
  Result<void> open(Application application);
  // Where it listens ("127.0.0.1:8080"), for port 0.
  const std::string& address() const { return address_; }
  const std::string& admin_address() const;
  // Serves until stop(), and then until requests under way are done.
  void run();
  // From any thread, or a signal handler's thread.
  void stop();
  // New requests go to this one, and new connections have the certificate that is there now.
  // Errors as of open(), after which all stays as it is.
  Result<void> reload(Application application);
  // Counts a reload for which there was no application.
  void reload_failed();

 private:
  Options options_;
  std::string address_;
  host::Process process_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace wafer::serve
