// Translation of plain operations, whose form follows from their signature.
#include "interp/translator.h"

#if WAFER_HAS_TRANSLATOR

namespace wafer::interp {

namespace {

// What gives the same with operands exchanged, or Illegal.
wasm::Opcode swapped(wasm::Opcode op) {
  if (is_commutative(op)) return op;
  return is_compare(op) ? looked_up(kMirrored, op) : wasm::Opcode::Illegal;
}

// What narrow slots have in place of `op` with the constant `b`: see is_other_with_constant().
// Larger constants are in no field.
void replace(wasm::Opcode& op, Operand& b) {
  using O = wasm::Opcode;
  if (op == O::F32Sub) {
    op = O::F32Add;
    b.value ^= 0x80000000;
    return;
  }
  const bool wide = b.type.kind() == TypeKind::I64;
  int32_t value = int16_t(b.value);
  if ((wide ? b.value : uint64_t(int32_t(b.value))) != uint64_t(value)) return;
  if (!is_compare(op)) {
    op = wide ? O::I64Add : O::I32Add;
    value = -value;
  } else {
    // None is above all ones.
    if (value == -1 && (op == O::I32GtU || op == O::I32LeU || op == O::I64GtU || op == O::I64LeU))
      return;
    op = looked_up(kOpposite, looked_up(kMirrored, op));
    ++value;
  }
  b.value = wide ? uint64_t(value) : uint32_t(value);
}

}  // namespace

// Whether `o` is a constant that an operation with variant SI, or a store, can have.
bool Translator::is_immediate(const Operand& o) {
  return o.kind == Operand::Kind::Const && (!kNarrow || narrow_const_words(o) == 2);
}

void Translator::binary(wasm::Opcode op) {
  const ValType result = result_of(op);
  Operand b = top(0), a = top(1);
  if (a.kind == Operand::Kind::Const && b.kind != Operand::Kind::Const &&
      swapped(op) != wasm::Opcode::Illegal) {
    op = swapped(op);
    std::swap(a, b);
  }
  if (a.kind == Operand::Kind::Const) {
    // Both constants, or a constant left of an operation with no mirror image.
    materialize(uint32_t(stack_.size()) - 2);
    a = top(1);
  }
  // Elsewhere only counted.
  wasm::Opcode other_op = op;
  Operand other_b = b;
  wasm::Opcode& narrow_op = kNarrow ? op : other_op;
  Operand& narrow_b = kNarrow ? b : other_b;
  if (b.kind == Operand::Kind::Const && is_other_with_constant(op)) replace(narrow_op, narrow_b);
  const bool in_field = is_immediate(b) && has_op(op, kSI);
  const bool word_of_its_own =
      kNarrow && !in_field && b.kind == Operand::Kind::Const && has_op(op, kSW);
  const bool immediate = in_field || word_of_its_own;
  if (is_mirrored(op) && !immediate) {
    op = looked_up(kMirrored, op);
    std::swap(a, b);
  }
  const AccState before = acc_;
  uint8_t variant;
  if (immediate) {
    variant = word_of_its_own ? kSW : in_acc(a) ? kAI : kSI;
  } else if (in_acc(a)) {
    variant = kAS;
  } else if (in_acc(b)) {
    variant = kSA;
  } else {
    variant = kSS;
  }
  // Operands in an accumulator are in their slots as well.
  const uint32_t sa = near_source(a);
  const Field sb = word_of_its_own ? Field(0)
                   : immediate     ? Field(Raw(kNarrow ? uint32_t(b.value) : 0))
                                   : near_source(b);
  pop();
  pop();
  const uint32_t dst = push(result).slot;
  if (wasm::is_trapping_arithmetic(op)) mark();
  const uint32_t at = here();
  const bool rare = row_of(op).rare;
  const bool in_first =
      in_field && row_of(op).shape() == Shape::BinInt &&
      (kNarrow || (narrow_const_words(narrow_b) == 2 && !is_other_with_constant(narrow_op)));
  emit_first(word(op_id(op, variant), dst, sa, sb), rare       ? Form::Long
                                                    : in_first ? Form::Offset
                                                               : Form::Slots);
  if (immediate && !in_first)
    count_narrow(!rare && has_constant_word(narrow_op) ? 2 : narrow_const_words(narrow_b));
  if (!kNarrow && immediate) put(b.value);
  if (word_of_its_own) put(b.value, 2);
  wrote(dst, result);
  note_last(at, dst, before, op, variant);
}

void Translator::unary(wasm::Opcode op) {
  const ValType result = result_of(op);
  const Operand a = top();
  const bool acc = in_acc(a);
  const uint32_t sa = acc ? 0 : near_source(a);
  const AccState before = acc_;
  pop();
  const uint32_t dst = push(result).slot;
  if (wasm::is_trapping_arithmetic(op)) mark();
  const uint32_t at = here();
  const bool rare = row_of(op).rare;
  emit_first(word(op_id(op, acc ? kUnaryA : kUnaryS), dst, sa), rare ? Form::Long : Form::Slots);
  wrote(dst, result);
  note_last(at, dst, before, op, acc ? kUnaryA : kUnaryS);
}

void Translator::emit_far(const Instr& in, unsigned variant, uint32_t a, uint32_t b) {
  const unsigned kind = far_kind(in.op);
  if (kNarrow && (!WAFER_HAS_NarrowMemories || is_plain(in))) {
    // The kind stands where a slot would.
    static_assert(far_kind(wasm::Opcode::I64Store32) < kNearSlots);
    emit_first(word(variant == kLoadFar ? Special::LoadFar : Special::StoreFar, a, b, kind),
               Form::Slots);
    emit(in.offset, 2);
    return;
  }
  emit_long(word(kNarrow ? op_id(variant == kLoadFar ? Special::LoadAny : Special::StoreAny)
                         : op_id(in.op, variant),
                 a, b, Raw(kind)));
  const unsigned narrow = is_plain(in) ? 0 : 4;  // there it is one of those above
  emit(memory_word(in.index), narrow);
  emit(in.offset, narrow);
}

void Translator::load(const Instr& in) {
  const ValType result = result_of(in.op);
  const Operand a = top();
  if (is_far_access(in)) {
    const uint32_t sa = near_source(a);
    pop();
    const uint32_t dst = push(result).slot;
    mark();
    const AccState before = acc_;
    const uint32_t at = here();
    emit_far(in, kLoadFar, dst, sa);
    wrote(dst, result);
    note_last(at, dst, before);
    return;
  }
  const bool acc = in_acc(a);
  const uint32_t sa = acc ? 0 : near_source(a);
  const AccState before = acc_;
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  const unsigned variant = (acc ? kLoadA : kLoadS) + (guarded() ? 0 : 2);
  emit_first(word(op_id(in.op, variant), dst, sa, Raw(near_offset(in, bytes_of(in.op)))),
             Form::Offset);
  if (is_far_if_narrow(in.op)) count_narrow(1);
  wrote(dst, result);
  note_last(at, dst, before);
}

void Translator::store(const Instr& in) {
  const Operand v = top(0);
  Operand a = top(1);
  if (is_far_access(in)) {
    const uint32_t sa = near_source(a), sv = near_source(v);
    pop();
    pop();
    mark();
    emit_far(in, kStoreFar, sa, sv);
    return;
  }
  if (a.kind == Operand::Kind::Const) {
    materialize(uint32_t(stack_.size()) - 2);
    a = top(1);
  }
  unsigned variant;
  if (is_immediate(v)) {
    variant = kStoreSI;
  } else if (in_acc(v)) {
    variant = kStoreSA;
  } else if (in_acc(a)) {
    variant = kStoreAS;
  } else {
    variant = kStoreSS;
  }
  const uint32_t sa = variant == kStoreAS ? 0 : near_source(a);
  Field sv = Raw(kNarrow && variant == kStoreSI ? uint32_t(v.value) : 0);
  if (variant == kStoreSS || variant == kStoreAS) sv = near_source(v);
  pop();
  pop();
  mark();
  emit_first(word(op_id(in.op, variant + (guarded() ? 0 : 4)), sa, sv,
                  Raw(near_offset(in, bytes_of(in.op)))),
             variant == kStoreSI ? Form::After : Form::Offset);
  if (is_far_if_narrow(in.op)) count_narrow(1);
  if (variant == kStoreSI && !kNarrow) {
    put(v.value);
    if (!fits<int16_t>(v) || is_far_if_narrow(in.op)) count_narrow(narrow_const_words(v));
  }
}

// One form for all plain vector operations:
//   a=dst b=first c=second | lane or third slot | shuffle lanes
void Translator::vector(const Instr& in) {
  const size_t arity = arity_of(in.op);
  const ValType result = result_of(in.op);
  uint32_t src[3] = {0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  const uint32_t dst = push(result).slot;
  const AccState before = acc_;
  const uint32_t at = here();
  emit_long(word(op_id(in.op), dst, src[0], src[1]));
  if (wasm::op_facts(in.op).imm == wasm::Imm::Lane) {
    emit(in.lane);
  } else if (arity == 3) {
    emit(src[2]);
  } else if (in.op == wasm::Opcode::I8x16Shuffle) {
    Word lanes[16 / sizeof(Word)];
    std::memcpy(lanes, in.v128.bytes, 16);
    for (const Word w : lanes) emit(w, 8 / std::size(lanes));
  }
  if (result.kind() == TypeKind::V128) {
    no_acc(dst);
  } else {
    wrote(dst, result);
  }
  note_last(at, dst, before);
}

// Vector loads: near a=dst b=address c=offset; Far a=dst b=address | mem | offset.
// Stores: a=address b=value. Lanes: a=dst b=address c=value | mem, lane | offset.
void Translator::vec_memory(const Instr& in) {
  const Shape shape = row_of(in.op).shape();
  mark();
  if (shape == Shape::VecLane) {
    const Operand v = top(0), a = top(1);
    const uint32_t sa = source(a), sv = source(v);
    const bool is_load = result_of(in.op).kind() == TypeKind::V128;
    pop();
    pop();
    uint32_t dst = 0;
    if (is_load) {
      dst = push(wasm::kV128).slot;
    }
    emit_long(word(op_id(in.op), dst, sa, sv));
    emit(pair(memory_word(in.index), in.lane));
    emit(in.offset);
    if (is_load) no_acc(dst);
    return;
  }
  const bool far = !fits_field(in);
  const unsigned variant = far ? kVecFar : guarded() ? kVecGuarded : kVecChecked;
  if (shape == Shape::VecLoad) {
    const uint32_t sa = source(top());
    pop();
    const uint32_t dst = push(wasm::kV128).slot;
    const AccState before = acc_;
    const uint32_t at = here();
    emit_long(
        word(op_id(in.op, variant), dst, sa, Raw(far ? 0 : near_offset(in, bytes_of(in.op)))));
    if (far) {
      emit(memory_word(in.index));
      emit(in.offset);
    }
    no_acc(dst);
    note_last(at, dst, before);
    return;
  }
  const uint32_t sa = source(top(1)), sv = source(top(0));
  pop();
  pop();
  emit_long(word(op_id(in.op, variant), sa, sv, Raw(far ? 0 : near_offset(in, 16))));
  if (far) {
    emit(memory_word(in.index));
    emit(in.offset);
  }
}

// Wide arithmetic: a=dst b,c=first two | third, fourth. Results in dst, dst+1.
void Translator::wide(const Instr& in) {
  const size_t arity = arity_of(in.op);
  uint32_t src[4] = {0, 0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  const uint32_t dst = push(wasm::kI64).slot;
  push(wasm::kI64);
  emit_long(word(op_id(in.op), dst, src[0], src[1]));
  emit(pair(src[2], src[3]));
  no_acc(dst);
}

// Atomics: a=dst b=address c=operand | mem, replacement slot | offset.
void Translator::atomic(const Instr& in) {
  const size_t arity = arity_of(in.op);
  const ValType result = result_of(in.op);
  uint32_t src[3] = {0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  uint32_t dst = 0;
  if (result.kind() != TypeKind::Bot) dst = push(result).slot;
  mark();
  emit_long(word(op_id(in.op), dst, src[0], src[1]));
  emit(pair(memory_word(in.index), src[2]));
  emit(in.offset);
  if (result.kind() != TypeKind::Bot) no_acc(dst);
}

}  // namespace wafer::interp

#endif
