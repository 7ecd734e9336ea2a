#include "serve/invocation.h"

#include "wasi/p2/http.h"
#include "wasi/p3/http.h"

namespace wafer::serve {

using component::Val;
using runtime::TrapCode;

Invocation::Invocation(const Surroundings& surroundings, Application application,
                       std::shared_ptr<void> admission, Events events)
    : s_(surroundings),
      application_(std::move(application)),
      admission_(std::move(admission)),
      events_(std::move(events)) {}

Invocation::~Invocation() { cancel(); }

void Invocation::give(HttpAnswer answer) {
  if (const auto f = std::exchange(events_.answer, nullptr)) f(std::move(answer));
}

void Invocation::start(host::HttpRequest request) {
  Result<std::shared_ptr<Guest>> guest = s_.guests.take(s_, application_);
  if (!guest) return end(std::string(std::string_view(guest.error().message)));
  guest_ = *std::move(guest);
  guest_->add(*this);
  interruptible_ = guest_.get();
  guest_->run([&] { return guest_->reusable() ? call_0_3(request) : call_0_2(request); });
}

TrapCode Invocation::call_0_2(host::HttpRequest& request) {
  std::vector<Val> args;
  args.push_back(wasi::p2::incoming_request(guest_->host_0_2(), std::move(request)));
  args.push_back(wasi::p2::response_outparam(
      guest_->host_0_2(), [this](HttpAnswer answer) { give(std::move(answer)); },
      [this](uint16_t status, const host::HttpFields& fields) {
        return events_.answer && events_.inform(status, fields);
      }));
  return call(std::move(args));
}

TrapCode Invocation::call_0_3(host::HttpRequest& request) {
  std::vector<Val> args;
  method_ = request.method;
  args.push_back(wasi::p3::incoming_request(guest_->host_0_3(), std::move(request)));
  return call(std::move(args));
}

void Invocation::on_result(std::vector<Val>* result) {
  done_ = true;
  // By the handler of 0.2, the answer is given apart.
  if (!guest_->reusable() || !result || result->empty()) return;
  HttpAnswer answer = wasi::p3::answer_of(guest_->host_0_3(), std::move((*result)[0]), method_);
  body_ = answer.response.body;
  give(std::move(answer));
}

TrapCode Invocation::call(std::vector<Val> args) {
  const component::ExportedFunc& handle = guest_->handle();
  return handle.func->call(
      guest_->components(), handle.caller(),
      [args = std::move(args)](std::vector<Val>& out) mutable {
        out = std::move(args);
        return TrapCode::None;
      },
      [weak = weak_from_this(), guest = guest_.get(),
       admission = admission_](std::vector<Val>* result) {
        if (const auto self = weak.lock(); self && self->events_.ended)
          self->on_result(result);
        else
          guest->finished(admission.get());
        return TrapCode::None;
      },
      on_cancel_);
}

void Invocation::look() {
  if (!done_) return;
  if (!body_ || body_->ended()) return end("");
  // The guest goes on writing.
  if (!body_ends_)
    body_ends_ = body_->end().wait(s_.loop, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->end("");
    });
}

void Invocation::end(const std::string& failure) {
  const auto f = std::exchange(events_.ended, nullptr);
  if (!f) return;
  const std::shared_ptr<Invocation> self = shared_from_this();
  body_ends_.reset();
  leave();
  if (events_.answer) give({{}, failure.empty() ? "the guest gave no response" : failure});
  f(failure);
}

void Invocation::leave() {
  if (guest_) guest_->remove(*this, done_, late_);
}

void Invocation::cancel() {
  events_ = {};
  leave();
}

void Invocation::interrupt() {
  late_ = true;
  if (Guest* const guest = interruptible_) guest->interrupt(stopped_);
}

void Invocation::wake() {
  // (If it was to be stopped, that came too late: it waits.)
  if (!late_ || !guest_ || !events_.ended) return;
  stopped_ = true;
  end(guest_->interruption());
}

}  // namespace wafer::serve
