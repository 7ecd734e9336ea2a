// Values of components (Component Model, "Type Definitions"), without their types: what a
// function takes and gives is told by its type.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace wafer::component {

struct ResourceType;
class Waitable;
struct ErrorContext;

// A string, as UTF-8. What it was encoded in where it comes from decides how space for it is
// asked for where it goes, and nothing else.
struct Text {
  enum class Source : uint8_t { Utf8, Utf16, Latin1, TaggedUtf16 };
  std::string utf8;
  Source source = Source::Utf8;
  bool operator==(const Text& o) const { return utf8 == o.utf8; }
};

// A resource: its type at run time, and what its owner represents it by.
struct Resource {
  ResourceType* type = nullptr;
  uint64_t rep = 0;
  bool operator==(const Resource&) const = default;
};

// One value.
//
//   bool, integers, char, flags, enum   bits: sign-extended, a code point, bit by bit, the case
//   f32, f64                            bits of the number
//   string                              text
//   list<u8>                            bytes
//   list, fixed-size list, tuple,       items; a map's are tuples of key and value
//   record, map
//   variant, option, result             the case by index (option: 0 none, 1 some; result: 0 ok,
//                                       1 error) and what it holds
//   own, borrow                         resource
//   stream, future                      the readable end
class Val {
 public:
  struct Case {
    uint32_t index = 0;
    std::unique_ptr<Val> value;  // null: none
  };
  using Bytes = std::vector<uint8_t>;
  using Items = std::vector<Val>;
  using End = std::shared_ptr<Waitable>;
  using Failure = std::shared_ptr<ErrorContext>;

  Val() = default;
  static Val of_bits(uint64_t bits) { return Val(bits); }
  static Val of_bool(bool v) { return Val(uint64_t(v)); }
  static Val of_int(int64_t v) { return Val(uint64_t(v)); }
  static Val of_f32(float v);
  static Val of_f64(double v);
  static Val of_text(std::string utf8, Text::Source source = Text::Source::Utf8) {
    return Val(Text{std::move(utf8), source});
  }
  static Val of_bytes(Bytes bytes) { return Val(std::move(bytes)); }
  static Val of_items(Items items) { return Val(std::move(items)); }
  static Val of_case(uint32_t index) { return Val(Case{index, nullptr}); }
  static Val of_case(uint32_t index, Val value) {
    return Val(Case{index, std::make_unique<Val>(std::move(value))});
  }
  static Val none() { return of_case(0); }
  static Val some(Val value) { return of_case(1, std::move(value)); }
  static Val of_resource(ResourceType* type, uint64_t rep) { return Val(Resource{type, rep}); }
  static Val of_end(End end) { return Val(std::move(end)); }
  static Val of_failure(Failure failure) { return Val(std::move(failure)); }

  bool is_bits() const { return std::holds_alternative<uint64_t>(value_); }
  bool is_text() const { return std::holds_alternative<Text>(value_); }
  bool is_bytes() const { return std::holds_alternative<Bytes>(value_); }
  bool is_items() const { return std::holds_alternative<Items>(value_); }
  bool is_case() const { return std::holds_alternative<Case>(value_); }
  bool is_resource() const { return std::holds_alternative<Resource>(value_); }
  bool is_end() const { return std::holds_alternative<End>(value_); }
  bool is_failure() const { return std::holds_alternative<Failure>(value_); }

  // Each wants a value of that form.
  uint64_t bits() const { return std::get<uint64_t>(value_); }
  bool as_bool() const { return bits() != 0; }
  int64_t as_int() const { return int64_t(bits()); }
  float as_f32() const;
  double as_f64() const;
  const Text& text() const { return std::get<Text>(value_); }
  const std::string& str() const { return text().utf8; }
  std::string take_text() { return std::move(std::get<Text>(value_).utf8); }
  const Bytes& bytes() const { return std::get<Bytes>(value_); }
  Bytes& bytes() { return std::get<Bytes>(value_); }
  const Items& items() const { return std::get<Items>(value_); }
  Items& items() { return std::get<Items>(value_); }
  uint32_t index() const { return std::get<Case>(value_).index; }
  // What the case holds; null: nothing.
  const Val* payload() const { return std::get<Case>(value_).value.get(); }
  Val* payload() { return std::get<Case>(value_).value.get(); }
  const Resource& resource() const { return std::get<Resource>(value_); }
  const End& end() const { return std::get<End>(value_); }
  const Failure& failure() const { return std::get<Failure>(value_); }

  // Whether there are resources, or ends of streams and futures, in it.
  bool holds_handles() const;

  Val(Val&&) noexcept = default;
  Val& operator=(Val&&) noexcept = default;
  Val(const Val& o) { *this = o; }
  Val& operator=(const Val& o);
  bool operator==(const Val& o) const;

 private:
  using Storage = std::variant<uint64_t, Text, Bytes, Items, Case, Resource, End, Failure>;
  template <class T>
  explicit Val(T value) : value_(std::move(value)) {}
  Storage value_ = uint64_t{0};
};

// ---- Types of values that are one core value each

enum class ScalarKind : uint8_t {
  Nothing,
  Bool,
  U8,
  S8,
  U16,
  S16,
  U32,
  S32,
  U64,
  S64,
  F32,
  F64,
  Char,
  Other,  // no scalar
};

// The names of those that numbers, bool and char of C++ are.
constexpr std::string_view scalar_name(ScalarKind kind) {
  constexpr std::string_view kNames[] = {"_",   "bool", "u8",  "s8",  "u16", "s16", "u32",
                                         "s32", "u64",  "s64", "f32", "f64", "char"};
  return kNames[size_t(kind)];
}

// A number, bool or char of C++ as a scalar, and as 64 bits: integers as sign- or zero-extended.
template <class T>
constexpr ScalarKind scalar_kind() {
  using enum ScalarKind;
  if constexpr (std::is_same_v<T, bool>)
    return Bool;
  else if constexpr (std::is_same_v<T, char32_t>)
    return Char;
  else if constexpr (std::is_same_v<T, float>)
    return F32;
  else if constexpr (std::is_same_v<T, double>)
    return F64;
  else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
    return sizeof(T) == 1 ? S8 : sizeof(T) == 2 ? S16 : sizeof(T) == 4 ? S32 : S64;
  else if constexpr (std::is_integral_v<T>)
    return sizeof(T) == 1 ? U8 : sizeof(T) == 2 ? U16 : sizeof(T) == 4 ? U32 : U64;
  else
    return Other;
}
template <class T>
T scalar_from(uint64_t bits) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<float>(uint32_t(bits));
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(bits);
  else
    return static_cast<T>(bits);
}
}  // namespace wafer::component
