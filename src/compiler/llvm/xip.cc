// Code that runs in place on a small system (interp/xip_format.h): what it has of the run-time
// structure, and instructions that processors of 32 bits do not have.
#include "compiler/llvm/xip.h"

#include <llvm/Analysis/LoopInfo.h>
#include <llvm/IR/Dominators.h>

#include "compiler/llvm/exact_traps.h"
#include "compiler/llvm/translate.h"
#include "interp/numeric.h"
#include "runtime/store.h"

namespace wafer::compiler {

using interp::XipCall;
using interp::XipField;
using llvm::BasicBlock;
using llvm::Type;
using llvm::Value;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;
namespace xip_layout = interp::xip_layout;

namespace {

constexpr uint32_t kWord = 4, kSlot = 8;
// What memories of other modules, which may end where those say, are taken to have if they are
// declared to: offsets below are compared in a way that costs less.
constexpr uint64_t kImportedMinMemory = 1024;
constexpr uint64_t kMostMinMemory = uint64_t{1} << 31;

// An instruction that is a call of the runtime.
struct OperationInfo {
  Opcode op;
  XipCall call;
  bool traps;
  bool wide;  // the result has 64 bits
  bool is_float;
  bool single;  // only where there are no instructions for f32
};
template <Opcode Op>
constexpr OperationInfo operation(XipCall call, bool single) {
  using S = interp::Sem<Op>;
  using Out = typename S::Out;
  return {Op, call, S::kTraps, sizeof(Out) == 8, std::is_same_v<Out, float>, single};
}
constexpr OperationInfo kOperations[] = {
#define WAFER_XIP_OPERATION(opcode) operation<Opcode::opcode>(XipCall::opcode, false),
#define WAFER_XIP_SINGLE(opcode) operation<Opcode::opcode>(XipCall::opcode, true),
#include "interp/xip_functions.def"
};

}  // namespace

uint32_t xip_min_memory(const wasm::Module& module) {
  if (module.memories.empty()) return 0;
  const uint64_t declared = min_memory_bytes(module.memories[0].type);
  if (module.imported_memories > 0) return uint32_t(std::min(declared, kImportedMinMemory));
  return uint32_t(std::min({declared, runtime::trimmed_bytes(module, 0), kMostMinMemory}));
}

void ModuleTranslator::set_xip_target(interp::XipTarget target) {
  xip_single = target.features & interp::kXipSingle;
  xip_aligned = target.machine == interp::kXipRiscv && !(target.features & interp::kXipUnaligned);
  if (!xip_single) f32 = i32;
}

// ---- the run-time structure

// A word that stays the same during a call.
Value* FunctionTranslator::xip_field(XipField field, Type* type) {
  return load_invariant(type, context_, uint64_t(field) * kWord);
}

// A word that calls may change.
Value* FunctionTranslator::xip_state(XipField field, Type* type, std::string_view kind) {
  return load_at(type, context_, uint64_t(field) * kWord, kind);
}

Value* FunctionTranslator::xip_element(XipField array, uint32_t index) {
  return load_invariant(m_.ptr, xip_field(array, m_.ptr), uint64_t(index) * kWord);
}

llvm::CallInst* FunctionTranslator::xip_call(XipCall callee, Type* result,
                                             std::span<Value* const> args) {
  std::vector<Type*> types;
  for (Value* a : args) types.push_back(a->getType());
  Value* code =
      load_invariant(m_.ptr, xip_field(XipField::functions, m_.ptr), uint64_t(callee) * kWord);
  llvm::CallInst* call = b_.CreateCall(llvm::FunctionType::get(result, types, false), code,
                                       llvm::ArrayRef<Value*>(args.data(), args.size()));
  call->setDoesNotThrow();
  return call;
}

llvm::CallInst* FunctionTranslator::xip_service(XipCall callee,
                                                std::initializer_list<Value*> args) {
  std::vector<Value*> all{context_};
  all.insert(all.end(), args);
  static constexpr char kResults[] = {
#define WAFER_XIP_SERVICE(name, result, params) #result[0],
#include "interp/xip_functions.def"
  };
  return xip_call(callee, kResults[size_t(callee)] == 'i' ? m_.i32 : m_.void_type, all);
}

// Traps have no place, so all of a kind in a function are one.
BasicBlock* FunctionTranslator::xip_trap_block(TrapCode code) {
  BasicBlock*& bb = xip_traps_[size_t(code)];
  if (!bb) {
    const llvm::IRBuilder<>::InsertPointGuard guard(b_);
    bb = block("trap");
    b_.SetInsertPoint(bb);
    llvm::CallInst* call = xip_service(XipCall::trap, {const_i32(uint32_t(code))});
    call->setDoesNotReturn();
    call->addFnAttr(llvm::Attribute::Cold);
    b_.CreateUnreachable();
  }
  return bb;
}

Value* FunctionTranslator::xip_global_address(uint32_t index, std::string& kind) {
  if (index < module_.imported_globals) {
    kind = "global";
    return at(xip_element(XipField::globals, index), xip_layout::kGlobalValue);
  }
  kind = "global" + std::to_string(index);
  return at(xip_field(XipField::own_globals, m_.ptr),
            uint64_t(index - module_.imported_globals) * xip_layout::kGlobalBytes +
                xip_layout::kGlobalValue);
}

// ---- functions

void FunctionTranslator::xip_load_parameters() {
  const auto& locals = v_.locals();
  const size_t params = module_.func_type(index_).params.size();
  for (size_t i = 0; i < locals.size(); ++i)
    b_.CreateStore(i < params ? static_cast<Value*>(fn_->getArg(unsigned(i + 1)))
                              : llvm::Constant::getNullValue(m_.type_of(locals[i])),
                   locals_[i]);
}

// The stack is looked at before the first call, outside of loops: where none is made it need not
// be, as the loader keeps a frame in reserve (max_frame).
void FunctionTranslator::xip_finish_entry() {
  b_.CreateBr(body_);
  llvm::DominatorTree tree(*fn_);
  tree.updateDFSNumbers();
  BasicBlock* at = nullptr;
  const auto outwards = [&] { at = tree.getNode(at)->getIDom()->getBlock(); };
  for (llvm::CallInst* call : xip_calls_) {
    BasicBlock* const bb = call->getParent();
    if (!tree.isReachableFromEntry(bb)) continue;
    if (!at) at = bb;
    while (!tree.dominates(at, bb)) outwards();
  }
  if (!at) return;
  const llvm::LoopInfo loops(tree);
  while (loops.getLoopFor(at)) outwards();
  const auto before = llvm::find_if(*at, [&](llvm::Instruction& i) {
    auto* const call = llvm::dyn_cast<llvm::CallInst>(&i);
    return i.isTerminator() || (call && xip_calls_.contains(call));
  });
  BasicBlock* const rest = at->splitBasicBlock(before, "looked");
  at->getTerminator()->eraseFromParent();
  b_.SetInsertPoint(at);
  Value* sp = stack_pointer(m_.i32);
  Value* limit = xip_field(XipField::stack_limit, m_.i32);
  b_.CreateCondBr(b_.CreateICmpULT(sp, limit), xip_trap_block(TrapCode::CallStackExhausted), rest,
                  llvm::MDBuilder(m_.context).createUnlikelyBranchWeights());
}

void FunctionTranslator::xip_return(std::span<Value* const> values) {
  if (values.size() == 1) {
    b_.CreateRet(values[0]);
    return;
  }
  Value* all = llvm::PoisonValue::get(fn_->getReturnType());
  for (size_t i = 0; i < values.size(); ++i)
    all = b_.CreateInsertValue(all, values[i], unsigned(i));
  b_.CreateRet(all);
}

std::vector<Value*> FunctionTranslator::take(size_t count) {
  std::vector<Value*> values(stack_.end() - ptrdiff_t(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return values;
}

// Leaves the results on the operand stack.
void FunctionTranslator::xip_call_native(const wasm::FuncType& type, Value* callee,
                                         std::span<Value* const> args) {
  std::vector<Value*> all{context_};
  all.insert(all.end(), args.begin(), args.end());
  llvm::CallInst* call =
      b_.CreateCall(llvm::FunctionCallee(m_.function_type(type, false), callee), all);
  call->setDoesNotThrow();
  xip_calls_.insert(call);
  if (type.results.size() == 1) {
    push(call);
    return;
  }
  for (unsigned i = 0; i < type.results.size(); ++i) push(b_.CreateExtractValue(call, i));
}

// `call` makes the service's call, which takes the slots.
void FunctionTranslator::xip_call_by_slots(const wasm::FuncType& type, std::span<Value* const> args,
                                           llvm::function_ref<llvm::CallInst*(Value* slots)> call) {
  xip_slot_count_ = std::max(
      {xip_slot_count_, uint32_t(type.params.size()), uint32_t(type.results.size()), uint32_t{1}});
  if (!xip_slots_) {
    const llvm::IRBuilder<>::InsertPointGuard guard(b_);
    b_.SetInsertPoint(entry_, entry_->getFirstInsertionPt());
    xip_slots_ = b_.CreateAlloca(m_.i64, const_i32(0), "slots");
  }
  xip_slots_->setOperand(0, const_i32(xip_slot_count_));
  for (size_t i = 0; i < args.size(); ++i) {
    Value* v = args[i];
    if (v->getType() == m_.f32) v = b_.CreateBitCast(v, m_.i32);
    store_at(b_.CreateZExt(v, m_.i64), xip_slots_, i * kSlot, "spill");
  }
  xip_calls_.insert(call(xip_slots_));
  for (size_t i = 0; i < type.results.size(); ++i)
    push(load_at(m_.type_of(type.results[i]), xip_slots_, i * kSlot, "spill"));
}

void FunctionTranslator::xip_call_direct(uint32_t func) {
  const wasm::FuncType& type = module_.func_type(func);
  const std::vector<Value*> args = take(type.params.size());
  if (module_.functions[func].imported)
    xip_call_by_slots(type, args, [&](Value* slots) {
      return xip_service(XipCall::call_function, {xip_element(XipField::funcs, func), slots});
    });
  else
    xip_call_native(type, m_.function(func), args);
}

// Functions of this instance are called as they are, all others by the runtime, which traps as
// well.
void FunctionTranslator::xip_call_indirect(const wasm::Instr& in) {
  const wasm::FuncType& type = module_.types[in.index].func;
  Value* index = pop();
  const std::vector<Value*> args = take(type.params.size());
  const size_t height = stack_.size();
  BasicBlock* other = block("other");
  BasicBlock* next = block("called");
  const auto only_if = [&](Value* condition) {
    BasicBlock* good = block("ok");
    b_.CreateCondBr(condition, good, other,
                    llvm::MDBuilder(m_.context).createLikelyBranchWeights());
    b_.SetInsertPoint(good);
  };
  Value* code;
  if (const XipTable& known = m_.xip_table(in.index2); known.rows) {
    only_if(b_.CreateICmpULT(index, const_i32(known.count)));
    const auto word = [&](unsigned i) {
      return load_invariant(m_.i32,
                            b_.CreateGEP(known.rows->getValueType()->getArrayElementType(),
                                         known.rows, {index, const_i32(i)}),
                            0);
    };
    if (const uint32_t id = known.id_of(module_.canon[in.index]); id != known.only)
      only_if(b_.CreateICmpEQ(word(1), const_i32(id)));
    code = b_.CreateGEP(m_.i8, known.rows, word(0));
  } else {
    Value* table = xip_element(XipField::tables, in.index2);
    only_if(b_.CreateICmpULT(index, load_at(m_.i32, table, xip_layout::kTableSize, "table")));
    Value* elements = load_at(m_.ptr, table, xip_layout::kTableElements, "table");
    Value* func = load_at(m_.ptr, b_.CreateGEP(m_.i64, elements, index), 0, "elements");
    only_if(b_.CreateIsNotNull(func));
    // Equal types are one object, and there are no subtypes (xip_check()).
    only_if(b_.CreateICmpEQ(load_invariant(m_.ptr, func, xip_layout::kFuncType),
                            xip_element(XipField::types, in.index)));
    only_if(b_.CreateICmpEQ(load_invariant(m_.ptr, func, xip_layout::kFuncContext), context_));
    code = load_invariant(m_.ptr, func, xip_layout::kFuncNative);
  }
  xip_call_native(type, code, args);
  const std::vector<Value*> own_results = take(stack_.size() - height);
  BasicBlock* const own_end = b_.GetInsertBlock();
  b_.CreateBr(next);
  b_.SetInsertPoint(other);
  xip_call_by_slots(type, args, [&](Value* slots) {
    return xip_service(XipCall::call_element,
                       {const_i32(in.index2), index, const_i32(in.index), slots});
  });
  const std::vector<Value*> other_results = take(stack_.size() - height);
  BasicBlock* const other_end = b_.GetInsertBlock();
  b_.CreateBr(next);
  b_.SetInsertPoint(next);
  for (size_t i = 0; i < own_results.size(); ++i) {
    llvm::PHINode* phi = b_.CreatePHI(own_results[i]->getType(), 2);
    phi->addIncoming(own_results[i], own_end);
    phi->addIncoming(other_results[i], other_end);
    push(phi);
  }
}

// Arguments as the C convention has them, from slots, and the results back.
llvm::Function* ModuleTranslator::xip_entry(uint32_t type_index) {
  const wasm::FuncType& type = module.types[type_index].func;
  const std::string name = "t" + std::to_string(module.canon[type_index]);
  if (llvm::Function* f = ir->getFunction(name)) return f;
  auto* f = llvm::Function::Create(llvm::FunctionType::get(void_type, {ptr, ptr, ptr}, false),
                                   llvm::GlobalValue::ExternalLinkage, name, *ir);
  f->setDoesNotThrow();
  f->addFnAttr("disable-tail-calls", "true");
  llvm::IRBuilder<> b(BasicBlock::Create(context, "entry", f));
  Value* slots = f->getArg(2);
  const auto slot = [&](size_t i) { return b.CreateConstInBoundsGEP1_64(i64, slots, i); };
  std::vector<Value*> args{f->getArg(0)};
  for (size_t i = 0; i < type.params.size(); ++i)
    args.push_back(b.CreateAlignedLoad(type_of(type.params[i]), slot(i), llvm::Align(8)));
  llvm::CallInst* call =
      b.CreateCall(llvm::FunctionCallee(function_type(type, false), f->getArg(1)), args);
  for (size_t i = 0; i < type.results.size(); ++i) {
    Value* v = type.results.size() == 1 ? static_cast<Value*>(call)
                                        : b.CreateExtractValue(call, unsigned(i));
    if (v->getType() == f32) v = b.CreateBitCast(v, i32);
    b.CreateAlignedStore(b.CreateZExt(v, i64), slot(i), llvm::Align(8));
  }
  b.CreateRetVoid();
  return f;
}

// ---- memory

Value* FunctionTranslator::xip_address(Value* index, uint64_t offset, unsigned size) {
  const wasm::MemoryType& type = module_.memories[0].type;
  const bool fixed = is_fixed(type.limits);
  const uint64_t past = offset + size;
  if (past > 0xFFFFFFFF) {
    trap_if(b_.getTrue(), TrapCode::MemoryOutOfBounds);
    return llvm::PoisonValue::get(m_.ptr);
  }
  // index + offset + size <= limit, without overflow: what is subtracted stays out of loops.
  Value* limit = fixed ? xip_field(XipField::memory_size, m_.i32)
                       : xip_state(XipField::memory_size, m_.i32, "memory_size");
  const uint32_t least = xip_min_memory(module_);
  if (least > 0)
    llvm::cast<llvm::LoadInst>(limit)->setMetadata(
        llvm::LLVMContext::MD_range,
        llvm::MDBuilder(m_.context).createRange(llvm::APInt(32, least), llvm::APInt(32, 0)));
  Value* taken = const_i32(uint32_t(past));
  if (past <= least) {
    trap_if(b_.CreateICmpUGT(index, b_.CreateSub(limit, taken, "", /*HasNUW=*/true)),
            TrapCode::MemoryOutOfBounds);
  } else {
    Value* room =
        b_.CreateBinaryIntrinsic(llvm::Intrinsic::usub_sat, limit, const_i32(uint32_t(past - 1)));
    trap_if(b_.CreateICmpUGE(index, room), TrapCode::MemoryOutOfBounds);
  }
  Value* base = fixed ? xip_field(XipField::memory_base, m_.ptr)
                      : xip_state(XipField::memory_base, m_.ptr, "memory_base");
  Value* p = b_.CreateGEP(m_.i8, base, index);
  return offset ? b_.CreateGEP(m_.i8, p, const_i32(uint32_t(offset))) : p;
}

// Where the processor takes aligned addresses only, accesses that the module says are aligned are
// tried as such, and go byte by byte if they are not. Others are always as LLVM makes them.
bool FunctionTranslator::xip_takes_branches(const wasm::Instr& in, unsigned size) const {
  return m_.xip_aligned && size > 1 && (1u << std::min(in.align, 2u)) >= std::min(size, 4u);
}

// Goes on where the access is aligned. Returns the block for when it is not.
BasicBlock* FunctionTranslator::xip_branch_aligned(const wasm::Instr& in, Value* index,
                                                   unsigned align) {
  BasicBlock* aligned = block("aligned");
  BasicBlock* bytes = block("bytes");
  Value* low = b_.CreateAnd(b_.CreateAdd(index, const_i32(uint32_t(in.offset) % align)),
                            const_i32(align - 1));
  b_.CreateCondBr(b_.CreateICmpEQ(low, const_i32(0)), aligned, bytes,
                  llvm::MDBuilder(m_.context).createLikelyBranchWeights());
  b_.SetInsertPoint(aligned);
  return bytes;
}

Value* FunctionTranslator::xip_load(const wasm::Instr& in, Type* type, unsigned size) {
  Value* index = pop();
  Value* p = xip_address(index, in.offset, size);
  const unsigned align = std::min(size, kWord);
  BasicBlock* slow = xip_branch_aligned(in, index, align);
  BasicBlock* const fast = b_.GetInsertBlock();
  BasicBlock* next = block("loaded");
  const auto load = [&](Type* t, Value* from, unsigned alignment) {
    llvm::LoadInst* l = b_.CreateAlignedLoad(t, from, llvm::Align(alignment));
    l->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kMemoryKind));
    return l;
  };
  Value* whole = load(type, p, align);
  b_.CreateBr(next);
  b_.SetInsertPoint(slow);
  Type* bits = b_.getIntNTy(size * 8);
  Value* sum = llvm::ConstantInt::get(bits, 0);
  for (unsigned i = 0; i < size; ++i) {
    Value* byte = b_.CreateZExt(load(m_.i8, b_.CreateConstGEP1_32(m_.i8, p, i), 1), bits);
    sum = b_.CreateOr(sum, b_.CreateShl(byte, uint64_t{i} * 8));
  }
  Value* made = b_.CreateBitCast(sum, type);
  b_.CreateBr(next);
  b_.SetInsertPoint(next);
  llvm::PHINode* phi = b_.CreatePHI(type, 2);
  phi->addIncoming(whole, fast);
  phi->addIncoming(made, slow);
  return phi;
}

void FunctionTranslator::xip_store(const wasm::Instr& in, Value* value, unsigned size) {
  Value* index = pop();
  Value* p = xip_address(index, in.offset, size);
  const unsigned align = std::min(size, kWord);
  BasicBlock* slow = xip_branch_aligned(in, index, align);
  BasicBlock* next = block("stored");
  const auto store = [&](Value* v, Value* to, unsigned alignment) {
    b_.CreateAlignedStore(v, to, llvm::Align(alignment))
        ->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kMemoryKind));
  };
  store(value, p, align);
  b_.CreateBr(next);
  b_.SetInsertPoint(slow);
  Value* bits = b_.CreateBitCast(value, b_.getIntNTy(size * 8));
  for (unsigned i = 0; i < size; ++i)
    store(b_.CreateTrunc(b_.CreateLShr(bits, uint64_t{i} * 8), m_.i8),
          b_.CreateConstGEP1_32(m_.i8, p, i), 1);
  b_.CreateBr(next);
  b_.SetInsertPoint(next);
}

// ---- switches

// Ranges of values that go to one place, between which a search by comparisons chooses.
static size_t ranges_of(const llvm::SwitchInst& s) {
  std::vector<std::pair<llvm::APInt, const BasicBlock*>> cases;
  for (const auto& c : s.cases())
    cases.emplace_back(c.getCaseValue()->getValue(), c.getCaseSuccessor());
  std::sort(cases.begin(), cases.end(),
            [](const auto& a, const auto& b) { return a.first.slt(b.first); });
  size_t ranges = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const bool next = i > 0 && cases[i].first == cases[i - 1].first + 1;
    if (!next || cases[i].second != cases[i - 1].second) ++ranges;
  }
  return ranges;
}

void xip_choose_tables(llvm::Module& ir) {
  // A search takes two instructions for each doubling, a table some nine.
  constexpr size_t kMostRanges = 16;
  for (llvm::Function& f : ir) {
    size_t most = 0;
    for (const BasicBlock& bb : f)
      if (const auto* s = llvm::dyn_cast<llvm::SwitchInst>(bb.getTerminator()))
        most = std::max(most, ranges_of(*s));
    if (most > 0 && most <= kMostRanges) f.addFnAttr("no-jump-tables", "true");
  }
}

// ---- instructions

bool FunctionTranslator::xip_operation(const wasm::Instr& in) {
  for (const OperationInfo& info : kOperations) {
    if (info.op != in.op || (info.single && m_.xip_single)) continue;
    // Binary ones are those whose type says so.
    const std::string_view sig = wasm::opcode_info(in.op).sig;
    std::vector<Value*> args = take(sig.find(':'));
    for (Value*& a : args)
      if (a->getType() == m_.f32) a = b_.CreateBitCast(a, m_.i32);
    if (info.traps) args.insert(args.begin(), context_);
    llvm::CallInst* call = xip_call(info.call, info.wide ? m_.i64 : m_.i32, args);
    if (!info.traps) {
      call->setDoesNotAccessMemory();
      call->addFnAttr(llvm::Attribute::WillReturn);
    }
    push(info.is_float ? b_.CreateBitCast(call, m_.f32) : call);
    return true;
  }
  // Floats that are integers here.
  const auto sign_of = [](const Value* v) {
    return llvm::ConstantInt::get(v->getType(),
                                  llvm::APInt::getSignMask(v->getType()->getIntegerBitWidth()));
  };
  switch (in.op) {
    case Opcode::F32Const:
    case Opcode::F32Abs:
    case Opcode::F32Neg:
    case Opcode::F32Copysign:
      if (m_.xip_single) return false;
      break;
    default:
      break;
  }
  switch (in.op) {
    case Opcode::F32Const:
      push(const_i32(in.f32_bits));
      return true;
    case Opcode::F64Const:
      push(const_i64(in.f64_bits));
      return true;
    case Opcode::F32Abs:
    case Opcode::F64Abs: {
      Value* v = pop();
      push(b_.CreateAnd(v, b_.CreateNot(sign_of(v))));
      return true;
    }
    case Opcode::F32Neg:
    case Opcode::F64Neg: {
      Value* v = pop();
      push(b_.CreateXor(v, sign_of(v)));
      return true;
    }
    case Opcode::F32Copysign:
    case Opcode::F64Copysign: {
      Value* of = pop();
      Value* v = pop();
      push(b_.CreateOr(b_.CreateAnd(v, b_.CreateNot(sign_of(v))), b_.CreateAnd(of, sign_of(of))));
      return true;
    }
    default:
      return false;
  }
}

bool FunctionTranslator::xip_instruction(const wasm::Instr& in) {
  switch (in.op) {
    case Opcode::Call:
      xip_call_direct(in.index);
      return true;
    case Opcode::CallIndirect:
      xip_call_indirect(in);
      return true;
    case Opcode::MemorySize: {
      const wasm::MemoryType& type = module_.memories[0].type;
      push(is_fixed(type.limits) ? const_i32(uint32_t(type.limits.min))
                                 : xip_service(XipCall::memory_pages, {}));
      return true;
    }
    case Opcode::MemoryGrow:
      push(xip_service(XipCall::memory_grow, {pop()}));
      return true;
    case Opcode::MemoryFill:
    case Opcode::MemoryCopy: {
      const auto args = take(3);
      xip_service(in.op == Opcode::MemoryFill ? XipCall::memory_fill : XipCall::memory_copy,
                  {args[0], args[1], args[2]});
      return true;
    }
    case Opcode::MemoryInit: {
      const auto args = take(3);
      xip_service(XipCall::memory_init, {const_i32(in.index), args[0], args[1], args[2]});
      return true;
    }
    case Opcode::DataDrop:
      xip_service(XipCall::data_drop, {const_i32(in.index)});
      return true;
    case Opcode::TableCopy: {
      const auto args = take(3);
      xip_service(XipCall::table_copy,
                  {const_i32(in.index), const_i32(in.index2), args[0], args[1], args[2]});
      return true;
    }
    case Opcode::TableInit: {
      const auto args = take(3);
      xip_service(XipCall::table_init,
                  {const_i32(in.index2), const_i32(in.index), args[0], args[1], args[2]});
      return true;
    }
    case Opcode::ElemDrop:
      xip_service(XipCall::elem_drop, {const_i32(in.index)});
      return true;
    default:
      return xip_operation(in);
  }
}

namespace {

constexpr std::string_view kOthers = "values but numbers";

bool is_number(ValType t) {
  return t.kind() == TypeKind::I32 || t.kind() == TypeKind::I64 || t.kind() == TypeKind::F32 ||
         t.kind() == TypeKind::F64;
}
bool are_numbers(const auto& types) { return std::all_of(types.begin(), types.end(), is_number); }
bool are_numbers(const wasm::FuncType& type) {
  return are_numbers(type.params) && are_numbers(type.results);
}

Error refused(const wasm::Module& module, uint32_t func, std::string_view what, uint32_t offset) {
  std::string message = "code that runs in place has no ";
  message += what;
  message += " (function " + std::to_string(func);
  if (const std::string_view name = module.function_name(func); !name.empty()) {
    message += ' ';
    message += name;
  }
  message += ')';
  return Error(ErrorKind::Unsupported, message, offset);
}

}  // namespace

Result<void> FunctionTranslator::xip_check(const wasm::Instr& in) const {
  const wasm::OpcodeInfo& info = wasm::opcode_info(in.op);
  if (info.feature != wasm::Feature::Core)
    return refused(module_, index_, info.text, in.offset_in_module);
  if (in.op == Opcode::CallIndirect) {
    if (!module_.types[in.index].is_final)
      return refused(module_, index_, "call_indirect of types with subtypes", in.offset_in_module);
    if (!are_numbers(module_.types[in.index].func))
      return refused(module_, index_, kOthers, in.offset_in_module);
  }
  return {};
}

Result<void> FunctionTranslator::xip_check_locals() const {
  if (are_numbers(v_.locals())) return {};
  return refused(module_, index_, kOthers, module_.functions[index_].body.begin);
}

Result<void> xip_check_module(const wasm::Module& module) {
  const auto has = [&](std::string_view what) {
    return Error(ErrorKind::Unsupported,
                 "code that runs in place has no " + std::string(what) + ", as the module needs");
  };
  if (module.memories.size() > 1) return has("several memories");
  for (const wasm::Memory& m : module.memories) {
    if (m.type.limits.is64) return has("memories of 64 bits");
    if (m.type.limits.shared) return has("shared memories");
  }
  for (const wasm::Table& t : module.tables)
    if (t.type.limits.is64) return has("tables of 64 bits");
  for (const wasm::Global& g : module.globals)
    if (!is_number(g.type.type)) return has("globals but numbers");
  for (uint32_t f = 0; f < module.functions.size(); ++f)
    if (!are_numbers(module.func_type(f)))
      return refused(module, f, kOthers, module.functions[f].body.begin);
  return {};
}

}  // namespace wafer::compiler
