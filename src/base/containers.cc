#include "base/memory.h"

#if !WAFER_HAS_OS

#include <algorithm>

#include "base/containers.h"

namespace wafer {

namespace {

size_t align_of(size_t element) { return (element | 8) & -(element | 8); }

void move_to(VecStorage& s, void* to, size_t capacity, size_t element) {
  if (s.size) std::memcpy(to, s.data, s.size * element);
  release(s.data, s.capacity * element, align_of(element));
  s.data = to;
  s.capacity = uint32_t(capacity);
}

// Where an object of any kind begins.
struct alignas(8) Place {
  uint8_t bytes[8];
};
// Allocates for a Place what its object takes, and leaves it to others what is made there.
template <class T>
struct PlaceAllocator {
  using value_type = T;
  const SharedKind* kind;
  explicit PlaceAllocator(const SharedKind& k) : kind(&k) {}
  template <class U>
  PlaceAllocator(const PlaceAllocator<U>& other) : kind(other.kind) {}
  size_t bytes() const { return sizeof(T) + std::max(kind->size, sizeof(Place)) - sizeof(Place); }
  T* allocate(size_t) { return static_cast<T*>(wafer::allocate(bytes(), alignof(T))); }
  void deallocate(T* p, size_t) { release(p, bytes(), alignof(T)); }
  void construct(Place*) {}
  void destroy(Place* p) { kind->end(p); }
  template <class U>
  bool operator==(const PlaceAllocator<U>& other) const {
    return kind == other.kind;
  }
};

}  // namespace

std::shared_ptr<void> make_shared_place(const SharedKind& kind) {
  return std::allocate_shared<Place>(PlaceAllocator<Place>(kind));
}

std::string_view view_of(const char* text) {
  const char* end = text;
  // (Or the compiler makes a call of strlen of it.)
  for (; *end; ++end) asm("" : "+r"(end));
  return {text, size_t(end - text)};
}

void VecStorage::grow(size_t more, size_t element, bool exact) {
  size_t capacity = size + more;
  // Half as much again, from 16 bytes on.
  if (!exact) {
    const size_t half = size + size / 2, least = (16 + element - 1) / element;
    if (capacity < half) capacity = half;
    if (capacity < least) capacity = least;
  }
  if (capacity > SIZE_MAX / 2 / element) panic("vector too long");
  move_to(*this, allocate(capacity * element, align_of(element)), capacity, element);
}

void VecStorage::reserve(size_t count, size_t element) {
  if (count > capacity) grow(count - size, element, true);
}

void* VecStorage::add(size_t element) {
  if (size == capacity) grow(1, element, false);
  return static_cast<uint8_t*>(data) + size++ * element;
}

void* VecStorage::push(const void* bytes, size_t element) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(bytes) - reinterpret_cast<uintptr_t>(data);
  if (size == capacity) {
    const bool own = at < size * element;
    grow(1, element, false);
    if (own) bytes = static_cast<const uint8_t*>(data) + at;
  }
  return std::memcpy(add(element), bytes, element);
}

void VecStorage::take(void* bytes, size_t element) {
  push(bytes, element);
  std::memset(bytes, 0, element);
}

void VecStorage::fill_zero(size_t count, size_t element) {
  reserve(count, element);
  if (count > size)
    std::memset(static_cast<uint8_t*>(data) + size * element, 0, (count - size) * element);
  size = uint32_t(count);
}

void VecStorage::shrink(size_t element) {
  if (size == capacity) return;
  // Without memory it stays as it is.
  void* const to = size ? try_allocate(size * element, align_of(element)) : nullptr;
  if (to || !size) move_to(*this, to, size, element);
}

void VecStorage::free(size_t element) {
  release(data, capacity * element, align_of(element));
  *this = {};
}

void VecStorage::append(const void* bytes, size_t count, size_t element) {
  if (size + count > capacity) grow(count, element, size == 0);
  if (count) std::memcpy(static_cast<uint8_t*>(data) + size * element, bytes, count * element);
  size += uint32_t(count);
}

void VecStorage::truncate(size_t count, size_t element, void (*end)(void*)) {
  while (size > count) end(static_cast<uint8_t*>(data) + --size * element);
}

void VecStorage::destroy(size_t element, void (*end)(void*)) {
  truncate(0, element, end);
  free(element);
}

String& String::append(std::string_view text) {
  if (s_.size + text.size() + 1 > s_.capacity) {
    // `text` may lie in this string.
    VecStorage old = s_;
    s_ = {nullptr, 0, 0};
    s_.grow(old.size + text.size() + 1, 1, old.size == 0);
    if (old.size) std::memcpy(s_.data, old.data, old.size);
    s_.size = old.size;
    if (!text.empty()) std::memcpy(data() + s_.size, text.data(), text.size());
    old.free(1);
  } else if (!text.empty()) {
    std::memmove(data() + s_.size, text.data(), text.size());
  }
  s_.size += uint32_t(text.size());
  data()[s_.size] = 0;
  return *this;
}

}  // namespace wafer

#endif
