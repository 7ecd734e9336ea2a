// The few functions of a C++ run-time library that the embedded core refers to. All
// are weak: a program that links one gets that one's.
#include <new>

#include "base/memory.h"

#ifdef __GLIBCXX__
#include <ext/atomicity.h>
#endif

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

// ---- Platform hooks -------------------------------------------------------------

// Documented in wafer.h. The default stops the processor.
extern "C" WAFER_WEAK void wafer_panic(const char*) { __builtin_trap(); }
extern "C" WAFER_WEAK bool wafer_guard(void (*body)(void*), void* argument) {
  body(argument);
  return true;
}

namespace wafer {

void panic(const char* message) {
  wafer_panic(message);
  for (;;) __builtin_trap();  // the hook must not return
}

}  // namespace wafer

// ---- Atomics ----------------------------------------------------------------------

// Compilers call these for 64-bit atomics where the processor has none (and, the generic
// ones, where such a variable may be unaligned). In embedded builds an engine belongs to one task,
// so plain accesses do. Named by labels: the names themselves are built-ins.

#if UINTPTR_MAX == 0xFFFFFFFFu

extern "C" {

#define WAFER_LIBCALL(name) __asm__(#name) WAFER_WEAK

uint64_t wafer_atomic_load(const volatile void*, int) WAFER_LIBCALL(__atomic_load_8);
void wafer_atomic_store(volatile void*, uint64_t, int) WAFER_LIBCALL(__atomic_store_8);
uint64_t wafer_atomic_load(const volatile void* p, int) {
  return *static_cast<const volatile uint64_t*>(p);
}
void wafer_atomic_store(volatile void* p, uint64_t v, int) {
  *static_cast<volatile uint64_t*>(p) = v;
}

void wafer_atomic_load_n(size_t, const void*, void*, int) WAFER_LIBCALL(__atomic_load);
void wafer_atomic_store_n(size_t, void*, const void*, int) WAFER_LIBCALL(__atomic_store);

void wafer_atomic_load_n(size_t size, const void* p, void* out, int) {
  __builtin_memcpy(out, p, size);
}
void wafer_atomic_store_n(size_t size, void* p, const void* v, int) {
  __builtin_memcpy(p, v, size);
}

}  // extern "C"

#endif

#if defined(__ARM_EABI__) || (defined(__riscv) && !defined(__linux__))
// Statics of the library live until power-off: nothing is destroyed.
#if defined(__ARM_EABI__)
extern "C" WAFER_WEAK int __aeabi_atexit(void*, void (*)(void*), void*) { return 0; }
#else
extern "C" WAFER_WEAK int __cxa_atexit(void (*)(void*), void*, void*) { return 0; }
#endif
extern "C" {
WAFER_WEAK __attribute__((visibility("hidden"))) void* __dso_handle = nullptr;
}
#endif

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

// Identifies make_shared's control block, which needs RTTI to be asked for; there is
// none here.
WAFER_WEAK bool _Sp_make_shared_tag::_S_eq(const type_info&) noexcept { return false; }

}  // namespace std

// Where a processor has no atomics of single bytes (RISC-V, by compilers before GCC 13), libstdc++
// has those of reference counts in its binary.
#if defined(__GTHREADS) && !defined(_GLIBCXX_ATOMIC_BUILTINS)
namespace __gnu_cxx {
WAFER_WEAK _Atomic_word __exchange_and_add(volatile _Atomic_word* p, int v) noexcept {
  return __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);
}
WAFER_WEAK void __atomic_add(volatile _Atomic_word* p, int v) noexcept {
  __atomic_fetch_add(p, v, __ATOMIC_ACQ_REL);
}
}  // namespace __gnu_cxx
#endif

#endif  // __GLIBCXX__

#endif  // !WAFER_HAS_OS
