// Functions of C++ as functions of the host for components.
#pragma once

#include <span>

#include "wasi/bind/codec.h"

namespace wafer::wasi {

// A function of an interface.
struct Definition {
  const char* interface;  // "wasi:io/streams@0.2.12"
  const char* name;       // "[method]input-stream.read"
  bool waits;             // may answer later
  bool is_async;          // the function's type
  runtime::TrapCode (*call)(component::HostCall& call);
  // Whether a component means this by a function type of its own.
  bool (*matches)(const TypeArena& types, const TypeDef& func);
  // The same with nothing but scalars, or empty.
  component::DirectFunction::Call direct;
  component::DirectFunction::Fits fits;
};

// The host that is at work for the store, of class H.
template <class H>
H& host_of(component::ComponentStore& store) {
  return static_cast<H&>(*static_cast<HostBase*>(store.hosts[H::kFamily]));
}

namespace bind {

template <class T>
struct IsReply : std::false_type {};
template <class R>
struct IsReply<Reply<R>> : std::true_type {};

// How a parameter is kept until the call, and its type in codecs.
template <class A>
struct Param {
  using Kept = A;
  static A pass(Kept& kept) { return std::move(kept); }
};
template <class R>
struct Param<R&> {
  using Kept = R*;
  static R& pass(Kept kept) { return *kept; }
};

template <class T, size_t... I>
auto without_last(std::index_sequence<I...>) -> std::tuple<std::tuple_element_t<I, T>...>;

// `fn` takes a host, the function's parameters, and perhaps a Reply for the result.
template <auto fn>
struct Bound;

template <class H, class R, class... A, R (*fn)(H&, A...)>
struct Bound<fn> {
  using All = std::tuple<A...>;
  template <size_t N>
  static constexpr bool replies() {
    if constexpr (N == 0)
      return false;
    else
      return IsReply<std::tuple_element_t<N - 1, All>>::value;
  }
  static constexpr bool kReplies = replies<sizeof...(A)>();
  static constexpr size_t kCount = sizeof...(A) - kReplies;
  template <size_t I>
  using Arg = Param<std::tuple_element_t<I, All>>;

  static runtime::TrapCode call(component::HostCall& c) {
    return call(c, std::make_index_sequence<kCount>());
  }
  static bool matches(const TypeArena& types, const TypeDef& func) {
    return matches(types, func, std::make_index_sequence<kCount>());
  }

  // Whether values of nothing but scalars go to it, and come from it at once.
  static constexpr bool is_direct() {
    if constexpr (kReplies)
      return false;
    else
      return direct_params(std::make_index_sequence<kCount>()) &&
             Scalar<R>::kType.kind != component::ScalarKind::Other &&
             Scalar<R>::kType.kind != component::ScalarKind::Borrow;
  }
  static runtime::TrapCode direct(const void*, const component::DirectCall& c) {
    return direct(c, std::make_index_sequence<kCount>());
  }
  static bool fits(const void*, std::span<const component::ScalarType> params,
                   component::ScalarType result) {
    return fits(params, result, std::make_index_sequence<kCount>());
  }

 private:
  template <size_t... I>
  static constexpr bool direct_params(std::index_sequence<I...>) {
    return ((Scalar<typename Arg<I>::Kept>::kType.kind != component::ScalarKind::Other) && ...);
  }
  template <size_t... I>
  static bool fits(std::span<const component::ScalarType> params, component::ScalarType result,
                   std::index_sequence<I...>) {
    // Which resource is borrowed is looked at with each call.
    const auto same = [](component::ScalarType a, component::ScalarType b) {
      return a.kind == b.kind && (a.kind == component::ScalarKind::Borrow || a.number == b.number);
    };
    return params.size() == kCount && same(Scalar<R>::kType, result) &&
           (same(Scalar<typename Arg<I>::Kept>::kType, params[I]) && ...);
  }
  template <size_t... I>
  static runtime::TrapCode direct(const component::DirectCall& c, std::index_sequence<I...>) {
    H& host = host_of<H>(c.store);
    std::tuple<typename Arg<I>::Kept...> args{Scalar<typename Arg<I>::Kept>::from(c, I, host)...};
    if (!host.failed()) {
      if constexpr (std::is_void_v<R>)
        fn(host, Arg<I>::pass(std::get<I>(args))...);
      else
        c.slots[0] = Scalar<R>::to(fn(host, Arg<I>::pass(std::get<I>(args))...));
      if (!host.failed()) return runtime::TrapCode::None;
    }
    return host.take_failure(c.store);
  }
  template <size_t... I>
  static runtime::TrapCode call(component::HostCall& c, std::index_sequence<I...>) {
    H& host = host_of<H>(c.store);
    std::tuple<typename Arg<I>::Kept...> args{
        Codec<typename Arg<I>::Kept>::from(c.args[I], host)...};
    if (!host.failed()) {
      if constexpr (kReplies) {
        std::tuple_element_t<sizeof...(A) - 1, All> reply(host);
        fn(host, Arg<I>::pass(std::get<I>(args))..., reply);
        auto& state = reply.state();
        if (!host.failed()) {
          if (state.early)
            c.result = *std::move(state.early);
          else
            state.answer = c.later(reply.canceller());
        }
      } else if constexpr (std::is_void_v<R>) {
        fn(host, Arg<I>::pass(std::get<I>(args))...);
      } else {
        R result = fn(host, Arg<I>::pass(std::get<I>(args))...);
        if (!host.failed()) c.result.push_back(Codec<R>::to(std::move(result), host));
      }
    }
    return host.take_failure(c.store);
  }

  template <size_t... I>
  static bool matches(const TypeArena& types, const TypeDef& func, std::index_sequence<I...>) {
    if (func.labels.size() != kCount) return false;
    if (!(Codec<typename Arg<I>::Kept>::matches(types, func.labels[I].type) && ...)) return false;
    if constexpr (kReplies)
      return result_matches<std::tuple_element_t<sizeof...(A) - 1, All>>(types, func.args[0]);
    else if constexpr (std::is_void_v<R>)
      return !func.args[0];
    else
      return bool(func.args[0]) && Codec<R>::matches(types, func.args[0]);
  }
  template <class Of>
  struct ReplyOf;
  template <class X>
  struct ReplyOf<Reply<X>> {
    using Type = X;
  };
  template <class Of>
  static bool result_matches(const TypeArena& types, ValType t) {
    return PayloadCodec<typename ReplyOf<Of>::Type>::matches(types, t);
  }
};

}  // namespace bind

template <auto fn>
constexpr Definition define(const char* interface, const char* name, bool waits, bool is_async) {
  using Bound = bind::Bound<fn>;
  if constexpr (Bound::is_direct())
    return {interface,   name,           waits,         is_async,
            Bound::call, Bound::matches, Bound::direct, Bound::fits};
  else
    return {interface, name, waits, is_async, Bound::call, Bound::matches, nullptr, nullptr};
}

// Defines resources and functions in `linker`; gives the resource types, which a HostBase of
// each store needs.
ResourceTypes add_definitions(component::ComponentLinker& linker,
                              std::span<const ResourceName> resources,
                              std::span<const ResourceAlias> aliases,
                              std::span<const Definition> definitions);

// Its parts: resources of an interface, and what uses them (`types`, by ResourceMeta's index).
ResourceTypes add_resources(component::ComponentLinker& linker,
                            std::span<const ResourceName> resources);
void add_definitions(component::ComponentLinker& linker, const ResourceTypes& types,
                     std::span<const ResourceAlias> aliases,
                     std::span<const Definition> definitions);

// Whether what `component` imports of these interfaces has their types. Unlinkable names the
// first function that has not.
Result<void> check_imports(const component::Component& component,
                           std::span<const Definition> definitions);

}  // namespace wafer::wasi
