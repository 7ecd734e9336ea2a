// Functions in SSA form, as the optimizing compiler sees them: nodes in blocks. What a node
// computes is a WebAssembly instruction; only control flow and locals have been resolved.
#pragma once

#include "base/memory.h"
#include "base/result.h"
#include "compiler/backend.h"
#include "compiler/optimizing/regalloc.h"
#include "wasm/instr.h"
#include "wasm/module.h"

namespace wafer::compiler {

using wasm::Instr;
using wasm::Opcode;
using wasm::ValType;

struct Node {
  enum class Kind : uint8_t {
    None,   // removed
    Const,  // number or null reference: `value`
    Param,  // of the function: `value` is the index
    Phi,    // an operand for each predecessor of the block, in their order
    Instr,  // `op` of the operands, with the immediates Function::instrs[value] unless
            // kNoImmediates. A nop is where the code may have to wait: it takes so much fuel as its
            // immediate `index` says, or without immediates asks if it is interrupted
    Result,  // of the call args[0], one that is not the first: `value` is the index. Right behind
             // it
    Jump,    // ends of blocks, from here on
    Branch,  // to the first successor if args[0] is not 0, else to the second
    Switch,  // to successor args[0], or the last. (Function::targets says which successor of each)
    Return,
    TailCall,  // `op`, as of Instr
    Trap,      // unreachable
  };
  Kind kind = Kind::None;
  Opcode op = Opcode::Illegal;
  ValType type;  // of the result; Bot: none
  uint32_t block = 0;
  uint32_t first_arg = 0, arg_count = 0;  // in Function::args
  uint32_t offset = 0;                    // in the module
  uint64_t value = 0;
};
constexpr uint64_t kNoImmediates = ~uint64_t{0};

struct Block {
  Vec<ValueId> nodes;  // phis first; the last one ends the block
  Vec<uint32_t> preds, succs;
  uint32_t loop_depth = 0;
  // Of a loop's header: the last block of the loop. Loops are contiguous, and the block before
  // the header, its first predecessor, ends with a jump to it.
  uint32_t loop_end = kNoValue;
};

// Blocks are in the order of the code: but for the jumps back to a loop's header, all
// predecessors come before. A block with several successors is the only predecessor of each.
// Code that cannot be reached is left out.
struct Function {
  const wasm::Module* module = nullptr;  // if it is known which globals never change
  Vec<Node> nodes;                       // a value is called by its node's index
  Vec<ValueId> args;
  Vec<Block> blocks;
  Vec<Instr> instrs;
  Vec<uint32_t> targets;  // Switch: from `value` on, their number and the successors' indices

  std::span<ValueId> args_of(const Node& n) { return {args.data() + n.first_arg, n.arg_count}; }
  std::span<const ValueId> args_of(const Node& n) const {
    return {args.data() + n.first_arg, n.arg_count};
  }
  const Instr* immediates(const Node& n) const {
    return n.value == kNoImmediates ? nullptr : &instrs[n.value];
  }
};

// What an instruction does besides giving a result.
struct Effects {
  bool traps = false;   // may trap
  bool reads = false;   // memory, globals, tables, objects
  bool writes = false;  // the same
  bool calls = false;   // does anything
  bool any() const { return traps || writes || calls; }
};
Effects effects_of(Opcode op);
inline bool is_terminator(Node::Kind kind) { return kind >= Node::Kind::Jump; }
// Whether the node stays though nobody uses its result.
bool is_root(const Node& n);

// Builds functions of one module, by `options` with places to wait. Not thread-safe.
class FunctionBuilder {
 public:
  explicit FunctionBuilder(const wasm::Module& module, const CodeOptions& options = {});
  ~FunctionBuilder();
  // Good until the next build(). Unsupported for a function that takes another compiler.
  Result<Function*> build(uint32_t func);

 private:
  class Impl;
  Box<Impl> impl_;
};

// Makes the function quicker, with the same results, traps and effects. Linear time.
void optimize(Function& function);

// What is wrong with a function's form, or empty. For tests.
String check(const Function& function);
// As text, for people. (Types are not told.)
String to_text(const Function& function);

}  // namespace wafer::compiler
