#include "serve/guest.h"

#include <algorithm>

#include "component/names.h"
#include "component/types.h"
#include "serve/invocation.h"
#include "wasi/p2/http.h"
#include "wasi/p3/http.h"

namespace wafer::serve {

using runtime::TrapCode;

namespace {

// For what was cancelled to end.
constexpr uint64_t kGrace = 5'000'000'000;  // nanoseconds

constexpr std::string_view kHandler_0_2 = "wasi:http/incoming-handler@0.2.0";
constexpr std::string_view kHandler_0_3 = "wasi:http/handler@0.3.0";

std::string text(const Error& error) { return std::string(std::string_view(error.message)); }

}  // namespace

Result<Generation> generation_of(const component::Component& component) {
  const component::TypeArena& types = *component.types;
  for (const bool is_0_3 : {true, false})
    for (const component::NamedEntity& e : component.shape().exports) {
      if (e.entity.sort != component::Sort::Instance ||
          !component::names_match(is_0_3 ? kHandler_0_3 : kHandler_0_2, e.name))
        continue;
      const auto refused = [&e](const std::string& why) {
        return Error(ErrorKind::Unlinkable, "export \"" + e.name + "\": " + why);
      };
      const component::Entity* const handle = types[e.entity.type].shape->exports.find("handle");
      if (!handle || handle->sort != component::Sort::Func)
        return refused("there is no function `handle`");
      // Its arguments and its result are taken for what the interface says.
      const std::string why = component::other_signature(
          types, types[handle->type],
          is_0_3 ? wasi::p3::handler_signature() : wasi::p2::kHandlerSignature);
      if (!why.empty()) return refused("`handle`: " + why);
      return is_0_3 ? Generation::Wasi_0_3 : Generation::Wasi_0_2;
    }
  return Error(
      ErrorKind::Usage,
      "nothing to serve: no export \"wasi:http/handler\" or \"wasi:http/incoming-handler\"");
}

Guest::Guest(const Surroundings& surroundings, Application application)
    : s_(surroundings),
      application_(std::move(application)),
      store_(application_.engine, s_.limits.store),
      components_(store_),
      host_0_2_(s_.process, s_.loop, s_.types_0_2),
      host_0_3_(s_.process, s_.loop, s_.types_0_3),
      reusable_(application_.generation == Generation::Wasi_0_3) {
  host_0_2_.attach(components_);
  host_0_3_.attach(components_);
  // Others run on this thread: instead of waiting, it goes on when there is something to do.
  components_.idle = [this](uint64_t) { waiting_ = true; };
  components_.posted = [this] {
    if (running_ || scheduled_) return;
    scheduled_ = true;
    s_.loop.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->run(nullptr);
    });
  };
}

Guest::~Guest() = default;

Result<void> Guest::instantiate() {
  refuel();
  running_ = true;
  auto instance = s_.linker.instantiate(components_, application_.component);
  running_ = false;
  if (!instance) return instance.take_error();
  handle_ = component::find_func(**instance, "handle", reusable_ ? kHandler_0_3 : kHandler_0_2);
  fuel_ = store_.fuel;
  if (!reusable_) snapshot_ = component::ComponentSnapshot::take(components_);
  return {};
}

bool Guest::renew() {
  if (!well_ || late_ || !active_.empty() || running_ || busy()) return false;
  host_0_2_.reset();
  host_0_3_.reset();
  if (!snapshot_->restore(components_)) return false;
  store_.fuel = fuel_;
  used_ = 0;
  abandoned_.clear();
  dead_ = false;
  return true;
}

void Guest::refuel() {
  if (!s_.limits.fuel) return;
  store_.fuel = std::max<int64_t>(store_.fuel, 0);
  store_.fuel += int64_t(std::min<uint64_t>(*s_.limits.fuel, uint64_t(INT64_MAX - store_.fuel)));
}

bool Guest::accepts(const Application& application) const {
  return !dead_ && !used_up() && is_of(application) && active_.size() < s_.limits.concurrent;
}

bool Guest::busy() const {
  return std::any_of(components_.instances.begin(), components_.instances.end(),
                     [](const auto& i) { return i->threads.live() != 0; });
}

void Guest::add(Invocation& invocation) {
  // Each brings what it may use; the first uses what is left of making the instance.
  if (used_++ > 0) refuel();
  active_.push_back(&invocation);
}

void Guest::remove(Invocation& invocation, bool done, bool late) {
  if (std::erase(active_, &invocation) == 0) return;
  if (late) late_ = true;
  if (!done && reusable_) abandon(invocation);
  if (stuck_ && idle()) dead_ = true;
  if (!reusable_) {
    dead_ = true;
    well_ &= done && !late;
    // (What it still has of the invocation comes to an end while that is there.)
    again_ = well_ && snapshot_;
    return;
  }
  // What it does after its last answer has as long as a request.
  if (idle() && used_up() && busy() && !linger_)
    linger_ = host::timer(host::monotonic_now() +
                          uint64_t(std::chrono::nanoseconds(s_.limits.request_time).count()))
                  ->wait(s_.loop, [weak = weak_from_this()] {
                    const auto self = weak.lock();
                    if (!self) return;
                    self->dead_ = true;
                    self->s_.guests.tidy();
                  });
  // Not now: it may be what runs.
  if (std::exchange(tidies_, true) || looking_) return;
  s_.loop.post([self = shared_from_this()] { self->tidy(); });
}

void Guest::tidy() {
  tidies_ = false;
  cancel_abandoned();
  s_.guests.tidy();
}

void Guest::abandon(Invocation& invocation) {
  Abandoned& abandoned = abandoned_[invocation.admission()];
  abandoned.cancel = invocation.take_cancel();
  abandoned.time =
      host::timer(host::monotonic_now() + kGrace)->wait(s_.loop, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        // What else it is at ends before that.
        self->late_ = self->stuck_ = true;
        if (self->idle()) self->dead_ = true;
        self->s_.guests.tidy();
      });
}

void Guest::cancel_abandoned() {
  using Cancelling = GuestPool::Cancelling;
  while (!abandoned_.empty()) {
    const Cancelling known = s_.guests.cancelling(application_);
    if (dead_ || known == Cancelling::Traps || (known == Cancelling::Unknown && !idle())) return;
    const auto at = std::find_if(abandoned_.begin(), abandoned_.end(),
                                 [](const auto& a) { return a.second.cancel != nullptr; });
    if (at == abandoned_.end()) return;
    run(std::exchange(at->second.cancel, nullptr));
    s_.guests.set_cancelling(application_, dead_ ? Cancelling::Traps : Cancelling::Ends);
  }
}

int64_t Guest::now() const { return std::chrono::steady_clock::now().time_since_epoch().count(); }

void Guest::run(const Function<TrapCode()>& first) {
  scheduled_ = false;
  if (dead_ || running_) return;
  const std::shared_ptr<Guest> self = shared_from_this();
  waiting_ = false;
  running_ = true;
  store_.interrupt_flag = 0;
  running_since_ = now();
  const bool watched = !abandoned_.empty();
  if (watched) s_.guests.watch(this);
  TrapCode code = TrapCode::None;
  if (first) {
    store_.clear_trap();
    code = first();
  }
  // One for a single request is over with that; another is there for what comes yet.
  if (code == TrapCode::None)
    code = components_.run_until(
        [this] { return waiting_ || dead_ || (!reusable_ && (idle() || active_.front()->done())); },
        reusable_ ? component::ComponentStore::WhenIdle::Return
                  : component::ComponentStore::WhenIdle::Trap);
  if (watched) s_.guests.watch(nullptr);
  running_since_ = 0;
  running_ = false;
  looked_at_ = active_;
  std::string failure;
  if (code != TrapCode::None) {
    if (store_.trap().code != code) store_.set_trap(code);
    failure = text(store_.trap_error());
    dead_ = true;
    well_ = false;
  }
  looking_ = true;
  for (Invocation* const invocation : looked_at_) {
    // One may end another.
    if (std::find(active_.begin(), active_.end(), invocation) == active_.end()) continue;
    if (failure.empty())
      invocation->look();
    else
      invocation->fail(failure);
  }
  looking_ = false;
  if (std::exchange(again_, false)) return s_.guests.give(self);
  if (tidies_)
    tidy();
  else if (dead_ || (used_up() && idle()))
    s_.guests.tidy();
}

void Guest::interrupt(std::atomic<bool>& stopped) {
  constexpr int64_t kLong = std::chrono::steady_clock::period::den / 50;
  const int64_t since = running_since_;
  if (since == 0 || now() - since < kLong) return;
  stopped = true;
  store_.interrupt();
}

void Guest::interrupt_abandoned() {
  const int64_t since = running_since_;
  if (since != 0 && uint64_t(now() - since) > kGrace) store_.interrupt();
}

std::string Guest::interruption() {
  store_.set_trap(TrapCode::Interrupted);
  const std::string out = text(store_.trap_error());
  store_.clear_trap();
  return out;
}

Result<std::shared_ptr<Guest>> GuestPool::take(const Surroundings& surroundings,
                                               const Application& application) {
  for (const std::shared_ptr<Guest>& guest : guests_)
    if (guest->accepts(application)) return guest;
  while (!fresh_.empty()) {
    const std::shared_ptr<Guest> guest = std::move(fresh_.back());
    fresh_.pop_back();
    if (guest->fresh_for(application)) return guest;
  }
  auto guest = std::make_shared<Guest>(surroundings, application);
  ++surroundings.metrics.instances;
  WAFER_TRY(guest->instantiate());
  if (guest->reusable()) guests_.push_back(guest);
  if (!guest->is_of(current_)) guest->retire();
  return guest;
}

void GuestPool::give(std::shared_ptr<Guest> guest) {
  if (guest->is_of(current_) && fresh_.size() < kMostFresh && guest->renew())
    fresh_.push_back(std::move(guest));
}

void GuestPool::tidy() {
  bool spare = false;
  std::erase_if(guests_, [&](const std::shared_ptr<Guest>& guest) {
    return guest->over() || (guest->idle() && guest->unused() && std::exchange(spare, true));
  });
}

void GuestPool::change_to(Application application) {
  current_ = std::move(application);
  for (const std::shared_ptr<Guest>& guest : guests_)
    if (!guest->is_of(current_)) guest->retire();
  std::erase_if(fresh_, [&](const auto& guest) { return !guest->is_of(current_); });
  tidy();
}

}  // namespace wafer::serve
