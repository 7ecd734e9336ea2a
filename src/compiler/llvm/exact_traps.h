// Traps as the specification has them, in code that LLVM optimizes.
//
// An access to a memory with guard pages faults where LLVM sees a plain load or store, which
// it would leave out, move past other effects, or make a wider one of. So the translator marks
// accesses to such memories, and stores to all else that can be seen after a trap, volatile:
// they stay, in their order. Passes then win back what that costs.
#pragma once

#include <llvm/IR/PassManager.h>
#include <llvm/MC/MCSubtargetInfo.h>

#include "wasm/module.h"

namespace wafer::compiler {

// Name of the kind (TBAA) that accesses to memories are of.
constexpr const char* kMemoryKind = "memory";
// The same of what is left of the fuel.
constexpr const char* kFuelKind = "fuel";
// Builtins that code calls where it may have to wait.
constexpr const char* kInterruptedName = "wafer_interrupted";
constexpr const char* kOutOfFuelName = "wafer_out_of_fuel";

// Least bytes that a memory has while code runs.
uint64_t min_memory_bytes(const wasm::MemoryType& type);

// Makes of each innermost loop two: before the first, a check finds that all of its accesses
// are within the memory, so that none is volatile in it, that there is fuel for all rounds, and
// that they are few enough not to look for an interrupt; the other is as before. To be run
// before loops are vectorized.
class CheckedLoopsPass : public llvm::PassInfoMixin<CheckedLoopsPass> {
 public:
  explicit CheckedLoopsPass(const wasm::Module& module) : module_(&module) {}
  llvm::PreservedAnalyses run(llvm::Function& function, llvm::FunctionAnalysisManager& analyses);

 private:
  const wasm::Module* module_;
};

// Keeps loops from being vectorized that store over a part of what the round before has stored:
// LLVM 22 puts such stores of several sizes in the wrong order.
class KeepOverlapsPass : public llvm::PassInfoMixin<KeepOverlapsPass> {
 public:
  llvm::PreservedAnalyses run(llvm::Function& function, llvm::FunctionAnalysisManager& analyses);
};

// Keeps the code generator for `target` from making a volatile load part of an instruction
// that may not load: one with a mask (AVX-512), or a conditional move that becomes a branch.
// To be run last.
void keep_loads_unconditional(llvm::Module& ir, const llvm::MCSubtargetInfo& target);

}  // namespace wafer::compiler
