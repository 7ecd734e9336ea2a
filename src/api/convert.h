// Between the embedding API's handles and the runtime's records. Internal to src/api.
#pragma once

#include "runtime/store.h"
#include "wafer/engine.hpp"
#include "wafer/externs.hpp"

namespace wafer::detail {

// `value` as the runtime takes it.
inline runtime::Value to_runtime(const Val& value) {
  return {value.type(), {value.slot(0), value.slot(1)}};
}

// True if `value` may stand where `want` is asked for.
bool fits(const runtime::Store& store, const Val& value, ValType want);

Error wrong_type(std::string_view what, ValType want, ValType got);

inline Extern from_runtime(runtime::Store* store, const runtime::Extern& e) {
  return Extern(store, e.kind, e.func, e.memory_owner);
}

inline runtime::Extern to_runtime(const Extern& e) {
  runtime::Extern r;
  r.kind = e.kind();
  r.func = static_cast<runtime::FuncInst*>(e.raw());
  r.memory_owner = e.memory_owner();
  return r;
}

// Export `name`, followed by what is wrong with it.
String export_message(std::string_view before, std::string_view name, std::string_view after);

// One that says why, where it makes no instances.
Shared<runtime::Engine> make_engine(const Config& config);

// The store's last trap, with its names.
const runtime::TrapInfo& described_trap(runtime::Store& store);

ExternType describe(const wasm::Module& module, const wasm::ExternType& type);
ExternType describe(const wasm::Module& module, const wasm::Export& e);

}  // namespace wafer::detail
