// The passes that optimize() is made of.
#pragma once

#include "compiler/optimizing/ir.h"
#include "compiler/optimizing/op_facts.h"

namespace wafer::compiler {

// Which blocks come before which others on all paths from the entry.
class Dominators {
 public:
  explicit Dominators(const Function& function);
  bool dominates(uint32_t a, uint32_t b) const {
    return first_[b] >= first_[a] && first_[b] - first_[a] < size_[a];
  }

 private:
  Vec<uint32_t> first_, size_;  // of the tree: place in preorder, and number of blocks below
};

// Which blocks write what.
class Writes {
 public:
  explicit Writes(const Function& function);
  bool any(facts::Space space, uint32_t first, uint32_t last) const {
    const auto& before = before_[unsigned(space)];
    return before[last + 1] != before[first];
  }

 private:
  Vec<uint32_t> before_[facts::kSpaces];  // by block: how many before it do
};

// Which values are the same as others.
class Replacements {
 public:
  ValueId of(ValueId v) {
    ValueId to = v;
    while (to < by_.size() && by_[to] != kNoValue) to = by_[to];
    for (; v != to; v = std::exchange(by_[v], to)) {
    }
    return to;
  }
  void set(ValueId v, ValueId by) {
    if (v >= by_.size()) by_.resize(v + 1, kNoValue);
    by_[v] = by;
  }
  // In all operands.
  void apply(Function& function);

 private:
  Vec<ValueId> by_;
};

// The one value that a phi can have, or kNoValue.
ValueId only_operand(const Function& function, ValueId phi, Replacements& replacements);
// Takes out phis that have only one value.
void simplify_phis(Function& function);
// Takes out what nobody uses.
void remove_dead(Function& function);
// How often each value is an operand.
Vec<uint32_t> count_uses(const Function& function);
// No integer `v` without sign is above it.
uint64_t most(const Function& function, ValueId v, int depth = 0);
// Makes instructions simpler and takes out those that give what another one does. Edges that are
// never taken are removed; blocks that cannot be reached become empty. Says whether there are any.
bool number_values(Function& function);
// Takes out empty blocks, and joins blocks to those behind them where there is no other way.
void tidy_blocks(Function& function);
// Moves what does not change in loops before them.
void hoist_from_loops(Function& function);
// These two say whether they have done anything, which may leave instructions unused.
// Loads constants of floats and vectors into registers where it is best.
bool load_constants(Function& function);
// Repeats comparisons where they are tested, which is one instruction for both.
bool compare_where_tested(Function& function);

// Moves instructions up to where their operands are, if those are needed no more after.
void gather_operands(Function& function);
// Which selections are better made by branches, by node.
void choose_by_branch(const Function& function, Vec<bool>& by_branch);

// Computes `op` of constants as they are in nodes. False if that traps, gives a NaN whose bits
// are not certain, or is no arithmetic on numbers. `b` of a single operand is ignored.
bool evaluate(Opcode op, uint64_t a, uint64_t b, uint64_t& out);

}  // namespace wafer::compiler
