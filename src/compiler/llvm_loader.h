// Finds the optimizing code generator, which lives in a shared library of its own: it
// is large, and programs that run finished code need not load it.
#pragma once

#include <string>

#include "compiler/backend.h"

namespace wafer::compiler {

// The code generator, which is had on first use: because it is linked in (libwafer-llvm.a), or
// from "libwafer-llvm.so", which the environment variable WAFER_LLVM names or which is found as
// plugin/plugin.h says. Unsupported, with the reason, if it cannot be had.
Result<Backend*> load_llvm_backend();
// The one in the shared library at `path`, if that is not empty; else load_llvm_backend().
Result<Backend*> load_llvm_backend_at(const std::string& path);
// Differs where a library of another build cannot be called: by abi_fingerprint(), and by how lies
// in memory what the two hand to each other.
uint64_t backend_fingerprint();
// Gives back the memory that a code generator which was loaded has no use for until it is called
// again: pages of its files, which come back by themselves, and what allocators keep. From any
// thread.
void rest_backends();
// Tells apart the shared libraries that load_llvm_backend_at(path) may take, in their builds,
// without loading one. 0 if it is linked in, or where only the system knows.
uint64_t backend_identity(const std::string& path);

}  // namespace wafer::compiler
