// Structure of functions: entry, control, calls, traps.
#include "compiler/llvm/translate.h"

#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/TargetParser/Triple.h>
#include <llvm/Transforms/Utils/Local.h>

#include <algorithm>

#include "compiler/llvm/exact_traps.h"

namespace wafer::compiler {

using llvm::BasicBlock;
using llvm::PHINode;
using llvm::Type;
using llvm::Value;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;

// ---- module -----------------------------------------------------------------------

ModuleTranslator::ModuleTranslator(llvm::LLVMContext& c, const wasm::Module& m,
                                   const CompileOptions& o, const std::string& triple,
                                   const FunctionFacts& f)
    : module(m),
      options(o),
      facts(f),
      context(c),
      ir(std::make_unique<llvm::Module>("wafer", c)),
      debug(*ir) {
  i1 = Type::getInt1Ty(c);
  i8 = Type::getInt8Ty(c);
  i16 = Type::getInt16Ty(c);
  i32 = Type::getInt32Ty(c);
  i64 = Type::getInt64Ty(c);
  f32 = Type::getFloatTy(c);
  f64 = Type::getDoubleTy(c);
  ptr = llvm::PointerType::getUnqual(c);
  v128 = llvm::FixedVectorType::get(i64, 2);
  f32x4 = llvm::FixedVectorType::get(f32, 4);
  void_type = Type::getVoidTy(c);
  x86 = llvm::Triple(triple).isX86();
  xip = o.in_place;
  if (xip) f64 = i64;  // see xip_functions.def
  for (uint32_t i = 0; i < m.memories.size(); ++i)
    exact_traps |= !o.code.relaxed_traps && guarded(i);
  // Locations in debug information are offsets in the module, as line numbers.
  debug_file = debug.createFile("module.wasm", ".");
  debug.createCompileUnit(llvm::DISourceLanguageName(llvm::dwarf::DW_LANG_C), debug_file, "wafer",
                          true, "", 0, "", llvm::DICompileUnit::LineTablesOnly);
  ir->addModuleFlag(llvm::Module::Warning, "Debug Info Version", llvm::DEBUG_METADATA_VERSION);
  if (!xip) ir->setPICLevel(llvm::PICLevel::BigPIC);
  llvm::MDBuilder md(c);
  tbaa_root_ = md.createTBAARoot("wafer");
}

void ModuleTranslator::finish() { debug.finalize(); }

Type* ModuleTranslator::type_of(ValType type) const {
  switch (type.kind()) {
    case TypeKind::I32:
      return i32;
    case TypeKind::F32:
      return f32;
    case TypeKind::F64:
      return f64;
    case TypeKind::V128:
      return v128;
    default:
      return i64;
  }
}

llvm::FunctionType* ModuleTranslator::function_type(const wasm::FuncType& type, bool full) {
  std::vector<Type*> params{ptr};
  if (xip) {
    for (const ValType t : type.params) params.push_back(type_of(t));
    std::vector<Type*> results;
    for (const ValType t : type.results) results.push_back(type_of(t));
    return llvm::FunctionType::get(results.empty()       ? void_type
                                   : results.size() == 1 ? results[0]
                                                         : llvm::StructType::get(context, results),
                                   params, false);
  }
  if (full) {
    params.insert(params.end(), kGprArgs, i64);
    params.insert(params.end(), kFprArgs, f32x4);
  } else {
    ArgAssigner assign;
    for (const ValType t : type.params)
      if (assign.next(t).kind != ArgLocation::Kind::Spill) params.push_back(type_of(t));
  }
  Type* result = type.results.empty() ? void_type : type_of(type.results[0]);
  return llvm::FunctionType::get(result, params, false);
}

llvm::Function* ModuleTranslator::function(uint32_t func) {
  const std::string name = symbol(func);
  if (llvm::Function* f = ir->getFunction(name)) return f;
  auto* f = llvm::Function::Create(function_type(module.func_type(func), is_full(func)),
                                   llvm::GlobalValue::ExternalLinkage, name, *ir);
  f->setDSOLocal(true);
  f->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return f;
}

llvm::FunctionCallee ModuleTranslator::builtin(Builtin builtin) {
  llvm::Function*& f = builtins_[size_t(builtin)];
  if (!f) {
    const BuiltinInfo& info = builtin_info(builtin);
    const auto type = [this](char c) -> Type* {
      return c == 'i' ? i32 : c == 'I' ? i64 : c == 'p' ? ptr : void_type;
    };
    std::vector<Type*> params{ptr};
    for (const char c : info.params) params.push_back(type(c));
    f = llvm::Function::Create(llvm::FunctionType::get(type(info.result), params, false),
                               llvm::GlobalValue::ExternalLinkage,
                               "wafer_" + std::string(info.name), *ir);
    f->addFnAttr(llvm::Attribute::NonLazyBind);
    if (!info.throws) f->setDoesNotThrow();
    if (builtin == Builtin::trap || builtin == Builtin::trap_uninitialized ||
        builtin == Builtin::throw_exception)
      f->addFnAttr(llvm::Attribute::Cold);
  }
  return f;
}

llvm::MDNode* ModuleTranslator::tbaa(std::string_view kind) {
  llvm::MDNode*& node = tbaa_[llvm::StringRef(kind.data(), kind.size())];
  if (!node) {
    llvm::MDBuilder md(context);
    llvm::MDNode* type =
        md.createTBAAScalarTypeNode(llvm::StringRef(kind.data(), kind.size()), tbaa_root_);
    node = md.createTBAAStructTagNode(type, type, 0);
  }
  return node;
}

llvm::Function* ModuleTranslator::loop_function(const LoopEntry& entry) {
  const wasm::FuncType& type = module.func_type(entry.func);
  Type* result = type.results.empty() ? void_type : type_of(type.results[0]);
  return llvm::Function::Create(llvm::FunctionType::get(result, {ptr, ptr}, false),
                                llvm::GlobalValue::ExternalLinkage, symbol(entry), *ir);
}

Result<void> ModuleTranslator::translate(uint32_t func) {
  return FunctionTranslator(*this, func, function(func)).run();
}

Result<void> ModuleTranslator::translate(const LoopEntry& entry) {
  return FunctionTranslator(*this, entry.func, loop_function(entry)).run_from(entry.loop);
}

// ---- function -----------------------------------------------------------------------

FunctionTranslator::FunctionTranslator(ModuleTranslator& m, uint32_t func, llvm::Function* fn)
    : m_(m), module_(m.module), index_(func), fn_(fn), b_(m.context), v_(m.module) {}

BasicBlock* FunctionTranslator::block(const char* name) {
  return BasicBlock::Create(m_.context, name, fn_);
}

Result<void> FunctionTranslator::run() {
  WAFER_TRY(v_.begin(index_));
  if (m_.xip) WAFER_TRY(xip_check_locals());
  begin();
  load_parameters();
  b_.SetInsertPoint(body_);
  open_body();
  WAFER_TRY(translate_body(0));
  finish();
  return {};
}

// Attributes, debug information and the entry block, with room for the locals.
void FunctionTranslator::begin() {
  if (m_.xip) {
    fn_->setDoesNotThrow();
  } else {
    // Unwind tables serve backtraces too, from any instruction.
    fn_->setUWTableKind(llvm::UWTableKind::Async);
    fn_->addFnAttr("probe-stack", "inline-asm");
  }
  // Recursion must use up the stack; return_call is the way to have it not do so.
  fn_->addFnAttr("disable-tail-calls", "true");

  entry_ = block("entry");
  body_ = block("body");
  context_ = fn_->getArg(0);
  fn_->addParamAttr(0, llvm::Attribute::NonNull);
  fn_->addParamAttr(0, llvm::Attribute::NoUndef);
  // Code that runs in place compares it with other contexts.
  if (!m_.xip) fn_->addParamAttr(0, llvm::Attribute::NoAlias);
  subprogram_ =
      m_.debug.createFunction(m_.debug_file, fn_->getName(), fn_->getName(), m_.debug_file, 0,
                              m_.debug.createSubroutineType(m_.debug.getOrCreateTypeArray({})), 0,
                              llvm::DINode::FlagZero, llvm::DISubprogram::SPFlagDefinition);
  fn_->setSubprogram(subprogram_);
  const uint32_t begin = module_.functions[index_].body.begin;
  b_.SetInsertPoint(entry_);
  b_.SetCurrentDebugLocation(llvm::DILocation::get(m_.context, begin, 0, subprogram_));
  for (const ValType t : v_.locals()) locals_.push_back(b_.CreateAlloca(m_.type_of(t)));
}

void FunctionTranslator::load_parameters() {
  if (m_.xip) return xip_load_parameters();
  const auto& locals = v_.locals();
  const size_t params = module_.func_type(index_).params.size();
  ArgAssigner assign;
  unsigned arg = 1;
  for (size_t i = 0; i < locals.size(); ++i) {
    Type* t = m_.type_of(locals[i]);
    if (i >= params) {
      b_.CreateStore(llvm::Constant::getNullValue(t), locals_[i]);
      continue;
    }
    const ArgLocation at = assign.next(locals[i]);
    Value* v;
    if (at.kind == ArgLocation::Kind::Spill)
      v = load_at(t, spill(at.index), 0, "spill");
    else if (!m_.is_full(index_))
      v = fn_->getArg(arg++);
    else if (at.kind == ArgLocation::Kind::Gpr)
      v = b_.CreateTrunc(fn_->getArg(1 + at.index), t);
    else
      v = from_fpr(fn_->getArg(1 + kGprArgs + at.index), t);
    b_.CreateStore(v, locals_[i]);
  }
}

// The outermost frame, and the function's start.
void FunctionTranslator::open_body() {
  Frame outer;
  outer.results = module_.func_type(index_).results;
  outer.end = block("return");
  frames_.push_back(std::move(outer));
  if (m_.options.code.fuel) count_fuel();
  if (m_.options.code.interruptible) poll();
}

namespace {

// Can trap, or call something that does.
bool needs_location(Opcode op) {
  if (op >= Opcode::LocalGet && op <= Opcode::LocalTee) return false;
  if (op < Opcode::I32Const || op > Opcode::I64Extend32S) return true;
  return (op >= Opcode::I32DivS && op <= Opcode::I32RemU) ||
         (op >= Opcode::I64DivS && op <= Opcode::I64RemU) ||
         (op >= Opcode::I32TruncF32S && op <= Opcode::I32TruncF64U) ||
         (op >= Opcode::I64TruncF32S && op <= Opcode::I64TruncF64U);
}

// Without optimization long blocks are cut, because instructions are selected, and registers
// allocated, block by block.
constexpr uint32_t kPlainBlock = 500;

}  // namespace

// Translates up to the end, and notes how things stand before the instruction at module
// offset `watch`.
Result<void> FunctionTranslator::translate_body(uint32_t watch) {
  wasm::Instr in;
  const bool plain = m_.facts.plain[index_];
  for (uint32_t n = 0; !v_.done(); ++n) {
    WAFER_TRY(v_.read(in));
    b_.SetCurrentDebugLocation(
        needs_location(in.op)
            ? llvm::DebugLoc(llvm::DILocation::get(m_.context, in.offset_in_module, 0, subprogram_))
            : llvm::DebugLoc());
    if (plain && n % kPlainBlock == kPlainBlock - 1 && !dead_) {
      BasicBlock* next = block("next");
      b_.CreateBr(next);
      b_.SetInsertPoint(next);
    }
    if (in.offset_in_module == watch) {
      at_loop_.operands.assign(stack_.begin(), stack_.end());
      at_loop_.frames = frames_;
    }
    WAFER_TRY(instruction(in));
    WAFER_TRY(v_.apply(in));
  }
  return {};
}

void FunctionTranslator::finish() {
  finish_entry();
  drop_unreachable();
}

namespace {

// Nobody asks for the value, or only conversions that nobody asks for.
bool unused(const llvm::Instruction* value) {
  return llvm::all_of(value->users(), [](const llvm::User* user) {
    const auto* cast = llvm::dyn_cast<llvm::CastInst>(user);
    return cast && unused(cast);
  });
}

}  // namespace

void FunctionTranslator::drop_unreachable() {
  // Code behind handlers that nothing reaches.
  for (BasicBlock& bb : *fn_)
    for (PHINode& phi : llvm::make_early_inc_range(bb.phis())) {
      if (phi.getNumIncomingValues() > 0) continue;
      phi.replaceAllUsesWith(llvm::PoisonValue::get(phi.getType()));
      phi.eraseFromParent();
    }
  // An access whose result nobody asks for had better trap all the same.
  for (llvm::LoadInst* l : memory_loads_)
    if (unused(l)) l->setVolatile(true);
  llvm::removeUnreachableBlocks(*fn_);
}

Value* FunctionTranslator::stack_pointer(Type* type) {
  auto* name =
      llvm::MDNode::get(m_.context, llvm::MDString::get(m_.context, m_.x86 ? "rsp" : "sp"));
  return b_.CreateIntrinsic(llvm::Intrinsic::read_register, {type},
                            {llvm::MetadataAsValue::get(m_.context, name)});
}

void FunctionTranslator::finish_entry() {
  b_.SetInsertPoint(entry_);
  b_.SetCurrentDebugLocation(
      llvm::DILocation::get(m_.context, module_.functions[index_].body.begin, 0, subprogram_));
  if (m_.xip) return xip_finish_entry();
  // A leaf with a modest frame fits in what every limit keeps in reserve.
  if (!calls_ && locals_.size() < 1000) {
    b_.CreateBr(body_);
    return;
  }
  Value* sp = stack_pointer(m_.i64);
  Value* limit = load_at(m_.i64, exec(), layout::kExecLimit, "limit");
  BasicBlock* full = block("overflow");
  b_.SetInsertPoint(entry_);
  b_.CreateCondBr(b_.CreateICmpULT(sp, limit), full, body_,
                  llvm::MDBuilder(m_.context).createUnlikelyBranchWeights());
  b_.SetInsertPoint(full);
  trap(TrapCode::CallStackExhausted);
}

// The stretch of code up to the next point of control is charged as a whole.
void FunctionTranslator::count_fuel() {
  Value* store = context_field(layout::kCtxStore);
  Value* left = load_at(m_.i64, store, layout::kStoreFuel, kFuelKind);
  // The amount is known when the stretch ends: patched in place.
  fuel_at_ = llvm::BinaryOperator::CreateSub(left, const_i64(0));
  b_.Insert(fuel_at_);
  fuel_ = 0;
  store_visibly(fuel_at_, store, layout::kStoreFuel, kFuelKind);
  wait_if(b_.CreateICmpSLT(fuel_at_, const_i64(0)), Builtin::out_of_fuel);
}

void FunctionTranslator::poll() {
  Value* store = context_field(layout::kCtxStore);
  llvm::LoadInst* flag = b_.CreateLoad(m_.i32, at(store, layout::kStoreInterrupt));
  flag->setAtomic(llvm::AtomicOrdering::Monotonic);
  flag->setAlignment(llvm::Align(4));
  wait_if(b_.CreateICmpNE(flag, const_i32(0)), Builtin::interrupted);
}

void FunctionTranslator::wait_if(Value* condition, Builtin builtin) {
  BasicBlock* wait = block("wait");
  BasicBlock* on = block("on");
  b_.CreateCondBr(condition, wait, on, llvm::MDBuilder(m_.context).createUnlikelyBranchWeights());
  b_.SetInsertPoint(wait);
  auto* call = llvm::cast<llvm::CallInst>(call_builtin(builtin, {}));
  call->addFnAttr(llvm::Attribute::Cold);
  call->addFnAttr(llvm::Attribute::NoMerge);
  b_.CreateBr(on);
  b_.SetInsertPoint(on);
}

// ---- traps

void FunctionTranslator::trap(TrapCode code) {
  if (m_.xip) {
    b_.CreateBr(xip_trap_block(code));
    return;
  }
  if (!m_.options.code.signals) {
    auto* call =
        llvm::cast<llvm::CallInst>(call_builtin(Builtin::trap, {const_i32(uint32_t(code))}));
    call->addFnAttr(llvm::Attribute::NoMerge);
    call->setDoesNotReturn();
    b_.CreateUnreachable();
    return;
  }
  char text[64];
  if (m_.x86)
    std::snprintf(text, sizeof text, ".byte 0x67,0x0f,0xb9,0x40,%u", unsigned(code));
  else
    std::snprintf(text, sizeof text, ".inst %u", unsigned(code));
  auto* type = llvm::FunctionType::get(m_.void_type, false);
  // It reads memory: what was stored before must be there for the embedder.
  llvm::CallInst* call =
      b_.CreateCall(type, llvm::InlineAsm::get(type, text, "~{memory}", /*hasSideEffects=*/true));
  call->addFnAttr(llvm::Attribute::Cold);
  call->addFnAttr(llvm::Attribute::NoMerge);
  call->setDoesNotThrow();
  b_.CreateUnreachable();
}

void FunctionTranslator::trap_if(Value* condition, TrapCode code) {
  if (auto* c = llvm::dyn_cast<llvm::ConstantInt>(condition); c && c->isZero()) return;
  BasicBlock* bad = m_.xip ? xip_trap_block(code) : block("trap");
  BasicBlock* good = block("ok");
  b_.CreateCondBr(condition, bad, good, llvm::MDBuilder(m_.context).createUnlikelyBranchWeights());
  if (!m_.xip) {
    b_.SetInsertPoint(bad);
    trap(code);
  }
  b_.SetInsertPoint(good);
}

void FunctionTranslator::unreachable() {
  dead_ = true;
  stack_.resize(frames_.back().height);
}

// ---- the run-time structure

Value* FunctionTranslator::load_invariant(Type* type, Value* base, uint64_t offset) {
  llvm::LoadInst* l = b_.CreateLoad(type, at(base, offset));
  l->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(m_.context, {}));
  return l;
}

Value* FunctionTranslator::context_field(uint32_t offset) {
  Value*& v = fields_[offset];
  if (!v) {
    const llvm::IRBuilder<>::InsertPointGuard guard(b_);
    // Before the terminator, if the entry has one, and after the context is there.
    b_.SetInsertPoint(entry_, entry_->getFirstInsertionPt());
    v = load_invariant(m_.ptr, context_, offset);
  }
  return v;
}

Value* FunctionTranslator::load_at(Type* type, Value* base, uint64_t offset,
                                   std::string_view kind) {
  llvm::LoadInst* l = b_.CreateAlignedLoad(type, at(base, offset), llvm::Align(4));
  l->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kind));
  return l;
}

llvm::StoreInst* FunctionTranslator::store_at(Value* value, Value* base, uint64_t offset,
                                              std::string_view kind) {
  llvm::StoreInst* s = b_.CreateAlignedStore(value, at(base, offset), llvm::Align(4));
  s->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa(kind));
  return s;
}

void FunctionTranslator::store_visibly(Value* value, Value* base, uint64_t offset,
                                       std::string_view kind) {
  llvm::StoreInst* s = store_at(value, base, offset, kind);
  // To LLVM, a load that faults is no obstacle to moving or dropping other stores.
  if (m_.exact_traps) s->setVolatile(true);
}

Value* FunctionTranslator::element(uint32_t offset, uint32_t index) {
  return load_invariant(m_.ptr, context_field(offset), uint64_t(index) * 8);
}

Value* FunctionTranslator::global_address(uint32_t index, std::string& kind) {
  if (m_.xip) return xip_global_address(index, kind);
  if (index < module_.imported_globals) {
    // Two imports may be the same global.
    kind = "global";
    return at(element(layout::kCtxGlobals, index), layout::kGlobalValue);
  }
  // An import of ours by another instance is not seen by this function's code.
  kind = "global" + std::to_string(index);
  return at(
      context_field(layout::kCtxOwnGlobals),
      uint64_t(index - module_.imported_globals) * layout::kGlobalBytes + layout::kGlobalValue);
}

Value* FunctionTranslator::intrinsic(llvm::Intrinsic::ID id, std::initializer_list<Value*> args) {
  return b_.CreateIntrinsic(id, {(*args.begin())->getType()}, args);
}

// ---- control

Result<void> FunctionTranslator::instruction(const wasm::Instr& in) {
  if (!dead_ && fuel_at_) fuel_at_->setOperand(1, const_i64(++fuel_));
  if (m_.xip) WAFER_TRY(xip_check(in));
  switch (in.op) {
    case Opcode::Block:
    case Opcode::Loop:
    case Opcode::If:
    case Opcode::Try:
    case Opcode::TryTable:
      push_frame(in);
      return {};
    case Opcode::Else:
      else_frame();
      return {};
    case Opcode::End:
      end_frame();
      return {};
    case Opcode::Catch:
    case Opcode::CatchAll:
      legacy_catch(in);
      return {};
    case Opcode::Delegate:
      delegate(in);
      return {};
    default:
      break;
  }
  if (dead_) return {};
  if (m_.xip && xip_instruction(in)) return {};
  if (control(in) || numeric(in) || memory_op(in) || table_op(in) || wide(in) || gc(in) ||
      exception(in) || simd(in) || atomic(in) || stack_switching(in))
    return {};
  return Error(ErrorKind::Unsupported, "instruction not known to the code generator",
               in.offset_in_module);
}

std::vector<PHINode*> FunctionTranslator::make_phis(BasicBlock* at,
                                                    std::span<const ValType> types) {
  std::vector<PHINode*> phis;
  for (const ValType t : types) phis.push_back(PHINode::Create(m_.type_of(t), 2, "", at));
  return phis;
}

void FunctionTranslator::push_frame(const wasm::Instr& in) {
  Frame f;
  f.op = in.op;
  f.dead = dead_;
  f.params = v_.block_params(in.block);
  f.results = v_.block_results(in.block);
  if (dead_) {
    f.height = uint32_t(stack_.size());
    frames_.push_back(std::move(f));
    return;
  }
  Value* condition = in.op == Opcode::If ? pop() : nullptr;
  f.height = uint32_t(stack_.size() - f.params.size());
  f.end = block("end");
  f.end_phis = make_phis(f.end, f.results);
  switch (in.op) {
    case Opcode::Loop: {
      f.header = block("loop");
      f.header_phis = make_phis(f.header, f.params);
      for (size_t i = 0; i < f.params.size(); ++i)
        f.header_phis[i]->addIncoming(stack_[f.height + i], b_.GetInsertBlock());
      b_.CreateBr(f.header);
      b_.SetInsertPoint(f.header);
      for (size_t i = 0; i < f.params.size(); ++i) stack_[f.height + i] = f.header_phis[i];
      frames_.push_back(std::move(f));
      if (m_.options.code.fuel) count_fuel();
      if (m_.options.code.interruptible) poll();
      return;
    }
    case Opcode::If: {
      BasicBlock* then = block("then");
      f.other = block("else");
      f.else_params.assign(stack_.begin() + f.height, stack_.end());
      b_.CreateCondBr(b_.CreateICmpNE(condition, const_i32(0)), then, f.other, weights(in));
      b_.SetInsertPoint(then);
      frames_.push_back(std::move(f));
      if (m_.options.code.fuel) count_fuel();
      return;
    }
    case Opcode::Try:
    case Opcode::TryTable:
      frames_.push_back(std::move(f));
      begin_try(in);
      return;
    default:
      frames_.push_back(std::move(f));
  }
}

void FunctionTranslator::else_frame() {
  Frame& f = frames_.back();
  if (f.dead) return;
  if (!dead_) branch_to(uint32_t(frames_.size() - 1), top(f.results.size()));
  f.op = Opcode::Else;
  stack_.resize(f.height);
  // Entered at a loop in the other half.
  dead_ = !f.other;
  if (dead_) return;
  for (Value* v : f.else_params) stack_.push_back(v);
  b_.SetInsertPoint(f.other);
  f.other = nullptr;
  if (m_.options.code.fuel) count_fuel();
}

void FunctionTranslator::end_frame() {
  const auto index = uint32_t(frames_.size() - 1);
  if (frames_.back().dead) {
    stack_.resize(frames_.back().height);
    frames_.pop_back();
    return;
  }
  if (index == 0) {
    // The function's own end.
    if (!dead_) emit_return(top(frames_[0].results.size()));
    Frame f = std::move(frames_.back());
    if (f.end->hasNPredecessorsOrMore(1)) {
      b_.SetInsertPoint(f.end);
      std::vector<Value*> values(f.end_phis.begin(), f.end_phis.end());
      emit_return(values);
    } else {
      f.end->eraseFromParent();
    }
    frames_.pop_back();
    stack_.clear();
    dead_ = true;
    return;
  }
  if (!dead_) branch_to(index, top(frames_[index].results.size()));
  if (frames_[index].other) {
    // An if without else passes its parameters through.
    b_.SetInsertPoint(frames_[index].other);
    branch_to(index, frames_[index].else_params);
  }
  if (frames_[index].is_try) fill_dispatch(index);
  Frame f = std::move(frames_.back());
  frames_.pop_back();
  stack_.resize(f.height);
  if (!f.end->hasNPredecessorsOrMore(1)) {
    for (PHINode* phi : f.end_phis) phi->eraseFromParent();
    f.end->eraseFromParent();
    dead_ = true;
    return;
  }
  dead_ = false;
  b_.SetInsertPoint(f.end);
  for (PHINode* phi : f.end_phis) stack_.push_back(phi);
  if (m_.options.code.fuel) count_fuel();
}

void FunctionTranslator::branch_to(uint32_t frame, std::span<Value* const> values) {
  Frame& f = frames_[frame];
  BasicBlock* from = b_.GetInsertBlock();
  if (frame == 0) {
    emit_return(values);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) f.end_phis[i]->addIncoming(values[i], from);
  b_.CreateBr(f.end);
}

void FunctionTranslator::jump(uint32_t label) {
  const uint32_t frame = frame_of(label);
  branch_to_label(frame, top(label_types(frames_[frame]).size()));
}

void FunctionTranslator::branch_to_label(uint32_t frame, std::span<Value* const> values) {
  Frame& f = frames_[frame];
  if (f.op != Opcode::Loop) {
    branch_to(frame, values);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i)
    f.header_phis[i]->addIncoming(values[i], b_.GetInsertBlock());
  b_.CreateBr(f.header);
}

// What the module says of the branch `in`, or null.
llvm::MDNode* FunctionTranslator::weights(const wasm::Instr& in) const {
  const Vec<wasm::BranchHint>* hints = module_.hints_of(index_);
  if (!hints) return nullptr;
  const uint32_t offset = in.offset_in_module - module_.functions[index_].body.begin;
  const auto hint = std::lower_bound(
      hints->begin(), hints->end(), offset,
      [](const wasm::BranchHint& h, uint32_t wanted) { return h.offset < wanted; });
  if (hint == hints->end() || hint->offset != offset) return nullptr;
  llvm::MDBuilder metadata(m_.context);
  return hint->likely ? metadata.createLikelyBranchWeights()
                      : metadata.createUnlikelyBranchWeights();
}

void FunctionTranslator::br_if(uint32_t label, Value* condition, llvm::MDNode* branch_weights) {
  const uint32_t frame = frame_of(label);
  BasicBlock* next = block("next");
  Frame& f = frames_[frame];
  if (frame == 0) {
    BasicBlock* out = block("br");
    b_.CreateCondBr(condition, out, next, branch_weights);
    b_.SetInsertPoint(out);
    jump(label);
  } else {
    const bool loop = f.op == Opcode::Loop;
    auto& phis = loop ? f.header_phis : f.end_phis;
    const auto values = top(phis.size());
    for (size_t i = 0; i < phis.size(); ++i) phis[i]->addIncoming(values[i], b_.GetInsertBlock());
    b_.CreateCondBr(condition, loop ? f.header : f.end, next, branch_weights);
  }
  b_.SetInsertPoint(next);
}

void FunctionTranslator::br_table(const wasm::Instr& in) {
  Value* index = pop();
  // One small block for each label that is used: phis have one entry a predecessor.
  llvm::DenseMap<uint32_t, BasicBlock*> targets;
  std::vector<std::pair<uint32_t, BasicBlock*>> order;
  const auto target = [&](uint32_t label) {
    BasicBlock*& t = targets[label];
    if (!t) {
      t = block("case");
      order.emplace_back(label, t);
    }
    return t;
  };
  const size_t n = in.labels.size() - 1;
  llvm::SwitchInst* sw = b_.CreateSwitch(index, target(in.labels[n]), unsigned(n));
  for (size_t i = 0; i < n; ++i)
    if (in.labels[i] != in.labels[n]) sw->addCase(b_.getInt32(uint32_t(i)), target(in.labels[i]));
  for (const auto& [label, t] : order) {
    b_.SetInsertPoint(t);
    jump(label);
  }
}

void FunctionTranslator::emit_return(std::span<Value* const> values) {
  if (values.empty()) {
    b_.CreateRetVoid();
    return;
  }
  if (m_.xip) return xip_return(values);
  ArgAssigner assign(true);
  for (size_t i = 0; i < values.size(); ++i) {
    const ArgLocation loc = assign.next(frames_[0].results[i]);
    if (loc.kind == ArgLocation::Kind::Spill) store_at(values[i], spill(loc.index), 0, "spill");
  }
  b_.CreateRet(values[0]);
}

bool FunctionTranslator::control(const wasm::Instr& in) {
  switch (in.op) {
    case Opcode::Nop:
      return true;
    case Opcode::Unreachable:
      trap(TrapCode::Unreachable);
      unreachable();
      return true;
    case Opcode::Br:
      jump(in.index);
      unreachable();
      return true;
    case Opcode::BrIf: {
      Value* c = pop();
      br_if(in.index, b_.CreateICmpNE(c, const_i32(0)), weights(in));
      return true;
    }
    case Opcode::BrTable:
      br_table(in);
      unreachable();
      return true;
    case Opcode::Return:
      emit_return(top(frames_[0].results.size()));
      unreachable();
      return true;
    case Opcode::Call:
      call(in.index, false);
      return true;
    case Opcode::CallIndirect:
      call_indirect(in, false);
      return true;
    case Opcode::CallRef:
      call_ref(in, false);
      return true;
    case Opcode::ReturnCall:
      call(in.index, true);
      unreachable();
      return true;
    case Opcode::ReturnCallIndirect:
      call_indirect(in, true);
      unreachable();
      return true;
    case Opcode::ReturnCallRef:
      call_ref(in, true);
      unreachable();
      return true;
    case Opcode::Drop:
      pop();
      return true;
    case Opcode::Select:
    case Opcode::SelectT: {
      Value* c = pop();
      Value* no = pop();
      Value* yes = pop();
      push(b_.CreateSelect(b_.CreateICmpNE(c, const_i32(0)), yes, no));
      return true;
    }
    case Opcode::LocalGet:
      push(b_.CreateLoad(m_.type_of(v_.locals()[in.index]), locals_[in.index]));
      return true;
    case Opcode::LocalSet:
      b_.CreateStore(pop(), locals_[in.index]);
      return true;
    case Opcode::LocalTee:
      b_.CreateStore(stack_.back(), locals_[in.index]);
      return true;
    case Opcode::GlobalGet: {
      std::string kind;
      const wasm::GlobalType& type = module_.globals[in.index].type;
      Value* p = global_address(in.index, kind);
      push(type.is_mutable ? load_at(m_.type_of(type.type), p, 0, kind)
                           : load_invariant(m_.type_of(type.type), p, 0));
      if (auto* l = llvm::cast<llvm::LoadInst>(stack_.back()); l->getAlign() > llvm::Align(8))
        l->setAlignment(llvm::Align(8));
      return true;
    }
    case Opcode::GlobalSet: {
      std::string kind;
      Value* p = global_address(in.index, kind);
      Value* v = pop();
      // The whole slot, as others read it.
      if (v->getType() == m_.i32 && !m_.xip) v = b_.CreateZExt(v, m_.i64);
      store_visibly(v, p, 0, kind);
      return true;
    }
    default:
      return false;
  }
}

// ---- calls

Value* FunctionTranslator::call_builtin(Builtin builtin, std::initializer_list<Value*> args) {
  std::vector<Value*> all{context_};
  all.insert(all.end(), args);
  if (builtin_info(builtin).throws) {
    calls_ = true;
    return call_or_invoke(m_.builtin(builtin), all);
  }
  return b_.CreateCall(m_.builtin(builtin), all);
}

llvm::CallBase* FunctionTranslator::call_or_invoke(llvm::FunctionCallee callee,
                                                   std::span<Value* const> args) {
  const llvm::ArrayRef<Value*> list(args.data(), args.size());
  if (BasicBlock* unwind = unwind_block()) {
    BasicBlock* next = block("called");
    llvm::InvokeInst* invoke = b_.CreateInvoke(callee, next, unwind, list);
    b_.SetInsertPoint(next);
    return invoke;
  }
  return b_.CreateCall(callee, list);
}

Value* FunctionTranslator::to_fpr(Value* value) {
  Type* t = value->getType();
  if (t == m_.f32)
    return b_.CreateInsertElement(llvm::PoisonValue::get(m_.f32x4), value, uint64_t{0});
  if (t == m_.f64)
    value = b_.CreateInsertElement(llvm::PoisonValue::get(llvm::FixedVectorType::get(m_.f64, 2)),
                                   value, uint64_t{0});
  return b_.CreateBitCast(value, m_.f32x4);
}

Value* FunctionTranslator::from_fpr(Value* reg, Type* type) {
  if (type == m_.f32) return b_.CreateExtractElement(reg, uint64_t{0});
  if (type == m_.f64)
    return b_.CreateExtractElement(b_.CreateBitCast(reg, llvm::FixedVectorType::get(m_.f64, 2)),
                                   uint64_t{0});
  return b_.CreateBitCast(reg, type);
}

void FunctionTranslator::call_function(const wasm::FuncType& type, Value* callee, Value* context,
                                       bool tail, bool full) {
  calls_ = true;
  full |= tail;
  const size_t n = type.params.size();
  std::vector<Value*> args{context};
  if (full) {
    args.insert(args.end(), kGprArgs, llvm::PoisonValue::get(m_.i64));
    args.insert(args.end(), kFprArgs, llvm::PoisonValue::get(m_.f32x4));
  }
  ArgAssigner assign;
  const auto values = top(n);
  for (size_t i = 0; i < n; ++i) {
    const ArgLocation loc = assign.next(type.params[i]);
    if (loc.kind == ArgLocation::Kind::Spill)
      store_at(values[i], spill(loc.index), 0, "spill");
    else if (!full)
      args.push_back(values[i]);
    else if (loc.kind == ArgLocation::Kind::Gpr)
      args[1 + loc.index] = b_.CreateZExt(values[i], m_.i64);
    else
      args[1 + kGprArgs + loc.index] = to_fpr(values[i]);
  }
  stack_.resize(stack_.size() - n);
  const llvm::FunctionCallee target(m_.function_type(type, full), callee);
  if (tail) {
    llvm::CallInst* call = b_.CreateCall(target, args);
    call->setTailCallKind(llvm::CallInst::TCK_MustTail);
    if (type.results.empty())
      b_.CreateRetVoid();
    else
      b_.CreateRet(call);
    return;
  }
  llvm::CallBase* call = call_or_invoke(target, args);
  ArgAssigner results(true);
  for (const ValType t : type.results) {
    const ArgLocation loc = results.next(t);
    push(loc.kind == ArgLocation::Kind::Spill ? load_at(m_.type_of(t), spill(loc.index), 0, "spill")
                                              : static_cast<Value*>(call));
  }
}

void FunctionTranslator::call(uint32_t func, bool tail) {
  const wasm::FuncType& type = module_.func_type(func);
  if (module_.functions[func].imported) {
    call_func_inst(type, element(layout::kCtxFuncs, func), tail);
    return;
  }
  // A tail call by name would have to be of the callee's own signature.
  if (!m_.facts.compiled[func] || (tail && !m_.is_full(func))) {
    llvm::LoadInst* entry =
        b_.CreateLoad(m_.ptr, at(context_field(layout::kCtxEntries), uint64_t(func) * 8));
    entry->setAtomic(llvm::AtomicOrdering::Monotonic);
    entry->setAlignment(llvm::Align(8));
    call_function(type, entry, context_, tail);
    return;
  }
  call_function(type, m_.function(func), context_, tail, m_.is_full(func));
}

// Through a function instance: leaves this instance, perhaps for the host.
void FunctionTranslator::call_func_inst(const wasm::FuncType& type, Value* func, bool tail) {
  store_at(context_field(layout::kCtxInstance), exec(), layout::kExecCaller, "caller");
  Value* native = load_at(m_.ptr, func, layout::kFuncNative, "func");
  Value* context = load_invariant(m_.ptr, func, layout::kFuncContext);
  call_function(type, native, context, tail);
}

bool FunctionTranslator::has_subtypes(uint32_t type_index) const {
  return !module_.types[type_index].is_final;
}

void FunctionTranslator::call_indirect(const wasm::Instr& in, bool tail) {
  Value* index = pop();
  const wasm::TableType& table = module_.tables[in.index2].type;
  if (!table.limits.is64) index = b_.CreateZExt(index, m_.i64);
  Value* inst = element(layout::kCtxTables, in.index2);
  const bool own = in.index2 >= module_.imported_tables;
  const bool fixed = own && is_fixed(table.limits);
  Value* size =
      fixed ? const_i64(table.limits.min) : load_at(m_.i64, inst, layout::kTableSize, "table");
  trap_if(b_.CreateICmpUGE(index, size), TrapCode::UndefinedElement);
  Value* elements = fixed ? load_invariant(m_.ptr, inst, layout::kTableElements)
                          : load_at(m_.ptr, inst, layout::kTableElements, "table");
  llvm::LoadInst* func = b_.CreateLoad(m_.ptr, b_.CreateInBoundsGEP(m_.i64, elements, index));
  func->setMetadata(llvm::LLVMContext::MD_tbaa, m_.tbaa("elements"));

  BasicBlock* null = block("null");
  BasicBlock* good = block("ok");
  b_.CreateCondBr(b_.CreateIsNull(func), null, good,
                  llvm::MDBuilder(m_.context).createUnlikelyBranchWeights());
  b_.SetInsertPoint(null);
  call_builtin(Builtin::trap_uninitialized, {index});
  trap(TrapCode::UninitializedElement);
  b_.SetInsertPoint(good);

  // Equal types are one object; where there may be subtypes the slow path decides.
  Value* have = load_invariant(m_.ptr, func, layout::kFuncType);
  Value* want = element(layout::kCtxTypes, in.index);
  Value* other = b_.CreateICmpNE(have, want);
  if (!has_subtypes(in.index)) {
    trap_if(other, TrapCode::IndirectTypeMismatch);
  } else {
    BasicBlock* slow = block("subtype");
    BasicBlock* same = block("ok");
    b_.CreateCondBr(other, slow, same, llvm::MDBuilder(m_.context).createUnlikelyBranchWeights());
    b_.SetInsertPoint(slow);
    call_builtin(Builtin::check_func_type, {b_.CreatePtrToInt(func, m_.i64), const_i32(in.index)});
    b_.CreateBr(same);
    b_.SetInsertPoint(same);
  }
  call_func_inst(module_.types[in.index].func, func, tail);
}

void FunctionTranslator::call_ref(const wasm::Instr& in, bool tail) {
  Value* ref = pop();
  trap_if(b_.CreateICmpEQ(ref, const_i64(0)), TrapCode::NullFunctionReference);
  call_func_inst(module_.types[in.index].func, b_.CreateIntToPtr(ref, m_.ptr), tail);
}

}  // namespace wafer::compiler
