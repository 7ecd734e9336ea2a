// Vector instructions (spec 4.3.7 and relaxed ones). What an instruction does is read
// from its mnemonic in the opcode table: shape, operation, and the source's shape.
// Relaxed instructions do what the interpreter does, so that tiers agree.
#include <llvm/ADT/StringSwitch.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <numeric>

#include "compiler/llvm/translate.h"

namespace wafer::compiler {

using llvm::CmpInst;
using llvm::FixedVectorType;
using llvm::StringRef;
using llvm::Type;
using llvm::Value;
using wasm::Opcode;

namespace {

namespace X = llvm::Intrinsic;

// Lanes of a v128 as "i8x16" spells them.
struct Shape {
  unsigned bits = 64, lanes = 2;
  bool is_float = false;
};

Shape parse_shape(StringRef s) {
  Shape shape;
  shape.is_float = s.starts_with("f");
  const auto [bits, lanes] = s.drop_front().split('x');
  bits.getAsInteger(10, shape.bits);
  lanes.getAsInteger(10, shape.lanes);
  return shape;
}

Type* lane_type(ModuleTranslator& m, const Shape& s) {
  if (s.is_float) return s.bits == 32 ? m.f32 : m.f64;
  return llvm::IntegerType::get(m.context, s.bits);
}

FixedVectorType* vector_type(ModuleTranslator& m, const Shape& s) {
  return FixedVectorType::get(lane_type(m, s), s.lanes);
}

}  // namespace

// One translation of a vector instruction; a friend by being nested in the translator.
struct FunctionTranslator::Simd {
  FunctionTranslator& t;
  const wasm::Instr& in;
  Shape shape;
  StringRef name;         // after the dot
  bool is_signed = true;  // ends in _s (or has no sign)

  llvm::IRBuilder<>& b() { return t.b_; }
  ModuleTranslator& m() { return t.m_; }
  FixedVectorType* type() { return vector_type(m(), shape); }
  Value* pop(const Shape& s) { return b().CreateBitCast(t.pop(), vector_type(m(), s)); }
  Value* pop() { return pop(shape); }
  bool push(Value* v) {
    t.push(b().CreateBitCast(v, m().v128));
    return true;
  }
  bool push_scalar(Value* v) {
    t.push(v);
    return true;
  }
  Value* splat_int(uint64_t v) { return llvm::ConstantInt::get(type(), v); }

  bool binary(llvm::Instruction::BinaryOps op) {
    Value* r = pop();
    Value* l = pop();
    return push(b().CreateBinOp(op, l, r));
  }
  bool binary_intrinsic(X::ID id) {
    Value* r = pop();
    Value* l = pop();
    return push(b().CreateIntrinsic(id, {l->getType()}, {l, r}));
  }
  bool compare(CmpInst::Predicate p) {
    Value* r = pop();
    Value* l = pop();
    const Shape mask{shape.bits, shape.lanes, false};
    return push(b().CreateSExt(b().CreateCmp(p, l, r), vector_type(m(), mask)));
  }
  bool shift(llvm::Instruction::BinaryOps op) {
    Value* count = t.pop();
    Value* v = pop();
    count = b().CreateAnd(count, t.const_i32(shape.bits - 1));
    count = b().CreateZExtOrTrunc(count, lane_type(m(), shape));
    return push(b().CreateBinOp(op, v, b().CreateVectorSplat(shape.lanes, count)));
  }
  // NaNs become quiet by an addition.
  bool round(X::ID id) {
    Value* v = pop();
    Value* r = b().CreateIntrinsic(id, {v->getType()}, {v});
    return push(b().CreateSelect(b().CreateFCmpUNO(v, v), b().CreateFAdd(v, v), r));
  }
  bool unary_intrinsic(X::ID id) {
    Value* v = pop();
    return push(b().CreateIntrinsic(id, {v->getType()}, {v}));
  }
  // `count` lane numbers from `first` on.
  static std::vector<int> sequence(unsigned first, unsigned count) {
    std::vector<int> lanes(count);
    std::iota(lanes.begin(), lanes.end(), int(first));
    return lanes;
  }
  Value* half(Value* v, unsigned lanes, bool high) {
    return b().CreateShuffleVector(v, sequence(high ? lanes / 2 : 0, lanes / 2));
  }
  Value* extend(Value* v, Type* to, bool sign) {
    return sign ? b().CreateSExt(v, to) : b().CreateZExt(v, to);
  }
  Value* even_or_odd(Value* v, unsigned lanes, unsigned first) {
    std::vector<int> mask;
    for (unsigned i = first; i < lanes; i += 2) mask.push_back(int(i));
    return b().CreateShuffleVector(v, mask);
  }
  Value* clamp(Value* v, int64_t low, int64_t high) {
    Value* lo = llvm::ConstantInt::getSigned(v->getType(), low);
    Value* hi = llvm::ConstantInt::getSigned(v->getType(), high);
    v = b().CreateIntrinsic(X::smax, {v->getType()}, {v, lo});
    return b().CreateIntrinsic(X::smin, {v->getType()}, {v, hi});
  }

  bool narrow(const Shape& from) {
    Value* r = pop(from);
    Value* l = pop(from);
    Value* both = b().CreateShuffleVector(l, r, sequence(0, shape.lanes));
    const int64_t top = int64_t(1) << (shape.bits - (is_signed ? 1 : 0));
    return push(b().CreateTrunc(clamp(both, is_signed ? -top : 0, top - 1), type()));
  }
  bool extmul(const Shape& from, bool high) {
    Value* r = pop(from);
    Value* l = pop(from);
    return push(b().CreateMul(extend(half(l, from.lanes, high), type(), is_signed),
                              extend(half(r, from.lanes, high), type(), is_signed)));
  }
  bool extadd(const Shape& from) {
    Value* v =
        extend(pop(from), FixedVectorType::get(lane_type(m(), shape), from.lanes), is_signed);
    return push(b().CreateAdd(even_or_odd(v, from.lanes, 0), even_or_odd(v, from.lanes, 1)));
  }
  // Sums of products of neighbours, in lanes of twice the width.
  Value* dot(const Shape& from, Type* lane, bool saturate = false) {
    Type* wide = FixedVectorType::get(lane, from.lanes);
    Value* r = b().CreateSExt(pop(from), wide);
    Value* l = b().CreateSExt(pop(from), wide);
    Value* products = b().CreateMul(l, r);
    Value* even = even_or_odd(products, from.lanes, 0);
    Value* odd = even_or_odd(products, from.lanes, 1);
    if (saturate) return b().CreateBinaryIntrinsic(llvm::Intrinsic::sadd_sat, even, odd);
    return b().CreateAdd(even, odd);
  }
  bool swizzle() {
    const Shape bytes{8, 16, false};
    Value* index = pop(bytes);
    Value* v = pop(bytes);
    if (m().x86) {
      // pshufb gives 0 where the index's top bit is set.
      Value* saturated = b().CreateIntrinsic(
          X::uadd_sat, {index->getType()}, {index, llvm::ConstantInt::get(index->getType(), 0x70)});
      return push(b().CreateIntrinsic(X::x86_ssse3_pshuf_b_128, {}, {v, saturated}));
    }
    Value* result = llvm::Constant::getNullValue(v->getType());
    for (unsigned i = 0; i < 16; ++i) {
      Value* at = b().CreateExtractElement(index, i);
      Value* lane = b().CreateExtractElement(v, b().CreateAnd(at, b().getInt8(15)));
      Value* in_range = b().CreateICmpULT(at, b().getInt8(16));
      result = b().CreateInsertElement(result, b().CreateSelect(in_range, lane, b().getInt8(0)), i);
    }
    return push(result);
  }
  bool q15mulr() {
    Type* wide = FixedVectorType::get(m().i32, 8);
    Value* r = b().CreateSExt(pop(), wide);
    Value* l = b().CreateSExt(pop(), wide);
    Value* v = b().CreateAdd(b().CreateMul(l, r), llvm::ConstantInt::get(wide, 0x4000));
    v = b().CreateAShr(v, llvm::ConstantInt::get(wide, 15));
    return push(b().CreateTrunc(clamp(v, -32768, 32767), type()));
  }
  bool avgr() {
    Type* wide =
        FixedVectorType::get(llvm::IntegerType::get(m().context, shape.bits * 2), shape.lanes);
    Value* r = b().CreateZExt(pop(), wide);
    Value* l = b().CreateZExt(pop(), wide);
    Value* v = b().CreateAdd(b().CreateAdd(l, r), llvm::ConstantInt::get(wide, 1));
    return push(b().CreateTrunc(b().CreateLShr(v, llvm::ConstantInt::get(wide, 1)), type()));
  }
  bool bitselect() {
    Value* mask = t.pop();
    Value* no = t.pop();
    Value* yes = t.pop();
    return push(b().CreateOr(b().CreateAnd(yes, mask), b().CreateAnd(no, b().CreateNot(mask))));
  }
  // fmin and fmax of the two-operand-select kind.
  bool pseudo(bool max) {
    Value* r = pop();
    Value* l = pop();
    Value* take = max ? b().CreateFCmpOLT(l, r) : b().CreateFCmpOLT(r, l);
    return push(b().CreateSelect(take, r, l));
  }
  bool madd(bool negate) {
    Value* c = pop();
    Value* r = pop();
    Value* l = pop();
    Value* product = b().CreateFMul(l, r);
    return push(negate ? b().CreateFSub(c, product) : b().CreateFAdd(product, c));
  }
  bool trunc_sat(const Shape& from) {
    Value* v = pop(from);
    Type* to = FixedVectorType::get(m().i32, from.lanes);
    v = b().CreateIntrinsic(is_signed ? X::fptosi_sat : X::fptoui_sat, {to, v->getType()}, {v});
    if (from.lanes == 2)
      v = b().CreateShuffleVector(v, llvm::Constant::getNullValue(to), {0, 1, 2, 3});
    return push(v);
  }
  bool convert(const Shape& from) {
    Value* v = pop(from);
    if (from.lanes > shape.lanes) v = half(v, from.lanes, false);
    return push(is_signed ? b().CreateSIToFP(v, type()) : b().CreateUIToFP(v, type()));
  }

  // Loads that fill or widen.
  bool load();
  bool lanes();
  bool operation();
};

bool FunctionTranslator::Simd::load() {
  const auto splat = [&](Type* lane, unsigned size) {
    Value* v = t.load(in, lane, size);
    return push(b().CreateVectorSplat(16 / size, v));
  };
  const auto widen = [&](Type* lane, unsigned lanes, bool sign) {
    Value* v = t.load(in, FixedVectorType::get(lane, lanes), 8);
    return push(
        extend(v,
               FixedVectorType::get(
                   llvm::IntegerType::get(m().context, lane->getIntegerBitWidth() * 2), lanes),
               sign));
  };
  const auto zero = [&](Type* lane, unsigned size) {
    Value* v = t.load(in, lane, size);
    Value* none = llvm::Constant::getNullValue(FixedVectorType::get(lane, 16 / size));
    return push(b().CreateInsertElement(none, v, uint64_t{0}));
  };
  const auto load_lane = [&](Type* lane, unsigned size) {
    Value* v = b().CreateBitCast(t.pop(), FixedVectorType::get(lane, 16 / size));
    return push(b().CreateInsertElement(v, t.load(in, lane, size), uint64_t{in.lane}));
  };
  const auto store_lane = [&](Type* lane, unsigned size) {
    Value* v = b().CreateBitCast(t.pop(), FixedVectorType::get(lane, 16 / size));
    t.store(in, b().CreateExtractElement(v, uint64_t{in.lane}), size);
    return true;
  };
  Type *i8 = m().i8, *i16 = m().i16, *i32 = m().i32, *i64 = m().i64;
  switch (in.op) {
    case Opcode::V128Load:
      return push(t.load(in, m().v128, 16));
    case Opcode::V128Store: {
      Value* v = t.pop();
      t.store(in, v, 16);
      return true;
    }
    case Opcode::V128Load8x8S:
      return widen(i8, 8, true);
    case Opcode::V128Load8x8U:
      return widen(i8, 8, false);
    case Opcode::V128Load16x4S:
      return widen(i16, 4, true);
    case Opcode::V128Load16x4U:
      return widen(i16, 4, false);
    case Opcode::V128Load32x2S:
      return widen(i32, 2, true);
    case Opcode::V128Load32x2U:
      return widen(i32, 2, false);
    case Opcode::V128Load8Splat:
      return splat(i8, 1);
    case Opcode::V128Load16Splat:
      return splat(i16, 2);
    case Opcode::V128Load32Splat:
      return splat(i32, 4);
    case Opcode::V128Load64Splat:
      return splat(i64, 8);
    case Opcode::V128Load32Zero:
      return zero(i32, 4);
    case Opcode::V128Load64Zero:
      return zero(i64, 8);
    case Opcode::V128Load8Lane:
      return load_lane(i8, 1);
    case Opcode::V128Load16Lane:
      return load_lane(i16, 2);
    case Opcode::V128Load32Lane:
      return load_lane(i32, 4);
    case Opcode::V128Load64Lane:
      return load_lane(i64, 8);
    case Opcode::V128Store8Lane:
      return store_lane(i8, 1);
    case Opcode::V128Store16Lane:
      return store_lane(i16, 2);
    case Opcode::V128Store32Lane:
      return store_lane(i32, 4);
    case Opcode::V128Store64Lane:
      return store_lane(i64, 8);
    default:
      return false;
  }
}

// Constants, bitwise instructions and what moves lanes.
bool FunctionTranslator::Simd::lanes() {
  switch (in.op) {
    case Opcode::V128Const: {
      std::vector<uint64_t> words{load_le<uint64_t>(in.v128.bytes),
                                  load_le<uint64_t>(in.v128.bytes + 8)};
      return push(llvm::ConstantDataVector::get(m().context, words));
    }
    case Opcode::I8x16Shuffle: {
      const Shape bytes{8, 16, false};
      Value* r = pop(bytes);
      Value* l = pop(bytes);
      std::vector<int> mask(in.v128.bytes, in.v128.bytes + 16);
      return push(b().CreateShuffleVector(l, r, mask));
    }
    case Opcode::I8x16Swizzle:
    case Opcode::I8x16RelaxedSwizzle:
      return swizzle();
    case Opcode::V128Not:
      return push(b().CreateNot(t.pop()));
    case Opcode::V128And:
      shape = {};
      return binary(llvm::Instruction::And);
    case Opcode::V128Or:
      shape = {};
      return binary(llvm::Instruction::Or);
    case Opcode::V128Xor:
      shape = {};
      return binary(llvm::Instruction::Xor);
    case Opcode::V128Andnot: {
      Value* r = t.pop();
      return push(b().CreateAnd(t.pop(), b().CreateNot(r)));
    }
    case Opcode::V128Bitselect:
      return bitselect();
    case Opcode::V128AnyTrue: {
      Value* v = b().CreateBitCast(t.pop(), llvm::IntegerType::get(m().context, 128));
      return push_scalar(b().CreateZExt(b().CreateIsNotNull(v), m().i32));
    }
    default:
      return false;
  }
}

bool FunctionTranslator::Simd::operation() {
  using I = llvm::Instruction;
  const bool f = shape.is_float;
  if (name == "splat") {
    Value* v = t.pop();
    if (!f && shape.bits < 32) v = b().CreateTrunc(v, lane_type(m(), shape));
    return push(b().CreateVectorSplat(shape.lanes, v));
  }
  if (name.starts_with("extract_lane")) {
    Value* v = b().CreateExtractElement(pop(), uint64_t{in.lane});
    if (!f && shape.bits < 32) v = extend(v, m().i32, is_signed);
    return push_scalar(v);
  }
  if (name == "replace_lane") {
    Value* lane = t.pop();
    if (!f && shape.bits < 32) lane = b().CreateTrunc(lane, lane_type(m(), shape));
    return push(b().CreateInsertElement(pop(), lane, uint64_t{in.lane}));
  }
  if (name == "all_true") {
    Value* set = b().CreateICmpNE(pop(), llvm::Constant::getNullValue(type()));
    return push_scalar(b().CreateZExt(b().CreateAndReduce(set), m().i32));
  }
  if (name == "bitmask") {
    Value* negative = b().CreateICmpSLT(pop(), llvm::Constant::getNullValue(type()));
    Type* bits = llvm::IntegerType::get(m().context, shape.lanes);
    return push_scalar(b().CreateZExt(b().CreateBitCast(negative, bits), m().i32));
  }
  if (name.starts_with("narrow_")) return narrow({shape.bits * 2, shape.lanes / 2, false});
  const Shape half_lanes{shape.bits / 2, shape.lanes * 2, false};
  if (name.starts_with("extend_")) {
    Value* v = half(pop(half_lanes), half_lanes.lanes, name.contains("high"));
    return push(extend(v, type(), is_signed));
  }
  if (name.starts_with("extmul_")) return extmul(half_lanes, name.contains("high"));
  if (name.starts_with("extadd_")) return extadd(half_lanes);
  if (name == "dot_i16x8_s") return push(dot(half_lanes, m().i32));
  // Signed by signed in both relaxed forms; sums saturate, as those of four times -128 do.
  if (name == "relaxed_dot_i8x16_i7x16_s") return push(dot(half_lanes, m().i16, true));
  if (name == "relaxed_dot_i8x16_i7x16_add_s") {
    Value* c = pop();
    const Shape bytes{8, 16, false};
    Value* pairs = dot(bytes, m().i16, true);
    Value* wide = b().CreateSExt(pairs, FixedVectorType::get(m().i32, 8));
    return push(b().CreateAdd(b().CreateAdd(even_or_odd(wide, 8, 0), even_or_odd(wide, 8, 1)), c));
  }
  if (name.contains("q15mulr")) return q15mulr();
  if (name.contains("laneselect")) return bitselect();
  if (name.contains("trunc_sat_") || name.contains("relaxed_trunc_"))
    return trunc_sat(name.contains("f64x2") ? Shape{64, 2, true} : Shape{32, 4, true});
  if (name.starts_with("convert_")) return convert({32, 4, false});
  if (name == "demote_f64x2_zero") {
    Value* v = b().CreateFPTrunc(pop({64, 2, true}), FixedVectorType::get(m().f32, 2));
    return push(
        b().CreateShuffleVector(v, llvm::Constant::getNullValue(v->getType()), {0, 1, 2, 3}));
  }
  if (name == "promote_low_f32x4") {
    Value* v = half(pop({32, 4, true}), 4, false);
    return push(b().CreateFPExt(v, type()));
  }
  if (name == "avgr_u") return avgr();
  if (name.ends_with("relaxed_madd")) return madd(false);
  if (name.ends_with("relaxed_nmadd")) return madd(true);
  if (name == "shl") return shift(I::Shl);
  if (name == "shr_s") return shift(I::AShr);
  if (name == "shr_u") return shift(I::LShr);
  if (name == "pmin") return pseudo(false);
  if (name == "pmax") return pseudo(true);

  if (f) {
    if (name == "min" || name == "max" || name == "relaxed_min" || name == "relaxed_max") {
      Value* r = pop();
      Value* l = pop();
      return push(t.float_min_max(l, r, name.ends_with("max")));
    }
    if (name == "neg") return push(b().CreateFNeg(pop()));
    const X::ID rounding = llvm::StringSwitch<X::ID>(name)
                               .Case("ceil", X::ceil)
                               .Case("floor", X::floor)
                               .Case("trunc", X::trunc)
                               .Case("nearest", X::roundeven)
                               .Default(X::not_intrinsic);
    if (rounding) return round(rounding);
    const X::ID unary = llvm::StringSwitch<X::ID>(name)
                            .Case("abs", X::fabs)
                            .Case("sqrt", X::sqrt)
                            .Default(X::not_intrinsic);
    if (unary) return unary_intrinsic(unary);
    const auto predicate = llvm::StringSwitch<CmpInst::Predicate>(name)
                               .Case("eq", CmpInst::FCMP_OEQ)
                               .Case("ne", CmpInst::FCMP_UNE)
                               .Case("lt", CmpInst::FCMP_OLT)
                               .Case("gt", CmpInst::FCMP_OGT)
                               .Case("le", CmpInst::FCMP_OLE)
                               .Case("ge", CmpInst::FCMP_OGE)
                               .Default(CmpInst::BAD_FCMP_PREDICATE);
    if (predicate != CmpInst::BAD_FCMP_PREDICATE) return compare(predicate);
    const auto op = llvm::StringSwitch<unsigned>(name)
                        .Case("add", I::FAdd)
                        .Case("sub", I::FSub)
                        .Case("mul", I::FMul)
                        .Case("div", I::FDiv)
                        .Default(0);
    return op && binary(I::BinaryOps(op));
  }
  if (name == "neg") return push(b().CreateNeg(pop()));
  if (name == "abs") {
    Value* v = pop();
    return push(b().CreateIntrinsic(X::abs, {v->getType()}, {v, b().getFalse()}));
  }
  if (name == "popcnt") return unary_intrinsic(X::ctpop);
  const X::ID two = llvm::StringSwitch<X::ID>(name)
                        .Case("add_sat_s", X::sadd_sat)
                        .Case("add_sat_u", X::uadd_sat)
                        .Case("sub_sat_s", X::ssub_sat)
                        .Case("sub_sat_u", X::usub_sat)
                        .Case("min_s", X::smin)
                        .Case("min_u", X::umin)
                        .Case("max_s", X::smax)
                        .Case("max_u", X::umax)
                        .Default(X::not_intrinsic);
  if (two) return binary_intrinsic(two);
  const auto predicate = llvm::StringSwitch<CmpInst::Predicate>(name)
                             .Case("eq", CmpInst::ICMP_EQ)
                             .Case("ne", CmpInst::ICMP_NE)
                             .Case("lt_s", CmpInst::ICMP_SLT)
                             .Case("lt_u", CmpInst::ICMP_ULT)
                             .Case("gt_s", CmpInst::ICMP_SGT)
                             .Case("gt_u", CmpInst::ICMP_UGT)
                             .Case("le_s", CmpInst::ICMP_SLE)
                             .Case("le_u", CmpInst::ICMP_ULE)
                             .Case("ge_s", CmpInst::ICMP_SGE)
                             .Case("ge_u", CmpInst::ICMP_UGE)
                             .Default(CmpInst::BAD_ICMP_PREDICATE);
  if (predicate != CmpInst::BAD_ICMP_PREDICATE) return compare(predicate);
  const auto op = llvm::StringSwitch<unsigned>(name)
                      .Case("add", I::Add)
                      .Case("sub", I::Sub)
                      .Case("mul", I::Mul)
                      .Default(0);
  return op && binary(I::BinaryOps(op));
}

bool FunctionTranslator::simd(const wasm::Instr& in) {
  const wasm::OpcodeInfo& info = wasm::opcode_info(in.op);
  if (info.prefix != 0xFD) return false;
  const auto [shape, name] = StringRef(info.text.data(), info.text.size()).split('.');
  Simd s{*this, in, {}, name, true};
  if (shape != "v128") s.shape = parse_shape(shape);
  s.is_signed = !name.ends_with("_u") && !name.ends_with("_u_zero");
  return s.load() || s.lanes() || s.operation();
}

}  // namespace wafer::compiler
