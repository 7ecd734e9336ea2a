// Register allocation of functions in SSA form: linear scan over live intervals, which are
// split where others want their registers. Knows nothing of WebAssembly or of a processor:
// registers are numbers below 32 in two classes.
//
// Instructions are numbered through all blocks in the order of the code. Critical edges have been
// split: a block with several successors is their only predecessor. What dominates a block stands
// before it, and every edge that does not go forward goes to the first block of a loop around it.
// No edge goes to the first block.
#pragma once

#include <span>

#include "base/memory.h"

namespace wafer::compiler {

enum class RegClass : uint8_t { Gpr, Fpr };
using ValueId = uint32_t;
constexpr uint32_t kNoValue = ~0u;
constexpr uint8_t kNoHint = 0xFF;

struct Location {
  enum class Kind : uint8_t { None, Gpr, Fpr, Slot } kind = Kind::None;
  uint32_t index = 0;  // register, or first slot
  bool operator==(const Location&) const = default;
};

struct AllocValue {
  RegClass cls = RegClass::Gpr;
  uint8_t slots = 1;  // slots of a frame that it takes in memory
};

struct AllocUse {
  ValueId value = kNoValue;
  bool anywhere = false;   // may be in a slot; else it has to be in a register
  uint8_t hint = kNoHint;  // register that suits best
};

struct AllocDef {
  ValueId value = kNoValue;
  bool anywhere = false;
  uint8_t hint = kNoHint;
  // Uses of the instruction, counted from its first, whose register suits best if they end here:
  // the first `same` ones. (What an instruction of two addresses changes.)
  uint8_t same = 0;
};

struct AllocInstr {
  uint32_t first_use = 0, use_count = 0;  // in AllocFunction::uses
  uint32_t first_def = 0, def_count = 0;  // in AllocFunction::defs
  // Registers that keep nothing over the instruction. Operands and temporaries may be in them, but
  // for `early` ones; results may be in any.
  uint32_t clobbered_gprs = 0, clobbered_fprs = 0;
  uint32_t early_gprs = 0, early_fprs = 0;  // of the clobbered
  // Registers that have to be free besides those of all operands and results.
  uint8_t temp_gprs = 0, temp_fprs = 0;
};

struct AllocBlock {
  // Instructions. The last is the one that leaves: it has no results, and if it is to a single
  // successor, no operands, temporaries or clobbers either.
  uint32_t begin = 0, end = 0;
  uint32_t first_pred = 0, pred_count = 0;  // in AllocFunction::preds, by block
  uint32_t first_succ = 0, succ_count = 0;  // in AllocFunction::succs, by block
  // Parameters (the phis), in AllocFunction::params. The n-th predecessor gives them the values at
  // args[first_arg + n * param_count...]; kNoValue is something that takes no register, such as a
  // constant.
  uint32_t first_param = 0, param_count = 0, first_arg = 0;
  uint32_t loop_depth = 0;
  // Of a loop's first block: the last block, in the order of the code, that is in the loop. Loops
  // are contiguous. kNoValue: none begins here.
  uint32_t loop_end = kNoValue;
};

struct AllocFunction {
  Vec<AllocValue> values;
  Vec<AllocInstr> instrs;
  Vec<AllocUse> uses;
  Vec<AllocDef> defs;
  Vec<AllocBlock> blocks;
  Vec<uint32_t> preds, succs;
  Vec<ValueId> params, args;
  uint32_t gprs = 0, fprs = 0;                      // registers there are
  uint32_t preserved_gprs = 0, preserved_fprs = 0;  // of these, which calls leave alone; only to
                                                    // know what costs
};

// Moves with the same `at` happen at once.
struct AllocMove {
  uint32_t at = 0;
  Location from, to;         // two slots at worst
  ValueId value = kNoValue;  // what is moved; the parameter, where an argument becomes one
  // Of an edge, where `from` is None: which of the block's parameters, counted from its first,
  // gets what takes no register.
  uint32_t param = kNoValue;
};

struct Allocation {
  Vec<Location> uses, defs;  // by index of the use and of the def
  // By use: what is there is needed no more behind the operands, so the register may be changed
  // (the value may live on in its slot). Of several uses of one value only the last has it.
  Vec<bool> ends;
  // By instruction: not of an operand, a result, or a value that lives on, nor clobbered
  // early; at least as many as temporaries wanted.
  Vec<uint32_t> free_gprs, free_fprs;
  Vec<AllocMove> moves;  // before instruction `at`, in that order
  // Of edges, by block: at the end of it, before its last instruction and behind the moves that
  // are before that (`at` is the block), for the
  // edge to its only successor; or at its beginning (before its moves), for that from its only
  // predecessor, when that has several successors.
  Vec<AllocMove> end_moves, begin_moves;
  uint32_t slots = 0;
  uint32_t used_gprs = 0, used_fprs = 0;  // registers that any value is in
};

// Room for allocation in a row; keeps its memory. Not thread-safe.
class RegisterAllocator {
 public:
  RegisterAllocator();
  ~RegisterAllocator();
  RegisterAllocator(const RegisterAllocator&) = delete;
  RegisterAllocator& operator=(const RegisterAllocator&) = delete;

  // Good until the next run(). Null if it would take more than a time that is linear in the number
  // of instructions: where many values live over many blocks. There must be registers enough for
  // what one instruction wants at once.
  const Allocation* run(const AllocFunction& function);

 private:
  class Impl;
  Box<Impl> impl_;
};

}  // namespace wafer::compiler
