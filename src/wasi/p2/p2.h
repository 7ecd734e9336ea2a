// WASI 0.2: the interfaces of wasi:io, clocks, random, filesystem, sockets and cli as host
// functions for components, over the host's Process.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "host/loop.h"
#include "host/process.h"
#include "wasi/bind/bind.h"

namespace wafer::wasi::p2 {

// What functions of one store act on. Ends before the ComponentStore that uses it.
class Host final : public HostBase {
 public:
  // `process` and `loop` outlive it.
  Host(host::Process& process, host::Loop& loop, const ResourceTypes& resource_types)
      : process(process), loop(loop) {
    types = &resource_types;
  }
  ~Host();

  // Makes `store` use this host, and wait on its loop. An interrupt of the store ends such a
  // wait, if its engine has interrupts.
  void attach(component::ComponentStore& store);

  // Calls `then` once one of `what` is ready: now, or from the loop.
  void when_ready(std::vector<host::PollableRef> what, std::function<void()> then);

  host::Process& process;
  host::Loop& loop;

 private:
  struct Pending {
    std::vector<host::PollableRef> what;
    std::vector<host::WaitRef> waits;
    std::function<void()> then;
  };
  void watch(std::list<Pending>::iterator pending);

  component::ComponentStore* store_ = nullptr;
  std::list<Pending> pending_;
};

// Defines all interfaces in `linker`. The types that it gives are for Hosts.
ResourceTypes add_to_linker(component::ComponentLinker& linker);
// Whether what `component` imports of them has their types; Unlinkable otherwise.
Result<void> check(const component::Component& component);

}  // namespace wafer::wasi::p2
