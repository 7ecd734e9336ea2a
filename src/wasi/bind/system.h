// What the hosts of all generations of WASI have in common: a process and a loop.
#pragma once

#include <list>
#include <vector>

#include "host/loop.h"
#include "host/process.h"
#include "wasi/bind/bind.h"

namespace wafer::wasi {

// Host functions of one store, over the host's Process. Ends before the ComponentStore.
class SystemHost : public HostBase {
 public:
  // `family`: its place among the store's hosts. `process` and `loop` outlive it.
  SystemHost(size_t family, host::Process& process, host::Loop& loop,
             const ResourceTypes& resource_types)
      : process(process), loop(loop), family_(family) {
    types = &resource_types;
  }
  virtual ~SystemHost();

  // Makes `store` use this host, and wait on its loop. An interrupt of the store ends such a
  // wait, if its engine has interrupts.
  void attach(component::ComponentStore& store);
  component::ComponentStore& store() const { return *store_; }

  // A wait that is under way; forgetting it does not end it.
  struct Pending;
  using PendingRef = std::weak_ptr<Pending>;
  // Calls `then` once one of `what` is ready: now, or from the loop.
  PendingRef when_ready(std::vector<host::PollableRef> what, Function<void()> then);
  // `then` of that is not called any more.
  void forget(const PendingRef& pending);

  // As before anything was called: resources of the guest are dropped, and waits forgotten.
  virtual void reset();

  // Twice 64 bits, the same each time.
  std::tuple<uint64_t, uint64_t> insecure_seed();
  // So many; the guest traps if they are more than a list can hold.
  std::vector<uint8_t> random_bytes(host::Random& random, uint64_t count);

  host::Process& process;
  host::Loop& loop;

 private:
  void watch(const std::shared_ptr<Pending>& pending);

  const size_t family_;
  std::optional<std::tuple<uint64_t, uint64_t>> seed_;
  component::ComponentStore* store_ = nullptr;
  std::weak_ptr<void> life_;  // of the store, which may end first
  std::list<std::shared_ptr<Pending>> pending_;
};

}  // namespace wafer::wasi
