// Requests of guests by HTTP/2: many at once on one connection (nghttp2).
#pragma once

#include <algorithm>
#include <memory>

#include "host/http/http2.h"
#include "host/http/pool.h"

namespace wafer::host {

// Nanoseconds for more of a response's body to come. (Trailers may be wanted of one that nobody
// reads.)
inline uint64_t time_for_more(const HttpTimeouts& timeouts, const HttpBody& body) {
  constexpr uint64_t kUnwanted = 5'000'000'000;
  return body.discarded() ? std::min(*timeouts.between_bytes, kUnwanted) : *timeouts.between_bytes;
}

// A request on its way to a server.
struct Sending {
  HttpRequest request;
  HttpOrigin origin;
  HttpTimeouts timeouts;  // all of them given
  std::weak_ptr<HttpExchange> exchange;
  // It is sent again, after a server that had not looked at it.
  bool again = false;
};

// A connection to a server that speaks HTTP/2. Of its loop.
class Multiplex : public PoolUser {
 public:
  // Null if this build has no HTTP/2.
  static std::shared_ptr<Multiplex> make(Pool& pool, const HttpOrigin& origin, Dial::Made made);
  // Whether it takes one more request.
  virtual bool open() const = 0;
  // Answers the exchange, or sends what the server has not looked at by another connection.
  virtual void send(Sending sending) = 0;
  // Ends it if it had nothing to do since before `time`, of the monotonic clock.
  virtual void end_if_idle(uint64_t time) = 0;
  // Ends it at once for another, if it has nothing to do.
  virtual bool give_way() = 0;
};

}  // namespace wafer::host
