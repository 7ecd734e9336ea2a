#if WAFER_WITH_COMPONENT_RUN

#include <algorithm>

#include "api/component_state.h"
#if WAFER_WITH_TIERS
#include "compiler/tiers/tiers.h"
#endif
#include "component/run/call.h"
#include "component/run/match.h"
#include "component/run/precompile.h"
#include "component/run/wave.h"
#include "wafer/bindings.hpp"

namespace wafer {

component::ComponentStore& component_state(runtime::Store& store) {
  if (!store.component_state)
    store.component_state = std::make_shared<component::ComponentStore>(store);
  return *static_cast<component::ComponentStore*>(store.component_state.get());
}

namespace {

component::HostInstance place(component::ComponentLinker& linker, std::string_view interface) {
  return interface.empty() ? linker.root() : linker.instance(std::string(interface));
}

Result<void> enable(const ComponentOptions& options, component::FeatureSet& features) {
  for (const std::string& name : options.features) {
    const auto feature = component::feature_of_option(name);
    if (!feature) return Error(ErrorKind::Usage, "unknown feature " + name);
    features.set(*feature, true);
  }
  return {};
}

}  // namespace

Result<Component> Component::load(const Engine& engine, std::span<const uint8_t> bytes,
                                  const ComponentOptions& options) {
  auto copy = std::make_shared<std::vector<uint8_t>>(bytes.begin(), bytes.end());
  component::DecodeOptions decode = component::options_for(*engine.raw());
  decode.owner = copy;
  WAFER_TRY(enable(options, decode.features));
  WAFER_LET(component, component::decode({copy->data(), copy->size()}, decode));
  return Component(component);
}

#if WAFER_WITH_TIERS
Result<Vec<uint8_t>> Component::precompile(const Engine& engine, std::span<const uint8_t> bytes,
                                           const ComponentOptions& options) {
  const runtime::Engine& raw = *engine.raw();
  component::DecodeOptions decode = component::options_for(raw);
  WAFER_TRY(enable(options, decode.features));
  const Bytes binary(bytes.data(), bytes.size());
  WAFER_LET(made, component::precompile(binary, decode, [&raw](const wasm::Module& module) {
              return raw.tier()->compile(module, raw, /*with_module=*/false);
            }));
  return compiler::write_bundle(binary, made);
}

Result<Component> Component::from_bundle(const Engine& engine,
                                         const std::shared_ptr<const compiler::CodeBundle>& bundle,
                                         const ComponentOptions& options) {
  component::FeatureSet features = component::FeatureSet::standard();
  WAFER_TRY(enable(options, features));
  WAFER_LET(component, component::decode_compiled(bundle->component(), *engine.raw(),
                                                  compiler::code_finder(bundle), bundle, features));
  return Component(component);
}

Result<Component> Component::load_compiled(const Engine& engine, std::span<const uint8_t> code,
                                           const ComponentOptions& options) {
  WAFER_LET(bundle, compiler::CodeBundle::load({code.data(), code.size()}));
  return from_bundle(engine, bundle, options);
}

Result<Component> Component::load_compiled_file(const Engine& engine, const char* path,
                                                const ComponentOptions& options) {
  WAFER_LET(bundle, compiler::CodeBundle::map_file(path));
  return from_bundle(engine, bundle, options);
}
#else
namespace {
Error no_machine_code() { return Error(ErrorKind::Unsupported, "no machine code in this build"); }
}  // namespace
Result<Vec<uint8_t>> Component::precompile(const Engine&, std::span<const uint8_t>,
                                           const ComponentOptions&) {
  return no_machine_code();
}
Result<Component> Component::load_compiled(const Engine&, std::span<const uint8_t>,
                                           const ComponentOptions&) {
  return no_machine_code();
}
Result<Component> Component::load_compiled_file(const Engine&, const char*,
                                                const ComponentOptions&) {
  return no_machine_code();
}
#endif

bool Component::is_component(std::span<const uint8_t> bytes) {
  return component::is_component({bytes.data(), bytes.size()});
}

std::vector<std::string> Component::imports() const {
  std::vector<std::string> out;
  for (const component::NamedEntity& e : impl_->shape().imports) out.push_back(e.name);
  return out;
}

std::vector<std::string> Component::exports() const {
  std::vector<std::string> out;
  for (const component::NamedEntity& e : impl_->shape().exports) out.push_back(e.name);
  return out;
}

// ---- Host functions

void ComponentAnswer::complete() const { impl_->complete({}); }
void ComponentAnswer::complete_raw(ComponentVal value) const {
  std::vector<ComponentVal> result;
  result.push_back(std::move(value));
  impl_->complete(std::move(result));
}
void ComponentAnswer::fail(std::string_view message) const { impl_->fail(std::string(message)); }

std::span<const ComponentVal> ComponentCall::args() const { return impl_.args; }
std::span<ComponentVal> ComponentCall::args() { return impl_.args; }
component::ComponentStore* ComponentCall::store() const { return &impl_.store; }
void ComponentCall::set_raw(ComponentVal result) {
  impl_.result.clear();
  impl_.result.push_back(std::move(result));
}
void ComponentCall::fail(std::string_view message) const {
  failed_ = true;
  message_ = message;
}
ComponentAnswer ComponentCall::later() {
  return ComponentAnswer(std::make_shared<component::Answer>(impl_.later()));
}

ComponentLinker::ComponentLinker()
    : impl_(std::make_unique<component::ComponentLinker>()),
      host_types_(std::make_shared<detail::HostTypes>()) {}
ComponentLinker::~ComponentLinker() = default;
ComponentLinker::ComponentLinker(ComponentLinker&&) noexcept = default;

bool ComponentLinker::run(const Callback& callback, component::HostCall& call) {
  ComponentCall wrapped(call);
  callback(wrapped);
  if (wrapped.failed_) call.fail(wrapped.message_);
  return !wrapped.failed_;
}

void ComponentLinker::func(std::string_view interface, std::string_view name, Callback callback,
                           bool waits, std::string_view signature, component::AbiFunction direct) {
  place(*impl_, interface)
      .func(
          std::string(name),
          [callback = std::move(callback)](component::HostCall& call) {
            return run(callback, call) ? runtime::TrapCode::None : runtime::TrapCode::HostError;
          },
          waits, std::string(signature), std::move(direct));
}

ComponentResource ComponentLinker::resource(std::string_view interface, std::string_view name,
                                            std::function<void(uint64_t)> on_drop) {
  return ComponentResource(
      place(*impl_, interface).resource(std::string(name), std::move(on_drop)));
}

void ComponentLinker::resource(std::string_view interface, std::string_view name,
                               const ComponentResource& type) {
  place(*impl_, interface).resource(std::string(name), type.raw());
}

void ComponentLinker::value(std::string_view interface, std::string_view name, ComponentVal value) {
  place(*impl_, interface).value(std::string(name), std::move(value));
}

Result<ComponentInstance> ComponentLinker::instantiate(Store& store, const Component& component) {
  WAFER_LET(made, impl_->instantiate(component_state(*store.raw()), component.raw()));
  return ComponentInstance(made);
}

// ---- Calls

ComponentFunc ComponentInstance::func(std::string_view name, std::string_view interface) const {
  auto found = component::find_func(*impl_, name, interface);
  if (!found) return {};
  return ComponentFunc(std::make_shared<component::ExportedFunc>(std::move(found)));
}

Result<ComponentVal> ComponentInstance::value(std::string_view name,
                                              std::string_view interface) const {
  const auto found = component::find_value(*impl_, name, interface);
  if (!found) return Error(ErrorKind::Usage, "no value `" + std::string(name) + "` is exported");
  return component::take_value(*found);
}

Result<RunOutcome> run_until(component::ComponentStore& store, const std::function<bool()>& done,
                             std::chrono::nanoseconds most) {
  const uint64_t limit = most == std::chrono::nanoseconds::max()
                             ? component::ComponentStore::kForever
                             : uint64_t(std::max<int64_t>(most.count(), 0));
  bool reached = false;
  WAFER_TRY(component::run(store, [&] { return reached = done && done(); }, limit));
  if (reached) return RunOutcome::Done;
  if (store.outstanding || !store.idle_now()) return RunOutcome::Waits;
  return done || component::has_tasks(store) ? RunOutcome::Stalled : RunOutcome::Done;
}
Result<RunOutcome> run_until_idle(Store& store, std::chrono::nanoseconds most) {
  return run_until(component_state(*store.raw()), nullptr, most);
}
Result<RunOutcome> run_until(Store& store, const std::function<bool()>& done,
                             std::chrono::nanoseconds most) {
  return run_until(component_state(*store.raw()), done, most);
}

component::ComponentStore* ComponentInstance::store() const { return &impl_->store; }

component::ComponentStore* ComponentFunc::store() const {
  return impl_ ? &impl_->instance->store : nullptr;
}

Result<void> ComponentFunc::check(std::string_view signature) const {
  if (!impl_) return failure(ErrorKind::Usage, "null function");
  const component::Caller caller = impl_->caller();
  const std::string why = component::other_signature(caller.types, caller.def(), signature);
  if (!why.empty()) return Error(ErrorKind::Unlinkable, why);
  return {};
}

Error ComponentFunc::wrong_result(const std::string& wanted) const {
  const component::Caller caller = impl_->caller();
  const component::ValType result = caller.def().args[0];
  return Error(ErrorKind::Usage,
               "the result is " +
                   (result ? component::type_form(caller.types, result) : std::string("nothing")) +
                   ", not " + wanted);
}

Result<std::vector<ComponentVal>> ComponentFunc::call_raw(std::vector<ComponentVal> args) const {
  if (!impl_) return failure(ErrorKind::Usage, "null function");
  return component::call(impl_->instance->store, *impl_, std::move(args));
}

Result<std::string> ComponentFunc::call_text(std::string_view arguments) const {
  if (!impl_) return failure(ErrorKind::Usage, "null function");
  const component::Caller caller = impl_->caller();
  component::WaveCall wave;
  wave.arguments = arguments;
  WAFER_LET(args, component::parse_wave_arguments(caller.types, caller.def(), wave));
  WAFER_LET(result, call_raw(std::move(args)));
  return result.empty() ? std::string()
                        : component::print_wave(caller.types, caller.def().args[0], result[0]);
}

// ---- Bindings

component::ResourceType* ComponentScope::type_of(const void* tag) const {
  if (!types) return nullptr;
  for (const auto& [of, type] : types->types)
    if (of == tag) return type.raw().get();
  return nullptr;
}

std::weak_ptr<void> ComponentScope::life() const {
  return store ? store->life : std::weak_ptr<void>();
}

detail::HostObjects& ComponentScope::objects() const {
  if (!store->host_objects) store->host_objects = std::make_shared<detail::HostObjects>();
  return *static_cast<detail::HostObjects*>(store->host_objects.get());
}

GuestResource::GuestResource(ComponentVal handle, const ComponentScope& scope)
    : handle_(std::move(handle)), store_(scope.store), life_(scope.life()), held_(true) {}

GuestResource::GuestResource(GuestResource&& o) noexcept
    : handle_(std::move(o.handle_)),
      store_(o.store_),
      life_(std::move(o.life_)),
      held_(std::exchange(o.held_, false)) {}

GuestResource& GuestResource::operator=(GuestResource&& o) noexcept {
  if (this == &o) return *this;
  drop();
  handle_ = std::move(o.handle_);
  store_ = o.store_;
  life_ = std::move(o.life_);
  held_ = std::exchange(o.held_, false);
  return *this;
}

void GuestResource::drop() {
  if (!std::exchange(held_, false) || life_.expired()) return;
  const auto done = std::make_shared<bool>(false);
  const component::Resource resource = handle_.resource();
  if (component::drop_resource(*store_, *resource.type, resource.rep, done) ==
      runtime::TrapCode::None)
    (void)store_->run_until([done] { return *done; });
}

namespace detail {

Result<void> FoundFunc::locate(const ComponentInstance& instance, const ComponentScope& scope,
                               std::string_view interface, std::string_view name,
                               std::string_view signature, std::string_view form) {
  scope_ = scope;
  func_ = instance.func(name, interface);
  const std::string where = "`" + std::string(name) + "`" +
                            (interface.empty() ? "" : " of `" + std::string(interface) + "`");
  if (!func_) return Error(ErrorKind::Unlinkable, "component exports no " + where);
  const component::Caller caller = func_.raw()->caller();
  const std::string why = component::misfit(caller.types, caller.def(), signature, form);
  if (!why.empty()) return Error(ErrorKind::Unlinkable, "component exports " + where + ": " + why);
  target_ = component::direct_target(*func_.raw());
  return {};
}

Result<bool> FoundFunc::call_direct(bool (*lower)(void*, component::AbiCall&),
                                    bool (*lift)(void*, component::AbiCall&), void* env) const {
  return component::call(*func_.store(), *target_, lower, lift, env);
}

}  // namespace detail

}  // namespace wafer

#endif
