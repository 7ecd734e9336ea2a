// Numeric instructions on scalars (spec 4.3) for AArch64.
#include <bit>
#include <cmath>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

namespace {

uint32_t double_bit(ValType type) { return type.kind() == TypeKind::F32 ? 0 : op::kDouble; }

}  // namespace

void BaselineCompiler::Impl::alu(Alu op, bool wide) {
  static constexpr uint32_t kRegister[] = {op::kAdd, op::kSub, op::kMadd | uint32_t(kZero) << 10,
                                           op::kAnd, op::kOrr, op::kEor};
  static constexpr uint32_t kMask[] = {0, 0, 0, op::kAndMask, op::kOrrMask, op::kEorMask};
  Operand b = pop(), a = pop();
  if (a.kind == Kind::Const && op != Alu::Sub) std::swap(a, b);
  const uint32_t width = Machine::wide_bit(wide);
  const uint8_t x = use_gpr(a);
  uint32_t encoding = 0;
  bool shifted = false;
  bool immediate = false;
  if (b.kind == Kind::Const) {
    if (op == Alu::Add || op == Alu::Sub) {
      uint64_t value = wide ? b.value : uint64_t(int64_t(int32_t(uint32_t(b.value))));
      bool add = op == Alu::Add;
      if (int64_t(value) < 0) {
        value = -value;
        add = !add;
      }
      shifted = value >= 0x1000;
      immediate = value < 0x1000000 && (!shifted || !(value & 0xFFF));
      encoding = (add ? op::kAddImm : op::kSubImm) | uint32_t(shifted) << 22 |
                 uint32_t(shifted ? value >> 12 : value) << 10;
    } else if (op != Alu::Mul && Machine::is_mask(b.value, wide, encoding)) {
      immediate = true;
      encoding |= kMask[uint8_t(op)];
    }
  }
  const uint8_t y = immediate ? uint8_t(0) : use_gpr(b);
  release(a);
  release(b);
  const uint8_t dst = result_gpr();
  if (immediate) {
    a_.op2(encoding | width, dst, x);
  } else {
    a_.op3(kRegister[uint8_t(op)] | width, dst, x, y);
  }
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

void BaselineCompiler::Impl::compare(bool wide, Cond cond) {
  Operand b = pop(), a = pop();
  if (b.kind == Kind::Const) {
    a_.compare_const(use_gpr(a), b.value, wide);
  } else {
    const uint8_t x = use_gpr(a), y = use_gpr(b);
    a_.compare_gprs(x, y, wide);
  }
  release(a);
  release(b);
  push_flags(cond);
}

void BaselineCompiler::Impl::shift(Shift op, bool wide) {
  const ValType type = wide ? wasm::kI64 : wasm::kI32;
  const uint32_t bits = wide ? 64 : 32;
  Operand b = pop(), a = pop();
  const uint8_t x = use_gpr(a);
  if (b.kind == Kind::Const) {
    const auto by = uint32_t(b.value) & (bits - 1);
    release(a);
    const uint8_t dst = result_gpr();
    switch (op) {
      case Shift::Left:
        a_.lsl_imm(wide, dst, x, by);
        break;
      case Shift::SignedRight:
        a_.asr_imm(wide, dst, x, by);
        break;
      case Shift::Right:
        a_.lsr_imm(wide, dst, x, by);
        break;
      default: {
        const uint32_t right = op == Shift::RotateRight ? by : (bits - by) % bits;
        a_.op3(op::kExtr | Machine::wide_bit(wide) | uint32_t(wide) << 22 | right << 10, dst, x, x);
      }
    }
    push_gpr(type, dst);
    return;
  }
  static constexpr uint32_t kShift[] = {op::kLslv, op::kAsrv, op::kLsrv, op::kRorv, op::kRorv};
  uint8_t y = use_gpr(b);
  if (op == Shift::RotateLeft) {
    a_.op3(op::kSub | Machine::wide_bit(wide), kValue, kZero, y);
    y = kValue;
  }
  release(a);
  release(b);
  const uint8_t dst = result_gpr();
  a_.op3(kShift[uint8_t(op)] | Machine::wide_bit(wide), dst, x, y);
  push_gpr(type, dst);
}

void BaselineCompiler::Impl::divide(bool wide, bool is_signed, bool rem) {
  const uint32_t width = Machine::wide_bit(wide);
  Operand b = pop(), a = pop();
  const bool known = b.kind == Kind::Const;
  const uint64_t divisor = wide ? b.value : uint32_t(b.value);
  const uint64_t minus_one = wide ? ~uint64_t{0} : 0xFFFFFFFFu;
  const uint8_t x = use_gpr(a), y = use_gpr(b);
  if (!known || divisor == 0) {
    a_.test_zero(y, wide);
    a_.branch(Cond::Equal, trap(TrapCode::IntegerDivideByZero));
  }
  if (is_signed && !rem && (!known || divisor == minus_one)) {
    // Where the divisor is -1, the dividend less 1 overflows for the least one only.
    constexpr uint32_t kCcmpImm = 0x7A400800;
    a_.op_imm12(op::kAddsImm | width, kZero, y, 1);
    a_.word(kCcmpImm | width | 1u << 16 | uint32_t(Cond::Equal) << 12 | uint32_t(x) << 5);
    a_.branch(Cond::Overflow, trap(TrapCode::IntegerOverflow));
  }
  const uint32_t divide = (is_signed ? op::kSdiv : op::kUdiv) | width;
  if (rem) a_.op3(divide, kValue, x, y);
  release(a);
  release(b);
  const uint8_t dst = alloc_gpr();
  if (rem) {
    a_.op4(op::kMsub | width, dst, kValue, y, x);
  } else {
    a_.op3(divide, dst, x, y);
  }
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

void BaselineCompiler::Impl::count_bits(Opcode opcode, bool wide) {
  using enum Opcode;
  const uint32_t width = Machine::wide_bit(wide);
  Operand a = pop();
  const uint8_t src = use_gpr(a);
  release(a);
  const uint8_t dst = alloc_gpr();
  if (opcode == I32Clz || opcode == I64Clz) {
    a_.op2(op::kClz | width, dst, src);
  } else if (opcode == I32Ctz || opcode == I64Ctz) {
    a_.op2(op::kRbit | width, dst, src);
    a_.op2(op::kClz | width, dst, dst);
  } else {
    a_.move_to_fpr(kScratchFpr, src, wide);
    a_.op2(0x0E205800, kScratchFpr, kScratchFpr);  // cnt of 8 bytes
    a_.op2(0x0E31B800, kScratchFpr, kScratchFpr);  // addv
    a_.move_from_fpr(dst, kScratchFpr, false);
  }
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

// Sign extension from the low `bits`.
void BaselineCompiler::Impl::extend(unsigned bits, ValType to) {
  Operand a = pop();
  const bool wide = is_wide(to);
  const uint8_t src = use_gpr(a);
  release(a);
  const uint8_t dst = alloc_gpr();
  a_.bitfield(op::kSbfm, wide, dst, src, 0, bits - 1);
  push_gpr(to, dst);
}

void BaselineCompiler::Impl::float_binary(FloatOp op, ValType type) {
  static constexpr uint32_t kOps[] = {op::kFadd, op::kFsub, op::kFmul, op::kFdiv};
  Operand b = pop(), a = pop();
  const uint8_t x = use_fpr(a), y = use_fpr(b);
  release(a);
  release(b);
  const uint8_t dst = result_fpr();
  a_.op3(kOps[uint8_t(op)] | double_bit(type), dst, x, y);
  push_fpr(type, dst);
}

void BaselineCompiler::Impl::float_compare(FloatCompare op, ValType type) {
  static constexpr Cond kConds[] = {Cond::Equal,   Cond::NotEqual,       Cond::FloatLess,
                                    Cond::Greater, Cond::FloatLessEqual, Cond::GreaterEqual};
  Operand b = pop(), a = pop();
  const uint8_t x = use_fpr(a), y = use_fpr(b);
  a_.op3(op::kFcmp | double_bit(type), 0, x, y);
  release(a);
  release(b);
  push_flags(kConds[uint8_t(op)]);
}

void BaselineCompiler::Impl::float_min_max(ValType type, bool max) {
  Operand b = pop(), a = pop();
  const uint8_t x = use_fpr(a), y = use_fpr(b);
  release(a);
  release(b);
  const uint8_t dst = result_fpr();
  a_.op3((max ? op::kFmax : op::kFmin) | double_bit(type), dst, x, y);
  push_fpr(type, dst);
}

void BaselineCompiler::Impl::round(ValType type, Rounding mode) {
  static constexpr uint32_t kOps[] = {op::kFrintn, op::kFrintm, op::kFrintp, op::kFrintz};
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  a_.op2(kOps[uint8_t(mode)] | double_bit(type), x, x);
  push_fpr(type, x);
}

void BaselineCompiler::Impl::float_unary(Opcode opcode, ValType type) {
  using enum Opcode;
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  uint32_t o = op::kFneg;
  if (opcode == F32Abs || opcode == F64Abs) o = op::kFabs;
  if (opcode == F32Sqrt || opcode == F64Sqrt) o = op::kFsqrt;
  a_.op2(o | double_bit(type), x, x);
  push_fpr(type, x);
}

void BaselineCompiler::Impl::copysign(ValType type) {
  Operand b = pop(), a = pop();
  const uint8_t x = own_fpr(a), y = use_fpr(b);
  // The sign bit alone: zero, negated.
  a_.load_fpr_imm(kScratchFpr, 0, true);
  a_.op2(op::kFneg | double_bit(type), kScratchFpr, kScratchFpr);
  a_.op3(op::kBitV, x, y, kScratchFpr);
  release(b);
  push_fpr(type, x);
}

// Float to integer. Valid inputs lie between the bounds: low is exclusive where the float
// type holds the integer below the least one, otherwise inclusive; high is exclusive.
void BaselineCompiler::Impl::truncate(ValType from, ValType to, bool is_signed, bool saturate) {
  const bool f32 = from.kind() == TypeKind::F32, wide = is_wide(to);
  Operand a = pop();
  const uint8_t x = use_fpr(a);
  if (!saturate) {
    const double high = std::ldexp(1.0, (wide ? 64 : 32) - (is_signed ? 1 : 0));
    double low = is_signed ? -high : -1.0;
    bool exclusive = !is_signed;
    if (is_signed && !wide && !f32) {
      low -= 1;
      exclusive = true;
    }
    const auto compare_with = [&](double bound) {
      a_.load_fpr_imm(kScratchFpr,
                      f32 ? std::bit_cast<uint32_t>(float(bound)) : std::bit_cast<uint64_t>(bound),
                      !f32);
      a_.op3(op::kFcmp | double_bit(from), 0, x, kScratchFpr);
    };
    compare_with(low);
    a_.branch(Cond::Unordered, trap(TrapCode::InvalidConversion));
    a_.branch(exclusive ? Cond::FloatLessEqual : Cond::FloatLess, trap(TrapCode::IntegerOverflow));
    compare_with(high);
    a_.branch(Cond::GreaterEqual, trap(TrapCode::IntegerOverflow));
  }
  const uint8_t dst = alloc_gpr();
  a_.op2((is_signed ? op::kFcvtzs : op::kFcvtzu) | Machine::wide_bit(wide) | double_bit(from), dst,
         x);
  release(a);
  push_gpr(to, dst);
}

void BaselineCompiler::Impl::to_float(ValType from, ValType to, bool is_signed) {
  Operand a = pop();
  const uint8_t src = use_gpr(a);
  const uint8_t x = alloc_fpr();
  a_.op2((is_signed ? op::kScvtf : op::kUcvtf) | Machine::wide_bit(is_wide(from)) | double_bit(to),
         x, src);
  release(a);
  push_fpr(to, x);
}

void BaselineCompiler::Impl::convert_float(bool demote) {
  Operand a = pop();
  const uint8_t x = own_fpr(a);
  a_.op2(demote ? op::kFcvtToSingle : op::kFcvtToDouble, x, x);
  push_fpr(demote ? wasm::kF32 : wasm::kF64, x);
}

void BaselineCompiler::Impl::wide_arithmetic(const Instr& in) {
  using enum Opcode;
  if (in.op == I64Add128 || in.op == I64Sub128) {
    Operand bh = pop(), bl = pop(), ah = pop(), al = pop();
    const bool add = in.op == I64Add128;
    const uint8_t low = own_gpr(al), high = own_gpr(ah);
    const uint8_t x = use_gpr(bl), y = use_gpr(bh);
    a_.op3((add ? op::kAdds : op::kSubs) | op::kWide, low, low, x);
    a_.op3((add ? op::kAdc : op::kSbc) | op::kWide, high, high, y);
    release(bl);
    release(bh);
    push_gpr(wasm::kI64, low);
    push_gpr(wasm::kI64, high);
    return;
  }
  Operand b = pop(), a = pop();
  const uint8_t x = use_gpr(a), y = use_gpr(b);
  const uint8_t low = alloc_gpr();
  a_.op3(op::kMadd | op::kWide | uint32_t(kZero) << 10, low, x, y);
  const uint8_t high = alloc_gpr();
  a_.op3((in.op == I64MulWideS ? op::kSmulh : op::kUmulh) | uint32_t(kZero) << 10, high, x, y);
  release(a);
  release(b);
  push_gpr(wasm::kI64, low);
  push_gpr(wasm::kI64, high);
}

void BaselineCompiler::Impl::select() {
  // The condition may be in the flags, which loads leave alone.
  const ValType type = top(2).type.is_bot() ? top(1).type : top(2).type;
  const Cond cond = pop_cond();
  Operand b = pop(), a = pop();
  if (type.kind() == TypeKind::V128) {
    const uint8_t x = own_fpr(a), y = use_fpr(b);
    const Label done = a_.newLabel();
    a_.branch(cond, done);
    a_.move_fpr(x, y);
    a_.bind(done);
    release(b);
    push_fpr(type, x);
  } else if (is_fpr(type)) {
    const uint8_t x = use_fpr(a), y = use_fpr(b);
    release(a);
    release(b);
    const uint8_t dst = alloc_fpr();
    a_.op3(op::kFcsel | op::kDouble | uint32_t(cond) << 12, dst, x, y);
    push_fpr(type, dst);
  } else {
    const uint8_t x = use_gpr(a), y = use_gpr(b);
    release(a);
    release(b);
    const uint8_t dst = alloc_gpr();
    a_.select_if(is_wide(type), cond, dst, x, y);
    push_gpr(type, dst);
  }
}

void BaselineCompiler::Impl::jump_to_one_of(uint8_t index, Vec<Label>&& targets) {
  Table& t = tables_.emplace_back();
  t.label = a_.newLabel();
  t.targets = std::move(targets);
  a_.load_label(kScratch, t.label);
  a_.op3(0xB8A07800, kValue, kScratch, index);  // ldrsw, the index times 4
  a_.op3(op::kAdd | op::kWide, kScratch, kScratch, kValue);
  a_.jump_gpr(kScratch);
}

}  // namespace wafer::compiler
