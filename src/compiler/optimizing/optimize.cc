#include <algorithm>

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

using Kind = Node::Kind;

void Replacements::apply(Function& f) {
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes)
      for (ValueId& arg : f.args_of(f.nodes[id])) arg = of(arg);
}

ValueId only_operand(const Function& f, ValueId phi, Replacements& replacements) {
  ValueId only = kNoValue;
  for (ValueId arg : f.args_of(f.nodes[phi])) {
    arg = replacements.of(arg);
    if (arg == phi || arg == only) continue;
    if (only != kNoValue) return kNoValue;
    only = arg;
  }
  return only;
}

namespace {

constexpr int kMostRounds = 8;  // nearly always 2 or 3
constexpr int kMostNumberings = 3;

// Nodes that are gone leave their blocks.
void drop_removed(Function& f) {
  for (Block& block : f.blocks)
    std::erase_if(block.nodes, [&](ValueId id) { return f.nodes[id].kind == Kind::None; });
}

}  // namespace

Vec<uint32_t> count_uses(const Function& f) {
  Vec<uint32_t> uses(f.nodes.size(), 0);
  for (const Block& block : f.blocks)
    for (const ValueId id : block.nodes)
      for (const ValueId arg : f.args_of(f.nodes[id])) ++uses[arg];
  return uses;
}

// A phi can wait for those before it, and for those of loops in its own.
void simplify_phis(Function& f) {
  Vec<ValueId> phis;
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes) {
      if (f.nodes[id].kind != Kind::Phi) break;
      phis.push_back(id);
    }
  Replacements replacements;
  bool any = false;
  for (int round = 0; round < kMostRounds; ++round) {
    const size_t before = phis.size();
    std::reverse(phis.begin(), phis.end());
    std::erase_if(phis, [&](ValueId phi) {
      const ValueId only = only_operand(f, phi, replacements);
      if (only == kNoValue) return false;
      replacements.set(phi, only);
      f.nodes[phi].kind = Kind::None;
      return true;
    });
    if (phis.size() == before && round > 0) break;
    any |= phis.size() != before;
  }
  if (!any) return;
  drop_removed(f);
  replacements.apply(f);
}

void remove_dead(Function& f) {
  Vec<bool> used(f.nodes.size(), false);
  Vec<ValueId> work;
  const auto use = [&](ValueId id) {
    if (used[id]) return;
    used[id] = true;
    work.push_back(id);
  };
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes)
      if (is_root(f.nodes[id])) use(id);
  while (!work.empty()) {
    const Node& n = f.nodes[work.back()];
    work.pop_back();
    for (ValueId arg : f.args_of(n)) use(arg);
  }
  for (const Block& block : f.blocks)
    for (ValueId id : block.nodes)
      if (!used[id]) f.nodes[id].kind = Kind::None;
  drop_removed(f);
}

void tidy_blocks(Function& f) {
  const auto count = uint32_t(f.blocks.size());
  // Loops without a jump back are none any more. Others end where their last jump back is, or that
  // of a loop in them.
  Vec<int32_t> change(count + 1, 0);  // of the depth, from there on
  Vec<uint32_t> later;                // headers that are in no loop seen so far
  for (uint32_t b = count; b-- > 0;) {
    Block& header = f.blocks[b];
    if (header.loop_end == kNoValue) continue;
    uint32_t end = kNoValue;
    for (uint32_t pred : header.preds)
      if (pred >= b && (end == kNoValue || pred > end)) end = pred;
    --change[end == kNoValue ? b : end + 1];
    ++change[header.loop_end + 1];
    header.loop_end = end;
    if (end == kNoValue) continue;
    for (; !later.empty() && later.back() <= end; later.pop_back())
      end = std::max(end, f.blocks[later.back()].loop_end);
    later.push_back(b);
    ++change[header.loop_end + 1];
    --change[end + 1];
    header.loop_end = end;
  }
  int32_t depth = 0;
  for (uint32_t b = 0; b < count; ++b) {
    depth += change[b];
    f.blocks[b].loop_depth = uint32_t(std::max(0, int32_t(f.blocks[b].loop_depth) + depth));
  }

  Vec<uint32_t> place(count, kNoValue);  // where each block goes
  Replacements replacements;
  uint32_t made = 0;
  bool joined = false;
  for (uint32_t b = 0; b < count; ++b) {
    if (f.blocks[b].nodes.empty()) continue;
    if (b && f.blocks[b].preds.size() == 1 && f.blocks[b].loop_end == kNoValue) {
      // Its predecessor has been renamed already; successors have not.
      const uint32_t pred = place[f.blocks[b].preds[0]];
      if (pred == made - 1 && f.blocks[pred].succs.size() == 1 &&
          f.blocks[pred].loop_depth == f.blocks[b].loop_depth) {
        Block& to = f.blocks[pred];
        Block& from = f.blocks[b];
        f.nodes[to.nodes.back()].kind = Kind::None;
        to.nodes.pop_back();
        for (ValueId id : from.nodes) {
          Node& n = f.nodes[id];
          if (n.kind == Kind::Phi) {
            replacements.set(id, replacements.of(f.args[n.first_arg]));
            n.kind = Kind::None;
            continue;
          }
          n.block = pred;
          to.nodes.push_back(id);
        }
        to.succs = std::move(from.succs);
        place[b] = pred;
        joined = true;
        continue;
      }
    }
    place[b] = made;
    if (b != made) {
      f.blocks[made] = std::move(f.blocks[b]);
      for (ValueId id : f.blocks[made].nodes) f.nodes[id].block = made;
    }
    ++made;
  }
  if (made == count) return;
  f.blocks.resize(made);
  for (Block& block : f.blocks) {
    for (uint32_t& pred : block.preds) pred = place[pred];
    for (uint32_t& succ : block.succs) succ = place[succ];
    if (block.loop_end != kNoValue) block.loop_end = place[block.loop_end];
  }
  if (joined) replacements.apply(f);
}

void optimize(Function& f) {
  simplify_phis(f);
  remove_dead(f);
  tidy_blocks(f);
  // Phis of fewer edges may be of one value, and that a constant.
  for (int round = 0; round < kMostNumberings && number_values(f); ++round) {
    tidy_blocks(f);
    simplify_phis(f);
  }
  remove_dead(f);
  hoist_from_loops(f);
  const bool loaded = load_constants(f);
  if (compare_where_tested(f) || loaded) remove_dead(f);
  gather_operands(f);
}

}  // namespace wafer::compiler
