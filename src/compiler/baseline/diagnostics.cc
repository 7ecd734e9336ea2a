// The functions that asmjit reports with, in place of the library's own: Debian's static
// library prints to stderr in a way that does not fit in a shared library.
#include <asmjit/core.h>

#include "base/platform.h"

namespace asmjit {

const char* DebugUtils::errorAsString(Error) noexcept { return "cannot be encoded"; }

void DebugUtils::debugOutput(const char*) noexcept {}

void DebugUtils::assertionFailed(const char*, int, const char* message) noexcept {
  wafer::panic(message);
}

}  // namespace asmjit
