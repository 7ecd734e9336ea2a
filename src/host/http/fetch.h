// Requests over HTTP and HTTPS that are waited for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "host/http.h"

namespace wafer::host {

struct FetchRequest {
  std::string method = "GET";
  std::string url;  // http:// or https://
  std::map<std::string, std::string> headers;
  std::string body;
  uint64_t limit = 64u << 20;                    // of the answer's body
  std::function<void(uint64_t bytes)> progress;  // told how much of that body has come
};
struct FetchResponse {
  unsigned status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct Url {
  std::string scheme, authority, target;
  static Result<Url> parse(std::string_view text);
};

// For one thread.
class Fetch {
 public:
  // `patience`, in nanoseconds, is for each part that comes or goes: what is slow may take long,
  // what is stuck not. Connections are kept for the next request if `keep` says so.
  explicit Fetch(uint64_t patience = 30'000'000'000, bool keep = true)
      : patience_(patience), keep_(keep) {}
  // Makes one request and waits for its answer, whatever its status. Certificates are checked
  // against the machine's. Io; Exhaustion for what is beyond the limit; Invalid for what is no URL.
  Result<FetchResponse> request(const FetchRequest& request);
  // From any thread: what is under way fails, and what comes.
  void stop() { loop_.stop(); }

 private:
  const uint64_t patience_;
  const bool keep_;
  Loop loop_;
  std::shared_ptr<HttpClient> client_;
};

}  // namespace wafer::host
