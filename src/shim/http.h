// Containers whose program is a component that answers HTTP requests.
#pragma once

#include <memory>
#include <string>

#include "serve/serve.h"

namespace wafer::shim {

struct HttpSettings {
  std::string address;   // "ADDRESS:PORT"
  unsigned threads = 0;  // 0: as many as there are processors
  serve::Limits limits;
  // What goes wrong with a request; called by any thread.
  std::function<void(const std::string&)> error_log;
};

// Where a container serves, of what is said about it: "PORT", which is one of all addresses, or
// "ADDRESS:PORT"; empty for the usual one.
std::string http_address(const std::string& said);

class HttpProgram {
 public:
  // Whether a component has a handler of requests, and nothing to run.
  static bool is(const component::Component& component);
  // Whether it can send requests.
  static bool sends_requests(const component::Component& component);

  // Listens; what it is given of the host are `surroundings`. From here on signals that end a
  // program are for run(). Errors as of serve::Server::open.
  Result<void> open(serve::Application application, host::Config surroundings,
                    HttpSettings settings);
  // Serves until a signal comes, and then until requests under way are done; the second one ends
  // it at once. Gives the exit code.
  int run();
  // New requests go to that application. Errors as of serve::Server::reload.
  Result<void> reload(serve::Application application);

 private:
  std::unique_ptr<serve::Server> server_;
};

}  // namespace wafer::shim
