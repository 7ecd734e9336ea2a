// The process-wide allocator that every container of the core draws on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "base/platform.h"
#if WAFER_HAS_OS
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>
#else
#include "base/containers.h"
#include "base/shared.h"
#endif

namespace wafer {

// Where memory comes from. `allocate` gives `size` bytes aligned to `align` (a
// power of two) or nullptr; `release` gets back exactly what was given.
struct Allocator {
  void* (*allocate)(void* context, size_t size, size_t align);
  void (*release)(void* context, void* pointer, size_t size, size_t align);
  void* context;
};

// Where linear memories lie: see Config::memory_storage and wafer_memory_storage_t, which has the
// same form.
struct MemoryStorage {
  // A block of at least `*bytes` bytes, aligned to 16, for memory `index` of its module (all ones:
  // of the host), which is never larger than `most`; `*bytes` becomes the block's size. Or nullptr,
  // and the allocator is asked; with `*bytes` set to 0 that is not either, and there is no memory.
  void* (*take)(void* env, uint32_t index, uint64_t most, size_t* bytes);
  // What take() gave is used no longer.
  void (*give_back)(void* env, uint32_t index, void* block, size_t bytes);
  void* env;
};

// Replaces the allocator. Call before any other use of the library; memory is
// released to the allocator in force at that time. Default: malloc/free; in embedded
// builds none, so that it must be called.
void set_allocator(const Allocator& allocator);
// The one in force.
const Allocator& current_allocator();

// Raw allocation; nullptr when exhausted. Large blocks (stacks, linear memories
// of embedded builds, GC blocks) use this and turn nullptr into an Error.
void* try_allocate(size_t size, size_t align = alignof(std::max_align_t));
// Like try_allocate but panics when exhausted: for small bookkeeping.
void* allocate(size_t size, size_t align = alignof(std::max_align_t));
void release(void* pointer, size_t size, size_t align = alignof(std::max_align_t));

// Standard-library adaptor over the process-wide allocator.
template <class T>
struct StdAllocator {
  using value_type = T;
  StdAllocator() = default;
  template <class U>
  StdAllocator(const StdAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(wafer::allocate(n * sizeof(T), alignof(T))); }
  void deallocate(T* p, size_t n) { wafer::release(p, n * sizeof(T), alignof(T)); }
  template <class U>
  bool operator==(const StdAllocator<U>&) const {
    return true;
  }
};

#if WAFER_HAS_OS

template <class T>
using Vec = std::vector<T, StdAllocator<T>>;

using String = std::basic_string<char, std::char_traits<char>, StdAllocator<char>>;

template <class K, class V, class H = std::hash<K>, class E = std::equal_to<K>>
using HashMap = std::unordered_map<K, V, H, E, StdAllocator<std::pair<const K, V>>>;

// Hash and equality that let a String-keyed HashMap be looked up by string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
};
struct StringEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

#else

template <class K>
struct HashOf {};
template <class K>
struct EqualTo {};
template <class K, class V, class H = HashOf<K>, class E = EqualTo<K>>
using HashMap = VecMap<K, V>;
struct StringHash {};
struct StringEqual {};

#endif

// The text up to a zero byte. Small builds do without strlen, which is long in some C libraries.
#if WAFER_HAS_OS
inline std::string_view view_of(const char* text) { return text; }
#else
std::string_view view_of(const char* text);
#endif

// Takes the place of a vector of what is not built in: nothing is ever put in, and the compiler
// drops what would go through it.
template <class T>
struct NoVec {
  using value_type = T;
  NoVec& operator=(const Vec<T>&) { return *this; }
  static constexpr bool empty() { return true; }
  static constexpr size_t size() { return 0; }
  static constexpr T* data() { return nullptr; }
  static constexpr T* begin() { return nullptr; }
  static constexpr T* end() { return nullptr; }
  T& operator[](size_t) const { __builtin_unreachable(); }
  T& back() const { __builtin_unreachable(); }
  void push_back(const T&) {}
  void pop_back() {}
  template <class... Args>
  void emplace_back(const Args&...) {}
  template <class It>
  void insert(T*, It, It) {}
  void assign(size_t, const T&) {}
  void reserve(size_t) {}
  void resize(size_t) {}
  void clear() {}
  void shrink_to_fit() {}
};
template <bool Needed, class T>
using VecIf = std::conditional_t<Needed, Vec<T>, NoVec<T>>;

// Owning pointer whose object lives in the process-wide allocator.
template <class T>
struct BoxDelete {
  void operator()(T* p) const {
    p->~T();
    release(p, sizeof(T), alignof(T));
  }
};
template <class T>
using Box = std::unique_ptr<T, BoxDelete<T>>;

template <class T, class... Args>
Box<T> make_box(Args&&... args) {
  return Box<T>(new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...));
}

// Shared ownership of an object that make_shared_in() has made.
#if WAFER_HAS_OS
template <class T>
using Shared = std::shared_ptr<T>;
template <class T, class... Args>
Shared<T> make_shared_in(Args&&... args) {
  return std::allocate_shared<T>(StdAllocator<T>{}, std::forward<Args>(args)...);
}
template <class T, class U>
Shared<T> shared_cast(Shared<U> from) {
  return std::static_pointer_cast<T>(std::const_pointer_cast<std::remove_const_t<U>>(from));
}
#else
template <class T, class... Args>
Shared<T> make_shared_in(Args&&... args) {
  static_assert(alignof(T) <= 8);
  return Shared<T>::adopt(new (make_shared_place(kSharedKind<T>)) T(std::forward<Args>(args)...));
}
template <class T, class U>
Shared<T> shared_cast(Shared<U> from) {
  return Shared<T>::adopt(static_cast<T*>(const_cast<std::remove_const_t<U>*>(from.leave())));
}
#endif

}  // namespace wafer
