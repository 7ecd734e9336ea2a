// What modules under test import: the functions of "host", a memory and globals of "env"
// made to measure, and what another module exports.
#pragma once

#include <string>
#include <vector>

#include "runtime/store.h"

namespace wafer::diff {

class Host {
 public:
  explicit Host(runtime::Store& store) : store_(store) {}
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  // The imports of `module`, in order; those from kProvider are exports of `provider`.
  Result<std::vector<runtime::Extern>> imports_of(const wasm::Module& module,
                                                  runtime::Instance* provider);
  // What host.again calls.
  void set_callback(runtime::FuncInst* callback) { callback_ = callback; }
  // While a call waits for fuel its callbacks, which cannot, have enough.
  void set_waits(bool waits) { waits_ = waits; }
  // What host functions were called with since the last time.
  std::string take_log() { return std::exchange(log_, {}); }

 private:
  friend struct HostFunctions;
  Result<runtime::Extern> import(const wasm::Module& module, const wasm::Import& import);

  runtime::Store& store_;
  runtime::FuncInst* callback_ = nullptr;
  bool waits_ = false;
  runtime::TagInst* tag_ = nullptr;  // of the exceptions of host.fail
  uint32_t nested_ = 0;              // calls of host.again that have not returned
  std::string log_;
};

}  // namespace wafer::diff
