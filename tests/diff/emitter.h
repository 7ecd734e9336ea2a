// What the generator of bodies is built on: instructions one by one, hidden locals, and
// constants for their operands.
#pragma once

#include <algorithm>

#include "builder.h"

namespace wafer::diff {

class Emitter {
 protected:
  Emitter(Builder& builder, FuncImage& func)
      : b_(builder),
        c_(builder.c),
        func_(func),
        code_(func.code),
        first_local_(uint32_t(builder.image.types[func.type].func.params.size())) {}

  bool has(Group g) const { return b_.has(g); }

  wasm::Instr& emit(wasm::Opcode op, uint32_t index = 0, uint32_t index2 = 0) {
    --budget_;
    code_.push_back(Builder::instr(op, index, index2));
    return code_.back();
  }
  void i32(int32_t v) { emit(wasm::Opcode::I32Const).i32 = v; }
  void i64(int64_t v) { emit(wasm::Opcode::I64Const).i64 = v; }
  void address_const(bool is64, int64_t v) { is64 ? i64(v) : i32(int32_t(v)); }
  void heap_op(wasm::Opcode op, wasm::HeapType heap) { emit(op).heap = heap; }
  void null(wasm::HeapType heap) { heap_op(wasm::Opcode::RefNull, heap); }

  uint32_t add_local(wasm::ValType type) {
    func_.locals.push_back(type);
    return first_local_ + uint32_t(func_.locals.size()) - 1;
  }
  // One hidden local of each kind, for values that are used at once.
  uint32_t scratch(wasm::ValType type) {
    uint32_t& local = scratch_[unsigned(type.kind())];
    if (!local) local = add_local(type);
    return local;
  }

  // --- Choices ---

  // A random element of `list` for which `fits` holds, or null.
  template <class List, class F>
  auto* find(List& list, F fits) {
    decltype(&list[0]) found = nullptr;
    uint32_t seen = 0;
    for (auto& item : list)
      if (fits(item) && c_.one_in(++seen)) found = &item;
    return found;
  }
  uint32_t any_index(size_t count) { return c_.below(uint32_t(count)); }

  // Often the same as the operand before it, or nearly.
  void related_constant(wasm::TypeKind kind) {
    wasm::Instr in = b_.constant(kind);
    if (kind == wasm::TypeKind::V128 && c_.one_in(4)) {
      // The least, the greatest or nothing in all lanes of some width.
      const unsigned width = 1u << c_.below(4);
      const bool least = c_.one_in(2);
      std::fill(in.v128.bytes, in.v128.bytes + 16, uint8_t(least ? 0 : 0xFF));
      if (c_.below(4))
        for (unsigned i = width - 1; i < 16; i += width) in.v128.bytes[i] = least ? 0x80 : 0x7F;
    }
    if (last_constant_.op == in.op && c_.one_in(3)) {
      in = last_constant_;
      if (kind == wasm::TypeKind::F32 && c_.one_in(2)) in.f32_bits ^= 0x80000000;
      if (kind == wasm::TypeKind::F64 && c_.one_in(2)) in.f64_bits ^= uint64_t{1} << 63;
      if (kind == wasm::TypeKind::I32 && c_.one_in(2)) in.i32 = int32_t(~uint32_t(in.i32));
      if (kind == wasm::TypeKind::I64 && c_.one_in(2)) in.i64 = ~in.i64;
      // The sign of all lanes of some width.
      if (kind == wasm::TypeKind::V128 && c_.one_in(2))
        for (unsigned width = 1u << c_.below(4), i = width - 1; i < 16; i += width)
          in.v128.bytes[i] ^= 0x80;
    }
    last_constant_ = in;
    --budget_;
    code_.push_back(std::move(in));
  }

  // Gives every NaN in `lanes` of the value on the stack one payload.
  void canonicalise(wasm::TypeKind kind, Lanes lanes) {
    const bool wide = lanes == Lanes::F64;
    const uint32_t local = scratch(kind);
    wasm::Instr nan = Builder::instr(wasm::Opcode::V128Const);
    if (kind == wasm::TypeKind::F32) {
      nan.op = wasm::Opcode::F32Const;
      nan.offset = 0;
      nan.f32_bits = 0x7FC00000;
    } else if (kind == wasm::TypeKind::F64) {
      nan.op = wasm::Opcode::F64Const;
      nan.f64_bits = 0x7FF8000000000000;
    } else {
      for (unsigned i = 0; i < 16; i += wide ? 8 : 4) {
        nan.v128.bytes[i + (wide ? 7 : 3)] = 0x7F;
        nan.v128.bytes[i + (wide ? 6 : 2)] = wide ? 0xF8 : 0xC0;
      }
    }
    emit(wasm::Opcode::LocalTee, local);
    code_.push_back(nan);
    emit(wasm::Opcode::LocalGet, local);
    emit(wasm::Opcode::LocalGet, local);
    if (kind == wasm::TypeKind::V128) {
      emit(wide ? wasm::Opcode::F64x2Eq : wasm::Opcode::F32x4Eq);
      emit(wasm::Opcode::V128Bitselect);
    } else {
      emit(wide ? wasm::Opcode::F64Eq : wasm::Opcode::F32Eq);
      emit(wasm::Opcode::Select);
    }
  }

  Builder& b_;
  Chooser& c_;
  FuncImage& func_;
  Code& code_;
  int32_t budget_ = 0;         // instructions that may still be made
  wasm::Instr last_constant_;  // of the operands of the instruction in the making
  uint32_t first_local_;
  uint32_t scratch_[unsigned(wasm::TypeKind::V128) + 1] = {};
};

}  // namespace wafer::diff
