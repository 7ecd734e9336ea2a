// Entry point of the code generator for programs that link it.
#include "compiler/llvm/llvm_backend.h"

extern "C" wafer::compiler::Backend* wafer_linked_llvm_backend() {
  return wafer::compiler::llvm_backend();
}
