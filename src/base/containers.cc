#include "base/memory.h"

#if !WAFER_HAS_OS

#include <algorithm>

#include "base/containers.h"

namespace wafer {

namespace {

// To a block of so many bytes.
void move_to(VecStorage& s, void* to, size_t bytes, size_t element) {
  if (s.size) std::memcpy(to, s.data, s.size * element);
  release(s.data, s.bytes, kVecAlign);
  s.data = to;
  s.bytes = uint32_t(bytes);
}

// What lies before an object with several owners.
struct alignas(8) SharedHead {
  const SharedKind* kind;
  uint32_t owners;
};
SharedHead* head_of(const void* p) { return static_cast<SharedHead*>(const_cast<void*>(p)) - 1; }

}  // namespace

void* make_shared_place(const SharedKind& kind) {
  return new (allocate(sizeof(SharedHead) + kind.size, alignof(SharedHead))) SharedHead{&kind, 1} +
         1;
}

void* add_owner(const void* p) {
  if (p) ++head_of(p)->owners;
  return const_cast<void*>(p);
}

void drop_owner(const void* p) {
  if (!p) return;
  SharedHead* const head = head_of(p);
  if (--head->owners) return;
  head->kind->end(head + 1);
  release(head, sizeof(SharedHead) + head->kind->size, alignof(SharedHead));
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
  move_to(*this, allocate(capacity * element, kVecAlign), capacity * element, element);
}

void VecStorage::reserve(size_t count, size_t element) {
  if (uint64_t(count) * element > bytes) grow(count - size, element, true);
}

void* VecStorage::add(size_t element) {
  if (size * element == bytes) grow(1, element, false);
  return static_cast<uint8_t*>(data) + size++ * element;
}

void* VecStorage::push(const void* from, size_t element) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(from) - reinterpret_cast<uintptr_t>(data);
  if (size * element == bytes) {
    const bool own = at < size * element;
    grow(1, element, false);
    if (own) from = static_cast<const uint8_t*>(data) + at;
  }
  return std::memcpy(add(element), from, element);
}

void VecStorage::take(void* from, size_t element) {
  push(from, element);
  std::memset(from, 0, element);
}

void VecStorage::fill_zero(size_t count, size_t element) {
  reserve(count, element);
  if (count > size)
    std::memset(static_cast<uint8_t*>(data) + size * element, 0, (count - size) * element);
  size = uint32_t(count);
}

void VecStorage::shrink(size_t element) {
  const size_t used = size * element;
  if (used == bytes) return;
  // Without memory it stays as it is.
  void* const to = size ? try_allocate(used, kVecAlign) : nullptr;
  if (to || !size) move_to(*this, to, used, element);
}

void VecStorage::free() {
  release(data, bytes, kVecAlign);
  *this = {};
}

void VecStorage::append(const void* from, size_t count, size_t element) {
  if (uint64_t(size + count) * element > bytes) grow(count, element, size == 0);
  if (count) std::memcpy(static_cast<uint8_t*>(data) + size * element, from, count * element);
  size += uint32_t(count);
}

void VecStorage::truncate(size_t count, size_t element, void (*end)(void*)) {
  while (size > count) end(static_cast<uint8_t*>(data) + --size * element);
}

void VecStorage::destroy(size_t element, void (*end)(void*)) {
  truncate(0, element, end);
  free();
}

String& String::append(std::string_view text) {
  if (s_.size + text.size() + 1 > s_.bytes) {
    // `text` may lie in this string.
    VecStorage old = s_;
    s_ = {nullptr, 0, 0};
    s_.grow(old.size + text.size() + 1, 1, old.size == 0);
    if (old.size) std::memcpy(s_.data, old.data, old.size);
    s_.size = old.size;
    if (!text.empty()) std::memcpy(data() + s_.size, text.data(), text.size());
    old.free();
  } else if (!text.empty()) {
    std::memmove(data() + s_.size, text.data(), text.size());
  }
  s_.size += uint32_t(text.size());
  data()[s_.size] = 0;
  return *this;
}

}  // namespace wafer

#endif
