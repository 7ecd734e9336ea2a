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
      emit(moves[i].dst, moves[i].src.reg);
      pending &= ~(1u << i);
      progress = true;
    }
    if (progress) continue;
    // All that is left are cycles.
    size_t first = 0;
    while (!(pending >> first & 1)) ++first;
    emit(scratch, moves[first].src.reg);
    moves[first].src.reg = scratch;
  }
}

}  // namespace

// Loads argument registers. Sources stay as they are, but their registers may not.
void BaselineCompiler::Impl::move_args(Move* gprs, size_t gpr_count, Move* xmms, size_t xmm_count) {
  parallel_moves(
      gprs, gpr_count, kScratch, [](const Operand& o) { return o.kind == Kind::Gpr; },
      [this](uint8_t dst, uint8_t src) { move_gpr(dst, src, true); });
  parallel_moves(
      xmms, xmm_count, kScratchXmm, [](const Operand& o) { return o.kind == Kind::Xmm; },
      [this](uint8_t dst, uint8_t src) { move_xmm(dst, src); });
  for (size_t i = 0; i < gpr_count; ++i)
    if (gprs[i].src.kind != Kind::Gpr) load_gpr(gprs[i].dst, gprs[i].src);
  for (size_t i = 0; i < xmm_count; ++i)
    if (xmms[i].src.kind != Kind::Xmm) load_xmm(xmms[i].dst, xmms[i].src);
}

// Puts the top operands where a function of these parameters takes them, and pops them;
// every other operand leaves the registers.
void BaselineCompiler::Impl::pass_args(std::span<const ValType> types) {
  const auto count = uint32_t(types.size());
  const auto base = uint32_t(stack_.size()) - count;
  spill_registers(base);
  Move gprs[kGprArgs], xmms[kFprArgs];
  size_t gpr_count = 0, xmm_count = 0;
  ArgAssigner assign;
  bool exec_loaded = false;
  for (uint32_t i = 0; i < count; ++i) {
    const Operand& o = stack_[base + i];
    const ArgLocation where = assign.next(types[i]);
    switch (where.kind) {
      case ArgLocation::Kind::Gpr:
        gprs[gpr_count++] = {kArgGprs[where.index + 1], o};
        break;
      case ArgLocation::Kind::Fpr:
        xmms[xmm_count++] = {uint8_t(where.index), o};
        break;
      case ArgLocation::Kind::Spill:
        if (!exec_loaded) a_.mov(gp(kScratch, true), at(kContext, layout::kCtxExec));
        exec_loaded = true;
        store_mem(at(kScratch, int64_t(layout::kExecSpill) + 8 * where.index), o);
        break;
    }
  }
  move_args(gprs, gpr_count, xmms, xmm_count);
  drop(count);
}

void BaselineCompiler::Impl::take_results(std::span<const ValType> types) {
  forget_registers();
  if (types.empty()) return;
  ArgAssigner assign(true);
  if (types.size() > 1) a_.mov(gp(kScratch, true), at(kContext, layout::kCtxExec));
  for (const ValType t : types) {
    const ArgLocation where = assign.next(t);
    switch (where.kind) {
      case ArgLocation::Kind::Gpr:
        if (!is_wide(t)) a_.mov(x86::eax, x86::eax);
        push_gpr(t, kRax);
        break;
      case ArgLocation::Kind::Fpr:
        push_xmm(t, 0);
        break;
      case ArgLocation::Kind::Spill: {
        const ValType as = is_fpr(t) ? t : is_wide(t) ? wasm::kF64 : wasm::kF32;
        load_xmm_mem(kScratchXmm, at(kScratch, int64_t(layout::kExecSpill) + 8 * where.index), as);
        store_xmm_mem(slot_mem(push(t).slot, as), kScratchXmm, as);
        break;
      }
    }
  }
}

// The function called next may leave the instance, or be the host's.
void BaselineCompiler::Impl::note_caller() {
  a_.mov(gp(kScratch, true), at(kContext, layout::kCtxExec));
  a_.mov(x86::r10, at(kContext, layout::kCtxInstance));
  a_.mov(at(kScratch, layout::kExecCaller), x86::r10);
}

void BaselineCompiler::Impl::call(uint32_t func, bool tail) {
  const wasm::FuncType& type = module_.func_type(func);
  pass_args(type.params);
  if (module_.functions[func].imported) {
    a_.mov(x86::rax, at(kContext, layout::kCtxFuncs));
    a_.mov(x86::rax, at(kRax, int64_t(func) * 8));
    call_funcref(type, tail);
    return;
  }
  a_.mov(x86::rax, at(kContext, layout::kCtxEntries));
  a_.mov(x86::rdi, x86::r15);
  if (tail) {
    a_.mov(x86::rax, at(kRax, int64_t(func) * 8));
    restore_saved();
    a_.leave();
    a_.jmp(x86::rax);
    reachable_ = false;
    forget_registers();
    return;
  }
  mark();
  a_.call(at(kRax, int64_t(func) * 8));
  note_call_site();
  take_results(type.results);
}

// The function instance is in rax, the arguments are in place.
void BaselineCompiler::Impl::call_funcref(const wasm::FuncType& type, bool tail) {
  note_caller();
  a_.mov(x86::rdi, at(kRax, layout::kFuncContext));
  if (tail) {
    a_.mov(x86::rax, at(kRax, layout::kFuncNative));
    restore_saved();
    a_.leave();
    a_.jmp(x86::rax);
    reachable_ = false;
    forget_registers();
    return;
  }
  mark();
  a_.call(at(kRax, layout::kFuncNative));
  note_call_site();
  take_results(type.results);
}

void BaselineCompiler::Impl::call_indirect(const Instr& in, bool tail) {
  const wasm::SubType& sub = module_.types[in.index];
  Operand index = pop();
  // The index goes to r10 and the function instance to rax: neither carries arguments.
  if (index.kind == Kind::Gpr && index.reg == kR10) {
    gpr_owner_[kR10] = kNone;
  } else {
    claim_gpr(kR10);
    load_gpr(kR10, index);
    release(index);
  }
  claim_gpr(kRax);
  if (!sub.is_final) {
    // The slow check is a call.
    spill_registers(uint32_t(stack_.size()));
  }
  mark();
  load_table(kScratch, in.index2);
  a_.cmp(x86::r10, at(kScratch, layout::kTableSize));
  jcc(Cond::AboveEqual, trap(TrapCode::UndefinedElement));
  a_.mov(x86::r11, at(kScratch, layout::kTableElements));
  a_.mov(x86::rax, x86::ptr(x86::r11, x86::r10, 3));
  a_.test(x86::rax, x86::rax);
  Uninitialized& u = uninitialized_.emplace_back();
  u.label = a_.newLabel();
  u.offset = offset_;
  jcc(Cond::Equal, u.label);
  a_.mov(x86::r11, at(kContext, layout::kCtxTypes));
  a_.mov(x86::r11, at(kScratch, int64_t(in.index) * 8));
  a_.cmp(at(kRax, layout::kFuncType), x86::r11);
  if (sub.is_final) {
    jcc(Cond::NotEqual, trap(TrapCode::IndirectTypeMismatch));
  } else {
    const Label same = a_.newLabel();
    jcc(Cond::Equal, same);
    const x86::Mem keep = slot_mem(next_slot_, wasm::kI64);
    if (next_slot_ + 1 > max_slot_) max_slot_ = next_slot_ + 1;
    a_.mov(keep, x86::rax);
    a_.mov(x86::rsi, x86::rax);
    a_.mov(x86::edx, in.index);
    call_builtin(Builtin::check_func_type);
    a_.mov(x86::rax, keep);
    a_.bind(same);
  }
  free_gpr(kR10);
  pass_args(sub.func.params);
  free_gpr(kRax);
  call_funcref(sub.func, tail);
}

void BaselineCompiler::Impl::call_ref(const Instr& in, bool tail) {
  const wasm::FuncType& type = module_.types[in.index].func;
  Operand ref = pop();
  if (ref.kind == Kind::Gpr && ref.reg == kRax) {
    gpr_owner_[kRax] = kNone;
  } else {
    claim_gpr(kRax);
    load_gpr(kRax, ref);
    release(ref);
  }
  a_.test(x86::rax, x86::rax);
  jcc(Cond::Equal, trap(TrapCode::NullFunctionReference));
  pass_args(type.params);
  free_gpr(kRax);
  call_funcref(type, tail);
}

// Calls with the arguments after the context in place.
void BaselineCompiler::Impl::call_builtin(Builtin b) {
  a_.mov(x86::rdi, x86::r15);
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(builtin_info(b).address)));
  mark();
  a_.call(x86::rax);
  note_call_site();
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
    moves[count] = {kArgGprs[count + 1], stack_[base + i]};
    ++count;
  }
  for (const uint64_t value : after) constant(value);
  move_args(moves, count, nullptr, 0);
  drop(operands);
  call_builtin(b);
  forget_registers();
  if (result.is_bot()) return;
  if (!is_wide(result)) a_.mov(x86::eax, x86::eax);
  push_gpr(result, kRax);
}

}  // namespace wafer::compiler
