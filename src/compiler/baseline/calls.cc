// Calls of functions and of builtins.
#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

namespace {

// Orders register-to-register moves so that nothing is overwritten before it is read;
// a cycle is broken through `scratch`. Gives each move to `emit(dst, src)`.
template <class IsRegister, class Emit>
void parallel_moves(Move* moves, size_t count, uint8_t scratch, IsRegister is_register, Emit emit) {
  uint32_t pending = 0;
  for (size_t i = 0; i < count; ++i)
    if (is_register(moves[i].src) && moves[i].src.reg != moves[i].dst) pending |= 1u << i;
  while (pending) {
    bool progress = false;
    for (size_t i = 0; i < count; ++i) {
      if (!(pending >> i & 1)) continue;
      bool blocked = false;
      for (size_t k = 0; k < count; ++k)
        if (k != i && (pending >> k & 1) && moves[k].src.reg == moves[i].dst) blocked = true;
      if (blocked) continue;
      emit(moves[i].dst, moves[i].src.reg, moves[i].src.type);
      pending &= ~(1u << i);
      progress = true;
    }
    if (progress) continue;
    // All that is left are cycles.
    size_t first = 0;
    while (!(pending >> first & 1)) ++first;
    emit(scratch, moves[first].src.reg, moves[first].src.type);
    moves[first].src.reg = scratch;
  }
}

}  // namespace

// Loads registers. Sources stay as they are, but their registers may not.
void BaselineCompiler::Impl::move_args(Move* gprs, size_t gpr_count, Move* fprs, size_t fpr_count) {
  parallel_moves(
      gprs, gpr_count, kScratch, [](const Operand& o) { return o.kind == Kind::Gpr; },
      [this](uint8_t dst, uint8_t src, ValType t) { a_.move_gpr(dst, src, is_wide(t)); });
  parallel_moves(
      fprs, fpr_count, kScratchFpr, [](const Operand& o) { return o.kind == Kind::Fpr; },
      [this](uint8_t dst, uint8_t src, ValType) { a_.move_fpr(dst, src); });
  for (size_t i = 0; i < gpr_count; ++i)
    if (gprs[i].src.kind != Kind::Gpr) load_gpr(gprs[i].dst, gprs[i].src);
  for (size_t i = 0; i < fpr_count; ++i)
    if (fprs[i].src.kind != Kind::Fpr) load_fpr(fprs[i].dst, fprs[i].src);
}

// Puts the top operands where a function of these parameters takes them, and pops them;
// every other operand leaves the registers.
void BaselineCompiler::Impl::pass_args(std::span<const ValType> types) {
  const auto count = uint32_t(types.size());
  const auto base = uint32_t(stack_.size()) - count;
  spill_registers(base);
  save_locals();
  Move gprs[kGprArgs], fprs[kFprArgs];
  size_t gpr_count = 0, fpr_count = 0;
  ArgAssigner assign;
  bool exec_loaded = false;
  for (uint32_t i = 0; i < count; ++i) {
    const Operand o = in_register(stack_[base + i]);
    const ArgLocation where = assign.next(types[i]);
    switch (where.kind) {
      case ArgLocation::Kind::Gpr:
        gprs[gpr_count++] = {kArgGprs[where.index + 1], o};
        break;
      case ArgLocation::Kind::Fpr:
        fprs[fpr_count++] = {uint8_t(where.index), o};
        break;
      case ArgLocation::Kind::Spill:
        if (!exec_loaded) a_.load_word(kScratch, kContext, layout::kCtxExec);
        exec_loaded = true;
        store_mem(at(kScratch, int64_t(layout::kExecSpill) + 8 * where.index), o);
        break;
    }
  }
  move_args(gprs, gpr_count, fprs, fpr_count);
  drop(count);
}

void BaselineCompiler::Impl::take_results(std::span<const ValType> types) {
  forget_registers();
  reload_locals();
  changed_gprs_ = changed_fprs_ = 0;
  if (types.empty()) return;
  ArgAssigner assign(true);
  if (types.size() > 1) a_.load_word(kScratch, kContext, layout::kCtxExec);
  for (const ValType t : types) {
    const ArgLocation where = assign.next(t);
    switch (where.kind) {
      case ArgLocation::Kind::Gpr:
        if (is_wide(t)) {
          push_gpr(t, kResultGpr);
        } else {
          // What is above its bits is not told.
          const uint8_t to = types.size() == 1 ? target(false) : kNoRegister;
          const uint8_t dst = to == kNoRegister ? kResultGpr : to;
          a_.zero_extend(dst, kResultGpr);
          push_gpr(t, dst);
        }
        break;
      case ArgLocation::Kind::Fpr:
        push_fpr(t, kResultFpr);
        break;
      case ArgLocation::Kind::Spill: {
        a_.load_fpr(kScratchFpr, at(kScratch, int64_t(layout::kExecSpill) + 8 * where.index),
                    width_of(t));
        a_.store_fpr(slot_mem(push(t).slot, t), kScratchFpr, width_of(t));
        break;
      }
    }
  }
}

// The function called next may leave the instance, or be the host's.
void BaselineCompiler::Impl::note_caller() {
  a_.load_word(kScratch, kContext, layout::kCtxExec);
  a_.load_word(kIndexGpr, kContext, layout::kCtxInstance);
  a_.store_gpr(at(kScratch, layout::kExecCaller), kIndexGpr, true);
}

void BaselineCompiler::Impl::call(uint32_t func, bool tail) {
  const wasm::FuncType& type = module_.func_type(func);
  pass_args(type.params);
  if (module_.functions[func].imported) {
    a_.load_word(kFuncGpr, kContext, layout::kCtxFuncs);
    a_.load_word(kFuncGpr, kFuncGpr, int64_t(func) * 8);
    call_funcref(type, tail);
    return;
  }
  const bool image = options_.image;
  if (!image) a_.load_word(kFuncGpr, kContext, layout::kCtxEntries);
  a_.move_gpr(kArgGprs[0], kContext, true);
  if (tail) {
    if (!image) a_.load_word(kFuncGpr, kFuncGpr, int64_t(func) * 8);
    a_.leave_frame(local_regs_used_);
    if (image) {
      refer(CodeReference::To::Function, func, a_.jump_reference());
    } else {
      a_.jump_gpr(kFuncGpr);
    }
    reachable_ = false;
    forget_registers();
    return;
  }
  mark();
  if (image) {
    refer(CodeReference::To::Function, func, a_.call_reference());
  } else {
    a_.call_word(kFuncGpr, int64_t(func) * 8);
  }
  note_call_site();
  take_results(type.results);
}

Result<CompiledFunction> BaselineCompiler::Impl::entry_stub(uint32_t func) {
  reset_code();
  a_.load_word(kFuncGpr, kArgGprs[0], layout::kCtxEntries);
  a_.load_word(kFuncGpr, kFuncGpr, int64_t(func) * 8);
  a_.jump_gpr(kFuncGpr);
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

// The function instance is in kFuncGpr, the arguments are in place.
void BaselineCompiler::Impl::call_funcref(const wasm::FuncType& type, bool tail) {
  note_caller();
  a_.load_word(kArgGprs[0], kFuncGpr, layout::kFuncContext);
  if (tail) {
    a_.load_word(kFuncGpr, kFuncGpr, layout::kFuncNative);
    a_.leave_frame(local_regs_used_);
    a_.jump_gpr(kFuncGpr);
    reachable_ = false;
    forget_registers();
    return;
  }
  mark();
  a_.call_word(kFuncGpr, layout::kFuncNative);
  note_call_site();
  take_results(type.results);
}

void BaselineCompiler::Impl::call_indirect(const Instr& in, bool tail) {
  const wasm::SubType& sub = module_.types[in.index];
  Operand index = pop();
  // The registers of the index and of the function instance carry no arguments.
  if (index.kind == Kind::Gpr && index.reg == kIndexGpr) {
    gpr_owner_[kIndexGpr] = kNone;
  } else {
    claim_gpr(kIndexGpr);
    load_gpr(kIndexGpr, index);
    release(index);
  }
  claim_gpr(kFuncGpr);
  if (!sub.is_final) {
    // The slow check is a call.
    spill_registers(uint32_t(stack_.size()));
  }
  mark();
  load_table(kScratch, in.index2);
  a_.compare(kIndexGpr, at(kScratch, layout::kTableSize), true);
  a_.branch(Cond::AboveEqual, trap(TrapCode::UndefinedElement));
  a_.load_word(kScratch, kScratch, layout::kTableElements);
  a_.load_indexed_word(kFuncGpr, kScratch, kIndexGpr);
  a_.test_zero(kFuncGpr, true);
  Uninitialized& u = uninitialized_.emplace_back();
  u.label = a_.newLabel();
  u.offset = offset_;
  a_.branch(Cond::Equal, u.label);
  a_.load_word(kScratch, kContext, layout::kCtxTypes);
  a_.load_word(kScratch, kScratch, int64_t(in.index) * 8);
  a_.compare_equal(kScratch, at(kFuncGpr, layout::kFuncType));
  if (sub.is_final) {
    a_.branch(Cond::NotEqual, trap(TrapCode::IndirectTypeMismatch));
  } else {
    const Label same = a_.newLabel();
    a_.branch(Cond::Equal, same);
    const Mem keep = slot_mem(next_slot_, wasm::kI64);
    if (next_slot_ + 1 > max_slot_) max_slot_ = next_slot_ + 1;
    a_.store_gpr(keep, kFuncGpr, true);
    save_locals();
    a_.move_gpr(kArgGprs[1], kFuncGpr, true);
    a_.load_imm(kArgGprs[2], in.index);
    call_builtin(Builtin::check_func_type);
    a_.load_gpr(kFuncGpr, keep, true);
    a_.bind(same);
  }
  free_gpr(kIndexGpr);
  pass_args(sub.func.params);
  free_gpr(kFuncGpr);
  call_funcref(sub.func, tail);
}

void BaselineCompiler::Impl::call_ref(const Instr& in, bool tail) {
  const wasm::FuncType& type = module_.types[in.index].func;
  Operand ref = pop();
  if (ref.kind == Kind::Gpr && ref.reg == kFuncGpr) {
    gpr_owner_[kFuncGpr] = kNone;
  } else {
    claim_gpr(kFuncGpr);
    load_gpr(kFuncGpr, ref);
    release(ref);
  }
  a_.test_zero(kFuncGpr, true);
  a_.branch(Cond::Equal, trap(TrapCode::NullFunctionReference));
  pass_args(type.params);
  free_gpr(kFuncGpr);
  call_funcref(type, tail);
}

// Calls with the arguments after the context in place, and locals saved before.
void BaselineCompiler::Impl::call_builtin(Builtin b) {
  a_.move_gpr(kArgGprs[0], kContext, true);
  const BuiltinInfo& info = builtin_info(b);
  mark();
  if (options_.image) {
    refer(CodeReference::To::Builtin, uint32_t(b), a_.call_address_reference());
  } else {
    a_.call_address(info.address);
  }
  note_call_site();
  if (info.returns) reload_locals();
}

// In a try_table, the call just made has a handler.
void BaselineCompiler::Impl::note_call_site() {
  if (try_ != kNone) call_sites_.push_back({uint32_t(a_.offset()), control_[try_].pad});
}

void BaselineCompiler::Impl::builtin(Builtin b, std::initializer_list<uint64_t> immediates,
                                     uint32_t operands, ValType result,
                                     std::initializer_list<uint64_t> after) {
  const auto base = uint32_t(stack_.size()) - operands;
  spill_registers(base);
  save_locals();
  Move moves[5];
  size_t count = 0;
  const auto constant = [&](uint64_t value) {
    Operand o;
    o.kind = Kind::Const;
    o.type = wasm::kI64;
    o.value = value;
    moves[count] = {kArgGprs[count + 1], o};
    ++count;
  };
  for (const uint64_t value : immediates) constant(value);
  for (uint32_t i = 0; i < operands; ++i) {
    moves[count] = {kArgGprs[count + 1], in_register(stack_[base + i])};
    ++count;
  }
  for (const uint64_t value : after) constant(value);
  move_args(moves, count, nullptr, 0);
  drop(operands);
  call_builtin(b);
  forget_registers();
  if (result.is_bot()) return;
  if (!is_wide(result)) a_.zero_extend(kResultGpr);
  push_gpr(result, kResultGpr);
}

}  // namespace wafer::compiler
