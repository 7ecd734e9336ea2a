// Macro assembler for AArch64: what the shared part of the baseline compiler asks for, in
// instructions of this processor. They are encoded here; asmjit keeps labels and the
// buffer. A function's frame, from x29 down:
//
//   [x20 x19 x22 x21 x24 x23 x26 x25 of the caller | slots]
//
// x26 holds the VmContext, x25 the base of memory 0 where that is guarded, x24 an address
// so far below the slots that loads and stores reach them with positive offsets, and x19
// to x23 integer locals. x16 (the shared part's), x17 (values), x30 (addresses)
// and v29 to v31 are scratch; the other registers that calls do not preserve hold
// operands, and some locals.
#pragma once

#include <asmjit/arm/a64assembler.h>
#include <asmjit/arm/a64utils.h>

#include "base/platform.h"
#include "base/span.h"
#include "compiler/abi.h"
#include "compiler/frame.h"

namespace wafer::compiler {

namespace a64 = asmjit::a64;

// General-purpose registers by number.
enum Gpr : uint8_t {
  kX0 = 0,
  kX9 = 9,
  kX10 = 10,
  kX11 = 11,
  kX16 = 16,
  kX17 = 17,
  kX24 = 24,
  kX25 = 25,
  kX26 = 26,
  kX29 = 29,
  kX30 = 30,
  kZero = 31,
  kSp = 31,
};
constexpr uint32_t kOperandGprs = 0xFFFF;               // x0 to x15
constexpr uint32_t kOperandFprs = 0x1FFF'00FF;          // v0 to v7, v16 to v28
constexpr unsigned kRegisters = 32;                     // of either class
constexpr uint8_t kScratch = kX16;                      // never holds an operand
constexpr uint8_t kValue = kX17, kAddress = kX30;       // the same; this folder's
constexpr uint8_t kScratchFpr = 31, kScratchFpr2 = 30;  // the same
constexpr uint8_t kScratchFpr3 = 29;
constexpr uint8_t kContext = kX26;
constexpr uint8_t kMemory0 = kX25;
constexpr uint8_t kSlots = kX24;
constexpr uint8_t kLocalGprs[] = {19, 20, 21, 22, 23};
// Of the operands', for more locals. They pass no arguments.
constexpr uint8_t kVolatileGprs[] = {15, 14, 13, 12, 8, 7, 6};
constexpr size_t kVolatileAlways = std::size(kVolatileGprs);
constexpr uint8_t kVolatileFprs[] = {28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16};
// Integer argument registers, the context first.
constexpr uint8_t kArgGprs[] = {0, 1, 2, 3, 4, 5};
constexpr uint8_t kResultGpr = kX0, kResultFpr = 0;
constexpr uint8_t kFuncGpr = kX9;    // what is called, until it is; not an argument
constexpr uint8_t kIndexGpr = kX10;  // the index of call_indirect; not an argument
constexpr uint8_t kExecGpr = kX11;   // the ExecState while a function begins; not an argument

// Condition codes as the encodings number them.
enum class Cond : uint8_t {
  Equal = 0,
  NotEqual = 1,
  AboveEqual = 2,
  Carry = 2,  // of an addition
  Below = 3,
  Negative = 4,
  NotNegative = 5,
  Overflow = 6,
  NotOverflow = 7,
  Above = 8,
  BelowEqual = 9,
  GreaterEqual = 10,
  Less = 11,
  Greater = 12,
  LessEqual = 13,
  // After a comparison of floats; false if one is NaN, and true when negated.
  FloatLess = Negative,
  FloatLessEqual = BelowEqual,
  // The same, the other way: true if one is NaN.
  Unordered = Overflow,
};

constexpr Cond negate(Cond c) { return Cond(uint8_t(c) ^ 1); }

// [base + index] or [base + offset].
struct Mem {
  uint8_t base = 0;
  bool indexed = false;
  uint8_t index = 0;
  int64_t offset = 0;
};

// Opcodes, without sizes and operands. W: of 32 bits, 64 with kWide added.
namespace op {
constexpr uint32_t kWide = 1u << 31;
constexpr uint32_t kAdd = 0x0B000000, kAdds = 0x2B000000, kSub = 0x4B000000, kSubs = 0x6B000000,
                   kAnd = 0x0A000000, kOrr = 0x2A000000, kEor = 0x4A000000, kAnds = 0x6A000000,
                   kOrn = 0x2A200000, kAdc = 0x1A000000, kSbc = 0x5A000000, kUdiv = 0x1AC00800,
                   kSdiv = 0x1AC00C00, kLslv = 0x1AC02000, kLsrv = 0x1AC02400, kAsrv = 0x1AC02800,
                   kRorv = 0x1AC02C00, kMadd = 0x1B000000, kMsub = 0x1B008000, kSmulh = 0x9B400000,
                   kUmulh = 0x9BC00000, kClz = 0x5AC01000, kRbit = 0x5AC00000, kCsel = 0x1A800000,
                   kCsinc = 0x1A800400, kSbfm = 0x13000000, kUbfm = 0x53000000, kExtr = 0x13800000;
// With an immediate of 12 bits.
constexpr uint32_t kAddImm = 0x11000000, kAddsImm = 0x31000000, kSubImm = 0x51000000,
                   kSubsImm = 0x71000000;
// With a bit mask.
constexpr uint32_t kAndMask = 0x12000000, kOrrMask = 0x32000000, kEorMask = 0x52000000,
                   kAndsMask = 0x72000000;
// Floats of 32 bits; 64 with kDouble added.
constexpr uint32_t kDouble = 1u << 22;
constexpr uint32_t kFmul = 0x1E200800, kFdiv = 0x1E201800, kFadd = 0x1E202800, kFsub = 0x1E203800,
                   kFmax = 0x1E204800, kFmin = 0x1E205800, kFcmp = 0x1E202000, kFmov = 0x1E204000,
                   kFabs = 0x1E20C000, kFneg = 0x1E214000, kFsqrt = 0x1E21C000,
                   kFrintn = 0x1E244000, kFrintp = 0x1E24C000, kFrintm = 0x1E254000,
                   kFrintz = 0x1E25C000, kFcvtToDouble = 0x1E22C000, kFcvtToSingle = 0x1E624000,
                   kFcsel = 0x1E200C00, kFcvtzs = 0x1E380000, kFcvtzu = 0x1E390000,
                   kScvtf = 0x1E220000, kUcvtf = 0x1E230000;
// Vectors of 128 bits; lanes of 8 << n bits by kLanes * n.
constexpr uint32_t kLanes = 1u << 22;
constexpr uint32_t kAndV = 0x4E201C00, kBicV = 0x4E601C00, kOrrV = 0x4EA01C00, kEorV = 0x6E201C00,
                   kBslV = 0x6E601C00, kBitV = 0x6EA01C00, kNotV = 0x6E205800, kCntV = 0x4E205800,
                   kDup = 0x4E000C00, kInsGpr = 0x4E001C00;
}  // namespace op

class Machine : public a64::Assembler {
 public:
  using Label = asmjit::Label;

  static bool supported() { return true; }
  // By how many bits the second operand of an addition may be shifted.
  static constexpr uint32_t kMostScale = 31;
  // Whether a store that reaches into the next page may write the first part when that faults.
  static constexpr bool kStoresInParts = true;

  // Before each piece of code. `bytes`: of the body that it is for. Code of large ones may
  // be farther apart than conditional branches reach.
  void begin_function(size_t bytes) {
    far_ = bytes > kFarBytes || retrying_;
    retrying_ = false;
    far_addresses_.clear();
    tested_at_ = 0;
  }
  // After an error: whether the same may succeed once more, where labels may be farther apart.
  bool retry() {
    retrying_ = !far_;
    return retrying_;
  }
  // At its end, when all labels are bound.
  void end_function();

  static Mem at(uint8_t base, int64_t offset) { return {base, false, 0, offset}; }
  // Memory of a frame slot, for a value of `slots` slots.
  static Mem slot(uint32_t slot, uint32_t slots) {
    return at(kSlots, kSlotsBelow - kSavedBytes - 8 * int64_t(slot + slots));
  }

  // ---- encoding

  void word(uint32_t w) {
    if (WAFER_UNLIKELY(remainingSpace() < 256)) {
      // Near its end the buffer has to be told what it holds, or asmjit does not let it grow.
      _section->_buffer._size = offset();
      embed(&w, 4);
      return;
    }
    std::memcpy(bufferPtr(), &w, 4);
    _bufferPtr += 4;
  }
  static constexpr uint32_t wide_bit(bool wide) { return wide ? op::kWide : 0; }
  void op2(uint32_t o, uint8_t d, uint8_t n) { word(o | uint32_t(n) << 5 | d); }
  void op3(uint32_t o, uint8_t d, uint8_t n, uint8_t m) {
    word(o | uint32_t(m) << 16 | uint32_t(n) << 5 | d);
  }
  void op4(uint32_t o, uint8_t d, uint8_t n, uint8_t m, uint8_t a) {
    word(o | uint32_t(m) << 16 | uint32_t(a) << 10 | uint32_t(n) << 5 | d);
  }
  // d = n OP #imm << 12 * shifted
  void op_imm12(uint32_t o, uint8_t d, uint8_t n, uint32_t imm, bool shifted = false) {
    word(o | uint32_t(shifted) << 22 | imm << 10 | uint32_t(n) << 5 | d);
  }
  // Whether the value is a bit mask that instructions can hold; then its encoding.
  static bool is_mask(uint64_t value, bool wide, uint32_t& encoding);
  void bitfield(uint32_t o, bool wide, uint8_t d, uint8_t n, uint32_t r, uint32_t s) {
    op2(o | wide_bit(wide) | uint32_t(wide) << 22 | r << 16 | s << 10, d, n);
  }
  void lsl_imm(bool wide, uint8_t d, uint8_t n, uint32_t by) {
    const uint32_t bits = wide ? 64 : 32;
    bitfield(op::kUbfm, wide, d, n, (bits - by) % bits, bits - 1 - by);
  }
  void lsr_imm(bool wide, uint8_t d, uint8_t n, uint32_t by) {
    bitfield(op::kUbfm, wide, d, n, by, wide ? 63 : 31);
  }
  void asr_imm(bool wide, uint8_t d, uint8_t n, uint32_t by) {
    bitfield(op::kSbfm, wide, d, n, by, wide ? 63 : 31);
  }
  void set_if(uint8_t d, Cond c) {
    word(op::kCsinc | uint32_t(kZero) << 16 | uint32_t(negate(c)) << 12 | uint32_t(kZero) << 5 | d);
  }
  void select_if(bool wide, Cond c, uint8_t d, uint8_t n, uint8_t m) {
    op3(op::kCsel | wide_bit(wide) | uint32_t(c) << 12, d, n, m);
  }
  // d = n + value; leaves the flags alone. `d` may be kAddress, and then is not `n`.
  void add_imm(uint8_t d, uint8_t n, int64_t value);
  // Register or memory of 1 << size bytes. `o`: 0 store, 1 load; of integers also 2 and 3,
  // which extend the sign to 64 and 32 bits.
  void access(uint32_t size, uint32_t o, uint8_t t, const Mem& m) {
    access_any(size << 30 | o << 22, size, t, m);
  }
  void access_fpr(uint32_t size, bool load, uint8_t t, const Mem& m) {
    const uint32_t fields =
        size == 4 ? (load ? 3u << 22 : 2u << 22) : size << 30 | uint32_t(load) << 22;
    access_any(1u << 26 | fields, size, t, m);
  }
  static uint32_t log2_of(unsigned width) { return uint32_t(__builtin_ctz(width)); }
  // The address goes to `dst`; near or far.
  void load_label(uint8_t dst, const Label& label);

  // ---- moves, which leave the flags alone

  void move_gpr(uint8_t dst, uint8_t src, bool wide) {
    if (dst != src) op3(op::kOrr | wide_bit(wide), dst, kZero, src);
  }
  void move_fpr(uint8_t dst, uint8_t src) {
    if (dst != src) op3(op::kOrrV, dst, src, src);
  }
  void move_to_fpr(uint8_t dst, uint8_t src, bool wide) {
    op2(wide ? 0x9E670000 : 0x1E270000, dst, src);
  }
  void move_from_fpr(uint8_t dst, uint8_t src, bool wide) {
    op2(wide ? 0x9E660000 : 0x1E260000, dst, src);
  }
  void zero_extend(uint8_t reg) { zero_extend(reg, reg); }
  void zero_extend(uint8_t dst, uint8_t src) { op3(op::kOrr, dst, kZero, src); }
  void load_imm(uint8_t dst, uint64_t value) {
    if (WAFER_LIKELY(value <= 0xFFFF)) {
      word(0x52800000 | uint32_t(value) << 5 | dst);
    } else {
      load_large_imm(dst, value);
    }
  }
  // Constant of an f32 (not wide) or f64.
  void load_fpr_imm(uint8_t dst, uint64_t value, bool wide) {
    if (value == 0) {
      word(0x6F00E400 | dst);  // movi
      return;
    }
    load_imm(kValue, value);
    move_to_fpr(dst, kValue, wide);
  }
  void load_gpr(uint8_t dst, const Mem& m, bool wide) { access(2 + wide, 1, dst, m); }
  void store_gpr(const Mem& m, uint8_t src, bool wide) { access(2 + wide, 0, src, m); }
  void load_frame(uint8_t dst, const Mem& m, bool wide) { load_gpr(dst, m, wide); }
  void store_frame(const Mem& m, uint8_t src, bool wide) { store_gpr(m, src, wide); }
  void load_word(uint8_t dst, uint8_t base, int64_t offset) {
    load_gpr(dst, at(base, offset), true);
  }
  // A value of 4, 8 or 16 bytes.
  void load_fpr(uint8_t dst, const Mem& m, unsigned width) {
    access_fpr(log2_of(width), true, dst, m);
  }
  void store_fpr(const Mem& m, uint8_t src, unsigned width) {
    access_fpr(log2_of(width), false, src, m);
  }
  // An integer of `width` bytes, extended to the whole register, or, with `sign` and not
  // `wide`, to 32 bits.
  void load_narrow(uint8_t dst, const Mem& m, unsigned width, bool sign, bool wide) {
    const bool extends = sign && width < (wide ? 8u : 4u);
    access(log2_of(width), !extends ? 1 : wide ? 2 : 3, dst, m);
  }
  void store_narrow(const Mem& m, uint8_t src, unsigned width) {
    access(log2_of(width), 0, src, m);
  }
  // Whether store_imm() takes one instruction.
  static bool short_store(uint64_t value, unsigned width) { return value == 0; }
  void store_imm(const Mem& m, uint64_t value, unsigned width) {
    if (width < 8) value &= (uint64_t{1} << 8 * width) - 1;
    if (value) load_imm(kValue, value);
    store_narrow(m, value ? kValue : kZero, width);
  }
  void load_address(uint8_t dst, const Mem& m) {
    if (m.indexed) {
      op3(op::kAdd | op::kWide, dst, m.base, m.index);
    } else {
      add_imm(dst, m.base, m.offset);
    }
  }
  // Element `index`, whose register may be changed, of elements of 1 << shift bytes that
  // begin `offset` behind `base`.
  Mem element(uint8_t base, uint8_t index, unsigned shift, int64_t offset) {
    op3(op::kAdd | op::kWide | shift << 10, index, base, index);
    return at(index, offset);
  }
  // Entry `index` of an array of words at `base`, which may change.
  void load_indexed_word(uint8_t dst, uint8_t base, uint8_t index) {
    op3(0xF8607800, dst, base, index);
  }
  void store_indexed_word(uint8_t base, uint8_t index, uint8_t src) {
    op3(0xF8207800, src, base, index);
  }

  // ---- arithmetic, which changes the flags

  void clear_gpr(uint8_t reg) { load_imm(reg, 0); }
  void compare_gprs(uint8_t n, uint8_t m, bool wide) {
    op3(op::kSubs | wide_bit(wide), kZero, n, m);
  }
  void test_zero(uint8_t reg, bool wide) { op_imm12(op::kSubsImm | wide_bit(wide), kZero, reg, 0); }
  void test_zero(const Mem& m, bool wide) {
    load_gpr(kValue, m, wide);
    test_zero(kValue, wide);
  }
  void compare(uint8_t reg, const Mem& m, bool wide) {
    load_gpr(kValue, m, wide);
    compare_gprs(reg, kValue, wide);
  }
  // For equality only.
  void compare_equal(uint8_t reg, const Mem& m) { compare(reg, m, true); }
  // With a constant as the type has it.
  void compare_const(uint8_t reg, uint64_t value, bool wide);
  void compare_imm(uint8_t reg, uint32_t value) { compare_const(reg, value, false); }
  // dst = a + (b << shift), at most kMostScale; leaves the flags alone.
  void add_scaled(uint8_t dst, uint8_t a, uint8_t b, uint32_t shift, bool wide) {
    op3(op::kAdd | wide_bit(wide) | shift << 10, dst, a, b);
  }
  // dst = index + offset, and Cond::Carry.
  void add_offset(uint8_t dst, uint8_t index, uint64_t offset) {
    if (offset < 0x1000) {
      op_imm12(op::kAddsImm | op::kWide, dst, index, uint32_t(offset));
    } else {
      load_imm(kValue, offset);
      op3(op::kAdds | op::kWide, dst, index, kValue);
    }
  }
  // Whether any of the low bits of `mask`, at most 7, is set.
  void test_low_bits(uint8_t reg, uint32_t mask);
  void shift_right(uint8_t reg, unsigned count) { lsr_imm(true, reg, reg, count); }
  // To and from the representation of an i31.
  void make_i31(uint8_t reg) {
    lsl_imm(false, reg, reg, 1);
    op2(op::kOrrMask, reg, reg);  // the mask 1
  }
  void take_i31(uint8_t reg, bool sign) {
    bitfield(sign ? op::kSbfm : op::kUbfm, false, reg, reg, 1, 31);
  }
  void set_cond(uint8_t dst, Cond cond) { set_if(dst, cond); }
  // Takes one from a counter of 32 bits; Equal when it comes to zero.
  void count_down(const Mem& m) {
    load_gpr(kValue, m, false);
    op_imm12(op::kSubsImm, kValue, kValue, 1);
    store_gpr(m, kValue, false);
  }
  // Takes a number from 64 bits that patch_charge() says later; Negative below zero. Gives
  // the place to patch.
  size_t charge(const Mem& m) {
    load_gpr(kValue, m, true);
    const size_t place = offset();
    op_imm12(op::kSubImm | op::kWide, kValue, kValue, 0, true);
    op_imm12(op::kSubsImm | op::kWide, kValue, kValue, 0);
    store_gpr(m, kValue, true);
    return place;
  }
  void patch_charge(size_t place, uint32_t count) {
    patch_imm12(place, count >> 12);
    patch_imm12(place + 4, count & 0xFFF);
  }

  // ---- control

  void jump(const Label& to) { b(to); }
  void jump_gpr(uint8_t reg) { op2(0xD61F0000, 0, reg); }
  void branch(Cond cond, const Label& to) {
    if (WAFER_UNLIKELY(far_)) {
      branch_words(negate(cond), 2);
      b(to);
    } else if (tested_at_ == offset() && uint8_t(cond) <= uint8_t(Cond::NotEqual)) {
      _bufferPtr -= 4;
      const a64::Gp reg = tested_wide_ ? a64::Gp(a64::x(tested_)) : a64::Gp(a64::w(tested_));
      if (cond == Cond::Equal) {
        cbz(reg, to);
      } else {
        cbnz(reg, to);
      }
    } else {
      b(a64::CondCode(uint8_t(cond) + 2), to);
    }
  }
  // To so many words from here.
  void branch_words(Cond cond, int32_t words) {
    word(0x54000000 | (uint32_t(words) & 0x7FFFF) << 5 | uint32_t(cond));
  }
  void branch_words_if_not_zero(uint8_t reg, int32_t words) {
    word(0x35000000 | (uint32_t(words) & 0x7FFFF) << 5 | reg);
  }
  void call_gpr(uint8_t reg) { op2(0xD63F0000, 0, reg); }
  // The code whose address is in memory; may change `base`.
  void call_word(uint8_t base, int64_t offset) {
    load_word(base, base, offset);
    call_gpr(base);
  }
  // No code for images is made yet.
  static constexpr bool kHasReferences = false;
  size_t call_reference() { return 0; }
  size_t jump_reference() { return 0; }
  size_t call_address_reference() { return 0; }
  static uint64_t features(bool) { return 0; }
  void use_no_extensions() {}
  // A function of C; takes a register that is not an argument.
  void call_address(const void* address) {
    load_imm(kScratch, uint64_t(reinterpret_cast<uintptr_t>(address)));
    call_gpr(kScratch);
  }
  void fence() { word(0xD5033BBF); }                           // dmb ish
  void trap(runtime::TrapCode code) { word(uint32_t(code)); }  // udf

  // ---- frames

  // The stack pointer to be goes to the scratch register, for a check of the stack.
  void begin_frame() {
    word(0xA9BF7BFD);  // stp x29, x30, [sp, #-16]!
    word(0x910003FD);  // mov x29, sp
    frame_patch_ = offset();
    op_imm12(op::kSubImm | op::kWide, kScratch, kSp, 0, true);
    op_imm12(op::kSubImm | op::kWide, kScratch, kScratch, 0);
  }
  // Then it takes effect.
  void commit_frame() {
    op_imm12(op::kAddImm | op::kWide, kSp, kScratch, 0);
    save_registers();
    op_imm12(op::kSubImm | op::kWide, kSlots, kX29, kSlotsBelow >> 12, true);
  }
  void save_registers() {
    for (uint8_t i = 0; i < 4; ++i) saved_pair(0xA9000000, i);
  }
  // At the end: how many slots the frame has.
  void set_frame(uint32_t slots) {
    const uint32_t frame = (kSavedBytes + 8 * slots + 15) & ~15u;
    patch_imm12(frame_patch_, frame >> 12);
    patch_imm12(frame_patch_ + 4, frame & 0xFFF);
  }
  // The address above slot 0.
  void load_frame_base(uint8_t dst) { op_imm12(op::kSubImm | op::kWide, dst, kX29, kSavedBytes); }
  // Gives the caller's registers back, of locals the first so many, and leaves the frame.
  void leave_frame(uint32_t locals) {
    saved_pair(0xA9400000, 3);
    saved_pair(0xA9400000, 2);
    if (locals > 2) saved_pair(0xA9400000, 1);
    if (locals > 0) saved_pair(0xA9400000, 0);
    drop_frame();
  }
  void drop_frame() {
    word(0x910003BF);  // mov sp, x29
    word(0xA8C17BFD);  // ldp x29, x30, [sp], #16
  }
  void return_to_caller() { word(0xD65F03C0); }
  // Zeroes the slots from..to; may use any register that calls do not preserve.
  void zero_slots(uint32_t from, uint32_t to);

 private:
  // Body bytes up to which it pays to try if all code of a function is within the 1 MiB that
  // conditional branches reach.
  static constexpr size_t kFarBytes = 64 << 10;
  // What kSlots lies below x29.
  static constexpr int64_t kSlotsBelow = 16 << 10;

  void access_any(uint32_t fields, uint32_t size, uint8_t t, const Mem& m) {
    const uint32_t registers = uint32_t(m.base) << 5 | t;
    if (m.indexed) {
      word(0x38206800 | fields | uint32_t(m.index) << 16 | registers);
    } else if (const auto scaled = uint64_t(m.offset) >> size;
               WAFER_LIKELY(scaled < 0x1000 && scaled << size == uint64_t(m.offset))) {
      word(0x39000000 | fields | uint32_t(scaled) << 10 | registers);
    } else {
      access_far(fields, t, m);
    }
  }
  void access_far(uint32_t fields, uint8_t t, const Mem& m);
  void load_large_imm(uint8_t dst, uint64_t value);
  // Stores or loads x19 and x20, or the next so many pairs.
  void saved_pair(uint32_t o, uint8_t pair) {
    const uint32_t offset = uint32_t(-2 * (pair + 1)) & 0x7F;
    word(o | offset << 15 | uint32_t(20 + 2 * pair) << 10 | uint32_t(kX29) << 5 |
         uint32_t(19 + 2 * pair));
  }
  void patch_imm12(size_t place, uint32_t value) {
    uint32_t w;
    std::memcpy(&w, bufferData() + place, 4);
    w |= (value & 0xFFF) << 10;
    std::memcpy(bufferData() + place, &w, 4);
  }

  bool far_ = false, retrying_ = false;
  // The register that the instruction before `tested_at_` compares with zero.
  uint8_t tested_ = 0;
  bool tested_wide_ = false;
  size_t tested_at_ = 0;
  size_t frame_patch_ = 0;  // of the subtractions in begin_frame()
  struct FarAddress {
    uint32_t place;  // of an `adr` of itself, followed by what adds the distance
    Label label;
  };
  Vec<FarAddress> far_addresses_;
};

}  // namespace wafer::compiler
