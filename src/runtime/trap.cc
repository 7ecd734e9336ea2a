#include "runtime/trap.h"

#include <algorithm>

#include "wasm/built.h"

namespace wafer::runtime {

namespace {

// In the order of TrapCode, and what is none of them; nothing where no instruction of this build
// traps so.
constexpr char kMessages[] =
    "no trap\0"
    "unreachable\0"
    "out of bounds memory access\0"
    "out of bounds table access\0"
    WAFER_IF_BUILT(GC, "out of bounds array access") "\0"
    "undefined element\0"
    "uninitialized element\0"
    "indirect call type mismatch\0"
    "integer overflow\0"
    "integer divide by zero\0"
    "invalid conversion to integer\0"
    WAFER_IF_BUILT(FunctionReferences, "null function reference") "\0"
    WAFER_IF_BUILT(GC, "null structure reference") "\0"
    WAFER_IF_BUILT(GC, "null array reference") "\0"
    WAFER_IF_BUILT(GC, "null i31 reference") "\0"
    WAFER_IF_BUILT(Exceptions, "null exception reference") "\0"
    WAFER_IF_BUILT(FunctionReferences, "null reference") "\0"
    WAFER_IF_BUILT(GC, "cast failure") "\0"
    WAFER_IF_BUILT(CustomDescriptors, "null descriptor reference") "\0"
    WAFER_IF_BUILT(CustomDescriptors, "descriptor cast failure") "\0"
    WAFER_IF_BUILT(Threads, "unaligned atomic") "\0"
    WAFER_IF_BUILT(Threads, "expected shared memory") "\0"
    "call stack exhausted\0"
    WAFER_IF_BUILT(GC, "allocation size too large") "\0"
    "out of memory\0"
    "out of fuel\0"
    "interrupted\0"
    WAFER_IF_BUILT(Exceptions, "uncaught exception") "\0"
    "host function failed\0"
    "program exited\0"
    WAFER_IF_BUILT(StackSwitching, "null continuation reference") "\0"
    WAFER_IF_BUILT(StackSwitching, "continuation already consumed") "\0"
    WAFER_IF_BUILT(StackSwitching, "unhandled tag") "\0"
#if WAFER_HAS_OS
    "host function has not finished"
#endif
    "\0"
    "unknown trap";
constexpr auto kUnknown = uint32_t(TrapCode::Pending) + 1;
static_assert(std::count(kMessages, std::end(kMessages), '\0') == kUnknown + 1);

}  // namespace

std::string_view trap_message(TrapCode code) {
  const char* message = kMessages;
  for (uint32_t n = std::min(uint32_t(code), kUnknown); n; --n)
    while (*message++) {
    }
  return view_of(message);
}

}  // namespace wafer::runtime
