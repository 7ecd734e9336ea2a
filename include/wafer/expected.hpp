// Results of functions of components, as values.
#pragma once

#include <utility>
#include <variant>

namespace wafer {

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

// result<T, E> of a component: a value that may be an error, which is no failure of the call.
template <class T, class E>
class Expected {
 public:
  Expected() = default;
  Expected(T value) : value_(std::in_place_index<0>, std::move(value)) {}
  Expected(Err<E> e) : value_(std::in_place_index<1>, std::move(e.error)) {}
  bool ok() const { return value_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& operator*() { return std::get<0>(value_); }
  const T& operator*() const { return std::get<0>(value_); }
  T* operator->() { return &std::get<0>(value_); }
  const T* operator->() const { return &std::get<0>(value_); }
  E& error() { return std::get<1>(value_); }
  const E& error() const { return std::get<1>(value_); }
  bool operator==(const Expected&) const = default;

 private:
  std::variant<T, E> value_;
};

}  // namespace wafer
