#include "wasi/bind/system.h"

#include <algorithm>

namespace wafer::wasi {

struct SystemHost::Pending {
  std::vector<host::PollableRef> what;
  std::vector<host::WaitRef> waits;
  Function<void()> then;
  std::list<std::shared_ptr<Pending>>::iterator self;
};

namespace {

bool any_ready(const std::vector<host::PollableRef>& what) {
  for (const host::PollableRef& p : what)
    if (p->ready()) return true;
  return false;
}

}  // namespace

SystemHost::~SystemHost() {
  if (!life_.expired()) {
    // Whoever posts an answer from another thread holds it while it calls `posted`.
    const std::lock_guard lock(store_->door->mutex);
    store_->idle = nullptr;
    store_->posted = nullptr;
    store_->hosts[family_] = nullptr;
  }
  pending_.clear();
  drop_objects();
}

void SystemHost::reset() {
  pending_.clear();
  drop_objects();
  forget_failure();
  seed_.reset();
}

void SystemHost::attach(component::ComponentStore& store) {
  store.hosts[family_] = static_cast<HostBase*>(this);
  store_ = &store;
  life_ = store.life;
  const bool interruptible = store.core.engine().config().interruptible;
  store.idle = [this, interruptible](uint64_t most) {
    // The longest that an interrupt stays unnoticed.
    constexpr uint64_t kSlice = 50'000'000;
    if (interruptible) most = std::min(most, kSlice);
    // What comes may be from another thread, and nothing for the loop itself to wait for.
    const std::shared_ptr<void> busy = loop.busy();
    if (most == 0)
      loop.run_ready();
    else if (most == component::ComponentStore::kForever)
      loop.run_one();
    else
      loop.run_one_for(most);
    if (interruptible && store_->core.interrupt_flag.load(std::memory_order_relaxed) != 0)
      store_->post([s = store_] { return s->core.set_trap(runtime::TrapCode::Interrupted); });
  };
  // Ends the wait, if another thread has something to do here.
  store.posted = [this] { loop.post([] {}); };
}

SystemHost::PendingRef SystemHost::when_ready(std::vector<host::PollableRef> what,
                                              Function<void()> then) {
  if (any_ready(what)) {
    then();
    return {};
  }
  const auto pending = std::make_shared<Pending>(Pending{std::move(what), {}, std::move(then), {}});
  pending->self = pending_.insert(pending_.end(), pending);
  watch(pending);
  return pending;
}

void SystemHost::forget(const PendingRef& pending) {
  if (const std::shared_ptr<Pending> p = pending.lock()) {
    p->waits.clear();
    pending_.erase(p->self);
  }
}

void SystemHost::watch(const std::shared_ptr<Pending>& pending) {
  pending->waits.clear();
  for (const host::PollableRef& p : pending->what)
    pending->waits.push_back(p->wait(loop, [this, weak = std::weak_ptr(pending)] {
      const std::shared_ptr<Pending> self = weak.lock();
      if (!self) return;
      if (!any_ready(self->what)) return watch(self);
      pending_.erase(self->self);
      std::exchange(self->then, nullptr)();
    }));
}

std::tuple<uint64_t, uint64_t> SystemHost::insecure_seed() {
  if (!seed_) {
    const uint64_t first = process.insecure_random->next();
    seed_.emplace(first, process.insecure_random->next());
  }
  return *seed_;
}

std::vector<uint8_t> SystemHost::random_bytes(host::Random& random, uint64_t count) {
  if (count > component::kMaxByteLength) {
    fail("more random bytes than a list can hold");
    return {};
  }
  std::vector<uint8_t> bytes(static_cast<size_t>(count));
  for (size_t at = 0; at < bytes.size(); at += host::Random::kPiece) {
    const size_t n = std::min(bytes.size() - at, host::Random::kPiece);
    if (!random.fill(MutableBytes(bytes).subspan(at, n)).ok()) fail("no randomness");
  }
  return bytes;
}

}  // namespace wafer::wasi
