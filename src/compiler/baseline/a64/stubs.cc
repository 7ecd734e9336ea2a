// Code that is not a function's: entries of functions before they are compiled, and of
// those that the interpreter runs.
#include <cstring>

#include "compiler/baseline/codegen.h"
#include "compiler/tier.h"

namespace wafer::compiler {

namespace {

// Argument registers, kept over a call of a C function from an entry stub. The frame is
// that of any function of an arena.
constexpr uint32_t kGprBytes = 48, kFprBytes = 16 * kFprArgs;
constexpr uint32_t kStubFrame = kSavedBytes + kGprBytes + kFprBytes;

void save_arguments(Machine& a) {
  a.begin_frame();
  a.set_frame((kStubFrame - kSavedBytes) / 8);
  a.op_imm12(op::kAddImm | op::kWide, kSp, kScratch, 0);
  a.save_registers();
  uint32_t at = 0;
  for (const uint8_t reg : kArgGprs) {
    a.store_gpr(Machine::at(kSp, at), reg, true);
    at += 8;
  }
  for (uint8_t i = 0; i < kFprArgs; ++i, at += 16) a.store_fpr(Machine::at(kSp, at), i, 16);
}

void restore_arguments(Machine& a) {
  uint32_t at = 0;
  for (const uint8_t reg : kArgGprs) {
    a.load_gpr(reg, Machine::at(kSp, at), true);
    at += 8;
  }
  for (uint8_t i = 0; i < kFprArgs; ++i, at += 16) a.load_fpr(i, Machine::at(kSp, at), 16);
  a.drop_frame();
}

uint64_t address_of(auto* p) { return uint64_t(reinterpret_cast<uintptr_t>(p)); }

}  // namespace

Result<CompiledFunction> BaselineCompiler::Impl::lazy_entries(void* (*compile)(VmContext*, uint32_t,
                                                                               void*),
                                                              void* user, size_t& first) {
  reset_code();
  const auto functions = uint32_t(module_.functions.size());
  // The function's index comes in x17.
  save_arguments(a_);
  a_.move_gpr(kArgGprs[1], kValue, false);
  a_.load_imm(kArgGprs[2], address_of(user));
  a_.call_address(reinterpret_cast<const void*>(compile));
  a_.move_gpr(kScratch, kResultGpr, true);
  restore_arguments(a_);
  a_.jump_gpr(kScratch);
  a_.align(asmjit::AlignMode::kCode, kThunkBytes);
  first = a_.offset();
  for (uint32_t i = 0; i < functions; ++i) {
    a_.word(0x52800000 | (i & 0xFFFF) << 5 | kValue);  // movz
    a_.word(0x72A00000 | (i >> 16) << 5 | kValue);     // movk
    a_.word(0x14000000 | (-uint32_t(a_.offset() / 4) & 0x3FFFFFF));
    a_.trap(TrapCode::None);
  }
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

Result<CompiledFunction> BaselineCompiler::Impl::interpreter_stub(uint32_t func,
                                                                  void (*attach)(FuncInst*)) {
  reset_code();
  const Label ready = a_.newLabel();
  a_.load_word(kArgGprs[0], kArgGprs[0], layout::kCtxFuncs);
  a_.load_word(kArgGprs[0], kArgGprs[0], int64_t(func) * 8);
  a_.load_imm(kScratch, address_of(&call_native));
  a_.compare_equal(kScratch, at(kArgGprs[0], layout::kFuncCall));
  a_.branch(Cond::NotEqual, ready);
  save_arguments(a_);
  a_.call_address(reinterpret_cast<const void*>(attach));
  restore_arguments(a_);
  a_.bind(ready);
  a_.load_imm(kScratch, address_of(&wafer_call_out_stub));
  a_.jump_gpr(kScratch);
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

}  // namespace wafer::compiler
