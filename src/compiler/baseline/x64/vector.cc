// Vector instructions (spec 4.3.5), for SSE4.2. Relaxed instructions make the same choices
// as the interpreter.
#include <bit>
#include <cstring>

#include "compiler/baseline/codegen.h"

namespace wafer::compiler {

namespace {

wasm::V128 splat32(uint32_t v) {
  wasm::V128 r;
  for (int i = 0; i < 4; ++i) std::memcpy(r.bytes + 4 * i, &v, 4);
  return r;
}
wasm::V128 splat64(uint64_t v) {
  wasm::V128 r;
  std::memcpy(r.bytes, &v, 8);
  std::memcpy(r.bytes + 8, &v, 8);
  return r;
}
wasm::V128 splat_f32(float v) { return splat32(std::bit_cast<uint32_t>(v)); }
wasm::V128 splat_f64(double v) { return splat64(std::bit_cast<uint64_t>(v)); }

constexpr uint8_t kS = kScratchFpr, kT = kScratchFpr2;

}  // namespace

// The groups below pop and push for themselves; xmm14 and xmm15 are free to use.
struct BaselineCompiler::Impl::VectorOps {
  Impl& c;
  Machine& a;

  Mem memory(const wasm::V128& value) { return x86::ptr(c.constant(value)); }
  x86::Xmm s() const { return x86::xmm(kS); }
  x86::Xmm t() const { return x86::xmm(kT); }

  // a = INST a, b
  void binary(InstId inst, bool commutes = false) {
    c.float_binary_inst(inst, wasm::kV128, commutes);
  }
  // b = INST b, a
  void swapped(InstId inst) {
    Operand y = c.pop(), x = c.pop();
    if (const InstId three = a.three_operands(inst); three != Inst::kIdNone)
      return c.float_three(three, wasm::kV128, false, c.target(true), y, x);
    const uint8_t b = c.own_fpr(y);
    a.emit(inst, xmm(b), xmm(c.use_fpr(x)));
    c.release(x);
    c.push_fpr(wasm::kV128, b);
  }
  // f(x) changes the operand in place.
  template <class F>
  void unary(F f) {
    const uint8_t x = c.changed_fpr(c.pop());
    f(xmm(x));
    c.push_fpr(wasm::kV128, x);
  }
  // f(x, y) changes x; y may change too.
  template <class F>
  void binary_with(F f) {
    Operand y = c.pop(), x = c.pop();
    const uint8_t p = c.own_fpr(x), q = c.own_fpr(y);
    f(xmm(p), xmm(q));
    c.release(y);
    c.push_fpr(wasm::kV128, p);
  }
  template <class F>
  void ternary_with(F f) {
    Operand z = c.pop(), y = c.pop(), x = c.pop();
    const uint8_t p = c.own_fpr(x), q = c.own_fpr(y), r = c.own_fpr(z);
    f(xmm(p), xmm(q), xmm(r));
    c.release(y);
    c.release(z);
    c.push_fpr(wasm::kV128, p);
  }
  void invert(const x86::Xmm& x) {
    a.pcmpeqd(s(), s());
    a.pxor(x, s());
  }
  void compare(InstId inst, bool swap, bool inverse) {
    if (swap) {
      swapped(inst);
    } else {
      binary(inst);
    }
    if (inverse) invert(xmm(c.top().reg));
  }
  // Unsigned: x == max(x, y) says x >= y; x == min(x, y) says x <= y.
  void compare_unsigned(InstId extreme, InstId equal, bool inverse) {
    Operand y = c.pop(), x = c.pop();
    const uint8_t p = c.own_fpr(x), q = c.use_fpr(y);
    a.movaps(s(), xmm(p));
    a.emit(extreme, s(), xmm(q));
    a.emit(equal, xmm(p), s());
    c.release(y);
    c.push_fpr(wasm::kV128, p);
    if (inverse) invert(xmm(p));
  }
  void compare_float(InstId inst, int predicate, bool swap) {
    Operand y = c.pop(), x = c.pop();
    if (swap) std::swap(x, y);
    const uint8_t p = c.own_fpr(x), q = c.use_fpr(y);
    a.emit(inst, xmm(p), xmm(q), asmjit::Imm(predicate));
    c.release(y);
    c.push_fpr(wasm::kV128, p);
  }
  void all_true(InstId equal) {
    Operand o = c.pop();
    const uint8_t x = c.use_fpr(o);
    a.pxor(s(), s());
    a.emit(equal, s(), xmm(x));
    a.ptest(s(), s());
    c.release(o);
    c.push_flags(Cond::Equal);
  }
  void negate_lanes(InstId sub) {
    unary([&](const x86::Xmm& x) {
      a.pxor(s(), s());
      a.emit(sub, s(), x);
      a.movaps(x, s());
    });
  }
  void splat(bool wide, auto spread) {
    Operand o = c.pop();
    const uint8_t x = c.alloc_fpr();
    const uint8_t r = c.use_gpr(o);
    if (wide) {
      a.movq(xmm(x), gp(r, true));
    } else {
      a.movd(xmm(x), gp(r, false));
    }
    c.release(o);
    spread(xmm(x));
    c.push_fpr(wasm::kV128, x);
  }
  void spread8(const x86::Xmm& x) {
    a.pxor(s(), s());
    a.pshufb(x, s());
  }
  void spread16(const x86::Xmm& x) {
    a.pshuflw(x, x, 0);
    a.pshufd(x, x, 0);
  }
  void extract(InstId inst, uint32_t lane, bool wide, unsigned sign_bits) {
    Operand o = c.pop();
    const uint8_t x = c.use_fpr(o);
    const uint8_t r = c.alloc_gpr();
    a.emit(inst, gp(r, wide), xmm(x), asmjit::Imm(lane));
    if (sign_bits == 8) a.movsx(gp(r, false), x86::gpb_lo(r));
    if (sign_bits == 16) a.movsx(gp(r, false), x86::gpw(r));
    c.release(o);
    c.push_gpr(wide ? wasm::kI64 : wasm::kI32, r);
  }
  void replace(InstId inst, uint32_t lane, bool wide) {
    Operand v = c.pop(), o = c.pop();
    const uint8_t x = c.own_fpr(o);
    a.emit(inst, xmm(x), gp(c.use_gpr(v), wide), asmjit::Imm(lane));
    c.release(v);
    c.push_fpr(wasm::kV128, x);
  }
  void load_lane(const Instr& in, InstId inst, unsigned width) {
    Operand v = c.pop(), base = c.pop();
    const uint8_t x = c.own_fpr(v);
    Mem m = c.address(in, base, width);
    m.setSize(width);
    a.emit(inst, xmm(x), m, asmjit::Imm(in.lane));
    c.done_address(base);
    c.push_fpr(wasm::kV128, x);
  }
  void store_lane(const Instr& in, InstId inst, unsigned width) {
    Operand v = c.pop(), base = c.pop();
    const uint8_t x = c.use_fpr(v);
    Mem m = c.address(in, base, width);
    m.setSize(width);
    a.emit(inst, m, xmm(x), asmjit::Imm(in.lane));
    c.done_address(base);
    c.release(v);
  }
  void load_splat(const Instr& in, unsigned width) {
    Operand base = c.pop();
    Mem m = c.address(in, base, width);
    m.setSize(width);
    const uint8_t x = c.alloc_fpr();
    switch (width) {
      case 1:
        a.pinsrb(xmm(x), m, 0);
        spread8(xmm(x));
        break;
      case 2:
        a.pinsrw(xmm(x), m, 0);
        spread16(xmm(x));
        break;
      case 4:
        a.movss(xmm(x), m);
        a.pshufd(xmm(x), xmm(x), 0);
        break;
      default:
        a.movddup(xmm(x), m);
    }
    c.done_address(base);
    c.push_fpr(wasm::kV128, x);
  }
  // Pops the shift count into xmm15, reduced by `mask` and increased by `more`.
  void count(uint32_t mask, int more = 0) {
    const Operand n = c.pop();
    if (n.kind == Kind::Const) {
      a.load_imm(kScratch, (n.value & mask) + uint64_t(more));
    } else {
      c.load_gpr(kScratch, n);
      c.release(n);
      a.and_(gp(kScratch, false), mask);
      if (more) a.add(gp(kScratch, false), more);
    }
    a.movd(s(), gp(kScratch, false));
  }
  void shift(InstId inst, uint32_t mask) {
    if (c.top().kind == Kind::Const) {
      const auto by = asmjit::Imm(c.pop().value & mask);
      const InstId three = a.three_operands(inst);
      if (three == Inst::kIdNone) return unary([&](const x86::Xmm& x) { a.emit(inst, x, by); });
      Operand o = c.pop();
      const uint8_t to = c.target(true), x = c.use_fpr(o);
      const uint8_t dst = to != kNoRegister ? to : o.kind == Kind::Fpr ? x : c.alloc_fpr();
      a.emit(three, xmm(dst), xmm(x), by);
      if (dst != x) c.release(o);
      return c.push_fpr(wasm::kV128, dst);
    }
    count(mask);
    unary([&](const x86::Xmm& x) { a.emit(inst, x, s()); });
  }
  // Bytes are shifted as words; what crossed over is masked out.
  void shift8(bool left) {
    count(7);
    unary([&](const x86::Xmm& x) {
      a.pcmpeqd(t(), t());
      a.psrlw(t(), 8);
      if (left) {
        a.psllw(x, s());
        a.psllw(t(), s());
      } else {
        a.psrlw(x, s());
        a.psrlw(t(), s());
      }
      a.pxor(s(), s());
      a.pshufb(t(), s());
      a.pand(x, t());
    });
  }
  void shift8_signed() {
    count(7, 8);
    unary([&](const x86::Xmm& x) {
      a.movaps(t(), x);
      a.punpckhbw(t(), t());
      a.punpcklbw(x, x);
      a.psraw(t(), s());
      a.psraw(x, s());
      a.packsswb(x, t());
    });
  }
  void shift64_signed() {
    count(63);
    unary([&](const x86::Xmm& x) {
      // The sign bit after the shift, to extend from.
      a.pcmpeqd(t(), t());
      a.psllq(t(), 63);
      a.psrlq(t(), s());
      a.psrlq(x, s());
      a.pxor(x, t());
      a.psubq(x, t());
    });
  }
  void mul64() {
    binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
      a.movaps(s(), x);
      a.psrlq(s(), 32);
      a.pmuludq(s(), y);
      a.movaps(t(), y);
      a.psrlq(t(), 32);
      a.pmuludq(t(), x);
      a.paddq(s(), t());
      a.psllq(s(), 32);
      a.pmuludq(x, y);
      a.paddq(x, s());
    });
  }
  void popcnt() {
    static constexpr wasm::V128 kBits = {{0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4}};
    unary([&](const x86::Xmm& x) {
      const uint8_t n = c.alloc_fpr();
      a.movaps(xmm(n), memory(splat32(0x0F0F0F0F)));
      a.movaps(t(), x);
      a.psrlw(t(), 4);
      a.pand(t(), xmm(n));
      a.pand(xmm(n), x);
      a.movaps(x, memory(kBits));
      a.movaps(s(), x);
      a.pshufb(x, t());
      a.pshufb(s(), xmm(n));
      a.paddb(x, s());
      c.free_fpr(n);
    });
  }
  // Of one vector, which is both operands.
  void shuffle(wasm::V128 lanes) {
    for (uint8_t& lane : lanes.bytes) lane &= 15;
    Operand y = c.pop(), x = c.pop();
    const uint8_t to = c.target(true), src = c.use_fpr(y);
    const bool own_x = x.kind == Kind::Fpr, own_y = y.kind == Kind::Fpr;
    const uint8_t dst = to != kNoRegister ? to : own_x || own_y ? src : c.alloc_fpr();
    if (a.has_avx) {
      a.vpshufb(xmm(dst), xmm(src), memory(lanes));
    } else {
      a.move_fpr(dst, src);
      a.pshufb(xmm(dst), memory(lanes));
    }
    if (dst != src) {
      c.release(x);
      c.release(y);
    }
    c.push_fpr(wasm::kV128, dst);
  }
  void extend(InstId inst, bool high) {
    unary([&](const x86::Xmm& x) {
      if (high) a.pshufd(x, x, 0xEE);
      a.emit(inst, x, x);
    });
  }
  void extmul(InstId widen, InstId mul, bool high) {
    binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
      if (high) {
        a.pshufd(x, x, 0xEE);
        a.pshufd(y, y, 0xEE);
      }
      a.emit(widen, x, x);
      a.emit(widen, y, y);
      a.emit(mul, x, y);
    });
  }
  void extmul64(InstId mul, bool high) {
    binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
      const int lanes = high ? 0xFA : 0x50;
      a.pshufd(x, x, lanes);
      a.pshufd(y, y, lanes);
      a.emit(mul, x, y);
    });
  }
  void sign_mask(bool f64, bool sign_only) {
    a.pcmpeqd(s(), s());
    if (sign_only) {
      if (f64) {
        a.psllq(s(), 63);
      } else {
        a.pslld(s(), 31);
      }
    } else if (f64) {
      a.psrlq(s(), 1);
    } else {
      a.psrld(s(), 1);
    }
  }
  // In both orders the result differs only for zeros of different signs and for NaN: the
  // first are settled by and/or, the second take the sum.
  void min_max(bool f64, bool max) {
    const InstId inst =
        f64 ? (max ? Inst::kIdMaxpd : Inst::kIdMinpd) : (max ? Inst::kIdMaxps : Inst::kIdMinps);
    binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
      a.movaps(t(), x);
      a.emit(inst, t(), y);
      a.movaps(s(), y);
      a.emit(inst, s(), x);
      if (max) {
        a.andps(t(), s());
      } else {
        a.orps(t(), s());
      }
      a.movaps(s(), x);
      a.emit(f64 ? Inst::kIdCmppd : Inst::kIdCmpps, s(), y, asmjit::Imm(3));
      a.emit(f64 ? Inst::kIdAddpd : Inst::kIdAddps, x, y);
      a.andps(x, s());
      a.andnps(s(), t());
      a.orps(x, s());
    });
  }
  void round(bool f64, int mode) {
    unary([&](const x86::Xmm& x) {
      if (f64) {
        a.roundpd(x, x, mode | 8);
      } else {
        a.roundps(x, x, mode | 8);
      }
    });
  }
  void trunc_f32_signed() {
    unary([&](const x86::Xmm& x) {
      a.movaps(s(), x);
      a.cmpps(s(), s(), 0);
      a.andps(x, s());
      a.movaps(s(), memory(splat_f32(2147483648.0f)));
      a.cmpps(s(), x, 2);
      a.cvttps2dq(x, x);
      a.pxor(x, s());
    });
  }
  void trunc_f32_unsigned() {
    unary([&](const x86::Xmm& x) {
      a.pxor(s(), s());
      a.maxps(x, s());
      // What exceeds 2^31 is converted apart and added.
      a.movaps(t(), x);
      a.subps(t(), memory(splat_f32(2147483648.0f)));
      a.movaps(s(), memory(splat_f32(2147483648.0f)));
      a.cmpps(s(), t(), 2);
      a.cvttps2dq(t(), t());
      a.pxor(t(), s());
      a.pxor(s(), s());
      a.pmaxsd(t(), s());
      a.cvttps2dq(x, x);
      a.paddd(x, t());
    });
  }
  void trunc_f64_signed() {
    unary([&](const x86::Xmm& x) {
      a.movaps(s(), x);
      a.cmppd(s(), s(), 0);
      a.andps(s(), memory(splat_f64(2147483647.0)));
      a.minpd(x, s());
      a.cvttpd2dq(x, x);
    });
  }
  void trunc_f64_unsigned() {
    unary([&](const x86::Xmm& x) {
      a.pxor(s(), s());
      a.maxpd(x, s());
      a.minpd(x, memory(splat_f64(4294967295.0)));
      a.roundpd(x, x, 3 | 8);
      // With 2^52 added the integer is the low half.
      a.addpd(x, memory(splat_f64(4503599627370496.0)));
      a.shufps(x, s(), 0x88);
    });
  }
  void dot_i8(const x86::Xmm& x, const x86::Xmm& y) {
    a.pshufd(s(), x, 0xEE);
    a.pmovsxbw(s(), s());
    a.pshufd(t(), y, 0xEE);
    a.pmovsxbw(t(), t());
    a.pmaddwd(s(), t());
    a.pmovsxbw(x, x);
    a.pmovsxbw(y, y);
    a.pmaddwd(x, y);
    a.packssdw(x, s());
  }
};

// A load of 8 bytes into two lanes or more, or of fewer bytes than a vector has.
void BaselineCompiler::Impl::load_extended(const Instr& in, InstId inst, unsigned width) {
  Operand base = pop();
  Mem m = address(in, base, width);
  m.setSize(width);
  const uint8_t dst = alloc_fpr();
  a_.emit(inst, xmm(dst), m);
  done_address(base);
  push_fpr(wasm::kV128, dst);
}

bool BaselineCompiler::Impl::visit_vector(const Instr& in) {
  using enum Opcode;
  if (in.op < V128Load || in.op > I32x4RelaxedDotI8x16I7x16AddS) return false;
  VectorOps v{*this, a_};
#define WAFER_OP(OP, CALL) \
  case OP:                 \
    v.CALL;                \
    return true;
#define WAFER_BINARY(OP, INST) WAFER_OP(OP, binary(Inst::kId##INST))
#define WAFER_COMMUTES(OP, INST) WAFER_OP(OP, binary(Inst::kId##INST, true))
#define WAFER_LOAD(OP, INST, WIDTH)            \
  case OP:                                     \
    load_extended(in, Inst::kId##INST, WIDTH); \
    return true;
  switch (in.op) {
    WAFER_LOAD(V128Load8x8S, Pmovsxbw, 8)
    WAFER_LOAD(V128Load8x8U, Pmovzxbw, 8)
    WAFER_LOAD(V128Load16x4S, Pmovsxwd, 8)
    WAFER_LOAD(V128Load16x4U, Pmovzxwd, 8)
    WAFER_LOAD(V128Load32x2S, Pmovsxdq, 8)
    WAFER_LOAD(V128Load32x2U, Pmovzxdq, 8)
    WAFER_LOAD(V128Load32Zero, Movss, 4)
    WAFER_LOAD(V128Load64Zero, Movsd, 8)
    WAFER_OP(V128Load8Splat, load_splat(in, 1))
    WAFER_OP(V128Load16Splat, load_splat(in, 2))
    WAFER_OP(V128Load32Splat, load_splat(in, 4))
    WAFER_OP(V128Load64Splat, load_splat(in, 8))
    WAFER_OP(V128Load8Lane, load_lane(in, Inst::kIdPinsrb, 1))
    WAFER_OP(V128Load16Lane, load_lane(in, Inst::kIdPinsrw, 2))
    WAFER_OP(V128Load32Lane, load_lane(in, Inst::kIdPinsrd, 4))
    WAFER_OP(V128Load64Lane, load_lane(in, Inst::kIdPinsrq, 8))
    WAFER_OP(V128Store8Lane, store_lane(in, Inst::kIdPextrb, 1))
    WAFER_OP(V128Store16Lane, store_lane(in, Inst::kIdPextrw, 2))
    WAFER_OP(V128Store32Lane, store_lane(in, Inst::kIdPextrd, 4))
    WAFER_OP(V128Store64Lane, store_lane(in, Inst::kIdPextrq, 8))

    case V128Const: {
      const uint8_t x = alloc_fpr();
      if (in.v128 == splat32(0)) {
        a_.pxor(xmm(x), xmm(x));
      } else if (in.v128 == splat32(~0u)) {
        a_.pcmpeqd(xmm(x), xmm(x));
      } else {
        a_.movaps(xmm(x), v.memory(in.v128));
      }
      push_fpr(wasm::kV128, x);
      return true;
    }
    case I8x16Shuffle: {
      const Operand second = in_register(top()), first = in_register(top(1));
      if (second.kind == Kind::Fpr && first.kind == Kind::Fpr && second.reg == first.reg) {
        v.shuffle(in.v128);
        return true;
      }
      wasm::V128 low, high;
      for (int i = 0; i < 16; ++i) {
        const uint8_t lane = in.v128.bytes[i];
        low.bytes[i] = lane < 16 ? lane : 0x80;
        high.bytes[i] = lane >= 16 ? lane - 16 : 0x80;
      }
      v.binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
        a_.pshufb(x, v.memory(low));
        a_.pshufb(y, v.memory(high));
        a_.por(x, y);
      });
      return true;
    }
    case I8x16Swizzle:
    case I8x16RelaxedSwizzle:
      v.binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
        // Indices past 15 get their top bit set.
        a_.paddusb(y, v.memory(splat32(0x70707070)));
        a_.pshufb(x, y);
      });
      return true;

      WAFER_OP(I8x16Splat, splat(false, [&](const x86::Xmm& x) { v.spread8(x); }))
      WAFER_OP(I16x8Splat, splat(false, [&](const x86::Xmm& x) { v.spread16(x); }))
      WAFER_OP(I32x4Splat, splat(false, [&](const x86::Xmm& x) { a_.pshufd(x, x, 0); }))
      WAFER_OP(I64x2Splat, splat(true, [&](const x86::Xmm& x) { a_.punpcklqdq(x, x); }))
      WAFER_OP(F32x4Splat, unary([&](const x86::Xmm& x) { a_.shufps(x, x, 0); }))
      WAFER_OP(F64x2Splat, unary([&](const x86::Xmm& x) { a_.movddup(x, x); }))
      WAFER_OP(I8x16ExtractLaneS, extract(Inst::kIdPextrb, in.lane, false, 8))
      WAFER_OP(I8x16ExtractLaneU, extract(Inst::kIdPextrb, in.lane, false, 0))
      WAFER_OP(I16x8ExtractLaneS, extract(Inst::kIdPextrw, in.lane, false, 16))
      WAFER_OP(I16x8ExtractLaneU, extract(Inst::kIdPextrw, in.lane, false, 0))
      WAFER_OP(I32x4ExtractLane, extract(Inst::kIdPextrd, in.lane, false, 0))
      WAFER_OP(I64x2ExtractLane, extract(Inst::kIdPextrq, in.lane, true, 0))
      WAFER_OP(I8x16ReplaceLane, replace(Inst::kIdPinsrb, in.lane, false))
      WAFER_OP(I16x8ReplaceLane, replace(Inst::kIdPinsrw, in.lane, false))
      WAFER_OP(I32x4ReplaceLane, replace(Inst::kIdPinsrd, in.lane, false))
      WAFER_OP(I64x2ReplaceLane, replace(Inst::kIdPinsrq, in.lane, true))
    case F32x4ExtractLane:
    case F64x2ExtractLane: {
      const bool f64 = in.op == F64x2ExtractLane;
      Operand o = pop();
      const uint8_t x = own_fpr(o);
      if (in.lane) a_.pshufd(xmm(x), xmm(x), f64 ? 0xEE : int(in.lane));
      push_fpr(f64 ? wasm::kF64 : wasm::kF32, x);
      return true;
    }
      WAFER_OP(F32x4ReplaceLane, binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
                 a_.insertps(x, y, int(in.lane) << 4);
               }))
      WAFER_OP(F64x2ReplaceLane, binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
                 if (in.lane) {
                   a_.movlhps(x, y);
                 } else {
                   a_.movsd(x, y);
                 }
               }))

#define WAFER_COMPARES(P, EQ, GT)                        \
  WAFER_OP(P##Eq, compare(Inst::kId##EQ, false, false))  \
  WAFER_OP(P##Ne, compare(Inst::kId##EQ, false, true))   \
  WAFER_OP(P##LtS, compare(Inst::kId##GT, true, false))  \
  WAFER_OP(P##GtS, compare(Inst::kId##GT, false, false)) \
  WAFER_OP(P##LeS, compare(Inst::kId##GT, false, true))  \
  WAFER_OP(P##GeS, compare(Inst::kId##GT, true, true))
#define WAFER_COMPARES_U(P, EQ, MIN, MAX)                                  \
  WAFER_OP(P##LtU, compare_unsigned(Inst::kId##MAX, Inst::kId##EQ, true))  \
  WAFER_OP(P##GtU, compare_unsigned(Inst::kId##MIN, Inst::kId##EQ, true))  \
  WAFER_OP(P##LeU, compare_unsigned(Inst::kId##MIN, Inst::kId##EQ, false)) \
  WAFER_OP(P##GeU, compare_unsigned(Inst::kId##MAX, Inst::kId##EQ, false))
      WAFER_COMPARES(I8x16, Pcmpeqb, Pcmpgtb)
      WAFER_COMPARES(I16x8, Pcmpeqw, Pcmpgtw)
      WAFER_COMPARES(I32x4, Pcmpeqd, Pcmpgtd)
      WAFER_COMPARES(I64x2, Pcmpeqq, Pcmpgtq)
      WAFER_COMPARES_U(I8x16, Pcmpeqb, Pminub, Pmaxub)
      WAFER_COMPARES_U(I16x8, Pcmpeqw, Pminuw, Pmaxuw)
      WAFER_COMPARES_U(I32x4, Pcmpeqd, Pminud, Pmaxud)
#undef WAFER_COMPARES
#undef WAFER_COMPARES_U
#define WAFER_FLOAT_COMPARES(P, INST)                       \
  WAFER_OP(P##Eq, compare_float(Inst::kId##INST, 0, false)) \
  WAFER_OP(P##Ne, compare_float(Inst::kId##INST, 4, false)) \
  WAFER_OP(P##Lt, compare_float(Inst::kId##INST, 1, false)) \
  WAFER_OP(P##Gt, compare_float(Inst::kId##INST, 1, true))  \
  WAFER_OP(P##Le, compare_float(Inst::kId##INST, 2, false)) \
  WAFER_OP(P##Ge, compare_float(Inst::kId##INST, 2, true))
      WAFER_FLOAT_COMPARES(F32x4, Cmpps)
      WAFER_FLOAT_COMPARES(F64x2, Cmppd)
#undef WAFER_FLOAT_COMPARES

      WAFER_OP(V128Not, unary([&](const x86::Xmm& x) { v.invert(x); }))
      WAFER_COMMUTES(V128And, Pand)
      WAFER_COMMUTES(V128Or, Por)
      WAFER_COMMUTES(V128Xor, Pxor)
      WAFER_OP(V128Andnot, swapped(Inst::kIdPandn))
    case V128Bitselect:
    case I8x16RelaxedLaneselect:
    case I16x8RelaxedLaneselect:
    case I32x4RelaxedLaneselect:
    case I64x2RelaxedLaneselect:
      v.ternary_with([&](const x86::Xmm& x, const x86::Xmm& y, const x86::Xmm& mask) {
        a_.pand(x, mask);
        a_.pandn(mask, y);
        a_.por(x, mask);
      });
      return true;
    case V128AnyTrue: {
      Operand o = pop();
      const uint8_t x = use_fpr(o);
      a_.ptest(xmm(x), xmm(x));
      release(o);
      push_flags(Cond::NotEqual);
      return true;
    }
      WAFER_OP(I8x16AllTrue, all_true(Inst::kIdPcmpeqb))
      WAFER_OP(I16x8AllTrue, all_true(Inst::kIdPcmpeqw))
      WAFER_OP(I32x4AllTrue, all_true(Inst::kIdPcmpeqd))
      WAFER_OP(I64x2AllTrue, all_true(Inst::kIdPcmpeqq))
    case I8x16Bitmask:
    case I16x8Bitmask:
    case I32x4Bitmask:
    case I64x2Bitmask: {
      Operand o = pop();
      const uint8_t x = own_fpr(o);
      const uint8_t r = alloc_gpr();
      const auto dst = x86::gpd(r);
      if (in.op == I16x8Bitmask) {
        a_.pxor(v.s(), v.s());
        a_.packsswb(xmm(x), v.s());
      }
      if (in.op == I32x4Bitmask) {
        a_.movmskps(dst, xmm(x));
      } else if (in.op == I64x2Bitmask) {
        a_.movmskpd(dst, xmm(x));
      } else {
        a_.pmovmskb(dst, xmm(x));
      }
      release(o);
      push_gpr(wasm::kI32, r);
      return true;
    }

      WAFER_OP(I8x16Abs, unary([&](const x86::Xmm& x) { a_.pabsb(x, x); }))
      WAFER_OP(I16x8Abs, unary([&](const x86::Xmm& x) { a_.pabsw(x, x); }))
      WAFER_OP(I32x4Abs, unary([&](const x86::Xmm& x) { a_.pabsd(x, x); }))
      WAFER_OP(I64x2Abs, unary([&](const x86::Xmm& x) {
                 a_.pxor(v.s(), v.s());
                 a_.pcmpgtq(v.s(), x);
                 a_.pxor(x, v.s());
                 a_.psubq(x, v.s());
               }))
      WAFER_OP(I8x16Neg, negate_lanes(Inst::kIdPsubb))
      WAFER_OP(I16x8Neg, negate_lanes(Inst::kIdPsubw))
      WAFER_OP(I32x4Neg, negate_lanes(Inst::kIdPsubd))
      WAFER_OP(I64x2Neg, negate_lanes(Inst::kIdPsubq))
      WAFER_OP(I8x16Popcnt, popcnt())
      WAFER_BINARY(I8x16NarrowI16x8S, Packsswb)
      WAFER_BINARY(I8x16NarrowI16x8U, Packuswb)
      WAFER_BINARY(I16x8NarrowI32x4S, Packssdw)
      WAFER_BINARY(I16x8NarrowI32x4U, Packusdw)
      WAFER_OP(I8x16Shl, shift8(true))
      WAFER_OP(I8x16ShrU, shift8(false))
      WAFER_OP(I8x16ShrS, shift8_signed())
      WAFER_OP(I16x8Shl, shift(Inst::kIdPsllw, 15))
      WAFER_OP(I16x8ShrU, shift(Inst::kIdPsrlw, 15))
      WAFER_OP(I16x8ShrS, shift(Inst::kIdPsraw, 15))
      WAFER_OP(I32x4Shl, shift(Inst::kIdPslld, 31))
      WAFER_OP(I32x4ShrU, shift(Inst::kIdPsrld, 31))
      WAFER_OP(I32x4ShrS, shift(Inst::kIdPsrad, 31))
      WAFER_OP(I64x2Shl, shift(Inst::kIdPsllq, 63))
      WAFER_OP(I64x2ShrU, shift(Inst::kIdPsrlq, 63))
      WAFER_OP(I64x2ShrS, shift64_signed())
      WAFER_COMMUTES(I8x16Add, Paddb)
      WAFER_COMMUTES(I8x16AddSatS, Paddsb)
      WAFER_COMMUTES(I8x16AddSatU, Paddusb)
      WAFER_BINARY(I8x16Sub, Psubb)
      WAFER_BINARY(I8x16SubSatS, Psubsb)
      WAFER_BINARY(I8x16SubSatU, Psubusb)
      WAFER_COMMUTES(I8x16MinS, Pminsb)
      WAFER_COMMUTES(I8x16MinU, Pminub)
      WAFER_COMMUTES(I8x16MaxS, Pmaxsb)
      WAFER_COMMUTES(I8x16MaxU, Pmaxub)
      WAFER_COMMUTES(I8x16AvgrU, Pavgb)
      WAFER_COMMUTES(I16x8Add, Paddw)
      WAFER_COMMUTES(I16x8AddSatS, Paddsw)
      WAFER_COMMUTES(I16x8AddSatU, Paddusw)
      WAFER_BINARY(I16x8Sub, Psubw)
      WAFER_BINARY(I16x8SubSatS, Psubsw)
      WAFER_BINARY(I16x8SubSatU, Psubusw)
      WAFER_COMMUTES(I16x8Mul, Pmullw)
      WAFER_COMMUTES(I16x8MinS, Pminsw)
      WAFER_COMMUTES(I16x8MinU, Pminuw)
      WAFER_COMMUTES(I16x8MaxS, Pmaxsw)
      WAFER_COMMUTES(I16x8MaxU, Pmaxuw)
      WAFER_COMMUTES(I16x8AvgrU, Pavgw)
      WAFER_COMMUTES(I32x4Add, Paddd)
      WAFER_BINARY(I32x4Sub, Psubd)
      WAFER_COMMUTES(I32x4Mul, Pmulld)
      WAFER_COMMUTES(I32x4MinS, Pminsd)
      WAFER_COMMUTES(I32x4MinU, Pminud)
      WAFER_COMMUTES(I32x4MaxS, Pmaxsd)
      WAFER_COMMUTES(I32x4MaxU, Pmaxud)
      WAFER_COMMUTES(I32x4DotI16x8S, Pmaddwd)
      WAFER_COMMUTES(I64x2Add, Paddq)
      WAFER_BINARY(I64x2Sub, Psubq)
      WAFER_OP(I64x2Mul, mul64())
    case I16x8Q15mulrSatS:
    case I16x8RelaxedQ15mulrS:
      v.binary_with([&](const x86::Xmm& x, const x86::Xmm& y) {
        a_.pmulhrsw(x, y);
        // Only -1 * -1 leaves the range.
        a_.movaps(v.s(), v.memory(splat32(0x80008000)));
        a_.pcmpeqw(v.s(), x);
        a_.pxor(x, v.s());
      });
      return true;
      WAFER_OP(I16x8ExtaddPairwiseI8x16S, unary([&](const x86::Xmm& x) {
                 a_.movaps(v.s(), v.memory(splat32(0x01010101)));
                 a_.pmaddubsw(v.s(), x);
                 a_.movaps(x, v.s());
               }))
      WAFER_OP(I16x8ExtaddPairwiseI8x16U,
               unary([&](const x86::Xmm& x) { a_.pmaddubsw(x, v.memory(splat32(0x01010101))); }))
      WAFER_OP(I32x4ExtaddPairwiseI16x8S,
               unary([&](const x86::Xmm& x) { a_.pmaddwd(x, v.memory(splat32(0x00010001))); }))
      WAFER_OP(I32x4ExtaddPairwiseI16x8U, unary([&](const x86::Xmm& x) {
                 // Made signed by taking 2^15 from each, which is given back after.
                 a_.pxor(x, v.memory(splat32(0x80008000)));
                 a_.pmaddwd(x, v.memory(splat32(0x00010001)));
                 a_.paddd(x, v.memory(splat32(0x00010000)));
               }))
#define WAFER_EXTEND(P, FROM, SUFFIX, INST, MUL)                                       \
  WAFER_OP(P##ExtendLow##FROM##SUFFIX, extend(Inst::kId##INST, false))                 \
  WAFER_OP(P##ExtendHigh##FROM##SUFFIX, extend(Inst::kId##INST, true))                 \
  WAFER_OP(P##ExtmulLow##FROM##SUFFIX, extmul(Inst::kId##INST, Inst::kId##MUL, false)) \
  WAFER_OP(P##ExtmulHigh##FROM##SUFFIX, extmul(Inst::kId##INST, Inst::kId##MUL, true))
      WAFER_EXTEND(I16x8, I8x16, S, Pmovsxbw, Pmullw)
      WAFER_EXTEND(I16x8, I8x16, U, Pmovzxbw, Pmullw)
      WAFER_EXTEND(I32x4, I16x8, S, Pmovsxwd, Pmulld)
      WAFER_EXTEND(I32x4, I16x8, U, Pmovzxwd, Pmulld)
#undef WAFER_EXTEND
      WAFER_OP(I64x2ExtendLowI32x4S, extend(Inst::kIdPmovsxdq, false))
      WAFER_OP(I64x2ExtendHighI32x4S, extend(Inst::kIdPmovsxdq, true))
      WAFER_OP(I64x2ExtendLowI32x4U, extend(Inst::kIdPmovzxdq, false))
      WAFER_OP(I64x2ExtendHighI32x4U, extend(Inst::kIdPmovzxdq, true))
      WAFER_OP(I64x2ExtmulLowI32x4S, extmul64(Inst::kIdPmuldq, false))
      WAFER_OP(I64x2ExtmulHighI32x4S, extmul64(Inst::kIdPmuldq, true))
      WAFER_OP(I64x2ExtmulLowI32x4U, extmul64(Inst::kIdPmuludq, false))
      WAFER_OP(I64x2ExtmulHighI32x4U, extmul64(Inst::kIdPmuludq, true))

#define WAFER_FLOATS(P, SUFFIX, F64)                                                   \
  WAFER_OP(P##Abs, unary([&](const x86::Xmm& x) {                                      \
             v.sign_mask(F64, false);                                                  \
             a_.andps(x, v.s());                                                       \
           }))                                                                         \
  WAFER_OP(P##Neg, unary([&](const x86::Xmm& x) {                                      \
             v.sign_mask(F64, true);                                                   \
             a_.xorps(x, v.s());                                                       \
           }))                                                                         \
  WAFER_OP(P##Sqrt, unary([&](const x86::Xmm& x) { a_.sqrt##SUFFIX(x, x); }))          \
  WAFER_BINARY(P##Add, Add##SUFFIX)                                                    \
  WAFER_BINARY(P##Sub, Sub##SUFFIX)                                                    \
  WAFER_BINARY(P##Mul, Mul##SUFFIX)                                                    \
  WAFER_BINARY(P##Div, Div##SUFFIX)                                                    \
  WAFER_OP(P##Min, min_max(F64, false))                                                \
  WAFER_OP(P##Max, min_max(F64, true))                                                 \
  WAFER_OP(P##RelaxedMin, min_max(F64, false))                                         \
  WAFER_OP(P##RelaxedMax, min_max(F64, true))                                          \
  WAFER_OP(P##Pmin, swapped(Inst::kIdMin##SUFFIX))                                     \
  WAFER_OP(P##Pmax, swapped(Inst::kIdMax##SUFFIX))                                     \
  WAFER_OP(P##Nearest, round(F64, 0))                                                  \
  WAFER_OP(P##Floor, round(F64, 1))                                                    \
  WAFER_OP(P##Ceil, round(F64, 2))                                                     \
  WAFER_OP(P##Trunc, round(F64, 3))                                                    \
  WAFER_OP(P##RelaxedMadd,                                                             \
           ternary_with([&](const x86::Xmm& x, const x86::Xmm& y, const x86::Xmm& z) { \
             a_.mul##SUFFIX(x, y);                                                     \
             a_.add##SUFFIX(x, z);                                                     \
           }))                                                                         \
  WAFER_OP(P##RelaxedNmadd,                                                            \
           ternary_with([&](const x86::Xmm& x, const x86::Xmm& y, const x86::Xmm& z) { \
             a_.mul##SUFFIX(x, y);                                                     \
             a_.sub##SUFFIX(z, x);                                                     \
             a_.movaps(x, z);                                                          \
           }))
      WAFER_FLOATS(F32x4, ps, false)
      WAFER_FLOATS(F64x2, pd, true)
#undef WAFER_FLOATS

      WAFER_OP(I32x4TruncSatF32x4S, trunc_f32_signed())
      WAFER_OP(I32x4RelaxedTruncF32x4S, trunc_f32_signed())
      WAFER_OP(I32x4TruncSatF32x4U, trunc_f32_unsigned())
      WAFER_OP(I32x4RelaxedTruncF32x4U, trunc_f32_unsigned())
      WAFER_OP(I32x4TruncSatF64x2SZero, trunc_f64_signed())
      WAFER_OP(I32x4RelaxedTruncF64x2SZero, trunc_f64_signed())
      WAFER_OP(I32x4TruncSatF64x2UZero, trunc_f64_unsigned())
      WAFER_OP(I32x4RelaxedTruncF64x2UZero, trunc_f64_unsigned())
      WAFER_OP(F32x4ConvertI32x4S, unary([&](const x86::Xmm& x) { a_.cvtdq2ps(x, x); }))
      WAFER_OP(F32x4ConvertI32x4U, unary([&](const x86::Xmm& x) {
                 // In halves, which are exact; only their sum rounds.
                 a_.movaps(v.s(), x);
                 a_.pslld(v.s(), 16);
                 a_.psrld(v.s(), 16);
                 a_.psrld(x, 16);
                 a_.cvtdq2ps(v.s(), v.s());
                 a_.cvtdq2ps(x, x);
                 a_.mulps(x, v.memory(splat_f32(65536.0f)));
                 a_.addps(x, v.s());
               }))
      WAFER_OP(F64x2ConvertLowI32x4S, unary([&](const x86::Xmm& x) { a_.cvtdq2pd(x, x); }))
      WAFER_OP(F64x2ConvertLowI32x4U, unary([&](const x86::Xmm& x) {
                 // As the low halves of numbers with the exponent of 2^52.
                 a_.unpcklps(x, v.memory(splat32(0x43300000)));
                 a_.subpd(x, v.memory(splat_f64(4503599627370496.0)));
               }))
      WAFER_OP(F32x4DemoteF64x2Zero, unary([&](const x86::Xmm& x) { a_.cvtpd2ps(x, x); }))
      WAFER_OP(F64x2PromoteLowF32x4, unary([&](const x86::Xmm& x) { a_.cvtps2pd(x, x); }))
      WAFER_OP(I16x8RelaxedDotI8x16I7x16S,
               binary_with([&](const x86::Xmm& x, const x86::Xmm& y) { v.dot_i8(x, y); }))
      WAFER_OP(I32x4RelaxedDotI8x16I7x16AddS,
               ternary_with([&](const x86::Xmm& x, const x86::Xmm& y, const x86::Xmm& z) {
                 v.dot_i8(x, y);
                 a_.pmaddwd(x, v.memory(splat32(0x00010001)));
                 a_.paddd(x, z);
               }))
    default:
      return false;
  }
#undef WAFER_OP
#undef WAFER_COMMUTES
#undef WAFER_BINARY
#undef WAFER_LOAD
}

}  // namespace wafer::compiler
