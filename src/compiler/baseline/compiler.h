// Baseline compiler: one pass over a body, machine code at once. For x86-64 and AArch64.
//
// Values of the operand stack are followed at compile time as constants, references to
// locals, registers or slots of the frame; where control flow meets, and in calls, they
// go to their slots. A function's frame holds registers of the caller and, below them,
// slots: those of locals, then those of operands. An i32 in a register is zero-extended.
// The registers are those of the processor's machine.h.
#pragma once

#include <memory>

#include "base/span.h"
#include "compiler/abi.h"
#include "compiler/backend.h"
#include "compiler/baseline/arena.h"

namespace wafer::compiler {

struct BaselineOptions {
  CodeOptions code;
  // Counts down VmContext::heat at function entry and in loops.
  bool heat = false;
  // Of code whose functions another compiler makes where it can.
  bool optimized = false;
  // Of code for an image: functions of the module and of builtins.def are called by references
  // that are filled in when it is known where all lies. For processors with
  // Machine::kHasReferences.
  bool image = false;
  // Of code that has to run on every processor that supported() is true of.
  bool any_cpu = false;
  bool operator==(const BaselineOptions&) const = default;
};

// 4 bytes of code that are to be the distance, counted from behind them, to a function of the
// module, or to where an image has the address of a built-in function.
struct CodeReference {
  enum class To : uint8_t { Function, Builtin } to;
  uint32_t index;
  uint32_t at;  // code offset
};

// One function's machine code, position-independent; good until the next compile().
struct CompiledFunction {
  Bytes code;
  Bytes locations;                        // for CodeArena::add
  std::span<const CallHandler> handlers;  // the same
  std::span<const CodeReference> references{};
};

// Makes code of the same frame, calling convention and tables as BaselineCompiler does.
class FunctionCompiler {
 public:
  virtual ~FunctionCompiler() = default;
  // Code of own function `func`. Unsupported for one that takes another compiler.
  virtual Result<CompiledFunction> compile(uint32_t func) = 0;
};
using MakeFunctionCompiler = std::shared_ptr<FunctionCompiler> (*)(const wasm::Module& module,
                                                                   const BaselineOptions& options);
// Gives a BaselineCompiler.
std::shared_ptr<FunctionCompiler> make_baseline_compiler(const wasm::Module& module,
                                                         const BaselineOptions& options);

// Compiles validated functions of one module. Not thread-safe.
class BaselineCompiler final : public FunctionCompiler {
 public:
  class Impl;  // codegen.h
  BaselineCompiler(const wasm::Module& module, const BaselineOptions& options);
  ~BaselineCompiler() override;
  BaselineCompiler(const BaselineCompiler&) = delete;
  BaselineCompiler& operator=(const BaselineCompiler&) = delete;

  // Whether this processor has the instructions that the code needs.
  static bool supported();
  // Whether there is code for images (BaselineOptions::image).
  static bool makes_images();
  // Bits of CpuFeatures that code with `options` may use.
  static uint64_t features(const BaselineOptions& options);
  // Unsupported for a function that takes another compiler or the interpreter.
  Result<CompiledFunction> compile(uint32_t func) override;

  // Code that is not a function's:
  // Entries of all functions before they are compiled, at `first` and every kThunkBytes
  // after it. They call `compile`(context, function index, user), which gives the address
  // to go on at, with all argument registers preserved.
  static constexpr size_t kThunkBytes = 16;
  Result<CompiledFunction> lazy_entries(void* (*compile)(VmContext*, uint32_t, void*), void* user,
                                        size_t& first);
  // Entry of a function that the interpreter runs. `attach`(FuncInst) is called first while
  // FuncInst::call is call_native().
  Result<CompiledFunction> interpreter_stub(uint32_t func, void (*attach)(FuncInst*));
  // Calls the function by its entry (VmContext::entries).
  Result<CompiledFunction> entry_stub(uint32_t func);

 private:
  Box<Impl> impl_;
};

}  // namespace wafer::compiler
