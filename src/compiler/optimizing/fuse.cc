#include "compiler/optimizing/fuse.h"

#include <utility>

namespace wafer::compiler {

using Kind = Node::Kind;

namespace {

bool is_instr(const Node& n) { return n.kind == Kind::Instr; }
bool is_add(Opcode op) { return op == Opcode::I32Add || op == Opcode::I64Add; }
bool is_test(const Node& n) {
  return n.kind == Kind::Branch || (is_instr(n) && n.op == Opcode::Select);
}

enum Side : uint8_t { kNeither = 0, kLeft = 1, kRight = 2, kEither = 3 };

// Which operand of an instruction may be in memory, and by which load.
struct Folds {
  Side side = kNeither;
  Opcode load = Opcode::Illegal;
};
Folds folds(Opcode op, const FuseOptions& options) {
  using enum Opcode;
  if (facts::within(op, I32Eq, I32GeU)) return {kEither, I32Load};
  if (facts::within(op, I64Eq, I64GeU)) return {kEither, I64Load};
  switch (op) {
    case I32Eqz:
      return {kLeft, I32Load};
    case I64Eqz:
      return {kLeft, I64Load};
    case I32Add:
    case I32Mul:
    case I32And:
    case I32Or:
    case I32Xor:
      return {kEither, I32Load};
    case I32Sub:
      return {kRight, I32Load};
    case I64Add:
    case I64Mul:
    case I64And:
    case I64Or:
    case I64Xor:
      return {kEither, I64Load};
    case I64Sub:
      return {kRight, I64Load};
    case F32Add:
    case F32Mul:
      return {options.float_operations ? kEither : kNeither, F32Load};
    case F32Sub:
    case F32Div:
      return {options.float_operations ? kRight : kNeither, F32Load};
    case F64Add:
    case F64Mul:
      return {options.float_operations ? kEither : kNeither, F64Load};
    case F64Sub:
    case F64Div:
      return {options.float_operations ? kRight : kNeither, F64Load};
    case V128And:
    case V128Or:
    case V128Xor:
    case I8x16Add:
    case I16x8Add:
    case I32x4Add:
    case I64x2Add:
    case I16x8Mul:
    case I32x4Mul:
    case F32x4Add:
    case F32x4Mul:
    case F64x2Add:
    case F64x2Mul:
      return {options.loads_vectors ? kEither : kNeither, V128Load};
    case I8x16Sub:
    case I16x8Sub:
    case I32x4Sub:
    case I64x2Sub:
    case F32x4Sub:
    case F32x4Div:
    case F64x2Sub:
    case F64x2Div:
      return {options.loads_vectors ? kRight : kNeither, V128Load};
    default:
      return {};
  }
}

}  // namespace

// Whether nobody else uses the instruction, which is in the user's block.
bool Fusion::single(ValueId id, const Node& user) const {
  const Node& n = f_->nodes[id];
  return is_instr(n) && uses_[id] == 1 && n.block == user.block && fused_[id] == Fused::No &&
         sum_[id] == kNoValue;
}

bool Fusion::constant(ValueId id, uint64_t& value) const {
  value = f_->nodes[id].value;
  return f_->nodes[id].kind == Kind::Const;
}

bool Fusion::is_add_of(ValueId id, const Node& user, Opcode op) const {
  return single(id, user) && f_->nodes[id].op == op;
}

void Fusion::find_sum(ValueId id) {
  const Node& n = f_->nodes[id];
  const auto args = f_->args_of(n);
  const bool wide = n.op == Opcode::I64Add;
  ValueId parts[3];
  size_t count = 0;
  ValueId terms[] = {args[0], args[1]};
  uint64_t c;
  int64_t sum = 0;
  if (constant(args[0], c)) return;
  if (constant(args[1], c)) {
    // (a + b) + c
    if (!is_add_of(args[0], n, n.op)) return;
    const auto inner = f_->args_of(f_->nodes[args[0]]);
    if (uint64_t other; constant(inner[0], other) || constant(inner[1], other)) return;
    sum = wide ? int64_t(c) : int32_t(uint32_t(c));
    terms[0] = inner[0];
    terms[1] = inner[1];
    parts[count++] = args[0];
  } else {
    for (ValueId& term : terms) {
      if (!is_add_of(term, n, n.op)) continue;
      const auto inner = f_->args_of(f_->nodes[term]);
      uint64_t other;
      if (!constant(inner[1], c) || constant(inner[0], other)) continue;
      sum = wide ? int64_t(c) : int32_t(uint32_t(c));
      if (sum != int32_t(sum)) {
        sum = 0;
        continue;
      }
      parts[count++] = term;
      term = inner[0];
      break;
    }
  }
  if (sum != int32_t(sum)) return;
  uint8_t shift = 0;
  for (size_t i = 2; i-- > 0;) {
    // The other operand of the same instruction is one of two uses, or of another block.
    if (!single(terms[i], n) || f_->nodes[terms[i]].op != (wide ? Opcode::I64Shl : Opcode::I32Shl))
      continue;
    const auto inner = f_->args_of(f_->nodes[terms[i]]);
    uint64_t other;
    if (!constant(inner[1], c) || constant(inner[0], other)) continue;
    c &= wide ? 63 : 31;
    if (c == 0 || c > options_.most_shift) continue;
    shift = uint8_t(c);
    parts[count++] = terms[i];
    terms[i] = inner[0];
    if (i == 0) std::swap(terms[0], terms[1]);
    break;
  }
  if (!count) return;
  for (size_t i = 0; i < count; ++i) fused_[parts[i]] = Fused::Part;
  sum_[id] = uint32_t(sums_.size());
  sums_.push_back({terms[0], terms[1], int32_t(sum), shift});
}

// Whether all that it may read is always there.
bool Fusion::is_safe(const Node& load) const {
  const Instr& in = *f_->immediates(load);
  const uint64_t size = facts::access_size(load.op);
  return in.index == 0 && in.offset <= options_.memory0_bytes &&
         most(*f_, f_->args_of(load)[0]) + in.offset + size <= options_.memory0_bytes;
}

void Fusion::find_scale(ValueId id) {
  const Node& n = f_->nodes[id];
  const Instr& in = *f_->immediates(n);
  if (in.index != 0 || in.offset > 0x7FFFFFFF) return;
  const ValueId address = f_->args_of(n)[0];
  if (!single(address, n) || f_->nodes[address].op != Opcode::I32Shl) return;
  const auto args = f_->args_of(f_->nodes[address]);
  uint64_t c, x;
  if (!constant(args[1], c) || constant(args[0], x)) return;
  c &= 31;
  if (c == 0 || c > options_.most_shift || most(*f_, args[0]) >> (32 - c)) return;
  fused_[address] = Fused::Scaled;
}

bool Fusion::try_load(ValueId id, const Node& user) {
  const Node& load = f_->nodes[id];
  // Nothing that has an effect may stand between the load and where it is read.
  if (!single(id, user) || load.op != folds(user.op, options_).load ||
      after_[id] != (safe_[id] ? writes_ : effects_))
    return false;
  const Instr& in = *f_->immediates(load);
  uint64_t c;
  if (in.index != 0 || in.offset > 0x7FFFFFFF || constant(f_->args_of(load)[0], c)) return false;
  fused_[id] = Fused::Load;
  return true;
}

void Fusion::find_loads(ValueId id) {
  const Node& n = f_->nodes[id];
  const Side side = folds(n.op, options_).side;
  if (side == kNeither || sum_[id] != kNoValue) return;
  const auto args = f_->args_of(n);
  // A constant is better in the instruction than a load.
  if (!facts::is_comparison(n.op))
    for (uint64_t c; const ValueId arg : args)
      if (constant(arg, c)) return;
  if (side & kRight && try_load(args[1], n)) return;
  if (side & kLeft) try_load(args[0], n);
}

void Fusion::find(const Function& f, const FuseOptions& options) {
  f_ = &f;
  options_ = options;
  uses_ = count_uses(f);
  fused_.assign(f.nodes.size(), Fused::No);
  sum_.assign(f.nodes.size(), kNoValue);
  after_.assign(f.nodes.size(), kNoValue);
  safe_.assign(f.nodes.size(), false);
  sums_.clear();
  for (const Block& b : f.blocks) {
    // From the end, so that who uses a sum comes before its parts.
    for (size_t i = b.nodes.size(); i-- > 0;) {
      const ValueId id = b.nodes[i];
      const Node& n = f.nodes[id];
      if (is_test(n)) {
        const ValueId condition = f.args_of(n).back();
        if (single(condition, n) && facts::is_comparison(f.nodes[condition].op))
          fused_[condition] = Fused::Compare;
      } else if (is_instr(n) && is_add(n.op) && fused_[id] == Fused::No) {
        find_sum(id);
      }
    }
    if (!options.loads_memory0) continue;
    effects_ = writes_ = 0;
    for (const ValueId id : b.nodes) {
      const Node& n = f.nodes[id];
      if (is_test(n)) {
        const ValueId condition = f.args_of(n).back();
        if (fused_[condition] == Fused::Compare) find_loads(condition);
      }
      if (!is_instr(n)) continue;
      if (fused_[id] == Fused::No) find_loads(id);
      const Effects effects = effects_of(n.op);
      const bool load = facts::is_load(n.op);
      if (facts::is_memory_access(n.op)) find_scale(id);
      safe_[id] = load && is_safe(n);
      effects_ += effects.any() && !safe_[id];
      writes_ += effects.writes || effects.calls;
      if (load) after_[id] = safe_[id] ? writes_ : effects_;
    }
  }
}

}  // namespace wafer::compiler
