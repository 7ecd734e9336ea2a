// Components (Component Model): loading, host functions and resources, calls.
//
//   auto component = Component::load(engine, bytes);
//   ComponentLinker linker;
//   linker.func("my:host/log@1.0.0", "write", [](ComponentCall& call) {
//     std::puts(call.arg<std::string>(0).c_str());
//   });
//   auto instance = linker.instantiate(store, *component);
//   auto sum = instance->func("add").call<uint32_t>(1u, 2u);
//   auto text = instance->func("describe").call_text("({x: 1, y: 2})");    // in WAVE
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wafer/component_abi.hpp"
#include "wafer/store.hpp"

namespace wafer {

namespace component {
class Component;
class ComponentInstance;
class ComponentLinker;
struct HostCall;
struct ExportedFunc;
class Answer;
}  // namespace component
namespace compiler {
class CodeBundle;
}

// Settings of Component::load.
struct ComponentOptions {
  // Features besides those that are always there, by the names of `wafer --enable`
  // ("cm-threading").
  std::vector<std::string> features;
};

// A component that has been decoded and validated (Explainer.md, "Component Definitions").
// Shared by stores and threads.
class Component {
 public:
  // From the binary form, which is copied. Errors: Malformed, Invalid, Unsupported.
  static Result<Component> load(const Engine& engine, std::span<const uint8_t> bytes,
                                const ComponentOptions& options = {});
  // Machine code of all that is in the component (its core modules, and the calls between its
  // parts), for load_compiled() in engines with the same settings; what `wafer compile` writes.
  // Needs Tier::Auto or Optimized, and the optimizing compiler. Errors: as of load(), and
  // Unsupported.
  static Result<Vec<uint8_t>> precompile(const Engine& engine, std::span<const uint8_t> bytes,
                                         const ComponentOptions& options = {});
  // A component from what precompile() gave, copied; or mapped from a file with it. The bytes are
  // trusted, as those of Module::load_compiled. Errors: Malformed, Unsupported, Io.
  static Result<Component> load_compiled(const Engine& engine, std::span<const uint8_t> code,
                                         const ComponentOptions& options = {});
  static Result<Component> load_compiled_file(const Engine& engine, const char* path,
                                              const ComponentOptions& options = {});
  // Whether `bytes` begin like a component rather than a core module.
  static bool is_component(std::span<const uint8_t> bytes);

  // Names of what it imports and exports, in order.
  std::vector<std::string> imports() const;
  std::vector<std::string> exports() const;

  const std::shared_ptr<component::Component>& raw() const { return impl_; }

 private:
  explicit Component(std::shared_ptr<component::Component> impl) : impl_(std::move(impl)) {}
  static Result<Component> from_bundle(const Engine& engine,
                                       const std::shared_ptr<const compiler::CodeBundle>& bundle,
                                       const ComponentOptions& options);
  std::shared_ptr<component::Component> impl_;
};

// The answer that a host function gives later, from any thread. When the last copy is gone
// without one, the guest traps.
class ComponentAnswer {
 public:
  explicit ComponentAnswer(std::shared_ptr<component::Answer> impl) : impl_(std::move(impl)) {}
  void complete() const;
  void complete_raw(ComponentVal value) const;
  template <class T>
  void complete(T value) const {
    ComponentScope none;
    ComponentVal result = ComponentType<T>::to(std::move(value), none);
    if (none.failure) return fail(none.failure);
    complete_raw(std::move(result));
  }
  void fail(std::string_view message) const;

 private:
  std::shared_ptr<component::Answer> impl_;
};

// A call of a host function.
class ComponentCall {
 public:
  explicit ComponentCall(component::HostCall& impl) : impl_(impl) {}
  std::span<const ComponentVal> args() const;
  std::span<ComponentVal> args();
  // An argument, which has to be of that type. The guest traps if it is a resource of another.
  template <class T>
  T arg(size_t i) const {
    ComponentScope scope{store(), nullptr, nullptr};
    ComponentVal copy = args()[i];
    T out = ComponentType<T>::from(copy, scope);
    if (scope.failure) fail(scope.failure);
    return out;
  }
  void set_raw(ComponentVal result);
  template <class T>
  void set(T result) {
    ComponentScope scope{store(), nullptr, nullptr};
    ComponentVal value = ComponentType<T>::to(std::move(result), scope);
    if (scope.failure) return fail(scope.failure);
    set_raw(std::move(value));
  }
  // The guest traps with that message.
  void fail(std::string_view message) const;
  // The guest waits until there is an answer; only of functions that were defined to.
  ComponentAnswer later();
  // The store that calls, for conversions.
  component::ComponentStore* store() const;

 private:
  friend class ComponentLinker;
  component::HostCall& impl_;
  mutable bool failed_ = false;
  mutable std::string message_;
};

// A resource type of the host.
class ComponentResource {
 public:
  explicit ComponentResource(std::shared_ptr<component::ResourceType> type)
      : type_(std::move(type)) {}
  // A resource that the host represents by `rep`, to be given to a guest.
  ComponentVal make(uint64_t rep) const { return ComponentVal::of_resource(type_.get(), rep); }
  // Whether `value` is a resource of this type.
  bool is(const ComponentVal& value) const {
    return value.is_resource() && value.resource().type == type_.get();
  }
  // What represents `value`, which has to be of this type.
  uint64_t rep(const ComponentVal& value) const { return value.resource().rep; }
  const std::shared_ptr<component::ResourceType>& raw() const { return type_; }

 private:
  std::shared_ptr<component::ResourceType> type_;
};

// A function that a component exports.
class ComponentFunc {
 public:
  ComponentFunc() = default;
  explicit ComponentFunc(std::shared_ptr<component::ExportedFunc> impl) : impl_(std::move(impl)) {}
  explicit operator bool() const { return impl_ != nullptr; }
  // Whether its type is `signature`, as for ComponentLinker::func. Unlinkable if it is not.
  Result<void> check(std::string_view signature) const;

  // Calls it, and runs everything in the store until it has a result: nothing or one value.
  // Errors: Trap; Usage if the arguments do not fit.
  Result<std::vector<ComponentVal>> call_raw(std::vector<ComponentVal> args) const;
  // The same with C++ values; Usage if an argument cannot be given to it, or the result is none of
  // an R.
  template <class R = void, class... A>
  Result<R> call(const A&... args) const {
    ComponentScope scope{store(), nullptr, nullptr};
    std::vector<ComponentVal> values;
    (values.push_back(ComponentType<std::decay_t<const A>>::to(args, scope)), ...);
    if (scope.failure) return Error(ErrorKind::Usage, scope.failure);
    WAFER_LET(result, call_raw(std::move(values)));
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      if (result.empty() || !ComponentType<R>::is(result[0]))
        return wrong_result(detail::type_text<R>());
      R out = ComponentType<R>::from(result[0], scope);
      if (scope.failure) return Error(ErrorKind::Usage, scope.failure);
      return out;
    }
  }
  // Arguments and result in WAVE: `("a", {x: 1})`.
  Result<std::string> call_text(std::string_view arguments) const;
  // The store of its instance; null: there is no function.
  component::ComponentStore* store() const;

  const std::shared_ptr<component::ExportedFunc>& raw() const { return impl_; }

 private:
  Error wrong_result(const std::string& wanted) const;

  std::shared_ptr<component::ExportedFunc> impl_;
};

// An instance of a component. Belongs to its store.
class ComponentInstance {
 public:
  explicit ComponentInstance(std::shared_ptr<component::ComponentInstance> impl)
      : impl_(std::move(impl)) {}
  // The function that it exports under `name`, or, if `interface` is not empty, that the
  // instance does which it exports under that name or a compatible version. May be empty.
  ComponentFunc func(std::string_view name, std::string_view interface = {}) const;
  // The value that it exports, in the same way. Usage: there is none, or resources in it were taken
  // before.
  Result<ComponentVal> value(std::string_view name, std::string_view interface = {}) const;
  // Its store, for conversions.
  component::ComponentStore* store() const;

  const std::shared_ptr<component::ComponentInstance>& raw() const { return impl_; }

 private:
  std::shared_ptr<component::ComponentInstance> impl_;
};

// What has come of running what calls left behind.
enum class RunOutcome : uint8_t {
  Done,
  Waits,    // for what is outside: answers that host functions give later, a StorePost, WASI; or
            // there was no time for more
  Stalled,  // nothing will go on before the host does something, as to read a stream
};
// Run everything in the store that calls have left behind: tasks that go on after they have given
// their result, what host's ends of streams and futures are to be told (wafer/streams.hpp), and
// what comes of WASI's files, sockets and timers. A store is idle when nothing in it can go on, and
// nothing outside is waited for. Errors: Trap; Usage within functions of the host, as code of a
// component runs already.
//
// Until it is idle (Done: no task is left; or Stalled), for at most that long (Waits). No time is
// for what can be run now: it does not wait for what is outside.
Result<RunOutcome> run_until_idle(Store& store, std::chrono::nanoseconds most = {});
// Until `done()`, which is Done, or it is idle, which is Stalled; for at most that long (Waits).
Result<RunOutcome> run_until(Store& store, const std::function<bool()>& done,
                             std::chrono::nanoseconds most = std::chrono::nanoseconds::max());

// What the host gives to components: functions and resources, by interface and name. An import
// of `a:b/c@0.2.3` is met by `a:b/c@0.2.6`. Has to outlive the instances.
class ComponentLinker {
 public:
  ComponentLinker();
  ~ComponentLinker();
  ComponentLinker(ComponentLinker&& other) noexcept;

  using Callback = std::function<void(ComponentCall&)>;
  // `interface` empty: imported by itself. `waits`: it may answer later. With a `signature`,
  // components whose function has another are refused: "func(u32, list<string>) -> own". `direct`:
  // the same function, which is called where there is a way without dynamic values.
  void func(std::string_view interface, std::string_view name, Callback callback,
            bool waits = false, std::string_view signature = {},
            component::AbiFunction direct = {});
  // The same of a function of C++, by its own parameters and result:
  //   linker.typed("my:host/math", "add", [](uint32_t a, uint32_t b) { return a + b; });
  // Values go straight into these types (wafer/component_abi.hpp), unless one is a ComponentVal.
  // Components whose function has other types are refused; names of fields and cases do not count,
  // and a record may be a tuple.
  template <class F>
  void typed(std::string_view interface, std::string_view name, F f) {
    typed(interface, name, std::function(std::move(f)));
  }
  template <class R, class... A>
  void typed(std::string_view interface, std::string_view name, std::function<R(A...)> f) {
    using Indices = std::index_sequence_for<A...>;
    // Both ways to call it are to have the same one.
    const auto function = std::make_shared<const std::function<R(A...)>>(std::move(f));
    auto callback = [function, types = host_types_](ComponentCall& call) {
      call_typed<R, A...>(*function, call, types.get(), Indices());
    };
    component::AbiFunction direct;
    if constexpr (detail::function_direct<std::decay_t<R>, std::decay_t<A>...>())
      direct = component::AbiFunction::of<std::decay_t<R>, std::decay_t<A>...>(
          TypedDirect<R, A...>{function, host_types_});
    func(interface, name, std::move(callback), false,
         detail::function_form<std::decay_t<R>, std::decay_t<A>...>(), std::move(direct));
  }
  // `on_drop` takes what represents a resource that nobody owns any more.
  ComponentResource resource(std::string_view interface, std::string_view name,
                             std::function<void(uint64_t)> on_drop = nullptr);
  // One that is there already, under this name too.
  void resource(std::string_view interface, std::string_view name, const ComponentResource& type);
  // A value (`cm-values`). Resources in it go to the first instance that uses it.
  void value(std::string_view interface, std::string_view name, ComponentVal value);

  // Types of resources that are C++ classes (wafer/bindings.hpp).
  const std::shared_ptr<detail::HostTypes>& host_types() const { return host_types_; }

  // Unlinkable tells every import that is not met; Trap if a start function traps.
  Result<ComponentInstance> instantiate(Store& store, const Component& component);

  component::ComponentLinker* raw() const { return impl_.get(); }

 private:
  template <class R, class... A>
  struct TypedDirect {
    std::shared_ptr<const std::function<R(A...)>> function;
    std::shared_ptr<detail::HostTypes> types;
    void enter(component::AbiCall& c) const { c.scope.types = types.get(); }
    auto operator()(component::AbiCall&, std::decay_t<A>&... args) const {
      if constexpr (std::is_void_v<R>) {
        (*function)(std::move(args)...);
        return true;
      } else {
        return std::optional<std::decay_t<R>>((*function)(std::move(args)...));
      }
    }
  };
  template <class R, class... A, class F, size_t... I>
  static void call_typed(const F& f, ComponentCall& call, const detail::HostTypes* types,
                         std::index_sequence<I...>) {
    const std::span<ComponentVal> in = call.args();
    if (in.size() != sizeof...(A) || !(ComponentType<std::decay_t<A>>::is(in[I]) && ...))
      return call.fail("the host's function has other parameters");
    ComponentScope scope{call.store(), types, nullptr};
    [[maybe_unused]] std::tuple<std::decay_t<A>...> args{
        ComponentType<std::decay_t<A>>::from(in[I], scope)...};
    if (scope.failure) return call.fail(scope.failure);
    if constexpr (std::is_void_v<R>) {
      std::apply(f, std::move(args));
    } else {
      ComponentVal result =
          ComponentType<std::decay_t<R>>::to(std::apply(f, std::move(args)), scope);
      if (scope.failure) return call.fail(scope.failure);
      call.set_raw(std::move(result));
    }
  }
  // False: it has failed, and the trap is set.
  static bool run(const Callback& callback, component::HostCall& call);

  std::unique_ptr<component::ComponentLinker> impl_;
  std::shared_ptr<detail::HostTypes> host_types_;
};

}  // namespace wafer
