// Statements: what leaves nothing on the stack.
#include <algorithm>

#include "body.h"
#include "edges.h"

namespace wafer::diff {

using namespace wasm;

// Up to `count` statements; true if their end cannot be reached.
bool BodyGenerator::statements(uint32_t count) {
  while (count-- && budget_ > 0) {
    if (!statement()) continue;
    if (c_.one_in(3)) dead_code();
    return true;
  }
  return false;
}

// Code after a branch, whose operands may come from nowhere.
void BodyGenerator::dead_code() {
  for (uint32_t n = c_.between(1, 3); n--;) {
    static constexpr TypeKind kKinds[] = {TypeKind::I32, TypeKind::I64, TypeKind::F32,
                                          TypeKind::F64, TypeKind::V128};
    const auto& ops = c_.one_in(5) ? ops_.effects : ops_.giving(c_.pick(kKinds));
    if (ops.empty()) continue;
    const Opcode op = c_.pick(ops);
    --budget_;
    code_.push_back(with_immediates(op));
    for (unsigned i = facts(op).sig().result_count; i--;) emit(Opcode::Drop);
  }
  if (c_.one_in(4) && frames_.size() < kMaxFrames) block({});
}

// True if control does not get past it.
bool BodyGenerator::statement() {
  const Nest nest(nesting_);
  if (has(Group::Edges) && c_.one_in(has(Group::Gc) ? 24 : 3)) {
    const size_t before = code_.size();
    edge_statement(
        {b_, code_, [this](ValType t) { return add_local(t); }, [this](ValType t) { leaf(t); }});
    budget_ -= int32_t(code_.size() - before);
    return false;
  }
  // Often where they are the subject.
  if (has(Group::Continuations) && !plain_ && c_.one_in(has(Group::Edges) ? 24 : 8)) {
    continuation_statement();
    return false;
  }
  switch (c_.below(27)) {
    case 24:
    case 25:
    case 26:
      for (uint32_t n = c_.between(2, 6); n-- && budget_ > 0;) observe();
      return false;
    case 0:
    case 1:
    case 2:
    case 3:
      return set_local();
    case 4:
      return set_global();
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
      plain_op(c_.pick(ops_.effects), Lanes::None);
      return false;
    case 10:
    case 11:
    case 12:
      if (frames_.size() < kMaxFrames && can_nest()) block({});
      return false;
    case 13:
      if (has(Group::MultiValue) && frames_.size() < kMaxFrames && can_nest()) {
        const Vec<ValType> results = b_.any_types(3);
        block(results);
        consume_all(results);
      }
      return false;
    case 14:
      br_if();
      return false;
    case 15:
      return c_.one_in(3) && branch_away();
    case 16:
    case 17:
      call_statement();
      return false;
    case 18:
      if (has(Group::Tables)) table_statement();
      return false;
    case 19:
      if (has(Group::BulkMemory)) bulk_statement();
      return false;
    case 20:
      if (has(Group::Gc)) aggregate_statement();
      return false;
    case 21:
      return has(Group::Exceptions) && c_.one_in(2) && throw_something();
    case 22:
      if (c_.one_in(4)) {
        memory_grow();
        emit(Opcode::Drop);
      }
      return false;
    default:
      value(b_.any_type());
      emit(Opcode::Drop);
      return false;
  }
}

bool BodyGenerator::set_local() {
  if (visible_.empty()) return false;
  const LocalVar local = c_.pick(visible_);
  value(local.type);
  emit(Opcode::LocalSet, local.index);
  return false;
}

bool BodyGenerator::set_global() {
  const auto* g = find(b_.globals, [](const GlobalType& t) { return t.is_mutable; });
  const auto index = uint32_t(g - b_.globals.data());
  if (!g || index == b_.fuel || index == b_.depth) return false;
  if (has(Group::Continuations) && index == b_.handled && !c_.one_in(8)) return false;
  value(g->type);
  emit(Opcode::GlobalSet, index);
  return false;
}

void BodyGenerator::br_if() {
  const uint32_t label = any_index(frames_.size());
  const Vec<ValType> types = frame(label).types;
  values(types);
  value(kI32);
  emit(Opcode::BrIf, label);
  consume_all(types);
}

// br, br_table, return, a tail call or a trap.
bool BodyGenerator::branch_away() {
  switch (c_.below(8)) {
    case 0:
    case 1:
      if (tail_call()) return true;
      break;
    case 2:
      values(results_);
      emit(Opcode::Return);
      return true;
    case 3:
      if (!c_.one_in(6)) break;
      emit(Opcode::Unreachable);
      return true;
    case 4:
    case 5:
      return br_table();
    default:
      break;
  }
  const uint32_t label = any_index(frames_.size());
  values(Vec<ValType>(frame(label).types));
  emit(Opcode::Br, label);
  return true;
}

bool BodyGenerator::br_table() {
  const Vec<ValType> types = frame(any_index(frames_.size())).types;
  Vec<uint32_t> labels;
  for (uint32_t n = c_.between(1, 6); n--;) labels.push_back(uint32_t(label_with(types)));
  values(types);
  value(kI32);
  if (c_.below(4)) {
    i32(7);
    emit(Opcode::I32And);
  }
  emit(Opcode::BrTable).labels = labels;
  return true;
}

bool BodyGenerator::tail_call() {
  if (!has(Group::TailCalls) || plain_) return false;
  uint32_t func = 0;
  const auto fits = [&](const FuncType& f) {
    return std::equal(f.results.begin(), f.results.end(), results_.begin(), results_.end(),
                      [&](ValType a, ValType b) { return b_.is_sub(a, b); });
  };
  if (!pick_function(fits, func)) return false;
  const Nest nest(nesting_);
  Instr in = call_instr(func, true);
  // A tail call does not make the stack deeper.
  emit(Opcode::LocalGet, depth_local_);
  i32(1);
  emit(Opcode::I32Sub);
  emit(Opcode::GlobalSet, b_.depth);
  --budget_;
  code_.push_back(std::move(in));
  return true;
}

void BodyGenerator::call_statement() {
  if (plain_) return;
  const uint32_t func = any_index(b_.function_count());
  const Vec<ValType> results = b_.signature(func).results;
  call(func);
  consume_all(results);
}

bool BodyGenerator::throw_something() {
  uint32_t seen = 0, caught = 0;
  for (uint32_t l = 0; l < frames_.size(); ++l)
    if (frame(l).has_caught && c_.one_in(++seen)) caught = l;
  if (seen && c_.one_in(2)) {
    emit(Opcode::Rethrow, caught);
    return true;
  }
  const bool guarded =
      std::any_of(frames_.begin(), frames_.end(), [](const Frame& f) { return f.is_try; });
  if (!guarded && !c_.one_in(12)) return false;
  if (c_.one_in(4)) {
    value(kExnRef);
    emit(Opcode::ThrowRef);
    return true;
  }
  const uint32_t tag = any_index(b_.exception_tags);
  values(Vec<ValType>(b_.image.types[b_.tags[tag]].func.params));
  emit(Opcode::Throw, tag);
  return true;
}

void BodyGenerator::table_statement() {
  const uint32_t t = any_index(b_.tables.size());
  const ValType element = b_.tables[t].element;
  const bool is64 = b_.tables[t].limits.is64;
  switch (c_.below(7)) {
    case 0:
    case 1:
      table_index(t);
      value(element);
      emit(Opcode::TableSet, t);
      return;
    case 2:
      value(element);
      c_.one_in(8) ? value(is64 ? kI64 : kI32) : address_const(is64, c_.below(3));
      emit(Opcode::TableGrow, t);
      emit(Opcode::Drop);
      return;
    case 3:
      table_index(t);
      value(element);
      index_operand(is64, 1);
      emit(Opcode::TableFill, t);
      return;
    case 4: {
      if (c_.one_in(2)) {
        // Over itself.
        address_const(is64, c_.below(3));
        address_const(is64, c_.below(2));
        address_const(is64, c_.between(1, 3));
        emit(Opcode::TableCopy, t, t);
        return;
      }
      const auto* from =
          find(b_.tables, [&](const TableType& x) { return b_.is_sub(x.element, element); });
      const auto source = uint32_t(from - b_.tables.data());
      table_index(t);
      table_index(source);
      index_operand(is64 && b_.tables[source].limits.is64, 1);
      emit(Opcode::TableCopy, t, source);
      return;
    }
    case 5: {
      const auto* e =
          find(b_.image.elems, [&](const ElemImage& e) { return b_.is_sub(e.type, element); });
      if (!e) return;
      const auto segment = uint32_t(e - b_.image.elems.data());
      if (c_.one_in(6)) emit(Opcode::ElemDrop, segment);
      table_index(t);
      index_operand(false, 1);
      index_operand(false, 1);
      emit(Opcode::TableInit, segment, t);
      return;
    }
    default:
      if (c_.one_in(4)) emit(Opcode::ElemDrop, any_index(b_.image.elems.size()));
  }
}

void BodyGenerator::bulk_statement() {
  const uint32_t m = any_index(b_.memories.size());
  const bool is64 = b_.memories[m].limits.is64;
  switch (c_.below(6)) {
    case 0:
      if (c_.one_in(4)) {
        // Nothing, at the end or beyond.
        const uint64_t size = b_.memories[m].limits.min << b_.memories[m].page_size_log2;
        address_const(is64, int64_t(size + (c_.one_in(2) ? 0 : uint64_t{1} << c_.below(31))));
        value(kI32);
        address_const(is64, 0);
        emit(Opcode::MemoryFill, m);
        return;
      }
      [[fallthrough]];
    case 1:
      range_start(m);
      value(kI32);
      range_length(is64);
      emit(Opcode::MemoryFill, m);
      return;
    case 2:
    case 3: {
      if (c_.one_in(3)) {
        // Over itself.
        const uint32_t at = c_.below(32);
        address_const(is64, at + c_.below(4));
        address_const(is64, at);
        address_const(is64, c_.between(1, 31));
        emit(Opcode::MemoryCopy, m, m);
        return;
      }
      const uint32_t from = any_index(b_.memories.size());
      range_start(m);
      range_start(from);
      range_length(is64 && b_.memories[from].limits.is64);
      emit(Opcode::MemoryCopy, m, from);
      return;
    }
    case 4:
      range_start(m);
      index_operand(false, 7);
      index_operand(false, 15);
      {
        const uint32_t segment = any_index(b_.image.datas.size());
        if (c_.one_in(6)) emit(Opcode::DataDrop, segment);
        emit(Opcode::MemoryInit, segment, m);
      }
      return;
    default:
      if (c_.one_in(4)) emit(Opcode::DataDrop, any_index(b_.image.datas.size()));
  }
}

// Copies part of the array in a local over another part of it.
bool BodyGenerator::overlapping_array_copy() {
  const auto element = [&](const LocalVar& l) -> const FieldType* {
    if (!l.type.is_ref() || !l.type.heap().is_concrete()) return nullptr;
    const SubType& t = b_.image.types[l.type.heap().index()];
    return t.kind == CompKind::Array && t.fields[0].is_mutable ? &t.fields[0] : nullptr;
  };
  const LocalVar* const array = find(visible_, element);
  if (!array) return false;
  const uint32_t local = array->index, type = array->type.heap().index();
  const ValType storage = element(*array)->storage;
  emit(Opcode::LocalGet, local);
  i32(0);
  field_operand(storage);
  emit(Opcode::ArraySet, type);
  emit(Opcode::LocalGet, local);
  i32(int32_t(c_.between(0, 2)));
  emit(Opcode::LocalGet, local);
  i32(int32_t(c_.below(2)));
  i32(int32_t(c_.between(2, 3)));
  emit(Opcode::ArrayCopy, type, type);
  return true;
}

void BodyGenerator::aggregate_statement() {
  if (c_.one_in(4) && overlapping_array_copy()) return;
  if (c_.one_in(2)) {
    const uint32_t type = b_.structs.empty() ? ~0u : c_.pick(b_.structs);
    if (type == ~0u) return;
    const auto& fields = b_.image.types[type].fields;
    const FieldType* f = find(fields, [](const FieldType& x) { return x.is_mutable; });
    if (!f) return;
    const auto index = uint32_t(f - fields.data());
    const ValType storage = f->storage;  // the types may move while operands are made
    aggregate(type);
    field_operand(storage);
    emit(Opcode::StructSet, type, index);
    return;
  }
  const uint32_t* found =
      find(b_.arrays, [&](uint32_t a) { return b_.image.types[a].fields[0].is_mutable; });
  if (!found) return;
  const uint32_t type = *found;
  const ValType storage = b_.image.types[type].fields[0].storage;
  aggregate(type);
  switch (c_.below(4)) {
    case 0:
      array_index();
      field_operand(storage);
      emit(Opcode::ArraySet, type);
      return;
    case 1:
      array_index();
      field_operand(storage);
      index_operand(false, 3);
      emit(Opcode::ArrayFill, type);
      return;
    case 2: {
      // A source whose elements fit: the same storage, or a subtype of it.
      const uint32_t source = *find(b_.arrays, [&](uint32_t a) {
        return b_.is_sub(b_.image.types[a].fields[0].storage, storage);
      });
      array_index();
      aggregate(source);
      array_index();
      index_operand(false, 3);
      emit(Opcode::ArrayCopy, type, source);
      return;
    }
    default:
      array_index();
      if (!segment_operands(storage)) {
        field_operand(storage);
        emit(Opcode::ArraySet, type);
        return;
      }
      emit(storage.is_ref() ? Opcode::ArrayInitElem : Opcode::ArrayInitData, type, segment_);
  }
}

}  // namespace wafer::diff
