// What `wafer bindgen host` makes stands on this: functions of the host that are methods of a
// class, and exports of components as functions of C++.
#pragma once

#include "wafer/component.hpp"

namespace wafer {

namespace detail {

// Resource types of a linker, by class.
struct HostTypes {
  std::vector<std::pair<const void*, ComponentResource>> types;
};

}  // namespace detail

// The result of a function that takes its time: given once, from any thread (resources: from the
// thread that uses the store). Copies are the same; when the last is gone without one, the guest
// traps.
template <class R>
class ComponentReply {
 public:
  ComponentReply(ComponentAnswer answer, ComponentScope scope)
      : answer_(std::move(answer)), scope_(std::move(scope)), life_(scope_.life()) {}
  template <class... V>
    requires(sizeof...(V) == (std::is_void_v<R> ? 0 : 1))
  void operator()(V&&... value) const {
    if constexpr (std::is_void_v<R>) {
      answer_.complete();
    } else {
      // Nobody waits any more, and there is nothing that could have resources.
      if (life_.expired()) return;
      ComponentScope scope = scope_;
      ComponentVal v = ComponentType<R>::to(R(std::forward<V>(value)...), scope);
      if (scope.failure)
        answer_.fail(scope.failure);
      else
        answer_.complete_raw(std::move(v));
    }
  }
  // The guest traps with that message.
  void fail(std::string_view message) const { answer_.fail(message); }

 private:
  ComponentAnswer answer_;
  ComponentScope scope_;
  std::weak_ptr<void> life_;  // of the store
};

namespace detail {

// How a parameter is kept until the call: resources that are borrowed by their address.
template <class A>
struct Passed {
  using Kept = std::remove_cvref_t<A>;
  static Kept pass(Kept& kept) { return std::move(kept); }
};
template <class R>
  requires std::is_base_of_v<HostResource, R>
struct Passed<R&> {
  using Kept = R*;
  static R& pass(R* kept) { return *kept; }
  static R* keep(R& v) { return &v; }
};
template <class R>
  requires std::is_base_of_v<GuestResource, R>
struct Passed<const R&> {
  using Kept = const R*;
  static const R* keep(const R& v) { return &v; }
};

template <class T>
struct IsReply : std::false_type {};
template <class R>
struct IsReply<ComponentReply<R>> : std::true_type {};

template <class R>
struct ResultOf;
template <class R>
struct ResultOf<Result<R>> {
  using Type = R;
};

// A method as a function of the host. `object` null: of the resource that is the first argument.
template <auto method>
struct Bound;
template <class C, class R, class... A, R (C::*method)(A...)>
struct Bound<method> {
  using All = std::tuple<A...>;
  template <size_t N>
  static constexpr bool last_replies() {
    if constexpr (N == 0)
      return false;
    else
      return IsReply<std::tuple_element_t<N - 1, All>>::value;
  }
  static constexpr bool kReplies = last_replies<sizeof...(A)>();
  static constexpr size_t kCount = sizeof...(A) - kReplies;
  template <size_t I>
  using Arg = Passed<std::tuple_element_t<I, All>>;

  static void call(C* object, ComponentCall& call, const HostTypes* types) {
    run(object, call, types, std::make_index_sequence<kCount>());
  }

 private:
  template <size_t... I>
  static void run(C* object, ComponentCall& call, const HostTypes* types,
                  std::index_sequence<I...>) {
    ComponentScope scope{call.store(), types, nullptr};
    const std::span<ComponentVal> in = call.args();
    size_t self = 0;
    if constexpr (std::is_base_of_v<HostResource, C>)
      if (!object) object = ComponentType<C*>::from(in[self++], scope);
    [[maybe_unused]] std::tuple<typename Arg<I>::Kept...> args{
        ComponentType<typename Arg<I>::Kept>::from(in[self + I], scope)...};
    if (scope.failure) return call.fail(scope.failure);
    if constexpr (kReplies) {
      using Reply = std::tuple_element_t<sizeof...(A) - 1, All>;
      (object->*method)(Arg<I>::pass(std::get<I>(args))..., Reply(call.later(), scope));
    } else {
      using T = typename ResultOf<R>::Type;
      R result = (object->*method)(Arg<I>::pass(std::get<I>(args))...);
      if (!result.ok()) return call.fail(result.error().message);
      if constexpr (!std::is_void_v<T>)
        call.set_raw(ComponentType<T>::to(*std::move(result), scope));
      if (scope.failure) call.fail(scope.failure);
    }
  }
};

}  // namespace detail

// Defines `method` of `object` as a function of the linker, of that type; `object` null: of the
// resource that it takes first. The object has to outlive the instances.
template <auto method, class C>
void bind_method(ComponentLinker& linker, std::string_view interface, std::string_view name,
                 std::string_view signature, C* object) {
  using Bound = detail::Bound<method>;
  linker.func(
      interface, name,
      [object, types = linker.host_types()](ComponentCall& call) {
        Bound::call(object, call, types.get());
      },
      Bound::kReplies, signature);
}

// Defines resources that are objects of class R.
template <class R>
void bind_resource(ComponentLinker& linker, std::string_view interface, std::string_view name) {
  auto& types = linker.host_types()->types;
  for (const auto& [tag, type] : types)
    if (tag == &detail::kTag<R>) return linker.resource(interface, name, type);
  types.emplace_back(&detail::kTag<R>, linker.resource(interface, name, [](uint64_t rep) {
    delete detail::HostObjects::take_back(rep);
  }));
}

// A function that a component exports, of a type that has been checked.
class BoundFunc {
 public:
  BoundFunc() = default;
  // Unlinkable if there is none, or one of another type.
  static Result<BoundFunc> find(const ComponentInstance& instance, const ComponentScope& scope,
                                std::string_view interface, std::string_view name,
                                std::string_view signature);

  template <class R, class... A, class... V>
  Result<R> call(V&&... args) const {
    ComponentScope scope = scope_;
    std::vector<ComponentVal> values;
    values.reserve(sizeof...(A));
    (values.push_back(value<A>(std::forward<V>(args), scope)), ...);
    if (scope.failure) return Error(ErrorKind::Usage, scope.failure);
    WAFER_LET(result, func_.call_raw(std::move(values)));
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      R out = ComponentType<R>::from(result[0], scope);
      if (scope.failure) return Error(ErrorKind::Usage, scope.failure);
      return out;
    }
  }

 private:
  template <class A, class V>
  static ComponentVal value(V&& v, ComponentScope& scope) {
    using P = detail::Passed<A>;
    if constexpr (requires { P::keep(v); })
      return ComponentType<typename P::Kept>::to(P::keep(v), scope);
    else
      return ComponentType<typename P::Kept>::to(typename P::Kept(std::forward<V>(v)), scope);
  }

  ComponentFunc func_;
  ComponentScope scope_;
};

}  // namespace wafer
