// Values of components as C++ types, for interfaces that wafer-wasi-gen has read. The shape of a
// type comes from its Meta; everything else follows from C++'s own types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "component/run/linker.h"
#include "component/run/stream.h"
#include "wafer/expected.hpp"

namespace wafer::wasi {

using component::Prim;
using component::TypeArena;
using component::TypeDef;
using component::TypeKind;
using component::Val;
using component::ValType;

// ---- Resources of the host

class HostBase;

// What stands behind a handle that a guest has, or the host for it.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (previous_) previous_->next_ = next_;
    if (next_) next_->previous_ = previous_;
  }

 private:
  friend class HostBase;
  Object *previous_ = nullptr, *next_ = nullptr;
};

// Owns an object that is an R, which need not be defined yet.
template <class R>
class Own {
 public:
  Own() = default;
  Own(std::unique_ptr<R> object) : object_(object.release()) {}
  Own(Own&& o) noexcept : object_(o.release()) {}
  Own& operator=(Own&& o) noexcept {
    if (this != &o) {
      delete object_;
      object_ = o.release();
    }
    return *this;
  }
  ~Own() { delete object_; }
  template <class... Args>
  static Own make(Args&&... args) {
    return Own(std::make_unique<R>(std::forward<Args>(args)...));
  }
  static Own adopt(Object* object) {
    Own own;
    own.object_ = object;
    return own;
  }
  Object* release() { return std::exchange(object_, nullptr); }
  R& operator*() const { return static_cast<R&>(*object_); }
  R* operator->() const { return static_cast<R*>(object_); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  Object* object_ = nullptr;
};

struct ResourceName {
  const char* interface;
  const char* name;
};
// Another interface that has it, under this name.
struct ResourceAlias {
  const char* interface;
  const char* name;
  size_t index;
};
// Position of a resource type among those that were read.
template <class R>
struct ResourceMeta;
using ResourceTypes = std::vector<std::shared_ptr<component::ResourceType>>;

// What host functions of one store share.
class HostBase {
 public:
  HostBase() = default;
  HostBase(const HostBase&) = delete;
  HostBase& operator=(const HostBase&) = delete;
  ~HostBase() { drop_objects(); }

  // The guest traps once the host function returns.
  void fail(std::string_view message) {
    if (!failure_) failure_ = message;
  }
  // The program ends.
  void exit(int32_t code) { exit_ = code; }

  // ---- For codecs
  bool failed() const { return failure_ || exit_; }
  // Takes note of what was noted; None if nothing was.
  runtime::TrapCode take_failure(component::ComponentStore& store);
  const ResourceTypes* types = nullptr;

  uint64_t lend(Object* object) {
    object->next_ = live_.next_;
    object->previous_ = &live_;
    if (live_.next_) live_.next_->previous_ = object;
    live_.next_ = object;
    return uint64_t(reinterpret_cast<uintptr_t>(object));
  }
  static Object* object_of(uint64_t rep) { return reinterpret_cast<Object*>(uintptr_t(rep)); }
  Object* take_back(uint64_t rep) {
    Object* const object = object_of(rep);
    object->previous_->next_ = object->next_;
    if (object->next_) object->next_->previous_ = object->previous_;
    object->previous_ = object->next_ = nullptr;
    return object;
  }

 protected:
  // Of guests that did not drop theirs.
  void drop_objects() {
    while (Object* const object = live_.next_) delete object;
  }
  void forget_failure() {
    failure_.reset();
    exit_.reset();
  }

 private:
  Object live_;
  std::optional<std::string> failure_;
  std::optional<int32_t> exit_;
};

// ---- Shapes

enum class Shape : uint8_t { Record, Flags, Enum, Variant };
template <class T>
struct Meta;

// matches(): whether a component means this by a type of its own. from() and to() are only used
// on values of such types; resources are checked each time, since a component may name any of
// them.
template <class T>
struct Codec;

inline Prim prim_of(const TypeArena& types, ValType t) {
  if (t.defined() && types[t.id].kind == TypeKind::Primitive) return types[t.id].args[0].prim;
  return t.prim;
}
inline const TypeDef* def_of(const TypeArena& types, ValType t, TypeKind kind) {
  return t.defined() && types[t.id].kind == kind ? &types[t.id] : nullptr;
}

template <class T, Prim kPrim>
struct IntegerCodec {
  static bool matches(const TypeArena& types, ValType t) { return prim_of(types, t) == kPrim; }
  static T from(Val& v, HostBase&) { return T(v.bits()); }
  static Val to(T v, HostBase&) {
    if constexpr (std::is_signed_v<T>)
      return Val::of_int(v);
    else
      return Val::of_bits(uint64_t(v));
  }
};
template <>
struct Codec<bool> : IntegerCodec<bool, Prim::Bool> {};
template <>
struct Codec<uint8_t> : IntegerCodec<uint8_t, Prim::U8> {};
template <>
struct Codec<uint16_t> : IntegerCodec<uint16_t, Prim::U16> {};
template <>
struct Codec<uint32_t> : IntegerCodec<uint32_t, Prim::U32> {};
template <>
struct Codec<uint64_t> : IntegerCodec<uint64_t, Prim::U64> {};
template <>
struct Codec<int8_t> : IntegerCodec<int8_t, Prim::S8> {};
template <>
struct Codec<int16_t> : IntegerCodec<int16_t, Prim::S16> {};
template <>
struct Codec<int32_t> : IntegerCodec<int32_t, Prim::S32> {};
template <>
struct Codec<int64_t> : IntegerCodec<int64_t, Prim::S64> {};

template <>
struct Codec<float> {
  static bool matches(const TypeArena& types, ValType t) { return prim_of(types, t) == Prim::F32; }
  static float from(Val& v, HostBase&) { return v.as_f32(); }
  static Val to(float v, HostBase&) { return Val::of_f32(v); }
};

template <>
struct Codec<std::string> {
  static bool matches(const TypeArena& types, ValType t) {
    return prim_of(types, t) == Prim::String;
  }
  static std::string from(Val& v, HostBase&) { return v.str(); }
  static Val to(std::string v, HostBase&) { return Val::of_text(std::move(v)); }
};

template <>
struct Codec<std::vector<uint8_t>> {
  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, TypeKind::List);
    return d && prim_of(types, d->args[0]) == Prim::U8;
  }
  static std::vector<uint8_t> from(Val& v, HostBase&) { return std::move(v.bytes()); }
  static Val to(std::vector<uint8_t> v, HostBase&) { return Val::of_bytes(std::move(v)); }
};

template <class T>
struct Codec<std::vector<T>> {
  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, TypeKind::List);
    return d && Codec<T>::matches(types, d->args[0]);
  }
  static std::vector<T> from(Val& v, HostBase& h) {
    std::vector<T> out;
    out.reserve(v.items().size());
    for (Val& item : v.items()) out.push_back(Codec<T>::from(item, h));
    return out;
  }
  static Val to(std::vector<T> v, HostBase& h) {
    Val::Items items;
    items.reserve(v.size());
    for (T& item : v) items.push_back(Codec<T>::to(std::move(item), h));
    return Val::of_items(std::move(items));
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, TypeKind::Option);
    return d && Codec<T>::matches(types, d->args[0]);
  }
  static std::optional<T> from(Val& v, HostBase& h) {
    if (!v.payload()) return std::nullopt;
    return Codec<T>::from(*v.payload(), h);
  }
  static Val to(std::optional<T> v, HostBase& h) {
    return v ? Val::some(Codec<T>::to(*std::move(v), h)) : Val::none();
  }
};

template <class... T>
struct Codec<std::tuple<T...>> {
  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, TypeKind::Tuple);
    if (!d || d->args.size() != sizeof...(T)) return false;
    size_t i = 0;
    return (Codec<T>::matches(types, d->args[i++]) && ...);
  }
  static std::tuple<T...> from(Val& v, HostBase& h) {
    size_t i = 0;
    return std::tuple<T...>{Codec<T>::from(v.items()[i++], h)...};
  }
  static Val to(std::tuple<T...> v, HostBase& h) {
    Val::Items items;
    items.reserve(sizeof...(T));
    std::apply([&](T&... part) { (items.push_back(Codec<T>::to(std::move(part), h)), ...); }, v);
    return Val::of_items(std::move(items));
  }
};

// A case that may have no payload.
template <class T>
struct PayloadCodec {
  static bool matches(const TypeArena& types, ValType t) {
    return bool(t) && Codec<T>::matches(types, t);
  }
  static T from(Val* v, HostBase& h) { return Codec<T>::from(*v, h); }
  static Val to(uint32_t index, T v, HostBase& h) {
    return Val::of_case(index, Codec<T>::to(std::move(v), h));
  }
};
template <>
struct PayloadCodec<Unit> {
  static bool matches(const TypeArena&, ValType t) { return !t; }
  static Unit from(Val*, HostBase&) { return {}; }
  static Val to(uint32_t index, Unit, HostBase&) { return Val::of_case(index); }
};

template <class T, class E>
struct Codec<Expected<T, E>> {
  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, TypeKind::Result);
    const auto arg = [&](size_t i) { return i < d->args.size() ? d->args[i] : ValType(); };
    return d && PayloadCodec<T>::matches(types, arg(0)) && PayloadCodec<E>::matches(types, arg(1));
  }
  static Expected<T, E> from(Val& v, HostBase& h) {
    if (v.index() == 0) return PayloadCodec<T>::from(v.payload(), h);
    return Err<E>{PayloadCodec<E>::from(v.payload(), h)};
  }
  static Val to(Expected<T, E> v, HostBase& h) {
    return v ? PayloadCodec<T>::to(0, std::move(*v), h)
             : PayloadCodec<E>::to(1, std::move(v.error()), h);
  }
};

// ---- Resources

template <class R>
component::ResourceType* resource_type(const HostBase& h) {
  return (*h.types)[ResourceMeta<R>::kIndex].get();
}

template <class R>
struct Codec<Own<R>> {
  static bool matches(const TypeArena& types, ValType t) { return def_of(types, t, TypeKind::Own); }
  static Own<R> from(Val& v, HostBase& h) {
    if (v.resource().type == resource_type<R>(h))
      return Own<R>::adopt(h.take_back(v.resource().rep));
    h.fail("resource of another type");
    return {};
  }
  static Val to(Own<R> v, HostBase& h) {
    return Val::of_resource(resource_type<R>(h), h.lend(v.release()));
  }
};

template <class R>
  requires requires { ResourceMeta<R>::kIndex; }
struct Codec<R*> {
  static bool matches(const TypeArena& types, ValType t) {
    return def_of(types, t, TypeKind::Borrow);
  }
  static R* from(Val& v, HostBase& h) {
    if (v.resource().type == resource_type<R>(h))
      // R need not be defined here; Object is its only base.
      return reinterpret_cast<R*>(HostBase::object_of(v.resource().rep));
    h.fail("resource of another type");
    return nullptr;
  }
};

// ---- Streams and futures

// stream<T>: its readable end, on its way to a guest or from one.
template <class T>
struct Stream {
  std::shared_ptr<component::End> end;
};
template <class T>
struct Future {
  std::shared_ptr<component::End> end;
};

template <class S, class T, TypeKind kKind>
struct EndCodec {
  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, kKind);
    return d && PayloadCodec<T>::matches(types, d->args.empty() ? ValType() : d->args[0]);
  }
  static S from(Val& v, HostBase&) { return {std::static_pointer_cast<component::End>(v.end())}; }
  static Val to(S v, HostBase&) { return Val::of_end(std::move(v.end)); }
};
template <class T>
struct Codec<Stream<T>> : EndCodec<Stream<T>, T, TypeKind::Stream> {};
template <class T>
struct Codec<Future<T>> : EndCodec<Future<T>, T, TypeKind::Future> {};

// ---- What has a name

template <class T>
concept Described = requires { Meta<T>::kShape; };

template <Described T>
struct Codec<T> {
  using M = Meta<T>;
  static constexpr size_t kCount = std::size(M::kNames);
  static constexpr TypeKind kKind = M::kShape == Shape::Record  ? TypeKind::Record
                                    : M::kShape == Shape::Flags ? TypeKind::Flags
                                    : M::kShape == Shape::Enum  ? TypeKind::Enum
                                                                : TypeKind::Variant;

  static bool matches(const TypeArena& types, ValType t) {
    const TypeDef* const d = def_of(types, t, kKind);
    if (!d || d->labels.size() != kCount) return false;
    for (size_t i = 0; i < kCount; ++i)
      if (d->labels[i].name != M::kNames[i]) return false;
    bool ok = true;
    if constexpr (M::kShape == Shape::Record) {
      size_t i = 0;
      T probe{};
      M::each(probe,
              [&]<class F>(F&) { ok = ok && Codec<F>::matches(types, d->labels[i++].type); });
    } else if constexpr (M::kShape == Shape::Variant) {
      std::vector<bool> with(kCount);
      M::each_payload([&]<class F>(size_t i) {
        with[i] = true;
        ok = ok && PayloadCodec<F>::matches(types, d->labels[i].type);
      });
      for (size_t i = 0; i < kCount; ++i) ok = ok && (with[i] || !d->labels[i].type);
    }
    return ok;
  }

  static T from(Val& v, HostBase& h) {
    T out{};
    if constexpr (M::kShape == Shape::Record) {
      size_t i = 0;
      M::each(out, [&]<class F>(F& field) { field = Codec<F>::from(v.items()[i++], h); });
    } else if constexpr (M::kShape == Shape::Flags) {
      size_t i = 0;
      M::each(out, [&](bool& flag) { flag = v.bits() >> i++ & 1; });
    } else if constexpr (M::kShape == Shape::Enum) {
      out = T(v.bits());
    } else {
      out.tag = typename T::Tag(v.index());
      M::payload(out, [&]<class P>(std::optional<P>& payload) {
        payload = Codec<P>::from(*v.payload(), h);
      });
    }
    return out;
  }

  static Val to(T v, HostBase& h) {
    if constexpr (M::kShape == Shape::Record) {
      Val::Items items;
      items.reserve(kCount);
      M::each(v, [&]<class F>(F& f) { items.push_back(Codec<F>::to(std::move(f), h)); });
      return Val::of_items(std::move(items));
    } else if constexpr (M::kShape == Shape::Flags) {
      uint64_t bits = 0;
      size_t i = 0;
      M::each(v, [&](bool flag) { bits |= uint64_t(flag) << i++; });
      return Val::of_bits(bits);
    } else if constexpr (M::kShape == Shape::Enum) {
      return Val::of_bits(uint64_t(v));
    } else {
      Val out = Val::of_case(uint32_t(v.tag));
      M::payload(v, [&]<class P>(std::optional<P>& payload) {
        out = Val::of_case(uint32_t(v.tag), Codec<P>::to(*std::move(payload), h));
      });
      return out;
    }
  }
};

// ---- Scalars

// Types whose values are one core value; a resource is borrowed.
template <class T>
struct Scalar {
  static constexpr component::ScalarType kType{component::scalar_kind<T>()};
  static T from(const component::DirectCall& c, size_t i, HostBase&) {
    return component::scalar_from<T>(c.slots[i]);
  }
  static uint64_t to(T v) { return component::scalar_to(v); }
};
template <class R>
struct Scalar<R*> {
  static constexpr component::ScalarType kType{component::ScalarKind::Borrow};
  static R* from(const component::DirectCall& c, size_t i, HostBase& h) {
    if (c.borrowed[i] == resource_type<R>(h))
      return reinterpret_cast<R*>(HostBase::object_of(c.slots[i]));
    h.fail("resource of another type");
    return nullptr;
  }
};
template <Described T>
  requires(Meta<T>::kShape == Shape::Enum)
struct Scalar<T> {
  static constexpr component::ScalarType kType{component::ScalarKind::Enum,
                                               uint32_t(std::size(Meta<T>::kNames))};
  static T from(const component::DirectCall& c, size_t i, HostBase&) { return T(c.slots[i]); }
  static uint64_t to(T v) { return uint64_t(v); }
};
template <Described T>
  requires(Meta<T>::kShape == Shape::Flags)
struct Scalar<T> {
  static constexpr component::ScalarType kType{
      component::ScalarKind::Flags, uint32_t((uint64_t{1} << std::size(Meta<T>::kNames)) - 1)};
  static T from(const component::DirectCall& c, size_t i, HostBase&) {
    T out{};
    size_t bit = 0;
    Meta<T>::each(out, [&](bool& flag) { flag = c.slots[i] >> bit++ & 1; });
    return out;
  }
  static uint64_t to(T v) {
    uint64_t bits = 0;
    size_t bit = 0;
    Meta<T>::each(v, [&](bool& flag) { bits |= uint64_t(flag) << bit++; });
    return bits;
  }
};
template <>
struct Scalar<void> {
  static constexpr component::ScalarType kType{component::ScalarKind::Nothing};
};

// ---- Answers

// The result of a function that may take its time. Given once; copies are the same.
template <class R>
class Reply {
 public:
  struct State {
    HostBase& host;
    component::Answer answer;  // once the function has returned
    std::optional<std::vector<Val>> early;
    std::function<void()> on_cancel;
    bool cancelled = false;
  };
  explicit Reply(HostBase& host) : state_(std::make_shared<State>(State{host, {}, {}, {}})) {}
  void operator()(R result) const {
    if (state_->cancelled) return;
    state_->on_cancel = nullptr;
    std::vector<Val> values;
    if constexpr (!std::is_same_v<R, Unit>)
      values.push_back(Codec<R>::to(std::move(result), state_->host));
    if (state_->answer)
      state_->answer.complete(std::move(values));
    else
      state_->early = std::move(values);
  }
  // Called when the guest does not want it any more: what is under way for it ends.
  void on_cancel(std::function<void()> f) const { state_->on_cancel = std::move(f); }

  // ---- For bind.h
  State& state() const { return *state_; }
  std::function<bool()> canceller() const {
    return [weak = std::weak_ptr(state_)] {
      const std::shared_ptr<State> state = weak.lock();
      if (!state) return false;
      state->cancelled = true;
      if (const auto f = std::exchange(state->on_cancel, nullptr)) f();
      return true;
    };
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace wafer::wasi
