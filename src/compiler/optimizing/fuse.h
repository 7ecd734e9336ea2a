// Which nodes are made with the one that uses them, as the processor has one instruction for both.
#pragma once

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

enum class Fused : uint8_t {
  No,
  Compare,  // with the branch or selection that tests it
  Part,     // of a sum, see Sum
  Load,     // an operand that is read from memory
  Scaled,   // index << constant, as an address
};

// x + (y << shift) + constant. Neither x nor y is a constant.
struct Sum {
  ValueId x, y;
  int32_t constant;
  uint8_t shift;
};

struct FuseOptions {
  uint32_t most_shift = 0;       // of a sum
  bool loads_memory0 = false;    // whether accesses to memory 0 take one instruction
  uint64_t memory0_bytes = 0;    // that are always there
  bool loads_vectors = false;    // whether operands in memory may be vectors
  bool float_operations = true;  // (for a processor that has them with operands in memory)
};

class Fusion {
 public:
  void find(const Function& f, const FuseOptions& options);

  Fused of(ValueId id) const { return fused_[id]; }
  bool is_fused(ValueId id) const { return fused_[id] != Fused::No; }
  // What an addition is, if not one of its operands as they are.
  const Sum* sum(ValueId id) const { return sum_[id] == kNoValue ? nullptr : &sums_[sum_[id]]; }

 private:
  bool single(ValueId id, const Node& user) const;
  bool constant(ValueId id, uint64_t& value) const;
  bool is_add_of(ValueId id, const Node& user, Opcode op) const;
  void find_sum(ValueId id);
  void find_loads(ValueId id);
  bool try_load(ValueId load, const Node& user);
  void find_scale(ValueId access);
  bool is_safe(const Node& load) const;

  const Function* f_ = nullptr;
  uint32_t effects_ = 0, writes_ = 0;  // of the block so far
  FuseOptions options_;
  Vec<uint32_t> uses_;
  Vec<Fused> fused_;
  Vec<uint32_t> sum_;  // by node, in sums_
  Vec<Sum> sums_;
  // By load: effects of its block before it, and its own. Only writes count for one that never
  // traps.
  Vec<uint32_t> after_;
  Vec<bool> safe_;  // by load: it never traps
};

}  // namespace wafer::compiler
