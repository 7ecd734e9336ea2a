// The client for requests of guests: HTTP/1.1, and HTTP/2 where TLS agrees on it, with
// connections that are used again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "host/http.h"
#include "host/http_rules.h"

namespace wafer::host {

struct HttpClientOptions {
  HttpRules rules;
  // Whether servers may have HTTP/2, by TLS.
  bool http2 = true;
  // Trusted certificates, a file in PEM; empty: the system's.
  std::string roots;
  // For what a request does not say itself.
  HttpTimeouts timeouts{60'000'000'000, 600'000'000'000, 600'000'000'000};
  size_t header_bytes = 64 << 10;       // of a response
  size_t connections = 512;             // of one loop
  size_t idle_connections = 64;         // of these, kept without a request
  uint64_t idle_time = 30'000'000'000;  // nanoseconds
  // Is told, once and from any thread, why there is no TLS.
  std::function<void(std::string_view why)> on_no_tls;
};

// Redirects are not followed and no proxy is used. Usage or Io for roots that cannot be used.
Result<std::shared_ptr<HttpClient>> make_http_client(HttpClientOptions options);

}  // namespace wafer::host
