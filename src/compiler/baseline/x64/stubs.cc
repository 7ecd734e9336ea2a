// Code that is not a function's: entries of functions before they are compiled, and of
// those that the interpreter runs.
#include <cstring>

#include "compiler/baseline/codegen.h"
#include "compiler/tier.h"

namespace wafer::compiler {

namespace {

// Argument registers, kept over a call of a C function from an entry stub. The frame is
// that of any function of an arena.
constexpr int kStubFrame = 224;

void save_arguments(x86::Assembler& a) {
  a.push(x86::rbp);
  a.mov(x86::rbp, x86::rsp);
  a.push(x86::r15);
  a.push(x86::r14);
  a.push(x86::r13);
  a.push(x86::r12);
  a.push(x86::rbx);
  a.sub(x86::rsp, kStubFrame - kSavedBytes);
  int at = 0;
  for (const uint8_t reg : kArgGprs) {
    a.mov(x86::ptr(x86::rsp, at), x86::gpq(reg));
    at += 8;
  }
  for (uint32_t i = 0; i < kFprArgs; ++i, at += 16) a.movups(x86::ptr(x86::rsp, at), x86::xmm(i));
}

void restore_arguments(x86::Assembler& a) {
  int at = 0;
  for (const uint8_t reg : kArgGprs) {
    a.mov(x86::gpq(reg), x86::ptr(x86::rsp, at));
    at += 8;
  }
  for (uint32_t i = 0; i < kFprArgs; ++i, at += 16) a.movups(x86::xmm(i), x86::ptr(x86::rsp, at));
  a.leave();
}

}  // namespace

Result<CompiledFunction> BaselineCompiler::Impl::lazy_entries(void* (*compile)(VmContext*, uint32_t,
                                                                               void*),
                                                              void* user, size_t& first) {
  reset_code();
  const auto functions = uint32_t(module_.functions.size());
  const Label common = a_.newLabel();
  a_.bind(common);
  save_arguments(a_);
  a_.mov(x86::esi, x86::eax);
  a_.mov(x86::rdx, int64_t(reinterpret_cast<uintptr_t>(user)));
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(compile)));
  a_.call(x86::rax);
  restore_arguments(a_);
  a_.jmp(x86::rax);
  a_.align(asmjit::AlignMode::kCode, kThunkBytes);
  first = a_.offset();
  Vec<uint8_t> thunks(size_t(functions) * kThunkBytes, 0xCC);
  for (uint32_t i = 0; i < functions; ++i) {
    uint8_t* p = thunks.data() + size_t(i) * kThunkBytes;
    p[0] = 0xB8;  // mov eax, i
    std::memcpy(p + 1, &i, 4);
    p[5] = 0xE9;  // jmp common
    const auto distance = -int32_t(first + size_t(i) * kThunkBytes + 10);
    std::memcpy(p + 6, &distance, 4);
  }
  if (!thunks.empty()) a_.embed(thunks.data(), thunks.size());
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

Result<CompiledFunction> BaselineCompiler::Impl::interpreter_stub(uint32_t func,
                                                                  void (*attach)(FuncInst*)) {
  reset_code();
  const Label ready = a_.newLabel();
  a_.mov(x86::rdi, at(kRdi, layout::kCtxFuncs));
  a_.mov(x86::rdi, at(kRdi, int64_t(func) * 8));
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(&call_native)));
  a_.cmp(at(kRdi, layout::kFuncCall), x86::rax);
  a_.jne(ready);
  save_arguments(a_);
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(attach)));
  a_.call(x86::rax);
  restore_arguments(a_);
  a_.bind(ready);
  a_.mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(&wafer_call_out_stub)));
  a_.jmp(x86::rax);
  if (!errors_.message.empty()) return Error(ErrorKind::Unsupported, errors_.message);
  return finish_code();
}

}  // namespace wafer::compiler
