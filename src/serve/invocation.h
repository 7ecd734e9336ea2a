// One request, in a guest of its own or in one that answers others as well.
#pragma once

#include <memory>
#include <string>

#include "serve/guest.h"

namespace wafer::serve {

class Invocation : public std::enable_shared_from_this<Invocation> {
 public:
  struct Events {
    // Called once, from the loop or from start().
    std::function<void(HttpAnswer)> answer;
    // For informational responses before that; false if they cannot be sent.
    std::function<bool(uint16_t status, const host::HttpFields& fields)> inform;
    // Called once after the answer, when the guest is done with the request or failed (then with
    // why).
    std::function<void(const std::string& failure)> ended;
  };
  // `admission` is kept until the guest is done with it.
  Invocation(const Surroundings& surroundings, Application application,
             std::shared_ptr<void> admission, Events events);
  ~Invocation();
  void start(host::HttpRequest request);
  // Ends it as soon as possible; nothing is called any more.
  void cancel();
  // From any thread, while it is kept: its time is up. A guest that runs is stopped, whatever
  // else it does.
  void interrupt();
  // Looks whether it was interrupted, on the loop.
  void wake();
  // Whether what interrupt() asks for has been done.
  bool interrupted() const { return stopped_; }

  // ---- For guests
  const void* admission() const { return admission_.get(); }
  // Cancels the call; null if there is none.
  component::OnCancel take_cancel() { return std::exchange(on_cancel_, nullptr); }
  // No more comes of it: the guest failed, for some reason.
  void fail(const std::string& why) { end(why); }
  bool done() const { return done_; }
  // The guest ran: looks whether this one is over.
  void look();

 private:
  runtime::TrapCode call_0_2(host::HttpRequest& request);
  runtime::TrapCode call_0_3(host::HttpRequest& request);
  runtime::TrapCode call(std::vector<component::Val> args);
  // What the call gave; null: it was cancelled.
  void on_result(std::vector<component::Val>* result);
  void give(HttpAnswer answer);
  void end(const std::string& failure);
  void leave();

  Surroundings s_;
  Application application_;
  std::shared_ptr<void> admission_;
  Events events_;
  std::string method_;
  std::shared_ptr<Guest> guest_;
  std::atomic<Guest*> interruptible_{nullptr};  // the same, for interrupt()
  component::OnCancel on_cancel_;
  host::HttpBodyRef body_;  // of the response, while the guest writes it
  host::WaitRef body_ends_;
  bool done_ = false;
  std::atomic<bool> late_{false}, stopped_{false};
};

}  // namespace wafer::serve
