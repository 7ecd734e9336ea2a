// Numeric instructions on scalars (spec 4.3).
#include <bit>
#include <cmath>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

using Plain = Machine::Plain;

Source BaselineCompiler::Impl::source(Operand& o) {
  if (o.kind == Kind::Const) {
    const auto value = int64_t(o.value);
    if (!is_wide(o.type)) return {Source::Kind::Imm, 0, int32_t(uint32_t(o.value)), {}};
    if (value == int32_t(value)) return {Source::Kind::Imm, 0, int32_t(value), {}};
  } else if (in_memory(o)) {
    return {Source::Kind::Mem, 0, 0, home(o)};
  }
  return {Source::Kind::Reg, use_gpr(o), 0, {}};
}

void BaselineCompiler::Impl::alu(Alu op, bool wide) {
  switch (op) {
    case Alu::Add:
      return alu_plain({Inst::kIdAdd, 0x01}, wide, true);
    case Alu::Sub:
      return alu_plain({Inst::kIdSub, 0x29}, wide, false);
    case Alu::Mul:
      return alu_plain({Inst::kIdImul, 0}, wide, true);
    case Alu::And:
      return alu_plain({Inst::kIdAnd, 0x21}, wide, true);
    case Alu::Or:
      return alu_plain({Inst::kIdOr, 0x09}, wide, true);
    case Alu::Xor:
      return alu_plain({Inst::kIdXor, 0x31}, wide, true);
  }
}

// A sum of a local's register and a constant or another's, to a third register at once.
bool BaselineCompiler::Impl::sum_of_local(Plain op, bool wide, const Operand& a, const Operand& b) {
  const bool sub = op.inst == Inst::kIdSub;
  const Operand x = in_register(a), y = in_register(b);
  if ((op.inst != Inst::kIdAdd && !sub) || a.kind != Kind::Local || x.kind != Kind::Gpr)
    return false;
  const bool both = b.kind == Kind::Local && y.kind == Kind::Gpr && !sub;
  const auto value = wide ? int64_t(b.value) : int64_t(int32_t(uint32_t(b.value)));
  if (!both && (b.kind != Kind::Const || value != int32_t(value) || value == INT32_MIN))
    return false;
  const uint8_t dst = result_gpr();
  if (dst == x.reg) return false;
  const auto base = gp(x.reg, true);
  a_.lea(gp(dst, wide),
         both ? x86::ptr(base, gp(y.reg, true)) : x86::ptr(base, int32_t(sub ? -value : value)));
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
  return true;
}

void BaselineCompiler::Impl::sum(bool wide, uint32_t shift, int32_t constant) {
  Operand b = pop(), a = pop();
  const uint8_t x = use_gpr(a), y = use_gpr(b);
  release(a);
  release(b);
  const uint8_t dst = result_gpr();
  a_.add_scaled(dst, x, y, shift, wide, constant);
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

// For the first operand of an instruction that changes it and commutes, whether `b` is better than
// `a`: because it is in the register that the result goes to, or else in one of its own.
bool BaselineCompiler::Impl::is_better_first(const Operand& a, const Operand& b, uint8_t to) const {
  if (to != kNoRegister && a.kind == Kind::Local && local_reg_[a.local] == to) return false;
  if (to != kNoRegister && b.kind == Kind::Local && local_reg_[b.local] == to) return true;
  const auto owned = [](const Operand& o) { return o.kind == Kind::Gpr || o.kind == Kind::Fpr; };
  return !owned(a) && (owned(b) || a.kind == Kind::Const);
}

// a OP b for the two-operand instructions of the processor. A code of 0: imul, whose forms
// are others.
void BaselineCompiler::Impl::alu_plain(Plain op, bool wide, bool commutes) {
  Operand b = pop(), a = pop();
  uint8_t to = target(false);
  const bool result_in_b = driven_ && b.kind == Kind::Gpr && b.reg == wanted_ && !wanted_fpr_;
  if (commutes && (result_in_b || is_better_first(a, b, to))) std::swap(a, b);
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  if (sum_of_local(op, wide, a, b)) return;
  if (op.inst == Inst::kIdAnd && b.kind == Kind::Const && (b.value == 0xFF || b.value == 0xFFFF) &&
      !in_memory(a)) {
    const uint8_t src = use_gpr(a);
    const uint8_t dst = to != kNoRegister ? to : a.kind == Kind::Gpr ? src : alloc_gpr();
    if (b.value == 0xFF) {
      a_.movzx(gp(dst, false), x86::gpb_lo(src));
    } else {
      a_.movzx(gp(dst, false), x86::gpw(src));
    }
    if (dst != src) release(a);
    push_gpr(type, dst);
    return;
  }
  // A constant that takes a register may as well be made in that of the result.
  if (commutes && b.kind == Kind::Const && wide && int64_t(b.value) != int32_t(b.value) &&
      a.kind != Kind::Gpr && !in_memory(a))
    std::swap(a, b);
  if (a.kind == Kind::Gpr) to = kNoRegister;
  const Source s = source(b);
  uint8_t dst;
  if (to != kNoRegister &&
      (s.kind != Source::Kind::Reg || s.reg != to || in_register(a).reg == to)) {
    load_gpr(dst = to, a);
  } else {
    dst = own_gpr(a);
  }
  switch (s.kind) {
    case Source::Kind::Reg:
      if (op.code) {
        a_.op_reg(op, wide, dst, s.reg);
      } else {
        a_.emit(op.inst, gp(dst, wide), gp(s.reg, wide));
      }
      break;
    case Source::Kind::Mem:
      if (op.code) {
        a_.op_frame(op, wide, dst, s.mem, false);
      } else {
        a_.emit(op.inst, gp(dst, wide), s.mem);
      }
      break;
    case Source::Kind::Imm:
      if (op.code) {
        a_.op_imm(op, wide, dst, s.imm);
      } else {
        a_.imul(gp(dst, wide), gp(dst, wide), s.imm);
      }
      break;
  }
  release(b);
  push_gpr(type, dst);
  if (driven_ && op.code) {
    flags_at_ = a_.offset();
    flags_reg_ = dst;
    flags_wide_ = wide;
    flags_as_test_ = op.inst != Inst::kIdAdd && op.inst != Inst::kIdSub;
  }
}

void BaselineCompiler::Impl::compare(bool wide, Cond cond) {
  Operand b = pop(), a = pop();
  if (a.kind == Kind::Const && b.kind != Kind::Const) {
    std::swap(a, b);
    switch (cond) {
      case Cond::Below:
        cond = Cond::Above;
        break;
      case Cond::Above:
        cond = Cond::Below;
        break;
      case Cond::BelowEqual:
        cond = Cond::AboveEqual;
        break;
      case Cond::AboveEqual:
        cond = Cond::BelowEqual;
        break;
      case Cond::Less:
        cond = Cond::Greater;
        break;
      case Cond::Greater:
        cond = Cond::Less;
        break;
      case Cond::LessEqual:
        cond = Cond::GreaterEqual;
        break;
      case Cond::GreaterEqual:
        cond = Cond::LessEqual;
        break;
      default:
        break;
    }
  }
  const Source s = source(b);
  if (in_memory(a) && s.kind != Source::Kind::Mem) {
    Mem m = home(a);
    m.setSize(wide ? 8 : 4);
    if (s.kind == Source::Kind::Imm) {
      a_.cmp(m, s.imm);
    } else {
      a_.op_frame(Machine::kCmp, wide, s.reg, m, true);
    }
  } else {
    const uint8_t x = use_gpr(a);
    switch (s.kind) {
      case Source::Kind::Reg:
        a_.op_reg(Machine::kCmp, wide, x, s.reg);
        break;
      case Source::Kind::Mem:
        a_.op_frame(Machine::kCmp, wide, x, s.mem, false);
        break;
      case Source::Kind::Imm:
        if (s.imm == 0 && flags_at_ == a_.offset() && flags_reg_ == x && flags_wide_ == wide &&
            (flags_as_test_ || cond == Cond::Equal || cond == Cond::NotEqual)) {
          // The flags are so already.
        } else if (s.imm == 0) {
          a_.op_reg({Inst::kIdTest, 0x85}, wide, x, x);
        } else {
          a_.op_imm(Machine::kCmp, wide, x, s.imm);
        }
        break;
    }
  }
  release(a);
  release(b);
  push_flags(cond);
}

void BaselineCompiler::Impl::shift(Shift op, bool wide) {
  static constexpr InstId kPlain[] = {Inst::kIdShl, Inst::kIdSar, Inst::kIdShr, Inst::kIdRol,
                                      Inst::kIdRor};
  static constexpr InstId kBmi2[] = {Inst::kIdShlx, Inst::kIdSarx, Inst::kIdShrx, Inst::kIdNone,
                                     Inst::kIdNone};
  const InstId inst = kPlain[uint8_t(op)], bmi2 = kBmi2[uint8_t(op)];
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  Operand b = pop(), a = pop();
  if (b.kind == Kind::Const) {
    const uint8_t to = a.kind == Kind::Gpr ? kNoRegister : target(false);
    const uint8_t dst = to == kNoRegister ? own_gpr(a) : to;
    load_gpr(dst, a);
    a_.emit(inst, gp(dst, wide), asmjit::Imm(int(b.value & (wide ? 63 : 31))));
    push_gpr(type, dst);
    return;
  }
  if (a_.has_bmi2 && bmi2 != Inst::kIdNone) {
    const uint8_t count = use_gpr(b);
    if (in_memory(a)) {
      const uint8_t dst = alloc_gpr();
      a_.emit(bmi2, gp(dst, wide), home(a), gp(count, wide));
      release(b);
      push_gpr(type, dst);
      return;
    }
    const uint8_t src = use_gpr(a);
    const uint8_t dst = a.kind == Kind::Gpr ? src : alloc_gpr();
    a_.emit(bmi2, gp(dst, wide), gp(src, wide), gp(count, wide));
    release(b);
    push_gpr(type, dst);
    return;
  }
  // The count has to be in cl.
  if (!(b.kind == Kind::Gpr && b.reg == kRcx)) {
    if (a.kind == Kind::Gpr && a.reg == kRcx) {
      const uint8_t other = alloc_gpr();
      a_.mov(gp(other, true), x86::rcx);
      a.reg = other;
    } else {
      claim_gpr(kRcx);
    }
    load_gpr(kRcx, b);
    release(b);
  }
  const uint8_t dst = own_gpr(a);
  a_.emit(inst, gp(dst, wide), x86::cl);
  free_gpr(kRcx);
  push_gpr(type, dst);
}

void BaselineCompiler::Impl::divide(bool wide, bool is_signed, bool rem) {
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  // Operands in rax and rdx move out of the way, the dividend back in.
  claim_gpr(kRax);
  claim_gpr(kRdx);
  Operand b = pop(), a = pop();
  const bool known = b.kind == Kind::Const;
  const uint64_t divisor = wide ? b.value : uint32_t(b.value);
  const uint64_t minus_one = wide ? ~uint64_t{0} : 0xFFFFFFFFu;
  const uint8_t y = use_gpr(b);
  load_gpr(kRax, a);
  release(a);
  if (!known || divisor == 0) {
    a_.test(gp(y, wide), gp(y, wide));
    a_.branch(Cond::Equal, trap(TrapCode::IntegerDivideByZero));
  }
  const Label done = a_.newLabel();
  if (!is_signed) {
    a_.xor_(x86::edx, x86::edx);
    a_.div(gp(y, wide));
  } else {
    if (!known || divisor == minus_one) {
      const Label usual = a_.newLabel();
      a_.cmp(gp(y, wide), -1);
      a_.branch(Cond::NotEqual, usual);
      if (rem) {
        a_.xor_(x86::edx, x86::edx);
        a_.jmp(done);
      } else {
        a_.neg(gp(kRax, wide));
        a_.branch(Cond::Overflow, trap(TrapCode::IntegerOverflow));
        a_.jmp(done);
      }
      a_.bind(usual);
    }
    if (wide) {
      a_.cqo();
    } else {
      a_.cdq();
    }
    a_.idiv(gp(y, wide));
  }
  a_.bind(done);
  release(b);
  free_gpr(kRax);
  free_gpr(kRdx);
  push_gpr(type, rem ? kRdx : kRax);
}

void BaselineCompiler::Impl::count_bits(Opcode op, bool wide) {
  using enum Opcode;
  Operand a = pop();
  const uint8_t src = use_gpr(a);
  release(a);
  const uint8_t dst = alloc_gpr();
  const bool clz = op == I32Clz || op == I64Clz, ctz = op == I32Ctz || op == I64Ctz;
  const int bits = wide ? 64 : 32;
  if (!clz && !ctz) {
    a_.popcnt(gp(dst, wide), gp(src, wide));
  } else if (clz && a_.has_lzcnt) {
    a_.lzcnt(gp(dst, wide), gp(src, wide));
  } else if (ctz && a_.has_bmi1) {
    a_.tzcnt(gp(dst, wide), gp(src, wide));
  } else if (ctz) {
    a_.bsf(gp(dst, wide), gp(src, wide));
    a_.mov(gp(kScratch, false), bits);
    a_.cmovz(gp(dst, wide), gp(kScratch, wide));
  } else {
    a_.bsr(gp(dst, wide), gp(src, wide));
    a_.mov(gp(kScratch, false), 2 * bits - 1);
    a_.cmovz(gp(dst, wide), gp(kScratch, wide));
    a_.xor_(gp(dst, wide), bits - 1);
  }
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

// Sign extension from the low `bits`.
void BaselineCompiler::Impl::extend(unsigned bits, ValType to) {
  const InstId inst = bits == 32 ? Inst::kIdMovsxd : Inst::kIdMovsx;
  Operand a = pop();
  const bool wide = is_wide(to);
  if (in_memory(a)) {
    const uint8_t dst = alloc_gpr();
    Mem m = home(a);
    m.setSize(bits / 8);
    a_.emit(inst, gp(dst, wide), m);
    push_gpr(to, dst);
    return;
  }
  const uint8_t src = use_gpr(a);
  const uint8_t dst = a.kind == Kind::Gpr ? src : alloc_gpr();
  switch (bits) {
    case 8:
      a_.emit(inst, gp(dst, wide), x86::gpb_lo(src));
      break;
    case 16:
      a_.emit(inst, gp(dst, wide), x86::gpw(src));
      break;
    default:
      a_.emit(inst, gp(dst, wide), gp(src, false));
  }
  push_gpr(to, dst);
}

void BaselineCompiler::Impl::float_binary(FloatOp op, ValType type) {
  static constexpr InstId kSingle[] = {Inst::kIdAddss, Inst::kIdSubss, Inst::kIdMulss,
                                       Inst::kIdDivss};
  static constexpr InstId kDouble[] = {Inst::kIdAddsd, Inst::kIdSubsd, Inst::kIdMulsd,
                                       Inst::kIdDivsd};
  float_binary_inst((type.kind() == TypeKind::F32 ? kSingle : kDouble)[uint8_t(op)], type,
                    op == FloatOp::Add || op == FloatOp::Mul);
}

void BaselineCompiler::Impl::float_binary_inst(InstId inst, ValType type, bool commutes) {
  Operand b = pop(), a = pop();
  uint8_t to = target(true);
  if (const InstId three = a_.three_operands(inst); three != Inst::kIdNone)
    return float_three(three, type, commutes, to, a, b);
  if (commutes && is_better_first(a, b, to)) std::swap(a, b);
  if (a.kind == Kind::Fpr) to = kNoRegister;
  uint8_t dst;
  if (to != kNoRegister &&
      (in_register(b).kind != Kind::Fpr || in_register(b).reg != to || in_register(a).reg == to)) {
    load_fpr(dst = to, a);
  } else {
    dst = own_fpr(a);
  }
  if (type.kind() == TypeKind::V128) {
    a_.emit(inst, xmm(dst), xmm(use_fpr(b)));
  } else if (in_memory(b)) {
    a_.emit(inst, xmm(dst), home(b));
  } else if (b.kind == Kind::Const) {
    a_.emit(inst, xmm(dst), pooled(b));
  } else {
    a_.emit(inst, xmm(dst), xmm(use_fpr(b)));
  }
  release(b);
  push_fpr(type, dst);
}

// The same to any register, which are `to` (or none) and those that the operands have for their
// own.
void BaselineCompiler::Impl::float_three(InstId inst, ValType type, bool commutes, uint8_t to,
                                         Operand a, Operand b) {
  const bool in_place = b.kind != Kind::Const && !in_memory(b);
  if (commutes && in_place && (a.kind == Kind::Const || in_memory(a))) std::swap(a, b);
  const uint8_t x = use_fpr(a);
  uint8_t y = kNoRegister;
  Mem m;
  if (in_memory(b)) {
    m = home(b);
  } else if (b.kind == Kind::Const) {
    m = pooled(b);
  } else {
    y = use_fpr(b);
  }
  release(a);
  release(b);
  const bool own_a = a.kind == Kind::Fpr, own_b = b.kind == Kind::Fpr;
  uint8_t dst = to;
  if (dst == kNoRegister) {
    const bool second = own_b && (!own_a || (wanted_fpr_ && b.reg == wanted_));
    dst = second ? b.reg : own_a ? a.reg : alloc_fpr();
  }
  if (y == kNoRegister) {
    a_.emit(inst, xmm(dst), xmm(x), m);
  } else {
    a_.emit(inst, xmm(dst), xmm(x), xmm(y));
  }
  push_fpr(type, dst);
}

void BaselineCompiler::Impl::float_compare(FloatCompare op, ValType type) {
  Operand b = pop(), a = pop();
  if (op == FloatCompare::Less || op == FloatCompare::LessEqual) std::swap(a, b);
  Cond cond = Cond::AboveEqual;
  if (op == FloatCompare::Equal) cond = Cond::FloatEqual;
  if (op == FloatCompare::NotEqual) cond = Cond::FloatNotEqual;
  if (op == FloatCompare::Less || op == FloatCompare::Greater) cond = Cond::Above;
  const uint8_t x = use_fpr(a);
  const InstId inst = type.kind() == TypeKind::F32 ? Inst::kIdUcomiss : Inst::kIdUcomisd;
  if (in_memory(b)) {
    a_.emit(inst, xmm(x), home(b));
  } else if (b.kind == Kind::Const) {
    a_.emit(inst, xmm(x), pooled(b));
  } else {
    a_.emit(inst, xmm(x), xmm(use_fpr(b)));
  }
  release(a);
  release(b);
  push_flags(cond);
}

void BaselineCompiler::Impl::float_min_max(ValType type, bool max) {
  const bool f32 = type.kind() == TypeKind::F32;
  Operand b = pop(), a = pop();
  const uint8_t x = own_fpr(a), y = use_fpr(b);
  const Label differ = a_.newLabel(), nan = a_.newLabel(), done = a_.newLabel();
  if (f32) {
    a_.ucomiss(xmm(x), xmm(y));
  } else {
    a_.ucomisd(xmm(x), xmm(y));
  }
  a_.jne(differ);
  a_.jp(nan);
  // Equal: only zeros of different signs matter.
  if (max) {
    a_.andps(xmm(x), xmm(y));
  } else {
    a_.orps(xmm(x), xmm(y));
  }
  a_.jmp(done);
  a_.bind(nan);
  a_.emit(f32 ? Inst::kIdAddss : Inst::kIdAddsd, xmm(x), xmm(y));
  a_.jmp(done);
  a_.bind(differ);
  a_.emit(f32 ? (max ? Inst::kIdMaxss : Inst::kIdMinss) : (max ? Inst::kIdMaxsd : Inst::kIdMinsd),
          xmm(x), xmm(y));
  a_.bind(done);
  release(b);
  push_fpr(type, x);
}

void BaselineCompiler::Impl::round(ValType type, Rounding rounding) {
  const auto mode = int(rounding);
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  if (type.kind() == TypeKind::F32) {
    a_.roundss(xmm(x), xmm(x), mode | 8);
  } else {
    a_.roundsd(xmm(x), xmm(x), mode | 8);
  }
  push_fpr(type, x);
}

void BaselineCompiler::Impl::float_unary(Opcode op, ValType type) {
  using enum Opcode;
  const bool f32 = type.kind() == TypeKind::F32;
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  const auto mask = xmm(kScratchFpr);
  switch (op) {
    case F32Sqrt:
      a_.sqrtss(xmm(x), xmm(x));
      break;
    case F64Sqrt:
      a_.sqrtsd(xmm(x), xmm(x));
      break;
    case F32Abs:
    case F64Abs:
      a_.pcmpeqd(mask, mask);
      if (f32) {
        a_.psrld(mask, 1);
      } else {
        a_.psrlq(mask, 1);
      }
      a_.andps(xmm(x), mask);
      break;
    default:  // negation
      a_.pcmpeqd(mask, mask);
      if (f32) {
        a_.pslld(mask, 31);
      } else {
        a_.psllq(mask, 63);
      }
      a_.xorps(xmm(x), mask);
  }
  push_fpr(type, x);
}

void BaselineCompiler::Impl::copysign(ValType type) {
  const bool f32 = type.kind() == TypeKind::F32;
  Operand b = pop(), a = pop();
  const uint8_t x = own_fpr(a), y = own_fpr(b);
  const auto mask = xmm(kScratchFpr);
  a_.pcmpeqd(mask, mask);
  if (f32) {
    a_.pslld(mask, 31);
  } else {
    a_.psllq(mask, 63);
  }
  a_.andps(xmm(y), mask);
  a_.andnps(mask, xmm(x));
  a_.orps(mask, xmm(y));
  a_.movaps(xmm(x), mask);
  release(b);
  push_fpr(type, x);
}

void BaselineCompiler::Impl::float_const(uint8_t dst, ValType type, double value) {
  Operand o;
  o.kind = Kind::Const;
  o.type = type;
  o.value = type.kind() == TypeKind::F32 ? std::bit_cast<uint32_t>(float(value))
                                         : std::bit_cast<uint64_t>(value);
  load_fpr(dst, o);
}

// Float to integer. Valid inputs lie between the bounds: low is exclusive where the float
// type holds the integer below the least one, otherwise inclusive; high is exclusive.
void BaselineCompiler::Impl::truncate(ValType from, ValType to, bool is_signed, bool saturate) {
  const bool f32 = from.kind() == TypeKind::F32, wide = is_wide(to);
  const double high = std::ldexp(1.0, (wide ? 64 : 32) - (is_signed ? 1 : 0));
  double low = is_signed ? -high : -1.0;
  bool exclusive = !is_signed;
  if (is_signed && !wide && !f32) {
    low -= 1;
    exclusive = true;
  }
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  const uint8_t dst = alloc_gpr();
  const auto bound = xmm(kScratchFpr);
  const InstId ucomi = f32 ? Inst::kIdUcomiss : Inst::kIdUcomisd;
  const InstId cvtt = f32 ? Inst::kIdCvttss2si : Inst::kIdCvttsd2si;
  const Label done = a_.newLabel(), fits_low = a_.newLabel(), fits = a_.newLabel();
  a_.emit(ucomi, xmm(x), xmm(x));
  if (saturate) {
    const Label number = a_.newLabel();
    a_.jnp(number);
    a_.load_imm(dst, 0);
    a_.jmp(done);
    a_.bind(number);
  } else {
    a_.branch(Cond::Parity, trap(TrapCode::InvalidConversion));
  }
  float_const(kScratchFpr, from, low);
  a_.emit(ucomi, xmm(x), bound);
  const Cond above_low = exclusive ? Cond::Above : Cond::AboveEqual;
  if (saturate) {
    a_.branch(above_low, fits_low);
    a_.load_imm(dst, !is_signed ? 0 : wide ? uint64_t{1} << 63 : uint64_t{1} << 31);
    a_.jmp(done);
    a_.bind(fits_low);
  } else {
    a_.branch(negate(above_low), trap(TrapCode::IntegerOverflow));
  }
  float_const(kScratchFpr, from, high);
  a_.emit(ucomi, xmm(x), bound);
  if (saturate) {
    a_.branch(Cond::Below, fits);
    a_.load_imm(dst, is_signed ? (wide ? ~uint64_t{0} >> 1 : 0x7FFFFFFFu)
                               : (wide ? ~uint64_t{0} : 0xFFFFFFFFu));
    a_.jmp(done);
    a_.bind(fits);
  } else {
    a_.branch(Cond::AboveEqual, trap(TrapCode::IntegerOverflow));
  }
  if (is_signed) {
    a_.emit(cvtt, gp(dst, wide), xmm(x));
  } else if (!wide) {
    a_.emit(cvtt, gp(dst, true), xmm(x));
  } else {
    // The upper half of the range goes through a subtraction.
    const Label small = a_.newLabel();
    float_const(kScratchFpr, from, std::ldexp(1.0, 63));
    a_.emit(ucomi, xmm(x), bound);
    a_.jb(small);
    a_.emit(f32 ? Inst::kIdSubss : Inst::kIdSubsd, xmm(x), bound);
    a_.emit(cvtt, gp(dst, true), xmm(x));
    a_.btc(gp(dst, true), 63);
    a_.jmp(done);
    a_.bind(small);
    a_.emit(cvtt, gp(dst, true), xmm(x));
  }
  a_.bind(done);
  free_fpr(x);
  push_gpr(to, dst);
}

void BaselineCompiler::Impl::to_float(ValType from, ValType to, bool is_signed) {
  const bool f32 = to.kind() == TypeKind::F32, wide = is_wide(from);
  const InstId cvt = f32 ? Inst::kIdCvtsi2ss : Inst::kIdCvtsi2sd;
  Operand a = pop();
  const uint8_t x = alloc_fpr();
  // The conversion keeps the upper bits; clearing them first breaks a false dependency.
  a_.xorps(xmm(x), xmm(x));
  if (is_signed || !wide) {
    const uint8_t src = use_gpr(a);
    a_.emit(cvt, xmm(x), gp(src, wide || !is_signed));
  } else {
    const uint8_t src = own_gpr(a);
    const Label large = a_.newLabel(), done = a_.newLabel();
    a_.test(gp(src, true), gp(src, true));
    a_.js(large);
    a_.emit(cvt, xmm(x), gp(src, true));
    a_.jmp(done);
    a_.bind(large);
    // Half of it, with the lost bit kept for rounding.
    a_.mov(gp(kScratch, true), gp(src, true));
    a_.and_(gp(kScratch, false), 1);
    a_.shr(gp(src, true), 1);
    a_.or_(gp(src, true), gp(kScratch, true));
    a_.emit(cvt, xmm(x), gp(src, true));
    a_.emit(f32 ? Inst::kIdAddss : Inst::kIdAddsd, xmm(x), xmm(x));
    a_.bind(done);
  }
  release(a);
  push_fpr(to, x);
}

void BaselineCompiler::Impl::wide_arithmetic(const Instr& in) {
  using enum Opcode;
  if (in.op == I64Add128 || in.op == I64Sub128) {
    Operand bh = pop(), bl = pop(), ah = pop(), al = pop();
    const bool add = in.op == I64Add128;
    const uint8_t low = own_gpr(al), high = own_gpr(ah);
    const uint8_t x = use_gpr(bl), y = use_gpr(bh);
    a_.emit(add ? Inst::kIdAdd : Inst::kIdSub, gp(low, true), gp(x, true));
    a_.emit(add ? Inst::kIdAdc : Inst::kIdSbb, gp(high, true), gp(y, true));
    release(bl);
    release(bh);
    push_gpr(wasm::kI64, low);
    push_gpr(wasm::kI64, high);
    return;
  }
  claim_gpr(kRax);
  claim_gpr(kRdx);
  Operand b = pop(), a = pop();
  const uint8_t y = use_gpr(b);
  load_gpr(kRax, a);
  release(a);
  if (in.op == I64MulWideS) {
    a_.imul(gp(y, true));
  } else {
    a_.mul(gp(y, true));
  }
  release(b);
  push_gpr(wasm::kI64, kRax);
  push_gpr(wasm::kI64, kRdx);
}

void BaselineCompiler::Impl::convert_float(bool demote) {
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  if (demote) {
    a_.cvtsd2ss(xmm(x), xmm(x));
  } else {
    a_.cvtss2sd(xmm(x), xmm(x));
  }
  push_fpr(demote ? wasm::kF32 : wasm::kF64, x);
}

void BaselineCompiler::Impl::select() {
  // Operands are loaded before the flags are set, unless they come in the flags.
  const bool live = flags_;
  const ValType type = top(2).type.is_bot() ? top(1).type : top(2).type;
  if (is_fpr(type)) {
    Cond cond = pop_cond();
    Operand b = pop(), a = pop();
    const uint8_t x = own_fpr(a), y = use_fpr(b);
    const Label done = a_.newLabel();
    a_.branch(cond, done);
    a_.move_fpr(x, y);
    a_.bind(done);
    release(b);
    push_fpr(type, x);
    return;
  }
  Operand c{};
  Cond cond = Cond::NotEqual;
  if (live) {
    cond = pop_cond();
  } else {
    c = pop();
  }
  Operand b = pop(), a = pop();
  const uint8_t x = own_gpr(a);
  // A choice by a pair of conditions is a branch.
  const bool branch = select_by_branch_ || cond == Cond::FloatEqual || cond == Cond::FloatNotEqual;
  if (!live) {
    if (in_memory(c)) {
      a_.test_zero(home(c), false);
    } else {
      a_.test_zero(use_gpr(c), false);
    }
    release(c);
  }
  if (branch) {
    const Label done = a_.newLabel();
    a_.branch(cond, done);
    load_gpr(x, b);
    a_.bind(done);
  } else {
    static constexpr InstId kMove[] = {
        Inst::kIdCmovo, Inst::kIdCmovno, Inst::kIdCmovb,  Inst::kIdCmovae,
        Inst::kIdCmove, Inst::kIdCmovne, Inst::kIdCmovbe, Inst::kIdCmova,
        Inst::kIdCmovs, Inst::kIdCmovns, Inst::kIdCmovp,  Inst::kIdCmovnp,
        Inst::kIdCmovl, Inst::kIdCmovge, Inst::kIdCmovle, Inst::kIdCmovg};
    const InstId move = kMove[uint8_t(negate(cond))];
    const bool wide = is_wide(type);
    if (in_memory(b)) {
      a_.emit(move, gp(x, wide), home(b));
    } else {
      a_.emit(move, gp(x, wide), gp(use_gpr(b), wide));
    }
  }
  release(b);
  push_gpr(type, x);
}

void BaselineCompiler::Impl::jump_to_one_of(uint8_t index, Vec<Label>&& targets) {
  Table& t = tables_.emplace_back();
  t.label = a_.newLabel();
  t.targets = std::move(targets);
  a_.lea(gp(kScratch, true), x86::ptr(t.label));
  a_.movsxd(x86::gpq(index), x86::dword_ptr(gp(kScratch, true), gp(index, true), 2));
  a_.add(gp(index, true), gp(kScratch, true));
  a_.jmp(gp(index, true));
}

}  // namespace wafer::compiler
