// Numeric instructions (spec 4.3), to IR with exactly their results.
#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::CmpInst;
using llvm::Type;
using llvm::Value;
using wasm::Opcode;

// A constant that the optimizer must not see through: it would fold x * 1 to x, which
// leaves a signalling NaN as it was.
Value* FunctionTranslator::opaque(Value* constant) {
  return b_.CreateArithmeticFence(constant, constant->getType());
}

Value* FunctionTranslator::arithmetic_operand(Value* v) {
  auto* c = llvm::dyn_cast<llvm::ConstantFP>(v);
  if (!c) return v;
  const llvm::APFloat& f = c->getValueAPF();
  const bool neutral = f.isZero() || f.isExactlyValue(1.0) || f.isExactlyValue(-1.0);
  return neutral ? opaque(v) : v;
}

// Scalars or vectors. NaNs win and become quiet; -0 is less than 0.
Value* FunctionTranslator::float_min_max(Value* a, Value* b, bool max) {
  Value* unordered = b_.CreateFCmpUNO(a, b);
  Value* quiet = b_.CreateFAdd(a, b);
  llvm::CallInst* m = b_.CreateIntrinsic(max ? llvm::Intrinsic::maximum : llvm::Intrinsic::minimum,
                                         {a->getType()}, {a, b});
  m->setHasNoNaNs(true);  // poison for NaNs, which the select does not take
  return b_.CreateSelect(unordered, quiet, m);
}

void FunctionTranslator::trunc_trapping(Type* to, bool is_signed) {
  Value* v = pop();
  Type* from = v->getType();
  const bool to64 = to == m_.i64;
  trap_if(b_.CreateFCmpUNO(v, v), TrapCode::InvalidConversion);
  // Open bounds: the values next to the range that are not in it any more.
  double low, high;
  bool low_open = true;
  if (is_signed) {
    high = to64 ? 9223372036854775808.0 : 2147483648.0;
    if (from == m_.f64 && !to64) {
      low = -2147483649.0;
    } else {
      low = to64 ? -9223372036854775808.0 : -2147483648.0;
      low_open = false;
    }
  } else {
    high = to64 ? 18446744073709551616.0 : 4294967296.0;
    low = -1.0;
  }
  Value* lo = llvm::ConstantFP::get(from, low);
  Value* hi = llvm::ConstantFP::get(from, high);
  Value* in_range = b_.CreateAnd(low_open ? b_.CreateFCmpOGT(v, lo) : b_.CreateFCmpOGE(v, lo),
                                 b_.CreateFCmpOLT(v, hi));
  trap_if(b_.CreateNot(in_range), TrapCode::IntegerOverflow);
  push(is_signed ? b_.CreateFPToSI(v, to) : b_.CreateFPToUI(v, to));
}

bool FunctionTranslator::numeric(const wasm::Instr& in) {
  const auto compare = [&](CmpInst::Predicate p) {
    Value* r = pop();
    Value* l = pop();
    push(b_.CreateZExt(b_.CreateCmp(p, l, r), m_.i32));
    return true;
  };
  const auto binary = [&](llvm::Instruction::BinaryOps op) {
    Value* r = pop();
    Value* l = pop();
    push(b_.CreateBinOp(op, l, r));
    return true;
  };
  const auto arithmetic = [&](llvm::Instruction::BinaryOps op) {
    Value* r = arithmetic_operand(pop());
    Value* l = arithmetic_operand(pop());
    push(b_.CreateBinOp(op, l, r));
    return true;
  };
  const auto shift = [&](llvm::Instruction::BinaryOps op) {
    Value* r = pop();
    Value* l = pop();
    Type* t = l->getType();
    push(b_.CreateBinOp(op, l,
                        b_.CreateAnd(r, llvm::ConstantInt::get(t, t->getIntegerBitWidth() - 1))));
    return true;
  };
  const auto rotate = [&](llvm::Intrinsic::ID id) {
    Value* r = pop();
    Value* l = pop();
    push(intrinsic(id, {l, l, r}));
    return true;
  };
  const auto divide = [&](bool rem, bool is_signed) {
    Value* r = pop();
    Value* l = pop();
    Type* t = l->getType();
    trap_if(b_.CreateICmpEQ(r, llvm::ConstantInt::get(t, 0)), TrapCode::IntegerDivideByZero);
    if (!is_signed) {
      push(rem ? b_.CreateURem(l, r) : b_.CreateUDiv(l, r));
      return true;
    }
    Value* minus_one = b_.CreateICmpEQ(r, llvm::ConstantInt::getAllOnesValue(t));
    if (rem) {
      // The least number by -1 overflows in the division, yet the rest is 0.
      push(b_.CreateSRem(l, b_.CreateSelect(minus_one, llvm::ConstantInt::get(t, 1), r)));
      return true;
    }
    Value* least = b_.CreateICmpEQ(
        l, llvm::ConstantInt::get(t, llvm::APInt::getSignedMinValue(t->getIntegerBitWidth())));
    trap_if(b_.CreateAnd(minus_one, least), TrapCode::IntegerOverflow);
    push(b_.CreateSDiv(l, r));
    return true;
  };
  const auto count_zeros = [&](llvm::Intrinsic::ID id) {
    Value* v = pop();
    push(b_.CreateIntrinsic(id, {v->getType()}, {v, b_.getFalse()}));
    return true;
  };
  const auto unary = [&](llvm::Intrinsic::ID id) {
    Value* v = pop();
    push(intrinsic(id, {v}));
    return true;
  };
  // Rounding leaves a signalling NaN quiet only if something is computed with it.
  const auto round = [&](llvm::Intrinsic::ID id) {
    Value* v = pop();
    Value* rounded = intrinsic(id, {v});
    push(b_.CreateSelect(b_.CreateFCmpUNO(v, v), b_.CreateFAdd(v, v), rounded));
    return true;
  };
  const auto copysign = [&] {
    Value* r = pop();
    Value* l = pop();
    push(intrinsic(llvm::Intrinsic::copysign, {l, r}));
    return true;
  };
  const auto min_max = [&](bool max) {
    Value* r = pop();
    Value* l = pop();
    push(float_min_max(l, r, max));
    return true;
  };
  const auto cast = [&](llvm::Instruction::CastOps op, Type* to) {
    push(b_.CreateCast(op, pop(), to));
    return true;
  };
  const auto extend = [&](Type* narrow) {
    Value* v = pop();
    push(b_.CreateSExt(b_.CreateTrunc(v, narrow), v->getType()));
    return true;
  };
  const auto saturate = [&](llvm::Intrinsic::ID id, Type* to) {
    Value* v = pop();
    push(b_.CreateIntrinsic(id, {to, v->getType()}, {v}));
    return true;
  };
  const auto trunc = [&](Type* to, bool is_signed) {
    trunc_trapping(to, is_signed);
    return true;
  };
  const auto eqz = [&] {
    Value* v = pop();
    push(b_.CreateZExt(b_.CreateICmpEQ(v, llvm::Constant::getNullValue(v->getType())), m_.i32));
    return true;
  };
  using I = llvm::Instruction;
  namespace X = llvm::Intrinsic;
  switch (in.op) {
    case Opcode::I32Const:
      push(const_i32(uint32_t(in.i32)));
      return true;
    case Opcode::I64Const:
      push(const_i64(uint64_t(in.i64)));
      return true;
    case Opcode::F32Const:
      push(llvm::ConstantFP::get(
          m_.context, llvm::APFloat(llvm::APFloat::IEEEsingle(), llvm::APInt(32, in.f32_bits))));
      return true;
    case Opcode::F64Const:
      push(llvm::ConstantFP::get(
          m_.context, llvm::APFloat(llvm::APFloat::IEEEdouble(), llvm::APInt(64, in.f64_bits))));
      return true;
    case Opcode::I32Eqz:
    case Opcode::I64Eqz:
      return eqz();
#define WAFER_INT(N)                         \
  case Opcode::I##N##Eq:                     \
    return compare(CmpInst::ICMP_EQ);        \
  case Opcode::I##N##Ne:                     \
    return compare(CmpInst::ICMP_NE);        \
  case Opcode::I##N##LtS:                    \
    return compare(CmpInst::ICMP_SLT);       \
  case Opcode::I##N##LtU:                    \
    return compare(CmpInst::ICMP_ULT);       \
  case Opcode::I##N##GtS:                    \
    return compare(CmpInst::ICMP_SGT);       \
  case Opcode::I##N##GtU:                    \
    return compare(CmpInst::ICMP_UGT);       \
  case Opcode::I##N##LeS:                    \
    return compare(CmpInst::ICMP_SLE);       \
  case Opcode::I##N##LeU:                    \
    return compare(CmpInst::ICMP_ULE);       \
  case Opcode::I##N##GeS:                    \
    return compare(CmpInst::ICMP_SGE);       \
  case Opcode::I##N##GeU:                    \
    return compare(CmpInst::ICMP_UGE);       \
  case Opcode::I##N##Clz:                    \
    return count_zeros(X::ctlz);             \
  case Opcode::I##N##Ctz:                    \
    return count_zeros(X::cttz);             \
  case Opcode::I##N##Popcnt:                 \
    return unary(X::ctpop);                  \
  case Opcode::I##N##Add:                    \
    return binary(I::Add);                   \
  case Opcode::I##N##Sub:                    \
    return binary(I::Sub);                   \
  case Opcode::I##N##Mul:                    \
    return binary(I::Mul);                   \
  case Opcode::I##N##DivS:                   \
    return divide(false, true);              \
  case Opcode::I##N##DivU:                   \
    return divide(false, false);             \
  case Opcode::I##N##RemS:                   \
    return divide(true, true);               \
  case Opcode::I##N##RemU:                   \
    return divide(true, false);              \
  case Opcode::I##N##And:                    \
    return binary(I::And);                   \
  case Opcode::I##N##Or:                     \
    return binary(I::Or);                    \
  case Opcode::I##N##Xor:                    \
    return binary(I::Xor);                   \
  case Opcode::I##N##Shl:                    \
    return shift(I::Shl);                    \
  case Opcode::I##N##ShrS:                   \
    return shift(I::AShr);                   \
  case Opcode::I##N##ShrU:                   \
    return shift(I::LShr);                   \
  case Opcode::I##N##Rotl:                   \
    return rotate(X::fshl);                  \
  case Opcode::I##N##Rotr:                   \
    return rotate(X::fshr);                  \
  case Opcode::I##N##Extend8S:               \
    return extend(m_.i8);                    \
  case Opcode::I##N##Extend16S:              \
    return extend(m_.i16);                   \
  case Opcode::I##N##TruncF32S:              \
  case Opcode::I##N##TruncF64S:              \
    return trunc(m_.i##N, true);             \
  case Opcode::I##N##TruncF32U:              \
  case Opcode::I##N##TruncF64U:              \
    return trunc(m_.i##N, false);            \
  case Opcode::I##N##TruncSatF32S:           \
  case Opcode::I##N##TruncSatF64S:           \
    return saturate(X::fptosi_sat, m_.i##N); \
  case Opcode::I##N##TruncSatF32U:           \
  case Opcode::I##N##TruncSatF64U:           \
    return saturate(X::fptoui_sat, m_.i##N);
      WAFER_INT(32)
      WAFER_INT(64)
#undef WAFER_INT
#define WAFER_FLOAT(N)                 \
  case Opcode::F##N##Eq:               \
    return compare(CmpInst::FCMP_OEQ); \
  case Opcode::F##N##Ne:               \
    return compare(CmpInst::FCMP_UNE); \
  case Opcode::F##N##Lt:               \
    return compare(CmpInst::FCMP_OLT); \
  case Opcode::F##N##Gt:               \
    return compare(CmpInst::FCMP_OGT); \
  case Opcode::F##N##Le:               \
    return compare(CmpInst::FCMP_OLE); \
  case Opcode::F##N##Ge:               \
    return compare(CmpInst::FCMP_OGE); \
  case Opcode::F##N##Abs:              \
    return unary(X::fabs);             \
  case Opcode::F##N##Neg:              \
    push(b_.CreateFNeg(pop()));        \
    return true;                       \
  case Opcode::F##N##Ceil:             \
    return round(X::ceil);             \
  case Opcode::F##N##Floor:            \
    return round(X::floor);            \
  case Opcode::F##N##Trunc:            \
    return round(X::trunc);            \
  case Opcode::F##N##Nearest:          \
    return round(X::roundeven);        \
  case Opcode::F##N##Sqrt:             \
    return unary(X::sqrt);             \
  case Opcode::F##N##Add:              \
    return arithmetic(I::FAdd);        \
  case Opcode::F##N##Sub:              \
    return arithmetic(I::FSub);        \
  case Opcode::F##N##Mul:              \
    return arithmetic(I::FMul);        \
  case Opcode::F##N##Div:              \
    return arithmetic(I::FDiv);        \
  case Opcode::F##N##Min:              \
    return min_max(false);             \
  case Opcode::F##N##Max:              \
    return min_max(true);              \
  case Opcode::F##N##Copysign:         \
    return copysign();                 \
  case Opcode::F##N##ConvertI32S:      \
  case Opcode::F##N##ConvertI64S:      \
    return cast(I::SIToFP, m_.f##N);   \
  case Opcode::F##N##ConvertI32U:      \
  case Opcode::F##N##ConvertI64U:      \
    return cast(I::UIToFP, m_.f##N);
      WAFER_FLOAT(32)
      WAFER_FLOAT(64)
#undef WAFER_FLOAT
    case Opcode::I64Extend32S:
      return extend(m_.i32);
    case Opcode::I32WrapI64:
      return cast(I::Trunc, m_.i32);
    case Opcode::I64ExtendI32S:
      return cast(I::SExt, m_.i64);
    case Opcode::I64ExtendI32U:
      return cast(I::ZExt, m_.i64);
    case Opcode::F32DemoteF64:
      // Else a demotion of a promotion would be folded, with its NaN left signalling.
      push(opaque(pop()));
      return cast(I::FPTrunc, m_.f32);
    case Opcode::F64PromoteF32:
      return cast(I::FPExt, m_.f64);
    case Opcode::I32ReinterpretF32:
      return cast(I::BitCast, m_.i32);
    case Opcode::I64ReinterpretF64:
      return cast(I::BitCast, m_.i64);
    case Opcode::F32ReinterpretI32:
      return cast(I::BitCast, m_.f32);
    case Opcode::F64ReinterpretI64:
      return cast(I::BitCast, m_.f64);
    default:
      return false;
  }
}

bool FunctionTranslator::wide(const wasm::Instr& in) {
  Type* wide_type = llvm::Type::getInt128Ty(m_.context);
  const auto join = [&](Value* low, Value* high) {
    return b_.CreateOr(b_.CreateZExt(low, wide_type),
                       b_.CreateShl(b_.CreateZExt(high, wide_type), 64));
  };
  const auto split = [&](Value* v) {
    push(b_.CreateTrunc(v, m_.i64));
    push(b_.CreateTrunc(b_.CreateLShr(v, 64), m_.i64));
  };
  switch (in.op) {
    case Opcode::I64Add128:
    case Opcode::I64Sub128: {
      Value* high2 = pop();
      Value* low2 = pop();
      Value* high1 = pop();
      Value* low1 = pop();
      Value* l = join(low1, high1);
      Value* r = join(low2, high2);
      split(in.op == Opcode::I64Add128 ? b_.CreateAdd(l, r) : b_.CreateSub(l, r));
      return true;
    }
    case Opcode::I64MulWideS:
    case Opcode::I64MulWideU: {
      const bool s = in.op == Opcode::I64MulWideS;
      Value* r = b_.CreateIntCast(pop(), wide_type, s);
      Value* l = b_.CreateIntCast(pop(), wide_type, s);
      split(b_.CreateMul(l, r));
      return true;
    }
    default:
      return false;
  }
}

}  // namespace wafer::compiler
