// Control instructions: blocks, branches, select, and what is counted along the way.
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
  a_.jump(label_of(c));
}

// The results are on top of the stack, which keeps them.
// Puts the top operands where results of the function are expected.
void BaselineCompiler::Impl::pass_results() {
  const auto types = control_.front().results;
  const size_t n = types.size();
  ArgAssigner assign(true);
  if (n > 1) {
    a_.load_word(kScratch, kContext, layout::kCtxExec);
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
      load_fpr(kResultFpr, first);
    } else {
      load_gpr(kResultGpr, first);
    }
  }
}

void BaselineCompiler::Impl::emit_return() {
  pass_results();
  a_.jump(return_label_);
}

// Pops an i32 that a branch tests. Until the branch nothing may touch the flags.
Cond BaselineCompiler::Impl::pop_cond() {
  Operand o = pop();
  if (o.kind == Kind::Flags) return Cond(o.reg);
  if (in_memory(o)) {
    a_.test_zero(home(o), false);
  } else {
    a_.test_zero(use_gpr(o), false);
    release(o);
  }
  return Cond::NotEqual;
}

void BaselineCompiler::Impl::cond_branch(uint32_t index, Cond cond) {
  Control& c = control(index);
  const bool to_function = &c == &control_.front();
  if (to_function && c.results.empty()) {
    a_.branch(cond, return_label_);
    return;
  }
  if (!to_function && !needs_moves(c)) {
    a_.branch(cond, label_of(c));
    return;
  }
  const Label skip = a_.newLabel();
  a_.branch(negate(cond), skip);
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
    a_.compare_imm(reg, count - 1);
    a_.branch(Cond::AboveEqual, otherwise);
    Vec<Label> targets;
    targets.reserve(count - 1);
    for (uint32_t i = 0; i + 1 < count; ++i) targets.push_back(target(in.labels[i]));
    jump_to_one_of(reg, std::move(targets));
  } else {
    a_.jump(target(in.labels[0]));
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
  any_local_changed();
}

// The innermost frame has ended: falls through, or branches reach it.
void BaselineCompiler::Impl::end_frame() {
  Control& c = control_.back();
  if (control_.size() == 1) {
    if (reachable_) emit_return();
    a_.bind(return_label_);
    a_.leave_frame(local_regs_used_);
    a_.return_to_caller();
    control_.pop_back();
    reachable_ = false;
    return;
  }
  if (reachable_) emit_moves(c, c.results);
  if (c.op == Opcode::TryTable) {
    if (reachable_) a_.jump(label_of(c));
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
  any_local_changed();
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
      a_.load_word(kScratch, kContext, layout::kCtxTags);
      a_.load_word(kScratch, kScratch, int64_t(clause.tag) * 8);
      a_.compare_equal(kScratch, at(kResultGpr, layout::kExceptionTag));
      a_.branch(Cond::NotEqual, next);
      int64_t offset = layout::kExceptionArgs;
      for (const ValType t : module_.types[module_.tags[clause.tag].type_index].func.params) {
        const unsigned width = 8 * slot_count(t);
        a_.load_fpr(kScratchFpr, at(kResultGpr, offset), width);
        a_.store_fpr(slot_mem(slot, t), kScratchFpr, width);
        slot += slot_count(t);
        offset += 8 * slot_count(t);
      }
    }
    if (with_ref) a_.store_gpr(slot_mem(slot++, wasm::kExnRef), kResultGpr, true);
    if (slot > max_slot_) max_slot_ = slot;
    if (&target == &control_.front()) {
      const uint32_t next_slot = next_slot_;
      next_slot_ = target.base_slot;
      for (const ValType t : target.results) push(t);
      emit_return();
      drop(uint32_t(target.results.size()));
      next_slot_ = next_slot;
    } else {
      a_.jump(label_of(target));
    }
    a_.bind(next);
    all = !tagged;
  }
  catches_.resize(c.clauses);
  if (all) return;
  if (c.outer_try != kNone) {
    a_.jump(control_[c.outer_try].dispatch);
  } else {
    a_.move_gpr(kArgGprs[1], kResultGpr, true);
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
  a_.patch_charge(fuel_patch_, fuel_count_);
  fuel_patch_ = 0;
}

// Under fuel metering, starts a new stretch of code that is charged as a whole.
void BaselineCompiler::Impl::charge_point() {
  if (!options_.code.fuel) return;
  patch_fuel();
  mark();
  a_.load_word(kScratch, kContext, layout::kCtxStore);
  fuel_patch_ = a_.charge(at(kScratch, layout::kStoreFuel));
  fuel_count_ = 0;
  wait_if(Cond::Negative, Builtin::out_of_fuel);
}

void BaselineCompiler::Impl::poll() {
  if (!options_.code.interruptible) return;
  a_.load_word(kScratch, kContext, layout::kCtxStore);
  a_.test_zero(at(kScratch, layout::kStoreInterrupt), false);
  wait_if(Cond::NotEqual, Builtin::interrupted);
}

// As for count_heat(), the call out of line needs to save nothing.
void BaselineCompiler::Impl::wait_if(Cond cond, Builtin builtin) {
  Wait& w = waits_.emplace_back();
  w = {a_.newLabel(), a_.newLabel(), offset_, builtin};
  a_.branch(cond, w.label);
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
  a_.load_word(kScratch, kContext, layout::kCtxHeat);
  a_.count_down(at(kScratch, int64_t(func_) * 4));
  a_.branch(Cond::Equal, h.label);
  a_.bind(h.back);
}

bool BaselineCompiler::Impl::visit_control(const Instr& in) {
  switch (in.op) {
    case Opcode::Nop:
      return true;
    case Opcode::Unreachable:
      a_.jump(trap(TrapCode::Unreachable));
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
      any_local_changed();
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
      a_.branch(negate(cond), control_.back().else_label);
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
      a_.jump(label_of(c));
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
