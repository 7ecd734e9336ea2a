// Values, and instructions typed by their signature.
#include "body.h"

#include <algorithm>

namespace wafer::diff {

using namespace wasm;

void BodyGenerator::run() {
  const Vec<ValType> params = b_.image.types[func_.type].func.params;
  for (uint32_t i = 0; i < params.size(); ++i) visible_.push_back({i, params[i]});
  budget_ = int32_t(c_.between(10, b_.options.max_code));
  // Some functions are plain, so that compilers may inline them.
  const bool resumed = has(Group::Continuations) && is_resumed();
  plain_ = c_.one_in(resumed ? 12 : 4);
  depth_local_ = add_local(kI32);
  frames_.push_back({results_, false});
  if (!plain_) prologue();
  declare_locals();
  if (has(Group::Operators) || c_.one_in(3)) {
    const int32_t budget = budget_;
    for (uint32_t n = has(Group::Operators) ? c_.between(20, 60) : c_.between(4, 12); n--;)
      observe();
    budget_ = budget;
  }
  if (resumed && !plain_)
    for (uint32_t n = c_.below(4); n--;) continuation_statement();
  const bool dead = statements(c_.between(1, 8));
  if (!dead || c_.one_in(8)) values(results_);
}

void BodyGenerator::prologue() {
  emit(Opcode::GlobalGet, b_.depth);
  i32(1);
  emit(Opcode::I32Add);
  emit(Opcode::LocalTee, depth_local_);
  emit(Opcode::GlobalSet, b_.depth);
  take_fuel();
  i32(kMaxCalls);
  emit(Opcode::LocalGet, depth_local_);
  emit(Opcode::I32Sub);
  emit(Opcode::GlobalGet, b_.fuel);
  emit(Opcode::I32Or);
  i32(0);
  emit(Opcode::I32LtS);
  emit(Opcode::If);
  for (const ValType t : results_) leaf(t);
  emit(Opcode::Return);
  emit(Opcode::End);
}

void BodyGenerator::take_fuel() {
  emit(Opcode::GlobalGet, b_.fuel);
  i32(1);
  emit(Opcode::I32Sub);
  emit(Opcode::GlobalSet, b_.fuel);
}

void BodyGenerator::declare_locals() {
  for (uint32_t n = c_.one_in(24) ? c_.between(40, 120) : c_.below(8); n--;) {
    const ValType type = b_.any_type();
    const uint32_t local = add_local(type);
    if (!type.defaultable()) {
      leaf(type);
      emit(Opcode::LocalSet, local);
    }
    visible_.push_back({local, type});
  }
}

BodyGenerator::LocalVar* BodyGenerator::local_giving(ValType t) {
  return find(visible_, [&](const LocalVar& l) { return b_.is_sub(l.type, t); });
}

BodyGenerator::LocalVar* BodyGenerator::local_taking(ValType t) {
  return find(visible_, [&](const LocalVar& l) { return b_.is_sub(t, l.type); });
}

// A label whose types are exactly `types`, or -1.
int BodyGenerator::label_with(const Vec<ValType>& types) {
  int found = -1;
  uint32_t seen = 0;
  for (uint32_t l = 0; l < frames_.size(); ++l)
    if (frame(l).types == types && c_.one_in(++seen)) found = int(l);
  return found;
}

// A short expression that cannot trap.
void BodyGenerator::leaf(ValType t) {
  LocalVar* const local = c_.below(3) ? local_giving(t) : nullptr;
  if (local) {
    emit(Opcode::LocalGet, local->index);
    return;
  }
  if (!t.is_ref()) {
    --budget_;
    code_.push_back(b_.constant(t.kind()));
    return;
  }
  if (t.nullable() && c_.one_in(2)) return null(t.heap());
  leaf_ref(t);
}

// In place of what there is no instruction to make (exceptions, say): if it must not be
// null, it traps.
void BodyGenerator::null_for(ValType t) {
  null(t.heap());
  if (!t.nullable()) emit(Opcode::RefAsNonNull);
}

void BodyGenerator::leaf_i31() {
  leaf(kI32);
  emit(Opcode::RefI31);
}

void BodyGenerator::leaf_ref(ValType t) {
  const HeapType heap = t.heap();
  switch (heap.kind()) {
    case HeapKind::Func:
      emit(Opcode::RefFunc, any_index(b_.function_count()));
      return;
    case HeapKind::I31:
    case HeapKind::Any:
    case HeapKind::Eq:
      return leaf_i31();
    case HeapKind::Struct:
    case HeapKind::Array: {
      const auto& list = heap.kind() == HeapKind::Struct ? b_.structs : b_.arrays;
      if (!list.empty()) return leaf_new(c_.pick(list));
      return null(heap);  // only nullable ones are in the pool
    }
    case HeapKind::Concrete:
      break;
    default:
      return null_for(t);
  }
  const CompKind kind = b_.image.types[heap.index()].kind;
  if (kind == CompKind::Cont) return null_for(t);
  if (kind != CompKind::Func) return leaf_new(heap.index());
  if (!function_ref(heap.index())) null_for(t);
}

// ref.func of some function of the type.
bool BodyGenerator::function_ref(uint32_t type) {
  uint32_t seen = 0, found = ~0u;
  for (uint32_t f = 0; f < b_.function_count(); ++f)
    if (b_.image.type_of_function(f) == type && c_.one_in(++seen)) found = f;
  if (found == ~0u) return false;
  emit(Opcode::RefFunc, found);
  return true;
}

void BodyGenerator::leaf_field(ValType storage) {
  if (storage.is_ref() && storage.nullable()) return null(storage.heap());
  leaf(storage.unpacked());
}

void BodyGenerator::leaf_new(uint32_t type) {
  const SubType& t = b_.image.types[type];
  const bool defaults = std::all_of(t.fields.begin(), t.fields.end(),
                                    [](const FieldType& f) { return f.storage.defaultable(); });
  if (t.kind == CompKind::Struct) {
    if (defaults && c_.one_in(2)) return emit_struct_new(type, true);
    for (const FieldType& f : Vec<FieldType>(t.fields)) leaf_field(f.storage);
    return emit_struct_new(type, false);
  }
  const uint32_t length = c_.between(1, 6);
  if (defaults && c_.one_in(2)) {
    i32(int32_t(length));
    emit(Opcode::ArrayNewDefault, type);
    return;
  }
  for (uint32_t i = 0; i < length; ++i) leaf_field(t.fields[0].storage);
  emit(Opcode::ArrayNewFixed, type, length);
}

// Values of all of `types`, from instructions with several results where they fit.
void BodyGenerator::values(const Vec<ValType>& types) {
  for (size_t i = 0; i < types.size();) {
    const size_t left = types.size() - i;
    if (left >= 2 && can_nest() && c_.one_in(3)) {
      if (types[i] == kI64 && types[i + 1] == kI64 && !ops_.pairs.empty() && c_.one_in(2)) {
        plain_op(c_.pick(ops_.pairs), Lanes::None);
        i += 2;
        continue;
      }
      if (call_giving(types, i)) {
        i += call_results_;
        continue;
      }
      if (has(Group::MultiValue) && frames_.size() < kMaxFrames) {
        const size_t take = 2 + c_.below(uint32_t(left - 1));
        block(Vec<ValType>(types.begin() + ptrdiff_t(i), types.begin() + ptrdiff_t(i + take)));
        i += take;
        continue;
      }
    }
    value(types[i++]);
  }
}

// A value of `t`, in whose `lanes` NaNs may have any payload.
void BodyGenerator::value(ValType t, Lanes lanes) {
  if (!can_nest()) return leaf(t);
  const Nest nest(nesting_);
  switch (c_.below(20)) {
    case 0:
    case 1:
    case 2:
      return leaf(t);
    case 3:
      return select(t, lanes);
    case 4:
      if (frames_.size() < kMaxFrames) return block({t});
      break;
    case 5:
    case 6:
      if (call_giving({t}, 0)) return;
      break;
    case 7:
      if (LocalVar* local = local_taking(t); local && local->type == t) {
        value(t);
        emit(Opcode::LocalTee, local->index);
        return;
      }
      break;
    case 8: {
      const auto* g = find(b_.globals, [&](const GlobalType& g) { return b_.is_sub(g.type, t); });
      const auto index = uint32_t(g - b_.globals.data());
      if (!g || index == b_.fuel || index == b_.depth) break;
      emit(Opcode::GlobalGet, index);
      return;
    }
    case 9:
      if (br_if_value(t)) return;
      break;
    case 10:
      if (t.is_ref() ? false : from_references(t)) return;
      break;
    case 11:
      // Code that never gets to its end may leave anything.
      if (c_.one_in(6)) {
        branch_away();
        return;
      }
      break;
    default:
      break;
  }
  if (t.is_ref()) return reference(t);
  if (t == kI32 && c_.one_in(12) && i32_of_state()) return;
  const auto& ops = ops_.giving(t.kind());
  if (ops.empty()) return leaf(t);
  plain_op(c_.pick(ops), lanes);
}

void BodyGenerator::select(ValType t, Lanes lanes) {
  value(t, lanes);
  value(t, lanes);
  value(kI32);
  if (t.is_ref() || c_.one_in(4))
    emit(Opcode::SelectT).types = {t};
  else
    emit(Opcode::Select);
}

bool BodyGenerator::br_if_value(ValType t) {
  const int label = label_with({t});
  if (label < 0) return false;
  value(t);
  value(kI32);
  emit(Opcode::BrIf, uint32_t(label));
  return true;
}

// Sizes and the like.
bool BodyGenerator::i32_of_state() {
  const uint32_t m = any_index(b_.memories.size());
  const bool memory64 = b_.memories[m].limits.is64;
  switch (c_.below(3)) {
    case 0:
      emit(Opcode::MemorySize, m);
      if (memory64) emit(Opcode::I32WrapI64);
      return true;
    case 1:
      memory_grow();
      return true;
    default: {
      if (b_.tables.empty()) return false;
      const uint32_t t = any_index(b_.tables.size());
      emit(Opcode::TableSize, t);
      if (b_.tables[t].limits.is64) emit(Opcode::I32WrapI64);
      return true;
    }
  }
}

void BodyGenerator::memory_grow() {
  const uint32_t m = any_index(b_.memories.size());
  const bool is64 = b_.memories[m].limits.is64;
  if (c_.one_in(8))
    value(is64 ? kI64 : kI32);
  else
    address_const(is64, c_.below(3));
  emit(Opcode::MemoryGrow, m);
  if (is64) emit(Opcode::I32WrapI64);
}

void BodyGenerator::plain_op(Opcode op, Lanes lanes) {
  const OpFacts& f = facts(op);
  const NanRole role = nan_role(op);
  const bool wait = op == Opcode::MemoryAtomicWait32 || op == Opcode::MemoryAtomicWait64;
  Instr in = with_immediates(op);
  last_constant_.op = Opcode::Illegal;
  if (is_cmpxchg(op) && c_.one_in(2)) {
    matching_cmpxchg(in);
    return;
  }
  for (unsigned i = 0; i < f.sig().param_count; ++i) {
    if (i == 0 && f.sig().address_first) {
      const bool exact = f.feature == Feature::Threads;
      address(in, 1u << f.aux, exact);
    } else if (wait && i == 2) {
      i64(c_.below(1000));  // nanoseconds
    } else {
      operand(op, f.sig().params[i], role, lanes);
    }
  }
  if (is_division(op) && !c_.one_in(8)) {
    f.sig().params[0] == kI32.kind() ? i32(1) : i64(1);
    emit(f.sig().params[0] == kI32.kind() ? Opcode::I32Or : Opcode::I64Or);
  }
  --budget_;
  code_.push_back(std::move(in));
  if (role.produces != Lanes::None && role.produces != lanes)
    canonicalise(f.sig().results[0], role.produces);
}

void BodyGenerator::operand(Opcode op, TypeKind kind, const NanRole& role, Lanes lanes) {
  const bool is_float = kind == TypeKind::F32 || kind == TypeKind::F64;
  if (is_float && is_trapping_trunc(op) && !c_.one_in(observing_ ? 3 : 8)) {
    value(kI32);
    i32(0xFFFFFF);
    emit(Opcode::I32And);
    emit(kind == TypeKind::F32 ? Opcode::F32ConvertI32U : Opcode::F64ConvertI32U);
    return;
  }
  if (observing_ && !c_.one_in(8)) {
    related_constant(kind);
    return;
  }
  const bool keeps = role.keeps && (role.compares == Lanes::None || role.compares == lanes);
  value(kind, keeps ? lanes : role.ignores);
}

bool BodyGenerator::is_cmpxchg(Opcode op) {
  return op >= Opcode::I32AtomicRmwCmpxchg && op <= Opcode::I64AtomicRmw32CmpxchgU;
}

// Compares with what is there, under bits that lie beyond the access.
void BodyGenerator::matching_cmpxchg(const Instr& in) {
  const OpFacts& f = facts(in.op);
  const bool wide = f.sig().results[0] == TypeKind::I64;
  static constexpr Opcode kLoads[2][4] = {
      {Opcode::I32Load8U, Opcode::I32Load16U, Opcode::I32Load},
      {Opcode::I64Load8U, Opcode::I64Load16U, Opcode::I64Load32U, Opcode::I64Load}};
  const bool is64 = b_.memories[in.index].limits.is64;
  const int64_t at = int64_t(c_.below(8) << f.aux);
  address_const(is64, at);
  address_const(is64, at);
  Instr load = Builder::instr(kLoads[wide][f.aux], in.index);
  load.offset = in.offset;
  --budget_;
  code_.push_back(std::move(load));
  if (c_.below(4)) {
    value(wide ? kI64 : kI32);
    const int64_t beyond = f.aux == 3 ? 0 : int64_t(~uint64_t{0} << (8u << f.aux));
    address_const(wide, f.aux == 2 && !wide ? 0 : beyond);
    emit(wide ? Opcode::I64And : Opcode::I32And);
    emit(wide ? Opcode::I64Or : Opcode::I32Or);
  }
  value(wide ? kI64 : kI32);
  --budget_;
  code_.push_back(in);
}

// Applies an instruction to constants that matter, or looks at references, and writes
// what comes of it to memory, where it is seen.
void BodyGenerator::observe() {
  const uint32_t m = any_index(b_.memories.size());
  const MemoryType& memory = b_.memories[m];
  const uint64_t size = std::min<uint64_t>(memory.limits.min << memory.page_size_log2, 1024);
  address_const(memory.limits.is64, int64_t(c_.below(uint32_t(size) - 16)));
  TypeKind kind = c_.pick(b_.pool).kind();
  if (kind == TypeKind::Ref) kind = TypeKind::I32;
  // Most operators are those of vectors.
  if (has(Group::Simd) && c_.one_in(2)) kind = TypeKind::V128;
  const Nest nest(nesting_);
  observing_ = true;
  if (!ops_.pairs.empty() && c_.one_in(8)) {
    kind = TypeKind::I64;
    plain_op(c_.pick(ops_.pairs), Lanes::None);
    // Both halves, so that a mistake in either shows.
    i64(1);
    emit(Opcode::I64Rotl);
    emit(Opcode::I64Xor);
  } else if (has(Group::Gc) && c_.one_in(2)) {
    kind = TypeKind::I32;
    if (!from_references(kI32)) leaf(kI32);
  } else {
    Opcode op = c_.pick(ops_.giving(kind));
    // Most waits would trap.
    if (facts(op).imm == Imm::MemArg && facts(op).sig().param_count == 3 && !is_cmpxchg(op) &&
        c_.below(4))
      op = c_.pick(ops_.giving(kind));
    plain_op(op, Lanes::None);
  }
  observing_ = false;
  static constexpr Opcode kStores[] = {Opcode::I32Store, Opcode::I64Store, Opcode::F32Store,
                                       Opcode::F64Store, Opcode::V128Store};
  emit(kStores[unsigned(kind) - unsigned(TypeKind::I32)], m);
}

bool BodyGenerator::is_division(Opcode op) {
  return (op >= Opcode::I32DivS && op <= Opcode::I32RemU) ||
         (op >= Opcode::I64DivS && op <= Opcode::I64RemU);
}

bool BodyGenerator::is_trapping_trunc(Opcode op) {
  return (op >= Opcode::I32TruncF32S && op <= Opcode::I32TruncF64U) ||
         (op >= Opcode::I64TruncF32S && op <= Opcode::I64TruncF64U);
}

// The instruction with everything but its operands.
Instr BodyGenerator::with_immediates(Opcode op) {
  const OpFacts& f = facts(op);
  Instr in = Builder::instr(op);
  if (f.imm == Imm::MemArg || f.imm == Imm::MemArgLane) {
    in.index = any_index(b_.memories.size());
    const bool exact = f.feature == Feature::Threads;
    in.align = exact ? f.aux : c_.below(f.aux + 1);
    in.offset = c_.one_in(3) ? c_.below(64) : 0;
    if (exact && !seldom(16)) in.offset &= ~uint64_t((1u << f.aux) - 1);
    if (seldom(64)) {
      in.offset = uint32_t(b_.interesting_i32());
      if (b_.memories[in.index].limits.is64) in.offset = uint64_t(b_.interesting_i64());
    }
  }
  if (f.imm == Imm::MemArgLane)
    in.lane = c_.below(16u >> f.aux);
  else if (f.imm == Imm::Lane)
    in.lane = c_.below(f.aux);
  else if (f.imm == Imm::Shuffle)
    for (uint8_t& lane : in.v128.bytes) lane = uint8_t(c_.below(32));
  return in;
}

// An address for `in`, mostly within the memory, often near its end.
void BodyGenerator::address(const Instr& in, uint32_t bytes, bool aligned) {
  const MemoryType& m = b_.memories[in.index];
  const bool is64 = m.limits.is64;
  const uint64_t size = m.limits.min << m.page_size_log2;
  const uint64_t mask = bit_floor(size / 2) - 1;
  const uint64_t low = aligned && !c_.one_in(24) ? ~uint64_t(bytes - 1) : ~uint64_t{0};
  if (observing_ && in.offset < size / 2 && !c_.one_in(16))
    return address_const(is64, int64_t(c_.below(size < 256 ? 1 : 8) * bytes));
  // Sums that would be small if the address could wrap around.
  if (in.offset > size && c_.one_in(2))
    return address_const(is64, int64_t(c_.below(16) * bytes - in.offset));
  switch (c_.below(24)) {
    case 0:
      return value(is64 ? kI64 : kI32);
    case 1: {
      const uint64_t last = size - bytes - (in.offset < size / 2 ? in.offset : 0);
      return address_const(is64, int64_t((last & low) + c_.below(3) * (aligned ? bytes : 1) -
                                         (aligned ? bytes : 1)));
    }
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
      return address_const(is64, int64_t(c_.below(uint32_t(mask) & 0xFF) & low));
    default:
      break;
  }
  const uint64_t range = (c_.one_in(2) ? mask & 0xFF : mask) & low;
  value(is64 ? kI64 : kI32);
  address_const(is64, int64_t(range));
  emit(is64 ? Opcode::I64And : Opcode::I32And);
}

void generate_body(Builder& builder, uint32_t index, const OpLists& ops) {
  FuncImage& func = builder.image.functions[index - builder.image.imported(ExternKind::Func)];
  BodyGenerator(builder, func, ops).run();
}

}  // namespace wafer::diff
