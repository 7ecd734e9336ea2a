// Lifting and lowering without dynamic values (CanonicalABI.md, "Loading", "Storing", "Flat
// Lifting", "Flat Lowering"): straight from core values and the memory of a component into types of
// C++, and back. ComponentAbi<T> has the types of ComponentType<T>, but for ComponentVal; only for
// memories with 32-bit addresses.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "wafer/component_types.hpp"

namespace wafer {

namespace runtime {
enum class TrapCode : uint32_t;
}

namespace component {

struct AbiHandle;
class Answer;
struct Context;

// The component's side of one call. Functions that give a bool record a trap when it is false.
class AbiCall {
 public:
  AbiCall(const Context& cx, uint64_t* slots_, std::span<const AbiHandle> handles);

  ComponentStore& store;
  // Core values: those of parameters, then those of results.
  uint64_t* slots;
  ComponentScope scope;
  // Whether the function has run: what cannot be lowered then, cannot be undone.
  bool has_result = false;
  // Whether the component's table has got a handle, which a call that fails leaves there.
  bool gave_handle = false;
  // The function answers later, by what it has put into `answer`.
  bool waits = false;
  Answer* answer = nullptr;

  // What failed: the trap of the store, which has that code.
  bool stop(runtime::TrapCode code) {
    code_ = code;
    return false;
  }
  bool fail(std::string_view message);
  runtime::TrapCode code() const { return code_; }
  // Whether `scope` took note of no failure.
  bool converted() { return !scope.failure || fail(scope.failure); }

  // Memory may have moved after code of a component has run.
  void refresh();
  // That many bytes lie at `at`, which is aligned.
  bool range(uint32_t at, uint64_t bytes, uint32_t align, const char* outside) {
    if (at & (align - 1)) return fail("unaligned pointer");
    return (at <= size_ && bytes <= size_ - at) || fail(outside);
  }
  // Where a list lies that is to be lifted.
  bool list(uint32_t at, uint32_t count, uint32_t size, uint32_t align) {
    if (uint64_t{count} * std::max(size, 1u) > kMaxByteLength)
      return fail("list content out-of-bounds");
    return range(at, uint64_t{count} * size, align, "list content out-of-bounds");
  }
  // Space for a list that is to be lowered.
  bool new_list(size_t count, uint32_t size, uint32_t align, uint32_t& at) {
    if (count > kMaxByteLength || count * size > kMaxByteLength) return fail("list is too long");
    return allocate(align, uint32_t(count * size), at);
  }
  template <class T>
  T get(uint32_t at) const {
    T out;
    std::memcpy(&out, base_ + at, sizeof(T));
    return out;
  }
  template <class T>
  void put(uint32_t at, T v) {
    std::memcpy(base_ + at, &v, sizeof(T));
  }
  const uint8_t* bytes(uint32_t at) const { return base_ + at; }
  uint8_t* bytes(uint32_t at) { return base_ + at; }

  bool allocate(uint32_t align, uint32_t size, uint32_t& at);
  bool lift_string(uint32_t at, uint32_t length, std::string& out);
  bool lower_string(std::string_view text, uint32_t& at, uint32_t& length);
  // `handle`: which of the types that are handles, in the order in which the function's type has
  // them (own, borrow, stream, future).
  bool lift_resource(uint32_t handle, uint32_t index, Resource& out);
  bool lower_resource(uint32_t handle, const Resource& v, uint32_t& index);
  bool lift_end(uint32_t handle, uint32_t index, Val::End& out);
  bool lower_end(uint32_t handle, const Val::End& v, uint32_t& index);
  bool lift_failure(uint32_t index, Val::Failure& out);
  bool lower_failure(const Val::Failure& v, uint32_t& index);

 private:
  static constexpr uint64_t kMaxByteLength = (uint64_t{1} << 28) - 1;

  bool check(runtime::TrapCode code);
  const AbiHandle* handle_type(uint32_t handle);
  bool lower_val(uint32_t handle, const Val& v, uint32_t& index);

  const Context& cx_;
  const std::span<const AbiHandle> handles_;
  uint8_t* base_ = nullptr;
  uint64_t size_ = 0;
  runtime::TrapCode code_{};
};

// A function of the host without dynamic values. It is made of a function of C++ alone
// (of()), so that it can only be called where its form, func_form() of the
// types that it lifts and lowers, is that of the component's type.
class AbiFunction {
 public:
  AbiFunction() = default;
  explicit operator bool() const { return call_ != nullptr; }
  // False: the call has the trap.
  bool operator()(AbiCall& call) const { return call_(env_.get(), call); }
  // Empty: it is not known.
  const std::string& form() const { return form_; }

  // `F` has enter(AbiCall&), called first; and is called with an AbiCall and lvalues of the types
  // A. It gives an optional<R>; or a bool, if R is void. Without a result the call has the trap, or
  // `waits`.
  template <class R, class... A, class F>
  static AbiFunction of(F f);
  // One that can only be called with dynamic values, of which nothing but the form is known.
  template <class R, class... A>
  static AbiFunction form_of();

 private:
  bool (*call_)(const void* env, AbiCall& call) = nullptr;
  std::shared_ptr<const void> env_;
  std::string form_;
};

}  // namespace component

// kSize, kAlign: in memory; kFlat: how many core values; kHandles: how many types in it are
// handles. lift() and lower() have core values (zero before), load() and store() memory that is
// there; `h`: the number of the first handle. Values that are lowered are used up.
template <class T>
struct ComponentAbi;
template <class T>
concept ComponentDirect = requires { ComponentAbi<T>::kFlat; };

namespace detail {

using component::AbiCall;

constexpr uint32_t aligned(uint32_t at, uint32_t align) { return (at + align - 1) & ~(align - 1); }

// ---- Scalars

template <class T>
  requires(component::scalar_kind<T>() != component::ScalarKind::Other)
struct ScalarAbi {
  static constexpr uint32_t kSize = sizeof(T), kAlign = sizeof(T), kFlat = 1, kHandles = 0;
  static constexpr bool kPlain = std::is_integral_v<T> && !std::is_same_v<T, bool> &&
                                 !std::is_same_v<T, char32_t>;  // as C++ has it
  using Bits = std::conditional_t<
      kSize == 1, uint8_t,
      std::conditional_t<kSize == 2, uint16_t, std::conditional_t<kSize == 4, uint32_t, uint64_t>>>;

  static bool from_bits(AbiCall& c, uint64_t bits, T& out) {
    if constexpr (std::is_same_v<T, bool>) {
      out = uint32_t(bits) != 0;
    } else if constexpr (std::is_same_v<T, char32_t>) {
      out = char32_t(bits);
      return valid(out) || c.fail("invalid `char` bit pattern");
    } else if constexpr (std::is_floating_point_v<T>) {
      out = component::scalar_from<T>(bits);
      if (out != out) out = canonical();
    } else {
      out = T(bits);
    }
    return true;
  }
  static bool to_bits(AbiCall& c, T v, Bits& out) {
    if constexpr (std::is_same_v<T, char32_t>)
      if (!valid(v)) return c.fail("invalid `char` bit pattern");
    if constexpr (std::is_floating_point_v<T>)
      out = std::bit_cast<Bits>(v != v ? canonical() : v);
    else
      out = Bits(v);
    return true;
  }
  static bool lift(AbiCall& c, const uint64_t* in, uint32_t, T& out) {
    return from_bits(c, *in, out);
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t, T& out) {
    return from_bits(c, c.get<Bits>(at), out);
  }
  static bool lower(AbiCall& c, T& v, uint32_t, uint64_t* out) {
    Bits bits{};
    if (!to_bits(c, v, bits)) return false;
    // Small ones are extended to 32 bits.
    if constexpr (kPlain && std::is_signed_v<T> && kSize < 8)
      *out = uint32_t(int32_t(v));
    else
      *out = bits;
    return true;
  }
  static bool store(AbiCall& c, T& v, uint32_t, uint32_t at) {
    Bits bits{};
    if (!to_bits(c, v, bits)) return false;
    c.put(at, bits);
    return true;
  }

 private:
  static bool valid(char32_t v) { return v < 0x110000 && (v < 0xd800 || v > 0xdfff); }
  static T canonical() {
    if constexpr (sizeof(T) == 4)
      return std::bit_cast<T>(uint32_t{0x7fc00000});
    else
      return std::bit_cast<T>(uint64_t{0x7ff8000000000000});
  }
};

// ---- What is two core values: where it lies, and how long it is. `P` has get() and set().

template <class T, class P, uint32_t kHandleCount>
struct PointerAbi {
  static constexpr uint32_t kSize = 8, kAlign = 4, kFlat = 2, kHandles = kHandleCount;
  static bool lift(AbiCall& c, const uint64_t* in, uint32_t h, T& out) {
    return P::get(c, uint32_t(in[0]), uint32_t(in[1]), h, out);
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t h, T& out) {
    return P::get(c, c.get<uint32_t>(at), c.get<uint32_t>(at + 4), h, out);
  }
  static bool lower(AbiCall& c, T& v, uint32_t h, uint64_t* out) {
    uint32_t begin = 0, length = 0;
    if (!P::set(c, v, h, begin, length)) return false;
    out[0] = begin;
    out[1] = length;
    return true;
  }
  static bool store(AbiCall& c, T& v, uint32_t h, uint32_t at) {
    uint32_t begin = 0, length = 0;
    if (!P::set(c, v, h, begin, length)) return false;
    c.put(at, begin);
    c.put(at + 4, length);
    return true;
  }
};

template <class T>
concept PlainElement = requires { requires ComponentAbi<T>::kPlain; };

template <class T>
struct ListPointer {
  using E = ComponentAbi<T>;
  static bool get(AbiCall& c, uint32_t at, uint32_t count, uint32_t h, std::vector<T>& out) {
    if (!c.list(at, count, E::kSize, E::kAlign)) return false;
    if constexpr (PlainElement<T>) {
      if constexpr (sizeof(T) == 1) {
        out.assign(c.bytes(at), c.bytes(at) + count);
      } else {
        out.resize(count);
        if (count) std::memcpy(out.data(), c.bytes(at), size_t{count} * sizeof(T));
      }
    } else if constexpr (std::is_same_v<T, bool>) {
      out.reserve(count);
      for (uint32_t i = 0; i < count; ++i) out.push_back(c.get<uint8_t>(at + i) != 0);
    } else {
      out.resize(count);
      for (uint32_t i = 0; i < count; ++i)
        if (!E::load(c, at + i * E::kSize, h, out[i])) return false;
    }
    return true;
  }
  static bool set(AbiCall& c, std::vector<T>& v, uint32_t h, uint32_t& at, uint32_t& count) {
    if (!c.new_list(v.size(), E::kSize, E::kAlign, at)) return false;
    count = uint32_t(v.size());
    if constexpr (PlainElement<T>) {
      if (count) std::memcpy(c.bytes(at), v.data(), size_t{count} * sizeof(T));
    } else if constexpr (std::is_same_v<T, bool>) {
      for (uint32_t i = 0; i < count; ++i) c.put(at + i, uint8_t(v[i]));
    } else {
      for (uint32_t i = 0; i < count; ++i)
        if (!E::store(c, v[i], h, at + i * E::kSize)) return false;
    }
    return true;
  }
};

// The bytes where they are.
struct BytesPointer {
  static bool get(AbiCall& c, uint32_t at, uint32_t count, uint32_t,
                  std::span<const uint8_t>& out) {
    if (!c.list(at, count, 1, 1)) return false;
    out = {c.bytes(at), count};
    return true;
  }
};

struct StringPointer {
  static bool get(AbiCall& c, uint32_t at, uint32_t length, uint32_t, std::string& out) {
    return c.lift_string(at, length, out);
  }
  static bool set(AbiCall& c, std::string& v, uint32_t, uint32_t& at, uint32_t& length) {
    return c.lower_string(v, at, length);
  }
};

// ---- Several one after the other

template <ComponentDirect... T>
struct FieldsAbi {
  static constexpr uint32_t kAlign = std::max({uint32_t{1}, ComponentAbi<T>::kAlign...});
  static constexpr uint32_t size() {
    uint32_t at = 0;
    ((at = aligned(at, ComponentAbi<T>::kAlign) + ComponentAbi<T>::kSize), ...);
    return aligned(at, kAlign);
  }
  static constexpr uint32_t kSize = size();
  static constexpr uint32_t kFlat = (0 + ... + ComponentAbi<T>::kFlat);
  static constexpr uint32_t kHandles = (0 + ... + ComponentAbi<T>::kHandles);

  static bool lift(AbiCall& c, const uint64_t* in, uint32_t h, T&... out) {
    return (ComponentAbi<T>::lift(c, std::exchange(in, in + ComponentAbi<T>::kFlat),
                                  std::exchange(h, h + ComponentAbi<T>::kHandles), out) &&
            ...);
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t h, T&... out) {
    return (ComponentAbi<T>::load(c, next<ComponentAbi<T>>(at),
                                  std::exchange(h, h + ComponentAbi<T>::kHandles), out) &&
            ...);
  }
  static bool lower(AbiCall& c, uint32_t h, uint64_t* out, T&... v) {
    return (ComponentAbi<T>::lower(c, v, std::exchange(h, h + ComponentAbi<T>::kHandles),
                                   std::exchange(out, out + ComponentAbi<T>::kFlat)) &&
            ...);
  }
  static bool store(AbiCall& c, uint32_t h, uint32_t at, T&... v) {
    return (ComponentAbi<T>::store(c, v, std::exchange(h, h + ComponentAbi<T>::kHandles),
                                   next<ComponentAbi<T>>(at)) &&
            ...);
  }

 private:
  // Where a field lies; `at` goes past it.
  template <class A>
  static uint32_t next(uint32_t& at) {
    const uint32_t out = aligned(at, A::kAlign);
    at = out + A::kSize;
    return out;
  }
};

// T has the fields of F, which are told by `Each`::apply(value, f).
template <class T, class F, class Each>
struct RecordAbi {
  static constexpr uint32_t kSize = F::kSize, kAlign = F::kAlign, kFlat = F::kFlat,
                            kHandles = F::kHandles;
  static bool lift(AbiCall& c, const uint64_t* in, uint32_t h, T& out) {
    return Each::apply(out, [&](auto&... f) { return F::lift(c, in, h, f...); });
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t h, T& out) {
    return Each::apply(out, [&](auto&... f) { return F::load(c, at, h, f...); });
  }
  static bool lower(AbiCall& c, T& v, uint32_t h, uint64_t* out) {
    return Each::apply(v, [&](auto&... f) { return F::lower(c, h, out, f...); });
  }
  static bool store(AbiCall& c, T& v, uint32_t h, uint32_t at) {
    return Each::apply(v, [&](auto&... f) { return F::store(c, h, at, f...); });
  }
};
struct TupleFields {
  template <class T, class F>
  static bool apply(T& v, F&& f) {
    return std::apply(std::forward<F>(f), v);
  }
};
struct PairFields {
  template <class T, class F>
  static bool apply(T& v, F&& f) {
    return f(v.first, v.second);
  }
};

// ---- One of several

// A case that may hold nothing.
template <class P>
struct CaseAbi {
  static constexpr bool kDirect = ComponentDirect<P>;
  using Abi = ComponentAbi<P>;
  static constexpr uint32_t kSize = Abi::kSize, kAlign = Abi::kAlign, kFlat = Abi::kFlat,
                            kHandles = Abi::kHandles;
};
template <>
struct CaseAbi<Unit> {
  static constexpr bool kDirect = true;
  static constexpr uint32_t kSize = 0, kAlign = 1, kFlat = 0, kHandles = 0;
};
template <class P>
constexpr bool case_direct() {
  if constexpr (std::is_same_v<P, Unit>)
    return true;
  else
    return ComponentDirect<P>;
}

template <size_t kCases>
using Discriminant = std::conditional_t<kCases <= 256, uint8_t,
                                        std::conditional_t<kCases <= 65536, uint16_t, uint32_t>>;

// Payloads P, by case. `V` makes one and shows it: set<I>(T&) gives the payload's place; index(T),
// get<I>(T&).
template <class T, class V, class... P>
struct VariantAbi {
  using Index = Discriminant<sizeof...(P)>;
  static constexpr uint32_t kInner = std::max({CaseAbi<P>::kAlign...});
  static constexpr uint32_t kAlign = std::max<uint32_t>(sizeof(Index), kInner);
  static constexpr uint32_t kOffset = aligned(sizeof(Index), kInner);
  static constexpr uint32_t kSize = aligned(kOffset + std::max({CaseAbi<P>::kSize...}), kAlign);
  static constexpr uint32_t kFlat = 1 + std::max({CaseAbi<P>::kFlat...});
  static constexpr uint32_t kHandles = (0 + ... + CaseAbi<P>::kHandles);

  static bool lift(AbiCall& c, const uint64_t* in, uint32_t h, T& out) {
    // Core values of joined types have what they stand for in their low bits.
    return with_case(c, uint32_t(in[0]), h, [&]<size_t I, class A>(uint32_t from) {
      if constexpr (A::kFlat == 0 && A::kSize == 0) {
        V::template set<I>(out);
        return true;
      } else {
        return A::Abi::lift(c, in + 1, from, V::template set<I>(out));
      }
    });
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t h, T& out) {
    return with_case(c, c.get<Index>(at), h, [&]<size_t I, class A>(uint32_t from) {
      if constexpr (A::kFlat == 0 && A::kSize == 0) {
        V::template set<I>(out);
        return true;
      } else {
        return A::Abi::load(c, at + kOffset, from, V::template set<I>(out));
      }
    });
  }
  static bool lower(AbiCall& c, T& v, uint32_t h, uint64_t* out) {
    out[0] = V::index(v);
    return with_case(c, V::index(v), h, [&]<size_t I, class A>(uint32_t from) {
      if constexpr (A::kFlat == 0 && A::kSize == 0)
        return true;
      else
        return A::Abi::lower(c, V::template get<I>(v), from, out + 1);
    });
  }
  static bool store(AbiCall& c, T& v, uint32_t h, uint32_t at) {
    c.put(at, Index(V::index(v)));
    return with_case(c, V::index(v), h, [&]<size_t I, class A>(uint32_t from) {
      if constexpr (A::kFlat == 0 && A::kSize == 0)
        return true;
      else
        return A::Abi::store(c, V::template get<I>(v), from, at + kOffset);
    });
  }

 private:
  // Calls f with the case as a constant and the number of its first handle.
  template <class F>
  static bool with_case(AbiCall& c, size_t index, uint32_t h, F&& f) {
    return with_case<F, 0, P...>(c, index, h, f);
  }
  template <class F, size_t I, class First, class... Rest>
  static bool with_case(AbiCall& c, size_t index, uint32_t h, F& f) {
    if (index == I) return f.template operator()<I, CaseAbi<First>>(h);
    if constexpr (sizeof...(Rest) > 0)
      return with_case<F, I + 1, Rest...>(c, index, h + CaseAbi<First>::kHandles, f);
    else
      return c.fail("invalid variant discriminant");
  }
};

template <class T>
struct OptionCases {
  static size_t index(const std::optional<T>& v) { return v ? 1 : 0; }
  template <size_t I>
  static T& set(std::optional<T>& v)
    requires(I == 1)
  {
    return v.emplace();
  }
  template <size_t I>
  static void set(std::optional<T>& v)
    requires(I == 0)
  {
    v.reset();
  }
  template <size_t I>
  static T& get(std::optional<T>& v) {
    return *v;
  }
};
template <class T, class E>
struct ResultCases {
  using R = Expected<T, E>;
  static size_t index(const R& v) { return v ? 0 : 1; }
  template <size_t I>
  static auto& set(R& v) {
    if constexpr (I == 0)
      v = R(T());
    else
      v = R(Err<E>{E()});
    return get<I>(v);
  }
  template <size_t I>
  static auto& get(R& v) {
    if constexpr (I == 0)
      return *v;
    else
      return v.error();
  }
};
template <class T>
struct VariantCases {
  static size_t index(const T& v) { return v.value.index(); }
  template <size_t I>
  static auto& set(T& v) {
    auto& made = v.value.template emplace<I>();
    if constexpr (kHasValue<std::remove_cvref_t<decltype(made)>>)
      return made.value;
    else
      return made;
  }
  template <size_t I>
  static auto& get(T& v) {
    return std::get<I>(v.value).value;
  }
};

// ---- Named types

template <class T, uint32_t kCount, bool kFlags>
struct LabelsAbi {
  using Bits =
      std::conditional_t<kFlags,
                         std::conditional_t<kCount <= 8, uint8_t,
                                            std::conditional_t<kCount <= 16, uint16_t, uint32_t>>,
                         Discriminant<kCount>>;
  static constexpr uint32_t kSize = sizeof(Bits), kAlign = sizeof(Bits), kFlat = 1, kHandles = 0;
  static bool from_bits(AbiCall& c, uint32_t bits, T& out) {
    if constexpr (kFlags)
      bits &= uint32_t((uint64_t{1} << kCount) - 1);
    else if (bits >= kCount)
      return c.fail("invalid variant discriminant");
    out = T(bits);
    return true;
  }
  static bool lift(AbiCall& c, const uint64_t* in, uint32_t, T& out) {
    return from_bits(c, uint32_t(*in), out);
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t, T& out) {
    return from_bits(c, c.get<Bits>(at), out);
  }
  static bool lower(AbiCall& c, T& v, uint32_t, uint64_t* out) {
    *out = uint32_t(v);
    return kFlags || *out < kCount || c.fail("invalid variant discriminant");
  }
  static bool store(AbiCall& c, T& v, uint32_t, uint32_t at) {
    if (!kFlags && uint32_t(v) >= kCount) return c.fail("invalid variant discriminant");
    c.put(at, Bits(v));
    return true;
  }
};

template <class T>
struct MemberFields {
  template <class F>
  static bool apply(T& v, F&& f) {
    return std::apply([&](auto... field) { return f(v.*field...); }, ComponentShape<T>::kFields);
  }
};
template <class M>
struct MemberType;
template <class C, class M>
struct MemberType<M C::*> {
  using Type = M;
};

template <class T, class Fields>
struct MembersAbi : std::false_type {};
template <class T, class... F>
  requires(ComponentDirect<typename MemberType<F>::Type> && ...)
struct MembersAbi<T, std::tuple<F...>> : std::true_type {
  using Type = RecordAbi<T, FieldsAbi<typename MemberType<F>::Type...>, MemberFields<T>>;
};
template <class T, class Cases>
struct CasesAbi : std::false_type {};
template <class T, class... C>
  requires(case_direct<typename CaseValue<C>::Type>() && ...)
struct CasesAbi<T, std::variant<C...>> : std::true_type {
  using Type = VariantAbi<T, VariantCases<T>, typename CaseValue<C>::Type...>;
};

// What a type with a ComponentShape is; `Type` if all that is in it is direct.
template <class T, ComponentShapeKind kKind = ComponentShape<T>::kKind>
struct NamedAbi : std::true_type {
  using Type = LabelsAbi<T, ComponentShape<T>::kCount, kKind == ComponentShapeKind::Flags>;
};
template <class T>
struct NamedAbi<T, ComponentShapeKind::Record>
    : MembersAbi<T, std::remove_cvref_t<decltype(ComponentShape<T>::kFields)>> {};
template <class T>
struct NamedAbi<T, ComponentShapeKind::Variant>
    : CasesAbi<T, std::remove_cvref_t<decltype(std::declval<T&>().value)>> {};

// ---- Handles

// `V` has get() and set().
template <class T, class V, uint32_t kHandleCount = 1>
struct HandleAbi {
  static constexpr uint32_t kSize = 4, kAlign = 4, kFlat = 1, kHandles = kHandleCount;
  static bool lift(AbiCall& c, const uint64_t* in, uint32_t h, T& out) {
    return V::get(c, h, uint32_t(*in), out);
  }
  static bool load(AbiCall& c, uint32_t at, uint32_t h, T& out) {
    return V::get(c, h, c.get<uint32_t>(at), out);
  }
  static bool lower(AbiCall& c, T& v, uint32_t h, uint64_t* out) {
    uint32_t index = 0;
    if (!V::set(c, h, v, index)) return false;
    *out = index;
    return true;
  }
  static bool store(AbiCall& c, T& v, uint32_t h, uint32_t at) {
    uint32_t index = 0;
    if (!V::set(c, h, v, index)) return false;
    c.put(at, index);
    return true;
  }
};
// By the value that stands for the resource.
template <class T>
struct ResourceHandle {
  static bool get(AbiCall& c, uint32_t h, uint32_t index, T& out) {
    component::Resource resource;
    if (!c.lift_resource(h, index, resource)) return false;
    ComponentVal value = ComponentVal::of_resource(resource.type, resource.rep);
    out = ComponentType<T>::from(value, c.scope);
    return c.converted();
  }
  static bool set(AbiCall& c, uint32_t h, T& v, uint32_t& index) {
    const ComponentVal value = ComponentType<T>::to(std::move(v), c.scope);
    return c.converted() && c.lower_resource(h, value.resource(), index);
  }
};
template <class S>
struct EndHandle {
  static bool get(AbiCall& c, uint32_t h, uint32_t index, S& out) {
    return c.lift_end(h, index, out.end);
  }
  static bool set(AbiCall& c, uint32_t h, S& v, uint32_t& index) {
    return c.lower_end(h, v.end, index);
  }
};
struct FailureHandle {
  static bool get(AbiCall& c, uint32_t, uint32_t index, ErrorContext& out) {
    return c.lift_failure(index, out.failure);
  }
  static bool set(AbiCall& c, uint32_t, ErrorContext& v, uint32_t& index) {
    return c.lower_failure(v.failure, index);
  }
};

}  // namespace detail

template <class T>
  requires(component::scalar_kind<T>() != component::ScalarKind::Other)
struct ComponentAbi<T> : detail::ScalarAbi<T> {};
template <>
struct ComponentAbi<std::string> : detail::PointerAbi<std::string, detail::StringPointer, 0> {};
template <ComponentDirect T>
struct ComponentAbi<std::vector<T>>
    : detail::PointerAbi<std::vector<T>, detail::ListPointer<T>, ComponentAbi<T>::kHandles> {};
template <>
struct ComponentAbi<std::span<const uint8_t>>
    : detail::PointerAbi<std::span<const uint8_t>, detail::BytesPointer, 0> {};
template <ComponentDirect T, size_t N>
struct ComponentAbi<std::array<T, N>> {
  using E = ComponentAbi<T>;
  static constexpr uint32_t kSize = N * E::kSize, kAlign = E::kAlign, kFlat = N * E::kFlat,
                            kHandles = E::kHandles;
  using A = std::array<T, N>;
  static bool lift(component::AbiCall& c, const uint64_t* in, uint32_t h, A& out) {
    for (size_t i = 0; i < N; ++i)
      if (!E::lift(c, in + i * E::kFlat, h, out[i])) return false;
    return true;
  }
  static bool load(component::AbiCall& c, uint32_t at, uint32_t h, A& out) {
    for (uint32_t i = 0; i < N; ++i)
      if (!E::load(c, at + i * E::kSize, h, out[i])) return false;
    return true;
  }
  static bool lower(component::AbiCall& c, A& v, uint32_t h, uint64_t* out) {
    for (size_t i = 0; i < N; ++i)
      if (!E::lower(c, v[i], h, out + i * E::kFlat)) return false;
    return true;
  }
  static bool store(component::AbiCall& c, A& v, uint32_t h, uint32_t at) {
    for (uint32_t i = 0; i < N; ++i)
      if (!E::store(c, v[i], h, at + i * E::kSize)) return false;
    return true;
  }
};
template <ComponentDirect... T>
struct ComponentAbi<std::tuple<T...>>
    : detail::RecordAbi<std::tuple<T...>, detail::FieldsAbi<T...>, detail::TupleFields> {};
template <ComponentDirect K, ComponentDirect V>
struct ComponentAbi<std::pair<K, V>>
    : detail::RecordAbi<std::pair<K, V>, detail::FieldsAbi<K, V>, detail::PairFields> {};
template <ComponentDirect T>
struct ComponentAbi<std::optional<T>>
    : detail::VariantAbi<std::optional<T>, detail::OptionCases<T>, Unit, T> {};
template <class T, class E>
  requires(detail::case_direct<T>() && detail::case_direct<E>())
struct ComponentAbi<Expected<T, E>>
    : detail::VariantAbi<Expected<T, E>, detail::ResultCases<T, E>, T, E> {};
template <ComponentNamed T>
  requires(detail::NamedAbi<T>::value)
struct ComponentAbi<T> : detail::NamedAbi<T>::Type {};
template <class R>
  requires std::is_base_of_v<HostResource, R>
struct ComponentAbi<R*> : detail::HandleAbi<R*, detail::ResourceHandle<R*>> {};
template <class R>
  requires std::is_base_of_v<HostResource, R>
struct ComponentAbi<std::unique_ptr<R>>
    : detail::HandleAbi<std::unique_ptr<R>, detail::ResourceHandle<std::unique_ptr<R>>> {};
template <class R>
  requires std::is_base_of_v<GuestResource, R>
struct ComponentAbi<R> : detail::HandleAbi<R, detail::ResourceHandle<R>> {};
template <class R>
  requires std::is_base_of_v<GuestResource, R>
struct ComponentAbi<const R*> : detail::HandleAbi<const R*, detail::ResourceHandle<const R*>> {};
template <template <class> class S, class T>
  requires std::is_same_v<decltype(S<T>::end), ComponentVal::End>
struct ComponentAbi<S<T>> : detail::HandleAbi<S<T>, detail::EndHandle<S<T>>> {};
template <>
struct ComponentAbi<ErrorContext> : detail::HandleAbi<ErrorContext, detail::FailureHandle, 0> {};

namespace detail {

// "Flattening".
inline constexpr uint32_t kMaxFlatParams = 16, kMaxFlatResults = 1;

template <class R>
constexpr bool result_direct() {
  if constexpr (std::is_void_v<R>)
    return true;
  else
    return ComponentDirect<R>;
}

// Parameters and result of a function ("lift_flat_values", "lower_flat_values").
template <class... T>
struct ParamsAbi {
  using F = FieldsAbi<T...>;
  static constexpr uint32_t kHandles = F::kHandles;
  static constexpr bool kFlat = F::kFlat <= kMaxFlatParams;
  // Core values of parameters.
  static constexpr uint32_t kSlots = kFlat ? F::kFlat : 1;

  static bool lift(AbiCall& c, T&... out) {
    if constexpr (kFlat) {
      return F::lift(c, c.slots, 0, out...);
    } else {
      const auto at = uint32_t(c.slots[0]);
      return c.range(at, F::kSize, F::kAlign, "pointer out of bounds of memory") &&
             F::load(c, at, 0, out...);
    }
  }
  static bool lower(AbiCall& c, T&... v) {
    if constexpr (kFlat) {
      return F::lower(c, 0, c.slots, v...);
    } else {
      uint32_t at = 0;
      if (!c.allocate(F::kAlign, F::kSize, at)) return false;
      c.slots[0] = at;
      return F::store(c, 0, at, v...);
    }
  }
};
template <class R>
struct ResultAbi {
  using A = ComponentAbi<R>;
  static constexpr bool kFlat = A::kFlat <= kMaxFlatResults;
  // Where a result goes that does not fit: told behind the parameters.
  static uint64_t pointer(const AbiCall& c, uint32_t slot) { return kFlat ? 0 : c.slots[slot]; }
  static bool lower(AbiCall& c, uint32_t h, [[maybe_unused]] uint64_t pointer, R& v) {
    c.refresh();
    c.has_result = true;
    if constexpr (kFlat) {
      c.slots[0] = 0;
      return A::lower(c, v, h, c.slots);
    } else {
      const auto at = uint32_t(pointer);
      return c.range(at, A::kSize, A::kAlign, "pointer out of bounds of memory") &&
             A::store(c, v, h, at);
    }
  }
  static bool lift(AbiCall& c, uint32_t h, R& out) {
    c.refresh();
    if constexpr (kFlat) {
      return A::lift(c, c.slots, h, out);
    } else {
      const auto at = uint32_t(c.slots[0]);
      return c.range(at, A::kSize, A::kAlign, "pointer out of bounds of memory") &&
             A::load(c, at, h, out);
    }
  }
};

// What a function takes and gives, as func_form() writes it.
template <class R, class... A>
std::string function_form() {
  std::string out = "(" + type_texts<A...>() + ")";
  if constexpr (!std::is_void_v<R>) out += " -> " + type_text<R>();
  return out;
}
// Whether a function can be called without dynamic values.
template <class R, class... A>
constexpr bool function_direct() {
  if constexpr ((ComponentDirect<A> && ...))
    return result_direct<R>();
  else
    return false;
}

}  // namespace detail

template <class R, class... A, class F>
component::AbiFunction component::AbiFunction::of(F f) {
  static_assert(detail::function_direct<R, A...>());
  AbiFunction out;
  out.call_ = [](const void* env, AbiCall& c) {
    const F& function = *static_cast<const F*>(env);
    using Params = detail::ParamsAbi<A...>;
    function.enter(c);
    std::tuple<A...> args{};
    if (!std::apply([&](auto&... arg) { return Params::lift(c, arg...); }, args)) return false;
    const auto run = [&](auto&... arg) { return function(c, arg...); };
    if constexpr (std::is_void_v<R>) {
      return std::apply(run, args);
    } else {
      using Result = detail::ResultAbi<R>;
      const uint64_t pointer = Result::pointer(c, Params::kSlots);
      std::optional<R> result = std::apply(run, args);
      if (!result) return c.waits;
      return Result::lower(c, Params::kHandles, pointer, *result);
    }
  };
  out.env_ = std::make_shared<const F>(std::move(f));
  out.form_ = detail::function_form<R, A...>();
  return out;
}

template <class R, class... A>
component::AbiFunction component::AbiFunction::form_of() {
  AbiFunction out;
  out.form_ = detail::function_form<R, A...>();
  return out;
}

}  // namespace wafer
