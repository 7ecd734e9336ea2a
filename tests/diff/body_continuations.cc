// Continuations: functions that are suspended, resumed and switched to.
#include "body.h"

namespace wafer::diff {

using namespace wasm;

void BodyGenerator::set_handled(int32_t v) {
  i32(v);
  emit(Opcode::GlobalSet, b_.handled);
}

void BodyGenerator::open_if_handled(int32_t what) {
  if (c_.one_in(40)) {
    i32(1);
  } else {
    emit(Opcode::GlobalGet, b_.handled);
    i32(what);
    emit(Opcode::I32And);
  }
  open(Opcode::If, {}, {}, {});
}

bool BodyGenerator::is_resumed() const {
  const auto own = uint32_t(&func_ - b_.image.functions.data());
  for (const Builder::Resumable& r : b_.resumables)
    if (r.func == own + b_.image.imported(ExternKind::Func)) return true;
  return false;
}

void BodyGenerator::continuation_statement() {
  switch (c_.below(5)) {
    case 0:
    case 1:
      return suspend_statement();
    case 2:
      if (b_.symmetric != SubType::kNone) return switch_statement();
      return suspend_statement();
    default:
      return run_statement();
  }
}

void BodyGenerator::suspend_statement() {
  const FuncType type = b_.image.types[b_.tags[b_.yield]].func;
  open_if_handled(Builder::kYields);
  const bool guarded = has(Group::Exceptions) && c_.one_in(4);
  if (guarded) open_try(CatchClause::Kind::CatchAll, {});
  values(type.params);
  emit(Opcode::Suspend, b_.yield);
  emit(Opcode::LocalGet, depth_local_);
  emit(Opcode::GlobalSet, b_.depth);
  consume_all(type.results);
  if (guarded) {
    close();
    close();
  }
  close();
}

// A block that is left with what a try_table in it catches.
void BodyGenerator::open_try(CatchClause::Kind kind, const Vec<ValType>& caught) {
  open(Opcode::Block, {}, caught, caught);
  open(Opcode::TryTable, {}, {}, {}, true);
  code_.back().catches.push_back({kind, 0, 0});
}

// To a function that begins, or to one that came here before.
void BodyGenerator::switch_statement() {
  const ValType type = continuation_ref(b_.symmetric);
  open_if_handled(Builder::kSwitches);
  const LocalVar* const local = find(visible_, [&](const LocalVar& l) { return l.type == type; });
  const uint32_t index = local && c_.below(3) ? local->index : add_local(type);
  if (local && c_.below(3)) {
    emit(Opcode::LocalGet, local->index);
    if (!c_.one_in(16)) {
      null(type.heap());
      emit(Opcode::LocalSet, local->index);
    }
  } else {
    const auto* r =
        find(b_.resumables, [&](const Builder::Resumable& r) { return r.fresh == b_.symmetric; });
    new_continuation(r->func, r->fresh);
  }
  emit(Opcode::Switch, b_.symmetric, b_.switch_tag);
  emit(Opcode::LocalSet, index);
  emit(Opcode::LocalGet, depth_local_);
  emit(Opcode::GlobalSet, b_.depth);
  close();
}

void BodyGenerator::new_continuation(uint32_t func, uint32_t cont) {
  if (c_.one_in(60))
    null(HeapType::concrete(b_.image.types[cont].cont));
  else
    emit(Opcode::RefFunc, func);
  emit(Opcode::ContNew, cont);
}

Vec<uint32_t> BodyGenerator::leaves(const Vec<ValType>& types) {
  Vec<uint32_t> out;
  for (const ValType t : types) {
    leaf(t);
    out.push_back(add_local(t));
    emit(Opcode::LocalSet, out.back());
  }
  return out;
}

void BodyGenerator::add_clauses(Instr& in, uint32_t cont, uint32_t handler) {
  // Without one, suspensions go further out.
  if (!c_.one_in(5)) in.clauses.push_back({false, b_.yield, handler});
  if (c_.one_in(5) || b_.symmetric == SubType::kNone) return;
  if (b_.function_of(cont).results != b_.image.types[b_.symmetric_func].func.results) return;
  in.clauses.insert(in.clauses.begin() + c_.below(uint32_t(in.clauses.size()) + 1),
                    {true, b_.switch_tag, 0});
}

void BodyGenerator::resume(uint32_t cont, uint32_t local, const Vec<uint32_t>& arguments,
                           uint32_t handler) {
  uint32_t bound = 0;
  while (c_.one_in(3)) {
    const uint32_t end = bound + c_.below(uint32_t(arguments.size()) - bound + 1);
    FuncType rest = b_.function_of(cont);
    rest.params.erase(rest.params.begin(), rest.params.begin() + (end - bound));
    const uint32_t to = b_.cont_type(b_.func_type(rest));
    while (bound < end) emit(Opcode::LocalGet, arguments[bound++]);
    emit(Opcode::LocalGet, local);
    emit(Opcode::ContBind, cont, to);
    local = add_local(continuation_ref(to));
    emit(Opcode::LocalSet, local);
    cont = to;
  }
  for (uint32_t i = bound; i < arguments.size(); ++i) emit(Opcode::LocalGet, arguments[i]);
  emit(Opcode::LocalGet, local);
  add_clauses(emit(Opcode::Resume, cont), cont, handler);
}

// Ends what is suspended, unless it catches that.
void BodyGenerator::resume_throw(uint32_t cont, uint32_t local, uint32_t handler) {
  if (b_.exception_tags == 0 || c_.one_in(16)) {
    leaf(kExnRef);
    emit(Opcode::LocalGet, local);
    add_clauses(emit(Opcode::ResumeThrowRef, cont), cont, handler);
    return;
  }
  const uint32_t tag = any_index(b_.exception_tags);
  const bool by_reference = c_.one_in(2);
  if (by_reference) open_try(CatchClause::Kind::CatchAllRef, {ValType::ref(HeapKind::Exn, false)});
  for (const ValType t : Vec<ValType>(b_.image.types[b_.tags[tag]].func.params)) leaf(t);
  if (by_reference) {
    emit(Opcode::Throw, tag);
    close();
    emit(Opcode::Unreachable);
    close();
  }
  emit(Opcode::LocalGet, local);
  if (by_reference)
    add_clauses(emit(Opcode::ResumeThrowRef, cont), cont, handler);
  else
    add_clauses(emit(Opcode::ResumeThrow, cont, tag), cont, handler);
}

// Runs a function to its end, or to that of the fuel, which leaves a continuation that nobody
// goes on with.
void BodyGenerator::run_statement() {
  const auto r = c_.pick(b_.resumables);
  const FuncType type = b_.function_of(r.fresh);
  const FuncType yielded = b_.image.types[b_.tags[b_.yield]].func;
  const bool switches = r.fresh == b_.symmetric;
  const int32_t what = switches ? Builder::kYields | Builder::kSwitches : Builder::kYields;
  const Vec<uint32_t> arguments = leaves(type.params);
  const Vec<uint32_t> answers = leaves(yielded.results);
  const uint32_t kept = add_local(continuation_ref(r.suspended));
  const uint32_t fresh = add_local(continuation_ref(r.fresh));
  new_continuation(r.func, r.fresh);
  emit(Opcode::LocalSet, fresh);
  Vec<ValType> suspended = yielded.params;
  suspended.push_back(continuation_ref(r.suspended));
  // Of a resume, in a block for suspensions: its results go, and control out of `end` labels.
  const auto finish = [&](uint32_t end) {
    for (size_t i = type.results.size(); i--;) emit(Opcode::Drop);
    emit(Opcode::Br, end);
    close();
    emit(Opcode::LocalSet, kept);
    consume_all(yielded.params);
  };
  set_handled(what);
  open(Opcode::Block, {}, {}, {});  // the end
  open(Opcode::Block, {}, suspended, suspended);
  resume(r.fresh, fresh, arguments, 0);
  finish(1);
  if (!c_.one_in(8)) {
    open(Opcode::Loop, {}, {}, {});
    take_fuel();
    emit(Opcode::GlobalGet, b_.fuel);
    i32(0);
    emit(Opcode::I32LtS);
    emit(Opcode::BrIf, 1);
    set_handled(what);
    open(Opcode::Block, {}, suspended, suspended);
    if (c_.one_in(30)) {
      null(HeapType::concrete(r.suspended));
      emit(Opcode::LocalSet, kept);
    }
    if (c_.one_in(3))
      resume_throw(r.suspended, kept, 0);
    else
      resume(r.suspended, kept, answers, 0);
    finish(2);
    if (!c_.one_in(20)) emit(Opcode::Br, 0);
    close();
  }
  close();
  if (c_.one_in(30)) {
    // Once more, what may be consumed.
    open(Opcode::Block, {}, suspended, suspended);
    resume(r.fresh, fresh, arguments, 0);
    for (size_t i = type.results.size(); i--;) emit(Opcode::Drop);
    for (const ValType t : yielded.params) leaf(t);
    null(HeapType::concrete(r.suspended));
    close();
    emit(Opcode::LocalSet, kept);
    consume_all(yielded.params);
  }
  set_handled(0);
  emit(Opcode::LocalGet, depth_local_);
  emit(Opcode::GlobalSet, b_.depth);
}

}  // namespace wafer::diff
