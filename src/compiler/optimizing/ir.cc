#include "compiler/optimizing/ir.h"

#include <algorithm>
#include <array>

#include "compiler/optimizing/passes.h"

namespace wafer::compiler {

namespace {
constexpr auto kEffects = [] {
  std::array<Effects, size_t(Opcode::Count) + 1> table;
  for (size_t op = 0; op < table.size(); ++op) table[op] = facts::effects(Opcode(op));
  return table;
}();
}  // namespace

Effects effects_of(Opcode op) { return kEffects[std::min(size_t(op), size_t(Opcode::Count))]; }

bool is_root(const Node& n) {
  if (is_terminator(n.kind)) return true;
  return n.kind == Node::Kind::Instr && effects_of(n.op).any();
}

Dominators::Dominators(const Function& f) : first_(f.blocks.size(), 0), size_(f.blocks.size(), 1) {
  const auto count = uint32_t(f.blocks.size());
  // Jumps back add nothing: what dominates the header dominates where they come from. The tree is
  // climbed by steps and by jumps, whose lengths make it logarithmic.
  Vec<uint32_t> above(count, 0), jump(count, 0), depth(count, 0);
  const auto common = [&](uint32_t a, uint32_t b) {
    if (depth[a] < depth[b]) std::swap(a, b);
    while (depth[a] > depth[b]) a = depth[jump[a]] >= depth[b] ? jump[a] : above[a];
    while (a != b) {
      const auto& up = jump[a] != jump[b] ? jump : above;
      a = up[a];
      b = up[b];
    }
    return a;
  };
  for (uint32_t b = 1; b < count; ++b) {
    uint32_t parent = kNoValue;
    for (uint32_t pred : f.blocks[b].preds)
      if (pred < b) parent = parent == kNoValue ? pred : common(parent, pred);
    if (parent == kNoValue) parent = 0;
    above[b] = parent;
    depth[b] = depth[parent] + 1;
    const uint32_t far = jump[parent];
    jump[b] = depth[parent] - depth[far] == depth[far] - depth[jump[far]] ? jump[far] : parent;
  }
  for (uint32_t b = count; b-- > 1;) size_[above[b]] += size_[b];
  Vec<uint32_t> next(count, 1);
  for (uint32_t b = 1; b < count; ++b) {
    first_[b] = next[above[b]];
    next[above[b]] += size_[b];
    next[b] = first_[b] + 1;
  }
}

namespace {

String number(uint64_t n) {
  char digits[24];
  char* at = digits + sizeof digits;
  do *--at = char('0' + n % 10);
  while (n /= 10);
  return String(at, digits + sizeof digits);
}

class Checker {
 public:
  explicit Checker(const Function& f) : f_(f) {}

  String run() {
    if (f_.blocks.empty()) return "no blocks";
    if (!f_.blocks[0].preds.empty()) return "the entry has predecessors";
    place_.assign(f_.nodes.size(), kNoValue);
    for (block_ = 0; block_ < f_.blocks.size() && error_.empty(); ++block_) {
      edges();
      if (error_.empty()) nodes();
    }
    if (!error_.empty()) return error_;
    for (ValueId id = 0; id < f_.nodes.size(); ++id)
      if (f_.nodes[id].kind != Node::Kind::None && place_[id] == kNoValue)
        return "v" + number(id) + " is in no block";
    loops();
    if (!error_.empty()) return error_;
    const Dominators dominators(f_);
    dominators_ = &dominators;
    for (block_ = 0; block_ < f_.blocks.size() && error_.empty(); ++block_)
      for (ValueId id : f_.blocks[block_].nodes) operands(id);
    return error_;
  }

 private:
  using Kind = Node::Kind;

  void fail(const char* what, ValueId id = kNoValue) {
    if (!error_.empty()) return;
    error_ = "b" + number(block_);
    if (id != kNoValue) error_ += " v" + number(id);
    error_ += ": ";
    error_ += what;
  }

  static bool contains_once(const Vec<uint32_t>& list, uint32_t item) {
    return std::count(list.begin(), list.end(), item) == 1;
  }

  void edges() {
    const Block& b = f_.blocks[block_];
    if (block_ && b.preds.empty()) fail("cannot be reached");
    bool forward = block_ == 0, back = false;
    for (uint32_t pred : b.preds) {
      if (pred >= f_.blocks.size()) return fail("predecessor that does not exist");
      if (!contains_once(b.preds, pred)) fail("predecessor twice");
      if (!contains_once(f_.blocks[pred].succs, block_)) fail("predecessor has no edge to it");
      forward |= pred < block_;
      back |= pred >= block_;
    }
    if (!forward) fail("only reached from behind");
    if (back != (b.loop_end != kNoValue)) fail("header without a loop or loop without a header");
    for (uint32_t succ : b.succs) {
      if (succ >= f_.blocks.size()) return fail("successor that does not exist");
      if (!contains_once(b.succs, succ)) fail("successor twice");
      if (!contains_once(f_.blocks[succ].preds, block_)) fail("successor has no edge from it");
      if (b.succs.size() > 1 && f_.blocks[succ].preds.size() > 1) fail("critical edge");
    }
  }

  void nodes() {
    const Block& b = f_.blocks[block_];
    if (b.nodes.empty()) return fail("empty");
    bool phis = true;
    for (size_t i = 0; i < b.nodes.size(); ++i) {
      const ValueId id = b.nodes[i];
      if (id >= f_.nodes.size()) return fail("node that does not exist");
      const Node& n = f_.nodes[id];
      if (place_[id] != kNoValue) return fail("in a block twice", id);
      place_[id] = uint32_t(i);
      if (n.block != block_) fail("names another block", id);
      if (n.kind == Kind::None) fail("was removed", id);
      if (n.first_arg + uint64_t(n.arg_count) > f_.args.size())
        return fail("operands out of bounds", id);
      if (is_terminator(n.kind) != (i + 1 == b.nodes.size())) fail("not the end of the block", id);
      if (n.kind != Kind::Phi)
        phis = false;
      else if (!phis)
        fail("phi behind other nodes", id);
      else if (n.arg_count != b.preds.size())
        fail("not one operand for each predecessor", id);
      if (n.kind == Kind::Result) result(id, i);
      if ((n.kind == Kind::Const || n.kind == Kind::Param) && n.arg_count)
        fail("operands of a constant", id);
      if ((n.kind == Kind::Instr || n.kind == Kind::TailCall) && n.value != kNoImmediates &&
          n.value >= f_.instrs.size())
        fail("immediates out of bounds", id);
      if (is_terminator(n.kind)) terminator(n, id);
    }
  }

  void result(ValueId id, size_t at) {
    const Block& b = f_.blocks[block_];
    const Node& n = f_.nodes[id];
    if (n.arg_count != 1 || n.value == 0) return fail("not a further result", id);
    while (at > 0 && f_.nodes[b.nodes[at - 1]].kind == Kind::Result) --at;
    if (at == 0 || b.nodes[at - 1] != f_.args[n.first_arg] ||
        f_.nodes[b.nodes[at - 1]].kind != Kind::Instr)
      fail("result not behind its call", id);
  }

  void terminator(const Node& n, ValueId id) {
    const Block& b = f_.blocks[block_];
    const size_t succs = b.succs.size();
    switch (n.kind) {
      case Kind::Jump:
        if (succs != 1 || n.arg_count) fail("jump without one successor", id);
        break;
      case Kind::Branch:
        if (succs != 2 || n.arg_count != 1) fail("branch without two successors", id);
        break;
      case Kind::Switch: {
        if (succs < 1 || n.arg_count != 1) return fail("switch without successors", id);
        if (n.value >= f_.targets.size() || f_.targets[n.value] == 0 ||
            f_.targets[n.value] > f_.targets.size() - n.value - 1)
          return fail("targets out of bounds", id);
        for (uint32_t i = 0; i < f_.targets[n.value]; ++i)
          if (f_.targets[n.value + 1 + i] >= succs) fail("target that does not exist", id);
        break;
      }
      default:
        if (succs) fail("successors of what leaves the function", id);
    }
  }

  // Ranges that are in each other or apart, each entered by its header only.
  void loops() {
    Vec<uint32_t> open;  // ends
    for (block_ = 0; block_ < f_.blocks.size(); ++block_) {
      const Block& b = f_.blocks[block_];
      while (!open.empty() && open.back() < block_) open.pop_back();
      if (b.loop_end == kNoValue) continue;
      if (b.loop_end < block_ || b.loop_end >= f_.blocks.size())
        return fail("end of its loop out of bounds");
      if (!open.empty() && b.loop_end > open.back()) return fail("loop that leaves another");
      if (block_ == 0 || b.preds[0] != block_ - 1 || f_.blocks[block_ - 1].succs.size() != 1)
        return fail("loop without a block before it");
      for (size_t i = 1; i < b.preds.size(); ++i)
        if (b.preds[i] < block_ || b.preds[i] > b.loop_end)
          return fail("loop entered from elsewhere");
      for (uint32_t inner = block_ + 1; inner <= b.loop_end; ++inner)
        for (uint32_t pred : f_.blocks[inner].preds)
          if (pred < block_) return fail("loop not entered by its header");
      open.push_back(b.loop_end);
    }
  }

  bool numbers_or_vector(ValType t) const { return t.is_num() || t.kind() == wasm::TypeKind::V128; }

  void operands(ValueId id) {
    const Node& n = f_.nodes[id];
    const auto args = f_.args_of(n);
    const Block& b = f_.blocks[block_];
    for (size_t i = 0; i < args.size(); ++i) {
      if (args[i] >= f_.nodes.size() || f_.nodes[args[i]].kind == Kind::None)
        return fail("operand that does not exist", id);
      const Node& arg = f_.nodes[args[i]];
      if (arg.type.is_bot()) fail("operand that is no value", id);
      if (n.kind == Kind::Phi) {
        if (!dominators_->dominates(arg.block, b.preds[i])) fail("operand not available", id);
        if (numbers_or_vector(n.type) ? arg.type != n.type : numbers_or_vector(arg.type))
          fail("operand of another type", id);
      } else if (arg.block == block_ ? place_[args[i]] >= place_[id]
                                     : !dominators_->dominates(arg.block, block_)) {
        fail("operand not available", id);
      }
    }
    if ((n.kind == Kind::Branch || n.kind == Kind::Switch) && f_.nodes[args[0]].type != wasm::kI32)
      fail("condition of another type", id);
    if (n.kind == Kind::Instr && facts::is_built(n.op)) signature(n, id);
  }

  void signature(const Node& n, ValueId id) {
    const auto args = f_.args_of(n);
    if (n.op == Opcode::Select || n.op == Opcode::SelectT) {
      if (args.size() != 3 || f_.nodes[args[2]].type != wasm::kI32)
        fail("not the operands of a select", id);
      return;
    }
    const wasm::OpSig& sig = facts::row(n.op).sig();
    if (sig.custom) return;
    if (args.size() != sig.param_count) return fail("number of operands", id);
    for (size_t i = 0; i < args.size(); ++i) {
      const ValType type = f_.nodes[args[i]].type;
      if (i == 0 && sig.address_first ? type != wasm::kI32 && type != wasm::kI64
                                      : type != ValType(sig.params[i]))
        fail("operand of another type", id);
    }
    if (n.type != (sig.result_count ? ValType(sig.results[0]) : ValType()))
      fail("another type than it has", id);
  }

  const Function& f_;
  const Dominators* dominators_ = nullptr;
  Vec<uint32_t> place_;  // in the block
  uint32_t block_ = 0;
  String error_;
};

void append_immediates(String& out, Opcode op, const Instr& instr) {
  using wasm::Imm;
  const Imm imm = facts::is_built(op) ? facts::row(op).imm : Imm::None;
  switch (imm) {
    case Imm::None:
    case Imm::SelectT:
      return;
    case Imm::MemArg:
    case Imm::MemArgLane:
      if (instr.index) out += " memory=" + number(instr.index);
      if (instr.offset) out += " offset=" + number(instr.offset);
      if (imm == Imm::MemArgLane) out += " lane=" + number(instr.lane);
      return;
    case Imm::F32:
      out += " " + number(instr.f32_bits);
      return;
    case Imm::F64:
      out += " " + number(instr.f64_bits);
      return;
    case Imm::Lane:
      out += " lane=" + number(instr.lane);
      return;
    case Imm::V128:
    case Imm::Shuffle:
      for (uint8_t byte : instr.v128.bytes) {
        out += ' ';
        out += number(byte);
      }
      return;
    default:
      out += " #" + number(instr.index);
      if (instr.index2) out += " #" + number(instr.index2);
  }
}

}  // namespace

String check(const Function& f) { return Checker(f).run(); }

String to_text(const Function& f) {
  using Kind = Node::Kind;
  String out;
  for (uint32_t b = 0; b < f.blocks.size(); ++b) {
    const Block& block = f.blocks[b];
    out += "b" + number(b) + ":";
    if (!block.preds.empty()) out += " from";
    for (uint32_t pred : block.preds) out += " b" + number(pred);
    if (block.loop_end != kNoValue) out += " loop to b" + number(block.loop_end);
    out += '\n';
    for (ValueId id : block.nodes) {
      const Node& n = f.nodes[id];
      out += "  ";
      if (!n.type.is_bot()) out += "v" + number(id) + " = ";
      switch (n.kind) {
        case Kind::None:
          out += "none";
          break;
        case Kind::Const:
          out += "const " + number(n.value);
          break;
        case Kind::Param:
          out += "param " + number(n.value);
          break;
        case Kind::Phi:
          out += "phi";
          break;
        case Kind::Instr:
        case Kind::TailCall:
          out += facts::is_built(n.op) ? wasm::opcode_info(n.op).text : "illegal";
          break;
        case Kind::Result:
          out += "result " + number(n.value) + " of";
          break;
        case Kind::Jump:
          out += "jump";
          break;
        case Kind::Branch:
          out += "branch";
          break;
        case Kind::Switch:
          out += "switch";
          break;
        case Kind::Return:
          out += "return";
          break;
        case Kind::Trap:
          out += "trap";
          break;
      }
      for (ValueId arg : f.args_of(n)) out += " v" + number(arg);
      if ((n.kind == Kind::Instr || n.kind == Kind::TailCall) && f.immediates(n))
        append_immediates(out, n.op, *f.immediates(n));
      if (n.kind == Kind::Switch && n.value < f.targets.size()) {
        for (uint32_t i = 1; i <= f.targets[n.value]; ++i)
          out += " b" + number(block.succs[f.targets[n.value + i]]);
      } else if (is_terminator(n.kind)) {
        for (uint32_t succ : block.succs) out += " b" + number(succ);
      }
      out += '\n';
    }
  }
  return out;
}

}  // namespace wafer::compiler
