// Requests over HTTP and HTTPS that are waited for.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "host/http.h"

namespace wafer::oci {

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // http:// or https://
  std::map<std::string, std::string> headers;
  std::string body;
  uint64_t limit = 64u << 20;                    // of the answer's body
  std::function<void(uint64_t bytes)> progress;  // told how much of that body has come
};
struct HttpResponse {
  unsigned status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct Url {
  std::string scheme, authority, target;
  static Result<Url> parse(std::string_view text);
};

// For one thread. Connections are kept for the next request.
class Http {
 public:
  // Makes one request and waits for its answer, whatever its status. Certificates are checked
  // against the machine's. Io, also when nothing happens for half a minute.
  Result<HttpResponse> request(const HttpRequest& request);

 private:
  host::Loop loop_;
  std::shared_ptr<host::HttpClient> client_;
};

}  // namespace wafer::oci
