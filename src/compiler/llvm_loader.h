// Finds the optimizing code generator, which lives in a shared library of its own: it
// is large, and programs that run finished code need not load it.
#pragma once

#include "compiler/backend.h"

namespace wafer::compiler {

// The code generator, loaded on first use from "libwafer-llvm.so": where the environment
// variable WAFER_LLVM says, else beside this library or the program, in wafer, ../lib/wafer
// or ../lib from there, else where the system looks. Unsupported, with the reason, if it cannot be
// had.
Result<Backend*> load_llvm_backend();

}  // namespace wafer::compiler
