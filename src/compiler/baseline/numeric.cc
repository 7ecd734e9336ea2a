// Numeric instructions on scalars (spec 4.3).
#include <bit>
#include <cmath>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

// a OP b for the two-operand instructions of the processor. A code of 0: imul, whose forms
// are others.
void BaselineCompiler::Impl::alu(Plain op, bool wide, bool commutes) {
  Operand b = pop(), a = pop();
  if (commutes && a.kind != Kind::Gpr && (b.kind == Kind::Gpr || a.kind == Kind::Const))
    std::swap(a, b);
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  const uint8_t dst = own_gpr(a);
  const Source s = source(b);
  switch (s.kind) {
    case Source::Kind::Reg:
      if (op.code) {
        op_reg(op, wide, dst, s.reg);
      } else {
        a_.emit(op.inst, gp(dst, wide), gp(s.reg, wide));
      }
      break;
    case Source::Kind::Mem:
      if (op.code) {
        op_frame(op, wide, dst, s.mem, false);
      } else {
        a_.emit(op.inst, gp(dst, wide), s.mem);
      }
      break;
    case Source::Kind::Imm:
      if (op.code) {
        op_imm(op, wide, dst, s.imm);
      } else {
        a_.imul(gp(dst, wide), gp(dst, wide), s.imm);
      }
      break;
  }
  release(b);
  push_gpr(type, dst);
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
    x86::Mem m = home(a);
    m.setSize(wide ? 8 : 4);
    if (s.kind == Source::Kind::Imm) {
      a_.cmp(m, s.imm);
    } else {
      op_frame(kCmp, wide, s.reg, m, true);
    }
  } else {
    const uint8_t x = use_gpr(a);
    switch (s.kind) {
      case Source::Kind::Reg:
        op_reg(kCmp, wide, x, s.reg);
        break;
      case Source::Kind::Mem:
        op_frame(kCmp, wide, x, s.mem, false);
        break;
      case Source::Kind::Imm:
        if (s.imm == 0) {
          op_reg({Inst::kIdTest, 0x85}, wide, x, x);
        } else {
          op_imm(kCmp, wide, x, s.imm);
        }
        break;
    }
  }
  release(a);
  release(b);
  push_flags(cond);
}

void BaselineCompiler::Impl::shift(InstId inst, InstId bmi2, bool wide) {
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  Operand b = pop(), a = pop();
  if (b.kind == Kind::Const) {
    const uint8_t dst = own_gpr(a);
    a_.emit(inst, gp(dst, wide), asmjit::Imm(int(b.value & (wide ? 63 : 31))));
    push_gpr(type, dst);
    return;
  }
  if (bmi2_ && bmi2 != Inst::kIdNone) {
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
    jcc(Cond::Equal, trap(TrapCode::IntegerDivideByZero));
  }
  const Label done = a_.newLabel();
  if (!is_signed) {
    a_.xor_(x86::edx, x86::edx);
    a_.div(gp(y, wide));
  } else {
    if (!known || divisor == minus_one) {
      const Label usual = a_.newLabel();
      a_.cmp(gp(y, wide), -1);
      jcc(Cond::NotEqual, usual);
      if (rem) {
        a_.xor_(x86::edx, x86::edx);
        a_.jmp(done);
      } else {
        a_.neg(gp(kRax, wide));
        jcc(Cond::Overflow, trap(TrapCode::IntegerOverflow));
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
  } else if (clz && lzcnt_) {
    a_.lzcnt(gp(dst, wide), gp(src, wide));
  } else if (ctz && bmi1_) {
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
void BaselineCompiler::Impl::extend(InstId inst, unsigned bits, ValType to) {
  Operand a = pop();
  const bool wide = is_wide(to);
  if (in_memory(a)) {
    const uint8_t dst = alloc_gpr();
    x86::Mem m = home(a);
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

void BaselineCompiler::Impl::float_binary(InstId inst, ValType type) {
  Operand b = pop(), a = pop();
  const uint8_t dst = own_xmm(a);
  if (in_memory(b) && type.kind() != TypeKind::V128) {
    a_.emit(inst, xmm(dst), home(b));
  } else {
    a_.emit(inst, xmm(dst), xmm(use_xmm(b)));
  }
  release(b);
  push_xmm(type, dst);
}

void BaselineCompiler::Impl::float_compare(ValType type, Cond cond, bool swap) {
  Operand b = pop(), a = pop();
  if (swap) std::swap(a, b);
  const uint8_t x = use_xmm(a);
  const InstId inst = type.kind() == TypeKind::F32 ? Inst::kIdUcomiss : Inst::kIdUcomisd;
  if (in_memory(b)) {
    a_.emit(inst, xmm(x), home(b));
  } else {
    a_.emit(inst, xmm(x), xmm(use_xmm(b)));
  }
  release(a);
  release(b);
  push_flags(cond);
}

void BaselineCompiler::Impl::float_min_max(ValType type, bool max) {
  const bool f32 = type.kind() == TypeKind::F32;
  Operand b = pop(), a = pop();
  const uint8_t x = own_xmm(a), y = use_xmm(b);
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
  push_xmm(type, x);
}

void BaselineCompiler::Impl::round(ValType type, int mode) {
  Operand a = pop();
  const uint8_t x = own_xmm(a);
  if (type.kind() == TypeKind::F32) {
    a_.roundss(xmm(x), xmm(x), mode | 8);
  } else {
    a_.roundsd(xmm(x), xmm(x), mode | 8);
  }
  push_xmm(type, x);
}

void BaselineCompiler::Impl::float_unary(Opcode op, ValType type) {
  using enum Opcode;
  const bool f32 = type.kind() == TypeKind::F32;
  Operand a = pop();
  const uint8_t x = own_xmm(a);
  const auto mask = xmm(kScratchXmm);
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
  push_xmm(type, x);
}

void BaselineCompiler::Impl::copysign(ValType type) {
  const bool f32 = type.kind() == TypeKind::F32;
  Operand b = pop(), a = pop();
  const uint8_t x = own_xmm(a), y = own_xmm(b);
  const auto mask = xmm(kScratchXmm);
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
  push_xmm(type, x);
}

void BaselineCompiler::Impl::float_const(uint8_t dst, ValType type, double value) {
  Operand o;
  o.kind = Kind::Const;
  o.type = type;
  o.value = type.kind() == TypeKind::F32 ? std::bit_cast<uint32_t>(float(value))
                                         : std::bit_cast<uint64_t>(value);
  load_xmm(dst, o);
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
  const uint8_t x = own_xmm(a);
  const uint8_t dst = alloc_gpr();
  const auto bound = xmm(kScratchXmm);
  const InstId ucomi = f32 ? Inst::kIdUcomiss : Inst::kIdUcomisd;
  const InstId cvtt = f32 ? Inst::kIdCvttss2si : Inst::kIdCvttsd2si;
  const Label done = a_.newLabel(), fits_low = a_.newLabel(), fits = a_.newLabel();
  a_.emit(ucomi, xmm(x), xmm(x));
  if (saturate) {
    const Label number = a_.newLabel();
    a_.jnp(number);
    load_imm(dst, 0);
    a_.jmp(done);
    a_.bind(number);
  } else {
    jcc(Cond::Parity, trap(TrapCode::InvalidConversion));
  }
  float_const(kScratchXmm, from, low);
  a_.emit(ucomi, xmm(x), bound);
  const Cond above_low = exclusive ? Cond::Above : Cond::AboveEqual;
  if (saturate) {
    jcc(above_low, fits_low);
    load_imm(dst, !is_signed ? 0 : wide ? uint64_t{1} << 63 : uint64_t{1} << 31);
    a_.jmp(done);
    a_.bind(fits_low);
  } else {
    jcc(negate(above_low), trap(TrapCode::IntegerOverflow));
  }
  float_const(kScratchXmm, from, high);
  a_.emit(ucomi, xmm(x), bound);
  if (saturate) {
    jcc(Cond::Below, fits);
    load_imm(dst, is_signed ? (wide ? ~uint64_t{0} >> 1 : 0x7FFFFFFFu)
                            : (wide ? ~uint64_t{0} : 0xFFFFFFFFu));
    a_.jmp(done);
    a_.bind(fits);
  } else {
    jcc(Cond::AboveEqual, trap(TrapCode::IntegerOverflow));
  }
  if (is_signed) {
    a_.emit(cvtt, gp(dst, wide), xmm(x));
  } else if (!wide) {
    a_.emit(cvtt, gp(dst, true), xmm(x));
  } else {
    // The upper half of the range goes through a subtraction.
    const Label small = a_.newLabel();
    float_const(kScratchXmm, from, std::ldexp(1.0, 63));
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
  free_xmm(x);
  push_gpr(to, dst);
}

void BaselineCompiler::Impl::to_float(ValType from, ValType to, bool is_signed) {
  const bool f32 = to.kind() == TypeKind::F32, wide = is_wide(from);
  const InstId cvt = f32 ? Inst::kIdCvtsi2ss : Inst::kIdCvtsi2sd;
  Operand a = pop();
  const uint8_t x = alloc_xmm();
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
  push_xmm(to, x);
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

bool BaselineCompiler::Impl::visit_numeric(const Instr& in) {
  using enum Opcode;
  switch (in.op) {
    case I32Const:
      push_const(wasm::kI32, uint32_t(in.i32));
      return true;
    case I64Const:
      push_const(wasm::kI64, uint64_t(in.i64));
      return true;
    case F32Const:
      push_const(wasm::kF32, in.f32_bits);
      return true;
    case F64Const:
      push_const(wasm::kF64, in.f64_bits);
      return true;

    case I32Eqz:
      if (flags_) {
        const auto cond = Cond(pop().reg);
        push_flags(negate(cond));
        return true;
      }
      [[fallthrough]];
    case I64Eqz: {
      const bool wide = in.op == I64Eqz;
      push_const(wide ? wasm::kI64 : wasm::kI32, 0);
      compare(wide, Cond::Equal);
      return true;
    }
#define WAFER_COMPARE(NAME, COND) \
  case I32##NAME:                 \
    compare(false, Cond::COND);   \
    return true;                  \
  case I64##NAME:                 \
    compare(true, Cond::COND);    \
    return true;
      WAFER_COMPARE(Eq, Equal)
      WAFER_COMPARE(Ne, NotEqual)
      WAFER_COMPARE(LtS, Less)
      WAFER_COMPARE(LtU, Below)
      WAFER_COMPARE(GtS, Greater)
      WAFER_COMPARE(GtU, Above)
      WAFER_COMPARE(LeS, LessEqual)
      WAFER_COMPARE(LeU, BelowEqual)
      WAFER_COMPARE(GeS, GreaterEqual)
      WAFER_COMPARE(GeU, AboveEqual)
#undef WAFER_COMPARE
#define WAFER_FLOAT_COMPARE(NAME, COND, SWAP)    \
  case F32##NAME:                                \
    float_compare(wasm::kF32, Cond::COND, SWAP); \
    return true;                                 \
  case F64##NAME:                                \
    float_compare(wasm::kF64, Cond::COND, SWAP); \
    return true;
      WAFER_FLOAT_COMPARE(Eq, FloatEqual, false)
      WAFER_FLOAT_COMPARE(Ne, FloatNotEqual, false)
      WAFER_FLOAT_COMPARE(Lt, Above, true)
      WAFER_FLOAT_COMPARE(Gt, Above, false)
      WAFER_FLOAT_COMPARE(Le, AboveEqual, true)
      WAFER_FLOAT_COMPARE(Ge, AboveEqual, false)
#undef WAFER_FLOAT_COMPARE
#define WAFER_ALU(NAME, INST, CODE, COMMUTES)      \
  case I32##NAME:                                  \
    alu({Inst::kId##INST, CODE}, false, COMMUTES); \
    return true;                                   \
  case I64##NAME:                                  \
    alu({Inst::kId##INST, CODE}, true, COMMUTES);  \
    return true;
      WAFER_ALU(Add, Add, 0x01, true)
      WAFER_ALU(Sub, Sub, 0x29, false)
      WAFER_ALU(Mul, Imul, 0, true)
      WAFER_ALU(And, And, 0x21, true)
      WAFER_ALU(Or, Or, 0x09, true)
      WAFER_ALU(Xor, Xor, 0x31, true)
#undef WAFER_ALU
#define WAFER_SHIFT(NAME, INST, BMI2)               \
  case I32##NAME:                                   \
    shift(Inst::kId##INST, Inst::kId##BMI2, false); \
    return true;                                    \
  case I64##NAME:                                   \
    shift(Inst::kId##INST, Inst::kId##BMI2, true);  \
    return true;
      WAFER_SHIFT(Shl, Shl, Shlx)
      WAFER_SHIFT(ShrS, Sar, Sarx)
      WAFER_SHIFT(ShrU, Shr, Shrx)
      WAFER_SHIFT(Rotl, Rol, None)
      WAFER_SHIFT(Rotr, Ror, None)
#undef WAFER_SHIFT
#define WAFER_DIVIDE(NAME, SIGNED, REM) \
  case I32##NAME:                       \
    divide(false, SIGNED, REM);         \
    return true;                        \
  case I64##NAME:                       \
    divide(true, SIGNED, REM);          \
    return true;
      WAFER_DIVIDE(DivS, true, false)
      WAFER_DIVIDE(DivU, false, false)
      WAFER_DIVIDE(RemS, true, true)
      WAFER_DIVIDE(RemU, false, true)
#undef WAFER_DIVIDE
    case I32Clz:
    case I32Ctz:
    case I32Popcnt:
      count_bits(in.op, false);
      return true;
    case I64Clz:
    case I64Ctz:
    case I64Popcnt:
      count_bits(in.op, true);
      return true;
    case I32Extend8S:
      extend(Inst::kIdMovsx, 8, wasm::kI32);
      return true;
    case I32Extend16S:
      extend(Inst::kIdMovsx, 16, wasm::kI32);
      return true;
    case I64Extend8S:
      extend(Inst::kIdMovsx, 8, wasm::kI64);
      return true;
    case I64Extend16S:
      extend(Inst::kIdMovsx, 16, wasm::kI64);
      return true;
    case I64Extend32S:
    case I64ExtendI32S:
      extend(Inst::kIdMovsxd, 32, wasm::kI64);
      return true;
    case I64ExtendI32U: {
      Operand a = pop();
      push_gpr(wasm::kI64, own_gpr(a));
      return true;
    }
    case I32WrapI64: {
      Operand a = pop();
      if (a.kind == Kind::Const) {
        push_const(wasm::kI32, uint32_t(a.value));
        return true;
      }
      if (a.kind == Kind::Gpr) {
        a_.mov(gp(a.reg, false), gp(a.reg, false));
      } else {
        a.type = wasm::kI32;
      }
      push_gpr(wasm::kI32, own_gpr(a));
      return true;
    }

#define WAFER_FLOAT_BINARY(NAME, INST)             \
  case F32##NAME:                                  \
    float_binary(Inst::kId##INST##ss, wasm::kF32); \
    return true;                                   \
  case F64##NAME:                                  \
    float_binary(Inst::kId##INST##sd, wasm::kF64); \
    return true;
      WAFER_FLOAT_BINARY(Add, Add)
      WAFER_FLOAT_BINARY(Sub, Sub)
      WAFER_FLOAT_BINARY(Mul, Mul)
      WAFER_FLOAT_BINARY(Div, Div)
#undef WAFER_FLOAT_BINARY
#define WAFER_FLOAT(NAME, CALL32, CALL64) \
  case F32##NAME:                         \
    CALL32;                               \
    return true;                          \
  case F64##NAME:                         \
    CALL64;                               \
    return true;
#define WAFER_FLOAT_UNARY(NAME) \
  WAFER_FLOAT(NAME, float_unary(in.op, wasm::kF32), float_unary(in.op, wasm::kF64))
      WAFER_FLOAT_UNARY(Abs)
      WAFER_FLOAT_UNARY(Neg)
      WAFER_FLOAT_UNARY(Sqrt)
#undef WAFER_FLOAT_UNARY
      WAFER_FLOAT(Min, float_min_max(wasm::kF32, false), float_min_max(wasm::kF64, false))
      WAFER_FLOAT(Max, float_min_max(wasm::kF32, true), float_min_max(wasm::kF64, true))
      WAFER_FLOAT(Copysign, copysign(wasm::kF32), copysign(wasm::kF64))
      WAFER_FLOAT(Nearest, round(wasm::kF32, 0), round(wasm::kF64, 0))
      WAFER_FLOAT(Floor, round(wasm::kF32, 1), round(wasm::kF64, 1))
      WAFER_FLOAT(Ceil, round(wasm::kF32, 2), round(wasm::kF64, 2))
      WAFER_FLOAT(Trunc, round(wasm::kF32, 3), round(wasm::kF64, 3))
#undef WAFER_FLOAT
#define WAFER_TRUNCATE(TO, FROM)                        \
  case TO##Trunc##FROM##S:                              \
    truncate(wasm::k##FROM, wasm::k##TO, true, false);  \
    return true;                                        \
  case TO##Trunc##FROM##U:                              \
    truncate(wasm::k##FROM, wasm::k##TO, false, false); \
    return true;                                        \
  case TO##TruncSat##FROM##S:                           \
    truncate(wasm::k##FROM, wasm::k##TO, true, true);   \
    return true;                                        \
  case TO##TruncSat##FROM##U:                           \
    truncate(wasm::k##FROM, wasm::k##TO, false, true);  \
    return true;                                        \
  case FROM##Convert##TO##S:                            \
    to_float(wasm::k##TO, wasm::k##FROM, true);         \
    return true;                                        \
  case FROM##Convert##TO##U:                            \
    to_float(wasm::k##TO, wasm::k##FROM, false);        \
    return true;
      WAFER_TRUNCATE(I32, F32)
      WAFER_TRUNCATE(I32, F64)
      WAFER_TRUNCATE(I64, F32)
      WAFER_TRUNCATE(I64, F64)
#undef WAFER_TRUNCATE
    case F32DemoteF64:
    case F64PromoteF32: {
      const bool demote = in.op == F32DemoteF64;
      Operand a = pop();
      const uint8_t x = own_xmm(a);
      if (demote) {
        a_.cvtsd2ss(xmm(x), xmm(x));
      } else {
        a_.cvtss2sd(xmm(x), xmm(x));
      }
      push_xmm(demote ? wasm::kF32 : wasm::kF64, x);
      return true;
    }
    case I32ReinterpretF32:
    case I64ReinterpretF64:
    case F32ReinterpretI32:
    case F64ReinterpretI64: {
      const bool wide = in.op == I64ReinterpretF64 || in.op == F64ReinterpretI64;
      const ValType to = validator_.operand(0);
      Operand a = pop();
      if (a.kind == Kind::Const) {
        push_const(to, a.value);
      } else if (is_fpr(to)) {
        if (in_memory(a)) {
          a.type = to;
          push_xmm(to, own_xmm(a));
          return true;
        }
        const uint8_t src = use_gpr(a);
        const uint8_t x = alloc_xmm();
        if (wide) {
          a_.movq(xmm(x), gp(src, true));
        } else {
          a_.movd(xmm(x), gp(src, false));
        }
        release(a);
        push_xmm(to, x);
      } else {
        if (in_memory(a)) {
          a.type = to;
          push_gpr(to, own_gpr(a));
          return true;
        }
        const uint8_t dst = alloc_gpr();
        if (wide) {
          a_.movq(gp(dst, true), xmm(a.reg));
        } else {
          a_.movd(gp(dst, false), xmm(a.reg));
        }
        release(a);
        push_gpr(to, dst);
      }
      return true;
    }
    case I64Add128:
    case I64Sub128:
    case I64MulWideS:
    case I64MulWideU:
      wide_arithmetic(in);
      return true;
    default:
      return false;
  }
}

}  // namespace wafer::compiler
