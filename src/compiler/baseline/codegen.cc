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
  if (options.any_cpu) a_.use_no_extensions();
}

std::shared_ptr<FunctionCompiler> make_baseline_compiler(const wasm::Module& module,
                                                         const BaselineOptions& options) {
  return make_shared_in<BaselineCompiler>(module, options);
}

bool BaselineCompiler::supported() { return Machine::supported(); }
bool BaselineCompiler::makes_images() { return Machine::kHasReferences && Machine::supported(); }
uint64_t BaselineCompiler::features(const BaselineOptions& options) {
  return Machine::features(options.any_cpu);
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
Result<CompiledFunction> BaselineCompiler::entry_stub(uint32_t func) {
  return impl_->entry_stub(func);
}

// ---- registers ----------------------------------------------------------------------

// Who allocates registers has left too few, which the baseline compiler cannot. The code is given
// up.
uint8_t BaselineCompiler::Impl::no_register() {
  if (!driven_) panic("no register left for an operand");
  unsupported_ = true;
  return 0;
}

uint8_t BaselineCompiler::Impl::alloc_gpr() {
  uint32_t free = operand_gprs_ & ~gpr_used_;
  if (WAFER_UNLIKELY(!free)) {
    // The operand that is needed last makes room.
    uint32_t lowest = kNone;
    for (uint32_t regs = operand_gprs_; regs; regs &= regs - 1)
      lowest = std::min(lowest, gpr_owner_[std::countr_zero(regs)]);
    if (lowest == kNone) return no_register();
    spill(lowest);
    free = operand_gprs_ & ~gpr_used_;
  }
  const auto reg = pick(free, false);
  gpr_used_ |= 1u << reg;
  gpr_owner_[reg] = kNone;
  return reg;
}

uint8_t BaselineCompiler::Impl::alloc_fpr() {
  uint32_t free = operand_fprs_ & ~fpr_used_;
  if (WAFER_UNLIKELY(!free)) {
    uint32_t lowest = kNone;
    for (uint32_t regs = operand_fprs_; regs; regs &= regs - 1)
      lowest = std::min(lowest, fpr_owner_[std::countr_zero(regs)]);
    if (lowest == kNone) return no_register();
    spill(lowest);
    free = operand_fprs_ & ~fpr_used_;
  }
  const auto reg = pick(free, true);
  fpr_used_ |= 1u << reg;
  fpr_owner_[reg] = kNone;
  return reg;
}

// Takes `reg` for the caller; an operand that lives there moves. Must not be held by a
// popped operand.
void BaselineCompiler::Impl::claim_gpr(uint8_t reg) {
  const uint32_t bit = 1u << reg;
  if (gpr_used_ & bit) {
    const uint32_t owner = gpr_owner_[reg];
    const uint32_t free = operand_gprs_ & ~gpr_used_;
    if (free) {
      const auto other = uint8_t(std::countr_zero(free));
      a_.move_gpr(other, reg, true);
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

Mem BaselineCompiler::Impl::home(const Operand& o) const {
  if (WAFER_UNLIKELY(o.kind == Kind::Memory)) return memory_operand_;
  return slot_mem(o.kind == Kind::Local ? local_slots_[o.local] : o.slot, o.type);
}

void BaselineCompiler::Impl::load_gpr(uint8_t dst, const Operand& o) {
  const bool wide = is_wide(o.type);
  switch (o.kind) {
    case Kind::Gpr:
      a_.move_gpr(dst, o.reg, wide);
      break;
    case Kind::Const:
      a_.load_imm(dst, o.value);
      break;
    case Kind::Local:
      if (local_reg_[o.local] != kNoRegister) {
        a_.move_gpr(dst, local_reg_[o.local], wide);
        break;
      }
      [[fallthrough]];
    default:
      a_.load_frame(dst, home(o), wide);
  }
}

void BaselineCompiler::Impl::load_fpr(uint8_t dst, const Operand& o) {
  switch (o.kind) {
    case Kind::Fpr:
      a_.move_fpr(dst, o.reg);
      break;
    case Kind::Const:
      a_.load_fpr_imm(dst, o.value, o.type.kind() != TypeKind::F32);
      break;
    case Kind::Local:
      if (local_reg_[o.local] != kNoRegister) {
        a_.move_fpr(dst, local_reg_[o.local]);
        break;
      }
      [[fallthrough]];
    default:
      a_.load_fpr(dst, home(o), width_of(o.type));
  }
}

uint8_t BaselineCompiler::Impl::use_gpr(Operand& o) {
  if (o.kind == Kind::Gpr) return o.reg;
  if (is_register_local(o)) return local_reg_[o.local];
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

uint8_t BaselineCompiler::Impl::own_fpr(Operand& o) {
  if (o.kind == Kind::Fpr) return o.reg;
  const uint8_t reg = alloc_fpr();
  load_fpr(reg, o);
  o.kind = Kind::Fpr;
  o.reg = reg;
  return reg;
}

uint8_t BaselineCompiler::Impl::use_fpr(Operand& o) {
  if (is_register_local(o)) return local_reg_[o.local];
  return own_fpr(o);
}

void BaselineCompiler::Impl::store_mem(const Mem& m, const Operand& o) {
  switch (o.kind) {
    case Kind::Gpr:
      a_.store_gpr(m, o.reg, is_wide(o.type));
      return;
    case Kind::Fpr:
      a_.store_fpr(m, o.reg, width_of(o.type));
      return;
    case Kind::Const:
      a_.store_imm(m, o.value, width_of(o.type) == 4 ? 4 : 8);
      return;
    case Kind::Local:
      if (const uint8_t reg = local_reg_[o.local]; reg != kNoRegister) {
        if (is_fpr(o.type)) {
          a_.store_fpr(m, reg, width_of(o.type));
        } else {
          a_.store_gpr(m, reg, is_wide(o.type));
        }
        return;
      }
      [[fallthrough]];
    default:
      a_.load_fpr(kScratchFpr, home(o), width_of(o.type));
      a_.store_fpr(m, kScratchFpr, width_of(o.type));
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

void BaselineCompiler::Impl::push_fpr(ValType type, uint8_t reg) {
  fpr_used_ |= 1u << reg;
  fpr_owner_[reg] = uint32_t(stack_.size());
  Operand& o = push(type);
  o.kind = Kind::Fpr;
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
  // (Elsewhere slots do not belong to places on the stack.)
  if (!driven_) next_slot_ = o.slot;
  switch (o.kind) {
    case Kind::Local:
      local_heads_[o.local] = o.next_same;
      break;
    case Kind::Gpr:
      gpr_owner_[o.reg] = kNone;
      break;
    case Kind::Fpr:
      fpr_owner_[o.reg] = kNone;
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
  for (uint32_t regs = gpr_used_ & operand_gprs_; regs; regs &= regs - 1) {
    const uint32_t owner = gpr_owner_[std::countr_zero(regs)];
    if (owner < below) spill(owner);
  }
  for (uint32_t regs = fpr_used_ & operand_fprs_; regs; regs &= regs - 1) {
    const uint32_t owner = fpr_owner_[std::countr_zero(regs)];
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
  a_.set_cond(reg, cond);
  push_gpr(wasm::kI32, reg);
}

// Before `local` changes: operands that still stand for its old value get it.
void BaselineCompiler::Impl::preserve_local(uint32_t local) {
  while (local_heads_[local] != kNone) {
    const uint32_t index = local_heads_[local];
    Operand& o = stack_[index];
    local_heads_[local] = o.next_same;
    const bool fpr = is_fpr(o.type);
    if (fpr ? operand_fprs_ & ~fpr_used_ : operand_gprs_ & ~gpr_used_) {
      const uint8_t reg = fpr ? alloc_fpr() : alloc_gpr();
      if (fpr) {
        load_fpr(reg, o);
        fpr_owner_[reg] = index;
      } else {
        load_gpr(reg, o);
        gpr_owner_[reg] = index;
      }
      o.kind = fpr ? Kind::Fpr : Kind::Gpr;
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
  if (local_reg_[local] != kNoRegister) {
    load_local(local, o);
    release(o);
    if (tee) push_local(local);
    return;
  }
  o.type = type;
  if (in_memory(o) && !is_fpr(type)) own_gpr(o);
  const Mem home = slot_mem(local_slots_[local], type);
  if (o.kind == Kind::Gpr) {
    a_.store_frame(home, o.reg, is_wide(type));
  } else {
    store_mem(home, o);
  }
  if (!tee) {
    release(o);
  } else if (o.kind == Kind::Gpr) {
    push_gpr(type, o.reg);
  } else if (o.kind == Kind::Fpr) {
    push_fpr(type, o.reg);
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

// Label of a constant behind the code, on 16 bytes.
Label BaselineCompiler::Impl::constant(const wasm::V128& value) {
  for (size_t i = constants_.size(), seen = 0; i-- > 0 && seen < 8; ++seen)
    if (constants_[i].value == value) return constants_[i].label;
  constants_.push_back({a_.newLabel(), value});
  return constants_.back().label;
}

// ---- functions ----------------------------------------------------------------------

void BaselineCompiler::Impl::reset_code(size_t body_bytes) {
  wanted_ = kNoRegister;
  code_.reset(asmjit::ResetPolicy::kSoft);
  code_.init(asmjit::Environment::host());
  code_.setErrorHandler(&errors_);
  code_.attach(&a_);
  a_.begin_function(body_bytes);
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
  references_.clear();
  try_ = kNone;
  local_slots_.clear();
  local_reg_.clear();
  volatile_locals_.clear();
  operand_gprs_ = kOperandGprs;
  operand_fprs_ = kOperandFprs;
  gpr_used_ = fpr_used_ = 0;
  lazy_from_ = next_slot_ = max_slot_ = 0;
  marked_at_ = marked_offset_ = 0;
  flags_ = false;
  reachable_ = true;
  skip_depth_ = 0;
  unsupported_ = false;
  fuel_patch_ = 0;
  fuel_count_ = 0;
  address_temp_ = kNoRegister;
  scale_ = 0;
  local_regs_used_ = 0;
  tail_calls_ = false;
}

CompiledFunction BaselineCompiler::Impl::finish_code() {
  for (const CallSite& site : call_sites_)
    handlers_.push_back({site.after, uint32_t(code_.labelOffset(site.pad))});
  return {Bytes(a_.bufferData(), a_.offset()), Bytes(locations_.data(), locations_.size()),
          handlers_, references_};
}

void BaselineCompiler::Impl::prologue(const wasm::FuncType& type) {
  const auto& locals = validator_.locals();
  const size_t params = type.params.size();
  choose_locals();
  local_slots_.resize(locals.size());
  uint32_t slot = 0;
  for (size_t i = 0; i < locals.size(); ++i) {
    // One in a register has a slot as well where calls do not preserve it, or other code may
    // take over the frame.
    if (local_reg_[i] != kNoRegister && !is_volatile(i) && !options_.heat) {
      local_slots_[i] = 0;
      continue;
    }
    local_slots_[i] = slot;
    slot += slot_count(locals[i]);
  }
  next_slot_ = max_slot_ = slot;

  enter();
  take_params(type.params);
  // Other locals start at zero.
  uint32_t zero_from = slot;
  for (size_t i = params; i < locals.size(); ++i) {
    if (const uint8_t reg = local_reg_[i]; reg != kNoRegister) {
      if (is_fpr(locals[i])) {
        a_.load_fpr_imm(reg, 0, true);
      } else {
        a_.clear_gpr(reg);
      }
    } else if (zero_from == slot) {
      zero_from = local_slots_[i];
    }
  }
  a_.zero_slots(zero_from, slot);
}

// Makes the frame, and loads the registers that all code relies on.
void BaselineCompiler::Impl::enter() {
  a_.begin_frame();
  mark();
  a_.load_word(kExecGpr, kArgGprs[0], layout::kCtxExec);
  a_.compare(kScratch, at(kExecGpr, layout::kExecLimit), true);
  a_.branch(Cond::Below, trap(TrapCode::CallStackExhausted));
  a_.commit_frame();
  a_.move_gpr(kContext, kArgGprs[0], true);
  if (!module_.memories.empty() && guarded(0))
    a_.load_word(kMemory0, kArgGprs[0], layout::kCtxMemory0);
}

// Asks for other code to go on at the loop, and leaves the rest of the function to it.
void BaselineCompiler::Impl::go_on_elsewhere(const Heat& h) {
  const auto& locals = validator_.locals();
  for (uint32_t i = 0; i < locals.size(); ++i)
    if (local_reg_[i] != kNoRegister && !is_volatile(i))
      a_.store_gpr(local_home(i), local_reg_[i], is_wide(locals[i]));
  for (const Operand& o : h.constants) store_slot(o, o.slot);
  a_.load_imm(kArgGprs[2], h.loop);
  call_builtin(Builtin::tier_up);
  a_.test_zero(kResultGpr, true);
  a_.branch(Cond::Equal, h.back);
  a_.move_gpr(kFuncGpr, kResultGpr, true);
  a_.move_gpr(kArgGprs[0], kContext, true);
  a_.load_frame_base(kArgGprs[1]);
  a_.call_gpr(kFuncGpr);
  a_.jump(return_label_);
}

Result<CompiledFunction> BaselineCompiler::Impl::compile(uint32_t func) {
  reset_code(module_.functions[func].body.size());
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
    if (WAFER_UNLIKELY(max_slot_ > kMaxSlots)) break;
  }
  patch_fuel();
  WAFER_LET(code, finish(func));
  if (WAFER_UNLIKELY(retry_)) return compile(func);
  return code;
}

// Takes the registers that a wait keeps to its slots, or back from there.
void BaselineCompiler::Impl::keep_registers(const Wait& w, bool save) {
  uint32_t slot = w.first_slot;
  for (uint32_t left = w.fprs; left; left &= left - 1, slot += 2) {
    const auto reg = uint8_t(std::countr_zero(left));
    const Mem place = slot_mem(slot, wasm::kV128);
    save ? a_.store_fpr(place, reg, 16) : a_.load_fpr(reg, place, 16);
  }
  for (uint32_t left = w.gprs; left; left &= left - 1, ++slot) {
    const auto reg = uint8_t(std::countr_zero(left));
    const Mem place = slot_mem(slot, wasm::kI64);
    save ? a_.store_frame(place, reg, true) : a_.load_frame(reg, place, true);
  }
}

// What lies out of the way, and the end of it.
Result<CompiledFunction> BaselineCompiler::Impl::finish(uint32_t func) {
  if (WAFER_UNLIKELY(max_slot_ > kMaxSlots))
    return Error(ErrorKind::Unsupported, "function needs too many stack slots", offset_);
  retry_ = false;
  // Where nothing is known of the locals.
  any_local_changed();
  for (const Heat& h : heats_) {
    offset_ = h.offset;
    a_.bind(h.label);
    save_locals();
    a_.load_imm(kArgGprs[1], func_);
    if (h.loop && !tail_calls_) {
      go_on_elsewhere(h);
    } else {
      a_.load_imm(kArgGprs[2], 0);
      call_builtin(Builtin::tier_up);
      a_.jump(h.back);
    }
  }
  for (const Wait& w : waits_) {
    offset_ = w.offset;
    a_.bind(w.label);
    save_locals();
    keep_registers(w, true);
    call_builtin(w.builtin);
    keep_registers(w, false);
    a_.jump(w.back);
  }
  for (const Uninitialized& u : uninitialized_) {
    offset_ = u.offset;
    a_.bind(u.label);
    a_.move_gpr(kArgGprs[1], kIndexGpr, true);
    call_builtin(Builtin::trap_uninitialized);
  }
  for (const Stub& t : traps_) {
    offset_ = t.offset;
    a_.bind(t.label);
    mark();
    if (!options_.code.signals) {
      a_.load_imm(kArgGprs[1], uint32_t(t.code));
      // At its entry the function has the context still where it came.
      if (t.code == TrapCode::CallStackExhausted) a_.move_gpr(kContext, kArgGprs[0], true);
      call_builtin(Builtin::trap);
      continue;
    }
    a_.trap(t.code);
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

  a_.set_frame(max_slot_);
  a_.end_function();
  if (WAFER_UNLIKELY(!errors_.message.empty())) {
    if (a_.retry()) {
      retry_ = true;
      return CompiledFunction{};
    }
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
  if (WAFER_UNLIKELY(!emit(in))) unsupported_ = true;
  return {};
}

bool BaselineCompiler::Impl::emit(const Instr& in) {
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
  return known;
}

}  // namespace wafer::compiler
