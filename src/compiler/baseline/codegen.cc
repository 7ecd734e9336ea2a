// Frames, registers and the operand stack; compiling one function.
#include "compiler/baseline/codegen.h"

#include <bit>
#include <cstring>

#include "base/leb128.h"

namespace wafer::compiler {

namespace {

// Slots that a frame may have; 8 MiB, far beyond any call stack's worth.
constexpr uint32_t kMaxSlots = 1u << 20;

}  // namespace

void BaselineCompiler::Impl::Errors::handleError(asmjit::Error, const char* text,
                                                 asmjit::BaseEmitter*) {
  if (message.empty()) message = text;
}

BaselineCompiler::Impl::Impl(const wasm::Module& module, const BaselineOptions& options)
    : module_(module), options_(options), validator_(module) {
  const auto& features = asmjit::CpuInfo::host().features().x86();
  bmi1_ = features.hasBMI();
  bmi2_ = features.hasBMI2();
  lzcnt_ = features.hasLZCNT();
}

bool BaselineCompiler::supported() {
  const auto& features = asmjit::CpuInfo::host().features().x86();
  return features.hasSSE4_2() && features.hasPOPCNT();
}

BaselineCompiler::BaselineCompiler(const wasm::Module& module, const BaselineOptions& options)
    : impl_(make_box<Impl>(module, options)) {}
BaselineCompiler::~BaselineCompiler() = default;
Result<CompiledFunction> BaselineCompiler::compile(uint32_t func) { return impl_->compile(func); }
Result<CompiledFunction> BaselineCompiler::lazy_entries(void* (*compile)(VmContext*, uint32_t,
                                                                         void*),
                                                        void* user, size_t& first) {
  return impl_->lazy_entries(compile, user, first);
}
Result<CompiledFunction> BaselineCompiler::interpreter_stub(uint32_t func,
                                                            void (*attach)(FuncInst*)) {
  return impl_->interpreter_stub(func, attach);
}

// ---- registers ----------------------------------------------------------------------

uint8_t BaselineCompiler::Impl::alloc_gpr() {
  uint32_t free = kOperandGprs & ~gpr_used_;
  if (WAFER_UNLIKELY(!free)) {
    // The operand that is needed last makes room.
    uint32_t lowest = kNone;
    for (uint32_t regs = kOperandGprs; regs; regs &= regs - 1)
      lowest = std::min(lowest, gpr_owner_[std::countr_zero(regs)]);
    spill(lowest);
    free = kOperandGprs & ~gpr_used_;
  }
  const auto reg = uint8_t(std::countr_zero(free));
  gpr_used_ |= 1u << reg;
  gpr_owner_[reg] = kNone;
  return reg;
}

uint8_t BaselineCompiler::Impl::alloc_xmm() {
  uint32_t free = kOperandXmms & ~xmm_used_;
  if (WAFER_UNLIKELY(!free)) {
    uint32_t lowest = kNone;
    for (uint32_t regs = kOperandXmms; regs; regs &= regs - 1)
      lowest = std::min(lowest, xmm_owner_[std::countr_zero(regs)]);
    spill(lowest);
    free = kOperandXmms & ~xmm_used_;
  }
  const auto reg = uint8_t(std::countr_zero(free));
  xmm_used_ |= 1u << reg;
  xmm_owner_[reg] = kNone;
  return reg;
}

// Takes `reg` for the caller; an operand that lives there moves. Must not be held by a
// popped operand.
void BaselineCompiler::Impl::claim_gpr(uint8_t reg) {
  const uint32_t bit = 1u << reg;
  if (gpr_used_ & bit) {
    const uint32_t owner = gpr_owner_[reg];
    const uint32_t free = kOperandGprs & ~gpr_used_;
    if (free) {
      const auto other = uint8_t(std::countr_zero(free));
      a_.mov(gp(other, true), gp(reg, true));
      stack_[owner].reg = other;
      gpr_used_ |= 1u << other;
      gpr_owner_[other] = owner;
    } else {
      spill(owner);
    }
  }
  gpr_used_ |= bit;
  gpr_owner_[reg] = kNone;
}

void BaselineCompiler::Impl::load_imm(uint8_t dst, uint64_t value) {
  // Not by xor: flags may be live.
  if (value <= 0xFFFFFFFFu) {
    if (WAFER_LIKELY(a_.remainingSpace() >= 16)) {
      uint8_t* p = a_.bufferPtr();
      if (dst >= 8) *p++ = 0x41;
      *p++ = uint8_t(0xB8 | (dst & 7));
      const auto low = uint32_t(value);
      std::memcpy(p, &low, 4);
      a_._bufferPtr = p + 4;
    } else {
      a_.mov(gp(dst, false), uint32_t(value));
    }
  } else {
    a_.mov(gp(dst, true), int64_t(value));
  }
}

void BaselineCompiler::Impl::load_xmm_mem(uint8_t dst, const x86::Mem& m, ValType type) {
  switch (type.kind()) {
    case TypeKind::F32:
      a_.movss(xmm(dst), m);
      break;
    case TypeKind::F64:
      a_.movsd(xmm(dst), m);
      break;
    default:
      a_.movups(xmm(dst), m);
  }
}

void BaselineCompiler::Impl::store_xmm_mem(const x86::Mem& m, uint8_t src, ValType type) {
  switch (type.kind()) {
    case TypeKind::F32:
      a_.movss(m, xmm(src));
      break;
    case TypeKind::F64:
      a_.movsd(m, xmm(src));
      break;
    default:
      a_.movups(m, xmm(src));
  }
}

x86::Mem BaselineCompiler::Impl::home(const Operand& o) const {
  return slot_mem(o.kind == Kind::Local ? local_slots_[o.local] : o.slot, o.type);
}

void BaselineCompiler::Impl::load_gpr(uint8_t dst, const Operand& o) {
  const bool wide = is_wide(o.type);
  switch (o.kind) {
    case Kind::Gpr:
      move_gpr(dst, o.reg, wide);
      break;
    case Kind::Const:
      load_imm(dst, o.value);
      break;
    case Kind::Local:
      if (local_reg_[o.local]) {
        move_gpr(dst, local_reg_[o.local], wide);
        break;
      }
      [[fallthrough]];
    default:
      op_frame(kMov, wide, dst, home(o), false);
  }
}

void BaselineCompiler::Impl::load_xmm(uint8_t dst, const Operand& o) {
  switch (o.kind) {
    case Kind::Xmm:
      move_xmm(dst, o.reg);
      break;
    case Kind::Const:
      if (o.value == 0) {
        a_.xorps(xmm(dst), xmm(dst));
        break;
      }
      load_imm(kScratch, o.value);
      if (o.type.kind() == TypeKind::F32) {
        a_.movd(xmm(dst), gp(kScratch, false));
      } else {
        a_.movq(xmm(dst), gp(kScratch, true));
      }
      break;
    default:
      load_xmm_mem(dst, home(o), o.type);
  }
}

uint8_t BaselineCompiler::Impl::use_gpr(Operand& o) {
  if (o.kind == Kind::Gpr) return o.reg;
  if (o.kind == Kind::Local && local_reg_[o.local]) return local_reg_[o.local];
  return own_gpr(o);
}

uint8_t BaselineCompiler::Impl::own_gpr(Operand& o) {
  if (o.kind == Kind::Gpr) return o.reg;
  const uint8_t reg = alloc_gpr();
  load_gpr(reg, o);
  o.kind = Kind::Gpr;
  o.reg = reg;
  return reg;
}

uint8_t BaselineCompiler::Impl::own_xmm(Operand& o) {
  if (o.kind == Kind::Xmm) return o.reg;
  const uint8_t reg = alloc_xmm();
  load_xmm(reg, o);
  o.kind = Kind::Xmm;
  o.reg = reg;
  return reg;
}

uint8_t BaselineCompiler::Impl::use_xmm(Operand& o) { return own_xmm(o); }

Source BaselineCompiler::Impl::source(Operand& o) {
  if (o.kind == Kind::Const) {
    const auto value = int64_t(o.value);
    if (!is_wide(o.type)) return {Source::Kind::Imm, 0, int32_t(uint32_t(o.value)), {}};
    if (value == int32_t(value)) return {Source::Kind::Imm, 0, int32_t(value), {}};
  } else if (in_memory(o)) {
    return {Source::Kind::Mem, 0, 0, home(o)};
  }
  return {Source::Kind::Reg, use_gpr(o), 0, {}};
}

void BaselineCompiler::Impl::store_mem(const x86::Mem& m, const Operand& o) {
  const bool wide = is_wide(o.type);
  switch (o.kind) {
    case Kind::Gpr:
      a_.mov(m, gp(o.reg, wide));
      return;
    case Kind::Xmm:
      store_xmm_mem(m, o.reg, o.type);
      return;
    case Kind::Const: {
      x86::Mem to = m;
      const auto value = int64_t(o.value);
      if (o.type.kind() == TypeKind::I32 || o.type.kind() == TypeKind::F32) {
        to.setSize(4);
        a_.mov(to, int32_t(uint32_t(o.value)));
      } else if (value == int32_t(value)) {
        to.setSize(8);
        a_.mov(to, int32_t(value));
      } else {
        to.setSize(4);
        a_.mov(to, int32_t(uint32_t(o.value)));
        to.addOffset(4);
        a_.mov(to, int32_t(uint32_t(o.value >> 32)));
      }
      return;
    }
    case Kind::Local:
      if (local_reg_[o.local]) {
        a_.mov(m, gp(local_reg_[o.local], wide));
        return;
      }
      [[fallthrough]];
    default:
      load_xmm_mem(kScratchXmm, home(o), is_fpr(o.type) ? o.type : wide ? wasm::kF64 : wasm::kF32);
      store_xmm_mem(m, kScratchXmm, is_fpr(o.type) ? o.type : wide ? wasm::kF64 : wasm::kF32);
  }
}

// ---- operand stack ------------------------------------------------------------------

Operand& BaselineCompiler::Impl::push(ValType type) {
  Operand& o = stack_.emplace_back();
  o.type = type;
  o.slot = next_slot_;
  next_slot_ += slot_count(type);
  if (next_slot_ > max_slot_) max_slot_ = next_slot_;
  return o;
}

void BaselineCompiler::Impl::push_gpr(ValType type, uint8_t reg) {
  gpr_used_ |= 1u << reg;
  gpr_owner_[reg] = uint32_t(stack_.size());
  Operand& o = push(type);
  o.kind = Kind::Gpr;
  o.reg = reg;
}

void BaselineCompiler::Impl::push_xmm(ValType type, uint8_t reg) {
  xmm_used_ |= 1u << reg;
  xmm_owner_[reg] = uint32_t(stack_.size());
  Operand& o = push(type);
  o.kind = Kind::Xmm;
  o.reg = reg;
}

void BaselineCompiler::Impl::push_const(ValType type, uint64_t value) {
  Operand& o = push(type);
  o.kind = Kind::Const;
  o.value = value;
}

void BaselineCompiler::Impl::push_local(uint32_t local) {
  Operand& o = push(validator_.locals()[local]);
  o.kind = Kind::Local;
  o.local = local;
  o.next_same = local_heads_[local];
  local_heads_[local] = uint32_t(stack_.size() - 1);
}

void BaselineCompiler::Impl::push_flags(Cond cond) {
  Operand& o = push(wasm::kI32);
  o.kind = Kind::Flags;
  o.reg = uint8_t(cond);
  flags_ = true;
}

Operand BaselineCompiler::Impl::pop() {
  const Operand o = stack_.back();
  stack_.pop_back();
  next_slot_ = o.slot;
  switch (o.kind) {
    case Kind::Local:
      local_heads_[o.local] = o.next_same;
      break;
    case Kind::Gpr:
      gpr_owner_[o.reg] = kNone;
      break;
    case Kind::Xmm:
      xmm_owner_[o.reg] = kNone;
      break;
    case Kind::Flags:
      flags_ = false;
      break;
    default:
      break;
  }
  if (lazy_from_ > stack_.size()) lazy_from_ = uint32_t(stack_.size());
  return o;
}

// Puts operand `index`, which is in a register, into its slot.
void BaselineCompiler::Impl::spill(uint32_t index) {
  Operand& o = stack_[index];
  store_slot(o, o.slot);
  release(o);
  o.kind = Kind::Slot;
}

// Spills what registers hold of the operands below stack index `below`.
void BaselineCompiler::Impl::spill_registers(uint32_t below) {
  for (uint32_t regs = gpr_used_ & kOperandGprs; regs; regs &= regs - 1) {
    const uint32_t owner = gpr_owner_[std::countr_zero(regs)];
    if (owner < below) spill(owner);
  }
  for (uint32_t regs = xmm_used_ & kOperandXmms; regs; regs &= regs - 1) {
    const uint32_t owner = xmm_owner_[std::countr_zero(regs)];
    if (owner < below) spill(owner);
  }
}

// Puts every operand into its own slot: what merges of control flow rely on. Constants
// below stack index `keep_const_below` may stay: they cannot change.
void BaselineCompiler::Impl::materialize_all(uint32_t keep_const_below) {
  for (auto i = std::min(lazy_from_, keep_const_below); i < stack_.size(); ++i) {
    Operand& o = stack_[i];
    if (o.kind == Kind::Slot || (o.kind == Kind::Const && i < keep_const_below)) continue;
    store_slot(o, o.slot);
    if (o.kind == Kind::Local) local_heads_[o.local] = kNone;
    release(o);
    o.kind = Kind::Slot;
  }
  lazy_from_ = uint32_t(stack_.size());
}

void BaselineCompiler::Impl::materialize_flags() {
  const auto cond = Cond(pop().reg);
  const uint8_t reg = alloc_gpr();
  const auto low = x86::gpb_lo(reg);
  if (cond == Cond::FloatEqual || cond == Cond::FloatNotEqual) {
    const auto other = x86::gpb_lo(kScratch);
    if (cond == Cond::FloatEqual) {
      a_.setnp(other);
      a_.sete(low);
      a_.and_(low, other);
    } else {
      a_.setp(other);
      a_.setne(low);
      a_.or_(low, other);
    }
  } else {
    static constexpr InstId kSet[] = {Inst::kIdSeto, Inst::kIdSetno, Inst::kIdSetb,  Inst::kIdSetae,
                                      Inst::kIdSete, Inst::kIdSetne, Inst::kIdSetbe, Inst::kIdSeta,
                                      Inst::kIdSets, Inst::kIdSetns, Inst::kIdSetp,  Inst::kIdSetnp,
                                      Inst::kIdSetl, Inst::kIdSetge, Inst::kIdSetle, Inst::kIdSetg};
    a_.emit(kSet[uint8_t(cond)], low);
  }
  a_.movzx(gp(reg, false), low);
  push_gpr(wasm::kI32, reg);
}

// Before `local` changes: operands that still stand for its old value get it.
void BaselineCompiler::Impl::preserve_local(uint32_t local) {
  while (local_heads_[local] != kNone) {
    const uint32_t index = local_heads_[local];
    Operand& o = stack_[index];
    local_heads_[local] = o.next_same;
    const bool fpr = is_fpr(o.type);
    if (fpr ? kOperandXmms & ~xmm_used_ : kOperandGprs & ~gpr_used_) {
      const uint8_t reg = fpr ? alloc_xmm() : alloc_gpr();
      if (fpr) {
        load_xmm(reg, o);
        xmm_owner_[reg] = index;
      } else {
        load_gpr(reg, o);
        gpr_owner_[reg] = index;
      }
      o.kind = fpr ? Kind::Xmm : Kind::Gpr;
      o.reg = reg;
    } else {
      store_slot(o, o.slot);
      o.kind = Kind::Slot;
    }
  }
}

void BaselineCompiler::Impl::set_local(uint32_t local, bool tee) {
  const ValType type = validator_.locals()[local];
  Operand o = pop();
  if (o.kind == Kind::Local && o.local == local) {
    if (tee) push_local(local);
    return;
  }
  preserve_local(local);
  if (const uint8_t reg = local_reg_[local]) {
    load_gpr(reg, o);
    release(o);
    if (tee) push_local(local);
    return;
  }
  o.type = type;
  if (in_memory(o) && !is_fpr(type)) own_gpr(o);
  const x86::Mem home = slot_mem(local_slots_[local], type);
  if (o.kind == Kind::Gpr) {
    op_frame(kMov, is_wide(type), o.reg, home, true);
  } else {
    store_mem(home, o);
  }
  if (!tee) {
    release(o);
  } else if (o.kind == Kind::Gpr) {
    push_gpr(type, o.reg);
  } else if (o.kind == Kind::Xmm) {
    push_xmm(type, o.reg);
  } else {
    push_local(local);
  }
}

// ---- locations, traps ---------------------------------------------------------------

// Notes that the code from here on belongs to the current instruction.
void BaselineCompiler::Impl::mark() {
  if (marked_offset_ == offset_) return;
  const auto here = uint32_t(a_.offset());
  write_uleb(locations_, uint64_t(here - marked_at_));
  write_sleb(locations_, int64_t(offset_) - int64_t(marked_offset_));
  marked_at_ = here;
  marked_offset_ = offset_;
}

// A place to jump to that traps with `code` at the current instruction.
Label BaselineCompiler::Impl::trap(TrapCode code) {
  for (size_t i = traps_.size(); i-- > 0 && traps_[i].offset == offset_;)
    if (traps_[i].code == code) return traps_[i].label;
  traps_.push_back({a_.newLabel(), code, offset_});
  return traps_.back().label;
}

void BaselineCompiler::Impl::jcc(Cond cond, const Label& to) {
  static constexpr InstId kJump[] = {Inst::kIdJo, Inst::kIdJno, Inst::kIdJb,  Inst::kIdJae,
                                     Inst::kIdJe, Inst::kIdJne, Inst::kIdJbe, Inst::kIdJa,
                                     Inst::kIdJs, Inst::kIdJns, Inst::kIdJp,  Inst::kIdJnp,
                                     Inst::kIdJl, Inst::kIdJge, Inst::kIdJle, Inst::kIdJg};
  if (cond == Cond::FloatEqual) {
    const Label skip = a_.newLabel();
    a_.short_().jp(skip);
    a_.je(to);
    a_.bind(skip);
  } else if (cond == Cond::FloatNotEqual) {
    a_.jp(to);
    a_.jne(to);
  } else {
    a_.emit(kJump[uint8_t(cond)], to);
  }
}

// ---- functions ----------------------------------------------------------------------

void BaselineCompiler::Impl::reset_code() {
  code_.reset(asmjit::ResetPolicy::kSoft);
  code_.init(asmjit::Environment::host());
  code_.setErrorHandler(&errors_);
  code_.attach(&a_);
  errors_.message.clear();
  stack_.clear();
  control_.clear();
  locations_.clear();
  traps_.clear();
  heats_.clear();
  waits_.clear();
  constants_.clear();
  tables_.clear();
  uninitialized_.clear();
  call_sites_.clear();
  catches_.clear();
  handlers_.clear();
  try_ = kNone;
  local_slots_.clear();
  local_reg_.clear();
  gpr_used_ = xmm_used_ = 0;
  lazy_from_ = next_slot_ = max_slot_ = 0;
  marked_at_ = marked_offset_ = 0;
  flags_ = false;
  reachable_ = true;
  skip_depth_ = 0;
  unsupported_ = false;
  fuel_patch_ = 0;
  fuel_count_ = 0;
  address_temp_ = kNoRegister;
  local_regs_used_ = 0;
  tail_calls_ = false;
}

CompiledFunction BaselineCompiler::Impl::finish_code() {
  uint32_t before = 0;
  for (const CallSite& site : call_sites_) {
    write_uleb(handlers_, uint64_t(site.after - before));
    write_uleb(handlers_, code_.labelOffset(site.pad));
    before = site.after;
  }
  return {Bytes(a_.bufferData(), a_.offset()), Bytes(locations_.data(), locations_.size()),
          Bytes(handlers_.data(), handlers_.size())};
}

void BaselineCompiler::Impl::prologue(const wasm::FuncType& type) {
  const auto& locals = validator_.locals();
  const size_t params = type.params.size();
  local_reg_.assign(locals.size(), 0);
  local_slots_.resize(locals.size());
  uint32_t slot = 0;
  for (size_t i = 0; i < locals.size(); ++i) {
    if (!is_fpr(locals[i]) && local_regs_used_ < std::size(kLocalGprs)) {
      local_reg_[i] = kLocalGprs[local_regs_used_++];
      // A slot as well where other code may take over the frame.
      if (!options_.heat) {
        local_slots_[i] = 0;
        continue;
      }
    }
    local_slots_[i] = slot;
    slot += slot_count(locals[i]);
  }
  next_slot_ = max_slot_ = slot;

  a_.push(x86::rbp);
  a_.mov(x86::rbp, x86::rsp);
  a_.lea(gp(kScratch, true), at(kRbp, -0x7FFFFF00));
  frame_patch_ = a_.offset() - 4;
  mark();
  a_.mov(x86::rax, at(kRdi, layout::kCtxExec));
  a_.cmp(gp(kScratch, true), at(kRax, layout::kExecLimit));
  jcc(Cond::Below, trap(TrapCode::CallStackExhausted));
  a_.mov(x86::rsp, gp(kScratch, true));
  a_.mov(at(kRbp, -8), x86::r15);
  a_.mov(at(kRbp, -16), x86::r14);
  a_.mov(at(kRbp, -24), x86::r13);
  a_.mov(at(kRbp, -32), x86::r12);
  a_.mov(at(kRbp, -40), x86::rbx);
  a_.mov(x86::r15, x86::rdi);
  if (!module_.memories.empty() && guarded(0))
    a_.mov(gp(kMemory0, true), at(kRdi, layout::kCtxMemory0));

  ArgAssigner assign;
  for (size_t i = 0; i < params; ++i) {
    const ValType t = locals[i];
    const ArgLocation where = assign.next(t);
    const bool wide = is_wide(t);
    const uint8_t reg = local_reg_[i];
    const x86::Mem home = slot_mem(local_slots_[i], t);
    switch (where.kind) {
      case ArgLocation::Kind::Gpr: {
        const uint8_t from = kArgGprs[where.index + 1];
        if (reg) {
          a_.mov(gp(reg, wide), gp(from, wide));
        } else {
          a_.mov(home, gp(from, wide));
        }
        break;
      }
      case ArgLocation::Kind::Fpr:
        store_xmm_mem(home, uint8_t(where.index), t);
        break;
      case ArgLocation::Kind::Spill: {
        const x86::Mem from = at(kRax, int64_t(layout::kExecSpill) + 8 * where.index);
        if (reg) {
          a_.mov(gp(reg, wide), from);
        } else if (is_fpr(t)) {
          load_xmm_mem(kScratchXmm, from, t);
          store_xmm_mem(home, kScratchXmm, t);
        } else {
          a_.mov(gp(kScratch, wide), from);
          a_.mov(home, gp(kScratch, wide));
        }
        break;
      }
    }
  }
  // Other locals start at zero.
  uint32_t zero_from = slot, zero_to = slot;
  for (size_t i = params; i < locals.size(); ++i) {
    if (const uint8_t reg = local_reg_[i]) {
      a_.xor_(gp(reg, false), gp(reg, false));
    } else if (zero_from == slot) {
      zero_from = local_slots_[i];
    }
  }
  uint32_t count = zero_to - zero_from;
  if (count > 32) {
    a_.lea(x86::rdi, x86::ptr(x86::rbp, -int32_t(kSavedBytes + 8 * zero_to)));
    a_.mov(x86::ecx, count);
    a_.xor_(x86::eax, x86::eax);
    a_.rep().stosq();
  } else if (count) {
    a_.xorps(xmm(kScratchXmm), xmm(kScratchXmm));
    for (; count >= 2; count -= 2, zero_from += 2)
      a_.movups(slot_mem(zero_from, wasm::kV128), xmm(kScratchXmm));
    if (count) a_.movsd(slot_mem(zero_from, wasm::kF64), xmm(kScratchXmm));
  }
}

// Asks for other code to go on at the loop, and leaves the rest of the function to it.
void BaselineCompiler::Impl::go_on_elsewhere(const Heat& h) {
  const auto& locals = validator_.locals();
  for (size_t i = 0; i < locals.size(); ++i)
    if (local_reg_[i])
      a_.mov(slot_mem(local_slots_[i], locals[i]), gp(local_reg_[i], is_wide(locals[i])));
  for (const Operand& o : h.constants) store_slot(o, o.slot);
  a_.mov(x86::edx, h.loop);
  call_builtin(Builtin::tier_up);
  a_.test(x86::rax, x86::rax);
  a_.jz(h.back);
  a_.mov(x86::rdi, x86::r15);
  a_.lea(x86::rsi, x86::ptr(x86::rbp, -kSavedBytes));
  a_.call(x86::rax);
  a_.jmp(return_label_);
}

// Gives the caller's registers back, except rbp.
void BaselineCompiler::Impl::restore_saved() {
  a_.mov(x86::r15, at(kRbp, -8));
  a_.mov(x86::r14, at(kRbp, -16));
  if (local_regs_used_ > 2) a_.mov(x86::r13, at(kRbp, -24));
  if (local_regs_used_ > 1) a_.mov(x86::r12, at(kRbp, -32));
  if (local_regs_used_ > 0) a_.mov(x86::rbx, at(kRbp, -40));
}

Result<CompiledFunction> BaselineCompiler::Impl::compile(uint32_t func) {
  reset_code();
  func_ = func;
  WAFER_TRY(validator_.begin(func));
  const wasm::FuncType& type = module_.func_type(func);
  offset_ = module_.functions[func].body.begin;
  local_heads_.assign(validator_.locals().size(), kNone);
  prologue(type);
  return_label_ = a_.newLabel();

  Control& body = control_.emplace_back();
  body.base_slot = next_slot_;
  body.results = type.results;
  count_heat(0);
  charge_point();
  poll();

  Instr in;
  while (!validator_.done()) {
    WAFER_TRY(validator_.read(in));
    offset_ = in.offset_in_module;
    if (!reachable_) {
      WAFER_TRY(validator_.apply(in));
      visit_skipped(in);
      continue;
    }
    ++fuel_count_;
    WAFER_TRY(visit(in));
    if (WAFER_UNLIKELY(unsupported_))
      return Error(ErrorKind::Unsupported, "instruction not supported by the baseline compiler",
                   offset_);
    if (WAFER_UNLIKELY(max_slot_ > kMaxSlots))
      return Error(ErrorKind::Unsupported, "function needs too many stack slots", offset_);
  }
  patch_fuel();

  // What lies out of the way.
  for (const Heat& h : heats_) {
    offset_ = h.offset;
    a_.bind(h.label);
    a_.mov(x86::esi, func_);
    if (h.loop && !tail_calls_) {
      go_on_elsewhere(h);
    } else {
      a_.xor_(x86::edx, x86::edx);
      call_builtin(Builtin::tier_up);
      a_.jmp(h.back);
    }
  }
  for (const Wait& w : waits_) {
    offset_ = w.offset;
    a_.bind(w.label);
    call_builtin(w.builtin);
    a_.jmp(w.back);
  }
  for (const Uninitialized& u : uninitialized_) {
    offset_ = u.offset;
    a_.bind(u.label);
    a_.mov(x86::rsi, x86::r10);
    call_builtin(Builtin::trap_uninitialized);
  }
  for (const Stub& t : traps_) {
    offset_ = t.offset;
    a_.bind(t.label);
    mark();
    if (!options_.code.signals) {
      a_.mov(x86::esi, uint32_t(t.code));
      // At its entry the function has the context still where it came.
      if (t.code == TrapCode::CallStackExhausted) a_.mov(x86::r15, x86::rdi);
      call_builtin(Builtin::trap);
      continue;
    }
    const uint8_t ud[] = {0x67, 0x0F, 0xB9, 0x40, uint8_t(t.code)};
    a_.embed(ud, sizeof ud);
  }
  if (!constants_.empty()) a_.align(asmjit::AlignMode::kData, 16);
  for (const Pooled& p : constants_) {
    a_.bind(p.label);
    a_.embed(p.value.bytes, 16);
  }
  for (const Table& t : tables_) {
    a_.bind(t.label);
    for (const Label& target : t.targets) a_.embedLabelDelta(target, t.label, 4);
  }

  const uint32_t frame = (kSavedBytes + 8 * (max_slot_ + 2) + 15) & ~15u;
  const int32_t displacement = -int32_t(frame);
  std::memcpy(a_.bufferData() + frame_patch_, &displacement, 4);
  if (WAFER_UNLIKELY(!errors_.message.empty())) {
    String message("code generator: ");
    message += errors_.message;
    return Error(ErrorKind::Unsupported, message, module_.functions[func].body.begin);
  }
  return finish_code();
}

Result<void> BaselineCompiler::Impl::visit(const Instr& in) {
  if (flags_) {
    switch (in.op) {
      case Opcode::BrIf:
      case Opcode::If:
      case Opcode::Select:
      case Opcode::SelectT:
      case Opcode::I32Eqz:
        break;
      default:
        materialize_flags();
    }
  }
  WAFER_TRY(validator_.apply(in));
  // By the order of the opcode table, for speed; the rest ask around.
  bool known;
  if (in.op <= Opcode::LocalTee) {
    known = visit_control(in) || visit_reference(in);
  } else if (in.op < Opcode::I32Const) {
    known = visit_memory(in) || visit_table(in);
  } else if (in.op <= Opcode::I64Extend32S) {
    known = visit_numeric(in);
  } else if (in.op >= Opcode::V128Load) {
    known = visit_memory(in) || visit_vector(in) || visit_atomic(in);
  } else {
    known = visit_reference(in) || visit_memory(in) || visit_numeric(in) || visit_table(in);
  }
  if (WAFER_UNLIKELY(!known)) unsupported_ = true;
  return {};
}

// ---- stubs --------------------------------------------------------------------------

namespace {

// Argument registers, kept over a call of a C function from an entry stub. The frame is
// that of any function of an arena.
constexpr int kStubFrame = 224;

void save_arguments(x86::Assembler& a) {
  a.push(x86::rbp);
  a.mov(x86::rbp, x86::rsp);
  a.push(x86::r15);
  a.push(x86::r14);
  a.push(x86::r13);
  a.push(x86::r12);
  a.push(x86::rbx);
  a.sub(x86::rsp, kStubFrame - kSavedBytes);
  int at = 0;
  for (const uint8_t reg : kArgGprs) {
    a.mov(x86::ptr(x86::rsp, at), x86::gpq(reg));
    at += 8;
  }
  for (uint32_t i = 0; i < kFprArgs; ++i, at += 16) a.movups(x86::ptr(x86::rsp, at), x86::xmm(i));
}

void restore_arguments(x86::Assembler& a) {
  int at = 0;
  for (const uint8_t reg : kArgGprs) {
    a.mov(x86::gpq(reg), x86::ptr(x86::rsp, at));
    at += 8;
  }
  for (uint32_t i = 0; i < kFprArgs; ++i, at += 16) a.movups(x86::xmm(i), x86::ptr(x86::rsp, at));
  a.leave();
}

}  // namespace

Result<CompiledFunction> BaselineCompiler::Impl::lazy_entries(void* (*compile)(VmContext*, uint32_t,
                                                                               void*),
                                                              void* user, size_t& first) {
  reset_code();
  const auto functions = uint32_t(module_.functions.size());
  const Label common = a_.newLabel();
  a_.bind(common);
  save_arguments(a_);
  a_.mov(x86::esi, x86::eax);
  a_.mov(x86::rdx, int64_t(reinterpret_cast<uintptr_t>(user)));
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(compile)));
  a_.call(x86::rax);
  restore_arguments(a_);
  a_.jmp(x86::rax);
  a_.align(asmjit::AlignMode::kCode, kThunkBytes);
  first = a_.offset();
  Vec<uint8_t> thunks(size_t(functions) * kThunkBytes, 0xCC);
  for (uint32_t i = 0; i < functions; ++i) {
    uint8_t* p = thunks.data() + size_t(i) * kThunkBytes;
    p[0] = 0xB8;  // mov eax, i
    std::memcpy(p + 1, &i, 4);
    p[5] = 0xE9;  // jmp common
    const auto distance = -int32_t(first + size_t(i) * kThunkBytes + 10);
    std::memcpy(p + 6, &distance, 4);
  }
  if (!thunks.empty()) a_.embed(thunks.data(), thunks.size());
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

Result<CompiledFunction> BaselineCompiler::Impl::interpreter_stub(uint32_t func,
                                                                  void (*attach)(FuncInst*)) {
  reset_code();
  const Label ready = a_.newLabel();
  a_.mov(x86::rdi, at(kRdi, layout::kCtxFuncs));
  a_.mov(x86::rdi, at(kRdi, int64_t(func) * 8));
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(&wafer_call_out_stub)));
  a_.cmp(at(kRdi, layout::kFuncNative), x86::rax);
  a_.je(ready);
  save_arguments(a_);
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(attach)));
  a_.call(x86::rax);
  restore_arguments(a_);
  a_.bind(ready);
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(&wafer_call_out_stub)));
  a_.jmp(x86::rax);
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

}  // namespace wafer::compiler
