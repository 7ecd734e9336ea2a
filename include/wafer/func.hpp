// Functions: dynamic calls, typed calls, and host functions from C++ callables.
#pragma once

#include <cstring>
#include <tuple>
#include <type_traits>

#include "wafer/store.hpp"

namespace wafer {

class Caller;
class Extern;
template <class Signature>
class TypedFunc;
template <class R>
class Promise;
template <class R>
class Task;

namespace detail {

// Clears what the last call left behind and runs `func` on `slots`.
TrapCode call(runtime::Store* store, runtime::FuncInst* func, Slot* slots);
Error trap_error(runtime::Store* store);
runtime::Store* store_of(runtime::CallContext& context);
TrapCode host_error(runtime::CallContext& context, const Error& error);

// How the C++ type T goes to and from slots. Specialised below for every type that
// may appear in a typed signature.
template <class T>
struct WasmType;

template <class T, TypeKind Kind>
struct NumberType {
  static constexpr uint32_t kSlots = 1;
  static ValType type() { return Kind; }
  static T load(runtime::Store*, const Slot* s) {
    T v;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    std::memcpy(&v, reinterpret_cast<const char*>(s) + (8 - sizeof(T)), sizeof(T));
#else
    std::memcpy(&v, s, sizeof(T));
#endif
    return v;
  }
  static void store(runtime::Store*, Slot* s, T v) {
    *s = 0;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    std::memcpy(reinterpret_cast<char*>(s) + (8 - sizeof(T)), &v, sizeof(T));
#else
    std::memcpy(s, &v, sizeof(T));
#endif
  }
};
template <class T>
  requires(std::is_integral_v<T> && sizeof(T) == 4)
struct WasmType<T> : NumberType<T, TypeKind::I32> {};
template <class T>
  requires(std::is_integral_v<T> && sizeof(T) == 8)
struct WasmType<T> : NumberType<T, TypeKind::I64> {};
template <class T>
  requires(std::is_enum_v<T> && sizeof(T) == 4)
struct WasmType<T> : NumberType<T, TypeKind::I32> {};
template <>
struct WasmType<float> : NumberType<float, TypeKind::F32> {};
template <>
struct WasmType<double> : NumberType<double, TypeKind::F64> {};

template <>
struct WasmType<bool> {
  static constexpr uint32_t kSlots = 1;
  static ValType type() { return kI32; }
  static bool load(runtime::Store*, const Slot* s) { return uint32_t(*s) != 0; }
  static void store(runtime::Store*, Slot* s, bool v) { *s = v; }
};
template <>
struct WasmType<V128> {
  static constexpr uint32_t kSlots = 2;
  static ValType type() { return kV128; }
  static V128 load(runtime::Store*, const Slot* s) {
    V128 v;
    std::memcpy(v.bytes, s, 16);
    return v;
  }
  static void store(runtime::Store*, Slot* s, const V128& v) { std::memcpy(s, v.bytes, 16); }
};
template <class T, HeapKind Kind>
struct RefType {
  static constexpr uint32_t kSlots = 1;
  static ValType type() { return ValType::ref(Kind, true); }
  static T load(runtime::Store* store, const Slot* s) { return T(store, *s); }
  static void store(runtime::Store*, Slot* s, const T& v) { *s = v.bits(); }
};
template <>
struct WasmType<ExternRef> : RefType<ExternRef, HeapKind::Extern> {};
template <>
struct WasmType<AnyRef> : RefType<AnyRef, HeapKind::Any> {};
template <>
struct WasmType<ExnRef> : RefType<ExnRef, HeapKind::Exn> {};
template <>
struct WasmType<Func> : RefType<Func, HeapKind::Func> {};

template <class... T>
constexpr uint32_t total_slots() {
  return (0u + ... + WasmType<T>::kSlots);
}

// What a function returns: nothing, one value, or a tuple or pair of values, each
// perhaps in a Result.
template <class R>
struct Returns;
template <>
struct Returns<void> {
  static constexpr uint32_t kSlots = 0;
  static void types(Vec<ValType>&) {}
  static Result<void> load(runtime::Store*, const Slot*) { return {}; }
};
template <class T>
struct Returns {
  static constexpr uint32_t kSlots = WasmType<T>::kSlots;
  static void types(Vec<ValType>& out) { out.push_back(WasmType<T>::type()); }
  static Result<T> load(runtime::Store* st, const Slot* s) { return WasmType<T>::load(st, s); }
  static void store(runtime::Store* st, Slot* s, const T& v) { WasmType<T>::store(st, s, v); }
};
template <class Tuple, class... T>
struct ReturnsMany {
  static constexpr uint32_t kSlots = total_slots<T...>();
  static void types(Vec<ValType>& out) { (out.push_back(WasmType<T>::type()), ...); }
  static Result<Tuple> load(runtime::Store* st, const Slot* s) {
    // Braces: evaluated from left to right.
    return Tuple{[&] {
      const Slot* at = s;
      s += WasmType<T>::kSlots;
      return WasmType<T>::load(st, at);
    }()...};
  }
  static void store(runtime::Store* st, Slot* s, const Tuple& v) {
    std::apply(
        [&](const T&... e) { ((WasmType<T>::store(st, s, e), s += WasmType<T>::kSlots), ...); }, v);
  }
};
template <class... T>
struct Returns<std::tuple<T...>> : ReturnsMany<std::tuple<T...>, T...> {};
template <class A, class B>
struct Returns<std::pair<A, B>> : ReturnsMany<std::pair<A, B>, A, B> {};

template <class R>
struct Unwrapped {
  using Type = R;
};
template <class R>
struct Unwrapped<Result<R>> {
  using Type = R;
};
template <class R>
struct Unwrapped<Task<R>> {
  using Type = R;
};
template <class R>
constexpr bool kIsTask = false;
template <class R>
constexpr bool kIsTask<Task<R>> = true;
// How a host function finishes later; see async.hpp.
template <class R>
struct Later;

// A callable's signature: its results, its WebAssembly parameters, and whether it
// wants the Caller first, and then a Promise.
template <class F>
struct Signature : Signature<decltype(&std::remove_cvref_t<F>::operator())> {};
template <bool WantsCaller, class R, class... A>
struct SignatureOf {
  static constexpr bool kWantsCaller = WantsCaller;
  static constexpr bool kWantsPromise = false;
  using Return = R;
  using Plain = typename Unwrapped<R>::Type;
  using Args = std::tuple<std::remove_cvref_t<A>...>;
  static constexpr uint32_t kParamSlots = total_slots<std::remove_cvref_t<A>...>();
  static FuncType type() {
    FuncType t;
    (t.params.push_back(WasmType<std::remove_cvref_t<A>>::type()), ...);
    Returns<Plain>::types(t.results);
    return t;
  }
};
template <bool WantsCaller, class R, class... A>
struct PromiseSignatureOf : SignatureOf<WantsCaller, R, A...> {
  static constexpr bool kWantsPromise = true;
};
template <class R, class... A>
struct Signature<R (*)(A...)> : SignatureOf<false, R, A...> {};
template <class R, class... A>
struct Signature<void (*)(Promise<R>, A...)> : PromiseSignatureOf<false, R, A...> {};
template <class R, class... A>
struct Signature<void (*)(Caller&, Promise<R>, A...)> : PromiseSignatureOf<true, R, A...> {};
template <class R, class... A>
struct Signature<R (*)(Caller&, A...)> : SignatureOf<true, R, A...> {};
template <class R, class... A>
struct Signature<R(A...)> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...)> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) const> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) noexcept> : Signature<R (*)(A...)> {};
template <class C, class R, class... A>
struct Signature<R (C::*)(A...) const noexcept> : Signature<R (*)(A...)> {};
template <class R, class... A>
struct Signature<R (*)(A...) noexcept> : Signature<R (*)(A...)> {};

}  // namespace detail

// A function (spec 4.2.7), or the null funcref. Valid as long as its store.
class Func {
 public:
  // Null.
  Func() = default;
  Func(runtime::Store* store, runtime::FuncInst* func) : store_(store), func_(func) {}
  Func(runtime::Store* store, uint64_t bits)
      : store_(store), func_(reinterpret_cast<runtime::FuncInst*>(uintptr_t(bits))) {}

  // A host function of type `type`. `callback` reads its arguments from the slots and
  // leaves its results there (v128 takes two slots). `env` goes to `release`, if
  // given, when the store dies. Report errors with Caller::fail.
  using RawCallback = TrapCode (*)(void* env, Caller& caller, Slot* slots);
  static Func create_raw(Store& store, const FuncType& type, RawCallback callback, void* env,
                         void (*release)(void* env) = nullptr);

  // A host function from a C++ callable, which must not throw. Its WebAssembly type
  // follows from its signature: int32_t, int64_t and their unsigned kin, float,
  // double, bool (i32), V128, Func, ExternRef, AnyRef, ExnRef; results also as
  // std::tuple or std::pair. A first parameter `Caller&` gives access to the calling
  // instance. Returning a Result<R> lets it trap. With a Promise<R> as the parameter after
  // that, or a Task<R> as its result, it finishes later: see async.hpp.
  template <class F>
  static Func wrap(Store& store, F callable);

  bool is_null() const { return !func_; }
  explicit operator bool() const { return func_ != nullptr; }
  bool operator==(const Func& o) const { return func_ == o.func_; }
  FuncType type() const;

  // Calls with checked arguments. Errors: Usage if they do not fit the type; Trap if
  // execution trapped (see Store::last_trap).
  Result<Vec<Val>> call(std::span<const Val> args) const;
  Result<Vec<Val>> call(std::initializer_list<Val> args) const {
    return call(std::span<const Val>(args.begin(), args.size()));
  }

  // This function as a typed one; Usage if Signature, such as
  // `int32_t(int32_t, double)`, is not its type.
  template <class Signature>
  Result<TypedFunc<Signature>> typed() const;
  // Checks the type and calls: `func.call<int32_t(int32_t)>(7)`. Use typed() to
  // check only once.
  template <class Signature, class... A>
  auto call(A&&... args) const {
    using R = decltype((*typed<Signature>())(std::forward<A>(args)...));
    auto f = typed<Signature>();
    if (!f.ok()) return R(f.take_error());
    return (*f)(std::forward<A>(args)...);
  }

  // Calls without any check: arguments in slots[0..], results there after. There must
  // be room for the larger of both.
  Result<void> call_raw(Slot* slots) const;

  uint64_t bits() const { return uint64_t(reinterpret_cast<uintptr_t>(func_)); }
  runtime::FuncInst* raw() const { return func_; }
  runtime::Store* store() const { return store_; }

 private:
  Result<void> check_type(const FuncType& type) const;

  runtime::Store* store_ = nullptr;
  runtime::FuncInst* func_ = nullptr;
};

// A function whose type has been checked; calling it costs no further checks.
template <class R, class... A>
class TypedFunc<R(A...)> {
 public:
  TypedFunc() = default;

  // Errors: Trap (see Store::last_trap).
  Result<R> operator()(const std::type_identity_t<A>&... args) const {
    constexpr uint32_t kParams = detail::total_slots<A...>();
    constexpr uint32_t kResults = detail::Returns<R>::kSlots;
    constexpr uint32_t kSlots = kParams > kResults ? kParams : kResults;
    Slot slots[kSlots ? kSlots : 1];
    [[maybe_unused]] Slot* at = slots;
    ((detail::WasmType<A>::store(store_, at, args), at += detail::WasmType<A>::kSlots), ...);
    if (WAFER_UNLIKELY(detail::call(store_, func_, slots) != TrapCode::None))
      return detail::trap_error(store_);
    return detail::Returns<R>::load(store_, slots);
  }

 private:
  friend class Func;
  TypedFunc(runtime::Store* store, runtime::FuncInst* func) : store_(store), func_(func) {}
  runtime::Store* store_ = nullptr;
  runtime::FuncInst* func_ = nullptr;
};

// Who called a host function. Lives as long as that call.
class Caller {
 public:
  explicit Caller(runtime::CallContext& context) : context_(&context) {}

  // Export `name` of the calling instance, or an empty Extern; also if the embedder
  // made the call.
  Extern get_export(std::string_view name) const;
  // The export called "memory", or the calling instance's memory 0: its bytes now.
  // They move when the memory grows.
  MutableBytes memory() const;
  // `length` bytes of that memory at `offset`; Trap "out of bounds memory access".
  Result<MutableBytes> memory(uint64_t offset, uint64_t length) const;
  // The same as text.
  Result<std::string_view> text(uint64_t offset, uint64_t length) const;

  // Ends execution with an exit code, as WASI proc_exit does; return what this gives.
  Error exit(int32_t code) const;
  // For raw callbacks: records `error` and gives the code to return.
  TrapCode fail(const Error& error) const { return detail::host_error(*context_, error); }

  // Fuel of the store; see Store::fuel.
  uint64_t fuel() const;
  void set_fuel(uint64_t fuel) const;

  runtime::Store* store() const { return detail::store_of(*context_); }

 private:
  runtime::CallContext* context_;
};

namespace detail {

using RawHostCallback = TrapCode (*)(void* env, runtime::CallContext& context, Slot* slots);

// Adapts callable F to the host calling convention.
template <class F>
struct HostFunction {
  using Sig = Signature<std::conditional_t<std::is_function_v<F>, F*, F>>;

  static TrapCode invoke(void* env, runtime::CallContext& context, Slot* slots) {
    return invoke_with(*static_cast<F*>(env), context, slots,
                       static_cast<typename Sig::Args*>(nullptr));
  }
  static void release(void* env) { BoxDelete<F>{}(static_cast<F*>(env)); }

 private:
  template <class... A>
  static TrapCode invoke_with(F& f, runtime::CallContext& context, Slot* slots, std::tuple<A...>*) {
    using R = typename Sig::Return;
    using Plain = typename Sig::Plain;
    runtime::Store* const st = store_of(context);
    [[maybe_unused]] const Slot* at = slots;
    std::tuple<A...> args{[&] {
      const Slot* s = at;
      at += WasmType<A>::kSlots;
      return WasmType<A>::load(st, s);
    }()...};
    Caller caller(context);
    if constexpr (Sig::kWantsPromise) {
      return Later<Plain>::begin(context, [&](Promise<Plain> promise) {
        std::apply(
            [&](A&... a) {
              if constexpr (Sig::kWantsCaller)
                f(caller, std::move(promise), a...);
              else
                f(std::move(promise), a...);
            },
            args);
      });
    } else {
      auto run = [&]() -> R {
        return std::apply(
            [&](A&... a) -> R {
              if constexpr (Sig::kWantsCaller)
                return f(caller, a...);
              else
                return f(a...);
            },
            args);
      };
      if constexpr (kIsTask<R>)
        return Later<Plain>::begin(
            context, [&](Promise<Plain> promise) { run().start(std::move(promise)); });
      else
        return finish(context, slots, run);
    }
  }
  template <class Run>
  static TrapCode finish(runtime::CallContext& context, Slot* slots, const Run& run) {
    using R = typename Sig::Return;
    using Plain = typename Sig::Plain;
    [[maybe_unused]] runtime::Store* const st = store_of(context);
    if constexpr (std::is_same_v<R, void>) {
      run();
    } else if constexpr (std::is_same_v<R, Plain>) {
      Returns<R>::store(st, slots, run());
    } else {
      R result = run();
      if (WAFER_UNLIKELY(!result.ok())) return host_error(context, result.error());
      if constexpr (!std::is_same_v<Plain, void>) Returns<Plain>::store(st, slots, *result);
    }
    return TrapCode::None;
  }
};

// Adapts a Func::RawCallback and its environment.
struct RawHost {
  Func::RawCallback callback;
  void* env;
  void (*release)(void* env);
  static TrapCode invoke(void* env, runtime::CallContext& context, Slot* slots);
  static void destroy(void* env);
};

Func new_host_func(Store& store, const FuncType& type, RawHostCallback callback, void* env,
                   void (*release)(void*));

}  // namespace detail

template <class F>
Func Func::wrap(Store& store, F callable) {
  using Host = detail::HostFunction<F>;
  return detail::new_host_func(store, Host::Sig::type(), &Host::invoke,
                               make_box<F>(std::move(callable)).release(), &Host::release);
}

template <class Signature>
Result<TypedFunc<Signature>> Func::typed() const {
  WAFER_TRY(check_type(detail::Signature<Signature>::type()));
  return TypedFunc<Signature>(store_, func_);
}

}  // namespace wafer
