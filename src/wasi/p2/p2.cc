#include "wasi/p2/p2.h"

#include "wasi/p2/bindings.h"

namespace wafer::wasi::p2 {

namespace {

constexpr Definition kDefinitions[] = {
#define WASI_FUNCTION(interface, name, fn, waits) define<&fn>(interface, name, waits),
#include "wasi/p2/functions.inc"
#undef WASI_FUNCTION
};

bool any_ready(const std::vector<host::PollableRef>& what) {
  for (const host::PollableRef& p : what)
    if (p->ready()) return true;
  return false;
}

}  // namespace

Host::~Host() {
  if (store_) {
    store_->idle = store_->posted = nullptr;
    store_->host = nullptr;
  }
  pending_.clear();
  drop_objects();
}

void Host::attach(component::ComponentStore& store) {
  store.host = static_cast<HostBase*>(this);
  store_ = &store;
  if (!store.core.engine().config().interruptible) {
    store.idle = [this] { loop.run_one(); };
  } else {
    store.idle = [this] {
      // The longest that an interrupt stays unnoticed.
      constexpr uint64_t kSlice = 50'000'000;
      loop.run_one_for(kSlice);
      if (store_->core.interrupt_flag.load(std::memory_order_relaxed) != 0)
        store_->post([s = store_] { return s->core.set_trap(runtime::TrapCode::Interrupted); });
    };
  }
  // Ends the wait, if another thread has something to do here.
  store.posted = [this] { loop.post([] {}); };
}

void Host::when_ready(std::vector<host::PollableRef> what, std::function<void()> then) {
  if (any_ready(what)) return then();
  pending_.push_back({std::move(what), {}, std::move(then)});
  watch(std::prev(pending_.end()));
}

void Host::watch(std::list<Pending>::iterator pending) {
  pending->waits.clear();
  for (const host::PollableRef& p : pending->what)
    pending->waits.push_back(p->wait(loop, [this, pending] {
      if (!any_ready(pending->what)) return watch(pending);
      const std::function<void()> then = std::move(pending->then);
      pending_.erase(pending);
      then();
    }));
}

ResourceTypes add_to_linker(component::ComponentLinker& linker) {
  return add_definitions(linker, kResources, kResourceAliases, kDefinitions);
}

Result<void> check(const component::Component& component) {
  return check_imports(component, kDefinitions);
}

}  // namespace wafer::wasi::p2
