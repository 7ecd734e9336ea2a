// What does not change in a loop is computed before it.
#include <algorithm>

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

using Kind = Node::Kind;
using facts::Space;

namespace {

constexpr int kMostLoops = 16;  // that anything is taken out of
constexpr int kMostConstants = 6;

// Which loops blocks are in.
struct Loops {
  explicit Loops(const Function& f) : of(f.blocks.size(), kNoValue) {
    Vec<uint32_t> open;
    for (uint32_t b = 0; b < f.blocks.size(); ++b) {
      while (!open.empty() && f.blocks[open.back()].loop_end < b) open.pop_back();
      around.push_back(open.empty() ? kNoValue : open.back());
      if (f.blocks[b].loop_end != kNoValue) {
        open.push_back(b);
        any = true;
      }
      if (!open.empty()) of[b] = open.back();
    }
  }
  bool any = false;
  Vec<uint32_t> of;      // by block: the header of the innermost one
  Vec<uint32_t> around;  // by header: that of the loop around
};

class Hoister {
 public:
  explicit Hoister(Function& f) : f_(f), loops_(f), writes_(f) {}

  void run() {
    if (!loops_.any) return;
    uses_ = count_uses(f_);
    to_.assign(f_.nodes.size(), kNoValue);
    acts_.assign(f_.blocks.size(), false);
    for (uint32_t b = 0; b < f_.blocks.size(); ++b)
      for (ValueId id : f_.blocks[b].nodes) visit(id, b);
    if (!moved_.empty()) rebuild();
  }

 private:
  bool is_constant(ValueId v) const { return f_.nodes[v].kind == Kind::Const; }

  // Hardly more than having the result in a register, in loops where the operand is in one too.
  bool is_cheap(const Node& n) const {
    if (facts::is_comparison(n.op) || n.op == Opcode::V128Const) return true;
    const auto args = f_.args_of(n);
    if (args.empty() || uses_[args[0]] == 1) return false;
    switch (facts::is_i64(n.op) ? facts::narrow(n.op) : n.op) {
      case Opcode::I32Add:
      case Opcode::I32And:
      case Opcode::I32Or:
      case Opcode::I32Xor:
      case Opcode::I32Shl:
      case Opcode::I32ShrS:
      case Opcode::I32ShrU:
        return is_constant(args[1]);
      case Opcode::I32WrapI64:
      case Opcode::I64ExtendI32U:
        return true;
      default:
        return false;
    }
  }

  // Whether the value is there before the loop, or can be.
  bool outside(ValueId v, uint32_t header) const {
    return is_constant(v) || f_.nodes[v].block < header || (to_[v] != kNoValue && to_[v] < header);
  }

  // The block that it can go to, or kNoValue.
  uint32_t target_of(ValueId id, uint32_t b) const {
    const Node& n = f_.nodes[id];
    const Effects effects = effects_of(n.op);
    uint32_t target = kNoValue;
    // Traps happen in their order, and only those that would.
    uint32_t at = b;
    int loops = 0;
    for (uint32_t header = loops_.of[b]; header != kNoValue && loops < kMostLoops;
         header = loops_.around[header], ++loops) {
      const uint32_t end = f_.blocks[header].loop_end;
      if (effects.traps && (at != header || acts_[at])) break;
      if (effects.reads && !is_fixed(n) && writes_.any(facts::space_of(n.op), header, end)) break;
      const auto args = f_.args_of(n);
      if (!std::all_of(args.begin(), args.end(), [&](ValueId v) { return outside(v, header); }))
        break;
      at = target = header - 1;
    }
    return target;
  }

  bool is_fixed(const Node& n) const {
    return n.op == Opcode::GlobalGet && f_.module &&
           !f_.module->globals[f_.immediates(n)->index].type.is_mutable;
  }

  void visit(ValueId id, uint32_t b) {
    const Node& n = f_.nodes[id];
    if (n.kind != Kind::Instr || n.block != b) return;
    const Effects effects = effects_of(n.op);
    const bool movable = loops_.of[b] != kNoValue && !n.type.is_bot() && !effects.writes &&
                         !effects.calls && facts::row(n.op).sig().result_count <= 1;
    const uint32_t target = movable ? target_of(id, b) : kNoValue;
    if (target == kNoValue) {
      if (effects.any()) acts_[b] = true;
      return;
    }
    if (is_cheap(n)) {
      // Only if something else goes. (What it needs is there already.)
      const auto args = f_.args_of(n);
      if (std::all_of(args.begin(), args.end(),
                      [&](ValueId v) { return is_constant(v) || f_.nodes[v].block <= target; }))
        to_[id] = target;
      return;
    }
    for (ValueId arg : f_.args_of(n))
      if (!is_constant(arg) && f_.nodes[arg].block > target) move(arg, target);
    move(id, target);
    if (effects.traps) acts_[target] = true;
  }

  void move(ValueId id, uint32_t target) {
    f_.nodes[id].block = target;
    to_[id] = kNoValue;
    moved_.push_back(id);
  }

  void rebuild() {
    for (uint32_t b = 0; b < f_.blocks.size(); ++b)
      std::erase_if(f_.blocks[b].nodes, [&](ValueId id) { return f_.nodes[id].block != b; });
    for (ValueId id : moved_) f_.blocks[f_.nodes[id].block].nodes.push_back(id);
    // The jump at the end of each block goes back there.
    for (Block& block : f_.blocks) {
      auto at = block.nodes.end();
      while (!is_terminator(f_.nodes[at[-1]].kind)) --at;
      std::rotate(at - 1, at, block.nodes.end());
    }
  }

  Function& f_;
  const Loops loops_;
  const Writes writes_;
  Vec<uint32_t> uses_;
  Vec<uint32_t> to_;    // by node: to where it could go if there is reason to
  Vec<bool> acts_;      // by block: whether anything that stays has effects
  Vec<ValueId> moved_;  // in their new order
};

}  // namespace

void hoist_from_loops(Function& f) { Hoister(f).run(); }

namespace {

// Instructions on floats and vectors cannot have a constant in them. It is loaded before the
// innermost loop, if registers stay as they are in that and have room, or else where it is used.
class ConstantLoader {
 public:
  explicit ConstantLoader(Function& f) : f_(f), loops_(f), calls_(f.blocks.size() + 1, 0) {
    for (uint32_t b = 0; b < f.blocks.size(); ++b) {
      calls_[b + 1] = calls_[b];
      for (ValueId id : f.blocks[b].nodes) {
        const Node& n = f.nodes[id];
        // (To wait is not one that changes registers.)
        calls_[b + 1] += n.kind == Kind::Instr && n.op != Opcode::Nop && effects_of(n.op).calls;
        any_ |= n.kind == Kind::Instr && n.op == Opcode::V128Const;
      }
    }
  }

  void run() {
    if (!any_ && !loops_.any) return;
    by_header_.assign(f_.blocks.size(), kNoValue);
    local_.assign(f_.nodes.size(), kNoValue);
    for (uint32_t b = 0; b < f_.blocks.size(); ++b) {
      uint32_t header = loops_.of[b];
      if (header != kNoValue && calls_[f_.blocks[header].loop_end + 1] != calls_[header])
        header = kNoValue;
      out_.clear();
      for (ValueId id : f_.blocks[b].nodes) {
        visit(id, b, header);
        out_.push_back(id);
      }
      if (out_.size() != f_.blocks[b].nodes.size())
        f_.blocks[b].nodes.assign(out_.begin(), out_.end());
    }
  }

 private:
  struct Loaded {
    ValueId constant, value;
    uint32_t next;
  };

  bool is_vector(const Node& n) const { return n.kind == Kind::Instr && n.op == Opcode::V128Const; }
  // Zeros are as easy to make as to keep.
  bool is_zero(const Node& n) const {
    return n.kind == Kind::Const ? n.value == 0 : f_.immediates(n)->v128 == wasm::V128{};
  }

  void visit(ValueId id, uint32_t b, uint32_t header) {
    const Node n = f_.nodes[id];
    if (n.kind == Kind::Phi) return;
    const bool floats = n.kind == Kind::Instr && facts::is_float_arithmetic(n.op);
    for (uint32_t i = n.first_arg; i < n.first_arg + n.arg_count; ++i) {
      const ValueId constant = f_.args[i];
      const Node& c = f_.nodes[constant];
      if (c.kind == Kind::Const ? !floats || is_zero(c) : !is_vector(c)) continue;
      ValueId value = kNoValue;
      if (header != kNoValue && !is_zero(c)) value = before_loop(constant, header);
      if (value == kNoValue && c.kind != Kind::Const) value = in_block(constant, b);
      if (value != kNoValue) f_.args[i] = value;
    }
  }

  ValueId before_loop(ValueId constant, uint32_t header) {
    int others = 0;
    for (uint32_t at = by_header_[header]; at != kNoValue; at = loaded_[at].next, ++others)
      if (loaded_[at].constant == constant) return loaded_[at].value;
    if (others == kMostConstants) return kNoValue;
    const ValueId value = load(constant, header - 1);
    loaded_.push_back({constant, value, by_header_[header]});
    by_header_[header] = uint32_t(loaded_.size() - 1);
    Vec<ValueId>& before = f_.blocks[header - 1].nodes;
    before.insert(before.end() - 1, value);
    return value;
  }

  ValueId in_block(ValueId constant, uint32_t b) {
    if (f_.nodes[constant].block == b) return constant;
    ValueId& local = local_[constant];
    if (local == kNoValue || f_.nodes[local].block != b) {
      local = load(constant, b);
      out_.push_back(local);
    }
    return local;
  }

  ValueId load(ValueId constant, uint32_t b) {
    Node n = f_.nodes[constant];
    n.block = b;
    if (n.kind == Kind::Const) {
      Instr instr;
      instr.op = n.type == wasm::kF32 ? Opcode::F32Const : Opcode::F64Const;
      instr.f64_bits = n.value;
      n.kind = Kind::Instr;
      n.op = instr.op;
      n.value = f_.instrs.size();
      f_.instrs.push_back(std::move(instr));
    }
    f_.nodes.push_back(n);
    return ValueId(f_.nodes.size() - 1);
  }

  Function& f_;
  const Loops loops_;
  Vec<uint32_t> calls_;  // before each block
  bool any_ = false;
  Vec<Loaded> loaded_;
  Vec<uint32_t> by_header_;
  Vec<ValueId> local_;  // by constant: where it was loaded last
  Vec<ValueId> out_;    // of the block at hand
};

}  // namespace

bool load_constants(Function& f) {
  const size_t before = f.nodes.size();
  ConstantLoader(f).run();
  return f.nodes.size() != before;
}

namespace {

bool is_equal(Opcode op) {
  return op == Opcode::I32Eq || op == Opcode::I64Eq || op == Opcode::I32Eqz || op == Opcode::I64Eqz;
}

// Counters of loops. That a counter is c is as well tested by its value in the next round, so that
// the old one need not be kept until then.
class NextRounds {
 public:
  explicit NextRounds(const Function& f) : f_(f), dominators_(f) {}

  // The value in the next round, or kNoValue.
  ValueId of(ValueId counter) const {
    const Node& phi = f_.nodes[counter];
    if (phi.kind != Kind::Phi || phi.arg_count != 2 || f_.blocks[phi.block].loop_end == kNoValue)
      return kNoValue;
    const ValueId next = f_.args_of(phi)[1];
    const Node& n = f_.nodes[next];
    if (n.kind != Kind::Instr || (n.op != Opcode::I32Add && n.op != Opcode::I64Add))
      return kNoValue;
    const auto args = f_.args_of(n);
    return args[0] == counter && f_.nodes[args[1]].kind == Kind::Const ? next : kNoValue;
  }

  // Whether the comparison at the end of block b may be one of that with `c`.
  bool compares(const Node& n, uint32_t b, uint64_t& c) const {
    if (n.kind != Kind::Instr) return false;
    const bool ne = n.op == Opcode::I32Ne || n.op == Opcode::I64Ne;
    if (!ne && !is_equal(n.op)) return false;
    const auto args = f_.args_of(n);
    if (args.size() == 2 && f_.nodes[args[1]].kind != Kind::Const) return false;
    const ValueId next = of(args[0]);
    if (next == kNoValue || !dominators_.dominates(f_.nodes[next].block, b)) return false;
    const bool wide = facts::is_i64(n.op);
    c = (args.size() == 2 ? f_.nodes[args[1]].value : 0) +
        f_.nodes[f_.args_of(f_.nodes[next])[1]].value;
    if (!wide) c = uint32_t(c);
    return !wide || int64_t(c) == int32_t(c);
  }

 private:
  const Function& f_;
  const Dominators dominators_;
};

}  // namespace

bool compare_where_tested(Function& f) {
  const size_t before = f.nodes.size();
  const Vec<uint32_t> uses = count_uses(f);
  const NextRounds next(f);
  Vec<ValueId> out, constants;
  const auto copy_before_test = [&](Node compare, uint32_t place, uint32_t b) {
    compare.block = b;
    const uint32_t first_arg = compare.first_arg;
    compare.first_arg = uint32_t(f.args.size());
    for (uint32_t i = 0; i < compare.arg_count; ++i)
      f.args.push_back(ValueId(f.args[first_arg + i]));
    out.push_back(ValueId(f.nodes.size()));
    f.args[place] = out.back();
    f.nodes.push_back(compare);
  };
  for (uint32_t b = 0; b < f.blocks.size(); ++b) {
    out.clear();
    for (ValueId id : f.blocks[b].nodes) {
      const Node& n = f.nodes[id];
      const bool tests =
          n.kind == Kind::Branch || (n.kind == Kind::Instr && n.op == Opcode::Select);
      if (tests) {
        const uint32_t place = n.first_arg + n.arg_count - 1;
        const ValueId condition = f.args[place];
        Node compare = f.nodes[condition];
        if (uint64_t c; n.kind == Kind::Branch && next.compares(compare, b, c)) {
          const ValueId value = next.of(f.args_of(compare)[0]);
          const ValueId constant = ValueId(f.nodes.size());
          Node k;
          k.kind = Kind::Const;
          k.type = f.nodes[value].type;
          k.value = c;
          k.offset = compare.offset;
          f.nodes.push_back(k);
          constants.push_back(constant);
          compare.op = facts::is_i64(compare.op)
                           ? (is_equal(compare.op) ? Opcode::I64Eq : Opcode::I64Ne)
                           : (is_equal(compare.op) ? Opcode::I32Eq : Opcode::I32Ne);
          compare.first_arg = uint32_t(f.args.size());
          compare.arg_count = 2;
          f.args.push_back(value);
          f.args.push_back(constant);
          copy_before_test(compare, place, b);
          out.push_back(id);
          continue;
        }
        // From another block only what takes no more registers than its result.
        const auto args = f.args_of(compare);
        const bool one_operand =
            args.size() == 1 || (args.size() == 2 && f.nodes[args[1]].kind == Kind::Const);
        if (compare.kind == Kind::Instr && facts::is_comparison(compare.op) &&
            (compare.block == b ? uses[condition] > 1 : one_operand)) {
          copy_before_test(compare, place, b);
        }
      }
      out.push_back(id);
    }
    if (out.size() != f.blocks[b].nodes.size()) f.blocks[b].nodes.assign(out.begin(), out.end());
  }
  auto& entry = f.blocks[0].nodes;
  entry.insert(std::find_if(entry.begin(), entry.end(),
                            [&](ValueId id) { return f.nodes[id].kind != Kind::Param; }),
               constants.begin(), constants.end());
  return f.nodes.size() != before;
}

}  // namespace wafer::compiler
