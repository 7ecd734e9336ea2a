// Requests over HTTP and HTTPS.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace wafer::oci {

struct HttpRequest {
  std::string method = "GET";
  std::string url;  // http:// or https://
  std::map<std::string, std::string> headers;
  std::string body;
  uint64_t limit = 64u << 20;  // of the answer's body
};
struct HttpResponse {
  unsigned status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct Url {
  std::string scheme, host, port, target;
  static Result<Url> parse(std::string_view text);
};

// Makes one request and waits for its answer, whatever its status. Certificates are checked
// against the machine's. Io, also when nothing happens for half a minute.
Result<HttpResponse> request(const HttpRequest& request);

}  // namespace wafer::oci
