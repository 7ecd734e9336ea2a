// Validator (spec chapter 3; algorithm of the appendix). Also the front half of
// every translator: it hands out instructions with the operand types known.
#pragma once

#include "wasm/instr.h"
#include "wasm/module.h"

namespace wafer::wasm {

// Validates everything but function bodies, in the order of the specification.
Result<void> validate_module_fields(const Module& module);
// Validates one function body, including its locals declaration.
Result<void> validate_function(const Module& module, uint32_t func);

// Implementation limits (appendix "Implementation Limitations").
inline constexpr uint32_t kMaxLocals = 50000;
inline constexpr uint32_t kMaxFunctionSize = 128u << 20;
inline constexpr uint32_t kMaxParams = 1000;
inline constexpr uint32_t kMaxResults = 1000;

struct ControlFrame {
  Opcode op = Opcode::Block;  // Block, Loop, If, Else, TryTable, Try, Catch, CatchAll
  bool unreachable = false;   // the rest of this frame is stack-polymorphic
  uint32_t height = 0;        // operand stack height at entry, below the params
  std::span<const ValType> params;   // module-index types
  std::span<const ValType> results;
  uint32_t init_height = 0;   // undo point of the local-initialisation trail
  // Types that a branch to this frame carries.
  std::span<const ValType> label_types() const { return op == Opcode::Loop ? params : results; }
};

// Steps through a body one instruction at a time:
//
//   FuncValidator v(module);
//   WAFER_TRY(v.begin(func));
//   Instr in;
//   while (!v.done()) {
//     WAFER_TRY(v.read(in));    // decoded; operands still on the stack
//     ... look at v.operand(0), v.control(0), v.reachable() ...
//     WAFER_TRY(v.apply(in));   // typed; results on the stack
//   }
//
// The outermost control frame is the function body itself (op Block).
class FuncValidator {
 public:
  explicit FuncValidator(const Module& module);
  ~FuncValidator();

  // Starts function `func`: reads its locals. Reusable for many functions.
  Result<void> begin(uint32_t func);
  // True once the body's final `end` has been applied.
  bool done() const { return control_.empty(); }
  Result<void> read(Instr& out);
  Result<void> apply(const Instr& in);

  // Types of parameters and locals, in index order.
  const Vec<ValType>& locals() const { return locals_; }
  // False in code that cannot be reached (after br, return, unreachable...).
  bool reachable() const { return !control_.back().unreachable; }
  uint32_t height() const { return uint32_t(operands_.size()); }
  // Type of the operand `depth` below the top (0 is the top); Bot if that lies
  // below the polymorphic base of unreachable code.
  ValType operand(uint32_t depth) const;
  uint32_t control_depth() const { return uint32_t(control_.size()); }
  // Frame that label `label` names; 0 is the innermost.
  const ControlFrame& control(uint32_t label) const {
    return control_[control_.size() - 1 - label];
  }
  // Parameter and result types of a block type.
  std::span<const ValType> block_params(const BlockType& type) const;
  std::span<const ValType> block_results(const BlockType& type) const;

 private:
  const Module& module_;
  // ... (validator.cc's own working state)
  Vec<ValType> locals_;
  Vec<ValType> operands_;
  Vec<ControlFrame> control_;
};

}  // namespace wafer::wasm
