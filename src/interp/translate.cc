// One-pass translation of a validated body to register code.
#include "interp/translator.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp {

void Translator::push_control(wasm::Opcode op, const BlockType& type) {
  Control c;
  c.op = op;
  c.params = validator_.block_params(type);
  c.results = validator_.block_results(type);
  c.height = uint32_t(stack_.size() - c.params.size());
  c.base_slot = c.params.empty() ? next_slot_ : stack_[c.height].slot;
  // Results may need more room than what is on the stack now.
  uint32_t slots = c.base_slot;
  for (const ValType t : c.results) slots += slot_count(t);
  if (slots > max_slot_) max_slot_ = slots;
  control_.push_back(std::move(c));
}

// What the last instruction computed becomes part of a branch.
void Translator::absorb_last() {
  out_.code.resize(last_.at);
#if WAFER_HAS_OS
  out_.narrow_words = first_.narrow_words;
#endif
  acc_ = last_.before;
  forget_last();
  pop();
}

Translator::Condition Translator::pop_condition() {
  const Operand o = top();
  Condition c;
  // A comparison just made for this branch becomes part of it.
  if (o.kind == Operand::Kind::Slot && last_wrote(o.slot) && last_.op != wasm::Opcode::Illegal) {
    const wasm::Opcode op = last_.op;
    const uint8_t v = last_.variant;
    uint16_t if_true = 0, if_false = 0;
    bool fused = true, exchanged = false;
    if (is_int_compare(op)) {
      c.constant = v >= kSI;
      const Quad imm = c.constant && !kNarrow ? out_.code[last_.at + 1] : 0;
      c.imm = uint32_t(imm);
      c.compares = true;
      fused = op < wasm::Opcode::I64Eq || int64_t(imm) == int32_t(imm);
      if_true = branch_id(op, v);
      const wasm::Opcode other = looked_up(kOpposite, op);
      exchanged = is_mirrored(other) && v < kSI;
      const BinVariant mirror[] = {kSS, kSA, kAS};
      if_false =
          exchanged ? branch_id(looked_up(kMirrored, other), mirror[v]) : branch_id(other, v);
    } else if (has_float_branch(op) && v == kSS) {
      c.compares = true;
      if_true = branch_id(op, kIfTrue);
      if_false = branch_id(op, kIfFalse);
    } else if (op == wasm::Opcode::I32Eqz) {
      const bool a = !kNarrow && v == kUnaryA;
      if_true = op_id(a ? Special::BrUnlessA : Special::BrUnlessS);
      if_false = op_id(a ? Special::BrIfA : Special::BrIfS);
    } else if (op == wasm::Opcode::I64Eqz && v == kUnaryS) {
      if_true = op_id(Special::BrUnless64S);
      if_false = op_id(Special::BrIf64S);
    } else {
      fused = false;
    }
    if (fused) {
      const Quad first = first_.bits;
      absorb_last();
      const Raw b(uint32_t(first >> 32)), s(uint32_t(first >> 48));
      c.if_true = word(if_true, b, s);
      c.if_false = exchanged ? word(if_false, s, b) : word(if_false, b, s);
      if (c.constant && int16_t(c.imm) != int32_t(c.imm)) count_narrow(3);
      return c;
    }
    c = {};
  }
  if (in_acc(o)) {
    c.if_true = word(Special::BrIfA);
    c.if_false = word(Special::BrUnlessA);
  } else {
    const uint32_t s = near_source(o);
    c.if_true = word(Special::BrIfS, s);
    c.if_false = word(Special::BrUnlessS, s);
  }
  pop();
  return c;
}

void Translator::emit_cond_branch(uint32_t index, const Condition& cond, bool negate) {
  Control& c = control(index);
  const bool to_function = &c == &control_.front();
  if (!to_function && !needs_moves(c)) {
    aim(emit_jump(cond, !negate), c);
    forget_last();
    return;
  }
  const Fixup skip = emit_jump(cond, negate);
  const AccState before = acc_;
  emit_branch(c);
  bind(skip);
  forget_last();
  acc_ = before;
}

void Translator::emit_return() {
  const Control::Types results = control_.front().results;
  const uint32_t n = uint32_t(results.size());
  const uint32_t link = out_.link;
  if (n == 1 && results[0].kind() != TypeKind::V128) {
    const Operand o = top();
    const TypeKind k = o.type.kind();
    if (k != TypeKind::F32 && k != TypeKind::F64 && in_acc(o)) {
      emit_long(word(Special::Return1A, link), 2);
    } else {
      const uint32_t from = near_source(o);
      emit_first(
          kNarrow ? word(Special::Return1S, from, link) : word(Special::Return1S, link, from),
          Form::Half);
    }
    forget_last();
    return;
  }
  if (n > kMany) {
    move_many(n, 0);
  } else {
    // A local that a result is about to overwrite is read first.
    for (uint32_t i = 0; i < n; ++i) {
      const uint32_t index = uint32_t(stack_.size()) - n + i;
      Operand& o = stack_[index];
      if (o.kind == Operand::Kind::Local && local_slot(o.copy.local) < out_.result_slots)
        copy(local_slot(o.copy.local), o.slot, o.type);
    }
    uint32_t dst = 0;
    for (uint32_t i = 0; i < n; ++i) {
      Operand o = stack_[stack_.size() - n + i];
      if (o.kind == Operand::Kind::Local && local_slot(o.copy.local) < out_.result_slots)
        o.kind = Operand::Kind::Slot;
      store_to(o, dst);
      dst += slot_count(o.type);
    }
  }
  emit_long(word(Special::Return, link), 2);
  forget_last();
}

// Under fuel metering, starts a new stretch of code that is charged as a whole.
void Translator::charge_point() {
  if (!mcode_.options.fuel) return;
  mark();
  emit_with(word(Special::Fuel), 0);
  fuel_word_ = here() - (kNarrow ? 2 : 1);
  emit_safepoint();
  forget_last();
}

void Translator::poll_point() {
  if (!mcode_.options.interruptible) return;
  mark();
  emit_long(word(Special::Poll), 1);
  emit_safepoint();
}

void Translator::bind_end(Control& c) {
  for (const Fixup& f : c.fixups) bind(f);
  for (const uint32_t h : c.handler_fixups) out_.handlers[h].target = here();
  pop_n(stack_.size() - c.height);
  next_slot_ = c.base_slot;
  for (const ValType t : c.results) push(t);
  lazy_from_ = uint32_t(stack_.size());
}

// Handlers of a try_table or legacy try, at its end so that inner ones come first.
void Translator::finish_handlers(Control& c) {
  const uint32_t depth = uint32_t(control_.size());
  if (c.op == wasm::Opcode::TryTable) {
    for (const wasm::CatchClause& clause : c.catches) {
      // Labels of catch clauses count from outside the try_table.
      Control& target = control(clause.label + 1);
      using K = wasm::CatchClause::Kind;
      Handler h{};
      h.begin = c.guarded.begin;
      h.end = here();
      h.depth = depth;
      h.kind = clause.kind == K::Catch || clause.kind == K::CatchRef ? Handler::Kind::Catch
                                                                     : Handler::Kind::CatchAll;
      h.tag = clause.tag;
      h.push_args = h.kind == Handler::Kind::Catch;
      h.push_ref = clause.kind == K::CatchRef || clause.kind == K::CatchAllRef;
      h.dst = uint16_t(target.base_slot);
      const uint32_t index = uint32_t(out_.handlers.size());
      if (target.op == wasm::Opcode::Loop) {
        h.target = target.loop_start;
      } else {
        target.handler_fixups.push_back(index);
      }
      out_.handlers.push_back(h);
    }
    return;
  }
  for (const auto& l : c.legacy) {
    Handler h{};
    h.begin = c.guarded.begin;
    h.end = c.guarded.end;
    h.depth = depth;
    h.kind = l.tag == kNone ? Handler::Kind::CatchAll : Handler::Kind::Catch;
    h.tag = l.tag;
    h.target = l.target;
    // The exception reference comes first, for rethrow; then the arguments.
    h.dst = uint16_t(l.dst);
    h.push_ref = true;
    h.push_args = l.tag != kNone;
    h.delegate_depth = kNone;  // legacy layout: reference before arguments
    out_.handlers.push_back(h);
  }
}

Result<void> Translator::run() {
  const uint32_t index = out_.func_index;
  WAFER_TRY(validator_.begin(index));
  const wasm::FuncType& type = module_.func_type(index);
  const auto& locals = validator_.locals();

  const uint32_t free = kNarrow && !limits_.slots ? kFreeSlots : 0;
  WAFER_TRY(out_.lay_out(module_, locals, kLinkSlots, free));
  const uint32_t moved = out_.zero_begin - out_.param_slots;
  uint32_t slot = moved;
  local_slots_.reserve(locals.size());
  for (const ValType t : locals) {
    local_slots_.push_back(slot);
    if (is_gc_ref(module_, t)) {
      gc_possible_ = true;
      out_.ref_locals.push_back(uint16_t(slot));
    }
    slot += slot_count(t);
  }
  next_slot_ = max_slot_ = out_.link + kLinkSlots;
  local_heads_.assign(locals.size(), kNone);
  // References live on operand stacks only in modules that can make them.
  gc_possible_ = gc_possible_ || !module_.tags.empty() || module_.features.has(wasm::Feature::GC) ||
                 module_.features.has(wasm::Feature::StackSwitching);
  if (!module_.memories.empty()) {
    memory0_is64_ = module_.memories[0].type.limits.has_64();
    guarded_ = mcode_.memory0_mode == MemoryMode::Guarded;
  }

  Control body;
  body.results = type.results;
  body.base_slot = next_slot_;
  uint32_t result_end = next_slot_ + out_.result_slots;
  if (result_end > max_slot_) max_slot_ = result_end;
  control_.push_back(std::move(body));

  offset_ = module_.functions[index].body.begin;
  mark();
  if (kNarrow && moved) emit_op(Special::CopyMany, moved, 0, Raw(out_.param_slots));
  charge_point();
  poll_point();

  Instr in;
  while (!validator_.done()) {
    WAFER_TRY(validator_.read(in));
    offset_ = in.offset_in_module;
    WAFER_TRY(validator_.apply(in));
    if (!reachable_) {
      // Types of skipped code do not matter; its nesting does.
      visit_skipped(in);
      continue;
    }
    if (fuel_word_ != kNone && ++out_.code[fuel_word_] == 0) ++out_.code[fuel_word_ + 1];
    visit(in);
    if (max_slot_ > kMaxSlots - 8)
      return failure(ErrorKind::Exhaustion, "function needs too many stack slots", offset_);
  }
  out_.frame_slots = max_slot_ + 4;
  return {};
}

// The innermost frame has ended: falls through or is reached by branches.
void Translator::end_frame() {
  Control& c = control_.back();
  using O = wasm::Opcode;
  if (control_.size() == 1) {
    if (reachable_) emit_return();
    if (!c.fixups.empty() || !c.handler_fixups.empty()) {
      // Handlers may name the function's own label: its values are in place there.
      bind_end(c);
      label();
      emit_return();
    }
    control_.pop_back();
    reachable_ = false;
    return;
  }
  if (reachable_) emit_moves(c, c.results);
  if (wasm::is_built(wasm::Feature::Exceptions) &&
      (c.op == O::Try || c.op == O::Catch || c.op == O::CatchAll || c.op == O::TryTable)) {
    if (c.op == O::Try) c.guarded.end = here();
    finish_handlers(c);
  }
  if (c.op == O::If && !c.has_else) {
    // Without else the parameters are the results, already in place.
    bind(c.else_fixup);
  }
  bind_end(c);
  label();
  control_.pop_back();
  reachable_ = true;
  charge_point();
}

void Translator::start_catch(Control& c, uint32_t tag) {
  if (reachable_) emit_branch(c);
  if (c.op == wasm::Opcode::Try) c.guarded.end = here();
  label();
  pop_n(stack_.size() - c.height);
  next_slot_ = c.base_slot;
  lazy_from_ = uint32_t(stack_.size());
  c.op = tag == kNone ? wasm::Opcode::CatchAll : wasm::Opcode::Catch;
  c.legacy.push_back({tag, here(), c.base_slot});
  push(wasm::kExnRef);  // hidden; rethrow reads it
  if (tag != kNone)
    for (const ValType t : module_.types[module_.tags[tag].type_index].func.params) push(t);
  lazy_from_ = uint32_t(stack_.size());
  reachable_ = true;
  charge_point();
}

void Translator::visit_skipped(const Instr& in) {
  using O = wasm::Opcode;
  const O opcode = in.op;
  WAFER_ASSUME_BUILT(opcode);
  switch (opcode) {
    case O::Block:
    case O::Loop:
    case O::If:
    case O::TryTable:
    case O::Try:
      ++skip_depth_;
      return;
    case O::Delegate:
      if (skip_depth_) {
        --skip_depth_;
        return;
      }
      break;
    case O::End:
      if (skip_depth_) {
        --skip_depth_;
        return;
      }
      end_frame();
      return;
    case O::Else:
    case O::Catch:
    case O::CatchAll:
      if (skip_depth_) return;
      break;
    default:
      return;
  }
  // Else, catch and delegate of a live frame.
  Control& c = control_.back();
  if (in.op == O::Else) {
    bind(c.else_fixup);
    c.has_else = true;
    label();
    pop_n(stack_.size() - c.height);
    next_slot_ = c.base_slot;
    for (const ValType t : c.params) push(t);
    lazy_from_ = uint32_t(stack_.size());
    reachable_ = true;
    charge_point();
  } else if (in.op == O::Delegate) {
    const uint32_t depth = uint32_t(control_.size());
    Handler h{};
    h.begin = c.guarded.begin;
    h.end = here();
    h.depth = depth;
    h.kind = Handler::Kind::Delegate;
    h.delegate_depth = depth - 1 - in.index;
    out_.handlers.push_back(h);
    c.op = O::Block;
    end_frame();
  } else {
    start_catch(c, in.op == O::Catch ? in.index : kNone);
  }
}

void Translator::visit(const Instr& in) {
  WAFER_ASSUME_BUILT(in.op);
  switch (row_of(in.op).shape()) {
    case Shape::BinInt:
    case Shape::BinFloat:
      return binary(in.op);
    case Shape::Unary:
      return unary(in.op);
    case Shape::Load:
      return load(in);
    case Shape::Store:
      return store(in);
    case Shape::Vector:
      WAFER_ASSUME_FEATURE(Simd);
      return vector(in);
    case Shape::VecLoad:
    case Shape::VecStore:
    case Shape::VecLane:
      WAFER_ASSUME_FEATURE(Simd);
      return vec_memory(in);
    case Shape::Wide:
      WAFER_ASSUME_FEATURE(WideArithmetic);
      return wide(in);
    case Shape::Atomic:
      WAFER_ASSUME_FEATURE(Threads);
      return atomic(in);
    case Shape::Special:
      return visit_special(in);
  }
}

// Puts a call's arguments into their slots, and tells the first.
uint32_t Translator::settle(const wasm::FuncType& type) {
  const auto count = uint32_t(type.params.size());
  bound_lazy();
  materialize_top(count);
  return count ? top(count - 1).slot : next_slot_;
}

// Ends a call's instruction.
void Translator::end_call(const wasm::FuncType& type) {
  pop_n(type.params.size());
  emit_safepoint();
}

// After a call's arguments have been popped: its results take their place.
void Translator::finish_call(const wasm::FuncType& type, uint32_t base) {
  next_slot_ = base;
  push_results(type);
  forget_acc();
  forget_last();
}

void Translator::visit_special(const Instr& in) {
  using O = wasm::Opcode;
  const O opcode = in.op;
  WAFER_ASSUME_BUILT(opcode);
  switch (opcode) {
    case O::Nop:
      return;
    case O::Unreachable:
      mark();
      emit_long(word(Special::Unreachable), 1);
      set_unreachable();
      return;
    case O::Block:
      materialize_all();
      push_control(in.op, in.block);
      return;
    case O::Loop: {
      materialize_all();
      push_control(in.op, in.block);
      label();
      control_.back().loop_start = here();
      charge_point();
      poll_point();
      return;
    }
    case O::If: {
      // Operands below the condition settle first, at the cost of a fused
      // comparison where one of them still has to.
      bool lazy_below = false;
      for (uint32_t i = lazy_from_; i + 1 < stack_.size(); ++i)
        if (stack_[i].kind != Operand::Kind::Slot) lazy_below = true;
      if (lazy_below) materialize_all();
      const Condition c = pop_condition();
      materialize_all();
      push_control(in.op, in.block);
      control_.back().else_fixup = emit_jump(c, false);
      forget_last();
      charge_point();
      return;
    }
    case O::Else: {
      Control& c = control_.back();
      emit_branch(c);
      visit_skipped(in);
      return;
    }
    case O::TryTable:
      materialize_all();
      push_control(in.op, in.block);
      control_.back().catches = in.catches;
      control_.back().guarded.begin = here();
      forget_last();
      return;
    case O::Try:
      materialize_all();
      push_control(in.op, in.block);
      control_.back().guarded.begin = here();
      forget_last();
      return;
    case O::Catch:
    case O::CatchAll:
      start_catch(control_.back(), in.op == O::Catch ? in.index : kNone);
      return;
    case O::Delegate:
      emit_moves(control_.back());
      aim(emit_jump(), control_.back());
      visit_skipped(in);
      return;
    case O::Rethrow: {
      Control& c = control(in.index);
      mark();
      emit_op(Special::ThrowRef, c.base_slot);
      emit_point(safepoint());
      set_unreachable();
      return;
    }
    case O::Throw: {
      const auto& type = module_.types[module_.tags[in.index].type_index].func;
      const uint32_t base = settle(type);
      mark();
      emit_op(Special::Throw, base);
      emit(in.index);
      emit_point(safepoint());
      set_unreachable();
      return;
    }
    case O::ThrowRef: {
      const uint32_t s = source(top());
      mark();
      emit_op(Special::ThrowRef, s);
      emit_point(safepoint());
      set_unreachable();
      return;
    }
    case O::End:
      end_frame();
      return;
    case O::Br:
      emit_branch(control(in.index));
      set_unreachable();
      return;
    case O::BrIf: {
      settle_many(control(in.index), 1);
      const Condition c = pop_condition();
      emit_cond_branch(in.index, c);
      return;
    }
    case O::BrTable: {
      settle_many(control(in.labels[0]), 1);
      const Operand index = pop();
      const uint32_t s = near_source(index);
      const uint32_t base = here();
      const uint32_t count = uint32_t(in.labels.size());
      const bool far = branches_far();
      const unsigned entry_words = far ? 2 : 1;
      emit_with(word(far ? Special::BrTableFar : Special::BrTable, s), count - 1);
      const uint32_t table = here();
      for (uint32_t i = 0; i < count; ++i) emit(0, entry_words);
      // Labels that need values moved, and returns, get a stub each.
      forget_last();
      forget_acc();
      for (uint32_t i = 0; i < count; ++i) {
        Control& c = control(in.labels[i]);
        const Fixup entry{base, table + i * entry_words, !far};
        const bool to_function = &c == &control_.front();
        if (!to_function && !needs_moves(c)) {
          aim(entry, c);
          continue;
        }
        if (c.stub == kNone) {
          c.stub = here();
          forget_acc();
          emit_branch(c);
        }
        set_offset(entry, c.stub);
      }
      for (const uint32_t label : in.labels) control(label).stub = kNone;
      set_unreachable();
      return;
    }
    case O::Return:
      emit_return();
      set_unreachable();
      return;
    case O::Call: {
      const wasm::FuncType& type = module_.func_type(in.index);
      const uint32_t base = settle(type);
      mark();
      const bool imported = module_.functions[in.index].imported;
      uint32_t callee = in.index;
#if WAFER_NARROW
      if (!imported) callee = uint32_t(reinterpret_cast<uintptr_t>(&mcode_.funcs[in.index]));
#endif
      emit_long(word(imported ? Special::CallImport : Special::Call, base) | Quad(callee) << 32);
      end_call(type);
      finish_call(type, base);
      return;
    }
    case O::CallIndirect: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand index = pop();
      // The index may be a constant or a local; arguments below it settle first.
      const uint32_t base = settle(type);
      const uint32_t s = source(index);
      // The index must survive until it is read; it may lie at the arguments' end.
      mark();
      emit_op(Special::CallIndirect, base, s, Raw(module_.tables[in.index2].type.limits.has_64()));
      emit(pair(in.index2, module_.canon[in.index]));
      end_call(type);
      finish_call(type, base);
      return;
    }
    case O::CallRef: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand ref = pop();
      const uint32_t base = settle(type);
      const uint32_t s = source(ref);
      mark();
      emit_op(Special::CallRef, base, s);
      end_call(type);
      finish_call(type, base);
      return;
    }
    case O::ReturnCall: {
      const wasm::FuncType& type = module_.func_type(in.index);
      const uint32_t base = settle(type);
      mark();
      emit_op(Special::ReturnCall, base, out_.link);
      emit(in.index);
      end_call(type);
      set_unreachable();
      return;
    }
    case O::ReturnCallIndirect: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand index = pop();
      const uint32_t base = settle(type);
      const uint32_t s = source(index);
      mark();
      emit_op(Special::ReturnCallIndirect, base, s, out_.link);
      emit(pair(in.index2, module_.canon[in.index]));
      emit(module_.tables[in.index2].type.limits.has_64());
      end_call(type);
      set_unreachable();
      return;
    }
    case O::ReturnCallRef: {
      const wasm::FuncType& type = module_.types[in.index].func;
      const Operand ref = pop();
      const uint32_t base = settle(type);
      const uint32_t s = source(ref);
      mark();
      emit_op(Special::ReturnCallRef, base, s, out_.link);
      end_call(type);
      set_unreachable();
      return;
    }
    case O::Drop:
      pop();
      return;
    case O::Select:
    case O::SelectT: {
      const Operand cond = top(0), b = top(1), a = top(2);
      const ValType type = a.type.is_bot() ? b.type : a.type;
      const bool v128 = type.kind() == TypeKind::V128;
      const uint32_t sa = v128 ? source(a) : near_source(a), sb = v128 ? source(b) : near_source(b);
      const bool acc = !v128 && in_acc(cond);
      const uint32_t sc = acc ? 0 : source(cond);
      const AccState before = acc_;
      pop_n(3);
      const ValType result = validator_.operand(0).is_bot() ? type : validator_.operand(0);
      const uint32_t dst = push(result).slot;
      const uint32_t at = here();
      if (v128) {
        emit_op(Special::Select128, dst, sa, sb);
        emit(sc);
      } else {
        emit_first(word(acc ? Special::SelectA : Special::SelectS, dst, sa, sb), Form::Slots);
        emit(kNarrow ? Field(sc).bits : sc, 1);
      }
      no_acc(dst);
      if (!v128) acc_.set(dst);
      note_last(at, dst, before);
      return;
    }
    case O::LocalGet:
      push_local(in.index);
      return;
    case O::LocalSet:
    case O::LocalTee: {
      const Operand o = pop();
      const uint32_t dst = local_slot(in.index);
      const bool pending = local_heads_[in.index] != kNone;
      if (o.kind == Operand::Kind::Local && o.copy.local == in.index) {
        // Storing a local to itself.
      } else if (!pending && o.kind == Operand::Kind::Slot && last_wrote(o.slot) &&
                 redirect_last(dst)) {
        clobber(dst);
        if (o.type.kind() == TypeKind::V128) clobber(dst + 1);
        acc_.move(o.slot, dst);
        forget_last();
      } else {
        preserve_local(in.index);
        // `o` may itself live in a slot that preserving did not touch.
        store_to(o, dst);
        forget_last();
      }
      if (in.op == O::LocalTee) {
        push_local(in.index);
        stack_.back().type = validator_.operand(0);
      }
      return;
    }
    case O::GlobalGet: {
      const ValType t = module_.globals[in.index].type.type;
      const bool v128 = t.kind() == TypeKind::V128;
      const AccState before = acc_;
      const uint32_t dst = push(t).slot;
      const uint32_t at = here();
      if (v128) {
        emit_op(Special::GlobalGet128, dst);
        emit(in.index);
        no_acc(dst);
      } else {
        emit_with(word(Special::GlobalGet, dst), in.index);
        clobber(dst);
        acc_.set(dst);
      }
      note_last(at, dst, before);
      return;
    }
    case O::GlobalSet: {
      const Operand o = top();
      const bool v128 = o.type.kind() == TypeKind::V128;
      const uint32_t s = v128 ? source(o) : near_source(o);
      pop();
      if (v128) {
        emit_op(Special::GlobalSet128, s);
        emit(in.index);
      } else {
        emit_with(word(Special::GlobalSet, s), in.index);
      }
      return;
    }
    case O::I32Const:
      push_const(wasm::kI32, uint32_t(in.i32));
      goto lazy;
    case O::I64Const:
      push_const(wasm::kI64, uint64_t(in.i64));
      goto lazy;
    case O::F32Const:
      push_const(wasm::kF32, in.f32_bits);
      goto lazy;
    case O::F64Const:
      push_const(wasm::kF64, in.f64_bits);
      goto lazy;
    case O::RefNull:
      push_const(validator_.operand(0), runtime::kNullRef);
    lazy:
      if (lazy_from_ > stack_.size() - 1) lazy_from_ = uint32_t(stack_.size() - 1);
      return;
    case O::V128Const: {
      const AccState before = acc_;
      const uint32_t dst = push(wasm::kV128).slot;
      const uint32_t at = here();
      emit_op(Special::Const128, dst);
      emit(load_le<uint64_t>(in.v128.bytes));
      emit(load_le<uint64_t>(in.v128.bytes + 8));
      no_acc(dst);
      note_last(at, dst, before);
      return;
    }
    default:
      return visit_plain(in);
  }
}
Result<void> translate(const wasm::Module& module, const ModuleCodeImpl& code, FuncCode& out) {
  if (kSmall) {
    // Room at once for what most bodies become: growing needs old and new at a time.
    const size_t bytes = module.functions[out.func_index].body.size();
    out.code.reserve(guessed_words(bytes, code.options.fuel));
    out.offsets.reserve(guessed_offsets(bytes));
  }
  // Again where what it makes does not fit the short forms.
  Result<void> result;
  for (Translator::Limits limits;;) {
    const Translator::Limits before = limits;
    {
      Translator t(module, code, out, limits);
      result = t.run();
      limits = t.kept();
    }
    if (limits == before || !result.ok()) break;
    out.code.clear();
    out.handlers = {};
    out.ref_locals.clear();
    out.ref_maps.clear();
    out.offsets.clear();
  }
  // Once the translator's own memory is free.
  out.code.shrink_to_fit();
  out.offsets.shrink_to_fit();
  return result;
}

}  // namespace wafer::interp

#endif
