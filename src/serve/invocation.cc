#include "serve/invocation.h"

namespace wafer::serve {

using component::Val;
using runtime::TrapCode;

namespace {

constexpr std::string_view kHandler = "wasi:http/incoming-handler@0.2.0";

}  // namespace

Invocation::Invocation(Surroundings surroundings, Application application,
                       std::function<void(wasi::p2::HttpAnswer)> answer,
                       std::function<void(const std::string&)> ended)
    : s_(surroundings),
      application_(std::move(application)),
      answer_(std::move(answer)),
      ended_(std::move(ended)),
      store_(application_.engine, s_.limits.store),
      components_(store_),
      host_(s_.process, s_.loop, s_.types) {
  if (s_.limits.fuel)
    store_.fuel = int64_t(std::min<uint64_t>(*s_.limits.fuel, uint64_t(INT64_MAX)));
  host_.attach(components_);
  // Others run on this thread: instead of waiting, it goes on when there is something to do.
  components_.idle = [this] { waiting_ = true; };
  components_.posted = [this] {
    if (running_ || scheduled_) return;
    scheduled_ = true;
    s_.loop.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->go_on();
    });
  };
}

Invocation::~Invocation() = default;

void Invocation::give(wasi::p2::HttpAnswer answer) {
  if (const auto f = std::exchange(answer_, nullptr)) f(std::move(answer));
}

void Invocation::start(host::HttpRequest request) {
  running_ = true;
  auto instance = s_.linker.instantiate(components_, application_.component);
  if (!instance) return end(std::string(std::string_view(instance.error().message)));
  const component::ExportedFunc handle = component::find_func(**instance, "handle", kHandler);
  std::vector<Val> args;
  args.push_back(wasi::p2::incoming_request(host_, std::move(request)));
  args.push_back(wasi::p2::response_outparam(
      host_, [this](wasi::p2::HttpAnswer answer) { give(std::move(answer)); }));
  store_.clear_trap();
  component::OnCancel on_cancel;
  const TrapCode code = handle.func->call(
      components_, handle.caller(),
      [&args](std::vector<Val>& out) {
        out = std::move(args);
        return TrapCode::None;
      },
      [this](std::vector<Val>*) {
        done_ = true;
        return TrapCode::None;
      },
      on_cancel);
  running_ = false;
  if (code != TrapCode::None)
    return end(std::string(std::string_view(store_.trap_error().message)));
  go_on();
}

void Invocation::go_on() {
  if (!ended_ || running_) return;
  const std::shared_ptr<Invocation> self = shared_from_this();
  scheduled_ = waiting_ = false;
  running_ = true;
  TrapCode code = TrapCode::None;
  if (interrupted() && !done_)
    code = store_.set_trap(TrapCode::Interrupted);
  else
    code = components_.run_until([this] { return done_ || waiting_; });
  running_ = false;
  if (code != TrapCode::None) {
    if (store_.trap().code != code) store_.set_trap(code);
    return end(std::string(std::string_view(store_.trap_error().message)));
  }
  if (done_) end("");
}

void Invocation::end(const std::string& failure) {
  const auto f = std::exchange(ended_, nullptr);
  if (!f) return;
  const std::shared_ptr<Invocation> self = shared_from_this();
  give({{}, failure.empty() ? "the guest gave no response" : failure});
  f(failure);
}

void Invocation::cancel() {
  answer_ = nullptr;
  ended_ = nullptr;
}

}  // namespace wafer::serve
