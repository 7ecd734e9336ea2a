// Commands: components that are run as programs, with what WASI 0.2 and 0.3 give them.
#pragma once

#include "host/devices/board.h"
#include "host/loop.h"
#include "host/process.h"
#include "wasi/devices/host.h"
#include "wasi/p2/p2.h"
#include "wasi/p3/p3.h"

namespace wafer::wasi {

// Defines the interfaces of both generations for the components of one store, which may use
// both at once, and runs `wasi:cli/run`. Outlives the store's use of it.
class CommandHost {
 public:
  // Opens what `config` names, as host::Process::open, and defines the interfaces in `linker`.
  static Result<std::unique_ptr<CommandHost>> open(host::Config config,
                                                   component::ComponentLinker& linker);
  // Before components that import them are instantiated there.
  void attach(component::ComponentStore& store);

  // Whether `instance` exports `wasi:cli/run`, of either generation.
  static bool is_command(component::ComponentInstance& instance);
  // Runs that to its end, and whatever it has started: the exit code, which is 1 if it failed.
  // A call of wasi:cli/exit gives that code. Errors: Usage without such an export, Trap.
  Result<int32_t> run(component::ComponentStore& store, component::ComponentInstance& instance);
  // Waits a little, two seconds at most, until what has been written is sent.
  void finish();

 private:
  explicit CommandHost(host::Process process) : process_(std::move(process)) {}
  host::Process process_;
  host::Loop loop_;
  std::shared_ptr<host::Board> board_;
  ResourceTypes types2_, types3_, device_types_;  // which the hosts point to
  std::optional<p2::Host> p2_;
  std::optional<p3::Host> p3_;
  std::optional<devices::Host> devices_;
};

}  // namespace wafer::wasi
