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

  // The request that is served is a HEAD: bodies of its response are not sent.
  bool serves_head = false;
};

// Defines all interfaces in `linker`. The types that it gives are for Hosts.
ResourceTypes add_to_linker(component::ComponentLinker& linker);

}  // namespace wafer::wasi::p2
