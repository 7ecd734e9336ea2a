// Something to call.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "base/memory.h"

namespace wafer {

template <class Signature>
class Function;

// Owns what it calls, and is moved, not copied. What takes a few words is kept in place, with
// shared pointers in it too, for which std::function would allocate memory.
template <class R, class... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  Function(std::nullptr_t) {}
  template <class F, class T = std::decay_t<F>>
    requires(!std::is_same_v<T, Function> && std::is_invocable_r_v<R, T&, Args...>)
  Function(F&& f) {
    // Pointers and other kinds of functions may be null.
    if constexpr (std::is_constructible_v<T, std::nullptr_t>)
      if (f == nullptr) return;
    if constexpr (in_place<T>()) {
      new (room_) T(std::forward<F>(f));
      does_ = &kInPlace<T>;
    } else {
      new (room_) T*(make_box<T>(std::forward<F>(f)).release());
      does_ = &kApart<T>;
    }
  }
  Function(Function&& o) noexcept { take(o); }
  Function& operator=(Function&& o) noexcept {
    if (this == &o) return *this;
    reset();
    take(o);
    return *this;
  }
  Function& operator=(std::nullptr_t) noexcept {
    reset();
    return *this;
  }
  ~Function() { reset(); }

  // There has to be something to call.
  R operator()(Args... args) const { return does_->call(room_, std::forward<Args>(args)...); }
  explicit operator bool() const { return does_ != nullptr; }
  friend bool operator==(const Function& f, std::nullptr_t) { return !f; }

  // Whether a T is kept without an allocation.
  template <class T>
  static constexpr bool in_place() {
    return sizeof(T) <= kRoom && alignof(T) <= alignof(void*) &&
           std::is_nothrow_move_constructible_v<T>;
  }

 private:
  static constexpr size_t kRoom = 5 * sizeof(void*);

  struct Does {
    R (*call)(std::byte* room, Args&&... args);
    // To another room, which has nothing.
    void (*move)(std::byte* from, std::byte* to);
    void (*destroy)(std::byte* room);
  };
  template <class T>
  static T& as(std::byte* room) {
    return *reinterpret_cast<T*>(room);
  }
  template <class T>
  static constexpr Does kInPlace{[](std::byte* room, Args&&... args) -> R {
                                   return static_cast<R>(as<T>(room)(std::forward<Args>(args)...));
                                 },
                                 [](std::byte* from, std::byte* to) {
                                   new (to) T(std::move(as<T>(from)));
                                   as<T>(from).~T();
                                 },
                                 [](std::byte* room) { as<T>(room).~T(); }};
  template <class T>
  static constexpr Does kApart{
      [](std::byte* room, Args&&... args) -> R {
        return static_cast<R>((*as<T*>(room))(std::forward<Args>(args)...));
      },
      [](std::byte* from, std::byte* to) { new (to) T*(as<T*>(from)); },
      [](std::byte* room) { Box<T>(as<T*>(room)).reset(); }};

  void take(Function& o) {
    if (!o.does_) return;
    does_ = std::exchange(o.does_, nullptr);
    does_->move(o.room_, room_);
  }
  void reset() {
    // (What is destroyed may look at this.)
    if (const Does* const does = std::exchange(does_, nullptr)) does->destroy(room_);
  }

  const Does* does_ = nullptr;
  alignas(void*) mutable std::byte room_[kRoom];
};

}  // namespace wafer
