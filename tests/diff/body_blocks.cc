// Blocks and calls.
#include <algorithm>

#include "body.h"

namespace wafer::diff {

using namespace wasm;

BlockType BodyGenerator::block_type(const Vec<ValType>& params, const Vec<ValType>& results) {
  BlockType type;
  if (params.empty() && results.size() <= 1 && !(has(Group::MultiValue) && c_.one_in(12))) {
    if (results.empty()) return type;
    type.kind = BlockType::Kind::Value;
    type.value = results[0];
    return type;
  }
  type.kind = BlockType::Kind::Type;
  FuncType f;
  f.params = params;
  f.results = results;
  type.type_index = b_.func_type(f);
  return type;
}

void BodyGenerator::open(Opcode op, const Vec<ValType>& params, const Vec<ValType>& results,
                         const Vec<ValType>& label, bool is_try) {
  const BlockType type = block_type(params, results);
  emit(op).block = type;
  frames_.push_back({label, is_try});
}

void BodyGenerator::close() {
  emit(Opcode::End);
  frames_.pop_back();
}

// Takes a value of type `t` off the stack.
void BodyGenerator::consume(ValType t) {
  LocalVar* const local = local_taking(t);
  if (local && c_.below(3))
    emit(Opcode::LocalSet, local->index);
  else
    emit(Opcode::Drop);
}

void BodyGenerator::consume_all(const Vec<ValType>& types) {
  for (size_t i = types.size(); i--;) consume(types[i]);
}

// The inside of a block: its parameters are on the stack, its results are left.
void BodyGenerator::inside(const Vec<ValType>& params, const Vec<ValType>& results) {
  consume_all(params);
  const bool dead = statements(c_.below(4));
  if (!dead || c_.one_in(8)) values(results);
}

// Some structure that leaves `results`.
void BodyGenerator::block(const Vec<ValType>& results) {
  const Nest nest(nesting_);
  Vec<ValType> params;
  if (has(Group::MultiValue) && c_.one_in(3)) params = b_.any_types(3);
  switch (c_.below(has(Group::Exceptions) ? 5 : 4)) {
    case 0:
    case 1:
      values(params);
      open(Opcode::Block, params, results, results);
      inside(params, results);
      return close();
    case 2:
      values(params);
      value(kI32);
      open(Opcode::If, params, results, results);
      inside(params, results);
      if (params != results || c_.one_in(2)) {
        emit(Opcode::Else);
        inside(params, results);
      }
      return close();
    case 3:
      if (!plain_) return loop(params, results);
      values(params);
      open(Opcode::Block, params, results, results);
      inside(params, results);
      return close();
    default:
      if (has(Group::LegacyExceptions) && c_.one_in(2)) return legacy_try(results);
      return try_table(results);
  }
}

// (block $exit (loop ...)): it goes on while a counter and the fuel last.
void BodyGenerator::loop(const Vec<ValType>& params, const Vec<ValType>& results) {
  const uint32_t counter = add_local(kI32);
  values(params);
  open(Opcode::Block, params, results, results);
  i32(int32_t(c_.one_in(4) ? c_.between(10, 40) : c_.between(1, 9)));
  emit(Opcode::LocalSet, counter);
  open(Opcode::Loop, params, results, params);
  take_fuel();
  for (const ValType t : results) leaf(t);
  emit(Opcode::LocalGet, counter);
  i32(1);
  emit(Opcode::I32Sub);
  emit(Opcode::LocalTee, counter);
  emit(Opcode::GlobalGet, b_.fuel);
  emit(Opcode::I32Or);
  i32(0);
  emit(Opcode::I32LtS);
  emit(Opcode::BrIf, 1);
  for (size_t i = results.size(); i--;) emit(Opcode::Drop);
  consume_all(params);
  bool dead = statements(c_.between(1, 4));
  if (!dead && c_.below(4)) {
    values(params);
    if (c_.one_in(3)) {
      emit(Opcode::Br, 0);
      dead = true;
    } else {
      value(kI32);
      emit(Opcode::BrIf, 0);
      consume_all(params);
    }
  }
  if (!dead) values(results);
  close();
  close();
}

// (block $out (block $handler (try_table (catch $tag $handler) ...) (br $out)) ...)
void BodyGenerator::try_table(const Vec<ValType>& results) {
  Vec<CatchClause> catches;
  Vec<ValType> caught;
  CatchClause first{CatchClause::Kind(c_.below(4)), 0, 0};
  if (first.kind <= CatchClause::Kind::CatchRef) {
    first.tag = any_index(b_.exception_tags);
    caught = b_.image.types[b_.tags[first.tag]].func.params;
  }
  if (first.kind == CatchClause::Kind::CatchRef || first.kind == CatchClause::Kind::CatchAllRef)
    caught.push_back(ValType::ref(HeapKind::Exn, false));
  open(Opcode::Block, {}, results, results);
  open(Opcode::Block, {}, caught, caught);
  for (uint32_t n = c_.below(3); n--;) {
    CatchClause more{CatchClause::Kind::Catch, any_index(b_.exception_tags), 0};
    // Of clauses that fit, the first counts.
    if (first.kind <= CatchClause::Kind::CatchRef && c_.one_in(2)) more.tag = first.tag;
    Vec<ValType> types = b_.image.types[b_.tags[more.tag]].func.params;
    if (c_.one_in(3)) {
      more.kind = CatchClause::Kind::CatchAll;
      types = {};
    }
    const int label = label_with(types);
    if (label < 0) continue;
    more.label = uint32_t(label);
    catches.push_back(more);
  }
  catches.insert(catches.begin() + c_.below(uint32_t(catches.size() + 1)), first);
  open(Opcode::TryTable, {}, results, results, true);
  code_.back().catches = catches;
  if (first.kind <= CatchClause::Kind::CatchRef && c_.one_in(3)) maybe_throw(first.tag);
  inside({}, results);
  close();
  emit(Opcode::Br, 1);
  close();
  consume_all(caught);
  inside({}, results);
  close();
}

void BodyGenerator::maybe_throw(uint32_t tag) {
  value(kI32);
  open(Opcode::If, {}, {}, {});
  values(Vec<ValType>(b_.image.types[b_.tags[tag]].func.params));
  emit(Opcode::Throw, tag);
  close();
}

// (try ... catch $tag ... catch_all ...), or (try ... delegate $label)
void BodyGenerator::legacy_try(const Vec<ValType>& results) {
  const Nest nest(nesting_);
  const uint32_t first = any_index(b_.exception_tags);
  open(Opcode::Try, {}, results, results, true);
  if (c_.one_in(2)) maybe_throw(first);
  inside({}, results);
  if (c_.one_in(4)) {
    frames_.pop_back();
    emit(Opcode::Delegate, any_index(frames_.size()));
    return;
  }
  frames_.back() = {results, false, true};
  const uint32_t tags = c_.below(3);
  for (uint32_t n = 0; n < tags; ++n) {
    const uint32_t tag = n == 0 ? first : any_index(b_.exception_tags);
    emit(Opcode::Catch, tag);
    consume_all(Vec<ValType>(b_.image.types[b_.tags[tag]].func.params));
    // So that there is more than one to throw again.
    if (c_.one_in(4) && frames_.size() < kMaxFrames && can_nest()) legacy_try({});
    inside({}, results);
  }
  if (tags == 0 || c_.one_in(2)) {
    emit(Opcode::CatchAll);
    inside({}, results);
  }
  close();
}

// Puts callee and arguments on the stack and gives the instruction that calls
// `func`, directly or by way of a table or a reference.
Instr BodyGenerator::call_instr(uint32_t func, bool tail) {
  uint32_t type = b_.image.type_of_function(func);
  values(Vec<ValType>(b_.signature(func).params));
  // Types above it have the same signature.
  while (b_.image.types[type].super != SubType::kNoSuper && c_.one_in(2))
    type = b_.image.types[type].super;
  const bool via_ref = has(Group::FuncRefs) && c_.one_in(4);
  if (via_ref) {
    if (c_.one_in(8))
      value(ValType::ref(HeapType::concrete(type), true));
    else
      emit(Opcode::RefFunc, func);
    return Builder::instr(tail ? Opcode::ReturnCallRef : Opcode::CallRef, type);
  }
  const auto at = std::find(b_.table0.begin(), b_.table0.end(), func);
  const bool in_table = at != b_.table0.end();
  // Elsewhere in the table are mostly functions of other types.
  if (has(Group::Tables) && c_.one_in(in_table ? 3 : 24)) {
    if (in_table && !c_.one_in(16))
      address_const(b_.tables[0].limits.is64, at - b_.table0.begin());
    else
      table_index(0);
    return Builder::instr(tail ? Opcode::ReturnCallIndirect : Opcode::CallIndirect, type, 0);
  }
  return Builder::instr(tail ? Opcode::ReturnCall : Opcode::Call, func);
}

// Leaves the results of `func` on the stack.
void BodyGenerator::call(uint32_t func) {
  Instr in = call_instr(func, false);
  --budget_;
  code_.push_back(std::move(in));
  emit(Opcode::LocalGet, depth_local_);
  emit(Opcode::GlobalSet, b_.depth);
}

// A call that gives types[at...], as many as it has results (call_results_).
bool BodyGenerator::call_giving(const Vec<ValType>& types, size_t at) {
  if (plain_) return false;
  uint32_t func = 0;
  if (!pick_function(
          [&](const FuncType& f) {
            if (f.results.empty() || f.results.size() > types.size() - at) return false;
            for (size_t i = 0; i < f.results.size(); ++i)
              if (!b_.is_sub(f.results[i], types[at + i])) return false;
            return true;
          },
          func))
    return false;
  const Nest nest(nesting_);
  const size_t count = b_.signature(func).results.size();
  call(func);
  call_results_ = count;
  return true;
}

}  // namespace wafer::diff
