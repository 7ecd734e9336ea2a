// WASI 0.2: the interfaces of wasi:io, clocks, random, filesystem, sockets and cli as host
// functions for components, over the host's Process.
#pragma once

#include "wasi/bind/system.h"

namespace wafer::wasi::p2 {

// What functions of one store act on.
class Host final : public SystemHost {
 public:
  static constexpr size_t kFamily = 0;
  Host(host::Process& process, host::Loop& loop, const ResourceTypes& resource_types)
      : SystemHost(kFamily, process, loop, resource_types) {}
};

// Defines all interfaces in `linker`. The types that it gives are for Hosts.
ResourceTypes add_to_linker(component::ComponentLinker& linker);
// Whether what `component` imports of them has their types; Unlinkable otherwise.
Result<void> check(const component::Component& component);

}  // namespace wafer::wasi::p2
