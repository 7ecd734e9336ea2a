// Shared ownership in small builds: a pointer to an object before which its owners are counted.
// For one task at a time, as all that an engine has made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/platform.h"

namespace wafer {

// What is known of an object's type where it has lost its last owner.
struct SharedKind {
  size_t size;
  void (*end)(void* object);
};
template <class T>
inline constexpr SharedKind kSharedKind{sizeof(T), [](void* p) { static_cast<T*>(p)->~T(); }};
// A place for an object of that kind, with one owner.
void* make_shared_place(const SharedKind& kind);
// One owner more of the object at `p`, which it gives, or one less, which may be the end; none of
// null.
void* add_owner(const void* p);
void drop_owner(const void* p);

template <class T>
struct StdAllocator;

template <class T>
class Shared {
 public:
  Shared() = default;
  Shared(std::nullptr_t) {}
  Shared(const Shared& o) : p_(static_cast<T*>(add_owner(o.p_))) {}
  // (The other is emptied last, so that its end is known to do nothing.)
  Shared(Shared&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  template <class U>
    requires(std::is_convertible_v<U*, T*>)
  Shared(const Shared<U>& o) : p_(static_cast<U*>(add_owner(o.p_))) {}
  template <class U>
    requires(std::is_convertible_v<U*, T*>)
  Shared(Shared<U>&& o) : p_(o.p_) {
    o.p_ = nullptr;
  }
  WAFER_ALWAYS_INLINE ~Shared() {
    if (!WAFER_KNOWN(!p_)) drop_owner(p_);
  }
  Shared& operator=(Shared o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  // One owner more of an object that has some already, from wherever its address comes.
  static Shared of(T* p) { return adopt(static_cast<T*>(add_owner(p))); }
  // Of an object whose new owner is counted already.
  static Shared adopt(T* p) {
    Shared s;
    s.p_ = p;
    return s;
  }
  // Between this and what the C++ API has: of the core's objects, which no other pointer has made.
  // (Not of what any may point to.)
  template <class U>
    requires(std::is_convertible_v<U*, T*> && !std::is_void_v<T>)
  Shared(const std::shared_ptr<U>& o) : Shared(of(o.get())) {}
  template <class U>
    requires(std::is_convertible_v<T*, U*>)
  operator std::shared_ptr<U>() const {
    return std::shared_ptr<U>(p_, [owner = *this](U*) {}, StdAllocator<U>());
  }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  std::add_lvalue_reference_t<T> operator*() const { return *p_; }
  explicit operator bool() const { return p_; }
  bool operator==(const Shared& o) const { return p_ == o.p_; }
  bool operator==(std::nullptr_t) const { return !p_; }
  void reset() { *this = {}; }
  // The object, whose owner the caller becomes.
  T* leave() { return std::exchange(p_, nullptr); }

 private:
  template <class U>
  friend class Shared;
  T* p_ = nullptr;
};

}  // namespace wafer
