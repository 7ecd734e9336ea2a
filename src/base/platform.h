// Compiler and platform facts that the rest of the tree asks for by name.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(WAFER_EMBEDDED)
#define WAFER_HAS_OS 0
#else
#define WAFER_HAS_OS 1
#endif

namespace wafer {
// A build for small systems: what only makes things faster or messages longer is left out, if it
// takes space.
inline constexpr bool kSmall = !WAFER_HAS_OS;
// Messages end where the specification's wording does.
#ifndef WAFER_BRIEF
#define WAFER_BRIEF 0
#endif
inline constexpr bool kBrief = WAFER_BRIEF;
// Without messages, errors but traps only tell their kind (and offset).
#ifndef WAFER_MESSAGES
#define WAFER_MESSAGES 1
#endif
inline constexpr bool kMessages = WAFER_MESSAGES;
static_assert(kMessages || kBrief);
}  // namespace wafer

// A message: `full`, or in brief builds `brief`, and then `full` is not evaluated.
#if WAFER_BRIEF
#define WAFER_MESSAGE(brief, full) (static_cast<void>(sizeof(full)), brief)
#else
#define WAFER_MESSAGE(brief, full) std::string_view(full)
#endif

#define WAFER_LIKELY(x) __builtin_expect(!!(x), 1)
#define WAFER_UNLIKELY(x) __builtin_expect(!!(x), 0)
// Whether the compiler can tell that `x` holds.
#define WAFER_KNOWN(x) (__builtin_constant_p(x) && (x))
#define WAFER_NOINLINE __attribute__((noinline))
// One copy of a function for all that call it, wherever they are.
#if defined(__GNUC__) && !defined(__clang__)
#define WAFER_NOCLONE __attribute__((noclone))
#else
#define WAFER_NOCLONE
#endif
#define WAFER_ALWAYS_INLINE inline __attribute__((always_inline))
#define WAFER_COLD __attribute__((cold, noinline))
// For code that looks at memory as it finds it, such as whole stacks.
#define WAFER_NO_ADDRESS_SANITIZER __attribute__((no_sanitize("address")))

#if WAFER_HAS_OS
#include <mutex>
#endif

namespace wafer {

#if WAFER_HAS_OS
using Mutex = std::mutex;
using MutexLock = std::lock_guard<std::mutex>;
#else
// A single-threaded embedded build has nothing to lock.
struct Mutex {};
struct MutexLock {
  explicit MutexLock(Mutex&) {}
};
#endif

// Prints `message` where the platform can and stops. Only for broken internal
// invariants and exhausted small allocations; bad input is always an Error.
[[noreturn]] void panic(const char* message);

}  // namespace wafer

#if !WAFER_HAS_OS
// wafer.h has it.
extern "C" bool wafer_guard(void (*body)(void*), void* argument);
#endif
