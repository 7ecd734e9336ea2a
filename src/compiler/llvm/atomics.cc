// Atomic instructions (threads), all sequentially consistent.
#include <llvm/ADT/StringSwitch.h>

#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::StringRef;
using llvm::Type;
using llvm::Value;
using wasm::Opcode;

// Index plus offset for a builtin that checks it; out of bounds if that overflows.
Value* FunctionTranslator::wide_address(const wasm::Instr& in, Value* index) {
  index = memory_index(in.index, index);
  Value* sum = b_.CreateAdd(index, const_i64(in.offset));
  if (module_.memories[in.index].type.limits.is64)
    trap_if(b_.CreateICmpULT(sum, index), TrapCode::MemoryOutOfBounds);
  return sum;
}

bool FunctionTranslator::atomic(const wasm::Instr& in) {
  const wasm::OpcodeInfo& info = wasm::opcode_info(in.op);
  if (info.prefix != 0xFE) return false;
  constexpr auto kOrder = llvm::AtomicOrdering::SequentiallyConsistent;
  switch (in.op) {
    case Opcode::AtomicFence:
      b_.CreateFence(kOrder);
      return true;
    case Opcode::MemoryAtomicNotify: {
      Value* count = pop();
      Value* at = wide_address(in, pop());
      push(call_builtin(Builtin::atomic_notify, {const_i32(in.index), at, count}));
      return true;
    }
    case Opcode::MemoryAtomicWait32:
    case Opcode::MemoryAtomicWait64: {
      Value* timeout = pop();
      Value* expected = pop();
      Value* at = wide_address(in, pop());
      push(call_builtin(
          in.op == Opcode::MemoryAtomicWait32 ? Builtin::atomic_wait32 : Builtin::atomic_wait64,
          {const_i32(in.index), at, expected, timeout}));
      return true;
    }
    default:
      break;
  }

  // "i32.atomic.rmw8.add_u": the result's type, the access, the operation.
  const StringRef text(info.text.data(), info.text.size());
  Type* type = text.starts_with("i64") ? m_.i64 : m_.i32;
  const unsigned size = 1u << info.aux;
  Type* narrow = llvm::IntegerType::get(m_.context, size * 8);
  const auto place = [&](Value* index) {
    if (size > 1) {
      // Before the bounds: it does not depend on the memory's size.
      Value* low = b_.CreateAdd(memory_index(in.index, index), const_i64(in.offset));
      trap_if(b_.CreateICmpNE(b_.CreateAnd(low, const_i64(size - 1)), const_i64(0)),
              TrapCode::UnalignedAtomic);
    }
    return address(in.index, index, in.offset, size);
  };
  const auto widen = [&](Value* v) { return b_.CreateZExt(v, type); };
  if (text.contains(".load")) {
    llvm::LoadInst* l = b_.CreateAlignedLoad(narrow, place(pop()), llvm::Align(size));
    l->setAtomic(kOrder);
    l->setVolatile(true);
    push(widen(l));
    return true;
  }
  if (text.contains(".store")) {
    Value* v = b_.CreateTrunc(pop(), narrow);
    llvm::StoreInst* s = b_.CreateAlignedStore(v, place(pop()), llvm::Align(size));
    s->setAtomic(kOrder);
    return true;
  }
  if (text.contains("cmpxchg")) {
    Value* replacement = pop();
    Value* expected = pop();
    Value* p = place(pop());
    // Both are wrapped to the width of the access.
    llvm::AtomicCmpXchgInst* x = b_.CreateAtomicCmpXchg(p, b_.CreateTrunc(expected, narrow),
                                                        b_.CreateTrunc(replacement, narrow),
                                                        llvm::Align(size), kOrder, kOrder);
    x->setVolatile(true);
    push(widen(b_.CreateExtractValue(x, 0)));
    return true;
  }
  using Op = llvm::AtomicRMWInst::BinOp;
  const StringRef op = text.rsplit('.').second;
  const Op bin = llvm::StringSwitch<Op>(op)
                     .StartsWith("add", Op::Add)
                     .StartsWith("sub", Op::Sub)
                     .StartsWith("and", Op::And)
                     .StartsWith("or", Op::Or)
                     .StartsWith("xor", Op::Xor)
                     .StartsWith("xchg", Op::Xchg)
                     .Default(Op::BAD_BINOP);
  if (bin == Op::BAD_BINOP) return false;
  Value* v = b_.CreateTrunc(pop(), narrow);
  llvm::AtomicRMWInst* x = b_.CreateAtomicRMW(bin, place(pop()), v, llvm::Align(size), kOrder);
  x->setVolatile(true);
  push(widen(x));
  return true;
}

}  // namespace wafer::compiler
