// References: what gives them, takes them apart, casts and compares them.
#include "body.h"

namespace wafer::diff {

using namespace wasm;

void BodyGenerator::index_operand(bool is64, uint32_t mask) {
  if (c_.one_in(24)) return value(is64 ? kI64 : kI32);
  if (c_.one_in(2)) return address_const(is64, c_.below(mask + 1));
  value(is64 ? kI64 : kI32);
  address_const(is64, mask);
  emit(is64 ? Opcode::I64And : Opcode::I32And);
}

void BodyGenerator::table_index(uint32_t table) {
  const Limits& l = b_.tables[table].limits;
  index_operand(l.is64, uint32_t(bit_floor(l.min ? l.min : 1)) - (c_.one_in(8) ? 0 : 1));
}

// A random field whose (unpacked) type is a subtype of `t`.
bool BodyGenerator::find_field(CompKind kind, ValType t, FieldRef& out) {
  uint32_t seen = 0;
  for (const uint32_t type : kind == CompKind::Struct ? b_.structs : b_.arrays)
    for (uint32_t f = 0; f < b_.image.types[type].fields.size(); ++f)
      if (b_.is_sub(b_.image.types[type].fields[f].storage.unpacked(), t) && c_.one_in(++seen))
        out = {type, f};
  return seen != 0;
}

bool BodyGenerator::field_value(ValType t) {
  FieldRef at{};
  const CompKind kind = c_.below(3) ? CompKind::Struct : CompKind::Array;
  if (!find_field(kind, t, at)) return false;
  const bool packed = b_.image.types[at.type].fields[at.field].storage.is_packed();
  const uint32_t sign = packed ? 1 + c_.below(2) : 0;
  aggregate(at.type);
  if (kind == CompKind::Array) array_index();
  const Opcode get = kind == CompKind::Struct ? Opcode::StructGet : Opcode::ArrayGet;
  emit(Opcode(uint32_t(get) + sign), at.type, at.field);
  return true;
}

// A number from references.
bool BodyGenerator::from_references(ValType t) {
  const bool gc = has(Group::Gc);
  if (gc && c_.one_in(2)) return field_value(t);
  if (t != kI32) return false;
  switch (c_.below(gc ? 6 : 1)) {
    case 0: {
      const auto* ref = find(b_.pool, [](ValType p) { return p.is_ref(); });
      if (!ref) return false;
      value(*ref);
      emit(Opcode::RefIsNull);
      return true;
    }
    case 1:
      value(ValType::ref(HeapKind::Eq, true));
      value(ValType::ref(HeapKind::Eq, true));
      emit(Opcode::RefEq);
      return true;
    case 2:
      if (c_.one_in(4)) {
        // An object of the host, which is of no type below any.
        static constexpr HeapKind kKinds[] = {HeapKind::Any, HeapKind::Eq, HeapKind::I31,
                                              HeapKind::Struct};
        leaf(kExternRef);
        emit(Opcode::AnyConvertExtern);
        heap_op(c_.one_in(2) ? Opcode::RefTest : Opcode::RefTestNull, c_.pick(kKinds));
        return true;
      }
      value(kAnyRef);
      heap_op(c_.one_in(2) ? Opcode::RefTest : Opcode::RefTestNull, any_heap());
      return true;
    case 3:
      value(ValType::ref(HeapKind::I31, c_.one_in(8)));
      emit(c_.one_in(2) ? Opcode::I31GetS : Opcode::I31GetU);
      return true;
    default:
      if (b_.arrays.empty()) return false;
      aggregate(c_.pick(b_.arrays));
      emit(Opcode::ArrayLen);
      return true;
  }
}

// A heap type below any.
HeapType BodyGenerator::any_heap() {
  static constexpr HeapKind kKinds[] = {HeapKind::Any,    HeapKind::Eq,    HeapKind::I31,
                                        HeapKind::Struct, HeapKind::Array, HeapKind::None};
  const size_t aggregates = b_.structs.size() + b_.arrays.size();
  if (aggregates && c_.below(3)) return HeapType::concrete(any_index(aggregates));
  return c_.pick(kKinds);
}

void BodyGenerator::reference(ValType t) {
  const HeapType heap = t.heap();
  const bool internal = b_.is_sub(heap, HeapKind::Any);
  switch (c_.below(10)) {
    case 0:
      if (auto* table =
              find(b_.tables, [&](const TableType& x) { return b_.is_sub(x.element, t); })) {
        const auto index = uint32_t(table - b_.tables.data());
        table_index(index);
        emit(Opcode::TableGet, index);
        return;
      }
      break;
    case 1:
      if (has(Group::Gc) && field_value(t)) return;
      break;
    case 2:
      if ((has(Group::FuncRefs) || has(Group::Gc)) && nullable_to(t)) return;
      break;
    case 3:
      if (has(Group::Gc) && internal && cast_to(t)) return;
      break;
    case 4:
      if (!has(Group::Gc)) break;
      if (heap == HeapKind::Extern) {
        value(ValType::ref(HeapKind::Any, t.nullable()));
        emit(Opcode::ExternConvertAny);
        return;
      }
      if (heap == HeapKind::Any) {
        value(ValType::ref(HeapKind::Extern, true));
        emit(Opcode::AnyConvertExtern);
        if (!t.nullable()) emit(Opcode::RefAsNonNull);
        return;
      }
      break;
    default:
      break;
  }
  if (!internal || (t.nullable() && c_.one_in(6))) return leaf(t);
  if (heap.is_concrete() && b_.image.types[heap.index()].describes != SubType::kNone &&
      c_.one_in(2)) {
    const uint32_t described = b_.image.types[heap.index()].describes;
    aggregate(described);
    emit(Opcode::RefGetDesc, described);
    return;
  }
  make_internal(t);
}

void BodyGenerator::make_internal(ValType t) {
  const HeapType heap = t.heap();
  if (heap.is_concrete()) {
    const uint32_t* sub =
        find(b_.image.types[heap.index()].kind == CompKind::Struct ? b_.structs : b_.arrays,
             [&](uint32_t s) { return b_.is_sub(HeapType::concrete(s), heap); });
    return make_new(*sub);
  }
  const bool top = heap == HeapKind::Any || heap == HeapKind::Eq;
  if (heap == HeapKind::I31 || (top && c_.one_in(2))) {
    value(kI32);
    emit(Opcode::RefI31);
    return;
  }
  const auto& list = heap == HeapKind::Struct  ? b_.structs
                     : heap == HeapKind::Array ? b_.arrays
                     : c_.one_in(2)            ? b_.structs
                                               : b_.arrays;
  if (list.empty()) return leaf(t);
  make_new(c_.pick(list));
}

// The fields are there, unless they have their defaults.
void BodyGenerator::emit_struct_new(uint32_t type, bool defaults) {
  if (descriptor_operand(type, true))
    emit(defaults ? Opcode::StructNewDefaultDesc : Opcode::StructNewDesc, type);
  else
    emit(defaults ? Opcode::StructNewDefault : Opcode::StructNew, type);
}

// A descriptor for objects of `type`, mostly one that others have too; false if they have none.
bool BodyGenerator::descriptor_operand(uint32_t type, bool exact) {
  const uint32_t descriptor = b_.image.types[type].descriptor;
  if (descriptor == SubType::kNone) return false;
  const GlobalType* const global = b_.descriptor_global(descriptor);
  if (c_.one_in(40))
    null(HeapType::concrete(descriptor, exact));
  else if (global && c_.below(4))
    emit(Opcode::GlobalGet, uint32_t(global - b_.globals.data()));
  else if (exact)
    leaf_new(descriptor);
  else
    value(ValType::ref(HeapType::concrete(descriptor), c_.one_in(16)));
  return true;
}

void BodyGenerator::field_operand(ValType storage) {
  if (storage.is_ref() && c_.below(3)) return leaf_field(storage);
  value(storage.unpacked());
}

void BodyGenerator::length_operand() {
  if (c_.one_in(40)) return value(kI32);
  // Long ones bring a collection about.
  i32(int32_t(c_.one_in(12) ? c_.between(10'000, 40'000) : c_.between(4, 12)));
}

void BodyGenerator::make_new(uint32_t type) {
  const SubType& t = b_.image.types[type];
  if (c_.one_in(4)) return leaf_new(type);
  if (t.kind == CompKind::Struct) {
    for (const FieldType f : Vec<FieldType>(t.fields)) field_operand(f.storage);
    return emit_struct_new(type, false);
  }
  const ValType storage = t.fields[0].storage;
  switch (c_.below(3)) {
    case 0:
      if (segment_operands(storage)) {
        emit(storage.is_ref() ? Opcode::ArrayNewElem : Opcode::ArrayNewData, type, segment_);
        return;
      }
      break;
    case 1: {
      const uint32_t length = c_.between(1, 4);
      for (uint32_t i = 0; i < length; ++i) field_operand(storage);
      emit(Opcode::ArrayNewFixed, type, length);
      return;
    }
    default:
      break;
  }
  field_operand(storage);
  length_operand();
  emit(Opcode::ArrayNew, type);
}

// Start and length within a segment whose items fit `storage`; sets segment_.
bool BodyGenerator::segment_operands(ValType storage) {
  uint32_t items = 0;
  if (storage.is_ref()) {
    auto* e = find(b_.image.elems, [&](const ElemImage& e) { return b_.is_sub(e.type, storage); });
    if (!e) return false;
    segment_ = uint32_t(e - b_.image.elems.data());
    items = uint32_t(e->uses_exprs ? e->exprs.size() : e->funcs.size());
  } else {
    if (b_.image.datas.empty()) return false;
    segment_ = any_index(b_.image.datas.size());
    items = uint32_t(b_.image.datas[segment_].bytes.size()) / 8;
  }
  const uint32_t start = c_.below(2);
  c_.one_in(24) ? value(kI32) : i32(int32_t(start));
  c_.one_in(24) ? value(kI32) : i32(items > start ? int32_t(c_.below(items - start + 1)) : 0);
  return true;
}

// A reference of type `t`, of which a nullable one is tested.
bool BodyGenerator::nullable_to(ValType t) {
  if (frames_.size() >= kMaxFrames) return false;
  const ValType some = ValType::ref(t.heap(), false), maybe = ValType::ref(t.heap(), true);
  if (t.nullable()) return false;
  switch (c_.below(4)) {
    case 0:
      leaf(maybe);
      emit(Opcode::RefAsNonNull);
      return true;
    case 1:
      // (block (result t) maybe, br_on_non_null 0, some)
      open(Opcode::Block, {}, {some}, {some});
      value(maybe);
      emit(Opcode::BrOnNonNull, 0);
      leaf(some);
      close();
      return true;
    default:
      // (block (result t) (block maybe, br_on_null 0, br 1) some)
      open(Opcode::Block, {}, {some}, {some});
      open(Opcode::Block, {}, {}, {});
      value(maybe);
      emit(Opcode::BrOnNull, 0);
      emit(Opcode::Br, 1);
      close();
      leaf(some);
      close();
      return true;
  }
}

bool BodyGenerator::cast_to(ValType t) {
  const bool fits = b_.is_sub(t.heap(), HeapKind::Any);
  if (!fits) return false;
  // By the type, or by the descriptor.
  const bool by_descriptor = t.heap().is_concrete() && c_.below(3) &&
                             b_.image.types[t.heap().index()].descriptor != SubType::kNone;
  const auto descriptor = [&] {
    if (by_descriptor) descriptor_operand(t.heap().index(), false);
  };
  if (c_.one_in(3)) {
    // Most of these succeed: the value has the type, but seen from above.
    open(Opcode::Block, {}, {kAnyRef}, {kAnyRef});
    c_.one_in(6) ? value(kAnyRef) : value(t);
    close();
    descriptor();
    if (by_descriptor)
      heap_op(t.nullable() ? Opcode::RefCastDescEqNull : Opcode::RefCastDescEq, t.heap());
    else
      heap_op(t.nullable() ? Opcode::RefCastNull : Opcode::RefCast, t.heap());
    return true;
  }
  if (frames_.size() >= kMaxFrames) return false;
  // (block (result t) any, br_on_cast 0, drop, leaf)
  const bool fail = c_.one_in(3);
  const ValType from = kAnyRef;
  if (!fail) {
    open(Opcode::Block, {}, {t}, {t});
    cast_operand(from, t, by_descriptor);
    descriptor();
    br_on_cast(by_descriptor ? Opcode::BrOnCastDescEq : Opcode::BrOnCast, 0, from, t);
    emit(Opcode::Drop);
    leaf(t);
    close();
    return true;
  }
  // (block (result t) (block (result any) any, br_on_cast_fail 0, br 1) drop, leaf)
  open(Opcode::Block, {}, {t}, {t});
  open(Opcode::Block, {}, {kAnyRef}, {kAnyRef});
  cast_operand(from, t, by_descriptor);
  descriptor();
  br_on_cast(by_descriptor ? Opcode::BrOnCastDescEqFail : Opcode::BrOnCastFail, 0, from, t);
  emit(Opcode::Br, 1);
  close();
  emit(Opcode::Drop);
  leaf(t);
  close();
  return true;
}

// Of type `from`; with a descriptor mostly one that has one.
void BodyGenerator::cast_operand(ValType from, ValType to, bool by_descriptor) {
  if (c_.one_in(6)) return null(from.heap());
  value(by_descriptor && c_.below(4) ? to : from);
}

void BodyGenerator::br_on_cast(Opcode op, uint32_t label, ValType from, ValType to) {
  Instr& in = emit(op, label);
  in.heap = from.heap();
  in.heap2 = to.heap();
  in.null1 = from.nullable();
  in.null2 = to.nullable();
}

}  // namespace wafer::diff
