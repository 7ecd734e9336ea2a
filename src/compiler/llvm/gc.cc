// References and garbage-collected objects. The collector scans native stacks
// conservatively and does not move, so references are plain words here.
#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::BasicBlock;
using llvm::Type;
using llvm::Value;
using wasm::HeapKind;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;

namespace {

// Kind of memory that a field of an object is: fields of different sizes are apart.
std::string_view field_kind(ValType storage) {
  switch (storage.kind()) {
    case TypeKind::I8:
      return "gc8";
    case TypeKind::I16:
      return "gc16";
    case TypeKind::I32:
      return "gci32";
    case TypeKind::I64:
      return "gci64";
    case TypeKind::F32:
      return "gcf32";
    case TypeKind::F64:
      return "gcf64";
    case TypeKind::V128:
      return "gcv128";
    default:
      return "gcref";
  }
}

}  // namespace

// Is `ref` of heap type `type` (a module's)? An i1.
Value* FunctionTranslator::ref_test(Value* ref, wasm::HeapType type, bool nullable) {
  Value* null = b_.CreateICmpEQ(ref, const_i64(0));
  switch (type.kind()) {
    case HeapKind::None:
    case HeapKind::NoFunc:
    case HeapKind::NoExtern:
    case HeapKind::NoExn:
      return nullable ? null : static_cast<Value*>(b_.getFalse());
    case HeapKind::Func:
    case HeapKind::Extern:
    case HeapKind::Any:
    case HeapKind::Exn:
      return nullable ? static_cast<Value*>(b_.getTrue()) : b_.CreateNot(null);
    case HeapKind::I31: {
      Value* is = b_.CreateTrunc(ref, m_.i1);
      return nullable ? b_.CreateOr(is, null) : is;
    }
    default:
      break;
  }
  // Null at once; for a concrete type the very same type at once; else the runtime.
  BasicBlock* from = b_.GetInsertBlock();
  BasicBlock* some = block("some");
  BasicBlock* done = block("tested");
  b_.CreateCondBr(null, done, some);
  b_.SetInsertPoint(some);
  llvm::PHINode* phi = llvm::PHINode::Create(m_.i1, 4, "", done);
  phi->addIncoming(b_.getInt1(nullable), from);
  if (type.is_concrete()) {
    const bool func = module_.types[type.index()].kind == wasm::CompKind::Func;
    if (!func) {
      BasicBlock* object = block("object");
      phi->addIncoming(b_.getFalse(), b_.GetInsertBlock());
      b_.CreateCondBr(b_.CreateTrunc(ref, m_.i1), done, object);
      b_.SetInsertPoint(object);
    }
    Value* p = b_.CreateIntToPtr(ref, m_.ptr);
    Value* have = load_invariant(m_.ptr, p, func ? layout::kFuncType : layout::kObjectType);
    BasicBlock* slow = block("subtype");
    phi->addIncoming(b_.getTrue(), b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpEQ(have, element(layout::kCtxTypes, type.index())), done, slow);
    b_.SetInsertPoint(slow);
    if (type.is_exact() || module_.types[type.index()].is_final) {
      phi->addIncoming(b_.getFalse(), slow);
      b_.CreateBr(done);
      b_.SetInsertPoint(done);
      return phi;
    }
  }
  Value* r = call_builtin(Builtin::ref_test, {ref, const_i32(type.form()),
                                              const_i32(type.is_concrete() ? type.index() : 0)});
  phi->addIncoming(b_.CreateICmpNE(r, const_i32(0)), b_.GetInsertBlock());
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  return phi;
}

// Pops a descriptor, and tells whether the reference on top has it.
Value* FunctionTranslator::ref_test_desc(bool nullable) {
  Value* descriptor = pop();
  Value* ref = stack_.back();
  trap_if(b_.CreateICmpEQ(descriptor, const_i64(0)), TrapCode::NullDescriptor);
  BasicBlock* from = b_.GetInsertBlock();
  BasicBlock* some = block("some");
  BasicBlock* done = block("tested");
  b_.CreateCondBr(b_.CreateICmpEQ(ref, const_i64(0)), done, some);
  b_.SetInsertPoint(some);
  Value* r = call_builtin(Builtin::ref_test_desc, {ref, descriptor});
  Value* same = b_.CreateICmpNE(r, const_i32(0));
  llvm::PHINode* phi = llvm::PHINode::Create(m_.i1, 2, "", done);
  phi->addIncoming(b_.getInt1(nullable), from);
  phi->addIncoming(same, b_.GetInsertBlock());
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  return phi;
}

bool FunctionTranslator::gc(const wasm::Instr& in) {
  const auto null_check = [&](Value* ref, TrapCode code) {
    trap_if(b_.CreateICmpEQ(ref, const_i64(0)), code);
    return b_.CreateIntToPtr(ref, m_.ptr);
  };
  const auto storage_type = [&](ValType t) -> Type* {
    return t.kind() == TypeKind::I8 ? m_.i8 : t.kind() == TypeKind::I16 ? m_.i16 : m_.type_of(t);
  };
  const auto read = [&](ValType t, Value* p, uint64_t offset, bool is_signed) {
    Value* v = load_at(storage_type(t), p, offset, field_kind(t));
    if (!t.is_packed()) return v;
    return is_signed ? b_.CreateSExt(v, m_.i32) : b_.CreateZExt(v, m_.i32);
  };
  const auto write = [&](ValType t, Value* v, Value* p, uint64_t offset) {
    if (t.is_packed()) v = b_.CreateTrunc(v, storage_type(t));
    store_visibly(v, p, offset, field_kind(t));
  };
  const auto canon = [&](uint32_t type) { return module_.canon_type(type); };
  const auto element_at = [&](uint32_t type, Value* array, Value* index) {
    Value* p = null_check(array, TrapCode::NullArrayReference);
    Value* length = load_invariant(m_.i64, p, layout::kArrayLength);
    Value* i = b_.CreateZExt(index, m_.i64);
    trap_if(b_.CreateICmpUGE(i, length), TrapCode::ArrayOutOfBounds);
    return b_.CreateInBoundsGEP(m_.i8, at(p, layout::kArrayElements),
                                b_.CreateMul(i, const_i64(canon(type)->element_size)));
  };
  const auto widen = [&](Value* v) { return b_.CreateZExt(v, m_.i64); };
  const auto branch_on = [&](uint32_t label, Value* condition) { br_if(label, condition); };

  switch (in.op) {
    case Opcode::RefNull:
      push(const_i64(0));
      return true;
    case Opcode::RefIsNull:
      push(b_.CreateZExt(b_.CreateICmpEQ(pop(), const_i64(0)), m_.i32));
      return true;
    case Opcode::RefFunc:
      push(b_.CreatePtrToInt(element(layout::kCtxFuncs, in.index), m_.i64));
      return true;
    case Opcode::RefEq: {
      Value* r = pop();
      push(b_.CreateZExt(b_.CreateICmpEQ(pop(), r), m_.i32));
      return true;
    }
    case Opcode::RefAsNonNull:
      trap_if(b_.CreateICmpEQ(stack_.back(), const_i64(0)), TrapCode::NullReference);
      return true;
    case Opcode::BrOnNull: {
      Value* ref = pop();
      branch_on(in.index, b_.CreateICmpEQ(ref, const_i64(0)));
      push(ref);
      return true;
    }
    case Opcode::BrOnNonNull: {
      Value* ref = stack_.back();
      branch_on(in.index, b_.CreateICmpNE(ref, const_i64(0)));
      pop();
      return true;
    }
    case Opcode::BrOnCast:
      branch_on(in.index, ref_test(stack_.back(), in.heap2, in.null2));
      return true;
    case Opcode::BrOnCastFail:
      branch_on(in.index, b_.CreateNot(ref_test(stack_.back(), in.heap2, in.null2)));
      return true;
    case Opcode::RefTest:
    case Opcode::RefTestNull:
      push(b_.CreateZExt(ref_test(pop(), in.heap, in.op == Opcode::RefTestNull), m_.i32));
      return true;
    case Opcode::RefCast:
    case Opcode::RefCastNull:
      trap_if(b_.CreateNot(ref_test(stack_.back(), in.heap, in.op == Opcode::RefCastNull)),
              TrapCode::CastFailure);
      return true;
    case Opcode::AnyConvertExtern:
    case Opcode::ExternConvertAny:
      return true;
    case Opcode::RefI31:
      push(b_.CreateOr(
          b_.CreateShl(b_.CreateZExt(b_.CreateAnd(pop(), const_i32(0x7FFFFFFF)), m_.i64), 1),
          const_i64(1)));
      return true;
    case Opcode::I31GetS:
    case Opcode::I31GetU: {
      Value* ref = pop();
      trap_if(b_.CreateICmpEQ(ref, const_i64(0)), TrapCode::NullI31Reference);
      Value* low = b_.CreateTrunc(ref, m_.i32);
      push(in.op == Opcode::I31GetS ? b_.CreateAShr(low, 1) : b_.CreateLShr(low, 1));
      return true;
    }
    case Opcode::RefGetDesc: {
      const wasm::CanonType& type = *canon(in.index);
      Value* p = null_check(pop(), TrapCode::NullReference);
      push(load_at(m_.i64, p, layout::kStructPayload + type.descriptor_offset, "descriptor"));
      return true;
    }
    case Opcode::RefCastDescEq:
    case Opcode::RefCastDescEqNull:
      trap_if(b_.CreateNot(ref_test_desc(in.op == Opcode::RefCastDescEqNull)),
              TrapCode::DescriptorCastFailure);
      return true;
    case Opcode::BrOnCastDescEq:
      branch_on(in.index, ref_test_desc(in.null2));
      return true;
    case Opcode::BrOnCastDescEqFail:
      branch_on(in.index, b_.CreateNot(ref_test_desc(in.null2)));
      return true;
    case Opcode::StructNewDesc:
    case Opcode::StructNewDefaultDesc: {
      const wasm::CanonType& type = *canon(in.index);
      Value* descriptor = pop();
      trap_if(b_.CreateICmpEQ(descriptor, const_i64(0)), TrapCode::NullDescriptor);
      Value* ref = call_builtin(Builtin::struct_new, {const_i32(in.index)});
      Value* p = b_.CreateIntToPtr(ref, m_.ptr);
      store_visibly(descriptor, p, layout::kStructPayload + type.descriptor_offset, "descriptor");
      if (in.op == Opcode::StructNewDesc) {
        for (size_t i = type.fields.size(); i-- > 0;)
          write(type.fields[i].storage, pop(), p, layout::kStructPayload + type.field_offsets[i]);
      }
      push(ref);
      return true;
    }
    case Opcode::StructNew: {
      const wasm::CanonType& type = *canon(in.index);
      Value* ref = call_builtin(Builtin::struct_new, {const_i32(in.index)});
      Value* p = b_.CreateIntToPtr(ref, m_.ptr);
      for (size_t i = type.fields.size(); i-- > 0;)
        write(type.fields[i].storage, pop(), p, layout::kStructPayload + type.field_offsets[i]);
      push(ref);
      return true;
    }
    case Opcode::StructNewDefault:
      push(call_builtin(Builtin::struct_new, {const_i32(in.index)}));
      return true;
    case Opcode::StructGet:
    case Opcode::StructGetS:
    case Opcode::StructGetU: {
      const wasm::CanonType& type = *canon(in.index);
      Value* p = null_check(pop(), TrapCode::NullStructReference);
      push(read(type.fields[in.index2].storage, p,
                layout::kStructPayload + type.field_offsets[in.index2],
                in.op == Opcode::StructGetS));
      return true;
    }
    case Opcode::StructSet: {
      const wasm::CanonType& type = *canon(in.index);
      Value* v = pop();
      Value* p = null_check(pop(), TrapCode::NullStructReference);
      write(type.fields[in.index2].storage, v, p,
            layout::kStructPayload + type.field_offsets[in.index2]);
      return true;
    }
    case Opcode::ArrayNew: {
      Value* n = widen(pop());
      Value* v = pop();
      const ValType t = canon(in.index)->fields[0].storage;
      Value* ref = call_builtin(Builtin::array_new, {const_i32(in.index), n});
      push(ref);
      if (auto* c = llvm::dyn_cast<llvm::Constant>(v); c && c->isNullValue()) return true;
      Value* value = entry_slot();
      write(t, v, value, 0);
      call_builtin(Builtin::array_fill, {ref, const_i64(0), value, n});
      return true;
    }
    case Opcode::ArrayNewDefault:
      push(call_builtin(Builtin::array_new, {const_i32(in.index), widen(pop())}));
      return true;
    case Opcode::ArrayNewFixed: {
      const wasm::CanonType& type = *canon(in.index);
      Value* ref = call_builtin(Builtin::array_new, {const_i32(in.index), const_i64(in.index2)});
      Value* p = b_.CreateIntToPtr(ref, m_.ptr);
      for (uint64_t i = in.index2; i-- > 0;)
        write(type.fields[0].storage, pop(), p, layout::kArrayElements + i * type.element_size);
      push(ref);
      return true;
    }
    case Opcode::ArrayNewData:
    case Opcode::ArrayNewElem: {
      Value* n = widen(pop());
      Value* from = widen(pop());
      push(call_builtin(
          in.op == Opcode::ArrayNewData ? Builtin::array_new_data : Builtin::array_new_elem,
          {const_i32(in.index), const_i32(in.index2), from, n}));
      return true;
    }
    case Opcode::ArrayGet:
    case Opcode::ArrayGetS:
    case Opcode::ArrayGetU: {
      Value* index = pop();
      Value* p = element_at(in.index, pop(), index);
      push(read(canon(in.index)->fields[0].storage, p, 0, in.op == Opcode::ArrayGetS));
      return true;
    }
    case Opcode::ArraySet: {
      Value* v = pop();
      Value* index = pop();
      Value* p = element_at(in.index, pop(), index);
      write(canon(in.index)->fields[0].storage, v, p, 0);
      return true;
    }
    case Opcode::ArrayLen: {
      Value* p = null_check(pop(), TrapCode::NullArrayReference);
      push(b_.CreateTrunc(load_invariant(m_.i64, p, layout::kArrayLength), m_.i32));
      return true;
    }
    case Opcode::ArrayFill: {
      Value* n = widen(pop());
      Value* v = pop();
      Value* to = widen(pop());
      Value* array = pop();
      Value* value = entry_slot();
      write(canon(in.index)->fields[0].storage, v, value, 0);
      call_builtin(Builtin::array_fill, {array, to, value, n});
      return true;
    }
    case Opcode::ArrayCopy: {
      Value* n = widen(pop());
      Value* from_at = widen(pop());
      Value* from = pop();
      Value* to_at = widen(pop());
      Value* to = pop();
      call_builtin(Builtin::array_copy, {to, to_at, from, from_at, n});
      return true;
    }
    case Opcode::ArrayInitData:
    case Opcode::ArrayInitElem: {
      Value* n = widen(pop());
      Value* from = widen(pop());
      Value* to = widen(pop());
      Value* array = pop();
      call_builtin(
          in.op == Opcode::ArrayInitData ? Builtin::array_init_data : Builtin::array_init_elem,
          {const_i32(in.index2), array, to, from, n});
      return true;
    }
    default:
      return false;
  }
}

// A place of 16 bytes in the frame.
Value* FunctionTranslator::entry_slot() {
  const llvm::IRBuilder<>::InsertPointGuard guard(b_);
  b_.SetInsertPoint(entry_, entry_->getFirstInsertionPt());
  return b_.CreateAlloca(m_.v128);
}

}  // namespace wafer::compiler
