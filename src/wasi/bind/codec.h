// Values of components as C++ types, for interfaces that wafer-wasi-gen has read, beside those of
// wafer/component_types.hpp: handles of the host's objects, and types whose shape comes from their
// Meta. Both with dynamic values (ComponentType) and without (ComponentAbi).
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
#include "wafer/component_abi.hpp"

namespace wafer::wasi {

using component::Val;

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

// A borrowed resource of the host, of a class that need not be defined yet.
template <class R>
class Borrow {
 public:
  Borrow() = default;
  explicit Borrow(Object* object) : object_(object) {}
  // Object is the only base of R.
  R& operator*() const { return *reinterpret_cast<R*>(object_); }
  R* operator->() const { return &**this; }

 private:
  Object* object_ = nullptr;
};

enum class Shape : uint8_t { Record, Flags, Enum, Variant };
// Of types that have a name: kShape; kNames, of fields or cases; kFields, pointers to the members
// of records and flags (as bools); kCases, to those of a variant that hold what its cases have, or
// nullptr. The tag of a variant is its member `tag`.
template <class T>
struct Meta;
template <class T>
concept Described = requires { Meta<T>::kShape; };

template <class T>
concept DescribedFlags = Described<T> && Meta<T>::kShape == Shape::Flags;
template <class T>
concept DescribedVariant = Described<T> && Meta<T>::kShape == Shape::Variant;

// What a case holds; Unit: nothing.
template <class M>
struct CasePayload;
template <>
struct CasePayload<std::nullptr_t> {
  using Type = Unit;
};
template <class C, class P>
struct CasePayload<std::optional<P> C::*> {
  using Type = P;
};

// A variant's cases: `f` gets the number of a case as a constant, and the pointer to its member.
template <DescribedVariant T, class F, size_t I = 0>
void with_case(size_t index, F&& f) {
  if constexpr (I < std::size(Meta<T>::kNames)) {
    if (index == I)
      f.template operator()<I>(std::get<I>(Meta<T>::kCases));
    else
      with_case<T, F, I + 1>(index, std::forward<F>(f));
  }
}
// Calls f with the member that holds what the case has, if it has anything.
template <DescribedVariant T, class F>
void with_payload(T& v, F&& f) {
  with_case<T>(size_t(v.tag), [&]<size_t I, class M>(M member) {
    if constexpr (!std::is_same_v<M, std::nullptr_t>) f(v.*member);
  });
}

template <DescribedFlags T>
uint32_t flag_bits(const T& v) {
  uint32_t bits = 0, i = 0;
  std::apply([&](auto... flag) { ((bits |= uint32_t(v.*flag) << i++), ...); }, Meta<T>::kFields);
  return bits;
}
template <DescribedFlags T>
T flags_of(uint64_t bits) {
  static_assert(std::size(Meta<T>::kNames) <= 32);
  T out{};
  size_t i = 0;
  std::apply([&](auto... flag) { ((out.*flag = bits >> i++ & 1), ...); }, Meta<T>::kFields);
  return out;
}

// ---- Resources, by the types of a HostBase, which is the scope's host

// Null, and the failure is noted: it is not of the class R.
template <class R>
Object* object_of(const component::Resource& resource, ComponentScope& s) {
  const auto& h = *static_cast<const HostBase*>(s.host);
  if (resource.type == (*h.types)[ResourceMeta<R>::kIndex].get())
    return HostBase::object_of(resource.rep);
  s.failure = "resource of another type";
  return nullptr;
}
template <class R>
Own<R> take_own(const component::Resource& resource, ComponentScope& s) {
  if (!object_of<R>(resource, s)) return {};
  return Own<R>::adopt(static_cast<HostBase*>(s.host)->take_back(resource.rep));
}
template <class R>
component::Resource give_own(Own<R> v, ComponentScope& s) {
  auto& h = *static_cast<HostBase*>(s.host);
  return {(*h.types)[ResourceMeta<R>::kIndex].get(), h.lend(v.release())};
}

// Handles as HandleAbi wants them.
template <class R>
struct OwnHandle {
  static bool get(component::AbiCall& c, uint32_t h, uint32_t index, Own<R>& out) {
    component::Resource resource;
    if (!c.lift_resource(h, index, resource)) return false;
    out = take_own<R>(resource, c.scope);
    return c.converted();
  }
  static bool set(component::AbiCall& c, uint32_t h, Own<R>& v, uint32_t& index) {
    return c.lower_resource(h, give_own(std::move(v), c.scope), index);
  }
};
template <class R>
struct BorrowHandle {
  static bool get(component::AbiCall& c, uint32_t h, uint32_t index, Borrow<R>& out) {
    component::Resource resource;
    if (!c.lift_resource(h, index, resource)) return false;
    out = Borrow<R>(object_of<R>(resource, c.scope));
    return c.converted();
  }
};

template <class T>
struct VariantCases {
  static size_t index(const T& v) { return size_t(v.tag); }
  template <size_t I>
  static auto& set(T& v) {
    v.tag = typename T::Tag(I);
    if constexpr (kHolds<I>)
      return (v.*std::get<I>(Meta<T>::kCases)).emplace();
    else
      return v;
  }
  template <size_t I>
  static auto& get(T& v) {
    return *(v.*std::get<I>(Meta<T>::kCases));
  }

 private:
  template <size_t I>
  static constexpr bool kHolds =
      !std::is_same_v<std::tuple_element_t<I, std::remove_cvref_t<decltype(Meta<T>::kCases)>>,
                      std::nullptr_t>;
};
template <class T, class Cases>
struct DescribedAbi;
template <class T, class... M>
struct DescribedAbi<T, std::tuple<M...>>
    : detail::VariantAbi<T, VariantCases<T>, typename CasePayload<M>::Type...> {
  static std::string text() {
    return "variant<" + detail::type_texts<typename CasePayload<M>::Type...>() + ">";
  }
};
template <DescribedVariant T>
using VariantOf = DescribedAbi<T, std::remove_cvref_t<decltype(Meta<T>::kCases)>>;

template <class T>
struct FlagsAbi {
  static constexpr uint32_t kCount = std::size(Meta<T>::kNames);
  using Bits = std::conditional_t<kCount <= 8, uint8_t,
                                  std::conditional_t<kCount <= 16, uint16_t, uint32_t>>;
  static constexpr uint32_t kSize = sizeof(Bits), kAlign = sizeof(Bits), kFlat = 1, kHandles = 0;
  static bool lift(component::AbiCall&, const uint64_t* in, uint32_t, T& out) {
    out = flags_of<T>(*in);
    return true;
  }
  static bool load(component::AbiCall& c, uint32_t at, uint32_t, T& out) {
    out = flags_of<T>(c.get<Bits>(at));
    return true;
  }
  static bool lower(component::AbiCall&, T& v, uint32_t, uint64_t* out) {
    *out = flag_bits(v);
    return true;
  }
  static bool store(component::AbiCall& c, T& v, uint32_t, uint32_t at) {
    c.put(at, Bits(flag_bits(v)));
    return true;
  }
};

}  // namespace wafer::wasi

namespace wafer {

template <wasi::Described T>
  requires(wasi::Meta<T>::kShape == wasi::Shape::Record)
struct ComponentShape<T> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Record;
  static constexpr auto kFields = wasi::Meta<T>::kFields;
};
template <wasi::Described T>
  requires(wasi::Meta<T>::kShape == wasi::Shape::Enum)
struct ComponentShape<T> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Enum;
  static constexpr uint32_t kCount = std::size(wasi::Meta<T>::kNames);
};

template <wasi::DescribedFlags T>
struct ComponentType<T> {
  static std::string text() {
    return "flags<" + std::to_string(std::size(wasi::Meta<T>::kNames)) + ">";
  }
  static ComponentVal to(const T& v, ComponentScope&) {
    return ComponentVal::of_bits(wasi::flag_bits(v));
  }
  static T from(ComponentVal& v, ComponentScope&) { return wasi::flags_of<T>(v.bits()); }
};
template <wasi::DescribedFlags T>
struct ComponentAbi<T> : wasi::FlagsAbi<T> {};

template <wasi::DescribedVariant T>
struct ComponentType<T> {
  static std::string text() { return wasi::VariantOf<T>::text(); }
  static ComponentVal to(T v, ComponentScope& s) {
    ComponentVal out = ComponentVal::of_case(uint32_t(v.tag));
    wasi::with_payload(v, [&]<class P>(std::optional<P>& payload) {
      out = detail::case_to<P>(uint32_t(v.tag), *std::move(payload), s);
    });
    return out;
  }
  static T from(ComponentVal& v, ComponentScope& s) {
    T out{};
    out.tag = typename T::Tag(v.index());
    wasi::with_payload(out, [&]<class P>(std::optional<P>& payload) {
      payload = detail::case_from<P>(v.payload(), s);
    });
    return out;
  }
};
template <wasi::DescribedVariant T>
struct ComponentAbi<T> : wasi::VariantOf<T> {};

template <class R>
struct ComponentType<wasi::Own<R>> {
  static std::string text() { return "own"; }
  static ComponentVal to(wasi::Own<R> v, ComponentScope& s) {
    const component::Resource given = wasi::give_own(std::move(v), s);
    return ComponentVal::of_resource(given.type, given.rep);
  }
  static wasi::Own<R> from(ComponentVal& v, ComponentScope& s) {
    return wasi::take_own<R>(v.resource(), s);
  }
};
template <class R>
struct ComponentAbi<wasi::Own<R>> : detail::HandleAbi<wasi::Own<R>, wasi::OwnHandle<R>> {};
template <class R>
struct ComponentType<wasi::Borrow<R>> {
  static std::string text() { return "borrow"; }
  static wasi::Borrow<R> from(ComponentVal& v, ComponentScope& s) {
    return wasi::Borrow<R>(wasi::object_of<R>(v.resource(), s));
  }
};
template <class R>
struct ComponentAbi<wasi::Borrow<R>> : detail::HandleAbi<wasi::Borrow<R>, wasi::BorrowHandle<R>> {};

}  // namespace wafer

namespace wafer::wasi {

// The end that a stream or future stands for.
template <class S>
std::shared_ptr<component::End> end_of(S from) {
  return std::static_pointer_cast<component::End>(std::move(from.end));
}

// Values one way and the other. What cannot be converted is a failure of the host.
template <class T>
Val to_val(T v, HostBase& host) {
  ComponentScope scope{.host = &host};
  Val out = ComponentType<T>::to(std::move(v), scope);
  if (scope.failure) host.fail(scope.failure);
  return out;
}
template <class T>
T from_val(Val& v, HostBase& host) {
  ComponentScope scope{.host = &host};
  T out = ComponentType<T>::from(v, scope);
  if (scope.failure) host.fail(scope.failure);
  return out;
}

// ---- Answers

// The result of a function that may take its time. Given once; copies are the same.
template <class R>
class Reply {
 public:
  struct State {
    HostBase& host;
    component::Answer answer;  // once the function has returned
    std::optional<R> early;
    std::function<void()> on_cancel;
    bool cancelled = false;
  };
  explicit Reply(HostBase& host) : state_(std::make_shared<State>(State{host, {}, {}, {}})) {}
  void operator()(R result) const {
    if (state_->cancelled) return;
    state_->on_cancel = nullptr;
    if (!state_->answer) {
      state_->early = std::move(result);
      return;
    }
    std::vector<Val> values;
    if constexpr (!std::is_same_v<R, Unit>)
      values.push_back(to_val(std::move(result), state_->host));
    state_->answer.complete(std::move(values));
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
