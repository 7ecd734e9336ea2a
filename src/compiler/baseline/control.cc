// Control instructions: blocks, branches, select, and what is counted along the way.
#include <cstring>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

void BaselineCompiler::Impl::push_control(Opcode op, const wasm::BlockType& type) {
  Control& c = control_.emplace_back();
  c.op = op;
  c.params = validator_.block_params(type);
  c.results = validator_.block_results(type);
  c.height = uint32_t(stack_.size() - c.params.size());
  c.base_slot = c.params.empty() ? next_slot_ : stack_[c.height].slot;
  uint32_t slots = c.base_slot;
  for (const ValType t : c.results) slots += slot_count(t);
  if (slots > max_slot_) max_slot_ = slots;
}

const Label& BaselineCompiler::Impl::label_of(Control& c) {
  if (!c.label.isValid()) c.label = a_.newLabel();
  return c.label;
}

bool BaselineCompiler::Impl::needs_moves(const Control& c) const {
  const auto types = c.label_types();
  uint32_t slot = c.base_slot;
  for (size_t i = 0; i < types.size(); ++i) {
    const Operand& o = stack_[stack_.size() - types.size() + i];
    if (o.kind != Kind::Slot || o.slot != slot) return true;
    slot += slot_count(types[i]);
  }
  return false;
}

// Copies the top operands to where label `c` expects them; the stack keeps them. A value
// moves down or stays, so going upwards nothing is overwritten before it is read.
void BaselineCompiler::Impl::emit_moves(const Control& c, std::span<const ValType> types) {
  uint32_t slot = c.base_slot;
  for (size_t i = 0; i < types.size(); ++i) {
    store_slot(stack_[stack_.size() - types.size() + i], slot);
    slot += slot_count(types[i]);
  }
}

void BaselineCompiler::Impl::emit_branch(Control& c) {
  if (&c == &control_.front()) {
    emit_return();
    return;
  }
  emit_moves(c, c.label_types());
  a_.jmp(label_of(c));
}

// The results are on top of the stack, which keeps them.
void BaselineCompiler::Impl::emit_return() {
  const auto types = control_.front().results;
  const size_t n = types.size();
  ArgAssigner assign(true);
  if (n > 1) {
    a_.mov(gp(kScratch, true), at(kContext, layout::kCtxExec));
    for (size_t i = 0; i < n; ++i) {
      const ArgLocation where = assign.next(types[i]);
      if (where.kind == ArgLocation::Kind::Spill)
        store_mem(at(kScratch, int64_t(layout::kExecSpill) + 8 * where.index),
                  stack_[stack_.size() - n + i]);
    }
  }
  if (n) {
    const Operand& first = stack_[stack_.size() - n];
    if (is_fpr(types[0])) {
      load_xmm(0, first);
    } else {
      load_gpr(kRax, first);
    }
  }
  a_.jmp(return_label_);
}

// Pops an i32 that a branch tests. Until the branch nothing may touch the flags.
Cond BaselineCompiler::Impl::pop_cond() {
  Operand o = pop();
  if (o.kind == Kind::Flags) return Cond(o.reg);
  if (in_memory(o)) {
    x86::Mem m = home(o);
    m.setSize(4);
    a_.cmp(m, 0);
  } else {
    const uint8_t reg = use_gpr(o);
    a_.test(gp(reg, false), gp(reg, false));
    release(o);
  }
  return Cond::NotEqual;
}

void BaselineCompiler::Impl::cond_branch(uint32_t index, Cond cond) {
  Control& c = control(index);
  const bool to_function = &c == &control_.front();
  if (to_function && c.results.empty()) {
    jcc(cond, return_label_);
    return;
  }
  if (!to_function && !needs_moves(c)) {
    jcc(cond, label_of(c));
    return;
  }
  const Label skip = a_.newLabel();
  jcc(negate(cond), skip);
  emit_branch(c);
  a_.bind(skip);
}

void BaselineCompiler::Impl::br_table(const Instr& in) {
  Operand index = pop();
  const uint8_t reg = own_gpr(index);
  const auto count = uint32_t(in.labels.size());
  // Labels that need values moved, and returns, get a stub each.
  HashMap<uint32_t, Label> stubs;
  Vec<std::pair<uint32_t, Label>> pending;
  const auto target = [&](uint32_t label) -> Label {
    Control& c = control(label);
    if (&c == &control_.front() ? c.results.empty() : !needs_moves(c))
      return &c == &control_.front() ? return_label_ : label_of(c);
    auto [it, added] = stubs.try_emplace(label);
    if (added) {
      it->second = a_.newLabel();
      pending.push_back({label, it->second});
    }
    return it->second;
  };
  if (count > 1) {
    const Label otherwise = target(in.labels[count - 1]);
    a_.cmp(gp(reg, false), count - 1);
    jcc(Cond::AboveEqual, otherwise);
    Table& t = tables_.emplace_back();
    t.label = a_.newLabel();
    t.targets.reserve(count - 1);
    for (uint32_t i = 0; i + 1 < count; ++i) t.targets.push_back(target(in.labels[i]));
    a_.lea(gp(kScratch, true), x86::ptr(t.label));
    a_.movsxd(gp(reg, true).as<x86::Gpq>(), x86::dword_ptr(gp(kScratch, true), gp(reg, true), 2));
    a_.add(gp(reg, true), gp(kScratch, true));
    a_.jmp(gp(reg, true));
  } else {
    a_.jmp(target(in.labels[0]));
  }
  release(index);
  for (const auto& [label, at] : pending) {
    a_.bind(at);
    emit_branch(control(label));
  }
}

void BaselineCompiler::Impl::bind_end(Control& c) {
  if (c.label.isValid() && c.op != Opcode::Loop) a_.bind(c.label);
  drop(uint32_t(stack_.size()) - c.height);
  next_slot_ = c.base_slot;
  for (const ValType t : c.results) push(t);
  lazy_from_ = uint32_t(stack_.size());
}

// The innermost frame has ended: falls through, or branches reach it.
void BaselineCompiler::Impl::end_frame() {
  Control& c = control_.back();
  if (control_.size() == 1) {
    if (reachable_) emit_return();
    a_.bind(return_label_);
    restore_saved();
    a_.leave();
    a_.ret();
    control_.pop_back();
    reachable_ = false;
    return;
  }
  if (reachable_) emit_moves(c, c.results);
  if (c.op == Opcode::TryTable) {
    if (reachable_) a_.jmp(label_of(c));
    emit_pad(c);
  }
  // Without else the parameters are the results, already in place.
  if (c.op == Opcode::If && !c.has_else) a_.bind(c.else_label);
  bind_end(c);
  control_.pop_back();
  reachable_ = true;
  charge_point();
}

void BaselineCompiler::Impl::start_else() {
  Control& c = control_.back();
  a_.bind(c.else_label);
  c.has_else = true;
  drop(uint32_t(stack_.size()) - c.height);
  next_slot_ = c.base_slot;
  for (const ValType t : c.params) push(t);
  lazy_from_ = uint32_t(stack_.size());
  reachable_ = true;
  charge_point();
}

void BaselineCompiler::Impl::push_try(const Instr& in) {
  push_control(in.op, in.block);
  Control& c = control_.back();
  c.pad = a_.newLabel();
  c.dispatch = a_.newLabel();
  c.outer_try = try_;
  c.clauses = uint32_t(catches_.size());
  catches_.insert(catches_.end(), in.catches.begin(), in.catches.end());
  try_ = uint32_t(control_.size() - 1);
}

// At the end of a try_table: what exceptions raised by its calls lead to. Operands below
// it are in their slots, so that only the values of the exception have to move.
void BaselineCompiler::Impl::emit_pad(Control& c) {
  using K = wasm::CatchClause::Kind;
  try_ = c.outer_try;
  a_.bind(c.pad);
  call_builtin(Builtin::take_exception);
  a_.bind(c.dispatch);
  bool all = false;
  for (uint32_t i = c.clauses; i < catches_.size() && !all; ++i) {
    const wasm::CatchClause& clause = catches_[i];
    // Labels of clauses count from outside the try_table.
    Control& target = control(clause.label + 1);
    const bool tagged = clause.kind == K::Catch || clause.kind == K::CatchRef;
    const bool with_ref = clause.kind == K::CatchRef || clause.kind == K::CatchAllRef;
    const Label next = a_.newLabel();
    uint32_t slot = target.base_slot;
    if (tagged) {
      a_.mov(gp(kScratch, true), at(kContext, layout::kCtxTags));
      a_.mov(gp(kScratch, true), at(kScratch, int64_t(clause.tag) * 8));
      a_.cmp(at(kRax, layout::kExceptionTag), gp(kScratch, true));
      a_.jne(next);
      int64_t offset = layout::kExceptionArgs;
      for (const ValType t : module_.types[module_.tags[clause.tag].type_index].func.params) {
        const ValType as = slot_count(t) == 2 ? wasm::kV128 : wasm::kF64;
        load_xmm_mem(kScratchXmm, at(kRax, offset), as);
        store_xmm_mem(slot_mem(slot, as), kScratchXmm, as);
        slot += slot_count(t);
        offset += 8 * slot_count(t);
      }
    }
    if (with_ref) a_.mov(slot_mem(slot++, wasm::kExnRef), gp(kRax, true));
    if (slot > max_slot_) max_slot_ = slot;
    if (&target == &control_.front()) {
      const uint32_t next_slot = next_slot_;
      next_slot_ = target.base_slot;
      for (const ValType t : target.results) push(t);
      emit_return();
      drop(uint32_t(target.results.size()));
      next_slot_ = next_slot;
    } else {
      a_.jmp(label_of(target));
    }
    a_.bind(next);
    all = !tagged;
  }
  catches_.resize(c.clauses);
  if (all) return;
  if (c.outer_try != kNone) {
    a_.jmp(control_[c.outer_try].dispatch);
  } else {
    a_.mov(x86::rsi, x86::rax);
    call_builtin(Builtin::throw_exception);
  }
}

// Code that cannot be reached: only its nesting matters.
void BaselineCompiler::Impl::visit_skipped(const Instr& in) {
  switch (in.op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::TryTable:
    case Opcode::Try:
      ++skip_depth_;
      return;
    case Opcode::Delegate:
      --skip_depth_;
      return;
    case Opcode::End:
      if (skip_depth_) {
        --skip_depth_;
      } else {
        end_frame();
      }
      return;
    case Opcode::Else:
      if (!skip_depth_) start_else();
      return;
    default:
      return;
  }
}

void BaselineCompiler::Impl::patch_fuel() {
  if (!fuel_patch_) return;
  std::memcpy(a_.bufferData() + fuel_patch_, &fuel_count_, 4);
  fuel_patch_ = 0;
}

// Under fuel metering, starts a new stretch of code that is charged as a whole.
void BaselineCompiler::Impl::charge_point() {
  if (!options_.code.fuel) return;
  patch_fuel();
  mark();
  a_.mov(gp(kScratch, true), at(kContext, layout::kCtxStore));
  x86::Mem fuel = at(kScratch, layout::kStoreFuel);
  fuel.setSize(8);
  a_.sub(fuel, 0x7FFFFFFF);
  fuel_patch_ = a_.offset() - 4;
  fuel_count_ = 0;
  wait_if(Cond::Sign, Builtin::out_of_fuel);
}

void BaselineCompiler::Impl::poll() {
  if (!options_.code.interruptible) return;
  a_.mov(gp(kScratch, true), at(kContext, layout::kCtxStore));
  x86::Mem flag = at(kScratch, layout::kStoreInterrupt);
  flag.setSize(4);
  a_.cmp(flag, 0);
  wait_if(Cond::NotEqual, Builtin::interrupted);
}

// As for count_heat(), the call out of line needs to save nothing.
void BaselineCompiler::Impl::wait_if(Cond cond, Builtin builtin) {
  Wait& w = waits_.emplace_back();
  w = {a_.newLabel(), a_.newLabel(), offset_, builtin};
  jcc(cond, w.label);
  a_.bind(w.back);
}

// No operand is in a register here, so the call out of line needs to save nothing. At a
// loop (else 0) other code may go on from here.
void BaselineCompiler::Impl::count_heat(uint32_t loop) {
  if (!options_.heat) return;
  Heat& h = heats_.emplace_back();
  h.loop = loop;
  if (loop)
    for (const Operand& o : stack_)
      if (o.kind == Kind::Const) h.constants.push_back(o);
  h.label = a_.newLabel();
  h.back = a_.newLabel();
  h.offset = offset_;
  a_.mov(gp(kScratch, true), at(kContext, layout::kCtxHeat));
  x86::Mem heat = at(kScratch, int64_t(func_) * 4);
  heat.setSize(4);
  a_.sub(heat, 1);
  jcc(Cond::Equal, h.label);
  a_.bind(h.back);
}

void BaselineCompiler::Impl::select() {
  // Operands are loaded before the flags are set, unless they come in the flags.
  const bool live = flags_;
  const ValType type = top(2).type.is_bot() ? top(1).type : top(2).type;
  if (is_fpr(type)) {
    Cond cond = pop_cond();
    Operand b = pop(), a = pop();
    const uint8_t x = own_xmm(a), y = use_xmm(b);
    const Label done = a_.newLabel();
    jcc(cond, done);
    move_xmm(x, y);
    a_.bind(done);
    release(b);
    push_xmm(type, x);
    return;
  }
  Operand c{};
  Cond cond = Cond::NotEqual;
  if (live) {
    cond = pop_cond();
  } else {
    c = pop();
  }
  Operand b = pop(), a = pop();
  const uint8_t x = own_gpr(a);
  // A choice by a pair of conditions is a branch.
  const bool pair = cond == Cond::FloatEqual || cond == Cond::FloatNotEqual;
  if (!live) {
    if (in_memory(c)) {
      x86::Mem m = home(c);
      m.setSize(4);
      a_.cmp(m, 0);
    } else {
      const uint8_t r = use_gpr(c);
      a_.test(gp(r, false), gp(r, false));
    }
    release(c);
  }
  if (pair) {
    const Label done = a_.newLabel();
    jcc(cond, done);
    load_gpr(x, b);
    a_.bind(done);
  } else {
    static constexpr InstId kMove[] = {
        Inst::kIdCmovo, Inst::kIdCmovno, Inst::kIdCmovb,  Inst::kIdCmovae,
        Inst::kIdCmove, Inst::kIdCmovne, Inst::kIdCmovbe, Inst::kIdCmova,
        Inst::kIdCmovs, Inst::kIdCmovns, Inst::kIdCmovp,  Inst::kIdCmovnp,
        Inst::kIdCmovl, Inst::kIdCmovge, Inst::kIdCmovle, Inst::kIdCmovg};
    const InstId move = kMove[uint8_t(negate(cond))];
    const bool wide = is_wide(type);
    if (in_memory(b)) {
      a_.emit(move, gp(x, wide), home(b));
    } else {
      a_.emit(move, gp(x, wide), gp(use_gpr(b), wide));
    }
  }
  release(b);
  push_gpr(type, x);
}

bool BaselineCompiler::Impl::visit_control(const Instr& in) {
  switch (in.op) {
    case Opcode::Nop:
      return true;
    case Opcode::Unreachable:
      a_.jmp(trap(TrapCode::Unreachable));
      reachable_ = false;
      return true;
    case Opcode::Block: {
      const auto params = validator_.block_params(in.block);
      materialize_all(uint32_t(stack_.size() - params.size()));
      push_control(in.op, in.block);
      return true;
    }
    case Opcode::Loop: {
      const auto params = validator_.block_params(in.block);
      materialize_all(uint32_t(stack_.size() - params.size()));
      push_control(in.op, in.block);
      a_.bind(label_of(control_.back()));
      count_heat(stack_.size() <= kMaxEntryOperands ? in.offset_in_module : 0);
      charge_point();
      poll();
      return true;
    }
    case Opcode::If: {
      const Cond cond = pop_cond();
      const auto params = validator_.block_params(in.block);
      materialize_all(uint32_t(stack_.size() - params.size()));
      push_control(in.op, in.block);
      control_.back().else_label = a_.newLabel();
      jcc(negate(cond), control_.back().else_label);
      charge_point();
      return true;
    }
    case Opcode::TryTable: {
      const auto params = validator_.block_params(in.block);
      materialize_all(uint32_t(stack_.size() - params.size()));
      push_try(in);
      return true;
    }
    case Opcode::Else: {
      Control& c = control_.back();
      emit_moves(c, c.results);
      a_.jmp(label_of(c));
      start_else();
      return true;
    }
    case Opcode::End:
      end_frame();
      return true;
    case Opcode::Br:
      emit_branch(control(in.index));
      reachable_ = false;
      return true;
    case Opcode::BrIf:
      cond_branch(in.index, pop_cond());
      return true;
    case Opcode::BrTable:
      br_table(in);
      reachable_ = false;
      return true;
    case Opcode::Return:
      emit_return();
      reachable_ = false;
      return true;
    case Opcode::Call:
      call(in.index, false);
      return true;
    case Opcode::ReturnCall:
      tail_calls_ = true;
      call(in.index, true);
      return true;
    case Opcode::CallIndirect:
      call_indirect(in, false);
      return true;
    case Opcode::ReturnCallIndirect:
      tail_calls_ = true;
      call_indirect(in, true);
      return true;
    case Opcode::CallRef:
      call_ref(in, false);
      return true;
    case Opcode::ReturnCallRef:
      tail_calls_ = true;
      call_ref(in, true);
      return true;
    case Opcode::Drop:
      release(pop());
      return true;
    case Opcode::Select:
    case Opcode::SelectT:
      select();
      return true;
    case Opcode::LocalGet:
      push_local(in.index);
      return true;
    case Opcode::LocalSet:
      set_local(in.index, false);
      return true;
    case Opcode::LocalTee:
      set_local(in.index, true);
      return true;
    default:
      return false;
  }
}

}  // namespace wafer::compiler
