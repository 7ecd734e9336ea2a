// Selections that are better made by branches.
#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

using Kind = Node::Kind;

namespace {
// How many values are looked at for one selection.
constexpr size_t kMostValues = 64;
constexpr uint32_t kMostOperands = 16;  // of one of them
}  // namespace

// A selection of which the next round's condition depends, by way of a load, makes every round wait
// for the last one's memory; a branch is guessed, and loads go ahead.
void choose_by_branch(const Function& f, Vec<bool>& by_branch) {
  by_branch.assign(f.nodes.size(), false);
  Vec<uint32_t> open;     // headers of loops around
  Vec<uint32_t> seen[2];  // by value, without and with a load on the way: the last selection
  Vec<uint64_t> work;
  for (uint32_t b = 0; b < f.blocks.size(); ++b) {
    while (!open.empty() && f.blocks[open.back()].loop_end < b) open.pop_back();
    if (f.blocks[b].loop_end != kNoValue) open.push_back(b);
    if (open.empty()) continue;
    const uint32_t first = open.back(), last = f.blocks[first].loop_end;
    for (const ValueId id : f.blocks[b].nodes) {
      const Node& n = f.nodes[id];
      if (n.kind != Kind::Instr || n.op != Opcode::Select) continue;
      if (n.type != wasm::kI32 && n.type != wasm::kI64) continue;
      for (auto& s : seen) s.resize(f.nodes.size(), 0);
      work.clear();
      const auto visit = [&](ValueId v, bool loaded) {
        const Node& at = f.nodes[v];
        if (at.block < first || at.block > last || seen[loaded][v] == id + 1) return;
        if ((at.kind != Kind::Instr && at.kind != Kind::Phi) || work.size() >= kMostValues) return;
        // Where many ways meet there is more to look at than a selection is worth.
        if (at.arg_count > kMostOperands) return;
        seen[loaded][v] = id + 1;
        work.push_back(uint64_t(v) << 1 | loaded);
      };
      visit(f.args_of(n)[2], false);
      for (size_t i = 0; i < work.size() && !by_branch[id]; ++i) {
        const auto v = ValueId(work[i] >> 1);
        const Node& at = f.nodes[v];
        const bool loaded = (work[i] & 1) || (at.kind == Kind::Instr && facts::is_load(at.op));
        for (const ValueId arg : f.args_of(at)) {
          if (arg == id && loaded) by_branch[id] = true;
          visit(arg, loaded);
        }
      }
    }
  }
}

}  // namespace wafer::compiler
