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

}  // namespace

// Whether `o` is a constant that an operation with variant SI, or a store, can have.
bool Translator::is_immediate(const Operand& o) {
  return o.kind == Operand::Kind::Const && (!kNarrow || fits<int16_t>(o));
}

// What an instruction that has `o` for an immediate saves on narrow slots: there it may be in a
// field, and else is put into a slot before.
void Translator::narrow_saves_immediate(const Operand& o) {
  if constexpr (kNarrow) return;
  narrow_saves(fits<int16_t>(o) ? 1 : fits<int32_t>(o) ? 0 : -1);
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
  const uint32_t sa = source(a);
  const Field sb = immediate ? Field(Raw(kNarrow ? uint32_t(b.value) : 0)) : source(b);
  pop();
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  emit(word(op_id(op, variant), dst, sa, sb));
  if (immediate && (!kNarrow || word_of_its_own)) {
    emit(b.value);
    if (row_of(op).shape == Shape::BinInt || !fits<int32_t>(b)) narrow_saves_immediate(b);
  }
  wrote(dst, result);
  note_last(at, dst, before, op, variant);
}

void Translator::unary(wasm::Opcode op) {
  const ValType result = result_of(op);
  const Operand a = top();
  const bool acc = in_acc(a);
  const uint32_t sa = acc ? 0 : source(a);
  const AccState before = acc_;
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  emit(word(op_id(op, acc ? kUnaryA : kUnaryS), dst, sa));
  wrote(dst, result);
  note_last(at, dst, before, op, acc ? kUnaryA : kUnaryS);
}

void Translator::load(const Instr& in) {
  const ValType result = result_of(in.op);
  const Operand a = top();
  if (!near(in, kLoadFar)) {
    const uint32_t sa = source(a);
    pop();
    const uint32_t dst = push(result).slot;
    mark();
    const AccState before = acc_;
    const uint32_t at = here();
    emit(word(op_id(in.op, kLoadFar), dst, sa, Raw(far_kind(in.op))));
    emit(memory_word(in.index));
    emit(in.offset);
    wrote(dst, result);
    note_last(at, dst, before);
    return;
  }
  const bool acc = in_acc(a);
  const uint32_t sa = acc ? 0 : source(a);
  const AccState before = acc_;
  pop();
  const uint32_t dst = push(result).slot;
  mark();
  const uint32_t at = here();
  const unsigned variant = (acc ? kLoadA : kLoadS) + (guarded() ? 0 : 2);
  emit(word(op_id(in.op, variant), dst, sa, Raw(near_offset(in, row_of(in.op).bytes))));
  if (is_far_if_small(in.op)) narrow_saves(-2);
  wrote(dst, result);
  note_last(at, dst, before);
}

void Translator::store(const Instr& in) {
  const Operand v = top(0);
  Operand a = top(1);
  if (!near(in, kStoreFar)) {
    const uint32_t sa = source(a), sv = source(v);
    pop();
    pop();
    mark();
    emit(word(op_id(in.op, kStoreFar), sa, sv, Raw(far_kind(in.op))));
    emit(memory_word(in.index));
    emit(in.offset);
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
  const uint32_t sa = variant == kStoreAS ? 0 : source(a);
  Field sv = Raw(kNarrow && variant == kStoreSI ? uint32_t(v.value) : 0);
  if (variant == kStoreSS || variant == kStoreAS) sv = source(v);
  pop();
  pop();
  mark();
  emit(word(op_id(in.op, variant + (guarded() ? 0 : 4)), sa, sv,
            Raw(near_offset(in, row_of(in.op).bytes))));
  if (is_far_if_small(in.op)) narrow_saves(-2);
  if (variant == kStoreSI && !kNarrow) {
    emit(v.value);
    narrow_saves_immediate(v);
  }
}

// One form for all plain vector operations:
//   a=dst b=first c=second | lane or third slot | shuffle lanes
void Translator::vector(const Instr& in) {
  const size_t arity = row_of(in.op).arity;
  const ValType result = result_of(in.op);
  uint32_t src[3] = {0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  const uint32_t dst = push(result).slot;
  const AccState before = acc_;
  const uint32_t at = here();
  emit(word(op_id(in.op), dst, src[0], src[1]));
  if (row_of(in.op).lane) {
    emit(in.lane);
  } else if (arity == 3) {
    emit(src[2]);
  } else if (in.op == wasm::Opcode::I8x16Shuffle) {
    Word lanes[2];
    std::memcpy(lanes, in.v128.bytes, 16);
    emit(lanes[0]);
    emit(lanes[1]);
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
  const Shape shape = row_of(in.op).shape;
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
    emit(word(op_id(in.op), dst, sa, sv));
    emit(pair(memory_word(in.index), in.lane));
    emit(in.offset);
    if (is_load) no_acc(dst);
    return;
  }
  const bool far = !near(in, kVecFar);
  const unsigned variant = far ? kVecFar : guarded() ? kVecGuarded : kVecChecked;
  if (shape == Shape::VecLoad) {
    const uint32_t sa = source(top());
    pop();
    const uint32_t dst = push(wasm::kV128).slot;
    const AccState before = acc_;
    const uint32_t at = here();
    emit(word(op_id(in.op, variant), dst, sa, Raw(far ? 0 : near_offset(in, row_of(in.op).bytes))));
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
  emit(word(op_id(in.op, variant), sa, sv, Raw(far ? 0 : near_offset(in, 16))));
  if (far) {
    emit(memory_word(in.index));
    emit(in.offset);
  }
}

// Wide arithmetic: a=dst b,c=first two | third, fourth. Results in dst, dst+1.
void Translator::wide(const Instr& in) {
  const size_t arity = row_of(in.op).arity;
  uint32_t src[4] = {0, 0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  const uint32_t dst = push(wasm::kI64).slot;
  push(wasm::kI64);
  emit(word(op_id(in.op), dst, src[0], src[1]));
  emit(pair(src[2], src[3]));
  no_acc(dst);
}

// Atomics: a=dst b=address c=operand | mem, replacement slot | offset.
void Translator::atomic(const Instr& in) {
  const size_t arity = row_of(in.op).arity;
  const ValType result = result_of(in.op);
  uint32_t src[3] = {0, 0, 0};
  for (size_t i = 0; i < arity; ++i) src[i] = source(top(uint32_t(arity - 1 - i)));
  pop_n(arity);
  uint32_t dst = 0;
  if (result.kind() != TypeKind::Bot) dst = push(result).slot;
  mark();
  emit(word(op_id(in.op), dst, src[0], src[1]));
  emit(pair(memory_word(in.index), src[2]));
  emit(in.offset);
  if (result.kind() != TypeKind::Bot) no_acc(dst);
}

}  // namespace wafer::interp

#endif
