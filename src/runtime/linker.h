// Linker: resolves a module's imports by name.
#pragma once

#include "runtime/store.h"

namespace wafer::runtime {

// Names to definitions. Host functions are store-independent and are made in
// each store that instantiates with them; other definitions belong to one store.
class Linker {
 public:
  explicit Linker(Shared<Engine> engine);
  ~Linker();
  Linker(Linker&&) noexcept;

  // Later definitions of the same name are refused (Usage) unless allowed here.
  void allow_shadowing(bool allow);
  Result<void> define(std::string_view module, std::string_view name, const Extern& value);
  // `env` is shared by all uses and released once with the linker.
  Result<void> define_func(std::string_view module, std::string_view name,
                           const wasm::FuncType& type, HostCallback callback, void* env,
                           void (*release_env)(void*) = nullptr);
  Result<void> define_func(std::string_view module, std::string_view name,
                           const wasm::CanonType* type, HostCallback callback, void* env,
                           void (*release_env)(void*) = nullptr);
  // All exports of `instance` under `module`.
  Result<void> define_instance(std::string_view module, Instance* instance);
  // Makes "name" of "module" also findable as "as_name" of "as_module".
  Result<void> alias(std::string_view module, std::string_view name, std::string_view as_module,
                     std::string_view as_name);
  // Imports that stay unresolved become functions that trap when called.
  void trap_on_unknown_imports(bool enable);

  std::optional<Extern> get(Store& store, std::string_view module, std::string_view name);
  // Resolves every import: Unlinkable "unknown import" with both names if one is
  // missing.
  Result<Instance*> instantiate(Store& store, const Shared<const wasm::Module>& module);

 private:
  struct Impl;
  Box<Impl> impl_;
};

}  // namespace wafer::runtime
