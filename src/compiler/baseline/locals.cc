// Which locals live in registers, and what calls make of those.
#include <algorithm>
#include <cstring>
#include <utility>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

namespace {

// A use in a loop counts as many times as one outside of it; beyond this depth it counts no more.
constexpr unsigned kLoopShift = 3, kMaxDepth = 8;
// What a call costs a local in a register that calls do not preserve, in uses: it is stored
// before, if it changed, and loaded after.
constexpr uint64_t kCallCost = 2;

template <size_t N>
constexpr uint32_t bits_of(const uint8_t (&registers)[N], size_t from = 0) {
  uint32_t out = 0;
  for (size_t i = from; i < N; ++i) out |= 1u << registers[i];
  return out;
}
constexpr uint32_t kLocals = bits_of(kVolatileGprs);
static_assert((kLocals & ~kOperandGprs) == 0 && (bits_of(kVolatileFprs) & ~kOperandFprs) == 0);
// These take values before the locals are saved.
static_assert((kLocals & (1u << kArgGprs[1] | 1u << kArgGprs[2] | 1u << kArgGprs[3] |
                          1u << kResultGpr | 1u << kFuncGpr | 1u << kExecGpr)) == 0);
static_assert(((kLocals & ~bits_of(kVolatileGprs, kVolatileAlways)) & 1u << kIndexGpr) == 0);

// Whether the instruction may need many registers for operands at once, or certain ones.
bool needs_many(const Instr& in) {
  using enum Opcode;
  // By the order of the opcode table.
  if (in.op <= I64Extend32S) return in.op == CallIndirect || in.op == ReturnCallIndirect;
  return !(in.op >= I32TruncSatF32S && in.op <= I64TruncSatF64U) && in.op != MemoryCopy &&
         in.op != MemoryFill && !(in.op >= V128Load && in.op <= F64x2ConvertLowI32x4U);
}

}  // namespace

// One pass over the body, whose locals have been read.
void BaselineCompiler::Impl::weigh_locals() {
  local_uses_.assign(validator_.locals().size(), 0);
  call_uses_ = 0;
  many_operands_ = false;
  loops_.clear();
  unsigned depth = 0;
  uint64_t call = 0;
  wasm::InstrReader reader(module_.bytes, validator_.offset(), module_.functions[func_].body.end,
                           module_.features);
  Instr in;
  // What is wrong with the body is told where its code is made.
  while (!reader.at_end() && reader.read(in).ok()) {
    const uint64_t weight = uint64_t{1} << kLoopShift * std::min(depth, kMaxDepth);
    const uint64_t call_before = std::exchange(call, 0);
    many_operands_ |= needs_many(in);
    switch (in.op) {
      case Opcode::LocalGet:
      case Opcode::LocalSet:
      case Opcode::LocalTee:
        if (in.index < local_uses_.size()) local_uses_[in.index] += weight;
        break;
      case Opcode::Block:
      case Opcode::If:
      case Opcode::Loop:
      case Opcode::TryTable:
      case Opcode::Try:
        loops_.push_back(in.op == Opcode::Loop);
        depth += loops_.back();
        break;
      case Opcode::End:
      case Opcode::Delegate:
        if (loops_.empty()) break;  // of the function
        depth -= loops_.back();
        loops_.pop_back();
        break;
      case Opcode::Call:
      case Opcode::CallIndirect:
      case Opcode::CallRef:
        call = weight;
        break;
      case Opcode::Unreachable:
        // The call before it does not return.
        call_uses_ -= call_before;
        break;
      default:
        break;
    }
    call_uses_ += call;
  }
}

// Gives registers to the locals that are used most.
void BaselineCompiler::Impl::choose_locals() {
  constexpr size_t kKept = std::size(kLocalGprs), kMostGprs = kKept + std::size(kVolatileGprs),
                   kFprs = std::size(kVolatileFprs);
  const auto& locals = validator_.locals();
  local_reg_.assign(locals.size(), kNoRegister);
  // A look at the body pays where there is something to choose, and a loop to be quick in: its
  // opcode at least is there.
  const Bytes body = module_.bytes.subspan(validator_.offset(),
                                           module_.functions[func_].body.end - validator_.offset());
  if (std::memchr(body.data(), 0x03, body.size()) == nullptr ||
      (locals.size() <= kKept && std::ranges::none_of(locals, is_fpr))) {
    for (size_t i = 0; i < locals.size() && local_regs_used_ < kKept; ++i)
      if (!is_fpr(locals[i])) local_reg_[i] = kLocalGprs[local_regs_used_++];
    return;
  }
  weigh_locals();
  // The best of each class, most used first; few, so they are kept in order as they come.
  uint32_t gprs[kMostGprs], fprs[kFprs];
  const size_t most_gprs = many_operands_ ? kKept + kVolatileAlways : kMostGprs;
  size_t gpr_count = 0, fpr_count = 0;
  const auto offer = [&](uint32_t* best, size_t& count, size_t most, uint32_t local) {
    size_t at = count;
    while (at > 0 && local_uses_[best[at - 1]] < local_uses_[local]) --at;
    if (at == most) return;
    if (count < most) ++count;
    for (size_t i = count; --i > at;) best[i] = best[i - 1];
    best[at] = local;
  };
  for (uint32_t i = 0; i < locals.size(); ++i) {
    if (!local_uses_[i]) continue;
    if (is_fpr(locals[i])) {
      offer(fprs, fpr_count, kFprs, i);
    } else {
      offer(gprs, gpr_count, most_gprs, i);
    }
  }
  local_regs_used_ = uint32_t(std::min(gpr_count, kKept));
  for (size_t i = 0; i < local_regs_used_; ++i) local_reg_[gprs[i]] = kLocalGprs[i];
  const auto give = [&](uint32_t local, uint8_t reg, uint32_t& operands) {
    if (local_uses_[local] <= kCallCost * call_uses_) return;
    local_reg_[local] = reg;
    operands &= ~(1u << reg);
    volatile_locals_.push_back(local);
  };
  for (size_t i = kKept; i < gpr_count; ++i) give(gprs[i], kVolatileGprs[i - kKept], operand_gprs_);
  for (size_t i = 0; i < fpr_count; ++i) give(fprs[i], kVolatileFprs[i], operand_fprs_);
  any_local_changed();
}

// Parameters come in registers, and go to those of the locals or to slots.
void BaselineCompiler::Impl::take_params(std::span<const ValType> types) {
  Move gprs[kGprArgs], fprs[kFprArgs];
  size_t gpr_count = 0, fpr_count = 0;
  bool spilled = false;
  ArgAssigner assign;
  for (uint32_t i = 0; i < types.size(); ++i) {
    const ArgLocation where = assign.next(types[i]);
    if (where.kind == ArgLocation::Kind::Spill) {
      spilled = true;
      continue;
    }
    Operand from;
    from.type = types[i];
    const bool fpr = where.kind == ArgLocation::Kind::Fpr;
    from.kind = fpr ? Kind::Fpr : Kind::Gpr;
    from.reg = fpr ? uint8_t(where.index) : kArgGprs[where.index + 1];
    if (local_reg_[i] == kNoRegister) {
      store_mem(local_home(i), from);
    } else if (fpr) {
      fprs[fpr_count++] = {local_reg_[i], from};
    } else {
      if (from.reg == local_reg_[i] && !is_wide(from.type)) a_.zero_extend(from.reg);
      gprs[gpr_count++] = {local_reg_[i], from};
    }
  }
  move_args(gprs, gpr_count, fprs, fpr_count);
  // By now a parameter may be in the register that leads to the others.
  uint8_t exec = kExecGpr;
  if (driven_ && spilled) a_.load_word(exec = kScratch, kContext, layout::kCtxExec);
  ArgAssigner again;
  for (uint32_t i = 0; i < types.size(); ++i) {
    const ArgLocation where = again.next(types[i]);
    if (where.kind != ArgLocation::Kind::Spill) continue;
    const Mem from = at(exec, int64_t(layout::kExecSpill) + 8 * where.index);
    const uint8_t reg = local_reg_[i];
    if (reg == kNoRegister) {
      a_.load_fpr(kScratchFpr, from, width_of(types[i]));
      a_.store_fpr(local_home(i), kScratchFpr, width_of(types[i]));
    } else if (is_fpr(types[i])) {
      a_.load_fpr(reg, from, width_of(types[i]));
    } else {
      a_.load_gpr(reg, from, is_wide(types[i]));
    }
  }
}

uint8_t BaselineCompiler::Impl::target(bool fpr) {
  if (driven_) {
    if (wanted_ == kNoRegister || wanted_fpr_ != fpr) return kNoRegister;
    const uint32_t bit = 1u << wanted_;
    if ((fpr ? fpr_used_ : gpr_used_) & bit) return kNoRegister;
    // From now on it is nobody else's.
    (fpr ? operand_fprs_ : operand_gprs_) &= ~bit;
    return wanted_;
  }
  const uint8_t* next = module_.bytes.data() + validator_.offset();
  constexpr uint8_t kSet = 0x21, kTee = 0x22;
  // The body's end follows at least; indices of more than a byte are not worth a look.
  if ((next[0] != kSet && next[0] != kTee) || next[1] >= local_reg_.size() || next[1] >= 0x80)
    return kNoRegister;
  const uint32_t local = next[1];
  if (local_reg_[local] == kNoRegister || local_heads_[local] != kNone ||
      is_fpr(validator_.locals()[local]) != fpr)
    return kNoRegister;
  return local_reg_[local];
}

// As an operand that is in the register itself, if it is a local that has one.
Operand BaselineCompiler::Impl::in_register(const Operand& o) const {
  Operand r = o;
  if (!is_register_local(o)) return r;
  r.kind = is_fpr(o.type) ? Kind::Fpr : Kind::Gpr;
  r.reg = local_reg_[o.local];
  return r;
}

void BaselineCompiler::Impl::load_local(uint32_t local, const Operand& o) {
  const uint8_t reg = local_reg_[local];
  if (is_fpr(validator_.locals()[local])) {
    load_fpr(reg, o);
    changed_fprs_ |= 1u << reg;
  } else {
    load_gpr(reg, o);
    changed_gprs_ |= 1u << reg;
  }
}

// Whether calls do not preserve the register of `local`.
bool BaselineCompiler::Impl::is_volatile(uint32_t local) const {
  return std::ranges::find(volatile_locals_, local) != volatile_locals_.end();
}

// Before a call, and before its arguments take registers: locals whose registers it does not
// preserve go to their slots.
void BaselineCompiler::Impl::save_locals() {
  for (const uint32_t local : volatile_locals_) {
    const ValType type = validator_.locals()[local];
    const uint8_t reg = local_reg_[local];
    if (!((is_fpr(type) ? changed_fprs_ : changed_gprs_) >> reg & 1)) continue;
    if (is_fpr(type)) {
      a_.store_fpr(local_home(local), reg, width_of(type));
    } else {
      a_.store_gpr(local_home(local), reg, is_wide(type));
    }
  }
}

// And after it they come back. Leaves all other registers and the flags alone.
void BaselineCompiler::Impl::reload_locals() {
  for (const uint32_t local : volatile_locals_) {
    const ValType type = validator_.locals()[local];
    if (is_fpr(type)) {
      a_.load_fpr(local_reg_[local], local_home(local), width_of(type));
    } else {
      a_.load_gpr(local_reg_[local], local_home(local), is_wide(type));
    }
  }
}

}  // namespace wafer::compiler
