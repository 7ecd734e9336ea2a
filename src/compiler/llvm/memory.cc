// Memories and tables.
#include "compiler/llvm/exact_traps.h"
#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::Type;
using llvm::Value;
using wasm::Opcode;

bool ModuleTranslator::guarded(uint32_t memory) const {
  const wasm::MemoryType& type = module.memories[memory].type;
  return options.code.guard_pages && !type.limits.is64 && type.page_size_log2 == 16;
}

bool FunctionTranslator::guarded(uint32_t memory) const { return m_.guarded(memory); }

Value* FunctionTranslator::memory_index(uint32_t memory, Value* index) {
  return module_.memories[memory].type.limits.is64 ? index : b_.CreateZExt(index, m_.i64);
}

Value* FunctionTranslator::address(uint32_t memory, Value* index, uint64_t offset, unsigned size) {
  if (m_.xip) return xip_address(index, offset, size);
  index = memory_index(memory, index);
  if (guarded(memory)) {
    Value* base = memory == 0 ? context_field(layout::kCtxMemory0)
                              : load_invariant(m_.ptr, element(layout::kCtxMemories, memory),
                                               layout::kMemoryBase);
    Value* p = b_.CreateGEP(m_.i8, base, index);
    return offset ? b_.CreateGEP(m_.i8, p, const_i64(offset)) : p;
  }
  Value* inst = element(layout::kCtxMemories, memory);
  Value* limit = load_at(m_.i64, inst, layout::kMemorySize, "memory_size");
  // index + offset + size <= limit, without overflow.
  const uint64_t past = offset + size;
  if (past < offset) {
    trap_if(b_.getTrue(), TrapCode::MemoryOutOfBounds);
  } else if (module_.memories[memory].type.limits.is64) {
    Value* room = b_.CreateSub(limit, const_i64(past));
    trap_if(b_.CreateOr(b_.CreateICmpULT(limit, const_i64(past)), b_.CreateICmpUGT(index, room)),
            TrapCode::MemoryOutOfBounds);
  } else {
    trap_if(b_.CreateICmpUGT(b_.CreateAdd(index, const_i64(past)), limit),
            TrapCode::MemoryOutOfBounds);
  }
  Value* base = load_at(m_.ptr, inst, layout::kMemoryBase, "memory_base");
  return b_.CreateGEP(m_.i8, base, b_.CreateAdd(index, const_i64(offset)));
}

// Is it the guard pages that tell whether the access is within the memory?
bool FunctionTranslator::may_fault(const wasm::Instr& in, const Value* index, unsigned size) const {
  if (!guarded(in.index)) return false;
  const auto* c = llvm::dyn_cast<llvm::ConstantInt>(index);
  return !c ||
         c->getZExtValue() + in.offset + size > min_memory_bytes(module_.memories[in.index].type);
}

Value* FunctionTranslator::load(const wasm::Instr& in, Type* type, unsigned size) {
  if (m_.xip && xip_takes_branches(in, size)) return xip_load(in, type, size);
  Value* index = pop();
  Value* p = address(in.index, index, in.offset, size);
  llvm::LoadInst* l = b_.CreateAlignedLoad(type, p, llvm::Align(1));
  l->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kMemoryKind));
  if (m_.exact_traps && may_fault(in, index, size)) l->setVolatile(true);
  if (!m_.xip) memory_loads_.push_back(l);
  return l;
}

void FunctionTranslator::store(const wasm::Instr& in, Value* value, unsigned size) {
  if (m_.xip && xip_takes_branches(in, size)) return xip_store(in, value, size);
  Value* index = pop();
  Value* p = address(in.index, index, in.offset, size);
  // Elsewhere a store that reaches beyond the memory may have written what precedes the end.
  if (m_.exact_traps && !m_.x86 && size > 1 && may_fault(in, index, size))
    b_.CreateLoad(m_.i8, b_.CreateConstGEP1_64(m_.i8, p, size - 1), /*isVolatile=*/true)
        ->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kMemoryKind));
  llvm::StoreInst* s = b_.CreateAlignedStore(value, p, llvm::Align(1));
  s->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kMemoryKind));
  if (m_.exact_traps) s->setVolatile(true);
}

bool FunctionTranslator::memory_op(const wasm::Instr& in) {
  const auto plain = [&](Type* type, unsigned size) {
    push(load(in, type, size));
    return true;
  };
  const auto extending = [&](Type* narrow, unsigned size, Type* to, bool is_signed) {
    Value* v = load(in, narrow, size);
    push(is_signed ? b_.CreateSExt(v, to) : b_.CreateZExt(v, to));
    return true;
  };
  const auto storing = [&](Type* narrow, unsigned size) {
    Value* v = pop();
    if (narrow && v->getType() != narrow) v = b_.CreateTrunc(v, narrow);
    store(in, v, size);
    return true;
  };
  switch (in.op) {
    case Opcode::I32Load:
      return plain(m_.i32, 4);
    case Opcode::I64Load:
      return plain(m_.i64, 8);
    case Opcode::F32Load:
      return plain(m_.f32, 4);
    case Opcode::F64Load:
      return plain(m_.f64, 8);
    case Opcode::I32Load8S:
      return extending(m_.i8, 1, m_.i32, true);
    case Opcode::I32Load8U:
      return extending(m_.i8, 1, m_.i32, false);
    case Opcode::I32Load16S:
      return extending(m_.i16, 2, m_.i32, true);
    case Opcode::I32Load16U:
      return extending(m_.i16, 2, m_.i32, false);
    case Opcode::I64Load8S:
      return extending(m_.i8, 1, m_.i64, true);
    case Opcode::I64Load8U:
      return extending(m_.i8, 1, m_.i64, false);
    case Opcode::I64Load16S:
      return extending(m_.i16, 2, m_.i64, true);
    case Opcode::I64Load16U:
      return extending(m_.i16, 2, m_.i64, false);
    case Opcode::I64Load32S:
      return extending(m_.i32, 4, m_.i64, true);
    case Opcode::I64Load32U:
      return extending(m_.i32, 4, m_.i64, false);
    case Opcode::I32Store:
    case Opcode::F32Store:
      return storing(nullptr, 4);
    case Opcode::I64Store:
    case Opcode::F64Store:
      return storing(nullptr, 8);
    case Opcode::I32Store8:
    case Opcode::I64Store8:
      return storing(m_.i8, 1);
    case Opcode::I32Store16:
    case Opcode::I64Store16:
      return storing(m_.i16, 2);
    case Opcode::I64Store32:
      return storing(m_.i32, 4);
    case Opcode::MemorySize: {
      const wasm::MemoryType& type = module_.memories[in.index].type;
      Value* size = load_at(m_.i64, element(layout::kCtxMemories, in.index), layout::kMemorySize,
                            "memory_size");
      size = b_.CreateLShr(size, type.page_size_log2);
      push(type.limits.is64 ? size : b_.CreateTrunc(size, m_.i32));
      return true;
    }
    case Opcode::MemoryGrow: {
      Value* delta = memory_index(in.index, pop());
      Value* r = call_builtin(Builtin::memory_grow, {const_i32(in.index), delta});
      push(module_.memories[in.index].type.limits.is64 ? r : b_.CreateTrunc(r, m_.i32));
      return true;
    }
    case Opcode::MemoryFill: {
      Value* n = memory_index(in.index, pop());
      Value* value = pop();
      Value* to = memory_index(in.index, pop());
      call_builtin(Builtin::memory_fill, {const_i32(in.index), to, value, n});
      return true;
    }
    case Opcode::MemoryCopy: {
      // The count has the narrower of the two address types.
      Value* n = b_.CreateZExt(pop(), m_.i64);
      Value* from = memory_index(in.index2, pop());
      Value* to = memory_index(in.index, pop());
      call_builtin(Builtin::memory_copy, {const_i32(in.index), const_i32(in.index2), to, from, n});
      return true;
    }
    case Opcode::MemoryInit: {
      Value* n = b_.CreateZExt(pop(), m_.i64);
      Value* from = b_.CreateZExt(pop(), m_.i64);
      Value* to = memory_index(in.index2, pop());
      call_builtin(Builtin::memory_init, {const_i32(in.index2), const_i32(in.index), to, from, n});
      return true;
    }
    case Opcode::DataDrop:
      call_builtin(Builtin::data_drop, {const_i32(in.index)});
      return true;
    default:
      return false;
  }
}

// Address of an element after the check of its index.
Value* FunctionTranslator::table_slot(uint32_t table, Value* index) {
  if (!module_.tables[table].type.limits.is64) index = b_.CreateZExt(index, m_.i64);
  Value* inst = element(layout::kCtxTables, table);
  Value* size = load_at(m_.i64, inst, layout::kTableSize, "table");
  trap_if(b_.CreateICmpUGE(index, size), TrapCode::TableOutOfBounds);
  return b_.CreateGEP(m_.i64, load_at(m_.ptr, inst, layout::kTableElements, "table"), index);
}

bool FunctionTranslator::table_op(const wasm::Instr& in) {
  const auto is64 = [&](uint32_t t) { return module_.tables[t].type.limits.is64; };
  const auto widen = [&](uint32_t t, Value* v) { return is64(t) ? v : b_.CreateZExt(v, m_.i64); };
  switch (in.op) {
    case Opcode::TableGet:
      push(load_at(m_.i64, table_slot(in.index, pop()), 0, "elements"));
      return true;
    case Opcode::TableSet: {
      Value* v = pop();
      store_visibly(v, table_slot(in.index, pop()), 0, "elements");
      return true;
    }
    case Opcode::TableSize: {
      Value* size =
          load_at(m_.i64, element(layout::kCtxTables, in.index), layout::kTableSize, "table");
      push(is64(in.index) ? size : b_.CreateTrunc(size, m_.i32));
      return true;
    }
    case Opcode::TableGrow: {
      Value* delta = widen(in.index, pop());
      Value* init = pop();
      Value* r = call_builtin(Builtin::table_grow, {const_i32(in.index), init, delta});
      push(is64(in.index) ? r : b_.CreateTrunc(r, m_.i32));
      return true;
    }
    case Opcode::TableFill: {
      Value* n = widen(in.index, pop());
      Value* value = pop();
      Value* to = widen(in.index, pop());
      call_builtin(Builtin::table_fill, {const_i32(in.index), to, value, n});
      return true;
    }
    case Opcode::TableCopy: {
      Value* n = b_.CreateZExt(pop(), m_.i64);
      Value* from = widen(in.index2, pop());
      Value* to = widen(in.index, pop());
      call_builtin(Builtin::table_copy, {const_i32(in.index), const_i32(in.index2), to, from, n});
      return true;
    }
    case Opcode::TableInit: {
      Value* n = b_.CreateZExt(pop(), m_.i64);
      Value* from = b_.CreateZExt(pop(), m_.i64);
      Value* to = widen(in.index2, pop());
      call_builtin(Builtin::table_init, {const_i32(in.index2), const_i32(in.index), to, from, n});
      return true;
    }
    case Opcode::ElemDrop:
      call_builtin(Builtin::elem_drop, {const_i32(in.index)});
      return true;
    default:
      return false;
  }
}

}  // namespace wafer::compiler
