// Translation of instructions on memories, tables, references, objects and stacks: they take
// their operands from slots and leave their results there.
#include "interp/translator.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp {

void Translator::stack_switching(const Instr& in) {
  using O = wasm::Opcode;
  const auto cont_func = [&](uint32_t type) -> const wasm::FuncType& {
    return module_.types[module_.types[type].cont].func;
  };
  const auto ref = [](uint32_t type) {
    return ValType::ref(wasm::HeapType::concrete(type), false);
  };
  // Operands besides the continuation, and what comes of them.
  size_t args = 0;
  wasm::FuncType type;
  uint32_t tag = kNone;
  bool takes_cont = true;
  switch (in.op) {
    case O::ContNew:
      takes_cont = false;
      args = 1;
      type.results = {ref(in.index)};
      break;
    case O::ContBind:
      args = cont_func(in.index).params.size() - cont_func(in.index2).params.size();
      type.results = {ref(in.index2)};
      break;
    case O::Suspend: {
      takes_cont = false;
      tag = in.index;
      const wasm::FuncType& t = module_.types[module_.tags[tag].type_index].func;
      args = t.params.size();
      type.results = t.results;
      break;
    }
    case O::Switch: {
      tag = in.index2;
      const wasm::FuncType& t = cont_func(in.index);
      args = t.params.size() - 1;
      type.results = cont_func(t.params.back().heap().index()).params;
      break;
    }
    case O::ResumeThrow:
      tag = in.index2;
      args = module_.types[module_.tags[tag].type_index].func.params.size();
      type.results = cont_func(in.index).results;
      break;
    default:
      tag = in.op == O::ResumeThrowRef ? kResumeThrowRef : kResumePlain;
      args = in.op == O::ResumeThrowRef ? 1 : cont_func(in.index).params.size();
      type.results = cont_func(in.index).results;
  }
  const auto operands = uint32_t(args + takes_cont);
  materialize_top(operands);
  const uint32_t base = operands ? top(operands - 1).slot : next_slot_;
  uint32_t slots = 0;
  for (uint32_t i = 0; i < args; ++i) slots += slot_count(top(operands - 1 - i).type);
  const Quad point = safepoint();
  mark();
  switch (in.op) {
    case O::ContNew:
      emit_op(Special::ContNew, base);
      break;
    case O::ContBind:
      emit_op(Special::ContBind, base, Raw(slots));
      break;
    case O::Suspend:
    case O::Switch:
      emit_op(in.op == O::Suspend ? Special::Suspend : Special::Switch, base, Raw(slots));
      emit(tag);
      break;
    default: {
      const auto first = uint32_t(out_.handlers.size());
      for (const wasm::ResumeClause& clause : in.clauses) {
        Handler h{};
        h.tag = clause.tag;
        h.kind = clause.is_switch ? Handler::Kind::Switch : Handler::Kind::Suspend;
        if (!clause.is_switch) {
          Control& target = control(clause.label);
          h.dst = uint16_t(target.base_slot);
          if (target.op == O::Loop)
            h.target = target.loop_start;
          else
            target.handler_fixups.push_back(uint32_t(out_.handlers.size()));
        }
        out_.handlers.push_back(h);
      }
      uint32_t results = 0;
      for (const ValType t : type.results) results += slot_count(t);
      emit_op(Special::Resume, Raw(base), Raw(slots), Raw(base + std::max(slots + 1, results)));
      emit(pair(first, uint32_t(in.clauses.size())));
      emit(tag);
    }
  }
  emit_point(point);
  pop_n(operands);
  finish_call(type, base);
}

void Translator::visit_plain(const Instr& in) {
  bound_lazy();
  using O = wasm::Opcode;
  const O opcode = in.op;
  WAFER_ASSUME_BUILT(opcode);
  mark();
  // Gathers the sources of the top `n` operands, first operand first.
  uint32_t s[6];
  auto take = [&](uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) s[i] = source(top(n - 1 - i));
    pop_n(n);
  };
  // Pushes the result that the validator now has on top; gives its slot.
  auto result = [&]() -> uint32_t {
    const uint32_t dst = push(validator_.operand(0)).slot;
    no_acc(dst);
    return dst;
  };
  auto type_word = [&](uint32_t type_index) {
    return Quad(reinterpret_cast<uintptr_t>(module_.canon_type(type_index)));
  };
  auto heap_word = [&](HeapType h) { return Quad(module_.canonical(h).bits()); };
  // Branch on the i32 in slot `slot` (scratch, above the stack).
  auto branch_on_slot = [&](uint32_t slot, bool if_nonzero) {
    settle_many(control(in.index), 0);
    Condition c;
    c.if_true = word(if_nonzero ? Special::BrIfS : Special::BrUnlessS, slot);
    c.if_false = word(if_nonzero ? Special::BrUnlessS : Special::BrIfS, slot);
    emit_cond_branch(in.index, c);
  };

  switch (opcode) {
    case O::MemorySize: {
      const uint32_t dst = result();
      emit_op(Special::MemorySize, dst);
      emit(in.index);
      return;
    }
    case O::MemoryGrow: {
      take(1);
      const uint32_t dst = result();
      emit_op(Special::MemoryGrow, dst, s[0]);
      emit(pair(in.index, module_.memories[in.index].type.limits.has_64()));
      return;
    }
    case O::MemoryFill:
      take(3);
      emit_op(Special::MemoryFill, s[0], s[1], s[2]);
      emit(memory_word(in.index));
      return;
    case O::MemoryCopy:
      take(3);
      emit_op(Special::MemoryCopy, s[0], s[1], s[2]);
      emit(pair(memory_word(in.index), memory_word(in.index2)));
      return;
    case O::MemoryInit:
      take(3);
      emit_op(Special::MemoryInit, s[0], s[1], s[2]);
      emit(pair(memory_word(in.index2), in.index));
      return;
    case O::DataDrop:
      emit_op(Special::DataDrop);
      emit(in.index);
      return;
    case O::TableGet: {
      take(1);
      const uint32_t dst = result();
      emit_op(Special::TableGet, dst, s[0]);
      emit(pair(in.index, module_.tables[in.index].type.limits.has_64()));
      return;
    }
    case O::TableSet:
      take(2);
      emit_op(Special::TableSet, s[0], s[1]);
      emit(pair(in.index, module_.tables[in.index].type.limits.has_64()));
      return;
    case O::TableSize: {
      const uint32_t dst = result();
      emit_op(Special::TableSize, dst);
      emit(in.index);
      return;
    }
    case O::TableGrow: {
      take(2);
      const uint32_t dst = result();
      emit_op(Special::TableGrow, dst, s[0], s[1]);
      emit(pair(in.index, module_.tables[in.index].type.limits.has_64()));
      return;
    }
    case O::TableFill:
      take(3);
      emit_op(Special::TableFill, s[0], s[1], s[2]);
      emit(pair(in.index, module_.tables[in.index].type.limits.has_64()));
      return;
    case O::TableCopy:
      take(3);
      emit_op(Special::TableCopy, s[0], s[1], s[2]);
      emit(pair(table_word(in.index), table_word(in.index2)));
      return;
    case O::TableInit:
      take(3);
      emit_op(Special::TableInit, s[0], s[1], s[2]);
      emit(pair(table_word(in.index2), in.index));
      return;
    case O::ElemDrop:
      emit_op(Special::ElemDrop);
      emit(in.index);
      return;
    case O::RefFunc: {
      const uint32_t dst = result();
      emit_op(Special::RefFunc, dst);
      emit(in.index);
      return;
    }
    case O::RefIsNull: {
      take(1);
      const AccState before = acc_;
      const uint32_t dst = result();
      const uint32_t at = here();
      emit_op(Special::RefIsNull, dst, s[0]);
      acc_.set(dst);
      note_last(at, dst, before);
      return;
    }
    case O::RefAsNonNull: {
      const Operand o = top();
      const uint32_t src = source(o);
      emit_op(Special::RefAsNonNull, 0, src);
      return;
    }
    case O::RefEq: {
      take(2);
      const uint32_t dst = result();
      emit_op(Special::RefEq, dst, s[0], s[1]);
      return;
    }
    case O::RefTest:
    case O::RefTestNull: {
      take(1);
      const uint32_t dst = result();
      emit_op(Special::RefTest, dst, s[0], Raw(opcode == O::RefTestNull));
      emit(heap_word(in.heap));
      return;
    }
    case O::RefCast:
    case O::RefCastNull: {
      take(1);
      const uint32_t dst = result();
      emit_op(Special::RefCast, dst, s[0], Raw(opcode == O::RefCastNull));
      emit(heap_word(in.heap));
      return;
    }
    case O::BrOnNull: {
      // Taken: without the reference. Not taken: the reference stays.
      settle_many(control(in.index), 1);
      if (top().kind == Operand::Kind::Const) materialize(uint32_t(stack_.size()) - 1);
      const uint32_t src = source(top());
      const Operand keep = pop();
      Condition c;
      c.if_true = word(Special::BrUnless64S, src);
      c.if_false = word(Special::BrIf64S, src);
      // Moves for the label must not overwrite the reference: they go to lower
      // slots only.
      emit_cond_branch(in.index, c);
      if (keep.kind == Operand::Kind::Local) {
        push_local(keep.copy.local);
      } else {
        push(keep.type);
      }
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return;
    }
    case O::BrOnNonNull: {
      settle_many(control(in.index), 0);
      if (top().kind == Operand::Kind::Const) materialize(uint32_t(stack_.size()) - 1);
      const uint32_t src = source(top());
      Condition c;
      c.if_true = word(Special::BrIf64S, src);
      c.if_false = word(Special::BrUnless64S, src);
      emit_cond_branch(in.index, c);
      pop();
      return;
    }
    case O::BrOnCast:
    case O::BrOnCastFail: {
      if (top().kind == Operand::Kind::Const) materialize(uint32_t(stack_.size()) - 1);
      const uint32_t src = source(top());
      const uint32_t scratch = next_slot_;
      if (scratch + 1 > max_slot_) max_slot_ = scratch + 1;
      emit_op(Special::RefTest, scratch, src, Raw(in.null2));
      emit(heap_word(in.heap2));
      branch_on_slot(scratch, opcode == O::BrOnCast);
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return;
    }
    case O::RefI31:
    case O::I31GetS:
    case O::I31GetU: {
      take(1);
      const uint32_t dst = result();
      emit_op(opcode == O::RefI31    ? Special::RefI31
              : opcode == O::I31GetS ? Special::I31GetS
                                     : Special::I31GetU,
              dst, s[0]);
      return;
    }
    case O::AnyConvertExtern:
    case O::ExternConvertAny: {
      // The bits stay the same.
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return;
    }
    case O::ContNew:
    case O::ContBind:
    case O::Suspend:
    case O::Switch:
    case O::Resume:
    case O::ResumeThrow:
    case O::ResumeThrowRef:
      stack_switching(in);
      return;
    case O::RefGetDesc: {
      take(1);
      emit_op(Special::RefAsNonNull, 0, s[0]);
      const uint32_t dst = result();
      emit_op(Special::StructGet64, dst, s[0]);
      emit(module_.canon_type(in.index)->descriptor_offset);
      return;
    }
    case O::RefCastDescEq:
    case O::RefCastDescEqNull: {
      take(2);
      const uint32_t dst = result();
      emit_op(Special::RefCastDesc, dst, s[0], s[1]);
      emit(opcode == O::RefCastDescEqNull);
      return;
    }
    case O::BrOnCastDescEq:
    case O::BrOnCastDescEqFail: {
      materialize_top(2);
      const uint32_t descriptor = top(0).slot, src = top(1).slot;
      pop_n(1);
      const uint32_t scratch = next_slot_;
      if (scratch + 1 > max_slot_) max_slot_ = scratch + 1;
      emit_op(Special::RefTestDesc, scratch, src, descriptor);
      emit(in.null2);
      branch_on_slot(scratch, opcode == O::BrOnCastDescEq);
      if (!validator_.operand(0).is_bot()) stack_.back().type = validator_.operand(0);
      return;
    }
    case O::StructNewDefaultDesc: {
      materialize_top(1);
      const uint32_t descriptor = top(0).slot;
      const Quad point = safepoint();
      pop_n(1);
      const uint32_t dst = result();
      emit_op(Special::CheckDescriptor, 0, descriptor);
      emit_op(Special::StructNewDefault, dst, descriptor);
      emit(type_word(in.index));
      emit_point(point);
      return;
    }
    case O::StructNewDesc:
    case O::StructNew: {
      // The descriptor is one operand more, after the fields.
      const uint32_t n =
          uint32_t(module_.types[in.index].fields.size()) + (opcode == O::StructNewDesc);
      materialize_top(n);
      if (opcode == O::StructNewDesc) emit_op(Special::CheckDescriptor, 0, top(0).slot);
      const uint32_t base = n ? top(n - 1).slot : next_slot_;
      const Quad point = safepoint();
      pop_n(n);
      const uint32_t dst = result();
      emit_op(Special::StructNew, dst, base);
      emit(type_word(in.index));
      emit_point(point);
      return;
    }
    case O::StructNewDefault: {
      const Quad point = safepoint();
      const uint32_t dst = result();
      emit_op(Special::StructNewDefault, dst);
      emit(type_word(in.index));
      emit_point(point);
      return;
    }
    case O::StructGet:
    case O::StructGetS:
    case O::StructGetU: {
      take(1);
      const ValType t = module_.types[in.index].fields[in.index2].storage;
      const bool sign = opcode == O::StructGetS;
      Special op = Special::StructGet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = sign ? Special::StructGet8S : Special::StructGet8U;
          break;
        case TypeKind::I16:
          op = sign ? Special::StructGet16S : Special::StructGet16U;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::StructGet32;
          break;
        case TypeKind::V128:
          op = Special::StructGet128;
          break;
        default:
          break;
      }
      const uint32_t dst = result();
      emit_op(op, dst, s[0]);
      emit(module_.canon_type(in.index)->field_offsets[in.index2]);
      return;
    }
    case O::StructSet: {
      take(2);
      const ValType t = module_.types[in.index].fields[in.index2].storage;
      Special op = Special::StructSet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = Special::StructSet8;
          break;
        case TypeKind::I16:
          op = Special::StructSet16;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::StructSet32;
          break;
        case TypeKind::V128:
          op = Special::StructSet128;
          break;
        default:
          break;
      }
      emit_op(op, s[0], s[1]);
      emit(module_.canon_type(in.index)->field_offsets[in.index2]);
      return;
    }
    case O::ArrayNew: {
      materialize_top(2);  // the initial value may be a reference: keep it rooted
      const uint32_t init = top(1).slot, len = top(0).slot;
      const Quad point = safepoint();
      pop_n(2);
      const uint32_t dst = result();
      emit_op(Special::ArrayNew, dst, init, len);
      emit(type_word(in.index));
      emit_point(point);
      return;
    }
    case O::ArrayNewDefault: {
      take(1);
      const Quad point = safepoint();
      const uint32_t dst = result();
      emit_op(Special::ArrayNewDefault, dst, 0, s[0]);
      emit(type_word(in.index));
      emit_point(point);
      return;
    }
    case O::ArrayNewFixed: {
      const uint32_t n = in.index2;
      materialize_top(n);
      const uint32_t base = n ? top(n - 1).slot : next_slot_;
      const Quad point = safepoint();
      pop_n(n);
      const uint32_t dst = result();
      emit_op(Special::ArrayNewFixed, dst, base);
      emit(type_word(in.index));
      emit(n);
      emit_point(point);
      return;
    }
    case O::ArrayNewData:
    case O::ArrayNewElem: {
      take(2);
      const Quad point = safepoint();
      const uint32_t dst = result();
      emit_op(opcode == O::ArrayNewData ? Special::ArrayNewData : Special::ArrayNewElem, dst, s[0],
              s[1]);
      emit(type_word(in.index));
      emit(in.index2);
      emit_point(point);
      return;
    }
    case O::ArrayGet:
    case O::ArrayGetS:
    case O::ArrayGetU: {
      take(2);
      const ValType t = module_.types[in.index].fields[0].storage;
      const bool sign = opcode == O::ArrayGetS;
      Special op = Special::ArrayGet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = sign ? Special::ArrayGet8S : Special::ArrayGet8U;
          break;
        case TypeKind::I16:
          op = sign ? Special::ArrayGet16S : Special::ArrayGet16U;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::ArrayGet32;
          break;
        case TypeKind::V128:
          op = Special::ArrayGet128;
          break;
        default:
          break;
      }
      const uint32_t dst = result();
      emit_op(op, dst, s[0], s[1]);
      return;
    }
    case O::ArraySet: {
      take(3);
      const ValType t = module_.types[in.index].fields[0].storage;
      Special op = Special::ArraySet64;
      switch (t.kind()) {
        case TypeKind::I8:
          op = Special::ArraySet8;
          break;
        case TypeKind::I16:
          op = Special::ArraySet16;
          break;
        case TypeKind::I32:
        case TypeKind::F32:
          op = Special::ArraySet32;
          break;
        case TypeKind::V128:
          op = Special::ArraySet128;
          break;
        default:
          break;
      }
      emit_op(op, s[0], s[1], s[2]);
      return;
    }
    case O::ArrayLen: {
      take(1);
      const uint32_t dst = result();
      emit_op(Special::ArrayLen, dst, s[0]);
      return;
    }
    case O::ArrayFill:
      take(4);
      emit_op(Special::ArrayFill, s[0], s[1], s[2]);
      emit(s[3]);
      return;
    case O::ArrayCopy:
      take(5);
      emit_op(Special::ArrayCopy, s[0], s[1], s[2]);
      emit(pair(s[3], s[4]));
      return;
    case O::ArrayInitData:
    case O::ArrayInitElem:
      take(4);
      emit_op(opcode == O::ArrayInitData ? Special::ArrayInitData : Special::ArrayInitElem, s[0],
              s[1], s[2]);
      emit(pair(s[3], in.index2));
      return;
    case O::MemoryAtomicWait32:
    case O::MemoryAtomicWait64: {
      take(3);
      const uint32_t dst = result();
      emit_op(opcode == O::MemoryAtomicWait32 ? Special::AtomicWait32 : Special::AtomicWait64, dst,
              s[0], s[1]);
      emit(memory_word(in.index));
      emit(in.offset);
      emit(s[2]);
      return;
    }
    case O::MemoryAtomicNotify: {
      take(2);
      const uint32_t dst = result();
      emit_op(Special::AtomicNotify, dst, s[0], s[1]);
      emit(memory_word(in.index));
      emit(in.offset);
      return;
    }
    case O::AtomicFence:
      emit_op(Special::AtomicFence);
      return;
    default:
      panic("no translation");
  }
}

}  // namespace wafer::interp

#endif
