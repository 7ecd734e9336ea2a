#include "compiler/baseline/a64/machine.h"

namespace wafer::compiler {

bool Machine::is_mask(uint64_t value, bool wide, uint32_t& encoding) {
  a64::Utils::LogicalImm imm;
  if (!a64::Utils::encodeLogicalImm(value, wide ? 64 : 32, &imm)) return false;
  encoding = imm.n << 22 | imm.r << 16 | imm.s << 10;
  return true;
}

void Machine::load_large_imm(uint8_t dst, uint64_t value) {
  constexpr uint32_t kMovn = 0x12800000, kMovz = 0x52800000, kMovk = 0x72800000;
  const bool wide = value > 0xFFFFFFFF;
  const int parts = wide ? 4 : 2;
  int zeros = 0, ones = 0;
  for (int i = 0; i < parts; ++i) {
    zeros += uint16_t(value >> 16 * i) == 0;
    ones += uint16_t(value >> 16 * i) == 0xFFFF;
  }
  uint32_t mask;
  if (std::max(zeros, ones) < parts - 1 && is_mask(value, wide, mask)) {
    op2(op::kOrrMask | wide_bit(wide) | mask, dst, kZero);
    return;
  }
  const bool inverted = ones > zeros;
  bool first = true;
  for (int i = 0; i < parts; ++i) {
    const auto part = uint16_t(value >> 16 * i);
    if (part == (inverted ? 0xFFFF : 0)) continue;
    const uint32_t o = !first ? kMovk : inverted ? kMovn : kMovz;
    const uint32_t imm = first && inverted ? uint16_t(~part) : part;
    word(o | wide_bit(wide) | uint32_t(i) << 21 | imm << 5 | dst);
    first = false;
  }
  // All parts are ones.
  if (first) word(kMovn | wide_bit(wide) | dst);
}

void Machine::add_imm(uint8_t d, uint8_t n, int64_t value) {
  const uint64_t size = value < 0 ? -uint64_t(value) : uint64_t(value);
  const uint32_t o = (value < 0 ? op::kSubImm : op::kAddImm) | op::kWide;
  if (size < 0x1000) {
    if (size || d != n) op_imm12(o, d, n, uint32_t(size));
  } else if (size < 0x1000000) {
    op_imm12(o, d, n, uint32_t(size >> 12), true);
    if (size & 0xFFF) op_imm12(o, d, d, uint32_t(size & 0xFFF));
  } else {
    const uint8_t t = d != n ? d : kAddress;
    load_imm(t, uint64_t(value));
    op3(op::kAdd | op::kWide, d, n, t);
  }
}

void Machine::access_far(uint32_t fields, uint8_t t, const Mem& m) {
  const uint32_t registers = uint32_t(m.base) << 5 | t;
  if (m.offset >= -256 && m.offset < 256) {
    word(0x38000000 | fields | (uint32_t(m.offset) & 0x1FF) << 12 | registers);
  } else if (m.offset > -0x1000000 && m.offset < 0x1000000) {
    add_imm(kAddress, m.base, m.offset);
    word(0x39000000 | fields | uint32_t(kAddress) << 5 | t);
  } else {
    load_imm(kAddress, uint64_t(m.offset));
    word(0x38206800 | fields | uint32_t(kAddress) << 16 | registers);
  }
}

void Machine::load_label(uint8_t dst, const Label& label) {
  if (!far_) {
    adr(a64::x(dst), label);
    return;
  }
  far_addresses_.push_back({uint32_t(offset()), label});
  word(0x10000000 | dst);                                               // adr dst, .
  word(0xD2800000 | kAddress);                                          // movz
  word(0xF2A00000 | kAddress);                                          // movk of the upper half
  op3(op::kAdd | op::kWide | 6u << 13 | 1u << 21, dst, dst, kAddress);  // sign-extends
}

void Machine::end_function() {
  for (const FarAddress& f : far_addresses_) {
    const auto distance = uint32_t(code()->labelOffset(f.label)) - f.place;
    for (uint32_t half = 0; half < 2; ++half) {
      uint32_t w;
      uint8_t* at = bufferData() + f.place + 4 + 4 * half;
      std::memcpy(&w, at, 4);
      w |= uint32_t(uint16_t(distance >> 16 * half)) << 5;
      std::memcpy(at, &w, 4);
    }
  }
}

void Machine::compare_const(uint8_t reg, uint64_t value, bool wide) {
  if (!wide) value = uint64_t(int64_t(int32_t(uint32_t(value))));
  const uint64_t negative = -value;
  if (value == 0) {
    test_zero(reg, wide);
  } else if (value < 0x1000) {
    op_imm12(op::kSubsImm | wide_bit(wide), kZero, reg, uint32_t(value));
  } else if (negative < 0x1000) {
    op_imm12(op::kAddsImm | wide_bit(wide), kZero, reg, uint32_t(negative));
  } else {
    load_imm(kValue, wide ? value : uint32_t(value));
    compare_gprs(reg, kValue, wide);
  }
}

void Machine::test_low_bits(uint8_t reg, uint32_t mask) {
  uint32_t encoding = 0;
  is_mask(mask, false, encoding);
  op2(op::kAndsMask | encoding, kZero, reg);
}

void Machine::zero_slots(uint32_t from, uint32_t to) {
  uint32_t count = to - from;
  if (!count) return;
  constexpr uint32_t kStorePair = 0xA8800000 | 2u << 15 | uint32_t(kZero) << 10 | kZero;
  load_address(kScratch, slot(to, 0));
  if (count <= 16) {
    for (; count >= 2; count -= 2) op2(kStorePair, kZero, kScratch);
  } else {
    load_imm(kValue, count / 2);
    op2(kStorePair, kZero, kScratch);
    op_imm12(op::kSubsImm | op::kWide, kValue, kValue, 1);
    branch_words(Cond::NotEqual, -2);
    count %= 2;
  }
  if (count) store_gpr(at(kScratch, 0), kZero, true);
}

}  // namespace wafer::compiler
