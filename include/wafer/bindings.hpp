// What `wafer bindgen host` makes stands on this: functions of the host that are methods of a
// class, and exports of components as functions of C++.
#pragma once

#include "wafer/component.hpp"

namespace wafer {

namespace component {
struct DirectTarget;
}

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

// What a function gives to its caller, at once or by its last parameter.
template <class R, class Last>
struct ResultOf;
template <class R, class Last>
struct ResultOf<Result<R>, Last> {
  using Type = R;
};
template <class R>
struct ResultOf<void, ComponentReply<R>> {
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
  using Given =
      typename ResultOf<R, std::tuple_element_t<sizeof...(A), std::tuple<void, A...>>>::Type;

  static void call(C* object, ComponentCall& call, const HostTypes* types) {
    run(object, call, types, std::make_index_sequence<kCount>());
  }

  // The way without dynamic values, if there is one.
  static component::AbiFunction direct(C* object, const std::shared_ptr<HostTypes>& types) {
    const auto indices = std::make_index_sequence<kCount>();
    if constexpr (kOfResource)
      if (!object) return direct<C*>(nullptr, types, indices);
    return direct<>(object, types, indices);
  }

 private:
  static constexpr bool kOfResource = std::is_base_of_v<HostResource, C>;
  // `kSelf`: 1 if the resource itself is the first parameter.
  template <size_t kSelf>
  struct Direct {
    C* object;
    std::shared_ptr<HostTypes> types;
    void enter(component::AbiCall& c) const { c.scope.types = types.get(); }
    auto operator()(component::AbiCall& c, auto&... args) const {
      return run(c, std::make_index_sequence<kCount>(), std::tie(args...));
    }
    template <size_t... I>
    auto run(component::AbiCall& c, std::index_sequence<I...>, const auto& args) const {
      using T = Given;
      C* self = object;
      if constexpr (kSelf == 1) self = std::get<0>(args);
      R result = (self->*method)(Arg<I>::pass(std::get<kSelf + I>(args))...);
      if (!result.ok()) c.fail(result.error().message);
      if constexpr (std::is_void_v<T>)
        return result.ok();
      else
        return result.ok() ? std::optional<T>(*std::move(result)) : std::nullopt;
    }
  };
  template <class... Self, size_t... I>
  static component::AbiFunction direct(C* object, const std::shared_ptr<HostTypes>& types,
                                       std::index_sequence<I...>) {
    if constexpr (!kReplies && function_direct<Given, Self..., typename Arg<I>::Kept...>())
      return component::AbiFunction::of<Given, Self..., typename Arg<I>::Kept...>(
          Direct<sizeof...(Self)>{object, types});
    else
      return component::AbiFunction::form_of<Given, Self..., typename Arg<I>::Kept...>();
  }

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
      R result = (object->*method)(Arg<I>::pass(std::get<I>(args))...);
      if (!result.ok()) return call.fail(result.error().message);
      if constexpr (!std::is_void_v<Given>)
        call.set_raw(ComponentType<Given>::to(*std::move(result), scope));
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
      Bound::kReplies, signature, Bound::direct(object, linker.host_types()));
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

namespace detail {

// What is the same for bound functions of all types.
class FoundFunc {
 protected:
  // `form`: of the types in C++.
  Result<void> locate(const ComponentInstance& instance, const ComponentScope& scope,
                      std::string_view interface, std::string_view name, std::string_view signature,
                      std::string_view form);
  // False: it has to be made with dynamic values.
  Result<bool> call_direct(bool (*lower)(void*, component::AbiCall&),
                           bool (*lift)(void*, component::AbiCall&), void* env) const;

  ComponentFunc func_;
  ComponentScope scope_;
  // Null: it can only be called with dynamic values.
  std::shared_ptr<const component::DirectTarget> target_;
};

}  // namespace detail

// A function that a component exports, of a type that has been checked: BoundFunc<R(A...)>.
// Parameters that are `R&` (of a HostResource) and `const R&` (of a GuestResource) are borrowed.
template <class F>
class BoundFunc;
template <class R, class... A>
class BoundFunc<R(A...)> : detail::FoundFunc {
 public:
  BoundFunc() = default;
  // Unlinkable if there is none, or one of another type: than `signature`, or than C++ has here.
  static Result<BoundFunc> find(const ComponentInstance& instance, const ComponentScope& scope,
                                std::string_view interface, std::string_view name,
                                std::string_view signature) {
    BoundFunc out;
    const auto found = out.locate(instance, scope, interface, name, signature,
                                  detail::function_form<R, typename detail::Passed<A>::Kept...>());
    if (!found.ok()) return found.error();
    return out;
  }

  // Runs everything in the store until it has a result. Errors: Trap; Usage if a resource cannot be
  // given to it. What is given away (resources that it owns, ends of streams and futures) is given
  // away also where the call fails.
  template <class... V>
    requires(sizeof...(V) == sizeof...(A))
  Result<R> call(V&&... args) const {
    if constexpr ((ComponentDirect<typename detail::Passed<A>::Kept> && ...) &&
                  detail::result_direct<R>()) {
      if (target_) {
        Direct<decltype(lent<A>(std::forward<V>(args)))...> direct{
            scope_, {lent<A>(std::forward<V>(args))...}, {}};
        WAFER_LET(called, call_direct(direct.lower, direct.lift, &direct));
        if (called) {
          if constexpr (std::is_void_v<R>)
            return {};
          else
            return std::move(direct.result);
        }
        return std::apply([&](auto&... arg) { return call_with(std::move(arg)...); }, direct.args);
      }
    }
    return call_with(kept<A>(std::forward<V>(args))...);
  }

 private:
  // A call without dynamic values; arguments are values, or references to those that are the
  // caller's.
  template <class... T>
  struct Direct {
    using Params = detail::ParamsAbi<std::remove_cvref_t<T>...>;
    const ComponentScope& scope;
    std::tuple<T...> args;
    std::conditional_t<std::is_void_v<R>, Unit, R> result;

    static bool lower(void* env, component::AbiCall& c) {
      auto& self = *static_cast<Direct*>(env);
      c.scope.types = self.scope.types;
      // Only handles are used up, and those are values.
      return std::apply(
          [&](auto&... arg) {
            return Params::lower(c, const_cast<std::remove_cvref_t<T>&>(arg)...);
          },
          self.args);
    }
    static bool lift(void* env, component::AbiCall& c) {
      auto& self = *static_cast<Direct*>(env);
      c.scope.types = self.scope.types;
      if constexpr (std::is_void_v<R>)
        return true;
      else
        return detail::ResultAbi<R>::lift(c, Params::kHandles, self.result);
    }
  };
  template <class... T>
  Result<R> call_with(T... args) const {
    ComponentScope scope = scope_;
    std::vector<ComponentVal> values;
    values.reserve(sizeof...(T));
    (values.push_back(ComponentType<T>::to(std::move(args), scope)), ...);
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

  // An argument as it is lowered.
  template <class T, class V>
  static typename detail::Passed<T>::Kept kept(V&& v) {
    using P = detail::Passed<T>;
    if constexpr (requires { P::keep(v); })
      return P::keep(v);
    else
      return typename P::Kept(std::forward<V>(v));
  }

  // The same, but the caller's own where nothing of it is used up.
  template <class T, class V>
  static decltype(auto) lent(V&& v) {
    using Kept = typename detail::Passed<T>::Kept;
    if constexpr (std::is_lvalue_reference_v<V&&> && std::is_same_v<std::remove_cvref_t<V>, Kept> &&
                  ComponentAbi<Kept>::kFlat > 1 && ComponentAbi<Kept>::kHandles == 0)
      return static_cast<const Kept&>(v);
    else
      return kept<T>(std::forward<V>(v));
  }
};

}  // namespace wafer
