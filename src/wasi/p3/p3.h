// WASI 0.3: the interfaces of wasi:cli, clocks, random, filesystem, sockets and http as host
// functions for components, over the host's Process.
#pragma once

#include "wasi/bind/system.h"

namespace wafer::wasi::p3 {

class Side;

// What functions of one store act on; beside that of WASI 0.2, if a component uses both.
class Host final : public SystemHost {
 public:
  static constexpr size_t kFamily = 1;
  Host(host::Process& process, host::Loop& loop, const ResourceTypes& resource_types)
      : SystemHost(kFamily, process, loop, resource_types) {}
  ~Host() override;
  void reset() override;

 private:
  friend class Side;
  void abandon_sides();
  Side* sides_ = nullptr;  // of streams and futures that are not over: the first
};

// Defines all interfaces in `linker`. The types that it gives are for Hosts.
ResourceTypes add_to_linker(component::ComponentLinker& linker);

}  // namespace wafer::wasi::p3
