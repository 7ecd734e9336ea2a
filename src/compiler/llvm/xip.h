// Code that runs in place on a small system (interp/xip_format.h).
#pragma once

#include <llvm/IR/Module.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Target/TargetMachine.h>

#include "compiler/backend.h"
#include "interp/xip_format.h"
#include "wasm/module.h"

namespace wafer::compiler {

// Unsupported if `module` has what there is no code for, apart from instructions.
Result<void> xip_check_module(const wasm::Module& module);
// May function `f` be called by other than its own module's code by name?
inline bool xip_called_from_outside(const wasm::Module& module, uint32_t f) {
  return module.functions[f].declared || module.start == f;
}
// Bytes that code takes memory 0 to have at least.
uint32_t xip_min_memory(const wasm::Module& module);
// LLVM's names of a processor that code runs in place on, by what --target and --cpu say.
struct XipProcessor {
  std::string triple, cpu, features, abi;
};
Result<XipProcessor> xip_processor(const CompileOptions& options);
// What code for `machine` may use; Unsupported if the processor lacks what is needed.
Result<interp::XipTarget> xip_target(const llvm::TargetMachine& machine);
// Keeps functions of `ir` from jumps by tables where comparisons take less, on processors for which
// a table is many instructions (RISC-V). To be run last.
void xip_choose_tables(llvm::Module& ir);
// The file of `object`, with code of all of `module`.
Result<Vec<uint8_t>> link_xip(const llvm::MemoryBuffer& object, const wasm::Module& module,
                              interp::XipTarget target);

}  // namespace wafer::compiler
