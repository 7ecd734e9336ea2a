// References, aggregates and throwing (spec 4.4.2 to 4.4.6).
//
// The collector scans frames conservatively, so a reference is safe in a slot, a local or
// a register that calls preserve.
#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

void BaselineCompiler::Impl::trap_if_null(const Operand& o, TrapCode code) {
  a_.test_zero(o.reg, true);
  a_.branch(Cond::Equal, trap(code));
}

// Pushes the field or element at `m`.
void BaselineCompiler::Impl::load_storage(const Mem& m, ValType storage, bool sign) {
  const ValType type = storage.unpacked();
  if (is_fpr(type)) {
    const uint8_t dst = alloc_fpr();
    a_.load_fpr(dst, m, width_of(type));
    push_fpr(type, dst);
    return;
  }
  const uint8_t dst = alloc_gpr();
  if (storage.is_packed()) {
    a_.load_narrow(dst, m, storage.kind() == TypeKind::I8 ? 1 : 2, sign, false);
  } else {
    a_.load_gpr(dst, m, is_wide(type));
  }
  push_gpr(type, dst);
}

// Stores to a field or element; goes through scratch registers for what is in memory.
void BaselineCompiler::Impl::store_storage(const Mem& m, ValType storage, const Operand& o) {
  if (!storage.is_packed()) {
    store_mem(m, o);
    return;
  }
  const unsigned width = storage.kind() == TypeKind::I8 ? 1 : 2;
  if (o.kind == Kind::Const) {
    a_.store_imm(m, o.value, width);
    return;
  }
  uint8_t reg = kScratch;
  if (o.kind == Kind::Gpr) {
    reg = o.reg;
  } else {
    load_gpr(kScratch, o);
  }
  a_.store_narrow(m, reg, width);
}

// Tests the reference in the slot of the top operand: sets the result register, and the
// flags by it.
// Every operand has to be out of the registers.
void BaselineCompiler::Impl::ref_test(HeapType type, bool nullable) {
  const Label done = a_.newLabel();
  save_locals();
  load_gpr(kArgGprs[1], top());
  a_.test_zero(kArgGprs[1], true);
  a_.load_imm(kResultGpr, nullable);
  a_.branch(Cond::Equal, done);
  a_.load_imm(kArgGprs[2], type.form());
  a_.load_imm(kArgGprs[3], type.is_concrete() ? type.index() : 0);
  call_builtin(Builtin::ref_test);
  a_.bind(done);
  a_.test_zero(kResultGpr, false);
}

// Traps if the descriptor on top is null; it stays.
void BaselineCompiler::Impl::check_descriptor() {
  Operand descriptor = pop();
  const uint8_t reg = own_gpr(descriptor);
  trap_if_null(descriptor, TrapCode::NullDescriptor);
  push_gpr(descriptor.type, reg);
}

// Pops a descriptor, and tests the reference below it as ref_test does.
void BaselineCompiler::Impl::ref_test_desc(bool nullable) {
  check_descriptor();
  spill_registers(uint32_t(stack_.size()));
  const Label done = a_.newLabel();
  save_locals();
  load_gpr(kArgGprs[1], top(1));
  load_gpr(kArgGprs[2], top());
  a_.test_zero(kArgGprs[1], true);
  a_.load_imm(kResultGpr, nullable);
  a_.branch(Cond::Equal, done);
  call_builtin(Builtin::ref_test_desc);
  a_.bind(done);
  release(pop());
  a_.test_zero(kResultGpr, false);
}

// Pops an index and an array, whose element it gives; both registers stay taken.
Mem BaselineCompiler::Impl::array_element(Operand& array, Operand& index, ValType storage) {
  const uint8_t i = own_gpr(index), a = own_gpr(array);
  trap_if_null(array, TrapCode::NullArrayReference);
  a_.compare(i, at(a, layout::kArrayLength), false);
  a_.branch(Cond::AboveEqual, trap(TrapCode::ArrayOutOfBounds));
  unsigned shift = 3;
  switch (storage.kind()) {
    case TypeKind::I8:
      shift = 0;
      break;
    case TypeKind::I16:
      shift = 1;
      break;
    case TypeKind::I32:
    case TypeKind::F32:
      shift = 2;
      break;
    case TypeKind::V128:
      shift = 4;
      break;
    default:
      break;
  }
  return a_.element(a, i, shift, layout::kArrayElements);
}

// The top `count` operands become the fields of the new object, which is their result.
void BaselineCompiler::Impl::fill_object(uint32_t count, auto place) {
  Operand object = pop();
  const ValType type = object.type;
  for (uint32_t i = 0; i < count; ++i) {
    const auto [offset, storage] = place(i);
    store_storage(at(object.reg, offset), storage, stack_[stack_.size() - count + i]);
  }
  drop(count);
  push_gpr(type, object.reg);
}

bool BaselineCompiler::Impl::visit_reference(const Instr& in) {
  using enum Opcode;
  switch (in.op) {
    case RefNull:
      push_const(result_type(), runtime::kNullRef);
      return true;
    case RefFunc: {
      const uint8_t dst = alloc_gpr();
      a_.load_word(dst, kContext, layout::kCtxFuncs);
      a_.load_word(dst, dst, int64_t(in.index) * 8);
      push_gpr(result_type(), dst);
      return true;
    }
    case RefIsNull:
      push_const(wasm::kI64, 0);
      compare(true, Cond::Equal);
      return true;
    case RefEq:
      compare(true, Cond::Equal);
      return true;
    case RefAsNonNull: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      trap_if_null(o, TrapCode::NullReference);
      push_gpr(result_type(), reg);
      return true;
    }
    case BrOnNull: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      a_.test_zero(reg, true);
      cond_branch(in.index, Cond::Equal);
      push_gpr(o.type, reg);
      return true;
    }
    case BrOnNonNull: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      push_gpr(o.type, reg);
      a_.test_zero(reg, true);
      cond_branch(in.index, Cond::NotEqual);
      release(pop());
      return true;
    }
    case BrOnCast:
    case BrOnCastFail: {
      spill_registers(uint32_t(stack_.size()));
      ref_test(in.heap2, in.null2);
      cond_branch(in.index, in.op == BrOnCast ? Cond::NotEqual : Cond::Equal);
      return true;
    }
    case RefTest:
    case RefTestNull:
      spill_registers(uint32_t(stack_.size()));
      ref_test(in.heap, in.op == RefTestNull);
      release(pop());
      a_.zero_extend(kResultGpr);
      push_gpr(wasm::kI32, kResultGpr);
      return true;
    case RefCast:
    case RefCastNull:
      spill_registers(uint32_t(stack_.size()));
      ref_test(in.heap, in.op == RefCastNull);
      a_.branch(Cond::Equal, trap(TrapCode::CastFailure));
      return true;
    case RefI31: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      a_.make_i31(reg);
      push_gpr(result_type(), reg);
      return true;
    }
    case I31GetS:
    case I31GetU: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      trap_if_null(o, TrapCode::NullI31Reference);
      a_.take_i31(reg, in.op == I31GetS);
      push_gpr(wasm::kI32, reg);
      return true;
    }
    case AnyConvertExtern:
    case ExternConvertAny:
      return true;  // the bits stay the same

    case RefGetDesc: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      trap_if_null(o, TrapCode::NullReference);
      const uint32_t offset = module_.canon_type(in.index)->descriptor_offset;
      release(o);
      load_storage(at(reg, int64_t(layout::kStructPayload) + offset), result_type(), false);
      return true;
    }
    case RefCastDescEq:
    case RefCastDescEqNull:
      ref_test_desc(in.op == RefCastDescEqNull);
      a_.branch(Cond::Equal, trap(TrapCode::DescriptorCastFailure));
      return true;
    case BrOnCastDescEq:
    case BrOnCastDescEqFail:
      ref_test_desc(in.null2);
      cond_branch(in.index, in.op == BrOnCastDescEq ? Cond::NotEqual : Cond::Equal);
      return true;
    case StructNewDesc:
    case StructNewDefaultDesc: {
      // The descriptor is one operand more, after the fields.
      const uint32_t n =
          in.op == StructNewDesc ? uint32_t(module_.types[in.index].fields.size()) : 0;
      const wasm::CanonType& type = *module_.canon_type(in.index);
      check_descriptor();
      spill_registers(uint32_t(stack_.size()));
      builtin(Builtin::struct_new, {in.index}, 0, result_type());
      fill_object(n + 1, [&](uint32_t i) {
        const bool field = i < n;
        return std::pair(int64_t(layout::kStructPayload) +
                             (field ? type.field_offsets[i] : type.descriptor_offset),
                         field ? type.fields[i].storage : ValType::ref(HeapKind::Struct, true));
      });
      return true;
    }
    case StructNew: {
      const auto& fields = module_.types[in.index].fields;
      const auto& offsets = module_.canon_type(in.index)->field_offsets;
      spill_registers(uint32_t(stack_.size()));
      builtin(Builtin::struct_new, {in.index}, 0, result_type());
      fill_object(uint32_t(fields.size()), [&](uint32_t i) {
        return std::pair(int64_t(layout::kStructPayload) + offsets[i], fields[i].storage);
      });
      return true;
    }
    case StructNewDefault:
      builtin(Builtin::struct_new, {in.index}, 0, result_type());
      return true;
    case StructGet:
    case StructGetS:
    case StructGetU: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      trap_if_null(o, TrapCode::NullStructReference);
      const uint32_t offset = module_.canon_type(in.index)->field_offsets[in.index2];
      release(o);
      load_storage(at(reg, int64_t(layout::kStructPayload) + offset),
                   module_.types[in.index].fields[in.index2].storage, in.op == StructGetS);
      return true;
    }
    case StructSet: {
      Operand value = pop(), o = pop();
      const uint8_t reg = own_gpr(o);
      trap_if_null(o, TrapCode::NullStructReference);
      const uint32_t offset = module_.canon_type(in.index)->field_offsets[in.index2];
      store_storage(at(reg, int64_t(layout::kStructPayload) + offset),
                    module_.types[in.index].fields[in.index2].storage, value);
      release(value);
      release(o);
      return true;
    }
    case ArrayNew: {
      // The initial value is below the length; array.fill reads it from its slot.
      const ValType result = result_type();
      spill_registers(uint32_t(stack_.size()));
      Operand& init = top(1);
      store_slot(init, init.slot);
      const Mem value = slot_mem(init.slot, init.type);
      builtin(Builtin::array_new, {in.index}, 1, result);
      const Operand array = top();
      spill(uint32_t(stack_.size() - 1));
      save_locals();
      a_.move_gpr(kArgGprs[1], array.reg, true);
      a_.load_imm(kArgGprs[2], 0);
      a_.load_address(kArgGprs[3], value);
      a_.load_gpr(kArgGprs[4], at(kArgGprs[1], layout::kArrayLength), false);
      call_builtin(Builtin::array_fill);
      Operand made = pop();
      release(pop());
      forget_registers();
      const uint8_t reg = own_gpr(made);
      push_gpr(result, reg);
      return true;
    }
    case ArrayNewDefault:
      builtin(Builtin::array_new, {in.index}, 1, result_type());
      return true;
    case ArrayNewFixed: {
      const ValType storage = module_.types[in.index].fields[0].storage;
      const uint32_t size = module_.canon_type(in.index)->element_size;
      spill_registers(uint32_t(stack_.size()));
      builtin(Builtin::array_new, {in.index, in.index2}, 0, result_type());
      fill_object(in.index2, [&](uint32_t i) {
        return std::pair(int64_t(layout::kArrayElements) + int64_t(i) * size, storage);
      });
      return true;
    }
    case ArrayNewData:
      builtin(Builtin::array_new_data, {in.index, in.index2}, 2, result_type());
      return true;
    case ArrayNewElem:
      builtin(Builtin::array_new_elem, {in.index, in.index2}, 2, result_type());
      return true;
    case ArrayGet:
    case ArrayGetS:
    case ArrayGetU: {
      const ValType storage = module_.types[in.index].fields[0].storage;
      Operand index = pop(), array = pop();
      const Mem m = array_element(array, index, storage);
      release(index);
      release(array);
      load_storage(m, storage, in.op == ArrayGetS);
      return true;
    }
    case ArraySet: {
      const ValType storage = module_.types[in.index].fields[0].storage;
      Operand value = pop(), index = pop(), array = pop();
      const Mem m = array_element(array, index, storage);
      store_storage(m, storage, value);
      release(value);
      release(index);
      release(array);
      return true;
    }
    case ArrayLen: {
      Operand o = pop();
      const uint8_t reg = own_gpr(o);
      trap_if_null(o, TrapCode::NullArrayReference);
      a_.load_gpr(reg, at(reg, layout::kArrayLength), false);
      push_gpr(wasm::kI32, reg);
      return true;
    }
    case ArrayFill: {
      spill_registers(uint32_t(stack_.size()));
      Operand& value = top(1);
      store_slot(value, value.slot);
      save_locals();
      load_gpr(kArgGprs[1], top(3));
      load_gpr(kArgGprs[2], top(2));
      a_.load_address(kArgGprs[3], slot_mem(value.slot, value.type));
      load_gpr(kArgGprs[4], top(0));
      drop(4);
      call_builtin(Builtin::array_fill);
      return true;
    }
    case ArrayCopy:
      builtin(Builtin::array_copy, {}, 5, wasm::kBot);
      return true;
    case ArrayInitData:
      builtin(Builtin::array_init_data, {in.index2}, 4, wasm::kBot);
      return true;
    case ArrayInitElem:
      builtin(Builtin::array_init_elem, {in.index2}, 4, wasm::kBot);
      return true;

    case Throw: {
      const auto& params = module_.types[module_.tags[in.index].type_index].func.params;
      spill_registers(uint32_t(stack_.size()));
      builtin(Builtin::exception_new, {in.index}, 0, wasm::kExnRef);
      uint32_t slot = 0;
      fill_object(uint32_t(params.size()), [&](uint32_t i) {
        const uint32_t here = slot;
        slot += slot_count(params[i]);
        return std::pair(int64_t(layout::kExceptionArgs) + int64_t(here) * 8, params[i]);
      });
      builtin(Builtin::throw_exception, {}, 1, wasm::kBot);
      reachable_ = false;
      return true;
    }
    case ThrowRef:
      builtin(Builtin::throw_exception, {}, 1, wasm::kBot);
      reachable_ = false;
      return true;
    default:
      return false;
  }
}

}  // namespace wafer::compiler
