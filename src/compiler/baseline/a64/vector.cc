// Vector instructions (spec 4.3.5) for AArch64. Relaxed instructions make the same choices
// as the interpreter.
#include <cstring>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

namespace {

// Opcodes on 16 bytes; op::kLanes * n is added for lanes of 8 << n bits.
constexpr uint32_t kUnsigned = 1u << 29;
constexpr uint32_t kHigh = 1u << 30;  // of the upper halves, or into it
constexpr uint32_t kSqadd = 0x4E200C00, kSqsub = 0x4E202C00, kSrhadd = 0x4E201400,
                   kCmgt = 0x4E203400, kCmge = 0x4E203C00, kSshl = 0x4E204400, kSmax = 0x4E206400,
                   kSmin = 0x4E206C00, kAdd = 0x4E208400, kSub = kAdd | kUnsigned,
                   kCmeq = 0x6E208C00, kMul = 0x4E209C00, kSqrdmulh = 0x6E20B400,
                   kAddp = 0x4E20BC00;
constexpr uint32_t kSaddlp = 0x4E202800, kAbs = 0x4E20B800, kNeg = 0x6E20B800,
                   kCmeqZero = 0x4E209800;
// Narrow, lengthen: 8 bytes of the smaller type.
constexpr uint32_t kSqxtn = 0x0E214800, kSqxtun = 0x2E212800, kSmull = 0x0E20C000,
                   kSshll = 0x0F00A400;
// Floats of 32 bits; 64 with op::kDouble added.
constexpr uint32_t kFadd = 0x4E20D400, kFsub = 0x4EA0D400, kFmul = 0x6E20DC00, kFdiv = 0x6E20FC00,
                   kFmax = 0x4E20F400, kFmin = 0x4EA0F400, kFcmeq = 0x4E20E400, kFcmge = 0x6E20E400,
                   kFcmgt = 0x6EA0E400, kFabs = 0x4EA0F800, kFneg = 0x6EA0F800, kFsqrt = 0x6EA1F800,
                   kFrintn = 0x4E218800, kFrintm = 0x4E219800, kFrintp = 0x4EA18800,
                   kFrintz = 0x4EA19800, kFcvtzs = 0x4EA1B800, kFcvtzu = 0x6EA1B800,
                   kScvtf = 0x4E21D800, kUcvtf = 0x6E21D800;
// Across lanes.
constexpr uint32_t kUmaxv = 0x6E30A800, kUminv = 0x6E31A800, kAddv = 0x4E31B800;
constexpr uint32_t kZip1Bytes = 0x4E003800, kExtBy8 = 0x6E004000, kTbl1 = 0x4E000000,
                   kTbl2 = 0x4E002000;

// The field that tells lane `lane` of 8 << n bits.
constexpr uint32_t lane_field(uint32_t n, uint32_t lane) { return ((lane << 1 | 1) << n) << 16; }
// Shift of lanes of 8 << n bits to the right.
constexpr uint32_t sshr(uint32_t n, uint32_t by) { return 0x4F000400 | ((16u << n) - by) << 16; }

constexpr uint8_t kS = kScratchFpr, kT = kScratchFpr2;
static_assert(kS == kT + 1, "a table of two registers");

wasm::V128 masks(std::initializer_list<uint8_t> bytes) {
  wasm::V128 v{};
  size_t i = 0;
  for (const uint8_t b : bytes) v.bytes[i++] = b;
  return v;
}

}  // namespace

// The groups below pop and push for themselves; v29 to v31 are free to use. N is the
// binary logarithm of the lanes' bytes.
struct BaselineCompiler::Impl::VectorOps {
  Impl& c;
  Machine& a;

  // a = INST a, b
  void binary(uint32_t inst) {
    Operand y = c.pop(), x = c.pop();
    const uint8_t p = c.use_fpr(x), q = c.use_fpr(y);
    c.release(x);
    c.release(y);
    const uint8_t dst = c.result_fpr();
    a.op3(inst, dst, p, q);
    c.push_fpr(wasm::kV128, dst);
  }
  // a = INST b, a
  void swapped(uint32_t inst) {
    binary_with([&](uint8_t x, uint8_t y) { a.op3(inst, x, y, x); });
  }
  void unary(uint32_t inst) {
    unary_with([&](uint8_t x) { a.op2(inst, x, x); });
  }
  // f(x) changes the operand in place.
  template <class F>
  void unary_with(F f) {
    const uint8_t x = c.changed_fpr(c.pop());
    f(x);
    c.push_fpr(wasm::kV128, x);
  }
  // f(x, y) changes x.
  template <class F>
  void binary_with(F f) {
    Operand y = c.pop(), x = c.pop();
    const uint8_t p = c.own_fpr(x), q = c.use_fpr(y);
    f(p, q);
    c.release(y);
    c.push_fpr(wasm::kV128, p);
  }
  template <class F>
  void ternary_with(F f) {
    Operand z = c.pop(), y = c.pop(), x = c.pop();
    const uint8_t p = c.own_fpr(x), q = c.use_fpr(y), r = c.use_fpr(z);
    f(p, q, r);
    c.release(y);
    c.release(z);
    c.push_fpr(wasm::kV128, p);
  }
  void inverse(uint32_t inst) {
    binary_with([&](uint8_t x, uint8_t y) {
      a.op3(inst, x, x, y);
      a.op2(op::kNotV, x, x);
    });
  }
  void load_constant(uint8_t dst, const wasm::V128& value) {
    a.load_label(kScratch, c.constant(value));
    a.load_fpr(dst, Machine::at(kScratch, 0), 16);
  }
  // The flags tell whether any or, with `all`, every lane is other than zero.
  void test_lanes(uint32_t n, bool all) {
    Operand o = c.pop();
    const uint8_t x = c.use_fpr(o);
    if (all && n == 3) {
      a.op2(kCmeqZero | op::kLanes * 3, kS, x);
      a.op2(kUmaxv | op::kLanes * 2, kS, kS);
    } else {
      a.op2((all ? kUminv | op::kLanes * n : kUmaxv | op::kLanes * 2), kS, x);
    }
    a.move_from_fpr(kValue, kS, false);
    a.test_zero(kValue, false);
    c.release(o);
    c.push_flags(all && n == 3 ? Cond::Equal : Cond::NotEqual);
  }
  void bitmask(uint32_t n) {
    static const wasm::V128 kBits[] = {
        masks({1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128}),
        masks({1, 0, 2, 0, 4, 0, 8, 0, 16, 0, 32, 0, 64, 0, 128, 0}),
        masks({1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0})};
    Operand o = c.pop();
    const uint8_t x = c.use_fpr(o);
    const uint8_t dst = c.alloc_gpr();
    if (n == 3) {
      a.op2(0x4E083C00, dst, x);     // umov of lane 0
      a.op2(0x4E183C00, kValue, x);  // and of lane 1
      a.lsr_imm(true, dst, dst, 63);
      a.lsr_imm(true, kValue, kValue, 63);
      a.op3(op::kAdd | op::kWide | 1u << 10, dst, dst, kValue);
    } else {
      load_constant(kT, kBits[n]);
      a.op2(sshr(n, (8u << n) - 1), kS, x);
      a.op3(op::kAndV, kS, kS, kT);
      if (n == 0) {
        a.op3(kExtBy8, kT, kS, kS);
        a.op3(kZip1Bytes, kS, kS, kT);
      }
      a.op2(kAddv | op::kLanes * (n == 2 ? 2 : 1), kS, kS);
      a.move_from_fpr(dst, kS, false);
    }
    c.release(o);
    c.push_gpr(wasm::kI32, dst);
  }
  void splat(uint32_t n) {
    Operand o = c.pop();
    const uint8_t r = c.use_gpr(o);
    const uint8_t x = c.alloc_fpr();
    a.op2(op::kDup | lane_field(n, 0), x, r);
    c.release(o);
    c.push_fpr(wasm::kV128, x);
  }
  void splat_float(uint32_t n) { unary(0x4E000400 | lane_field(n, 0)); }
  void extract(uint32_t n, uint32_t lane, bool sign) {
    Operand o = c.pop();
    const uint8_t x = c.use_fpr(o);
    const uint8_t r = c.alloc_gpr();
    const uint32_t inst = sign ? 0x0E002C00 : n == 3 ? 0x4E003C00 : 0x0E003C00;
    a.op2(inst | lane_field(n, lane), r, x);
    c.release(o);
    c.push_gpr(n == 3 ? wasm::kI64 : wasm::kI32, r);
  }
  void extract_float(uint32_t n, uint32_t lane) {
    Operand o = c.pop();
    const uint8_t x = c.own_fpr(o);
    a.op2(0x5E000400 | lane_field(n, lane), x, x);
    c.push_fpr(n == 3 ? wasm::kF64 : wasm::kF32, x);
  }
  void replace(uint32_t n, uint32_t lane) {
    Operand v = c.pop(), o = c.pop();
    const uint8_t x = c.own_fpr(o);
    a.op2(op::kInsGpr | lane_field(n, lane), x, c.use_gpr(v));
    c.release(v);
    c.push_fpr(wasm::kV128, x);
  }
  void replace_float(uint32_t n, uint32_t lane) {
    binary_with([&](uint8_t x, uint8_t y) { a.op2(0x6E000400 | lane_field(n, lane), x, y); });
  }
  // The fields of a load or store of one lane.
  static uint32_t one_lane(uint32_t n, uint32_t lane) {
    const uint32_t at = lane << n;  // as the byte
    const uint32_t group = n == 0 ? 0 : n == 1 ? 0x4000 : n == 2 ? 0x8000 : 0x8400;
    return 0x0D000000 | group | (at >> 3) << 30 | (at >> 2 & 1) << 12 | (at & 3) << 10;
  }
  void load_lane(const Instr& in, uint32_t n) {
    Operand v = c.pop(), base = c.pop();
    const uint8_t x = c.own_fpr(v);
    a.load_address(kScratch, c.address(in, base, 1u << n));
    a.op2(one_lane(n, in.lane) | 1u << 22, x, kScratch);
    c.done_address(base);
    c.push_fpr(wasm::kV128, x);
  }
  void store_lane(const Instr& in, uint32_t n) {
    Operand v = c.pop(), base = c.pop();
    const uint8_t x = c.use_fpr(v);
    a.load_address(kScratch, c.address(in, base, 1u << n));
    a.op2(one_lane(n, in.lane), x, kScratch);
    c.done_address(base);
    c.release(v);
  }
  void load_splat(const Instr& in, uint32_t n) {
    Operand base = c.pop();
    a.load_address(kScratch, c.address(in, base, 1u << n));
    c.done_address(base);
    const uint8_t x = c.alloc_fpr();
    a.op2(0x4D40C000 | n << 10, x, kScratch);  // ld1r
    c.push_fpr(wasm::kV128, x);
  }
  // 8 bytes, whose lanes of 8 << n bits double their size.
  void load_extended(const Instr& in, uint32_t n, bool sign) {
    load_part(in, 8);
    unary(long_by(kSshll | (sign ? 0 : kUnsigned), n));
  }
  void load_part(const Instr& in, unsigned width) {
    Operand base = c.pop();
    const Mem m = c.address(in, base, width);
    const uint8_t x = c.alloc_fpr();
    a.load_fpr(x, m, width);
    c.done_address(base);
    c.push_fpr(wasm::kV128, x);
  }
  // Extension of lanes of 8 << n bits.
  static uint32_t long_by(uint32_t inst, uint32_t n) { return inst | (8u << n) << 16; }
  // By a count that is reduced to the lanes' size; right shifts are of negative counts.
  void shift(uint32_t inst, uint32_t n, bool left) {
    Operand count = c.pop();
    if (count.kind == Kind::Const) {
      const uint64_t by = count.value & ((8u << n) - 1);
      a.load_imm(kValue, left ? by : -by);
    } else {
      const uint8_t r = c.use_gpr(count);
      uint32_t mask = 0;
      Machine::is_mask((8u << n) - 1, false, mask);
      a.op2(op::kAndMask | mask, kValue, r);
      if (!left) a.op3(op::kSub | op::kWide, kValue, kZero, kValue);
      c.release(count);
    }
    a.op2(op::kDup | lane_field(n, 0), kS, kValue);
    unary_with([&](uint8_t x) { a.op3(inst | op::kLanes * n, x, x, kS); });
  }
  void narrow(uint32_t inst, uint32_t n) {
    binary_with([&](uint8_t x, uint8_t y) {
      a.op2(inst | op::kLanes * n, kS, x);
      a.op2(inst | op::kLanes * n | kHigh, kS, y);
      a.move_fpr(x, kS);
    });
  }
  void mul64() {
    binary_with([&](uint8_t x, uint8_t y) {
      for (uint32_t lane = 0; lane < 2; ++lane) {
        a.op2(0x4E003C00 | lane_field(3, lane), kScratch, x);
        a.op2(0x4E003C00 | lane_field(3, lane), kValue, y);
        a.op3(op::kMadd | op::kWide | uint32_t(kZero) << 10, kScratch, kScratch, kValue);
        a.op2(op::kInsGpr | lane_field(3, lane), x, kScratch);
      }
    });
  }
  // y < x ? y : x, or of pmax x < y ? y : x, as bits.
  void pseudo_min_max(uint32_t double_bit, bool max) {
    binary_with([&](uint8_t x, uint8_t y) {
      a.op3(kFcmgt | double_bit, kS, max ? y : x, max ? x : y);
      a.op3(op::kBitV, x, y, kS);
    });
  }
  void dot_i16(uint8_t x, uint8_t y) {
    a.op3(kSmull | op::kLanes, kS, x, y);
    a.op3(kSmull | op::kLanes | kHigh, kT, x, y);
    a.op3(kAddp | op::kLanes * 2, x, kS, kT);
  }
  // Sums of two products, which saturate where both are of the least numbers.
  void dot_i8(uint8_t x, uint8_t y) {
    a.op3(kSmull, kS, x, y);
    a.op3(kSmull | kHigh, kT, x, y);
    a.op2(kSaddlp | op::kLanes, kS, kS);
    a.op2(kSaddlp | op::kLanes, kT, kT);
    a.op2(kSqxtn | op::kLanes, x, kS);
    a.op2(kSqxtn | op::kLanes | kHigh, x, kT);
  }
};

bool BaselineCompiler::Impl::visit_vector(const Instr& in) {
  using enum Opcode;
  if (in.op < V128Load || in.op > I32x4RelaxedDotI8x16I7x16AddS) return false;
  VectorOps v{*this, a_};
  constexpr uint32_t kLanes = op::kLanes;
#define WAFER_OP(OP, CALL) \
  case OP:                 \
    v.CALL;                \
    return true;
  switch (in.op) {
    WAFER_OP(V128Load8x8S, load_extended(in, 0, true))
    WAFER_OP(V128Load8x8U, load_extended(in, 0, false))
    WAFER_OP(V128Load16x4S, load_extended(in, 1, true))
    WAFER_OP(V128Load16x4U, load_extended(in, 1, false))
    WAFER_OP(V128Load32x2S, load_extended(in, 2, true))
    WAFER_OP(V128Load32x2U, load_extended(in, 2, false))
    WAFER_OP(V128Load32Zero, load_part(in, 4))
    WAFER_OP(V128Load64Zero, load_part(in, 8))
    WAFER_OP(V128Load8Splat, load_splat(in, 0))
    WAFER_OP(V128Load16Splat, load_splat(in, 1))
    WAFER_OP(V128Load32Splat, load_splat(in, 2))
    WAFER_OP(V128Load64Splat, load_splat(in, 3))
    WAFER_OP(V128Load8Lane, load_lane(in, 0))
    WAFER_OP(V128Load16Lane, load_lane(in, 1))
    WAFER_OP(V128Load32Lane, load_lane(in, 2))
    WAFER_OP(V128Load64Lane, load_lane(in, 3))
    WAFER_OP(V128Store8Lane, store_lane(in, 0))
    WAFER_OP(V128Store16Lane, store_lane(in, 1))
    WAFER_OP(V128Store32Lane, store_lane(in, 2))
    WAFER_OP(V128Store64Lane, store_lane(in, 3))

    case V128Const: {
      const uint8_t x = alloc_fpr();
      if (in.v128 == wasm::V128{}) {
        a_.load_fpr_imm(x, 0, true);
      } else {
        v.load_constant(x, in.v128);
      }
      push_fpr(wasm::kV128, x);
      return true;
    }
    case I8x16Shuffle:
      v.binary_with([&](uint8_t x, uint8_t y) {
        a_.move_fpr(kT, x);
        a_.move_fpr(kS, y);
        v.load_constant(x, in.v128);
        a_.op3(kTbl2, x, kT, x);
      });
      return true;
    case I8x16Swizzle:
    case I8x16RelaxedSwizzle:
      v.binary(kTbl1);
      return true;

      WAFER_OP(I8x16Splat, splat(0))
      WAFER_OP(I16x8Splat, splat(1))
      WAFER_OP(I32x4Splat, splat(2))
      WAFER_OP(I64x2Splat, splat(3))
      WAFER_OP(F32x4Splat, splat_float(2))
      WAFER_OP(F64x2Splat, splat_float(3))
      WAFER_OP(I8x16ExtractLaneS, extract(0, in.lane, true))
      WAFER_OP(I8x16ExtractLaneU, extract(0, in.lane, false))
      WAFER_OP(I16x8ExtractLaneS, extract(1, in.lane, true))
      WAFER_OP(I16x8ExtractLaneU, extract(1, in.lane, false))
      WAFER_OP(I32x4ExtractLane, extract(2, in.lane, false))
      WAFER_OP(I64x2ExtractLane, extract(3, in.lane, false))
      WAFER_OP(F32x4ExtractLane, extract_float(2, in.lane))
      WAFER_OP(F64x2ExtractLane, extract_float(3, in.lane))
      WAFER_OP(I8x16ReplaceLane, replace(0, in.lane))
      WAFER_OP(I16x8ReplaceLane, replace(1, in.lane))
      WAFER_OP(I32x4ReplaceLane, replace(2, in.lane))
      WAFER_OP(I64x2ReplaceLane, replace(3, in.lane))
      WAFER_OP(F32x4ReplaceLane, replace_float(2, in.lane))
      WAFER_OP(F64x2ReplaceLane, replace_float(3, in.lane))

#define WAFER_INTEGERS(P, N)                            \
  WAFER_OP(P##Eq, binary(kCmeq | kLanes * N))           \
  WAFER_OP(P##Ne, inverse(kCmeq | kLanes * N))          \
  WAFER_OP(P##LtS, swapped(kCmgt | kLanes * N))         \
  WAFER_OP(P##GtS, binary(kCmgt | kLanes * N))          \
  WAFER_OP(P##LeS, swapped(kCmge | kLanes * N))         \
  WAFER_OP(P##GeS, binary(kCmge | kLanes * N))          \
  WAFER_OP(P##AllTrue, test_lanes(N, true))             \
  WAFER_OP(P##Bitmask, bitmask(N))                      \
  WAFER_OP(P##Abs, unary(kAbs | kLanes * N))            \
  WAFER_OP(P##Neg, unary(kNeg | kLanes * N))            \
  WAFER_OP(P##Shl, shift(kSshl, N, true))               \
  WAFER_OP(P##ShrS, shift(kSshl, N, false))             \
  WAFER_OP(P##ShrU, shift(kSshl | kUnsigned, N, false)) \
  WAFER_OP(P##Add, binary(kAdd | kLanes * N))           \
  WAFER_OP(P##Sub, binary(kSub | kLanes * N))
#define WAFER_NARROW_INTEGERS(P, N)                         \
  WAFER_INTEGERS(P, N)                                      \
  WAFER_OP(P##LtU, swapped(kCmgt | kUnsigned | kLanes * N)) \
  WAFER_OP(P##GtU, binary(kCmgt | kUnsigned | kLanes * N))  \
  WAFER_OP(P##LeU, swapped(kCmge | kUnsigned | kLanes * N)) \
  WAFER_OP(P##GeU, binary(kCmge | kUnsigned | kLanes * N))  \
  WAFER_OP(P##MinS, binary(kSmin | kLanes * N))             \
  WAFER_OP(P##MinU, binary(kSmin | kUnsigned | kLanes * N)) \
  WAFER_OP(P##MaxS, binary(kSmax | kLanes * N))             \
  WAFER_OP(P##MaxU, binary(kSmax | kUnsigned | kLanes * N))
#define WAFER_SATURATING_INTEGERS(P, N)                         \
  WAFER_NARROW_INTEGERS(P, N)                                   \
  WAFER_OP(P##AddSatS, binary(kSqadd | kLanes * N))             \
  WAFER_OP(P##AddSatU, binary(kSqadd | kUnsigned | kLanes * N)) \
  WAFER_OP(P##SubSatS, binary(kSqsub | kLanes * N))             \
  WAFER_OP(P##SubSatU, binary(kSqsub | kUnsigned | kLanes * N)) \
  WAFER_OP(P##AvgrU, binary(kSrhadd | kUnsigned | kLanes * N))
      WAFER_SATURATING_INTEGERS(I8x16, 0)
      WAFER_SATURATING_INTEGERS(I16x8, 1)
      WAFER_NARROW_INTEGERS(I32x4, 2)
      WAFER_INTEGERS(I64x2, 3)
#undef WAFER_INTEGERS
#undef WAFER_NARROW_INTEGERS
#undef WAFER_SATURATING_INTEGERS

      WAFER_OP(V128Not, unary(op::kNotV))
      WAFER_OP(V128And, binary(op::kAndV))
      WAFER_OP(V128Or, binary(op::kOrrV))
      WAFER_OP(V128Xor, binary(op::kEorV))
      WAFER_OP(V128Andnot, binary(op::kBicV))
    case V128Bitselect:
    case I8x16RelaxedLaneselect:
    case I16x8RelaxedLaneselect:
    case I32x4RelaxedLaneselect:
    case I64x2RelaxedLaneselect:
      v.ternary_with([&](uint8_t x, uint8_t y, uint8_t mask) {
        a_.op3(op::kBitV | kLanes, x, y, mask);  // bif: y where the mask has zeros
      });
      return true;
      WAFER_OP(V128AnyTrue, test_lanes(0, false))

      WAFER_OP(I8x16Popcnt, unary(op::kCntV))
      WAFER_OP(I8x16NarrowI16x8S, narrow(kSqxtn, 0))
      WAFER_OP(I8x16NarrowI16x8U, narrow(kSqxtun, 0))
      WAFER_OP(I16x8NarrowI32x4S, narrow(kSqxtn, 1))
      WAFER_OP(I16x8NarrowI32x4U, narrow(kSqxtun, 1))
      WAFER_OP(I16x8Mul, binary(kMul | kLanes))
      WAFER_OP(I32x4Mul, binary(kMul | kLanes * 2))
      WAFER_OP(I64x2Mul, mul64())
      WAFER_OP(I32x4DotI16x8S, binary_with([&](uint8_t x, uint8_t y) { v.dot_i16(x, y); }))
      WAFER_OP(I16x8Q15mulrSatS, binary(kSqrdmulh | kLanes))
      WAFER_OP(I16x8RelaxedQ15mulrS, binary(kSqrdmulh | kLanes))
      WAFER_OP(I16x8ExtaddPairwiseI8x16S, unary(kSaddlp))
      WAFER_OP(I16x8ExtaddPairwiseI8x16U, unary(kSaddlp | kUnsigned))
      WAFER_OP(I32x4ExtaddPairwiseI16x8S, unary(kSaddlp | kLanes))
      WAFER_OP(I32x4ExtaddPairwiseI16x8U, unary(kSaddlp | kLanes | kUnsigned))
#define WAFER_EXTEND(P, FROM, SUFFIX, N, SIGN)                                               \
  WAFER_OP(P##ExtendLow##FROM##SUFFIX, unary(VectorOps::long_by(kSshll | SIGN, N)))          \
  WAFER_OP(P##ExtendHigh##FROM##SUFFIX, unary(VectorOps::long_by(kSshll | SIGN | kHigh, N))) \
  WAFER_OP(P##ExtmulLow##FROM##SUFFIX, binary(kSmull | SIGN | kLanes * N))                   \
  WAFER_OP(P##ExtmulHigh##FROM##SUFFIX, binary(kSmull | SIGN | kHigh | kLanes * N))
      WAFER_EXTEND(I16x8, I8x16, S, 0, 0)
      WAFER_EXTEND(I16x8, I8x16, U, 0, kUnsigned)
      WAFER_EXTEND(I32x4, I16x8, S, 1, 0)
      WAFER_EXTEND(I32x4, I16x8, U, 1, kUnsigned)
      WAFER_EXTEND(I64x2, I32x4, S, 2, 0)
      WAFER_EXTEND(I64x2, I32x4, U, 2, kUnsigned)
#undef WAFER_EXTEND

#define WAFER_FLOATS(P, D)                                                      \
  WAFER_OP(P##Eq, binary(kFcmeq | D))                                           \
  WAFER_OP(P##Ne, inverse(kFcmeq | D))                                          \
  WAFER_OP(P##Lt, swapped(kFcmgt | D))                                          \
  WAFER_OP(P##Gt, binary(kFcmgt | D))                                           \
  WAFER_OP(P##Le, swapped(kFcmge | D))                                          \
  WAFER_OP(P##Ge, binary(kFcmge | D))                                           \
  WAFER_OP(P##Abs, unary(kFabs | D))                                            \
  WAFER_OP(P##Neg, unary(kFneg | D))                                            \
  WAFER_OP(P##Sqrt, unary(kFsqrt | D))                                          \
  WAFER_OP(P##Add, binary(kFadd | D))                                           \
  WAFER_OP(P##Sub, binary(kFsub | D))                                           \
  WAFER_OP(P##Mul, binary(kFmul | D))                                           \
  WAFER_OP(P##Div, binary(kFdiv | D))                                           \
  WAFER_OP(P##Min, binary(kFmin | D))                                           \
  WAFER_OP(P##Max, binary(kFmax | D))                                           \
  WAFER_OP(P##RelaxedMin, binary(kFmin | D))                                    \
  WAFER_OP(P##RelaxedMax, binary(kFmax | D))                                    \
  WAFER_OP(P##Pmin, pseudo_min_max(D, false))                                   \
  WAFER_OP(P##Pmax, pseudo_min_max(D, true))                                    \
  WAFER_OP(P##Nearest, unary(kFrintn | D))                                      \
  WAFER_OP(P##Floor, unary(kFrintm | D))                                        \
  WAFER_OP(P##Ceil, unary(kFrintp | D))                                         \
  WAFER_OP(P##Trunc, unary(kFrintz | D))                                        \
  WAFER_OP(P##RelaxedMadd, ternary_with([&](uint8_t x, uint8_t y, uint8_t z) {  \
             a_.op3(kFmul | D, x, x, y);                                        \
             a_.op3(kFadd | D, x, x, z);                                        \
           }))                                                                  \
  WAFER_OP(P##RelaxedNmadd, ternary_with([&](uint8_t x, uint8_t y, uint8_t z) { \
             a_.op3(kFmul | D, x, x, y);                                        \
             a_.op3(kFsub | D, x, z, x);                                        \
           }))
      WAFER_FLOATS(F32x4, 0)
      WAFER_FLOATS(F64x2, op::kDouble)
#undef WAFER_FLOATS

      WAFER_OP(I32x4TruncSatF32x4S, unary(kFcvtzs))
      WAFER_OP(I32x4RelaxedTruncF32x4S, unary(kFcvtzs))
      WAFER_OP(I32x4TruncSatF32x4U, unary(kFcvtzu))
      WAFER_OP(I32x4RelaxedTruncF32x4U, unary(kFcvtzu))
    case I32x4TruncSatF64x2SZero:
    case I32x4RelaxedTruncF64x2SZero:
    case I32x4TruncSatF64x2UZero:
    case I32x4RelaxedTruncF64x2UZero: {
      const bool sign = in.op == I32x4TruncSatF64x2SZero || in.op == I32x4RelaxedTruncF64x2SZero;
      v.unary((sign ? kFcvtzs : kFcvtzu) | op::kDouble);
      v.unary(kSqxtn | kLanes * 2 | (sign ? 0 : kUnsigned));
      return true;
    }
      WAFER_OP(F32x4ConvertI32x4S, unary(kScvtf))
      WAFER_OP(F32x4ConvertI32x4U, unary(kUcvtf))
    case F64x2ConvertLowI32x4S:
    case F64x2ConvertLowI32x4U: {
      const uint32_t sign = in.op == F64x2ConvertLowI32x4S ? 0 : kUnsigned;
      v.unary(VectorOps::long_by(kSshll | sign, 2));
      v.unary(kScvtf | sign | op::kDouble);
      return true;
    }
      WAFER_OP(F32x4DemoteF64x2Zero, unary(0x0E616800))  // fcvtn
      WAFER_OP(F64x2PromoteLowF32x4, unary(0x0E617800))  // fcvtl
      WAFER_OP(I16x8RelaxedDotI8x16I7x16S,
               binary_with([&](uint8_t x, uint8_t y) { v.dot_i8(x, y); }))
      WAFER_OP(I32x4RelaxedDotI8x16I7x16AddS, ternary_with([&](uint8_t x, uint8_t y, uint8_t z) {
                 v.dot_i8(x, y);
                 a_.op2(kSaddlp | kLanes, x, x);
                 a_.op3(kAdd | kLanes * 2, x, x, z);
               }))
    default:
      return false;
  }
#undef WAFER_OP
}

}  // namespace wafer::compiler
