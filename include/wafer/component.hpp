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

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "wafer/component_value.hpp"
#include "wafer/store.hpp"

namespace wafer {

namespace component {
class Component;
class ComponentInstance;
class ComponentLinker;
class ComponentStore;
struct HostCall;
struct ExportedFunc;
class Answer;
}  // namespace component

using ComponentVal = component::Val;

namespace detail {

// Values as C++ types: bool, integers, float, double, char32_t, std::string, std::vector,
// std::optional, std::tuple (also records, in order), and ComponentVal for all else.
template <class T>
struct ComponentType {
  static ComponentVal to(const T& v) {
    if constexpr (std::is_same_v<T, float>)
      return ComponentVal::of_f32(v);
    else if constexpr (std::is_same_v<T, double>)
      return ComponentVal::of_f64(v);
    else if constexpr (std::is_signed_v<T>)
      return ComponentVal::of_int(v);
    else
      return ComponentVal::of_bits(v);
  }
  static bool is(const ComponentVal& v) { return v.is_bits(); }
  static T from(const ComponentVal& v) {
    if constexpr (std::is_same_v<T, float>)
      return v.as_f32();
    else if constexpr (std::is_same_v<T, double>)
      return v.as_f64();
    else
      return static_cast<T>(v.bits());
  }
};
template <>
struct ComponentType<ComponentVal> {
  static ComponentVal to(const ComponentVal& v) { return v; }
  static bool is(const ComponentVal&) { return true; }
  static ComponentVal from(const ComponentVal& v) { return v; }
};
template <>
struct ComponentType<std::string> {
  static ComponentVal to(const std::string& v) { return ComponentVal::of_text(v); }
  static bool is(const ComponentVal& v) { return v.is_text(); }
  static std::string from(const ComponentVal& v) { return v.str(); }
};
template <>
struct ComponentType<const char*> {
  static ComponentVal to(const char* v) { return ComponentVal::of_text(v); }
};
template <>
struct ComponentType<std::vector<uint8_t>> {
  static ComponentVal to(const std::vector<uint8_t>& v) { return ComponentVal::of_bytes(v); }
  static bool is(const ComponentVal& v) { return v.is_bytes(); }
  static std::vector<uint8_t> from(const ComponentVal& v) { return v.bytes(); }
};
template <class T>
struct ComponentType<std::vector<T>> {
  static ComponentVal to(const std::vector<T>& v) {
    ComponentVal::Items items;
    for (const T& e : v) items.push_back(ComponentType<T>::to(e));
    return ComponentVal::of_items(std::move(items));
  }
  static bool is(const ComponentVal& v) {
    if (!v.is_items()) return false;
    for (const ComponentVal& e : v.items())
      if (!ComponentType<T>::is(e)) return false;
    return true;
  }
  static std::vector<T> from(const ComponentVal& v) {
    std::vector<T> out;
    for (const ComponentVal& e : v.items()) out.push_back(ComponentType<T>::from(e));
    return out;
  }
};
template <class T>
struct ComponentType<std::optional<T>> {
  static ComponentVal to(const std::optional<T>& v) {
    return v ? ComponentVal::some(ComponentType<T>::to(*v)) : ComponentVal::none();
  }
  static bool is(const ComponentVal& v) {
    return v.is_case() && (!v.payload() || ComponentType<T>::is(*v.payload()));
  }
  static std::optional<T> from(const ComponentVal& v) {
    if (!v.payload()) return std::nullopt;
    return ComponentType<T>::from(*v.payload());
  }
};
template <class... T>
struct ComponentType<std::tuple<T...>> {
  static ComponentVal to(const std::tuple<T...>& v) {
    ComponentVal::Items items;
    std::apply([&](const T&... e) { (items.push_back(ComponentType<T>::to(e)), ...); }, v);
    return ComponentVal::of_items(std::move(items));
  }
  static bool is(const ComponentVal& v) {
    if (!v.is_items() || v.items().size() != sizeof...(T)) return false;
    size_t i = 0;
    return (ComponentType<T>::is(v.items()[i++]) && ...);
  }
  static std::tuple<T...> from(const ComponentVal& v) {
    size_t i = 0;
    return std::tuple<T...>{ComponentType<T>::from(v.items()[i++])...};
  }
};

}  // namespace detail

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
  // Whether `bytes` begin like a component rather than a core module.
  static bool is_component(std::span<const uint8_t> bytes);

  // Names of what it imports and exports, in order.
  std::vector<std::string> imports() const;
  std::vector<std::string> exports() const;

  const std::shared_ptr<component::Component>& raw() const { return impl_; }

 private:
  explicit Component(std::shared_ptr<component::Component> impl) : impl_(std::move(impl)) {}
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
  void complete(const T& value) const {
    complete_raw(detail::ComponentType<T>::to(value));
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
  // An argument, which has to be of that type.
  template <class T>
  T arg(size_t i) const {
    return detail::ComponentType<T>::from(args()[i]);
  }
  void set_raw(ComponentVal result);
  template <class T>
  void set(const T& result) {
    set_raw(detail::ComponentType<T>::to(result));
  }
  // The guest traps with that message.
  void fail(std::string_view message);
  // The guest waits until there is an answer; only of functions that were defined to.
  ComponentAnswer later();

 private:
  friend class ComponentLinker;
  component::HostCall& impl_;
  bool failed_ = false;
  std::string message_;
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

 private:
  std::shared_ptr<component::ResourceType> type_;
};

// A function that a component exports.
class ComponentFunc {
 public:
  ComponentFunc() = default;
  explicit ComponentFunc(std::shared_ptr<component::ExportedFunc> impl) : impl_(std::move(impl)) {}
  explicit operator bool() const { return impl_ != nullptr; }

  // Calls it, and runs everything in the store until it has a result: nothing or one value.
  // Errors: Trap; Usage if the arguments do not fit.
  Result<std::vector<ComponentVal>> call_raw(std::vector<ComponentVal> args) const;
  // The same with C++ values; Usage if the result is none of an R.
  template <class R = void, class... A>
  Result<R> call(const A&... args) const {
    std::vector<ComponentVal> values;
    (values.push_back(detail::ComponentType<std::decay_t<const A>>::to(args)), ...);
    auto result = call_raw(std::move(values));
    if (!result.ok()) return result.take_error();
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      if (result->empty() || !detail::ComponentType<R>::is((*result)[0]))
        return Error(ErrorKind::Usage, "the result does not have the type that is wanted");
      return detail::ComponentType<R>::from((*result)[0]);
    }
  }
  // Arguments and result in WAVE: `("a", {x: 1})`.
  Result<std::string> call_text(std::string_view arguments) const;

 private:
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

  const std::shared_ptr<component::ComponentInstance>& raw() const { return impl_; }

 private:
  std::shared_ptr<component::ComponentInstance> impl_;
};

// What the host gives to components: functions and resources, by interface and name. An import
// of `a:b/c@0.2.3` is met by `a:b/c@0.2.6`. Has to outlive the instances.
class ComponentLinker {
 public:
  ComponentLinker();
  ~ComponentLinker();
  ComponentLinker(ComponentLinker&& other) noexcept;

  using Callback = std::function<void(ComponentCall&)>;
  // `interface` empty: imported by itself. `waits`: it may answer later.
  void func(std::string_view interface, std::string_view name, Callback callback,
            bool waits = false);
  // `on_drop` takes what represents a resource that nobody owns any more.
  ComponentResource resource(std::string_view interface, std::string_view name,
                             std::function<void(uint64_t)> on_drop = nullptr);

  // Unlinkable tells every import that is not met; Trap if a start function traps.
  Result<ComponentInstance> instantiate(Store& store, const Component& component);

  component::ComponentLinker* raw() const { return impl_.get(); }

 private:
  std::unique_ptr<component::ComponentLinker> impl_;
};

}  // namespace wafer
