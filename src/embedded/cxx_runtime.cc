// The few functions of a C++ run-time library that the embedded core refers to. All
// are weak: a program that links one gets that one's.
#include <cstdlib>
#include <new>

#include "base/memory.h"

#if !WAFER_HAS_OS

#define WAFER_WEAK __attribute__((weak))

// ---- Language support ---------------------------------------------------------

// The core allocates through base/memory.h; these are only for deleting destructors
// of classes with virtual functions, which nothing calls.
WAFER_WEAK void operator delete(void* p) noexcept { wafer::release(p, 0); }
WAFER_WEAK void operator delete(void* p, std::size_t size) noexcept { wafer::release(p, size); }
WAFER_WEAK void operator delete(void* p, std::align_val_t) noexcept { wafer::release(p, 0); }
WAFER_WEAK void operator delete(void* p, std::size_t size, std::align_val_t align) noexcept {
  wafer::release(p, size, std::size_t(align));
}

extern "C" WAFER_WEAK void __cxa_pure_virtual() { wafer::panic("pure virtual call"); }

// ---- Standard library -----------------------------------------------------------

#ifdef __GLIBCXX__

namespace std {

WAFER_WEAK void __throw_logic_error(const char* what) { wafer::panic(what); }
WAFER_WEAK void __throw_length_error(const char* what) { wafer::panic(what); }
WAFER_WEAK void __throw_out_of_range(const char* what) { wafer::panic(what); }
WAFER_WEAK void __throw_out_of_range_fmt(const char* what, ...) { wafer::panic(what); }
WAFER_WEAK void __throw_bad_alloc() { wafer::panic("out of memory"); }
WAFER_WEAK void __throw_bad_array_new_length() { wafer::panic("array too long"); }
WAFER_WEAK void __throw_bad_function_call() { wafer::panic("empty function called"); }
WAFER_WEAK void __throw_bad_optional_access() { wafer::panic("empty optional"); }

// FNV-1a, folded to the size of a word.
WAFER_WEAK size_t _Hash_bytes(const void* data, size_t size, size_t seed) {
  uint64_t h = 0xCBF29CE484222325u ^ seed;
  const auto* p = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) h = (h ^ p[i]) * 0x100000001B3u;
  return size_t(h ^ (h >> 32));
}

// Identifies make_shared's control block, which needs RTTI to be asked for; there is
// none here.
WAFER_WEAK bool _Sp_make_shared_tag::_S_eq(const type_info&) noexcept { return false; }

namespace __detail {

namespace {

// The smallest odd number from `n` on without a divisor below 32: prime enough for
// bucket counts.
size_t bucket_count(size_t n) {
  n |= 1;
  for (;; n += 2) {
    bool good = true;
    for (unsigned d = 3; d < 32 && d < n && good; d += 2) good = n % d != 0;
    if (good) return n;
  }
}

size_t capacity(const _Prime_rehash_policy& policy, size_t buckets) {
  return size_t(float(buckets) * policy._M_max_load_factor);
}

}  // namespace

WAFER_WEAK size_t _Prime_rehash_policy::_M_next_bkt(size_t n) const {
  const size_t buckets = bucket_count(n);
  _M_next_resize = capacity(*this, buckets);
  return buckets;
}

WAFER_WEAK pair<bool, size_t> _Prime_rehash_policy::_M_need_rehash(size_t buckets, size_t elements,
                                                                   size_t added) const {
  const size_t wanted = elements + added;
  if (wanted <= _M_next_resize) return {false, 0};
  if (wanted <= capacity(*this, buckets)) {
    _M_next_resize = capacity(*this, buckets);
    return {false, 0};
  }
  size_t grown = size_t(float(wanted) / _M_max_load_factor) + 1;
  if (grown < 2 * buckets) grown = 2 * buckets;
  if (grown < 11) grown = 11;
  return {true, _M_next_bkt(grown)};
}

}  // namespace __detail
}  // namespace std

#endif  // __GLIBCXX__

#endif  // !WAFER_HAS_OS
