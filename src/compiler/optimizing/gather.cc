// The order of instructions within blocks.
#include <algorithm>

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

using Kind = Node::Kind;

// An instruction of two operands that nobody else uses takes one register where they took two, so
// it is best made at once. (Who wrote the module may have loaded much before computing with it.)
void gather_operands(Function& f) {
  const Vec<uint32_t> uses = count_uses(f);
  // By node: behind which place of its block it stands, among others that have moved there.
  Vec<uint32_t> behind(f.nodes.size(), 0);
  Vec<ValueId> out, moved;
  for (uint32_t b = 0; b < f.blocks.size(); ++b) {
    Vec<ValueId>& nodes = f.blocks[b].nodes;
    moved.clear();
    for (uint32_t i = 0; i < nodes.size(); ++i) {
      const ValueId id = nodes[i];
      const Node& n = f.nodes[id];
      behind[id] = i;
      if (n.kind != Kind::Instr || n.arg_count != 2 || n.type.is_bot()) continue;
      const Effects effects = effects_of(n.op);
      if (effects.any() || effects.reads || facts::is_comparison(n.op)) continue;
      const auto args = f.args_of(n);
      uint32_t place = kNoValue;
      bool ends = args[0] != args[1];
      for (const ValueId arg : args) {
        const Node& a = f.nodes[arg];
        ends &= uses[arg] == 1 && a.kind != Kind::Const;
        if (a.block != b) continue;
        // Nothing may stand between a call and its further results, or between phis.
        ends &= a.kind == Kind::Instr && !effects_of(a.op).calls &&
                facts::row(a.op).sig().result_count <= 1;
        if (place == kNoValue || behind[arg] > place) place = behind[arg];
      }
      if (!ends || place == kNoValue || place + 1 >= i) continue;
      behind[id] = place;
      moved.push_back(id);
    }
    if (moved.empty()) continue;
    std::ranges::stable_sort(moved, {}, [&](ValueId id) { return behind[id]; });
    out.clear();
    size_t at = 0;
    for (uint32_t i = 0; i < nodes.size(); ++i) {
      if (behind[nodes[i]] == i) out.push_back(nodes[i]);
      for (; at < moved.size() && behind[moved[at]] == i; ++at) out.push_back(moved[at]);
    }
    nodes.assign(out.begin(), out.end());
  }
}

}  // namespace wafer::compiler
