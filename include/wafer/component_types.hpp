// Values of components as C++ types. ComponentType<T> turns one into the other:
//
//   bool, integers, float, double    the same
//   char                             char32_t
//   string                           std::string
//   list<T>, list<T, N>              std::vector<T>, std::array<T, N>; list<u8> as a parameter of
//                                    the host's functions also std::span<const uint8_t>, a view
//   map<K, V>                        std::vector<std::pair<K, V>>
//   tuple<...>, option<T>            std::tuple<...>, std::optional<T>
//   result<T, E>                     Expected<T, E>, with Unit for what is absent
//   record, flags, enum, variant     what ComponentShape describes, as `wafer bindgen host` makes
//                                    it; a record also as a tuple
//   own<R>, borrow<R>                of the host: std::unique_ptr<R>, R*, for a HostResource;
//                                    of a component: R, const R*, for a GuestResource
//   anything                         ComponentVal
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "wafer/component_value.hpp"
#include "wafer/expected.hpp"

namespace wafer {

namespace component {
class ComponentStore;
// Why an end is none of that type of a stream or future, of the form that ComponentType<T>::text()
// gives; empty: it may be.
std::string other_end(const Val::End& end, std::string_view type);
}  // namespace component

using ComponentVal = component::Val;

// ---- Resources

namespace detail {
class HostObjects;
struct HostTypes;
}  // namespace detail

// An object of the host that components have handles of. Those that they have when their store
// goes, go with it.
class HostResource {
 public:
  HostResource() = default;
  HostResource(const HostResource&) = delete;
  HostResource& operator=(const HostResource&) = delete;
  virtual ~HostResource() { unlink(); }

 private:
  friend class detail::HostObjects;
  void unlink() {
    if (previous_) previous_->next_ = next_;
    if (next_) next_->previous_ = previous_;
    previous_ = next_ = nullptr;
  }
  HostResource *previous_ = nullptr, *next_ = nullptr;
};

namespace detail {

// Objects of the host that handles of one store stand for.
class HostObjects {
 public:
  HostObjects() = default;
  HostObjects(const HostObjects&) = delete;
  HostObjects& operator=(const HostObjects&) = delete;
  ~HostObjects() {
    while (HostResource* const object = head_.next_) delete object;
  }
  uint64_t lend(HostResource* object) {
    object->next_ = head_.next_;
    object->previous_ = &head_;
    if (head_.next_) head_.next_->previous_ = object;
    head_.next_ = object;
    return rep_of(object);
  }
  static HostResource* take_back(uint64_t rep) {
    HostResource* const object = object_of(rep);
    object->unlink();
    return object;
  }
  static uint64_t rep_of(const HostResource* object) {
    return uint64_t(reinterpret_cast<uintptr_t>(object));
  }
  static HostResource* object_of(uint64_t rep) {
    return reinterpret_cast<HostResource*>(uintptr_t(rep));
  }

 private:
  struct Head final : HostResource {
  } head_holder_;
  HostResource& head_ = head_holder_;
};

// Identifies a class, without RTTI.
template <class T>
inline char kTag;

}  // namespace detail

// Where values belong: the store, and resource types of the linker. What cannot be converted is
// noted here. Empty for values without resources.
struct ComponentScope {
  component::ComponentStore* store = nullptr;
  const detail::HostTypes* types = nullptr;  // of the linker
  const char* failure = nullptr;
  void* host = nullptr;  // of embedders with resources of their own kind

  // The resource type whose objects are of the class that has `tag`; null: none.
  component::ResourceType* type_of(const void* tag) const;
  // Gone with the store.
  std::weak_ptr<void> life() const;
  detail::HostObjects& objects() const;
};

// A resource of a component, owned by the host: dropped with this.
class GuestResource {
 public:
  GuestResource() = default;
  GuestResource(ComponentVal handle, const ComponentScope& scope);
  GuestResource(GuestResource&& o) noexcept;
  GuestResource& operator=(GuestResource&& o) noexcept;
  ~GuestResource() { drop(); }
  explicit operator bool() const { return held_; }
  // Calls the component's destructor, if it has one.
  void drop();
  // For a borrow; and gives the resource away.
  const ComponentVal& handle() const { return handle_; }
  ComponentVal release() {
    held_ = false;
    return std::move(handle_);
  }

 private:
  ComponentVal handle_;
  component::ComponentStore* store_ = nullptr;
  std::weak_ptr<void> life_;  // of the store
  bool held_ = false;
};

// ---- Streams and futures

// The readable end of a stream or future, and an error-context, to be passed on.
template <class T>
struct Stream {
  static constexpr const char* kKind = "stream";
  ComponentVal::End end;
  bool operator==(const Stream&) const = default;
};
template <class T>
struct Future {
  static constexpr const char* kKind = "future";
  ComponentVal::End end;
  bool operator==(const Future&) const = default;
};
struct ErrorContext {
  ComponentVal::Failure failure;
  bool operator==(const ErrorContext&) const = default;
};

// ---- Shapes of named types

enum class ComponentShapeKind : uint8_t { Record, Flags, Enum, Variant };

// Specialized for types that are records (kFields: pointers to the members), flags and enums
// (kCount: how many), variants (their member `value` is a std::variant of a struct for each case,
// whose member `value` is what the case holds, if it holds anything).
template <class T>
struct ComponentShape;
template <class T>
concept ComponentNamed = requires { ComponentShape<T>::kKind; };

// ---- Conversions

template <class T>
struct ComponentType;

namespace detail {

// A type as ComponentLinker::typed compares it: without names of fields and cases, records as
// tuples. "*": any.
template <class T>
std::string type_text() {
  if constexpr (std::is_same_v<T, Unit> || std::is_void_v<T>)
    return "_";
  else if constexpr (requires { ComponentType<T>::text(); })
    return ComponentType<T>::text();
  else
    return "*";
}
template <class... T>
std::string type_texts() {
  std::string out;
  ((out += (out.empty() ? "" : ", ") + type_text<T>()), ...);
  return out;
}

// A case that may hold nothing.
template <class T>
ComponentVal case_to(uint32_t index, T v, ComponentScope& s) {
  if constexpr (std::is_same_v<T, Unit>)
    return ComponentVal::of_case(index);
  else
    return ComponentVal::of_case(index, ComponentType<T>::to(std::move(v), s));
}
template <class T>
bool case_is(const ComponentVal* v) {
  if constexpr (std::is_same_v<T, Unit>)
    return !v;
  else
    return v && ComponentType<T>::is(*v);
}
template <class T>
T case_from(ComponentVal* v, ComponentScope& s) {
  if constexpr (std::is_same_v<T, Unit>)
    return {};
  else
    return ComponentType<T>::from(*v, s);
}

template <class C>
constexpr bool kHasValue = requires(C c) { c.value; };
template <class C, bool = kHasValue<C>>
struct CaseValue {
  using Type = Unit;
};
template <class C>
struct CaseValue<C, true> {
  using Type = decltype(C::value);
};

}  // namespace detail

// to() gives the value; is() tells whether a value is a T; from() wants one that is; text() is the
// type as ComponentLinker::typed compares it. Resources are checked by the scope.
template <class T>
struct ComponentType {
  static_assert(component::scalar_kind<T>() != component::ScalarKind::Other,
                "no type of components");
  static std::string text() {
    return std::string(component::scalar_name(component::scalar_kind<T>()));
  }
  static ComponentVal to(T v, ComponentScope&) {
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
  static T from(ComponentVal& v, ComponentScope&) {
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
  static ComponentVal to(ComponentVal v, ComponentScope&) { return v; }
  static bool is(const ComponentVal&) { return true; }
  static ComponentVal from(ComponentVal& v, ComponentScope&) { return std::move(v); }
};
template <>
struct ComponentType<std::string> {
  static std::string text() { return "string"; }
  static ComponentVal to(std::string v, ComponentScope&) {
    return ComponentVal::of_text(std::move(v));
  }
  static bool is(const ComponentVal& v) { return v.is_text(); }
  static std::string from(ComponentVal& v, ComponentScope&) { return v.take_text(); }
};
template <>
struct ComponentType<const char*> {
  static ComponentVal to(const char* v, ComponentScope&) { return ComponentVal::of_text(v); }
};
template <>
struct ComponentType<std::vector<uint8_t>> {
  static std::string text() { return "list<u8>"; }
  static ComponentVal to(std::vector<uint8_t> v, ComponentScope&) {
    return ComponentVal::of_bytes(std::move(v));
  }
  static bool is(const ComponentVal& v) { return v.is_bytes(); }
  static std::vector<uint8_t> from(ComponentVal& v, ComponentScope&) {
    return std::move(v.bytes());
  }
};
// A view of bytes that are lifted, for as long as the call that has them lasts, and until code of
// the component runs again.
template <>
struct ComponentType<std::span<const uint8_t>> {
  static std::string text() { return "list<u8>"; }
  static bool is(const ComponentVal& v) { return v.is_bytes(); }
  static std::span<const uint8_t> from(ComponentVal& v, ComponentScope&) { return v.bytes(); }
};
template <class T>
struct ComponentType<std::vector<T>> {
  static std::string text() { return "list<" + detail::type_text<T>() + ">"; }
  static ComponentVal to(std::vector<T> v, ComponentScope& s) {
    ComponentVal::Items items;
    items.reserve(v.size());
    for (auto&& e : v) items.push_back(ComponentType<T>::to(T(std::move(e)), s));
    return ComponentVal::of_items(std::move(items));
  }
  static bool is(const ComponentVal& v) {
    if (!v.is_items()) return false;
    for (const ComponentVal& e : v.items())
      if (!ComponentType<T>::is(e)) return false;
    return true;
  }
  static std::vector<T> from(ComponentVal& v, ComponentScope& s) {
    std::vector<T> out;
    out.reserve(v.items().size());
    for (ComponentVal& e : v.items()) out.push_back(ComponentType<T>::from(e, s));
    return out;
  }
};
template <class T, size_t N>
struct ComponentType<std::array<T, N>> {
  static constexpr bool kBytes = std::is_same_v<T, uint8_t>;
  static std::string text() {
    return "list<" + detail::type_text<T>() + ", " + std::to_string(N) + ">";
  }
  static ComponentVal to(std::array<T, N> v, ComponentScope& s) {
    if constexpr (kBytes) {
      return ComponentVal::of_bytes({v.begin(), v.end()});
    } else {
      ComponentVal::Items items;
      items.reserve(N);
      for (T& e : v) items.push_back(ComponentType<T>::to(std::move(e), s));
      return ComponentVal::of_items(std::move(items));
    }
  }
  static bool is(const ComponentVal& v) {
    if constexpr (kBytes) {
      return v.is_bytes() && v.bytes().size() == N;
    } else {
      if (!v.is_items() || v.items().size() != N) return false;
      for (const ComponentVal& e : v.items())
        if (!ComponentType<T>::is(e)) return false;
      return true;
    }
  }
  static std::array<T, N> from(ComponentVal& v, ComponentScope& s) {
    return from(v, s, std::make_index_sequence<N>());
  }

 private:
  template <size_t... I>
  static std::array<T, N> from(ComponentVal& v, ComponentScope& s, std::index_sequence<I...>) {
    if constexpr (kBytes)
      return {v.bytes()[I]...};
    else
      return {ComponentType<T>::from(v.items()[I], s)...};
  }
};
template <class T>
struct ComponentType<std::optional<T>> {
  static std::string text() { return "option<" + detail::type_text<T>() + ">"; }
  static ComponentVal to(std::optional<T> v, ComponentScope& s) {
    return v ? ComponentVal::some(ComponentType<T>::to(*std::move(v), s)) : ComponentVal::none();
  }
  static bool is(const ComponentVal& v) {
    return v.is_case() && (!v.payload() || ComponentType<T>::is(*v.payload()));
  }
  static std::optional<T> from(ComponentVal& v, ComponentScope& s) {
    if (!v.payload()) return std::nullopt;
    return ComponentType<T>::from(*v.payload(), s);
  }
};
template <class... T>
struct ComponentType<std::tuple<T...>> {
  static std::string text() { return "tuple<" + detail::type_texts<T...>() + ">"; }
  static ComponentVal to(std::tuple<T...> v, ComponentScope& s) {
    ComponentVal::Items items;
    items.reserve(sizeof...(T));
    std::apply([&](T&... e) { (items.push_back(ComponentType<T>::to(std::move(e), s)), ...); }, v);
    return ComponentVal::of_items(std::move(items));
  }
  static bool is(const ComponentVal& v) {
    if (!v.is_items() || v.items().size() != sizeof...(T)) return false;
    size_t i = 0;
    return (ComponentType<T>::is(v.items()[i++]) && ...);
  }
  static std::tuple<T...> from(ComponentVal& v, ComponentScope& s) {
    size_t i = 0;
    return std::tuple<T...>{ComponentType<T>::from(v.items()[i++], s)...};
  }
};
template <class K, class V>
struct ComponentType<std::pair<K, V>> {
  static std::string text() { return ComponentType<std::tuple<K, V>>::text(); }
  static ComponentVal to(std::pair<K, V> v, ComponentScope& s) {
    return ComponentType<std::tuple<K, V>>::to({std::move(v.first), std::move(v.second)}, s);
  }
  static bool is(const ComponentVal& v) { return ComponentType<std::tuple<K, V>>::is(v); }
  static std::pair<K, V> from(ComponentVal& v, ComponentScope& s) {
    return {ComponentType<K>::from(v.items()[0], s), ComponentType<V>::from(v.items()[1], s)};
  }
};
template <class T, class E>
struct ComponentType<Expected<T, E>> {
  static std::string text() { return "result<" + detail::type_texts<T, E>() + ">"; }
  static ComponentVal to(Expected<T, E> v, ComponentScope& s) {
    return v ? detail::case_to<T>(0, std::move(*v), s)
             : detail::case_to<E>(1, std::move(v.error()), s);
  }
  static bool is(const ComponentVal& v) {
    return v.is_case() && v.index() < 2 &&
           (v.index() ? detail::case_is<E>(v.payload()) : detail::case_is<T>(v.payload()));
  }
  static Expected<T, E> from(ComponentVal& v, ComponentScope& s) {
    if (v.index() == 0) return detail::case_from<T>(v.payload(), s);
    return Err<E>{detail::case_from<E>(v.payload(), s)};
  }
};

// Named types.
template <ComponentNamed T>
struct ComponentType<T> {
  using Shape = ComponentShape<T>;
  static constexpr ComponentShapeKind kKind = Shape::kKind;

  static std::string text() {
    if constexpr (kKind == ComponentShapeKind::Record)
      return std::apply(
          [](auto... field) {
            return "tuple<" + detail::type_texts<typename member_of<decltype(field)>::Of...>() +
                   ">";
          },
          Shape::kFields);
    else if constexpr (kKind == ComponentShapeKind::Variant)
      return "variant<" + cases_text(std::type_identity<Cases>()) + ">";
    else
      return (kKind == ComponentShapeKind::Flags ? "flags<" : "enum<") +
             std::to_string(Shape::kCount) + ">";
  }
  static ComponentVal to(T v, ComponentScope& s) {
    if constexpr (kKind == ComponentShapeKind::Record) {
      ComponentVal::Items items;
      std::apply(
          [&](auto... field) {
            items.reserve(sizeof...(field));
            (items.push_back(member<decltype(field)>::to(std::move(v.*field), s)), ...);
          },
          Shape::kFields);
      return ComponentVal::of_items(std::move(items));
    } else if constexpr (kKind == ComponentShapeKind::Variant) {
      return std::visit(
          [&]<class C>(C& c) {
            const auto index = uint32_t(v.value.index());
            if constexpr (detail::kHasValue<C>)
              return detail::case_to<typename detail::CaseValue<C>::Type>(index, std::move(c.value),
                                                                          s);
            else
              return ComponentVal::of_case(index);
          },
          v.value);
    } else {
      return ComponentVal::of_bits(uint64_t(v));
    }
  }
  static bool is(const ComponentVal& v) {
    if constexpr (kKind == ComponentShapeKind::Record) {
      constexpr size_t n = std::tuple_size_v<std::remove_cvref_t<decltype(Shape::kFields)>>;
      if (!v.is_items() || v.items().size() != n) return false;
      size_t i = 0;
      return std::apply(
          [&](auto... field) { return (member<decltype(field)>::is(v.items()[i++]) && ...); },
          Shape::kFields);
    } else if constexpr (kKind == ComponentShapeKind::Variant) {
      return v.is_case() && with_case(v.index(), [&]<size_t I>() {
               using C = std::variant_alternative_t<I, Cases>;
               return detail::case_is<typename detail::CaseValue<C>::Type>(v.payload());
             });
    } else if constexpr (kKind == ComponentShapeKind::Flags) {
      return v.is_bits() && v.bits() >> (Shape::kCount - 1) >> 1 == 0;
    } else {
      return v.is_bits() && v.bits() < Shape::kCount;
    }
  }
  static T from(ComponentVal& v, ComponentScope& s) {
    if constexpr (kKind == ComponentShapeKind::Record) {
      T out{};
      size_t i = 0;
      std::apply(
          [&](auto... field) {
            ((out.*field = member<decltype(field)>::from(v.items()[i++], s)), ...);
          },
          Shape::kFields);
      return out;
    } else if constexpr (kKind == ComponentShapeKind::Variant) {
      T out{};
      with_case(v.index(), [&]<size_t I>() {
        using C = std::variant_alternative_t<I, Cases>;
        if constexpr (detail::kHasValue<C>)
          out.value.template emplace<I>(
              C{detail::case_from<typename detail::CaseValue<C>::Type>(v.payload(), s)});
        else
          out.value.template emplace<I>();
        return true;
      });
      return out;
    } else {
      return T(v.bits());
    }
  }

 private:
  template <class M>
  struct member_of;
  template <class C, class M>
  struct member_of<M C::*> {
    using Of = M;
    using Type = ComponentType<M>;
  };
  template <class M>
  using member = typename member_of<M>::Type;

  template <class U>
  struct cases_of {
    using Type = std::variant<>;
  };
  template <class U>
    requires requires(U u) { u.value; }
  struct cases_of<U> {
    using Type = decltype(U::value);
  };
  using Cases = typename cases_of<T>::Type;
  template <class... C>
  static std::string cases_text(std::type_identity<std::variant<C...>>) {
    return detail::type_texts<typename detail::CaseValue<C>::Type...>();
  }

  // Calls f with the index as a constant; false: there is no such case.
  template <class F, size_t I = 0>
  static bool with_case(size_t index, F&& f) {
    if constexpr (I == std::variant_size_v<Cases>) {
      return false;
    } else {
      if (index == I) return f.template operator()<I>();
      return with_case<F, I + 1>(index, std::forward<F>(f));
    }
  }
};

// Resources of the host.
template <class R>
  requires std::is_base_of_v<HostResource, R>
struct ComponentType<R*> {
  static std::string text() { return "borrow"; }
  static ComponentVal to(R* v, ComponentScope& s) {
    component::ResourceType* const type = s.type_of(&detail::kTag<R>);
    if (!v || !type) {
      s.failure = "null resource, or of a type that is not defined";
      return {};
    }
    return ComponentVal::of_resource(type, detail::HostObjects::rep_of(v));
  }
  static bool is(const ComponentVal& v) { return v.is_resource(); }
  static R* from(ComponentVal& v, ComponentScope& s) {
    if (v.resource().type && v.resource().type == s.type_of(&detail::kTag<R>))
      return static_cast<R*>(detail::HostObjects::object_of(v.resource().rep));
    s.failure = "resource of another type";
    return nullptr;
  }
};
template <class R>
  requires std::is_base_of_v<HostResource, R>
struct ComponentType<std::unique_ptr<R>> {
  static std::string text() { return "own"; }
  static ComponentVal to(std::unique_ptr<R> v, ComponentScope& s) {
    component::ResourceType* const type = s.type_of(&detail::kTag<R>);
    if (!v || !type || !s.store) {
      s.failure = "null resource, or of a type that is not defined";
      return {};
    }
    return ComponentVal::of_resource(type, s.objects().lend(v.release()));
  }
  static bool is(const ComponentVal& v) { return v.is_resource(); }
  static std::unique_ptr<R> from(ComponentVal& v, ComponentScope& s) {
    R* const object = ComponentType<R*>::from(v, s);
    if (!object) return nullptr;
    detail::HostObjects::take_back(v.resource().rep);
    return std::unique_ptr<R>(object);
  }
};
// Resources of components.
template <class R>
  requires std::is_base_of_v<GuestResource, R>
struct ComponentType<R> {
  static std::string text() { return "own"; }
  static ComponentVal to(R v, ComponentScope& s) {
    if (v) return v.release();
    s.failure = "null resource";
    return {};
  }
  static bool is(const ComponentVal& v) { return v.is_resource(); }
  static R from(ComponentVal& v, ComponentScope& s) { return R(std::move(v), s); }
};
template <class R>
  requires std::is_base_of_v<GuestResource, R>
struct ComponentType<const R*> {
  static std::string text() { return "borrow"; }
  static ComponentVal to(const R* v, ComponentScope& s) {
    if (v && *v) return v->handle();
    s.failure = "null resource";
    return {};
  }
};

// Ends of streams and futures.
template <template <class> class S, class T>
  requires std::is_same_v<decltype(S<T>::end), ComponentVal::End>
struct ComponentType<S<T>> {
  static std::string text() { return S<T>::kKind + ("<" + detail::type_text<T>() + ">"); }
  static ComponentVal to(S<T> v, ComponentScope&) { return ComponentVal::of_end(std::move(v.end)); }
  static bool is(const ComponentVal& v) {
    return v.is_end() && component::other_end(v.end(), text()).empty();
  }
  static S<T> from(ComponentVal& v, ComponentScope&) { return {v.end()}; }
};
template <>
struct ComponentType<ErrorContext> {
  static std::string text() { return "error-context"; }
  static ComponentVal to(ErrorContext v, ComponentScope&) {
    return ComponentVal::of_failure(std::move(v.failure));
  }
  static bool is(const ComponentVal& v) { return v.is_failure(); }
  static ErrorContext from(ComponentVal& v, ComponentScope&) { return {v.failure()}; }
};

}  // namespace wafer
