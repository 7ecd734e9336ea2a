// Functions of C++ as functions of the host for components.
#pragma once

#include <span>

#include "wasi/bind/codec.h"

namespace wafer::wasi {

// A function of an interface.
struct Definition {
  const char* interface;  // "wasi:io/streams@0.2.12"
  const char* name;       // "[method]input-stream.read"
  const char* signature;  // func_text() of its type
  bool waits;             // may answer later
  runtime::TrapCode (*call)(component::HostCall& call);
  // The same without dynamic values.
  component::AbiFunction (*direct)();
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
  using Kept = Borrow<R>;
  static R& pass(Kept kept) { return *kept; }
};

// What a function gives to its caller, at once or later.
template <class R, class Last>
struct ResultOf {
  using Type = R;
};
template <class R, class X>
struct ResultOf<R, Reply<X>> {
  using Type = std::conditional_t<std::is_same_v<X, Unit>, void, X>;
};

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

  using Result =
      typename ResultOf<R, std::tuple_element_t<sizeof...(A), std::tuple<void*, A...>>>::Type;

  static runtime::TrapCode call(component::HostCall& c) {
    return call(c, std::make_index_sequence<kCount>());
  }
  static component::AbiFunction direct() { return direct(std::make_index_sequence<kCount>()); }

 private:
  // Calls `give` with the result; or, if that comes later, `later` with what cancels it, which
  // gives the answer.
  template <class Give, class Later, size_t... I, class... K>
  static void run(H& host, Give&& give, Later&& later, std::index_sequence<I...>, K&... kept) {
    if constexpr (kReplies) {
      using Given = std::tuple_element_t<sizeof...(A) - 1, All>;
      Given reply(host);
      fn(host, Arg<I>::pass(kept)..., reply);
      if (host.failed()) return;
      auto& state = reply.state();
      if (!state.early)
        state.answer = later(reply.canceller());
      else
        give(*std::move(state.early));
    } else if constexpr (std::is_void_v<R>) {
      fn(host, Arg<I>::pass(kept)...);
    } else {
      give(fn(host, Arg<I>::pass(kept)...));
    }
  }

  template <size_t... I>
  static runtime::TrapCode call(component::HostCall& c, std::index_sequence<I...> indices) {
    H& host = host_of<H>(c.store);
    ComponentScope scope{.store = &c.store, .host = static_cast<HostBase*>(&host)};
    std::tuple<typename Arg<I>::Kept...> args{
        ComponentType<typename Arg<I>::Kept>::from(c.args[I], scope)...};
    if (scope.failure) host.fail(scope.failure);
    if (!host.failed())
      run(
          host,
          [&]<class T>(T&& result) {
            if constexpr (!std::is_void_v<Result>)
              if (!host.failed()) c.result.push_back(to_val<Result>(std::forward<T>(result), host));
          },
          [&](std::function<bool()> canceller) { return c.later(std::move(canceller)); }, indices,
          std::get<I>(args)...);
    return host.take_failure(c.store);
  }

  struct Direct {
    void enter(component::AbiCall& c) const {
      c.scope.host = static_cast<HostBase*>(&host_of<H>(c.store));
    }
    auto operator()(component::AbiCall& c, auto&... kept) const {
      H& host = *static_cast<H*>(static_cast<HostBase*>(c.scope.host));
      std::conditional_t<std::is_void_v<Result>, bool, std::optional<Result>> out{};
      run(
          host,
          [&]<class T>(T&& result) {
            if constexpr (!std::is_void_v<Result>) out.emplace(std::forward<T>(result));
          },
          [&](std::function<bool()> canceller) {
            c.waits = true;
            return *c.answer = component::Answer::later(c.store, std::move(canceller));
          },
          std::make_index_sequence<kCount>(), kept...);
      if (host.failed()) {
        c.stop(host.take_failure(c.store));
        out = {};
      } else if constexpr (std::is_void_v<Result>) {
        out = true;
      }
      return out;
    }
  };
  template <size_t... I>
  static component::AbiFunction direct(std::index_sequence<I...>) {
    return component::AbiFunction::of<Result, typename Arg<I>::Kept...>(Direct{});
  }
};

}  // namespace bind

template <auto fn>
constexpr Definition define(const char* interface, const char* name, const char* signature,
                            bool waits) {
  using Bound = bind::Bound<fn>;
  return {interface, name, signature, waits, Bound::call, Bound::direct};
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

}  // namespace wafer::wasi
