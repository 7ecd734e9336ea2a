// Addresses of memory accesses, and atomic accesses, for AArch64.
#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

// Checks an access of `width` bytes where that is needed, and gives its operand. `base`
// has been popped; the scratch register is taken until done_address().
Mem BaselineCompiler::Impl::address(const Instr& in, Operand& base, unsigned width) {
  const bool is64 = module_.memories[in.index].type.limits.is64;
  address_temp_ = kNoRegister;
  mark();
  if (guarded(in.index)) {
    uint8_t origin = kMemory0;
    if (in.index != 0) {
      origin = alloc_gpr();
      address_temp_ = origin;
      load_memory(origin, in.index);
      a_.load_word(origin, origin, layout::kMemoryBase);
    }
    if (base.kind == Kind::Const) return at(origin, int64_t(uint32_t(base.value) + in.offset));
    const uint8_t index = use_gpr(base);
    if (in.offset == 0) return {origin, true, index, 0};
    a_.add_imm(kScratch, index, int64_t(in.offset));
    return {origin, true, kScratch, 0};
  }
  const uint8_t index = use_gpr(base);
  const uint64_t end = in.offset + width;
  const Label out = trap(TrapCode::MemoryOutOfBounds);
  if (end < width) a_.jump(out);
  a_.add_offset(kScratch, index, end);
  if (is64) a_.branch(Cond::Carry, out);
  const uint8_t memory = alloc_gpr();
  address_temp_ = memory;
  load_memory(memory, in.index);
  a_.compare(kScratch, at(memory, layout::kMemorySize), true);
  a_.branch(Cond::Above, out);
  a_.load_word(memory, memory, layout::kMemoryBase);
  a_.add_imm(kScratch, kScratch, -int64_t(width));
  return {memory, true, kScratch, 0};
}

// ---- atomics ------------------------------------------------------------------------
//
// By acquiring and releasing accesses, which are in one order; what reads and writes is a
// loop of an exclusive pair of them.

namespace {

constexpr uint32_t kLdar = 0x08DFFC00, kStlr = 0x089FFC00, kLdaxr = 0x085FFC00, kStlxr = 0x0800FC00;

uint32_t sized(uint32_t o, unsigned width) { return o | Machine::log2_of(width) << 30; }

}  // namespace

void BaselineCompiler::Impl::atomic_load(const Instr& in, unsigned width, ValType type) {
  Operand base = pop();
  check_alignment(in, base, width);
  a_.load_address(kScratch, address(in, base, width));
  done_address(base);
  const uint8_t dst = alloc_gpr();
  a_.op2(sized(kLdar, width), dst, kScratch);
  push_gpr(type, dst);
}

void BaselineCompiler::Impl::atomic_store(const Instr& in, unsigned width) {
  Operand value = pop(), base = pop();
  const uint8_t v = use_gpr(value);
  check_alignment(in, base, width);
  a_.load_address(kScratch, address(in, base, width));
  a_.op2(sized(kStlr, width), v, kScratch);
  done_address(base);
  release(value);
}

void BaselineCompiler::Impl::atomic_rmw(const Instr& in, unsigned width, bool wide, Rmw op) {
  static constexpr uint32_t kOps[] = {op::kAdd, op::kSub, op::kAnd, op::kOrr, op::kEor};
  Operand value = pop(), base = pop();
  const uint8_t v = use_gpr(value);
  check_alignment(in, base, width);
  a_.load_address(kScratch, address(in, base, width));
  const uint8_t dst = alloc_gpr();
  a_.op2(sized(kLdaxr, width), dst, kScratch);
  uint8_t result = v;
  if (op != Rmw::Exchange) {
    result = kValue;
    a_.op3(kOps[uint8_t(op)] | op::kWide, kValue, dst, v);
  }
  a_.op3(sized(kStlxr, width), result, kScratch, kAddress);
  a_.branch_words_if_not_zero(kAddress, op == Rmw::Exchange ? -2 : -3);
  done_address(base);
  release(value);
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

void BaselineCompiler::Impl::atomic_cmpxchg(const Instr& in, unsigned width, bool wide) {
  Operand replacement = pop(), expected = pop(), base = pop();
  const uint8_t value = use_gpr(replacement), x = use_gpr(expected);
  check_alignment(in, base, width);
  a_.load_address(kScratch, address(in, base, width));
  const uint8_t dst = alloc_gpr();
  a_.op2(sized(kLdaxr, width), dst, kScratch);
  // With the low bits of what is expected.
  constexpr uint32_t kExtended = 1u << 21;
  a_.op3(op::kSubs | op::kWide | kExtended | Machine::log2_of(width) << 13, kZero, dst, x);
  a_.branch_words(Cond::NotEqual, 3);
  a_.op3(sized(kStlxr, width), value, kScratch, kAddress);
  a_.branch_words_if_not_zero(kAddress, -4);
  done_address(base);
  release(expected);
  release(replacement);
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

}  // namespace wafer::compiler
