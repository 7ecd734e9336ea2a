// Optimizing compiler: from SSA form, through passes and a register allocator, to machine code
// that the baseline compiler's emitters make. It takes a tenth of LLVM's time or less.
#pragma once

#include "compiler/baseline/tier.h"

namespace wafer::compiler {

// Compiles validated functions of one module, to code of the same frame, calling convention and
// tables as the baseline compiler's. Not thread-safe.
class OptimizingCompiler final : public FunctionCompiler {
 public:
  OptimizingCompiler(const wasm::Module& module, const BaselineOptions& options);
  ~OptimizingCompiler() override;
  OptimizingCompiler(const OptimizingCompiler&) = delete;
  OptimizingCompiler& operator=(const OptimizingCompiler&) = delete;

  // Unsupported for a function that takes another compiler: one with handlers of exceptions, with
  // instructions on objects, or that is too large; and with options that meter.
  Result<CompiledFunction> compile(uint32_t func) override;

 private:
  class Impl;
  Box<Impl> impl_;
};

// Gives an OptimizingCompiler.
std::shared_ptr<FunctionCompiler> make_optimizing_compiler(const wasm::Module& module,
                                                           const BaselineOptions& options);

// The tier, one for the process, that compiles functions so on their first call, and with the
// baseline compiler what this one does not know; null on processors that it does not support.
runtime::Tier* optimizing_tier();

}  // namespace wafer::compiler
