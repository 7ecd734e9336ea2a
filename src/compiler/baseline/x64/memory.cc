// Addresses of memory accesses, and atomic accesses.
#include <utility>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

// Checks an access of `width` bytes where that is needed, and gives its operand. `base`
// has been popped; the scratch register is taken until done_address().
Mem BaselineCompiler::Impl::address(const Instr& in, Operand& base, unsigned width) {
  const bool is64 = module_.memories[in.index].type.limits.is64;
  address_temp_ = kNoRegister;
  mark();
  if (guarded(in.index)) {
    const bool near = in.offset <= 0x7FFFFFFF;
    uint8_t origin = kMemory0;
    if (in.index != 0) {
      origin = alloc_gpr();
      address_temp_ = origin;
      load_memory(origin, in.index);
      a_.mov(gp(origin, true), at(origin, layout::kMemoryBase));
    }
    if (base.kind == Kind::Const) {
      const uint64_t ea = uint32_t(base.value) + in.offset;
      if (ea <= 0x7FFFFFFF) return at(origin, int64_t(ea));
      a_.load_imm(kScratch, ea);
      return x86::ptr(gp(origin, true), gp(kScratch, true));
    }
    const uint8_t index = use_gpr(base);
    const uint32_t shift = std::exchange(index_shift_, 0);
    if (near) return x86::ptr(gp(origin, true), gp(index, true), shift, int32_t(in.offset));
    a_.load_imm(kScratch, in.offset);
    a_.add(gp(kScratch, true), gp(index, true));
    return x86::ptr(gp(origin, true), gp(kScratch, true));
  }
  const uint8_t index = use_gpr(base);
  const uint64_t end = in.offset + width;
  const Label out = trap(TrapCode::MemoryOutOfBounds);
  // r11: where the access ends.
  if (!is64 && end <= 0x7FFFFFFF) {
    a_.lea(gp(kScratch, true), at(index, int64_t(end)));
  } else {
    if (end < width) a_.jmp(out);
    a_.load_imm(kScratch, end);
    a_.add(gp(kScratch, true), gp(index, true));
    if (is64) a_.branch(Cond::Below, out);
  }
  const uint8_t memory = alloc_gpr();
  address_temp_ = memory;
  load_memory(memory, in.index);
  a_.cmp(gp(kScratch, true), at(memory, layout::kMemorySize));
  a_.branch(Cond::Above, out);
  a_.mov(gp(memory, true), at(memory, layout::kMemoryBase));
  return x86::ptr(gp(memory, true), gp(kScratch, true), 0, -int32_t(width));
}

void BaselineCompiler::Impl::atomic_cmpxchg(const Instr& in, unsigned width, bool wide) {
  Operand replacement = pop(), expected = pop(), base = pop();
  if (expected.kind == Kind::Gpr && expected.reg == kRax) {
    gpr_owner_[kRax] = kNone;
  } else {
    // The operands popped may be in rax themselves.
    Operand* held = base.kind == Kind::Gpr && base.reg == kRax                 ? &base
                    : replacement.kind == Kind::Gpr && replacement.reg == kRax ? &replacement
                                                                               : nullptr;
    if (held) {
      const uint8_t other = alloc_gpr();
      a_.mov(gp(other, true), x86::rax);
      held->reg = other;
    } else {
      claim_gpr(kRax);
    }
    load_gpr(kRax, expected);
    release(expected);
  }
  const uint8_t value = use_gpr(replacement);
  check_alignment(in, base, width);
  const Mem m = address(in, base, width);
  // It compares no more of rax than the access is wide.
  a_.lock();
  switch (width) {
    case 1:
      a_.cmpxchg(m, x86::gpb_lo(value));
      a_.movzx(x86::eax, x86::al);
      break;
    case 2:
      a_.cmpxchg(m, x86::gpw(value));
      a_.movzx(x86::eax, x86::ax);
      break;
    case 4:
      a_.cmpxchg(m, gp(value, false));
      a_.mov(x86::eax, x86::eax);
      break;
    default:
      a_.cmpxchg(m, gp(value, true));
  }
  done_address(base);
  release(replacement);
  push_gpr(wide ? wasm::kI64 : wasm::kI32, kRax);
}

void BaselineCompiler::Impl::atomic_rmw(const Instr& in, unsigned width, bool wide, Rmw op) {
  Operand value = pop(), base = pop();
  const bool loop = op == Rmw::And || op == Rmw::Or || op == Rmw::Xor;
  const auto sized = [&](uint8_t reg) -> x86::Gp {
    switch (width) {
      case 1:
        return x86::gpb_lo(reg);
      case 2:
        return x86::gpw(reg);
      default:
        return gp(reg, width == 8);
    }
  };
  const auto zero_extend = [&](uint8_t reg) {
    if (width < 4) a_.movzx(gp(reg, false), sized(reg));
    if (width == 4) a_.mov(gp(reg, false), gp(reg, false));
  };
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  if (loop) {
    Operand* held = base.kind == Kind::Gpr && base.reg == kRax     ? &base
                    : value.kind == Kind::Gpr && value.reg == kRax ? &value
                                                                   : nullptr;
    if (held) {
      const uint8_t other = alloc_gpr();
      a_.mov(gp(other, true), x86::rax);
      held->reg = other;
    } else {
      claim_gpr(kRax);
    }
  }
  const uint8_t v = loop ? use_gpr(value) : own_gpr(value);
  check_alignment(in, base, width);
  Mem m = address(in, base, width);
  m.setSize(width);
  switch (op) {
    case Rmw::Sub:
      a_.neg(gp(v, true));
      [[fallthrough]];
    case Rmw::Add:
      a_.lock().xadd(m, sized(v));
      break;
    case Rmw::Exchange:
      a_.xchg(m, sized(v));
      break;
    default: {
      const uint8_t t = alloc_gpr();
      a_.mov(sized(kRax), m);
      const Label again = a_.newLabel();
      a_.bind(again);
      a_.mov(gp(t, true), x86::rax);
      a_.emit(op == Rmw::And  ? Inst::kIdAnd
              : op == Rmw::Or ? Inst::kIdOr
                              : Inst::kIdXor,
              gp(t, true), gp(v, true));
      a_.lock().cmpxchg(m, sized(t));
      a_.jne(again);
      free_gpr(t);
    }
  }
  done_address(base);
  if (loop) {
    release(value);
    zero_extend(kRax);
    push_gpr(type, kRax);
  } else {
    zero_extend(v);
    push_gpr(type, v);
  }
}

void BaselineCompiler::Impl::atomic_load(const Instr& in, unsigned width, ValType type) {
  Operand base = pop();
  check_alignment(in, base, width);
  const Mem m = address(in, base, width);
  done_address(base);
  const uint8_t dst = alloc_gpr();
  a_.load_narrow(dst, m, width, false, is_wide(type));
  push_gpr(type, dst);
}

void BaselineCompiler::Impl::atomic_store(const Instr& in, unsigned width) {
  Operand value = pop(), base = pop();
  const uint8_t v = own_gpr(value);
  check_alignment(in, base, width);
  const Mem m = address(in, base, width);
  switch (width) {
    case 1:
      a_.xchg(m, x86::gpb_lo(v));
      break;
    case 2:
      a_.xchg(m, x86::gpw(v));
      break;
    default:
      a_.xchg(m, gp(v, width == 8));
  }
  done_address(base);
  release(value);
}

}  // namespace wafer::compiler
