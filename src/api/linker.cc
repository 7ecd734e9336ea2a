#include "runtime/linker.h"

#include "api/convert.h"
#include "wafer/linker.hpp"

namespace wafer {

Linker::Linker(const Engine& engine) : impl_(make_box<runtime::Linker>(engine.raw())) {}
Linker::~Linker() = default;
Linker::Linker(Linker&& other) noexcept = default;
Linker& Linker::operator=(Linker&& other) noexcept = default;

Linker& Linker::allow_shadowing(bool allow) {
  impl_->allow_shadowing(allow);
  return *this;
}

Linker& Linker::trap_on_unknown_imports(bool enable) {
  impl_->trap_on_unknown_imports(enable);
  return *this;
}

Result<void> Linker::define(std::string_view module, std::string_view name, const Extern& value) {
  return impl_->define(module, name, detail::to_runtime(value));
}

Result<void> Linker::define_instance(std::string_view module, const Instance& instance) {
  return impl_->define_instance(module, instance.raw());
}

Result<void> Linker::alias(std::string_view module, std::string_view name,
                           std::string_view as_module, std::string_view as_name) {
  return impl_->alias(module, name, as_module, as_name);
}

Result<void> Linker::func_raw(std::string_view module, std::string_view name, const FuncType& type,
                              Func::RawCallback callback, void* env, void (*release)(void*)) {
  auto host = make_box<detail::RawHost>(detail::RawHost{callback, env, release});
  return define_host(module, name, type, &detail::RawHost::invoke, host.release(),
                     &detail::RawHost::destroy);
}

Result<void> Linker::define_host(std::string_view module, std::string_view name,
                                 const FuncType& type, detail::RawHostCallback callback, void* env,
                                 void (*release)(void*)) {
  return impl_->define_func(module, name, type, callback, env, release);
}

Extern Linker::get(Store& store, std::string_view module, std::string_view name) {
  const auto e = impl_->get(*store.raw(), module, name);
  return e ? detail::from_runtime(store.raw(), *e) : Extern();
}

Result<Instance> Linker::instantiate(Store& store, const Module& module) {
  WAFER_LET(instance, impl_->instantiate(*store.raw(), module.raw()));
  return Instance(store.raw(), instance);
}

}  // namespace wafer
