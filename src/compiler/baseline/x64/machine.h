// Macro assembler for x86-64: what the shared part of the baseline compiler asks for, in
// instructions of this processor. A function's frame, from rbp down:
//
//   [r15 r14 r13 r12 rbx of the caller | slots]
//
// r15 holds the VmContext, r14 the base of memory 0 where that is guarded, and rbx, r12,
// r13 integer locals. r11, xmm14 and xmm15 are scratch; the other registers that calls do
// not preserve hold operands, and some locals.
#pragma once

#include <asmjit/x86.h>

#include <cstring>

#include "base/platform.h"
#include "compiler/abi.h"
#include "compiler/code_image.h"
#include "compiler/frame.h"

namespace wafer::compiler {

namespace x86 = asmjit::x86;
namespace Inst = x86::Inst;
using InstId = asmjit::InstId;
using Mem = x86::Mem;

// General-purpose registers by number.
enum Gpr : uint8_t {
  kRax,
  kRcx,
  kRdx,
  kRbx,
  kRsp,
  kRbp,
  kRsi,
  kRdi,
  kR8,
  kR9,
  kR10,
  kR11,
  kR12,
  kR13,
  kR14,
  kR15,
};  // clang-format off
constexpr uint32_t kOperandGprs = 1u << kRax | 1u << kRcx | 1u << kRdx | 1u << kRsi | 1u << kRdi |
                                  1u << kR8 | 1u << kR9 | 1u << kR10;
constexpr uint32_t kOperandFprs = (1u << 14) - 1;
// clang-format on
constexpr unsigned kRegisters = 16;   // of either class
constexpr uint8_t kScratch = kR11;    // never holds an operand
constexpr uint8_t kScratchFpr = 15;   // the same
constexpr uint8_t kScratchFpr2 = 14;  // the same
constexpr uint8_t kContext = kR15;
constexpr uint8_t kMemory0 = kR14;
constexpr uint8_t kLocalGprs[] = {kRbx, kR12, kR13};
// Of the operands', for more locals: the first for all functions, the others for those whose
// instructions need few registers at once. None passes the first three arguments after the context.
constexpr uint8_t kVolatileGprs[] = {kR9, kR8, kRdi, kR10};
constexpr size_t kVolatileAlways = 2;
constexpr uint8_t kVolatileFprs[] = {13, 12, 11, 10, 9, 8, 7, 6, 5};
// Integer argument registers, the context first.
constexpr uint8_t kArgGprs[] = {kRdi, kRsi, kRdx, kRcx, kR8, kR9};
constexpr uint8_t kResultGpr = kRax, kResultFpr = 0;
constexpr uint8_t kFuncGpr = kRax;   // what is called, until it is; not an argument
constexpr uint8_t kIndexGpr = kR10;  // the index of call_indirect; not an argument
constexpr uint8_t kExecGpr = kRax;   // the ExecState while a function begins; not an argument

// Processor's condition codes as the encodings number them, and two that take a pair of
// them: floats equal, and not equal.
enum class Cond : uint8_t {
  Overflow = 0,
  Below = 2,
  Carry = 2,  // of an addition
  AboveEqual = 3,
  Equal = 4,
  NotEqual = 5,
  BelowEqual = 6,
  Above = 7,
  Negative = 8,
  NotNegative = 9,
  Parity = 10,
  NotParity = 11,
  Less = 12,
  GreaterEqual = 13,
  LessEqual = 14,
  Greater = 15,
  FloatEqual = 16,
  FloatNotEqual = 17,
};  // clang-format on

constexpr Cond negate(Cond c) { return Cond(uint8_t(c) ^ 1); }

inline x86::Gp gp(uint8_t reg, bool wide) {
  return wide ? x86::Gp(x86::gpq(reg)) : x86::Gp(x86::gpd(reg));
}
inline x86::Xmm xmm(uint8_t reg) { return x86::xmm(reg); }

// The right-hand side of an instruction.
struct Source {
  enum class Kind : uint8_t { Reg, Mem, Imm } kind;
  uint8_t reg = 0;
  int32_t imm = 0;
  Mem mem;
};

class Machine : public x86::Assembler {
 public:
  using Label = asmjit::Label;

  Machine() {
    const auto& features = asmjit::CpuInfo::host().features().x86();
    has_bmi1 = features.hasBMI();
    has_bmi2 = features.hasBMI2();
    has_lzcnt = features.hasLZCNT();
    has_avx = features.hasAVX();
    addEncodingOptions(asmjit::EncodingOptions::kOptimizedAlign);
  }
  // By how many bits the second operand of an addition may be shifted.
  static constexpr uint32_t kMostScale = 3;
  // Whether a store that reaches into the next page may write the first part when that faults.
  static constexpr bool kStoresInParts = false;
  static bool supported() {
    const auto& features = asmjit::CpuInfo::host().features().x86();
    return features.hasSSE4_2() && features.hasPOPCNT();
  }
  bool has_bmi1, has_bmi2, has_lzcnt, has_avx;
  // The form of an instruction on vectors that leaves its operands alone, if there are such.
  InstId three_operands(InstId inst) const;
  // Bits of CpuFeatures.
  static uint64_t features(bool any_cpu) {
    const auto bits = [](std::initializer_list<const char*> names) {
      uint64_t all = 0;
      for (const char* name : names) all |= cpu_feature_bit(name);
      return all;
    };
    return bits({"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"}) |
           (any_cpu ? 0 : host_cpu_features() & bits({"bmi", "bmi2", "lzcnt", "avx"}));
  }
  void use_no_extensions() { has_bmi1 = has_bmi2 = has_lzcnt = has_avx = false; }

  // Before each piece of code. `bytes`: of the body that it is for.
  void begin_function(size_t bytes) {}
  // After an error: whether the same may succeed once more.
  bool retry() { return false; }
  // At its end, when all labels are bound.
  void end_function() {}

  static Mem at(uint8_t base, int64_t offset) { return x86::ptr(x86::gpq(base), int32_t(offset)); }
  // Memory of a frame slot, for a value of `slots` slots.
  static Mem slot(uint32_t slot, uint32_t slots) {
    return x86::ptr(x86::rbp, -int32_t(kSavedBytes + 8 * (slot + slots)));
  }

  // ---- instructions that are encoded here, which takes a fraction of the time

  // Near its end the buffer has to be told what it holds, or asmjit does not let it grow.
  bool near_end() {
    if (WAFER_LIKELY(remainingSpace() >= 256)) return false;
    _section->_buffer._size = offset();
    return true;
  }
  // `code`: the opcode of INST r/m, r; the one of INST r, r/m is 2 more.
  struct Plain {
    InstId inst;
    uint8_t code;
  };
  static constexpr Plain kMov{Inst::kIdMov, 0x89}, kCmp{Inst::kIdCmp, 0x39};
  void op_reg(Plain op, bool wide, uint8_t dst, uint8_t src) {
    if (WAFER_UNLIKELY(near_end())) {
      emit(op.inst, gp(dst, wide), gp(src, wide));
      return;
    }
    uint8_t* p = bufferPtr();
    const auto rex = uint8_t(0x40 | wide << 3 | (src >> 3) << 2 | dst >> 3);
    if (rex != 0x40) *p++ = rex;
    *p++ = op.code;
    *p++ = uint8_t(0xC0 | (src & 7) << 3 | (dst & 7));
    _bufferPtr = p;
  }
  // INST with a frame's memory: of `reg` from it, or, with `to_memory`, to it.
  void op_frame(Plain op, bool wide, uint8_t reg, const Mem& m, bool to_memory) {
    if (WAFER_UNLIKELY(m.hasIndexReg())) return op_indexed(op, wide, reg, m, to_memory);
    if (WAFER_UNLIKELY(near_end())) {
      if (to_memory) {
        emit(op.inst, m, gp(reg, wide));
      } else {
        emit(op.inst, gp(reg, wide), m);
      }
      return;
    }
    uint8_t* p = bufferPtr();
    const auto rex = uint8_t(0x40 | wide << 3 | (reg >> 3) << 2);
    if (rex != 0x40) *p++ = rex;
    *p++ = uint8_t(op.code + (to_memory ? 0 : 2));
    const auto offset = int32_t(m.offset());
    if (offset == int8_t(offset)) {
      *p++ = uint8_t(0x45 | (reg & 7) << 3);
      *p++ = uint8_t(offset);
    } else {
      *p++ = uint8_t(0x85 | (reg & 7) << 3);
      std::memcpy(p, &offset, 4);
      p += 4;
    }
    _bufferPtr = p;
  }
  // The same with memory at base + (index << shift) + offset.
  void op_indexed(Plain op, bool wide, uint8_t reg, const Mem& m, bool to_memory) {
    if (WAFER_UNLIKELY(!m.hasBaseReg() || !m.hasIndexReg() || near_end())) {
      if (to_memory) {
        emit(op.inst, m, gp(reg, wide));
      } else {
        emit(op.inst, gp(reg, wide), m);
      }
      return;
    }
    uint8_t* p = bufferPtr();
    const uint32_t base = m.baseId(), index = m.indexId();
    const auto rex = uint8_t(0x40 | wide << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3);
    if (rex != 0x40) *p++ = rex;
    *p++ = uint8_t(op.code + (to_memory ? 0 : 2));
    const auto offset = int32_t(m.offset());
    const bool small = offset == int8_t(offset);
    *p++ = uint8_t((small ? 0x44 : 0x84) | (reg & 7) << 3);
    *p++ = uint8_t(m.shift() << 6 | (index & 7) << 3 | (base & 7));
    std::memcpy(p, &offset, 4);
    _bufferPtr = p + (small ? 1 : 4);
  }
  // INST r, imm for the group of add.
  void op_imm(Plain op, bool wide, uint8_t reg, int32_t imm) {
    if (WAFER_UNLIKELY(near_end())) {
      emit(op.inst, gp(reg, wide), asmjit::Imm(imm));
      return;
    }
    uint8_t* p = bufferPtr();
    const auto rex = uint8_t(0x40 | wide << 3 | reg >> 3);
    if (rex != 0x40) *p++ = rex;
    const bool small = imm == int8_t(imm);
    *p++ = small ? 0x83 : 0x81;
    *p++ = uint8_t(0xC0 | (op.code & 0x38) | (reg & 7));
    std::memcpy(p, &imm, 4);
    _bufferPtr = p + (small ? 1 : 4);
  }

  // ---- moves, which leave the flags alone

  void move_gpr(uint8_t dst, uint8_t src, bool wide) {
    if (dst != src) op_reg(kMov, wide, dst, src);
  }
  void move_fpr(uint8_t dst, uint8_t src) {
    if (dst != src) movaps(xmm(dst), xmm(src));
  }
  void move_to_fpr(uint8_t dst, uint8_t src, bool wide) {
    if (wide) {
      movq(xmm(dst), gp(src, true));
    } else {
      movd(xmm(dst), gp(src, false));
    }
  }
  void move_from_fpr(uint8_t dst, uint8_t src, bool wide) {
    if (wide) {
      movq(gp(dst, true), xmm(src));
    } else {
      movd(gp(dst, false), xmm(src));
    }
  }
  void zero_extend(uint8_t reg) { zero_extend(reg, reg); }
  void zero_extend(uint8_t dst, uint8_t src) { op_reg(kMov, false, dst, src); }
  void load_imm(uint8_t dst, uint64_t value) {
    // Not by xor: flags may be live.
    if (value <= 0xFFFFFFFFu) {
      if (WAFER_LIKELY(!near_end())) {
        uint8_t* p = bufferPtr();
        if (dst >= 8) *p++ = 0x41;
        *p++ = uint8_t(0xB8 | (dst & 7));
        const auto low = uint32_t(value);
        std::memcpy(p, &low, 4);
        _bufferPtr = p + 4;
      } else {
        mov(gp(dst, false), uint32_t(value));
      }
    } else {
      mov(gp(dst, true), int64_t(value));
    }
  }
  // Constant of an f32 (not wide) or f64.
  void load_fpr_imm(uint8_t dst, uint64_t value, bool wide) {
    if (value == 0) {
      xorps(xmm(dst), xmm(dst));
      return;
    }
    load_imm(kScratch, value);
    move_to_fpr(dst, kScratch, wide);
  }
  void load_frame(uint8_t dst, const Mem& m, bool wide) { op_frame(kMov, wide, dst, m, false); }
  void store_frame(const Mem& m, uint8_t src, bool wide) { op_frame(kMov, wide, src, m, true); }
  void load_gpr(uint8_t dst, const Mem& m, bool wide) { mov(gp(dst, wide), m); }
  void store_gpr(const Mem& m, uint8_t src, bool wide) { mov(m, gp(src, wide)); }
  void load_word(uint8_t dst, uint8_t base, int64_t offset) {
    mov(gp(dst, true), at(base, offset));
  }
  // A value of 4, 8 or 16 bytes.
  void load_fpr(uint8_t dst, const Mem& m, unsigned width) {
    switch (width) {
      case 4:
        movss(xmm(dst), m);
        break;
      case 8:
        movsd(xmm(dst), m);
        break;
      default:
        movups(xmm(dst), m);
    }
  }
  void store_fpr(const Mem& m, uint8_t src, unsigned width) {
    switch (width) {
      case 4:
        movss(m, xmm(src));
        break;
      case 8:
        movsd(m, xmm(src));
        break;
      default:
        movups(m, xmm(src));
    }
  }
  // An integer of `width` bytes, extended to the whole register, or, with `sign` and not
  // `wide`, to 32 bits.
  void load_narrow(uint8_t dst, const Mem& m, unsigned width, bool sign, bool wide) {
    if (width == 8 || (width == 4 && !(sign && wide))) {
      op_indexed(kMov, width == 8, dst, m, false);
      return;
    }
    Mem sized = m;
    sized.setSize(width);
    if (width == 4) {
      movsxd(x86::gpq(dst), sized);
    } else if (sign) {
      movsx(gp(dst, wide), sized);
    } else {
      movzx(gp(dst, false), sized);
    }
  }
  void store_narrow(const Mem& m, uint8_t src, unsigned width) {
    switch (width) {
      case 1:
        mov(m, x86::gpb_lo(src));
        break;
      case 2:
        mov(m, x86::gpw(src));
        break;
      default:
        op_indexed(kMov, width == 8, src, m, true);
    }
  }
  // Whether store_imm() takes one instruction.
  static bool short_store(uint64_t value, unsigned width) {
    return width <= 4 || int64_t(value) == int32_t(value);
  }
  void store_imm(const Mem& m, uint64_t value, unsigned width) {
    Mem to = m;
    to.setSize(width);
    switch (width) {
      case 1:
        mov(to, int8_t(value));
        return;
      case 2:
        mov(to, int16_t(value));
        return;
      case 4:
        mov(to, int32_t(uint32_t(value)));
        return;
      default:
        break;
    }
    if (short_store(value, width)) {
      mov(to, int32_t(value));
      return;
    }
    to.setSize(4);
    mov(to, int32_t(uint32_t(value)));
    to.addOffset(4);
    mov(to, int32_t(uint32_t(value >> 32)));
  }
  void load_address(uint8_t dst, const Mem& m) { lea(gp(dst, true), m); }
  // Element `index`, whose register may be changed, of elements of 1 << shift bytes that
  // begin `offset` behind `base`.
  Mem element(uint8_t base, uint8_t index, unsigned shift, int64_t offset) {
    if (shift == 4) {
      add(gp(index, true), gp(index, true));
      shift = 3;
    }
    return x86::ptr(gp(base, true), gp(index, true), shift, int32_t(offset));
  }
  // Entry `index` of an array of words at `base`, which may change.
  void load_indexed_word(uint8_t dst, uint8_t base, uint8_t index) {
    mov(gp(dst, true), x86::ptr(gp(base, true), gp(index, true), 3));
  }
  void store_indexed_word(uint8_t base, uint8_t index, uint8_t src) {
    mov(x86::ptr(gp(base, true), gp(index, true), 3), gp(src, true));
  }

  // ---- arithmetic, which changes the flags

  void clear_gpr(uint8_t reg) { xor_(gp(reg, false), gp(reg, false)); }
  void test_zero(uint8_t reg, bool wide) { test(gp(reg, wide), gp(reg, wide)); }
  void test_zero(const Mem& m, bool wide) {
    Mem sized = m;
    sized.setSize(wide ? 8 : 4);
    cmp(sized, 0);
  }
  void compare(uint8_t reg, const Mem& m, bool wide) { cmp(gp(reg, wide), m); }
  // dst = a + (b << shift) + constant, at most kMostScale; leaves the flags alone.
  void add_scaled(uint8_t dst, uint8_t a, uint8_t b, uint32_t shift, bool wide,
                  int32_t constant = 0) {
    lea(gp(dst, wide), x86::ptr(gp(a, true), gp(b, true), shift, constant));
  }
  // For equality only.
  void compare_equal(uint8_t reg, const Mem& m) { cmp(m, gp(reg, true)); }
  void compare_imm(uint8_t reg, uint32_t value) { cmp(gp(reg, false), value); }
  // dst = index + offset, and Cond::Carry.
  void add_offset(uint8_t dst, uint8_t index, uint64_t offset) {
    if (dst != index) {
      load_imm(dst, offset);
      add(gp(dst, true), gp(index, true));
    } else {
      load_imm(kScratch, offset);
      add(gp(dst, true), gp(kScratch, true));
    }
  }
  // Whether any of the low bits of `mask`, at most 7, is set.
  void test_low_bits(uint8_t reg, uint32_t mask) { test(x86::gpb_lo(reg), mask); }
  void shift_right(uint8_t reg, unsigned count) { shr(gp(reg, true), count); }
  // To and from the representation of an i31.
  void make_i31(uint8_t reg) {
    add(gp(reg, false), gp(reg, false));
    or_(gp(reg, false), 1);
  }
  void take_i31(uint8_t reg, bool sign) {
    if (sign) {
      sar(gp(reg, false), 1);
    } else {
      shr(gp(reg, false), 1);
    }
  }
  void set_cond(uint8_t dst, Cond cond);
  // Takes one from a counter of 32 bits; Equal when it comes to zero.
  void count_down(const Mem& m) {
    Mem sized = m;
    sized.setSize(4);
    sub(sized, 1);
  }
  // Takes a number from 64 bits that patch_charge() says later; Negative below zero. Gives
  // the place to patch.
  size_t charge(const Mem& m) {
    Mem sized = m;
    sized.setSize(8);
    sub(sized, 0x7FFFFFFF);
    return offset() - 4;
  }
  void patch_charge(size_t place, uint32_t count) { std::memcpy(bufferData() + place, &count, 4); }

  // ---- control

  void jump(const Label& to) { jmp(to); }
  void jump_gpr(uint8_t reg) { jmp(gp(reg, true)); }
  void branch(Cond cond, const Label& to);
  void call_gpr(uint8_t reg) { call(gp(reg, true)); }
  // The code whose address is in memory; may change `base`.
  void call_word(uint8_t base, int64_t offset) { call(at(base, offset)); }
  // A function of C; takes a register that is not an argument.
  void call_address(const void* address) {
    mov(x86::rax, int64_t(reinterpret_cast<uintptr_t>(address)));
    call(x86::rax);
  }
  // Of code for an image: these give where the distance is to be filled in, to the code, or to its
  // address.
  static constexpr bool kHasReferences = true;
  size_t call_reference() { return refer({0xE8}); }
  size_t jump_reference() { return refer({0xE9}); }
  size_t call_address_reference() { return refer({0xFF, 0x15}); }
  void fence() { mfence(); }
  void trap(runtime::TrapCode code) {
    const uint8_t ud[] = {0x67, 0x0F, 0xB9, 0x40, uint8_t(code)};
    embed(ud, sizeof ud);
  }

  // ---- frames

  // The stack pointer to be goes to the scratch register, for a check of the stack.
  void begin_frame() {
    push(x86::rbp);
    mov(x86::rbp, x86::rsp);
    lea(gp(kScratch, true), at(kRbp, -0x7FFFFF00));
    frame_patch_ = offset() - 4;
  }
  // Then it takes effect.
  void commit_frame() {
    mov(x86::rsp, gp(kScratch, true));
    mov(at(kRbp, -8), x86::r15);
    mov(at(kRbp, -16), x86::r14);
    mov(at(kRbp, -24), x86::r13);
    mov(at(kRbp, -32), x86::r12);
    mov(at(kRbp, -40), x86::rbx);
  }
  // At the end: how many slots the frame has.
  void set_frame(uint32_t slots) {
    const uint32_t frame = (kSavedBytes + 8 * (slots + 2) + 15) & ~15u;
    const int32_t displacement = -int32_t(frame);
    std::memcpy(bufferData() + frame_patch_, &displacement, 4);
  }
  // The address above slot 0.
  void load_frame_base(uint8_t dst) { lea(gp(dst, true), at(kRbp, -kSavedBytes)); }
  // Gives the caller's registers back, of locals the first so many, and leaves the frame.
  void leave_frame(uint32_t locals) {
    mov(x86::r15, at(kRbp, -8));
    mov(x86::r14, at(kRbp, -16));
    if (locals > 2) mov(x86::r13, at(kRbp, -24));
    if (locals > 1) mov(x86::r12, at(kRbp, -32));
    if (locals > 0) mov(x86::rbx, at(kRbp, -40));
    leave();
  }
  void return_to_caller() { ret(); }
  // Zeroes the slots from..to; may change registers that pass arguments and hold no locals.
  void zero_slots(uint32_t from, uint32_t to) {
    uint32_t count = to - from;
    if (count > 32) {
      mov(gp(kScratch, true), x86::rdi);
      lea(x86::rdi, slot(to, 0));
      mov(x86::ecx, count);
      xor_(x86::eax, x86::eax);
      rep().stosq();
      mov(x86::rdi, gp(kScratch, true));
    } else if (count) {
      xorps(xmm(kScratchFpr), xmm(kScratchFpr));
      for (; count >= 2; count -= 2, from += 2) movups(slot(from, 2), xmm(kScratchFpr));
      if (count) movsd(slot(from, 1), xmm(kScratchFpr));
    }
  }

 private:
  size_t refer(std::initializer_list<uint8_t> opcode) {
    embed(opcode.begin(), opcode.size());
    constexpr uint8_t kDistance[4] = {};
    embed(kDistance, sizeof kDistance);
    return offset() - sizeof kDistance;
  }
  size_t frame_patch_ = 0;  // of the displacement in begin_frame()
};

}  // namespace wafer::compiler
