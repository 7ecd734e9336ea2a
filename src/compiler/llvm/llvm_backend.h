// The optimizing code generator, over LLVM.
#pragma once

#include "compiler/backend.h"

namespace wafer::compiler {

// One for the process. Thread-safe.
Backend* llvm_backend();

}  // namespace wafer::compiler
