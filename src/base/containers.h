// A vector and a string for small systems: the part of the standard's interface that the core
// uses. Growing, copying and releasing are functions that know only bytes, so that an instance
// for one more type costs next to nothing. Elements are moved as bytes: they must not point
// into themselves, and zero bytes must be something to destroy, as is so for all of the core's.
#pragma once

#include <compare>
#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <new>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace wafer {

void* allocate(size_t size, size_t align);
void release(void* pointer, size_t size, size_t align);

inline constexpr size_t kVecAlign = 8;  // of all elements, whatever they are

// What all vectors have in common; sizes in elements.
struct VecStorage {
  void* data = nullptr;
  uint32_t size = 0;
  uint32_t bytes = 0;  // of the block
  // Makes room for `more` elements of `element` bytes; `exact`: for no others.
  void grow(size_t more, size_t element, bool exact);
  // Room for `count` elements in all.
  void reserve(size_t count, size_t element);
  // A place for one more at the end.
  void* add(size_t element);
  // Appends the bytes of an element, which may be one of this vector's.
  void* push(const void* from, size_t element);
  // Moves an element to the end, which is not one of this vector's: zero bytes are left of it.
  void take(void* from, size_t element);
  // Leaves `count` elements: new ones of zero bytes, and none beyond.
  void fill_zero(size_t count, size_t element);
  void shrink(size_t element);
  void free();
  // Appends the bytes of `count` elements.
  void append(const void* from, size_t count, size_t element);
  // Ends all elements but the first `count`, and with them the storage.
  void truncate(size_t count, size_t element, void (*end)(void*));
  void destroy(size_t element, void (*end)(void*));
};

// Whether a T() is zero bytes.
template <class T>
inline constexpr bool kZeroIsDefault = std::is_scalar_v<T>;
template <class T>
class Shared;
template <class T>
inline constexpr bool kZeroIsDefault<Shared<T>> = true;
template <class T>
class Vec;
template <class T>
inline constexpr bool kZeroIsDefault<Vec<T>> = true;

template <class T>
class Vec {
 public:
  using value_type = T;
  using iterator = T*;
  using const_iterator = const T*;

  Vec() = default;
  explicit Vec(size_t n) { resize(n); }
  Vec(size_t n, const T& value) { assign(n, value); }
  Vec(std::initializer_list<T> list) { append(list.begin(), list.end()); }
  template <class It, class = std::enable_if_t<!std::is_integral_v<It>>>
  Vec(It first, It last) {
    append(first, last);
  }
  Vec(const Vec& o) { append(o.begin(), o.end()); }
  Vec(Vec&& o) noexcept : s_(std::exchange(o.s_, {})) {}
  ~Vec() { destroy(); }
  Vec& operator=(const Vec& o) {
    if (this != &o) assign(o.begin(), o.end());
    return *this;
  }
  Vec& operator=(Vec&& o) noexcept {
    swap(o);
    return *this;
  }
  Vec& operator=(std::initializer_list<T> list) {
    assign(list.begin(), list.end());
    return *this;
  }

  T* data() { return static_cast<T*>(s_.data); }
  const T* data() const { return static_cast<const T*>(s_.data); }
  size_t size() const { return s_.size; }
  size_t capacity() const { return s_.bytes / sizeof(T); }
  bool empty() const { return s_.size == 0; }
  T* begin() { return data(); }
  T* end() { return data() + s_.size; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + s_.size; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }
  T& front() { return data()[0]; }
  const T& front() const { return data()[0]; }
  T& back() { return data()[s_.size - 1]; }
  const T& back() const { return data()[s_.size - 1]; }

  void reserve(size_t n) { s_.reserve(n, sizeof(T)); }
  void shrink_to_fit() { s_.shrink(sizeof(T)); }
  T& emplace_back() { return *new (s_.add(sizeof(T))) T{}; }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    // The arguments may lie in this vector.
    if constexpr (std::is_scalar_v<T>) {
      T value(std::forward<Args>(args)...);
      if (s_.size * sizeof(T) == s_.bytes) s_.grow(1, sizeof(T), false);
      return *new (static_cast<void*>(data() + s_.size++)) T(value);
    } else {
      alignas(T) unsigned char bytes[sizeof(T)];
      new (static_cast<void*>(bytes)) T(std::forward<Args>(args)...);
      return *static_cast<T*>(s_.push(bytes, sizeof(T)));
    }
  }
  void push_back(const T& value) {
    if constexpr (std::is_trivially_copyable_v<T> && !std::is_scalar_v<T>)
      s_.push(&value, sizeof(T));
    else
      emplace_back(value);
  }
  void push_back(T&& value) {
    if constexpr (std::is_scalar_v<T>)
      emplace_back(value);
    else if constexpr (std::is_trivially_copyable_v<T>)
      s_.push(&value, sizeof(T));
    else
      s_.take(&value, sizeof(T));
  }
  void pop_back() { data()[--s_.size].~T(); }
  void clear() { truncate(0); }
  void resize(size_t n) {
    if constexpr (!kZeroIsDefault<T> || !std::is_trivially_destructible_v<T>) truncate(n);
    if constexpr (kZeroIsDefault<T>) {
      s_.fill_zero(n, sizeof(T));
    } else {
      s_.reserve(n, sizeof(T));
      while (s_.size < n) new (static_cast<void*>(data() + s_.size++)) T{};
    }
  }
  void resize(size_t n, const T& value) {
    truncate(n);
    if (n > s_.size) insert(end(), n - s_.size, value);
  }
  void assign(size_t n, const T& value) {
    clear();
    insert(end(), n, value);
  }
  template <class It, class = std::enable_if_t<!std::is_integral_v<It>>>
  void assign(It first, It last) {
    clear();
    append(first, last);
  }
  // Only at the end: nothing of the core inserts elsewhere.
  template <class It, class = std::enable_if_t<!std::is_integral_v<It>>>
  void insert(const T*, It first, It last) {
    append(first, last);
  }
  void insert(const T*, size_t n, const T& value) {
    const T copy(value);
    if (uint64_t(s_.size + n) * sizeof(T) > s_.bytes) s_.grow(n, sizeof(T), false);
    while (n--) new (static_cast<void*>(data() + s_.size++)) T(copy);
  }
  T* erase(const T* first, const T* last) {
    T* const to = data() + (first - data());
    T* out = to;
    for (T* from = data() + (last - data()); from != end(); ++from) *out++ = std::move(*from);
    truncate(size_t(out - data()));
    return to;
  }
  T* erase(const T* at) { return erase(at, at + 1); }
  void swap(Vec& o) noexcept { std::swap(s_, o.s_); }
  // For functions that know no types.
  VecStorage& storage() { return s_; }

  bool operator==(const Vec& o) const {
    if (size() != o.size()) return false;
    for (size_t i = 0; i < size(); ++i)
      if (!(data()[i] == o.data()[i])) return false;
    return true;
  }

 private:
  static void end_of(void* element) { static_cast<T*>(element)->~T(); }
  template <class It>
  void append(It first, It last) {
    const auto n = size_t(std::distance(first, last));
    if constexpr (std::contiguous_iterator<It> && std::is_trivially_copyable_v<T> &&
                  std::is_same_v<std::iter_value_t<It>, T>)
      return s_.append(std::to_address(first), n, sizeof(T));
    if (uint64_t(s_.size + n) * sizeof(T) > s_.bytes) s_.grow(n, sizeof(T), s_.size == 0);
    for (; first != last; ++first) new (static_cast<void*>(data() + s_.size++)) T(*first);
  }
  void truncate(size_t n) {
    if constexpr (std::is_trivially_destructible_v<T>) {
      if (n < s_.size) s_.size = uint32_t(n);
    } else {
      s_.truncate(n, sizeof(T), end_of);
    }
  }
  void destroy() {
    static_assert(alignof(T) <= 8);
    if constexpr (!std::is_trivially_destructible_v<T>)
      s_.destroy(sizeof(T), end_of);
    else
      s_.free();
  }
  VecStorage s_;
};

class String {
 public:
  static constexpr size_t npos = size_t(-1);

  String() = default;
  String(const char* text) { append(text); }
  String(const char* text, size_t n) { append(std::string_view(text, n)); }
  String(size_t n, char c) {
    while (n--) push_back(c);
  }
  explicit String(std::string_view text) { append(text); }
  String(const String& o) { append(o); }
  String(String&& o) noexcept : s_(std::exchange(o.s_, {})) {}
  ~String() { s_.free(); }
  String& operator=(const String& o) {
    if (this != &o) assign(o);
    return *this;
  }
  String& operator=(String&& o) noexcept {
    std::swap(s_, o.s_);
    return *this;
  }
  String& operator=(std::string_view text) { return assign(text); }
  String& operator=(const char* text) { return assign(text); }

  operator std::string_view() const { return {data(), s_.size}; }
  const char* data() const { return static_cast<const char*>(s_.data); }
  char* data() { return static_cast<char*>(s_.data); }
  const char* c_str() const { return s_.data ? data() : ""; }
  size_t size() const { return s_.size; }
  size_t length() const { return s_.size; }
  bool empty() const { return s_.size == 0; }
  const char* begin() const { return data(); }
  const char* end() const { return data() + s_.size; }
  char& operator[](size_t i) { return data()[i]; }
  char operator[](size_t i) const { return data()[i]; }
  char back() const { return data()[s_.size - 1]; }
  void clear() { s_.size = 0; }
  void reserve(size_t) {}
  void pop_back() { data()[--s_.size] = 0; }
  void push_back(char c) { append(std::string_view(&c, 1)); }
  // A null follows the text wherever there is any.
  String& append(std::string_view text);
  String& assign(std::string_view text) {
    clear();
    return append(text);
  }
  String& operator+=(std::string_view text) { return append(text); }
  String& operator+=(char c) {
    push_back(c);
    return *this;
  }
  String substr(size_t at, size_t n = npos) const {
    return String(std::string_view(*this).substr(at, n));
  }
  size_t find(std::string_view text) const { return std::string_view(*this).find(text); }

  friend String operator+(String a, std::string_view b) {
    a.append(b);
    return a;
  }
  friend String operator+(const char* a, const String& b) { return String(a) + b; }
  bool operator==(std::string_view o) const { return std::string_view(*this) == o; }
  bool operator==(const char* o) const { return std::string_view(*this) == o; }
  bool operator==(const String& o) const { return std::string_view(*this) == std::string_view(o); }
  bool operator<(const String& o) const { return std::string_view(*this) < std::string_view(o); }

 private:
  VecStorage s_;
};

// A map that is searched from end to end, as those of the core are small. Entries stay where
// they are.
template <class K, class V>
class VecMap {
 public:
  using value_type = std::pair<K, V>;
  class iterator {
   public:
    explicit iterator(value_type* const* at) : at_(at) {}
    value_type& operator*() const { return **at_; }
    value_type* operator->() const { return *at_; }
    iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator==(const iterator&) const = default;

   private:
    value_type* const* at_;
  };
  VecMap() = default;
  VecMap(const VecMap&) = delete;
  VecMap& operator=(const VecMap&) = delete;
  ~VecMap() { clear(); }
  iterator begin() const { return iterator(entries_.begin()); }
  iterator end() const { return iterator(entries_.end()); }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  void clear() {
    for (value_type* e : entries_) destroy(e);
    entries_.clear();
  }
  template <class Key>
  iterator find(const Key& key) const {
    iterator i = begin();
    while (i != end() && !(i->first == key)) ++i;
    return i;
  }
  template <class Key, class... Args>
  std::pair<iterator, bool> try_emplace(Key&& key, Args&&... args) {
    if (const iterator i = find(key); i != end()) return {i, false};
    void* const place = allocate(sizeof(value_type), alignof(value_type));
    if constexpr (sizeof...(Args) == 1)
      new (place) value_type(std::forward<Key>(key), std::forward<Args>(args)...);
    else
      new (place)
          value_type(std::piecewise_construct, std::forward_as_tuple(std::forward<Key>(key)),
                     std::forward_as_tuple(std::forward<Args>(args)...));
    entries_.push_back(static_cast<value_type*>(place));
    return {iterator(&entries_.back()), true};
  }
  template <class Key, class Value>
  std::pair<iterator, bool> emplace(Key&& key, Value&& value) {
    return try_emplace(std::forward<Key>(key), std::forward<Value>(value));
  }
  V& operator[](const K& key) { return try_emplace(key).first->second; }
  template <class Key>
  size_t count(const Key& key) const {
    return find(key) != end();
  }
  template <class Key>
  size_t erase(const Key& key) {
    for (value_type*& e : entries_) {
      if (!(e->first == key)) continue;
      destroy(e);
      entries_.erase(&e);
      return 1;
    }
    return 0;
  }

 private:
  static void destroy(value_type* e) {
    e->~value_type();
    release(e, sizeof(value_type), alignof(value_type));
  }
  Vec<value_type*> entries_;
};

}  // namespace wafer
