// One request in the hands of a guest, whichever way it came.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "serve/invocation.h"
#include "serve/worker.h"

namespace wafer::serve {

class Handling : public std::enable_shared_from_this<Handling> {
 public:
  // Whoever has the client; called from the loop only.
  class Owner {
   public:
    virtual ~Owner() = default;
    // `response` is there.
    virtual void on_response(Handling& handling) = 0;
    // The guest has returned or failed; after on_response().
    virtual void on_guest_done(Handling& handling) = 0;
    // An informational response; false if it cannot be sent.
    virtual bool on_inform(Handling& handling, int status, const host::HttpFields& fields) = 0;
  };

  // `owner` outlives it, or calls cancel().
  Handling(Worker& worker, Owner& owner) : worker_(worker), owner_(&owner) {}
  ~Handling();

  // From the first byte of the request on.
  void arrived() { began_ = std::chrono::steady_clock::now(); }
  // Why a request may not be given to a guest; null if it may.
  static const char* objection(const host::HttpRequest& request);
  // Gives it to a guest, or answers by 503 if there is too much to do.
  void begin(host::HttpRequest request);
  // Nobody waits for the response any more; nothing is called.
  void cancel();
  bool running() const { return invocation_ != nullptr; }

  // Counts it, and writes a line of the access log.
  void log(const std::string& remote, const char* protocol);
  // The same of one whose header has come, and which ends before it was answered as a whole.
  void log_gone(const std::string& remote, const char* protocol);

  std::string method, target;
  host::HttpBodyRef request_body;
  host::HttpResponse response;
  bool answered = false;
  bool logged = false;
  int status = 0;
  // The status of one that ends before it has another: that its client is gone, unless the server
  // has ended it for what the client did. (Of no standard, and known to whoever reads such logs.)
  static constexpr int kClientGone = 499;
  int unanswered = kClientGone;
  uint64_t sent = 0;  // of the response's body

 private:
  void turn_away();
  void on_answer(HttpAnswer answer);
  void on_ended(const std::string& failure);
  // Has the owner told what there is, after the guest's turn: what the guest writes at once goes
  // out with the header.
  void tell_soon();
  void tell();

  Worker& worker_;
  Owner* owner_;
  std::shared_ptr<Invocation> invocation_;
  std::shared_ptr<Invocation> ended_;  // of which the owner is still to be told
  bool beginning_ = false;             // the guest has its first turn, and is told of after it
  bool tells_ = false;                 // tell() is posted
  bool told_ = false;                  // of the response
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

// For `date` (RFC 9110, 5.6.7), made once a second.
const std::string& http_date();

}  // namespace wafer::serve
