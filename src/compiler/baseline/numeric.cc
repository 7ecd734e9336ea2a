// Numeric instructions on scalars (spec 4.3): which there are, and what all machines do
// alike.
#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

void BaselineCompiler::Impl::wrap() {
  Operand a = pop();
  if (a.kind == Kind::Const) {
    push_const(wasm::kI32, uint32_t(a.value));
    return;
  }
  if (a.kind == Kind::Gpr) {
    a_.zero_extend(a.reg);
  } else {
    a.type = wasm::kI32;
  }
  push_gpr(wasm::kI32, own_gpr(a));
}

bool BaselineCompiler::Impl::scales_next(bool wide) {
  if (driven_ || top().kind != Kind::Const || top(1).kind == Kind::Const) return false;
  const uint64_t by = top().value & (wide ? 63 : 31);
  if (by == 0 || by > Machine::kMostScale) return false;
  // The body's end follows at least.
  constexpr uint8_t kGet = 0x20, kAdd32 = 0x6A, kAdd64 = 0x7C;
  const uint8_t* next = module_.bytes.data() + validator_.offset();
  const uint8_t add = wide ? kAdd64 : kAdd32;
  if (next[0] == add) {
    // (The body has not been validated that far.)
    if (stack_.size() < 3 || in_register(top(2)).kind != Kind::Gpr) return false;
    scaled_below_ = false;
  } else if (next[0] == kGet && next[1] < local_reg_.size() && next[1] < 0x80 && next[2] == add &&
             local_reg_[next[1]] != kNoRegister) {
    scaled_below_ = true;
  } else {
    return false;
  }
  pop();
  scale_ = uint32_t(by);
  return true;
}

void BaselineCompiler::Impl::add_scaled(bool wide) {
  Operand b = pop(), a = pop();
  if (scaled_below_) std::swap(a, b);
  const uint32_t shift = std::exchange(scale_, 0);
  const uint8_t x = use_gpr(a), y = use_gpr(b);
  release(a);
  release(b);
  const uint8_t dst = result_gpr();
  a_.add_scaled(dst, x, y, shift, wide);
  push_gpr(wide ? wasm::kI64 : wasm::kI32, dst);
}

void BaselineCompiler::Impl::reinterpret(const Instr& in) {
  const bool wide = in.op == Opcode::I64ReinterpretF64 || in.op == Opcode::F64ReinterpretI64;
  const ValType to = result_type();
  Operand a = pop();
  if (a.kind == Kind::Const) {
    push_const(to, a.value);
  } else if (is_fpr(to)) {
    if (in_memory(a)) {
      a.type = to;
      push_fpr(to, own_fpr(a));
      return;
    }
    const uint8_t src = use_gpr(a);
    const uint8_t x = alloc_fpr();
    a_.move_to_fpr(x, src, wide);
    release(a);
    push_fpr(to, x);
  } else {
    if (in_memory(a)) {
      a.type = to;
      push_gpr(to, own_gpr(a));
      return;
    }
    const uint8_t src = use_fpr(a);
    const uint8_t dst = alloc_gpr();
    a_.move_from_fpr(dst, src, wide);
    release(a);
    push_gpr(to, dst);
  }
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
#define WAFER_FLOAT_COMPARE(NAME, OP)            \
  case F32##NAME:                                \
    float_compare(FloatCompare::OP, wasm::kF32); \
    return true;                                 \
  case F64##NAME:                                \
    float_compare(FloatCompare::OP, wasm::kF64); \
    return true;
      WAFER_FLOAT_COMPARE(Eq, Equal)
      WAFER_FLOAT_COMPARE(Ne, NotEqual)
      WAFER_FLOAT_COMPARE(Lt, Less)
      WAFER_FLOAT_COMPARE(Gt, Greater)
      WAFER_FLOAT_COMPARE(Le, LessEqual)
      WAFER_FLOAT_COMPARE(Ge, GreaterEqual)
#undef WAFER_FLOAT_COMPARE
#define WAFER_ALU(NAME)    \
  case I32##NAME:          \
    alu(Alu::NAME, false); \
    return true;           \
  case I64##NAME:          \
    alu(Alu::NAME, true);  \
    return true;
    case I32Add:
    case I64Add:
      if (scale_)
        add_scaled(in.op == I64Add);
      else
        alu(Alu::Add, in.op == I64Add);
      return true;
      WAFER_ALU(Sub)
      WAFER_ALU(Mul)
      WAFER_ALU(And)
      WAFER_ALU(Or)
      WAFER_ALU(Xor)
#undef WAFER_ALU
    case I32Shl:
    case I64Shl:
      if (!scales_next(in.op == I64Shl)) shift(Shift::Left, in.op == I64Shl);
      return true;
#define WAFER_SHIFT(NAME, OP) \
  case I32##NAME:             \
    shift(Shift::OP, false);  \
    return true;              \
  case I64##NAME:             \
    shift(Shift::OP, true);   \
    return true;
      WAFER_SHIFT(ShrS, SignedRight)
      WAFER_SHIFT(ShrU, Right)
      WAFER_SHIFT(Rotl, RotateLeft)
      WAFER_SHIFT(Rotr, RotateRight)
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
      extend(8, wasm::kI32);
      return true;
    case I32Extend16S:
      extend(16, wasm::kI32);
      return true;
    case I64Extend8S:
      extend(8, wasm::kI64);
      return true;
    case I64Extend16S:
      extend(16, wasm::kI64);
      return true;
    case I64Extend32S:
    case I64ExtendI32S:
      extend(32, wasm::kI64);
      return true;
    case I64ExtendI32U: {
      Operand a = pop();
      push_gpr(wasm::kI64, own_gpr(a));
      return true;
    }
    case I32WrapI64:
      wrap();
      return true;

#define WAFER_FLOAT_BINARY(NAME)             \
  case F32##NAME:                            \
    float_binary(FloatOp::NAME, wasm::kF32); \
    return true;                             \
  case F64##NAME:                            \
    float_binary(FloatOp::NAME, wasm::kF64); \
    return true;
      WAFER_FLOAT_BINARY(Add)
      WAFER_FLOAT_BINARY(Sub)
      WAFER_FLOAT_BINARY(Mul)
      WAFER_FLOAT_BINARY(Div)
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
      WAFER_FLOAT(Nearest, round(wasm::kF32, Rounding::Nearest),
                  round(wasm::kF64, Rounding::Nearest))
      WAFER_FLOAT(Floor, round(wasm::kF32, Rounding::Floor), round(wasm::kF64, Rounding::Floor))
      WAFER_FLOAT(Ceil, round(wasm::kF32, Rounding::Ceil), round(wasm::kF64, Rounding::Ceil))
      WAFER_FLOAT(Trunc, round(wasm::kF32, Rounding::Trunc), round(wasm::kF64, Rounding::Trunc))
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
    case F64PromoteF32:
      convert_float(in.op == F32DemoteF64);
      return true;
    case I32ReinterpretF32:
    case I64ReinterpretF64:
    case F32ReinterpretI32:
    case F64ReinterpretI64:
      reinterpret(in);
      return true;
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
