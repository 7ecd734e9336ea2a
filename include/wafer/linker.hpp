// Linker: names to definitions, and instantiation by name.
#pragma once

#include "wafer/externs.hpp"

namespace wafer {

// Host functions defined here are made anew in each store that instantiates with the
// linker; other definitions belong to the store of their value.
class Linker {
 public:
  explicit Linker(const Engine& engine);
  ~Linker();
  Linker(Linker&& other) noexcept;
  Linker& operator=(Linker&& other) noexcept;

  // Lets a later definition replace an earlier one; otherwise that is a Usage error.
  Linker& allow_shadowing(bool allow);
  // Imports that nothing defines become functions that trap when called.
  Linker& trap_on_unknown_imports(bool enable);

  Result<void> define(std::string_view module, std::string_view name, const Extern& value);
  // Every export of `instance` under `module`.
  Result<void> define_instance(std::string_view module, const Instance& instance);
  // Makes "name" of "module" also findable as "as_name" of "as_module".
  Result<void> alias(std::string_view module, std::string_view name, std::string_view as_module,
                     std::string_view as_name);
  // A host function of a given type; see Func::create_raw.
  Result<void> func_raw(std::string_view module, std::string_view name, const FuncType& type,
                        Func::RawCallback callback, void* env,
                        void (*release)(void* env) = nullptr);
  // A host function from a C++ callable; see Func::wrap.
  template <class F>
  Result<void> func_wrap(std::string_view module, std::string_view name, F callable) {
    using Host = detail::HostFunction<F>;
    return define_host(module, name, Host::Sig::type(), &Host::invoke,
                       make_box<F>(std::move(callable)).release(), &Host::release);
  }

  // What is defined under that name, or an empty Extern.
  Extern get(Store& store, std::string_view module, std::string_view name);
  // Resolves every import of `module` and instantiates it. Unlinkable "unknown import"
  // if one is missing; else as Instance::create.
  Result<Instance> instantiate(Store& store, const Module& module);

  runtime::Linker* raw() const { return impl_.get(); }

 private:
  Result<void> define_host(std::string_view module, std::string_view name, const FuncType& type,
                           detail::RawHostCallback callback, void* env, void (*release)(void*));

  Box<runtime::Linker> impl_;
};

}  // namespace wafer
