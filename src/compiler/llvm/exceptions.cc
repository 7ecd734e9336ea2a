// Exceptions: handlers are landing pads that cost nothing until something is thrown.
// Each try has one dispatch block, which tries its clauses in turn and else goes on to
// the next try outwards, or unwinds further.
#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::BasicBlock;
using llvm::PHINode;
using llvm::Value;
using wasm::Opcode;

int FunctionTranslator::active_try(int from) const {
  for (int i = from; i >= 0; --i)
    if (frames_[size_t(i)].is_try && frames_[size_t(i)].active) return i;
  return -1;
}

BasicBlock* FunctionTranslator::dispatch_block(int frame) {
  Frame& f = frames_[size_t(frame)];
  if (!f.dispatch) {
    f.dispatch = block("dispatch");
    f.dispatch_exn = PHINode::Create(m_.i64, 2, "", f.dispatch);
  }
  return f.dispatch;
}

// Where a call that throws here goes on; null if that is outside of the function.
BasicBlock* FunctionTranslator::unwind_block() {
  const int frame = active_try(int(frames_.size()) - 1);
  if (frame < 0) return nullptr;
  BasicBlock* dispatch = dispatch_block(frame);
  Frame& f = frames_[size_t(frame)];
  if (!f.landing) {
    if (!fn_->hasPersonalityFn())
      fn_->setPersonalityFn(llvm::cast<llvm::Constant>(
          m_.ir
              ->getOrInsertFunction("wafer_personality",
                                    llvm::FunctionType::get(m_.i32, /*isVarArg=*/true))
              .getCallee()));
    const llvm::IRBuilder<>::InsertPointGuard guard(b_);
    f.landing = block("landing");
    b_.SetInsertPoint(f.landing);
    llvm::LandingPadInst* pad =
        b_.CreateLandingPad(llvm::StructType::get(m_.context, {m_.ptr, m_.i32}), 1);
    pad->addClause(llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(m_.context)));
    Value* exn = call_builtin(Builtin::take_exception, {});
    f.dispatch_exn->addIncoming(exn, f.landing);
    b_.CreateBr(dispatch);
  }
  return f.landing;
}

void FunctionTranslator::begin_try(const wasm::Instr& in) {
  Frame& f = frames_.back();
  f.is_try = f.active = true;
  using Kind = wasm::CatchClause::Kind;
  for (const wasm::CatchClause& c : in.catches) {
    if (in.op != Opcode::TryTable) break;
    Clause clause;
    clause.all = c.kind == Kind::CatchAll || c.kind == Kind::CatchAllRef;
    clause.with_ref = c.kind == Kind::CatchRef || c.kind == Kind::CatchAllRef;
    clause.tag = c.tag;
    // Labels count from outside of the try_table.
    clause.frame = uint32_t(frames_.size()) - 2 - c.label;
    f.clauses.push_back(clause);
  }
}

// Pushes what an exception of tag `tag` carries.
void FunctionTranslator::push_exception_values(Value* exn, uint32_t tag) {
  Value* p = b_.CreateIntToPtr(exn, m_.ptr);
  uint64_t slot = 0;
  for (const wasm::ValType t : module_.types[module_.tags[tag].type_index].func.params) {
    push(load_at(m_.type_of(t), p, layout::kExceptionArgs + slot * 8, "exception"));
    slot += slot_count(t);
  }
}

void FunctionTranslator::fill_dispatch(uint32_t frame) {
  BasicBlock* dispatch = frames_[frame].dispatch;
  if (!dispatch) return;
  Value* exn = frames_[frame].dispatch_exn;
  b_.SetInsertPoint(dispatch);
  const bool was_dead = dead_;
  dead_ = false;
  // Clauses branch out of the try.
  frames_[frame].active = false;
  bool open = true;
  for (size_t i = 0; i < frames_[frame].clauses.size() && open; ++i) {
    const Clause clause = frames_[frame].clauses[i];
    BasicBlock* next = nullptr;
    if (!clause.all) {
      Value* have =
          load_at(m_.ptr, b_.CreateIntToPtr(exn, m_.ptr), layout::kExceptionTag, "exception");
      Value* same = b_.CreateICmpEQ(have, element(layout::kCtxTags, clause.tag));
      BasicBlock* match = block("match");
      next = block("next");
      b_.CreateCondBr(same, match, next);
      b_.SetInsertPoint(match);
    }
    if (clause.target) {
      clause.exn->addIncoming(exn, b_.GetInsertBlock());
      b_.CreateBr(clause.target);
    } else {
      const size_t height = stack_.size();
      if (!clause.all) push_exception_values(exn, clause.tag);
      if (clause.with_ref) push(exn);
      const std::vector<Value*> values(stack_.begin() + ptrdiff_t(height), stack_.end());
      stack_.resize(height);
      branch_to_label(clause.frame, values);
    }
    if (next)
      b_.SetInsertPoint(next);
    else
      open = false;
  }
  if (open) {
    const int delegate_to = frames_[frame].delegate_to;
    raise(exn, active_try(delegate_to >= 0 ? delegate_to : int(frame) - 1));
  }
  dead_ = was_dead;
}

void FunctionTranslator::raise(Value* exn, int handler) {
  if (handler >= 0) {
    BasicBlock* to = dispatch_block(handler);
    frames_[size_t(handler)].dispatch_exn->addIncoming(exn, b_.GetInsertBlock());
    b_.CreateBr(to);
    return;
  }
  calls_ = true;
  b_.CreateCall(m_.builtin(Builtin::throw_exception), {context_, exn});
  b_.CreateUnreachable();
}

bool FunctionTranslator::exception(const wasm::Instr& in) {
  const int handler = active_try(int(frames_.size()) - 1);
  switch (in.op) {
    case Opcode::Throw: {
      const auto& params = module_.types[module_.tags[in.index].type_index].func.params;
      Value* exn = call_builtin(Builtin::exception_new, {const_i32(in.index)});
      Value* p = b_.CreateIntToPtr(exn, m_.ptr);
      uint64_t slot = 0;
      const auto values = top(params.size());
      for (size_t i = 0; i < params.size(); ++i) {
        Value* v = values[i];
        if (v->getType() == m_.i32) v = b_.CreateZExt(v, m_.i64);
        store_at(v, p, layout::kExceptionArgs + slot * 8, "exception");
        slot += slot_count(params[i]);
      }
      raise(exn, handler);
      unreachable();
      return true;
    }
    case Opcode::ThrowRef: {
      Value* exn = pop();
      trap_if(b_.CreateICmpEQ(exn, const_i64(0)), TrapCode::NullExceptionReference);
      raise(exn, handler);
      unreachable();
      return true;
    }
    case Opcode::Rethrow:
      raise(frames_[frame_of(in.index)].caught, handler);
      unreachable();
      return true;
    default:
      return false;
  }
}

void FunctionTranslator::legacy_catch(const wasm::Instr& in) {
  const auto index = uint32_t(frames_.size() - 1);
  if (frames_[index].dead) return;
  if (!dead_) branch_to(index, top(frames_[index].results.size()));
  Frame& f = frames_[index];
  f.active = false;
  f.op = in.op;
  Clause clause;
  clause.all = in.op == Opcode::CatchAll;
  clause.tag = in.index;
  clause.target = block("catch");
  clause.exn = PHINode::Create(m_.i64, 2, "", clause.target);
  f.caught = clause.exn;
  f.clauses.push_back(clause);
  dead_ = false;
  stack_.resize(f.height);
  b_.SetInsertPoint(clause.target);
  if (!clause.all) push_exception_values(clause.exn, clause.tag);
  if (m_.options.code.fuel) count_fuel();
}

void FunctionTranslator::delegate(const wasm::Instr& in) {
  Frame& f = frames_.back();
  // The label counts from outside of the try.
  if (!f.dead) f.delegate_to = int(frames_.size()) - 2 - int(in.index);
  end_frame();
}

}  // namespace wafer::compiler
