#include "bindgen/cpp_guest_support.h"

namespace wafer::bindgen {

// What all worlds' bindings share: values between C++ and the canonical ABI.
const std::string_view kCppGuestSupport =
    R"wit(// Made by wafer bindgen. Do not change.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace wit {

// No value.
struct Unit {
  bool operator==(const Unit&) const = default;
};

// An error, to be made into an Expected.
template <class E>
struct Err {
  E error;
};
template <class E>
Err(E) -> Err<E>;

// result<T, E>.
template <class T, class E>
class Expected {
 public:
  Expected() = default;
  Expected(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Expected(Err<E> e) : value_(std::in_place_index<1>, std::move(e.error)) {}
  bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() { return *std::get_if<0>(&value_); }
  const T& operator*() const { return *std::get_if<0>(&value_); }
  T* operator->() { return std::get_if<0>(&value_); }
  const T* operator->() const { return std::get_if<0>(&value_); }
  E& error() { return *std::get_if<1>(&value_); }
  const E& error() const { return *std::get_if<1>(&value_); }
  bool operator==(const Expected&) const = default;

 private:
  std::variant<T, E> value_;
};

inline uint32_t address(const void* p) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p));
}

// ---- Resources

// Specialized for each: drop(); of those that this module implements (kOwn) also make()
// and rep().
template <class R>
struct Resource;

template <class R>
struct Arrow {
  R value;
  R* operator->() { return &value; }
};

// A resource that somebody else owns for longer.
template <class R>
class Borrow {
 public:
  Borrow() = default;  // of nothing
  explicit Borrow(int32_t raw) : raw_(raw) {}
  auto operator->() const {
    if constexpr (Resource<R>::kOwn)
      return reinterpret_cast<R*>(static_cast<uintptr_t>(static_cast<uint32_t>(raw_)));
    else
      return Arrow<R>{R(raw_)};
  }
  // The handle; of a resource of this module, what stands for it.
  int32_t raw() const { return raw_; }
  bool operator==(const Borrow&) const = default;

 private:
  int32_t raw_ = 0;
};

// Owns a resource: it is dropped with this.
template <class R>
class Own {
 public:
  Own() = default;
  explicit Own(int32_t handle) : handle_(handle) {}
  // A resource of this module.
  template <class D>
    requires std::is_base_of_v<R, D>
  Own(std::unique_ptr<D> object) {
    R* const base = object.release();
    handle_ = Resource<R>::make(static_cast<int32_t>(address(base)));
  }
  Own(Own&& o) noexcept : handle_(std::exchange(o.handle_, 0)) {}
  Own& operator=(Own&& o) noexcept {
    if (this == &o) return *this;
    reset();
    handle_ = std::exchange(o.handle_, 0);
    return *this;
  }
  ~Own() { reset(); }
  void reset() {
    if (handle_) Resource<R>::drop(std::exchange(handle_, 0));
  }
  explicit operator bool() const { return handle_ != 0; }
  auto operator->() const {
    if constexpr (Resource<R>::kOwn)
      return reinterpret_cast<R*>(
          static_cast<uintptr_t>(static_cast<uint32_t>(Resource<R>::rep(handle_))));
    else
      return Arrow<R>{R(handle_)};
  }
  operator Borrow<R>() const {
    if constexpr (Resource<R>::kOwn)
      return Borrow<R>(Resource<R>::rep(handle_));
    else
      return Borrow<R>(handle_);
  }
  int32_t handle() const { return handle_; }
  // Gives it away.
  int32_t release() const { return std::exchange(handle_, 0); }
  bool operator==(const Own&) const = default;

 private:
  mutable int32_t handle_ = 0;
};

// Handles that an exported function borrows; they go when it ends.
class Borrows {
 public:
  Borrows() : outer_(current_) { current_ = this; }
  ~Borrows() {
    current_ = outer_;
    for (auto [drop, handle] : held_) drop(handle);
  }
  static void add(void (*drop)(int32_t), int32_t handle) {
    if (current_) current_->held_.emplace_back(drop, handle);
  }

 private:
  static inline Borrows* current_ = nullptr;
  Borrows* outer_;
  std::vector<std::pair<void (*)(int32_t), int32_t>> held_;
};

// ---- The canonical ABI

// Memory that values point to for as long as a call takes.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&& o) noexcept : blocks_(std::move(o.blocks_)) { o.blocks_.clear(); }
  Arena& operator=(Arena&& o) noexcept {
    std::swap(blocks_, o.blocks_);
    return *this;
  }
  ~Arena() {
    for (void* b : blocks_) free(b);
  }
  uint8_t* get(size_t size) {
    if (size == 0) return nullptr;
    blocks_.push_back(malloc(size));
    if (!blocks_.back()) abort();
    return static_cast<uint8_t*>(blocks_.back());
  }

 private:
  std::vector<void*> blocks_;
};

// Core values by their bits, one after the other.
using Slot = uint64_t;
template <class C>
C core(Slot s) {
  C out;
  memcpy(&out, &s, sizeof out);
  return out;
}
template <class C>
Slot slot(C c) {
  Slot out = 0;
  memcpy(&out, &c, sizeof c);
  return out;
}
template <class T = uint8_t>
T* pointer(uint32_t at) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(at));
}
constexpr size_t up(size_t at, size_t align) { return (at + align - 1) / align * align; }

// kSize and kAlign in memory, kFlat core values; store() and lower() leave what values
// point to where it is, or in the arena; load() and lift() take what was allocated for
// them.
template <class T>
struct Abi {
  static_assert(std::is_arithmetic_v<T>, "no type of components");
  static constexpr size_t kSize = sizeof(T), kAlign = sizeof(T), kFlat = 1;
  static void store(const T& v, uint8_t* at, Arena&) { memcpy(at, &v, sizeof v); }
  static T load(const uint8_t* at) {
    T out;
    memcpy(&out, at, sizeof out);
    return out;
  }
  static void lower(const T& v, Slot*& out, Arena&) {
    if constexpr (std::is_floating_point_v<T>)
      *out++ = slot(v);
    else if constexpr (std::is_signed_v<T> && sizeof(T) < 8)
      *out++ = static_cast<uint32_t>(static_cast<int32_t>(v));
    else
      *out++ = static_cast<Slot>(v);
  }
  static T lift(const Slot*& in) {
    if constexpr (std::is_same_v<T, bool>)
      return static_cast<uint32_t>(*in++) != 0;
    else if constexpr (std::is_floating_point_v<T>)
      return core<T>(*in++);
    else
      return static_cast<T>(*in++);
  }
};
template <>
struct Abi<Unit> {
  static constexpr size_t kSize = 0, kAlign = 1, kFlat = 0;
  static void store(const Unit&, uint8_t*, Arena&) {}
  static Unit load(const uint8_t*) { return {}; }
  static void lower(const Unit&, Slot*&, Arena&) {}
  static Unit lift(const Slot*&) { return {}; }
};

// What is a pointer and a length.
template <class T, class Self>
struct PointedAbi {
  static constexpr size_t kSize = 8, kAlign = 4, kFlat = 2;
  static void store(const T& v, uint8_t* at, Arena& a) {
    const uint32_t pair[2] = {address(Self::place(v, a)), static_cast<uint32_t>(v.size())};
    memcpy(at, pair, sizeof pair);
  }
  static T load(const uint8_t* at) {
    uint32_t pair[2];
    memcpy(pair, at, sizeof pair);
    return Self::take(pointer(pair[0]), pair[1]);
  }
  static void lower(const T& v, Slot*& out, Arena& a) {
    *out++ = address(Self::place(v, a));
    *out++ = static_cast<uint32_t>(v.size());
  }
  static T lift(const Slot*& in) {
    uint8_t* const at = pointer(static_cast<uint32_t>(*in++));
    return Self::take(at, static_cast<uint32_t>(*in++));
  }
};
template <>
struct Abi<std::string> : PointedAbi<std::string, Abi<std::string>> {
  static const void* place(const std::string& v, Arena&) { return v.data(); }
  static std::string take(uint8_t* at, size_t length) {
    std::string out(reinterpret_cast<const char*>(at), length);
    if (length) free(at);
    return out;
  }
};
template <class T>
struct Abi<std::vector<T>> : PointedAbi<std::vector<T>, Abi<std::vector<T>>> {
  // Numbers lie in C++ as they do in memory.
  static constexpr bool kPlain = std::is_arithmetic_v<T> && !std::is_same_v<T, bool>;
  static constexpr size_t kStep = Abi<T>::kSize;
  static const void* place(const std::vector<T>& v, Arena& a) {
    if constexpr (kPlain) {
      return v.data();
    } else {
      uint8_t* const at = a.get(v.size() * kStep);
      for (size_t i = 0; i < v.size(); ++i) Abi<T>::store(v[i], at + i * kStep, a);
      return at;
    }
  }
  static std::vector<T> take(uint8_t* at, size_t length) {
    std::vector<T> out;
    if constexpr (kPlain) {
      const T* const from = reinterpret_cast<const T*>(at);
      if (length) out.assign(from, from + length);
    } else {
      out.reserve(length);
      for (size_t i = 0; i < length; ++i) out.push_back(Abi<T>::load(at + i * kStep));
    }
    if (length * kStep) free(at);
    return out;
  }
};

// Values one after the other.
template <class... T>
struct Fields {
  static constexpr size_t kCount = sizeof...(T);
  static constexpr size_t kAlign = std::max({size_t{1}, Abi<T>::kAlign...});
  static constexpr size_t kFlat = (size_t{0} + ... + Abi<T>::kFlat);
  static constexpr std::array<size_t, kCount + 1> kOffsets = [] {
    std::array<size_t, kCount + 1> out{};
    [[maybe_unused]] size_t at = 0, i = 0;
    ((at = up(at, Abi<T>::kAlign), out[i++] = at, at += Abi<T>::kSize), ...);
    out[i] = up(at, kAlign);
    return out;
  }();
  static constexpr size_t kSize = kOffsets[kCount];
  static void store(uint8_t* at, Arena& a, const T&... v) {
    [[maybe_unused]] size_t i = 0;
    (Abi<T>::store(v, at + kOffsets[i++], a), ...);
  }
  static void lower(Slot*& out, Arena& a, const T&... v) { (Abi<T>::lower(v, out, a), ...); }
  static std::tuple<T...> load(const uint8_t* at) {
    [[maybe_unused]] size_t i = 0;
    return std::tuple<T...>{Abi<T>::load(at + kOffsets[i++])...};
  }
  static std::tuple<T...> lift([[maybe_unused]] const Slot*& in) {
    return std::tuple<T...>{Abi<T>::lift(in)...};
  }
};
template <class... T>
struct Abi<std::tuple<T...>> {
  using F = Fields<T...>;
  using Type = std::tuple<T...>;
  static constexpr size_t kSize = F::kSize, kAlign = F::kAlign, kFlat = F::kFlat;
  static void store(const Type& v, uint8_t* at, Arena& a) {
    std::apply([&](const T&... e) { F::store(at, a, e...); }, v);
  }
  static Type load(const uint8_t* at) { return F::load(at); }
  static void lower(const Type& v, Slot*& out, Arena& a) {
    std::apply([&](const T&... e) { F::lower(out, a, e...); }, v);
  }
  static Type lift(const Slot*& in) { return F::lift(in); }
};
template <class K, class V>
struct Abi<std::pair<K, V>> {
  using F = Fields<K, V>;
  using Type = std::pair<K, V>;
  static constexpr size_t kSize = F::kSize, kAlign = F::kAlign, kFlat = F::kFlat;
  static Type of(std::tuple<K, V> t) {
    return {std::move(std::get<0>(t)), std::move(std::get<1>(t))};
  }
  static void store(const Type& v, uint8_t* at, Arena& a) { F::store(at, a, v.first, v.second); }
  static Type load(const uint8_t* at) { return of(F::load(at)); }
  static void lower(const Type& v, Slot*& out, Arena& a) { F::lower(out, a, v.first, v.second); }
  static Type lift(const Slot*& in) { return of(F::lift(in)); }
};
template <class T, size_t N>
struct Abi<std::array<T, N>> {
  using Type = std::array<T, N>;
  static constexpr size_t kStep = Abi<T>::kSize;
  static constexpr size_t kSize = N * kStep, kAlign = Abi<T>::kAlign, kFlat = N * Abi<T>::kFlat;
  static void store(const Type& v, uint8_t* at, Arena& a) {
    for (size_t i = 0; i < N; ++i) Abi<T>::store(v[i], at + i * kStep, a);
  }
  static Type load(const uint8_t* at) { return load(at, std::make_index_sequence<N>()); }
  static void lower(const Type& v, Slot*& out, Arena& a) {
    for (const T& e : v) Abi<T>::lower(e, out, a);
  }
  static Type lift(const Slot*& in) { return lift(in, std::make_index_sequence<N>()); }

 private:
  template <size_t... I>
  static Type load(const uint8_t* at, std::index_sequence<I...>) {
    return {Abi<T>::load(at + I * kStep)...};
  }
  template <size_t... I>
  static Type lift(const Slot*& in, std::index_sequence<I...>) {
    return {((void)I, Abi<T>::lift(in))...};
  }
};

// One of several; T are what the cases hold. `Self` has index(v), visit(v, f), which
// calls f with what the case holds, and make<I>(value).
template <class Type, class Self, class... T>
struct CasesAbi {
  static constexpr size_t kCount = sizeof...(T);
  static constexpr size_t kTag = kCount <= 256 ? 1 : kCount <= 65536 ? 2 : 4;
  static constexpr size_t kAlign = std::max({kTag, Abi<T>::kAlign...});
  static constexpr size_t kPayload = up(kTag, std::max({size_t{1}, Abi<T>::kAlign...}));
  static constexpr size_t kSize = up(kPayload + std::max({size_t{0}, Abi<T>::kSize...}), kAlign);
  static constexpr size_t kFlat = 1 + std::max({size_t{0}, Abi<T>::kFlat...});

  static void store(const Type& v, uint8_t* at, Arena& a) {
    const uint32_t index = Self::index(v);
    memcpy(at, &index, kTag);
    Self::visit(v, [&]<class P>(const P& p) { Abi<P>::store(p, at + kPayload, a); });
  }
  static Type load(const uint8_t* at) {
    uint32_t index = 0;
    memcpy(&index, at, kTag);
    return make<0>(index, [&]<class P>() { return Abi<P>::load(at + kPayload); });
  }
  static void lower(const Type& v, Slot*& out, Arena& a) {
    Slot* const end = out + kFlat;
    *out++ = Self::index(v);
    Self::visit(v, [&]<class P>(const P& p) { Abi<P>::lower(p, out, a); });
    while (out < end) *out++ = 0;
  }
  static Type lift(const Slot*& in) {
    const Slot* const end = in + kFlat;
    const auto index = static_cast<uint32_t>(*in++);
    Type out = make<0>(index, [&]<class P>() { return Abi<P>::lift(in); });
    in = end;
    return out;
  }

 private:
  template <size_t I, class F>
  static Type make(uint32_t index, F&& value) {
    if constexpr (I < kCount) {
      using P = std::tuple_element_t<I, std::tuple<T...>>;
      if (index == I) return Self::template make<I>(value.template operator()<P>());
      return make<I + 1>(index, value);
    } else {
      abort();
    }
  }
};
template <class T>
struct Abi<std::optional<T>> : CasesAbi<std::optional<T>, Abi<std::optional<T>>, Unit, T> {
  static uint32_t index(const std::optional<T>& v) { return v.has_value(); }
  template <class F>
  static void visit(const std::optional<T>& v, F&& f) {
    if (v) f(*v);
  }
  template <size_t I, class P>
  static std::optional<T> make(P value) {
    if constexpr (I == 0)
      return std::nullopt;
    else
      return std::optional<T>(std::move(value));
  }
};
template <class T, class E>
struct Abi<Expected<T, E>> : CasesAbi<Expected<T, E>, Abi<Expected<T, E>>, T, E> {
  static uint32_t index(const Expected<T, E>& v) { return !v.ok(); }
  template <class F>
  static void visit(const Expected<T, E>& v, F&& f) {
    if (v.ok())
      f(*v);
    else
      f(v.error());
  }
  template <size_t I, class P>
  static Expected<T, E> make(P value) {
    if constexpr (I == 0)
      return Expected<T, E>(std::move(value));
    else
      return Expected<T, E>(Err<E>{std::move(value)});
  }
};

// Named types: records have kFields, pointers to their members; the member `value` of
// variants is a std::variant of a struct for each case; other types are numbers.
template <class T>
struct Shape;
template <class T>
concept Record = requires { Shape<T>::kFields; };
template <class T>
concept Variant = requires { Shape<T>::kVariant; };
template <class T>
concept Number = std::is_enum_v<T>;

template <Number T>
struct Abi<T> {
  using N = std::underlying_type_t<T>;
  static constexpr size_t kSize = sizeof(N), kAlign = sizeof(N), kFlat = 1;
  static void store(const T& v, uint8_t* at, Arena&) { memcpy(at, &v, sizeof v); }
  static T load(const uint8_t* at) { return static_cast<T>(Abi<N>::load(at)); }
  static void lower(const T& v, Slot*& out, Arena&) { *out++ = static_cast<N>(v); }
  static T lift(const Slot*& in) { return static_cast<T>(Abi<N>::lift(in)); }
};

template <class M>
struct MemberType;
template <class C, class M>
struct MemberType<M C::*> {
  using Type = M;
};
template <class Tuple>
struct FieldsOf;
template <class... M>
struct FieldsOf<std::tuple<M...>> {
  using Type = Fields<typename MemberType<M>::Type...>;
};
template <Record T>
struct Abi<T> {
  using F = typename FieldsOf<std::remove_cvref_t<decltype(Shape<T>::kFields)>>::Type;
  static constexpr size_t kSize = F::kSize, kAlign = F::kAlign, kFlat = F::kFlat;
  static void store(const T& v, uint8_t* at, Arena& a) {
    std::apply([&](auto... m) { F::store(at, a, v.*m...); }, Shape<T>::kFields);
  }
  static T load(const uint8_t* at) { return of(F::load(at)); }
  static void lower(const T& v, Slot*& out, Arena& a) {
    std::apply([&](auto... m) { F::lower(out, a, v.*m...); }, Shape<T>::kFields);
  }
  static T lift(const Slot*& in) { return of(F::lift(in)); }

 private:
  template <class... V>
  static T of(std::tuple<V...> values) {
    return std::apply([](V&... v) { return T{std::move(v)...}; }, values);
  }
};

template <class C>
struct CaseType {
  using Type = Unit;
};
template <class C>
  requires requires(C c) { c.value; }
struct CaseType<C> {
  using Type = decltype(C::value);
};
template <class T, class V>
struct VariantAbi;
template <class T, class... C>
struct VariantAbi<T, std::variant<C...>>
    : CasesAbi<T, VariantAbi<T, std::variant<C...>>, typename CaseType<C>::Type...> {
  static uint32_t index(const T& v) { return static_cast<uint32_t>(v.value.index()); }
  template <class F>
  static void visit(const T& v, F&& f) {
    (one<C>(v, f), ...);
  }
  template <size_t I, class P>
  static T make([[maybe_unused]] P value) {
    using Case = std::variant_alternative_t<I, std::variant<C...>>;
    if constexpr (std::is_empty_v<Case>)
      return T{std::variant<C...>(std::in_place_index<I>)};
    else
      return T{std::variant<C...>(std::in_place_index<I>, Case{std::move(value)})};
  }

 private:
  template <class Case, class F>
  static void one(const T& v, F& f) {
    if constexpr (requires(Case c) { c.value; })
      if (const Case* c = std::get_if<Case>(&v.value)) f(c->value);
  }
};
template <Variant T>
struct Abi<T> : VariantAbi<T, decltype(T::value)> {};

template <class R>
struct Abi<Own<R>> {
  static constexpr size_t kSize = 4, kAlign = 4, kFlat = 1;
  static void store(const Own<R>& v, uint8_t* at, Arena&) {
    const int32_t handle = v.release();
    memcpy(at, &handle, 4);
  }
  static Own<R> load(const uint8_t* at) { return Own<R>(Abi<int32_t>::load(at)); }
  static void lower(const Own<R>& v, Slot*& out, Arena&) { *out++ = slot(v.release()); }
  static Own<R> lift(const Slot*& in) { return Own<R>(core<int32_t>(*in++)); }
};
template <class R>
struct Abi<Borrow<R>> {
  static constexpr size_t kSize = 4, kAlign = 4, kFlat = 1;
  static void store(const Borrow<R>& v, uint8_t* at, Arena&) {
    const int32_t raw = v.raw();
    memcpy(at, &raw, 4);
  }
  static Borrow<R> load(const uint8_t* at) { return of(Abi<int32_t>::load(at)); }
  static void lower(const Borrow<R>& v, Slot*& out, Arena&) { *out++ = slot(v.raw()); }
  static Borrow<R> lift(const Slot*& in) { return of(core<int32_t>(*in++)); }

 private:
  static Borrow<R> of(int32_t raw) {
    if constexpr (!Resource<R>::kOwn) Borrows::add(Resource<R>::drop, raw);
    return Borrow<R>(raw);
  }
};

// Memory of a value.
template <class F>
struct Room {
  alignas(8) uint8_t bytes[F::kSize ? F::kSize : 1];
};

// A result until it has been read.
template <class T>
struct Held {
  std::optional<T> value;
  Arena arena;
  Room<Abi<T>> room;
  int32_t give(T result) {
    arena = Arena();
    value.emplace(std::move(result));
    Abi<T>::store(*value, room.bytes, arena);
    return static_cast<int32_t>(address(room.bytes));
  }
  void clear() {
    value.reset();
    arena = Arena();
  }
};

}  // namespace wit
)wit";

}  // namespace wafer::bindgen
