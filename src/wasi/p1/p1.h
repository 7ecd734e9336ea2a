// WASI 0.1: the system interface "wasi_snapshot_preview1" and its predecessor
// "wasi_unstable" (preview 0), as host functions for a Linker.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "host/process.h"
#include "runtime/linker.h"

namespace wafer::wasi {

using P1Input = host::Input;
using P1Output = host::Output;

// What a guest program sees of its host. Preopens take descriptors 3, 4, ... in their order.
// Sockets take the descriptors after the preopens, or, with `sockets_first`, those before
// them (but C libraries stop looking for preopens at the first descriptor that is not a
// directory).
struct P1Config : host::Config {
  bool sockets_first = false;
};

// The state of one guest "process": descriptors, arguments, exit code. May be
// shared by several instances and threads.
class P1Context {
 public:
  // Opens what `config` names; errors as of host::Process::open.
  static Result<std::unique_ptr<P1Context>> create(P1Config config);
  ~P1Context();
  P1Context(const P1Context&) = delete;
  P1Context& operator=(const P1Context&) = delete;

  // The code of proc_exit, once it was called.
  std::optional<int32_t> exit_code() const;
  // Address and port of a listener ("127.0.0.1:43210"), for port 0; empty if
  // there is no such listener.
  std::string listener_address(size_t index) const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit P1Context(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Defines every function of "wasi_snapshot_preview1" and "wasi_unstable" in
// `linker`; they act on `context` and on the caller's exported memory "memory".
// proc_exit stops execution with TrapCode::Exit, exit_code in Store::trap().
// Usage if the linker has one of the names already. With `only_for`: no functions but those that
// these modules import.
Result<void> add_to_linker(runtime::Linker& linker, std::shared_ptr<P1Context> context,
                           std::span<const wasm::Module* const> only_for = {});

}  // namespace wafer::wasi
