// Entry points of the shared library around the LLVM code generator.
#include "compiler/llvm/llvm_backend.h"
#include "compiler/llvm_loader.h"

extern "C" {

__attribute__((visibility("default"))) uint64_t wafer_llvm_fingerprint() {
  return wafer::compiler::backend_fingerprint();
}

// `allocator` is that of the program, which frees what the code generator hands over.
__attribute__((visibility("default"))) wafer::compiler::Backend* wafer_llvm_backend(
    const wafer::Allocator& allocator) {
  wafer::set_allocator(allocator);
  return wafer::compiler::llvm_backend();
}
}
