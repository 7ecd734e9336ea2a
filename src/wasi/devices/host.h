// Devices for components: wasi:i2c, wasi:spi, wasi:gpio and component:usb as host functions, over
// what a guest is granted of a board.
#pragma once

#include <memory>

#include "devices/guest.h"
#include "wasi/bind/system.h"

namespace wafer::wasi::devices {

namespace dev = ::wafer::devices;

// What functions of one store act on.
class Host final : public HostBase {
 public:
  static constexpr size_t kFamily = 2;
  // Waits by way of `system`, the host of another generation, which outlives it as `board` does.
  Host(SystemHost& system, const wafer_devices_t& board, const ResourceTypes& resource_types)
      : system(system), guest(board) {
    types = &resource_types;
  }
  ~Host();
  // After the system's host.
  void attach(component::ComponentStore& store);

  // Waits, and answers.
  void delay(uint64_t nanoseconds, Reply<Unit> reply);

  SystemHost& system;
  dev::Guest guest;
  // What USB keeps between calls: what was attached when the guest asked last.
  struct Extension {
    virtual ~Extension() = default;
  };
  std::unique_ptr<Extension> hotplug;

 private:
  component::ComponentStore* store_ = nullptr;
  std::weak_ptr<void> life_;  // of the store, which may end first
};

// Defines all interfaces in `linker`, where those of WASI 0.2 are defined: `p2` are their types.
// The types that it gives are for Hosts.
ResourceTypes add_to_linker(component::ComponentLinker& linker, const ResourceTypes& p2);

}  // namespace wafer::wasi::devices
