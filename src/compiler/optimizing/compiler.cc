#include "compiler/optimizing/compiler.h"

#include <bit>
#include <utility>

#include "compiler/optimizing/fuse.h"
#include "compiler/optimizing/moves.h"
#include "compiler/optimizing/needs.h"

namespace wafer::compiler {

namespace {

using NodeKind = Node::Kind;

constexpr uint32_t kLoopAlignment = 16;

constexpr uint32_t kPreservedGprs = [] {
  uint32_t all = 0;
  for (const uint8_t r : kLocalGprs) all |= 1u << r;
  return all;
}();

}  // namespace

// Drives the emitters of the baseline compiler: puts the operands of an instruction on its stack
// where the allocator has them, and what it gives where that belongs.
class OptimizingCompiler::Impl final : public BaselineCompiler::Impl {
 public:
  Impl(const wasm::Module& module, const BaselineOptions& options)
      : BaselineCompiler::Impl(module, options), builder_(module, options.code) {
    driven_ = true;
  }
  Result<CompiledFunction> make_code(uint32_t func);

 private:
  // ---- what the allocator is told
  void fuse();
  void lower(const wasm::FuncType& type);
  void lower_node(ValueId id);
  void lower_operands(ValueId id, AllocInstr& in);
  void lower_args(const Node& n, bool anywhere, std::span<const ValType> callee);
  void use(ValueId value, bool anywhere, uint8_t hint = kNoHint);
  void define(ValueId value, bool anywhere, uint8_t hint = kNoHint, uint8_t same = 0);

  // ---- code from what it says
  void take_arguments(const wasm::FuncType& type);
  void choose_temps();
  void forward_blocks();
  void align_loops();
  void emit_block(uint32_t block);
  void emit_node(ValueId id, uint32_t index);
  void emit_branch_to(const Block& block, Cond cond);
  void emit_switch(const Node& n, const Block& block);
  void begin(uint32_t index);
  void push_arg(ValueId value);
  void push_operands(ValueId id);
  void push_load(ValueId load, bool commutes);
  bool left_is_last(const Node& n) const;
  void make(ValueId id);
  void wait(const Node& n, uint32_t index);
  void take_result(Location to, const Operand& from);
  void edge_moves(const Vec<AllocMove>& moves, size_t& next, uint32_t block, uint32_t from,
                  uint32_t to);
  void move_all(std::span<const AllocMove> moves);
  void make_moves();
  void load_constant(Location to, const Node& constant);
  const Label& label(uint32_t block) {
    Label& l = labels_[forward_[block]];
    if (!l.isValid()) l = a_.newLabel();
    return l;
  }

  FunctionBuilder builder_;
  RegisterAllocator allocator_;
  MoveOrder order_;
  Function* f_ = nullptr;
  AllocFunction in_;
  const Allocation* out_ = nullptr;
  Fusion fusion_;
  Vec<bool> by_branch_;    // by node: selections that are branches
  Vec<ValueId> nodes_;     // by instruction
  Vec<uint32_t> edge_;     // by block: its number among predecessors of its only successor
  Vec<uint32_t> forward_;  // by block: where a jump to it leads
  Vec<bool> aligned_;      // by block
  Vec<Label> labels_;
  size_t most_args_ = 0;
  uint32_t temps_ = 0;                                    // registers for temporaries
  uint32_t next_use_ = 0;                                 // of the instruction being made
  size_t next_move_ = 0, next_begin_ = 0, next_end_ = 0;  // in out_
  uint32_t next_block_ = 0;                               // that will be emitted
  Instr plain_;
};

// ---- what the allocator is told -------------------------------------------------------

void OptimizingCompiler::Impl::fuse() {
  FuseOptions options;
  options.most_shift = Machine::kMostScale;
#if defined(__x86_64__)
  options.loads_memory0 = !module_.memories.empty() && is_guarded(module_, options_.code, 0);
  options.loads_vectors = a_.has_avx;
  if (options.loads_memory0) options.memory0_bytes = module_.memories[0].type.limits.min << 16;
#endif
  fusion_.find(*f_, options);
  choose_by_branch(*f_, by_branch_);
}

// Of an instruction that commutes, whether its left operand has to be pushed last.
bool OptimizingCompiler::Impl::left_is_last(const Node& n) const {
  const auto args = f_->args_of(n);
  return args.size() == 2 && fusion_.of(args[0]) == Fused::Load && !facts::is_comparison(n.op);
}

// The operands of a node, in the order in which push_operands() takes them.
void OptimizingCompiler::Impl::lower_operands(ValueId id, AllocInstr& in) {
  const Node& n = f_->nodes[id];
  const Needs needs = needs_of(*f_, n, module_, options_, a_);
  if (const Sum* sum = fusion_.sum(id)) {
    use(sum->x, false);
    use(sum->y, false);
    return;
  }
  in.temp_gprs = uint8_t(in.temp_gprs + needs.temp_gprs);
  in.temp_fprs = uint8_t(in.temp_fprs + needs.temp_fprs);
  const auto args = f_->args_of(n);
  const bool swapped = left_is_last(n);
  for (size_t i = 0; i < args.size(); ++i) {
    const ValueId arg = args[swapped ? 1 - i : i];
    if (fusion_.of(arg) == Fused::Scaled) {
      use(f_->args_of(f_->nodes[arg])[0], false);
    } else if (fusion_.is_fused(arg)) {
      lower_operands(arg, in);
    } else {
      use(arg, needs.memory_args);
    }
  }
}

void OptimizingCompiler::Impl::use(ValueId value, bool anywhere, uint8_t hint) {
  if (f_->nodes[value].kind == NodeKind::Const) return;
  in_.uses.push_back({value, anywhere, hint});
  ++in_.instrs.back().use_count;
}

void OptimizingCompiler::Impl::define(ValueId value, bool anywhere, uint8_t hint, uint8_t same) {
  in_.defs.push_back({value, anywhere, hint, same});
  ++in_.instrs.back().def_count;
}

// Operands of a call, the last ones of which may be no arguments.
void OptimizingCompiler::Impl::lower_args(const Node& n, bool anywhere,
                                          std::span<const ValType> callee) {
  ArgAssigner assign;
  size_t i = 0;
  for (const ValueId arg : f_->args_of(n)) {
    uint8_t hint = kNoHint;
    if (i < callee.size()) {
      const ArgLocation where = assign.next(callee[i++]);
      if (where.kind == ArgLocation::Kind::Gpr) hint = kArgGprs[where.index + 1];
      if (where.kind == ArgLocation::Kind::Fpr) hint = uint8_t(where.index);
    }
    use(arg, anywhere, hint);
  }
}

void OptimizingCompiler::Impl::lower_node(ValueId id) {
  const Node& n = f_->nodes[id];
  AllocInstr& in = in_.instrs.emplace_back();
  nodes_.push_back(id);
  in.first_use = uint32_t(in_.uses.size());
  in.first_def = uint32_t(in_.defs.size());
  const auto args = f_->args_of(n);
  most_args_ = std::max(most_args_, args.size() + 4);
  switch (n.kind) {
    case NodeKind::Branch:
      if (fusion_.is_fused(args[0])) {
        lower_operands(args[0], in);
      } else {
        in.temp_gprs = 1;
        use(args[0], false);
      }
      return;
    case NodeKind::Switch:
      in.temp_gprs = 1;
      use(args[0], false);
      return;
    case NodeKind::Return:
      for (size_t i = 0; i < args.size(); ++i)
        use(args[i], true,
            i != 0                            ? kNoHint
            : is_fpr(f_->nodes[args[0]].type) ? kResultFpr
                                              : kResultGpr);
      return;
    case NodeKind::Jump:
    case NodeKind::Trap:
      return;
    default:
      break;
  }
  const Needs needs = needs_of(*f_, n, module_, options_, a_);
  in.clobbered_gprs = needs.clobbered_gprs;
  in.clobbered_fprs = needs.clobbered_fprs;
  in.early_gprs = needs.early_gprs;
  const Instr* immediates = f_->immediates(n);
  switch (n.op) {
    case Opcode::Call:
    case Opcode::ReturnCall:
      lower_args(n, true, module_.func_type(immediates->index).params);
      break;
    case Opcode::CallIndirect:
    case Opcode::ReturnCallIndirect:
    case Opcode::CallRef:
    case Opcode::ReturnCallRef:
      lower_args(n, true, module_.types[immediates->index].func.params);
      break;
    default:
      lower_operands(id, in);
  }
  if (!n.type.is_bot()) define(id, false, needs.hint, needs.same);
}

void OptimizingCompiler::Impl::lower(const wasm::FuncType& type) {
  in_.values.resize(f_->nodes.size());
  in_.instrs.clear();
  in_.uses.clear();
  in_.defs.clear();
  in_.blocks.clear();
  in_.preds.clear();
  in_.succs.clear();
  in_.params.clear();
  in_.args.clear();
  nodes_.clear();
  edge_.resize(f_->blocks.size());
  most_args_ = std::max<size_t>(type.params.size(), 8);
  in_.gprs = kOperandGprs | kPreservedGprs;
  in_.fprs = kOperandFprs;
  in_.preserved_gprs = kPreservedGprs;
  in_.preserved_fprs = 0;
  for (size_t i = 0; i < f_->nodes.size(); ++i) {
    const ValType t = f_->nodes[i].type;
    in_.values[i] = {is_fpr(t) ? RegClass::Fpr : RegClass::Gpr, uint8_t(slot_count(t))};
  }
  for (uint32_t b = 0; b < f_->blocks.size(); ++b) {
    const Block& block = f_->blocks[b];
    AllocBlock out;
    out.begin = uint32_t(in_.instrs.size());
    out.loop_depth = block.loop_depth;
    out.loop_end = block.loop_end;
    out.first_pred = uint32_t(in_.preds.size());
    out.pred_count = uint32_t(block.preds.size());
    in_.preds.insert(in_.preds.end(), block.preds.begin(), block.preds.end());
    for (uint32_t n = 0; n < block.preds.size(); ++n) edge_[block.preds[n]] = n;
    out.first_succ = uint32_t(in_.succs.size());
    out.succ_count = uint32_t(block.succs.size());
    in_.succs.insert(in_.succs.end(), block.succs.begin(), block.succs.end());
    out.first_param = uint32_t(in_.params.size());
    out.first_arg = uint32_t(in_.args.size());
    if (b == 0) {
      // The first instruction takes the function's parameters.
      AllocInstr& in = in_.instrs.emplace_back();
      nodes_.push_back(kNoValue);
      in.first_def = 0;
      Vec<uint8_t> hints(type.params.size(), kNoHint);
      ArgAssigner assign;
      for (size_t i = 0; i < type.params.size(); ++i) {
        const ArgLocation where = assign.next(type.params[i]);
        if (where.kind == ArgLocation::Kind::Gpr) hints[i] = kArgGprs[where.index + 1];
        if (where.kind == ArgLocation::Kind::Fpr) hints[i] = uint8_t(where.index);
      }
      for (const ValueId id : block.nodes)
        if (f_->nodes[id].kind == NodeKind::Param) define(id, true, hints[f_->nodes[id].value]);
    }
    for (const ValueId id : block.nodes) {
      switch (f_->nodes[id].kind) {
        case NodeKind::Phi:
          in_.params.push_back(id);
          break;
        case NodeKind::Const:
        case NodeKind::Param:
        case NodeKind::None:
          break;
        case NodeKind::Result:
          define(id, true);
          break;
        default:
          if (!fusion_.is_fused(id)) lower_node(id);
      }
    }
    out.param_count = uint32_t(in_.params.size()) - out.first_param;
    for (uint32_t p = 0; p < out.pred_count; ++p) {
      for (uint32_t k = 0; k < out.param_count; ++k) {
        const ValueId arg = f_->args_of(f_->nodes[in_.params[out.first_param + k]])[p];
        in_.args.push_back(f_->nodes[arg].kind == NodeKind::Const ? kNoValue : arg);
      }
    }
    out.end = uint32_t(in_.instrs.size());
    in_.blocks.push_back(out);
  }
}

// ---- code -----------------------------------------------------------------------------

void OptimizingCompiler::Impl::load_constant(Location to, const Node& constant) {
  Operand o;
  o.kind = Kind::Const;
  o.type = constant.type;
  o.value = constant.value;
  take_result(to, o);
}

void OptimizingCompiler::Impl::take_result(Location to, const Operand& from) {
  switch (to.kind) {
    case Location::Kind::None:
      break;
    case Location::Kind::Gpr:
      if (from.kind == Kind::Flags) {
        a_.set_cond(uint8_t(to.index), Cond(from.reg));
      } else {
        load_gpr(uint8_t(to.index), from);
      }
      break;
    case Location::Kind::Fpr:
      load_fpr(uint8_t(to.index), from);
      break;
    case Location::Kind::Slot:
      if (from.kind == Kind::Flags) {
        a_.set_cond(kScratch, Cond(from.reg));
        a_.store_frame(slot_mem(to.index, from.type), kScratch, false);
      } else {
        store_slot(from, to.index);
      }
      break;
  }
}

void OptimizingCompiler::Impl::move_all(std::span<const AllocMove> moves) {
  for (const AllocMove& m : moves) {
    if (m.from.kind == Location::Kind::None) continue;
    order_.add({m.from, m.to, in_.values[m.value].cls, in_.values[m.value].slots,
                is_wide(f_->nodes[m.value].type)});
  }
  make_moves();
}

// Makes all moves that order_ has.
void OptimizingCompiler::Impl::make_moves() {
  const bool done =
      order_.run(out_->slots, {Location::Kind::Gpr, kScratch}, {Location::Kind::Fpr, kScratchFpr2},
                 [this](const LocationMove& m) {
                   using L = Location::Kind;
                   const ValType type = m.slots == 2             ? wasm::kV128
                                        : m.cls == RegClass::Fpr ? wasm::kF64
                                                                 : wasm::kI64;
                   const auto src = uint8_t(m.from.index), dst = uint8_t(m.to.index);
                   if (m.from.kind == L::Gpr && m.to.kind == L::Gpr) {
                     a_.move_gpr(dst, src, true);
                   } else if (m.from.kind == L::Fpr && m.to.kind == L::Fpr) {
                     a_.move_fpr(dst, src);
                   } else if (m.from.kind == L::Gpr && m.to.kind == L::Slot) {
                     a_.store_frame(slot_mem(m.to.index, type), src, true);
                   } else if (m.from.kind == L::Fpr && m.to.kind == L::Slot) {
                     a_.store_fpr(slot_mem(m.to.index, type), src, width_of(type));
                   } else if (m.from.kind == L::Fpr && m.to.kind == L::Gpr) {
                     a_.move_from_fpr(dst, src, m.wide);
                   } else if (m.from.kind == L::Slot && m.to.kind == L::Gpr) {
                     // Above an i32 a slot may hold anything.
                     a_.load_frame(dst, slot_mem(m.from.index, type), m.wide);
                   } else if (m.from.kind == L::Slot && m.to.kind == L::Fpr) {
                     a_.load_fpr(dst, slot_mem(m.from.index, type), width_of(type));
                   } else {
                     a_.load_fpr(kScratchFpr, slot_mem(m.from.index, type), width_of(type));
                     a_.store_fpr(slot_mem(m.to.index, type), kScratchFpr, width_of(type));
                   }
                 });
  if (!done) unsupported_ = true;
}

// Moves of the edge between two blocks, which are listed at `block`.
void OptimizingCompiler::Impl::edge_moves(const Vec<AllocMove>& moves, size_t& next, uint32_t block,
                                          uint32_t from, uint32_t to) {
  const size_t first = next;
  while (next < moves.size() && moves[next].at == block) ++next;
  if (next == first) return;
  const std::span<const AllocMove> all{moves.data() + first, next - first};
  move_all(all);
  for (const AllocMove& m : all) {
    if (m.from.kind != Location::Kind::None) continue;
    const uint32_t edge = f_->blocks[from].succs.size() == 1 ? edge_[from] : 0;
    const ValueId phi = in_.params[in_.blocks[to].first_param + m.param];
    load_constant(m.to, f_->nodes[f_->args_of(f_->nodes[phi])[edge]]);
  }
}

void OptimizingCompiler::Impl::take_arguments(const wasm::FuncType& type) {
  const size_t n = type.params.size();
  // One that nobody uses goes to a slot of its own.
  local_reg_.assign(std::max(n, most_args_), kNoRegister);
  local_slots_.assign(n, out_->slots);
  local_heads_.assign(std::max(n, most_args_), kNone);
  max_slot_ = out_->slots + 2;
  const AllocInstr& in = in_.instrs[0];
  for (uint32_t i = 0; i < in.def_count; ++i) {
    const Node& param = f_->nodes[in_.defs[in.first_def + i].value];
    const Location at = out_->defs[in.first_def + i];
    if (at.kind == Location::Kind::Slot) {
      local_slots_[param.value] = at.index;
    } else if (at.kind != Location::Kind::None) {
      local_reg_[param.value] = uint8_t(at.index);
    }
  }
  take_params(type.params);
}

// Registers that have to be given back at the end hold temporaries only where others do not do.
void OptimizingCompiler::Impl::choose_temps() {
  uint32_t used = out_->used_gprs & kPreservedGprs;
  for (size_t i = 0; i < in_.instrs.size(); ++i) {
    const uint32_t free = out_->free_gprs[i];
    if (std::popcount(free & (kOperandGprs | used)) < in_.instrs[i].temp_gprs)
      used |= free & kPreservedGprs;
  }
  temps_ = kOperandGprs | used;
  local_regs_used_ = 0;
  for (uint32_t i = 0; i < std::size(kLocalGprs); ++i)
    if (used >> kLocalGprs[i] & 1) local_regs_used_ = i + 1;
}

// An empty block needs no code: who jumps there jumps on.
void OptimizingCompiler::Impl::forward_blocks() {
  const size_t n = f_->blocks.size();
  forward_.resize(n);
  Vec<bool> busy(n, false);
  for (const AllocMove& m : out_->begin_moves) busy[m.at] = true;
  for (const AllocMove& m : out_->end_moves) busy[m.at] = true;
  size_t move = out_->moves.size();
  const auto is_empty = [&](uint32_t b) {
    const AllocBlock& block = in_.blocks[b];
    return !busy[b] && block.end - block.begin == 1 &&
           f_->nodes[nodes_[block.begin]].kind == NodeKind::Jump;
  };
  for (auto b = uint32_t(n); b-- > 0;) {
    const AllocBlock& block = in_.blocks[b];
    while (move > 0 && out_->moves[move - 1].at >= block.begin) {
      --move;
      busy[b] = true;
    }
    forward_[b] = b;
    if (b == 0 || !is_empty(b)) continue;
    const uint32_t target = f_->blocks[b].succs[0];
    // A loop of empty blocks has to be somewhere.
    if (target > b) {
      forward_[b] = forward_[target];
    } else if (target < b) {
      const AllocBlock& header = in_.blocks[target];
      if (header.end - header.begin > 1) forward_[b] = target;
    }
  }
}

// Loops without others in them begin where the processor begins to read.
void OptimizingCompiler::Impl::align_loops() {
  const auto n = uint32_t(f_->blocks.size());
  aligned_.assign(n, false);
  uint32_t inner = kNoValue;  // the next header
  for (uint32_t b = n; b-- > 0;) {
    if (f_->blocks[b].loop_end == kNoValue) continue;
    aligned_[b] = inner == kNoValue || inner > f_->blocks[b].loop_end;
    inner = b;
  }
}

// Sets the stage for an instruction.
void OptimizingCompiler::Impl::begin(uint32_t index) {
  const AllocInstr& in = in_.instrs[index];
  stack_.clear();
  lazy_from_ = 0;
  flags_ = false;
  gpr_used_ = fpr_used_ = 0;
  next_slot_ = out_->slots;
  operand_gprs_ = out_->free_gprs[index] & temps_;
  operand_fprs_ = out_->free_fprs[index];
  next_use_ = in.first_use;
  wanted_ = kNoRegister;
  uint32_t held_gprs = 0, held_fprs = 0;
  for (uint32_t u = in.first_use; u < in.first_use + in.use_count; ++u) {
    const Location at = out_->uses[u];
    if (at.kind == Location::Kind::Gpr) held_gprs |= 1u << at.index;
    if (at.kind == Location::Kind::Fpr) held_fprs |= 1u << at.index;
  }
  if (in.def_count && !f_->nodes[nodes_[index]].type.is_bot()) {
    const Location to = out_->defs[in.first_def];
    if (to.kind == Location::Kind::Gpr || to.kind == Location::Kind::Fpr) {
      wanted_ = uint8_t(to.index);
      wanted_fpr_ = to.kind == Location::Kind::Fpr;
      if (wanted_fpr_) {
        operand_fprs_ |= 1u << wanted_ & ~held_fprs;
      } else {
        operand_gprs_ |= 1u << wanted_ & ~held_gprs;
      }
    }
    wanted_type_ = f_->nodes[nodes_[index]].type;
  }
}

void OptimizingCompiler::Impl::push_arg(ValueId value) {
  const Node& n = f_->nodes[value];
  if (n.kind == NodeKind::Const) {
    push_const(n.type, n.value);
    return;
  }
  const uint32_t u = next_use_++;
  const Location at = out_->uses[u];
  if (at.kind == Location::Kind::Slot) {
    push(n.type).slot = at.index;
    return;
  }
  const auto reg = uint8_t(at.index);
  const bool fpr = at.kind == Location::Kind::Fpr;
  const uint32_t bit = 1u << reg;
  // Its register is the instruction's to change, unless another operand is in it as well.
  bool owned = out_->ends[u];
  for (const Operand& o : stack_)
    if (o.kind == Kind::Local && is_fpr(o.type) == fpr && local_reg_[o.local] == reg) owned = false;
  if (owned) {
    if (fpr) {
      operand_fprs_ |= bit;
      push_fpr(n.type, reg);
    } else {
      operand_gprs_ |= bit;
      push_gpr(n.type, reg);
    }
    return;
  }
  // What is made in several steps must not begin where it is still to be read.
  if (wanted_ == reg && wanted_fpr_ == fpr) wanted_ = kNoRegister;
  const auto local = uint32_t(stack_.size());
  Operand& o = push(n.type);
  o.kind = Kind::Local;
  o.local = local;
  local_reg_[local] = reg;
}

// An operand that is read where it is in memory 0.
void OptimizingCompiler::Impl::push_load(ValueId id, bool commutes) {
#if defined(__x86_64__)
  const Node& load = f_->nodes[id];
  offset_ = load.offset;
  push_operands(id);
  Operand base = pop();
  const unsigned width = width_of(load.type);
  const Mem m = address(*f_->immediates(load), base, width);
  if (commutes && base.kind == Kind::Gpr && wanted_ == base.reg && !wanted_fpr_) {
    // The result goes where the address is, which must not be lost before.
    a_.load_narrow(base.reg, m, width, false, is_wide(load.type));
    push_gpr(load.type, base.reg);
    return;
  }
  Operand& o = push(load.type);
  o.kind = Kind::Memory;
  memory_operand_ = m;
#endif
}

void OptimizingCompiler::Impl::push_operands(ValueId id) {
  const Node& n = f_->nodes[id];
  const auto args = f_->args_of(n);
  const bool swapped = left_is_last(n);
  for (size_t i = 0; i < args.size(); ++i) {
    const ValueId arg = args[swapped ? 1 - i : i];
    switch (fusion_.of(arg)) {
      case Fused::Load:
        push_load(arg, !n.type.is_bot() && facts::commutes(n.op));
        break;
      case Fused::Compare:
        push_operands(arg);
        make(arg);
        break;
      case Fused::Scaled: {
        const auto shift = f_->args_of(f_->nodes[arg]);
        push_arg(shift[0]);
        index_shift_ = uint32_t(f_->nodes[shift[1]].value & 31);
        break;
      }
      default:
        push_arg(arg);
    }
  }
}

// Makes the instruction of a node whose operands are on the stack.
void OptimizingCompiler::Impl::make(ValueId id) {
  const Node& n = f_->nodes[id];
  offset_ = n.offset;
  const Instr* in = f_->immediates(n);
  if (in == nullptr) {
    plain_.op = n.op;
    in = &plain_;
  }
  if (!emit(*in)) unsupported_ = true;
}

// What is in registers then stays there: the call, which is out of the way, keeps it.
void OptimizingCompiler::Impl::wait(const Node& n, uint32_t index) {
  offset_ = n.offset;
  if (const Instr* in = f_->immediates(n)) {
    charge_point();
    fuel_count_ = in->index;
    patch_fuel();
  } else {
    poll();
  }
  Wait& w = waits_.back();
  w.gprs = kOperandGprs & in_.gprs & ~out_->free_gprs[index];
  w.fprs = in_.fprs & ~out_->free_fprs[index];
  w.first_slot = out_->slots;
  max_slot_ = std::max(max_slot_,
                       w.first_slot + uint32_t(std::popcount(w.gprs) + 2 * std::popcount(w.fprs)));
}

void OptimizingCompiler::Impl::emit_node(ValueId id, uint32_t index) {
  const Node& n = f_->nodes[id];
  if (n.op == Opcode::Nop) {
    wait(n, index);
    return;
  }
  if (const Sum* sum = fusion_.sum(id)) {
    push_arg(sum->x);
    push_arg(sum->y);
    this->sum(n.op == Opcode::I64Add, sum->shift, sum->constant);
  } else {
    push_operands(id);
    select_by_branch_ = by_branch_[id];
    make(id);
    select_by_branch_ = false;
  }
  if (n.kind == NodeKind::TailCall || unsupported_) return;
  // What it gives: the first result is in a register or the flags, others are in slots beyond
  // those of values.
  const AllocInstr& in = in_.instrs[index];
  const size_t results = stack_.size();
  if (results == 1) {
    const Operand found = pop();
    if (in.def_count) take_result(out_->defs[in.first_def], found);
    return;
  }
  Vec<Operand> all(stack_.begin(), stack_.end());
  drop(uint32_t(results));
  const auto result = [&](uint32_t d) -> const Operand& {
    const Node& def = f_->nodes[in_.defs[in.first_def + d].value];
    return all[def.kind == NodeKind::Result ? size_t(def.value) : 0];
  };
  // One may go to a register that another is in.
  for (uint32_t d = 0; d < in.def_count; ++d) {
    const Operand& r = result(d);
    const Location to = out_->defs[in.first_def + d];
    if ((r.kind != Kind::Gpr && r.kind != Kind::Fpr) || to.kind == Location::Kind::None) continue;
    const bool gpr = r.kind == Kind::Gpr;
    order_.add({{gpr ? Location::Kind::Gpr : Location::Kind::Fpr, r.reg},
                to,
                gpr ? RegClass::Gpr : RegClass::Fpr,
                uint8_t(slot_count(r.type)),
                is_wide(r.type)});
  }
  make_moves();
  for (uint32_t d = 0; d < in.def_count; ++d) {
    const Operand& r = result(d);
    if (r.kind != Kind::Gpr && r.kind != Kind::Fpr) take_result(out_->defs[in.first_def + d], r);
  }
}

void OptimizingCompiler::Impl::emit_branch_to(const Block& block, Cond cond) {
  const uint32_t yes = block.succs[0], no = block.succs[1];
  if (forward_[no] == next_block_) {
    a_.branch(cond, label(yes));
  } else {
    a_.branch(negate(cond), label(no));
    if (forward_[yes] != next_block_) a_.jump(label(yes));
  }
}

void OptimizingCompiler::Impl::emit_switch(const Node& n, const Block& block) {
  push_arg(f_->args_of(n)[0]);
  Operand index = pop();
  const uint32_t* targets = f_->targets.data() + n.value;
  const uint32_t count = *targets++;
  if (count > 1) {
    const uint8_t reg = own_gpr(index);
    a_.compare_imm(reg, count - 1);
    a_.branch(Cond::AboveEqual, label(block.succs[targets[count - 1]]));
    Vec<Label> labels;
    labels.reserve(count - 1);
    for (uint32_t i = 0; i + 1 < count; ++i) labels.push_back(label(block.succs[targets[i]]));
    jump_to_one_of(reg, std::move(labels));
  } else {
    a_.jump(label(block.succs[targets[0]]));
  }
}

void OptimizingCompiler::Impl::emit_block(uint32_t b) {
  const Block& block = f_->blocks[b];
  const AllocBlock& range = in_.blocks[b];
  next_block_ = b + 1;
  while (next_block_ < f_->blocks.size() && forward_[next_block_] != next_block_) ++next_block_;
  if (aligned_[b]) a_.align(asmjit::AlignMode::kCode, kLoopAlignment);
  a_.bind(label(b));
  flags_at_ = kNone;
  if (!block.preds.empty()) edge_moves(out_->begin_moves, next_begin_, b, block.preds[0], b);
  for (uint32_t i = range.begin; i < range.end && !unsupported_; ++i) {
    const size_t first = next_move_;
    while (next_move_ < out_->moves.size() && out_->moves[next_move_].at == i) ++next_move_;
    if (next_move_ > first) move_all({out_->moves.data() + first, next_move_ - first});
    const ValueId id = nodes_[i];
    if (id == kNoValue) continue;  // parameters
    const Node& n = f_->nodes[id];
    if (n.kind == NodeKind::Jump) edge_moves(out_->end_moves, next_end_, b, b, block.succs[0]);
    begin(i);
    switch (n.kind) {
      case NodeKind::Jump:
        if (forward_[block.succs[0]] != next_block_) a_.jump(label(block.succs[0]));
        break;
      case NodeKind::Branch:
        offset_ = n.offset;
        push_operands(id);
        emit_branch_to(block, pop_cond());
        break;
      case NodeKind::Switch:
        offset_ = n.offset;
        emit_switch(n, block);
        break;
      case NodeKind::Return:
        push_operands(id);
        pass_results();
        if (next_block_ < f_->blocks.size()) a_.jump(return_label_);
        break;
      case NodeKind::Trap:
        offset_ = n.offset;
        a_.jump(trap(TrapCode::Unreachable));
        break;
      default:
        emit_node(id, i);
    }
  }
}

Result<CompiledFunction> OptimizingCompiler::Impl::make_code(uint32_t func) {
  const uint32_t begin = module_.functions[func].body.begin;
  const Error unsupported(ErrorKind::Unsupported, "not supported by the optimizing compiler",
                          begin);
  if (options_.heat) return unsupported;
  WAFER_LET(f, builder_.build(func));
  f_ = f;
  optimize(*f_);
  const wasm::FuncType& type = module_.func_type(func);
  fuse();
  lower(type);
  out_ = allocator_.run(in_);
  if (!out_) return unsupported;

  reset_code(module_.functions[func].body.size());
  func_ = func;
  offset_ = begin;
  WAFER_TRY(validator_.begin(func));
  Control& body = control_.emplace_back();
  body.results = type.results;
  return_label_ = a_.newLabel();
  choose_temps();
  enter();
  take_arguments(type);
  forward_blocks();
  align_loops();
  labels_.assign(f_->blocks.size(), Label());
  next_move_ = next_begin_ = next_end_ = 0;
  for (uint32_t b = 0; b < f_->blocks.size() && !unsupported_; ++b)
    if (forward_[b] == b) emit_block(b);
  if (unsupported_) return unsupported;
  a_.bind(return_label_);
  a_.leave_frame(local_regs_used_);
  a_.return_to_caller();
  WAFER_LET(code, finish(func));
  if (WAFER_UNLIKELY(retry_)) return make_code(func);
  return code;
}

OptimizingCompiler::OptimizingCompiler(const wasm::Module& module, const BaselineOptions& options)
    : impl_(make_box<Impl>(module, options)) {}
OptimizingCompiler::~OptimizingCompiler() = default;
Result<CompiledFunction> OptimizingCompiler::compile(uint32_t func) {
  return impl_->make_code(func);
}

std::shared_ptr<FunctionCompiler> make_optimizing_compiler(const wasm::Module& module,
                                                           const BaselineOptions& options) {
  return make_shared_in<OptimizingCompiler>(module, options);
}

runtime::Tier* optimizing_tier() {
  // Never destroyed: stores may outlive statics.
  static BaselineTier* const tier =
      BaselineCompiler::supported() ? new BaselineTier(0, make_optimizing_compiler) : nullptr;
  return tier;
}

}  // namespace wafer::compiler
