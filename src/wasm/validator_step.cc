// The rules of single instructions (spec 3.4).
#include "wasm/validator_types.h"

namespace wafer::wasm {

namespace {

const ValType kNullExn = ValType::ref(HeapKind::Exn, true);

// A type that a reference of heap type `heap` may be compared with in a cast.
HeapKind top_kind(const Module& module, HeapType heap) {
  if (!heap.is_concrete()) return top_of(heap.kind());
  return top_of(module.types[heap.index()].kind);
}

}  // namespace

// Pops a descriptor for a cast to `heap`: an exact one if the cast is to an exact type.
bool FuncValidator::pop_descriptor_of(HeapType heap) {
  const uint32_t descriptor =
      heap.is_concrete() ? module_.types[heap.index()].descriptor : SubType::kNone;
  if (descriptor == SubType::kNone) {
    return fail(WAFER_MESSAGE(
        "type", "type " + (heap.is_concrete() ? message_with("", heap.index()) : to_string(heap)) +
                    " does not have a descriptor"));
  }
  return pop(ValType::ref(HeapType::concrete(descriptor, heap.is_exact()), true));
}

bool FuncValidator::step_sig(const Instr& in) {
  const OpFacts& facts = op_facts(in.op);
  const OpSig& sig = facts.sig();
  if (!kSmall && facts.imm == Imm::None && sig.result_count == 1) {
    // Most numeric instructions, with operands of just the right types.
    if (sig.param_count == 2 && sp_ - floor_ >= 2 && sp_[-1] == ValType(sig.params[1]) &&
        sp_[-2] == ValType(sig.params[0])) {
      sp_[-2] = sig.results[0];
      --sp_;
      return true;
    }
    if (sig.param_count == 1 && sp_ != floor_ && sp_[-1] == ValType(sig.params[0])) {
      sp_[-1] = sig.results[0];
      return true;
    }
  }
  ValType params[kMostParams];
  for (size_t i = 0; i < kMostParams; ++i) params[i] = sig.params[i];
  switch (facts.imm) {
    case Imm::MemArgLane:
      WAFER_ASSUME_FEATURE(Simd);
      if (!mem_arg(in, facts, params[0])) return false;
      if (in.lane >= (16u >> facts.aux)) return fail("invalid lane index");
      break;
    case Imm::MemArg:
      if (!mem_arg(in, facts, params[0])) return false;
      break;
    case Imm::Lane:
      WAFER_ASSUME_FEATURE(Simd);
      if (in.lane >= facts.aux) return fail("invalid lane index");
      break;
    case Imm::Shuffle:
      WAFER_ASSUME_FEATURE(Simd);
      for (const uint8_t lane : in.v128.bytes)
        if (lane >= 32) return fail("invalid lane index");
      break;
    default:
      break;
  }
  if (!pop_all({params, sig.param_count})) return false;
  for (unsigned i = 0; i < sig.result_count; ++i) push(sig.results[i]);
  return true;
}

bool FuncValidator::call(const FuncType& type, bool tail, ValType extra) {
  if (tail && !all_match(type.results, results_))
    return fail(
        WAFER_MESSAGE("type mismatch", "type mismatch: current function requires result type " +
                                           type_list(results_) + " but callee returns " +
                                           type_list(type.results)));
  if (!extra.is_bot() && !pop(extra)) return false;
  if (!pop_all(type.params)) return false;
  if (tail)
    set_unreachable();
  else
    push_all(type.results);
  return true;
}

bool FuncValidator::local_set(uint32_t index, bool tee) {
  if (index >= locals_.size()) return fail_index("unknown local", index);
  const ValType type = locals_[index];
  if (!pop(type)) return false;
  if (tee) push(type);
  if (tracks_inits_ && !local_set_[index]) {
    local_set_[index] = 1;
    init_trail_.push_back(index);
  }
  return true;
}

bool FuncValidator::check_catches(const Instr& in) {
  for (const CatchClause& c : in.catches) {
    Types params;
    const bool tagged = c.kind <= CatchClause::Kind::CatchRef;
    if (tagged) {
      if (c.tag >= module_.tags.size()) return fail_index("unknown tag", c.tag);
      params = module_.types[module_.tags[c.tag].type_index].func.params;
    }
    const ControlFrame* target;
    if (!label(c.label, target)) return false;
    Types want = target->label_types();
    const bool with_ref =
        c.kind == CatchClause::Kind::CatchRef || c.kind == CatchClause::Kind::CatchAllRef;
    const ValType exn = ValType::ref(HeapKind::Exn, false);
    if (want.size() != params.size() + with_ref || !all_match(params, want.first(params.size())) ||
        (with_ref && !matches(exn, want.back()))) {
      String have = type_list(params);
      if (with_ref) {
        have.pop_back();
        if (!params.empty()) have += ' ';
        have += to_string(exn) + "]";
      }
      return fail(WAFER_MESSAGE("type mismatch", "type mismatch: catch handler requires " +
                                                     type_list(want) + " but label has " + have));
    }
  }
  return true;
}

// The continuation type that the last of `types` refers to.
bool FuncValidator::last_cont(Types types, std::string_view what, const FuncType*& out) {
  if (types.empty() || !types.back().is_ref() || !types.back().heap().is_concrete()) {
    String message = "type mismatch: instruction requires ";
    message += what;
    return fail(message + " has " + type_list(types));
  }
  return cont_at(types.back().heap().index(), out);
}

bool FuncValidator::check_clauses(const Instr& in, Types results) {
  for (const ResumeClause& c : in.clauses) {
    const FuncType* tag;
    if (!tag_at(c.tag, tag)) return false;
    if (c.is_switch) {
      if (!tag->params.empty() || !all_match(tag->results, results) ||
          !all_match(results, tag->results))
        return fail("type mismatch: tag of a switch handler");
      continue;
    }
    const ControlFrame* target;
    if (!label(c.label, target)) return false;
    const Types want = target->label_types();
    const FuncType* cont;
    if (!last_cont(want, "concrete continuation reference type but label", cont)) return false;
    if (!all_match(cont->params, tag->results) || !all_match(results, cont->results))
      return fail("type mismatch in continuation type");
    if (!all_match(tag->params, want.first(want.size() - 1)))
      return fail(WAFER_MESSAGE("type mismatch", "type mismatch: handler requires " +
                                                     type_list(want) + " but label has " +
                                                     type_list(tag->params)));
  }
  return true;
}

bool FuncValidator::stack_switching(const Instr& in) {
  const FuncType* type;
  if (in.op == Opcode::Suspend) {
    if (!tag_at(in.index, type) || !pop_all(type->params)) return false;
    push_all(type->results);
    return true;
  }
  if (!cont_at(in.index, type)) return false;
  const ValType cont = ValType::ref(HeapType::concrete(in.index), true);
  switch (in.op) {
    case Opcode::ContNew:
      if (!pop(ValType::ref(HeapType::concrete(module_.types[in.index].cont), true))) return false;
      push(ValType::ref(HeapType::concrete(in.index), false));
      return true;
    case Opcode::ContBind: {
      const FuncType* bound;
      if (!cont_at(in.index2, bound)) return false;
      const size_t rest = bound->params.size();
      if (type->params.size() < rest) return fail("type mismatch in continuation arguments");
      const Types params = type->params;
      if (!all_match(bound->params, params.last(rest)) || !all_match(type->results, bound->results))
        return fail("type mismatch in continuation types");
      if (!pop(cont) || !pop_all(params.first(params.size() - rest))) return false;
      push(ValType::ref(HeapType::concrete(in.index2), false));
      return true;
    }
    case Opcode::Switch: {
      const FuncType *tag, *other = nullptr;
      const Types params = type->params;
      if (!last_cont(params, "continuation reference type but the type annotation", other) ||
          !tag_at(in.index2, tag))
        return false;
      if (!tag->params.empty()) return fail("type mismatch in switch tag");
      if (!all_match(type->results, tag->results) || !all_match(tag->results, other->results))
        return fail("type mismatch in continuation types");
      if (!pop(cont) || !pop_all(params.first(params.size() - 1))) return false;
      push_all(other->params);
      return true;
    }
    default: {
      if (!check_clauses(in, type->results) || !pop(cont)) return false;
      if (in.op == Opcode::ResumeThrowRef) {
        if (!pop(kNullExn)) return false;
      } else if (in.op == Opcode::ResumeThrow) {
        const FuncType* tag;
        if (!tag_at(in.index2, tag)) return false;
        if (!tag->results.empty()) return fail("type mismatch: tag of an exception has results");
        if (!pop_all(tag->params)) return false;
      } else if (!pop_all(type->params)) {
        return false;
      }
      push_all(type->results);
      return true;
    }
  }
}

bool FuncValidator::castable(HeapType type) {
  return top_kind(module_, type) != HeapKind::Cont || fail("invalid cast to continuation types");
}

bool FuncValidator::br_table(const Instr& in) {
  if (!pop(kI32)) return false;
  const ControlFrame* target;
  if (!label(in.labels.back(), target)) return false;
  const size_t arity = target->label_types().size();
  const size_t available = size_t(sp_ - floor_);
  if (available < arity && !control_.back().unreachable) return mismatch(target->label_types());
  const size_t take = available < arity ? available : arity;
  const ValType* checked = nullptr;
  for (uint32_t index : in.labels) {
    if (!label(index, target)) return false;
    const Types types = target->label_types();
    if (types.size() != arity) return mismatch(types);
    // Neighbours mostly have the same types, even the same list.
    if (arity == 0 || types.data() == checked) continue;
    checked = types.data();
    for (size_t i = 1; i <= take; ++i)
      if (!matches(sp_[-ptrdiff_t(i)], types[arity - i])) return mismatch(types);
  }
  set_unreachable();
  return true;
}

bool FuncValidator::ref_of(uint32_t type, bool nullable, ValType& out) {
  if (type >= module_.types.size()) return fail_index("unknown type", type);
  out = ValType::ref(HeapType::concrete(type), nullable);
  return true;
}

bool FuncValidator::step(const Instr& in) {
  at_ = in.offset_in_module;
  if (WAFER_UNLIKELY(sp_ > soft_limit_) && !grow()) return false;
  const Opcode op = in.op;
  WAFER_ASSUME_BUILT(op);
  // (That there is no default takes less space.)
  if (kSmall && !op_facts(op).sig().custom) return step_sig(in);
  switch (op) {
    case Opcode::Unreachable:
      set_unreachable();
      return true;

    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::Try:
    case Opcode::TryTable: {
      if (in.block.kind == BlockType::Kind::Type) {
        const FuncType* type;
        if (!func_type_at(in.block.type_index, type)) return false;
      }
      if (op == Opcode::If && !pop(kI32)) return false;
      if (op == Opcode::TryTable && !check_catches(in)) return false;
      const Types params = block_params(in.block), results = block_results(in.block);
      return pop_all(params) && push_frame(op, params, results);
    }

    case Opcode::Else: {
      ControlFrame& frame = control_.back();
      if (frame.op != Opcode::If) return fail("END opcode expected", ErrorKind::Malformed);
      if (!end_frame()) return false;
      frame.op = Opcode::Else;
      frame.unreachable = false;
      push_all(frame.params);
      return true;
    }

    case Opcode::Catch:
    case Opcode::CatchAll: {
      ControlFrame& frame = control_.back();
      if (frame.op != Opcode::Try && frame.op != Opcode::Catch)
        return fail("misplaced catch", ErrorKind::Malformed);
      if (op == Opcode::Catch && in.index >= module_.tags.size())
        return fail_index("unknown tag", in.index);
      if (!end_frame()) return false;
      frame.op = in.op;
      frame.unreachable = false;
      if (op == Opcode::Catch)
        push_all(module_.types[module_.tags[in.index].type_index].func.params);
      return true;
    }

    case Opcode::Delegate: {
      if (control_.back().op != Opcode::Try)
        return fail("misplaced delegate", ErrorKind::Malformed);
      // The label is relative to what encloses the try block.
      if (in.index >= control_.size() - 1) return fail_index("unknown label", in.index);
      if (!end_frame()) return false;
      const Types results = control_.back().results;
      control_.pop_back();
      floor_ = stack_ + control_.back().height;
      push_all(results);
      return true;
    }

    case Opcode::Rethrow: {
      const ControlFrame* target;
      if (!label(in.index, target)) return false;
      if (target->op != Opcode::Catch && target->op != Opcode::CatchAll)
        return fail("invalid rethrow label");
      set_unreachable();
      return true;
    }

    case Opcode::End: {
      const ControlFrame& frame = control_.back();
      if (!end_frame()) return false;
      // An `if` without `else` passes its parameters through.
      if (frame.op == Opcode::If && !all_match(frame.params, frame.results))
        return fail(WAFER_MESSAGE("type mismatch", "type mismatch: if without else requires " +
                                                       type_list(frame.results) + " but has " +
                                                       type_list(frame.params)));
      const Types results = frame.results;
      control_.pop_back();
      if (control_.empty()) {
        if (!reader_.at_end()) {
          at_ = reader_.offset();
          return fail("section size mismatch", ErrorKind::Malformed);
        }
        floor_ = stack_;
      } else {
        floor_ = stack_ + control_.back().height;
      }
      push_all(results);
      return true;
    }

    case Opcode::Throw: {
      const FuncType* tag;
      if (!tag_at(in.index, tag) || !pop_all(tag->params)) return false;
      set_unreachable();
      return true;
    }

    case Opcode::ContNew:
    case Opcode::ContBind:
    case Opcode::Suspend:
    case Opcode::Resume:
    case Opcode::ResumeThrow:
    case Opcode::ResumeThrowRef:
    case Opcode::Switch:
      return stack_switching(in);

    case Opcode::ThrowRef:
      if (!pop(kNullExn)) return false;
      set_unreachable();
      return true;

    case Opcode::Br: {
      const ControlFrame* target;
      if (!label(in.index, target) || !pop_all(target->label_types())) return false;
      set_unreachable();
      return true;
    }

    case Opcode::BrIf: {
      const ControlFrame* target;
      if (!label(in.index, target) || !pop(kI32)) return false;
      const Types types = target->label_types();
      if (!pop_all(types)) return false;
      push_all(types);
      return true;
    }

    case Opcode::BrTable:
      return br_table(in);

    case Opcode::Return:
      if (!pop_all(results_)) return false;
      set_unreachable();
      return true;

    case Opcode::Call:
    case Opcode::ReturnCall:
      if (in.index >= module_.functions.size()) return fail_index("unknown function", in.index);
      return call(module_.func_type(in.index), op == Opcode::ReturnCall, kBot);

    case Opcode::CallIndirect:
    case Opcode::ReturnCallIndirect: {
      const TableType* table;
      const FuncType* type;
      if (!table_at(in.index2, table) || !func_type_at(in.index, type)) return false;
      if (kManyRefTypes && !matches(table->element, kFuncRef))
        return fail(WAFER_MESSAGE(
            "type mismatch",
            "type mismatch: instruction requires table of function type but table has element "
            "type " +
                to_string(table->element)));
      return call(*type, op == Opcode::ReturnCallIndirect, table->limits.address_type());
    }

    case Opcode::CallRef:
    case Opcode::ReturnCallRef: {
      const FuncType* type;
      if (!func_type_at(in.index, type)) return false;
      return call(*type, op == Opcode::ReturnCallRef,
                  ValType::ref(HeapType::concrete(in.index), true));
    }

    case Opcode::Drop:
      if (sp_ == floor_) return control_.back().unreachable || mismatch(one(kI32));
      --sp_;
      return true;

    case Opcode::Select: {
      if (!pop(kI32)) return false;
      const bool polymorphic = control_.back().unreachable;
      if (sp_ - floor_ < 2 && !polymorphic) return mismatch(Types(kNumTypes, 2));
      const ValType b = operand(0), a = operand(1);
      for (ValType t : {b, a})
        if (!t.is_bot() && !is_num_or_vec(t))
          return fail(WAFER_MESSAGE(
              "type mismatch",
              "type mismatch: instruction requires numeric or vector type but stack has " +
                  to_string(t)));
      if (a != b && !a.is_bot() && !b.is_bot()) {
        const ValType want[] = {b, b};
        return mismatch(want);
      }
      sp_ -= sp_ - floor_ < 2 ? sp_ - floor_ : 2;
      push(b.is_bot() ? a : b);
      return true;
    }

    case Opcode::SelectT: {
      if (in.types.size() != 1)
        return fail("invalid result arity other than 1 is not (yet) allowed");
      const ValType t = in.types[0];
      const ValType want[] = {t, t, kI32};
      if (!pop_all(want)) return false;
      push(t);
      return true;
    }

    case Opcode::LocalGet: {
      if (in.index >= locals_.size()) return fail_index("unknown local", in.index);
      if (tracks_inits_ && !local_set_[in.index])
        return fail(
            WAFER_MESSAGE("uninitialized local", message_with("uninitialized local ", in.index)));
      push(locals_[in.index]);
      return true;
    }
    case Opcode::LocalSet:
      return local_set(in.index, false);
    case Opcode::LocalTee:
      return local_set(in.index, true);

    case Opcode::GlobalGet:
      if (in.index >= module_.globals.size()) return fail_index("unknown global", in.index);
      push(module_.globals[in.index].type.type);
      return true;
    case Opcode::GlobalSet: {
      if (in.index >= module_.globals.size()) return fail_index("unknown global", in.index);
      const GlobalType& global = module_.globals[in.index].type;
      if (!global.is_mutable) return fail("immutable global");
      return pop(global.type);
    }

    case Opcode::TableGet: {
      const TableType* table;
      if (!table_at(in.index, table) || !pop(table->limits.address_type())) return false;
      push(table->element);
      return true;
    }
    case Opcode::TableSet: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      const ValType want[] = {table->limits.address_type(), table->element};
      return pop_all(want);
    }
    case Opcode::TableSize: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      push(table->limits.address_type());
      return true;
    }
    case Opcode::TableGrow: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      const ValType address = table->limits.address_type();
      const ValType want[] = {table->element, address};
      if (!pop_all(want)) return false;
      push(address);
      return true;
    }
    case Opcode::TableFill: {
      const TableType* table;
      if (!table_at(in.index, table)) return false;
      const ValType address = table->limits.address_type();
      const ValType want[] = {address, table->element, address};
      return pop_all(want);
    }
    case Opcode::TableCopy: {
      const TableType *to, *from;
      if (!table_at(in.index, to) || !table_at(in.index2, from)) return false;
      if (kManyRefTypes && !matches(from->element, to->element))
        return fail(WAFER_MESSAGE("type mismatch", "type mismatch: source element type " +
                                                       to_string(from->element) +
                                                       " does not match destination element type " +
                                                       to_string(to->element)));
      const ValType want[] = {to->limits.address_type(), from->limits.address_type(),
                              to->limits.has_64() && from->limits.has_64() ? kI64 : kI32};
      return pop_all(want);
    }
    case Opcode::TableInit: {
      const TableType* table;
      if (!table_at(in.index2, table)) return false;
      if (in.index >= module_.elems.size()) return fail_index("unknown elem segment", in.index);
      const ValType type = module_.elems[in.index].type;
      if (kManyRefTypes && !matches(type, table->element))
        return fail(WAFER_MESSAGE("type mismatch", "type mismatch: element segment's type " +
                                                       to_string(type) +
                                                       " does not match table's element type " +
                                                       to_string(table->element)));
      const ValType want[] = {table->limits.address_type(), kI32, kI32};
      return pop_all(want);
    }
    case Opcode::ElemDrop:
      if (in.index >= module_.elems.size()) return fail_index("unknown elem segment", in.index);
      return true;

    case Opcode::MemorySize: {
      const MemoryType* memory;
      if (!memory_at(in.index, memory)) return false;
      push(memory->limits.address_type());
      return true;
    }
    case Opcode::MemoryGrow: {
      module_.grows_memory = true;
      const MemoryType* memory;
      if (!memory_at(in.index, memory)) return false;
      const ValType address = memory->limits.address_type();
      if (!pop(address)) return false;
      push(address);
      return true;
    }
    case Opcode::MemoryFill: {
      const MemoryType* memory;
      if (!memory_at(in.index, memory)) return false;
      const ValType address = memory->limits.address_type();
      const ValType want[] = {address, kI32, address};
      return pop_all(want);
    }
    case Opcode::MemoryCopy: {
      const MemoryType *to, *from;
      if (!memory_at(in.index, to) || !memory_at(in.index2, from)) return false;
      const ValType want[] = {to->limits.address_type(), from->limits.address_type(),
                              to->limits.has_64() && from->limits.has_64() ? kI64 : kI32};
      return pop_all(want);
    }
    case Opcode::MemoryInit: {
      const MemoryType* memory;
      if (!memory_at(in.index2, memory)) return false;
      if (!module_.data_count) return missing_data_count();
      if (in.index >= *module_.data_count) return fail_index("unknown data segment", in.index);
      const ValType want[] = {memory->limits.address_type(), kI32, kI32};
      return pop_all(want);
    }
    case Opcode::DataDrop:
      if (!module_.data_count) return missing_data_count();
      if (in.index >= *module_.data_count) return fail_index("unknown data segment", in.index);
      return true;

    case Opcode::RefNull:
      push(ValType::ref(in.heap, true));
      return true;
    case Opcode::RefFunc:
      if (in.index >= module_.functions.size()) return fail_index("unknown function", in.index);
      if (!constant_ && !module_.functions[in.index].declared)
        return fail(WAFER_MESSAGE("undeclared function reference",
                                  message_with("undeclared function reference ", in.index)));
      push(ValType::ref(HeapType::concrete(module_.functions[in.index].type_index,
                                           exact_types() && module_.functions[in.index].exact),
                        false));
      return true;
    case Opcode::RefIsNull: {
      ValType ref;
      if (!pop_ref(ref)) return false;
      push(kI32);
      return true;
    }
    case Opcode::RefAsNonNull: {
      ValType ref;
      if (!pop_ref(ref)) return false;
      push(ValType::ref(ref.heap(), false));
      return true;
    }
    case Opcode::RefEq: {
      const ValType eq = ValType::ref(HeapKind::Eq, true);
      const ValType want[] = {eq, eq};
      if (!pop_all(want)) return false;
      push(kI32);
      return true;
    }
    case Opcode::BrOnNull: {
      const ControlFrame* target;
      ValType ref;
      if (!label(in.index, target) || !pop_ref(ref)) return false;
      const Types types = target->label_types();
      if (!pop_all(types)) return false;
      push_all(types);
      push(ValType::ref(ref.heap(), false));
      return true;
    }
    case Opcode::BrOnNonNull: {
      const ControlFrame* target;
      if (!label(in.index, target)) return false;
      const Types types = target->label_types();
      if (types.empty() || !types.back().is_ref())
        return fail(WAFER_MESSAGE(
            "type mismatch", "type mismatch: instruction requires reference type but label has " +
                                 type_list(types)));
      if (!pop(ValType::ref(types.back().heap(), true))) return false;
      const Types rest = types.first(types.size() - 1);
      if (!pop_all(rest)) return false;
      push_all(rest);
      return true;
    }
    case Opcode::BrOnCast:
    case Opcode::BrOnCastFail:
    case Opcode::BrOnCastDescEq:
    case Opcode::BrOnCastDescEqFail: {
      const ControlFrame* target;
      if (!castable(in.heap2) || !label(in.index, target)) return false;
      const ValType from = ValType::ref(in.heap, in.null1), to = ValType::ref(in.heap2, in.null2);
      // With custom descriptors both have to be in one hierarchy only.
      if (exact_types() ? top_kind(module_, in.heap) != top_kind(module_, in.heap2)
                        : !matches(to, from))
        return fail(WAFER_MESSAGE("type mismatch", "type mismatch on cast: type " + to_string(to) +
                                                       " does not match " + to_string(from)));
      // What is left of `from` once `to` has been taken away.
      const ValType rest = ValType::ref(in.heap, in.null1 && !in.null2);
      const bool on_success = op == Opcode::BrOnCast || op == Opcode::BrOnCastDescEq;
      if (op == Opcode::BrOnCastDescEq || op == Opcode::BrOnCastDescEqFail) {
        if (!pop_descriptor_of(in.heap2)) return false;
      }
      const ValType carried = on_success ? to : rest;
      const Types types = target->label_types();
      if (types.empty() || !matches(carried, types.back()))
        return fail(WAFER_MESSAGE("type mismatch", "type mismatch: instruction requires type " +
                                                       to_string(carried) + " but label has " +
                                                       type_list(types)));
      if (!pop(from)) return false;
      const Types others = types.first(types.size() - 1);
      if (!pop_all(others)) return false;
      push_all(others);
      push(on_success ? rest : to);
      return true;
    }
    case Opcode::RefCastDescEq:
    case Opcode::RefCastDescEqNull:
      if (!pop_descriptor_of(in.heap) || !pop(ValType::ref(HeapKind::Any, true))) return false;
      push(ValType::ref(in.heap, op == Opcode::RefCastDescEqNull));
      return true;
    case Opcode::RefGetDesc: {
      if (in.index >= module_.types.size()) return fail_index("unknown type", in.index);
      const uint32_t descriptor = module_.types[in.index].descriptor;
      if (descriptor == SubType::kNone)
        return fail(WAFER_MESSAGE("type without descriptor",
                                  message_with("type without descriptor: ", in.index)));
      const bool exact =
          matches(operand(0), ValType::ref(HeapType::concrete(in.index, true), true));
      if (!pop(ValType::ref(HeapType::concrete(in.index), true))) return false;
      push(ValType::ref(HeapType::concrete(descriptor, exact), false));
      return true;
    }
    case Opcode::RefTest:
    case Opcode::RefTestNull:
      if (!castable(in.heap) || !pop(ValType::ref(top_kind(module_, in.heap), true))) return false;
      push(kI32);
      return true;
    case Opcode::RefCast:
    case Opcode::RefCastNull:
      if (!castable(in.heap) || !pop(ValType::ref(top_kind(module_, in.heap), true))) return false;
      push(ValType::ref(in.heap, op == Opcode::RefCastNull));
      return true;
    case Opcode::AnyConvertExtern:
    case Opcode::ExternConvertAny: {
      const bool to_any = op == Opcode::AnyConvertExtern;
      const bool nullable = operand(0).is_ref() && operand(0).nullable();
      if (!pop(ValType::ref(to_any ? HeapKind::Extern : HeapKind::Any, true))) return false;
      push(ValType::ref(to_any ? HeapKind::Any : HeapKind::Extern, nullable));
      return true;
    }
    case Opcode::RefI31:
      if (!pop(kI32)) return false;
      push(ValType::ref(HeapKind::I31, false));
      return true;
    case Opcode::I31GetS:
    case Opcode::I31GetU:
      if (!pop(ValType::ref(HeapKind::I31, true))) return false;
      push(kI32);
      return true;

    case Opcode::StructNew:
    case Opcode::StructNewDefault:
    case Opcode::StructNewDesc:
    case Opcode::StructNewDefaultDesc: {
      const FieldTypes* fields;
      if (!struct_at(in.index, fields)) return false;
      const bool described = op == Opcode::StructNewDesc || op == Opcode::StructNewDefaultDesc;
      const uint32_t descriptor = module_.types[in.index].descriptor;
      if (described && descriptor == SubType::kNone)
        return fail("type without descriptor requires non-descriptor allocation");
      if (!described && descriptor != SubType::kNone)
        return fail("type with descriptor requires descriptor allocation");
      if (described && !pop(ValType::ref(HeapType::concrete(descriptor, true), true))) return false;
      if (op == Opcode::StructNewDefault || op == Opcode::StructNewDefaultDesc) {
        for (const FieldType& f : *fields)
          if (!f.storage.defaultable()) return fail("field type is not defaultable");
      } else {
        for (size_t i = fields->size(); i-- > 0;)
          if (!pop((*fields)[i].storage.unpacked())) return false;
      }
      push(ValType::ref(HeapType::concrete(in.index, exact_types()), false));
      return true;
    }
    case Opcode::StructGet:
    case Opcode::StructGetS:
    case Opcode::StructGetU:
    case Opcode::StructSet: {
      const FieldTypes* fields;
      if (!struct_at(in.index, fields)) return false;
      if (in.index2 >= fields->size()) return fail_index("unknown field", in.index2);
      const FieldType& field = (*fields)[in.index2];
      const ValType ref = ValType::ref(HeapType::concrete(in.index), true);
      if (op == Opcode::StructSet) {
        if (!field.is_mutable) return fail("immutable field");
        const ValType want[] = {ref, field.storage.unpacked()};
        return pop_all(want);
      }
      if (field.storage.is_packed() != (op != Opcode::StructGet))
        return fail(op == Opcode::StructGet ? "field is packed" : "field is unpacked");
      if (!pop(ref)) return false;
      push(field.storage.unpacked());
      return true;
    }

    case Opcode::ArrayNew:
    case Opcode::ArrayNewDefault:
    case Opcode::ArrayNewFixed: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      const ValType type = field.storage.unpacked();
      if (op == Opcode::ArrayNewFixed) {
        if (in.index2 > kMaxArrayNewFixed)
          return fail("array.new_fixed has too many operands", ErrorKind::Exhaustion);
        for (uint32_t i = 0; i < in.index2; ++i)
          if (!pop(type)) return false;
      } else {
        if (!pop(kI32)) return false;
        if (op == Opcode::ArrayNew) {
          if (!pop(type)) return false;
        } else if (!type.defaultable()) {
          return fail("array type is not defaultable");
        }
      }
      push(ValType::ref(HeapType::concrete(in.index, exact_types()), false));
      return true;
    }
    case Opcode::ArrayNewData:
    case Opcode::ArrayNewElem: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!segment_fits(in, op == Opcode::ArrayNewElem, field)) return false;
      const ValType want[] = {kI32, kI32};
      if (!pop_all(want)) return false;
      push(ValType::ref(HeapType::concrete(in.index, exact_types()), false));
      return true;
    }
    case Opcode::ArrayGet:
    case Opcode::ArrayGetS:
    case Opcode::ArrayGetU: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (field.storage.is_packed() != (op != Opcode::ArrayGet))
        return fail(op == Opcode::ArrayGet ? "array is packed" : "array is unpacked");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32};
      if (!pop_all(want)) return false;
      push(field.storage.unpacked());
      return true;
    }
    case Opcode::ArraySet: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!field.is_mutable) return fail("immutable array");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32,
                              field.storage.unpacked()};
      return pop_all(want);
    }
    case Opcode::ArrayLen:
      if (!pop(ValType::ref(HeapKind::Array, true))) return false;
      push(kI32);
      return true;
    case Opcode::ArrayFill: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!field.is_mutable) return fail("immutable array");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32,
                              field.storage.unpacked(), kI32};
      return pop_all(want);
    }
    case Opcode::ArrayCopy: {
      FieldType to, from;
      if (!array_at(in.index, to) || !array_at(in.index2, from)) return false;
      if (!to.is_mutable) return fail("immutable array");
      if (!matches(from.storage, to.storage)) return fail("array types do not match");
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32,
                              ValType::ref(HeapType::concrete(in.index2), true), kI32, kI32};
      return pop_all(want);
    }
    case Opcode::ArrayInitData:
    case Opcode::ArrayInitElem: {
      FieldType field;
      if (!array_at(in.index, field)) return false;
      if (!field.is_mutable) return fail("immutable array");
      if (!segment_fits(in, op == Opcode::ArrayInitElem, field)) return false;
      const ValType want[] = {ValType::ref(HeapType::concrete(in.index), true), kI32, kI32, kI32};
      return pop_all(want);
    }

    default:
      if constexpr (kSmall) __builtin_unreachable();
      return step_sig(in);
  }
}

}  // namespace wafer::wasm
