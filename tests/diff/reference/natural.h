// Natural numbers of any size, for arithmetic that must not round.
#pragma once

#include <cstdint>
#include <vector>

namespace wafer::reference {

__extension__ typedef unsigned __int128 Nat;  // all that operands and results hold
__extension__ typedef __int128 Int;

class Natural {
 public:
  Natural() = default;
  explicit Natural(Nat value) {
    for (; value; value >>= 32) digits_.push_back(uint32_t(value));
  }

  bool is_zero() const { return digits_.empty(); }
  // The number n with 2^(n-1) <= *this < 2^n; 0 for 0.
  unsigned bit_length() const {
    if (is_zero()) return 0;
    unsigned n = unsigned(digits_.size() - 1) * 32;
    for (uint32_t top = digits_.back(); top; top >>= 1) ++n;
    return n;
  }
  // Only for numbers below 2^128.
  Nat value() const {
    Nat out = 0;
    for (size_t i = digits_.size(); i--;) out = out << 32 | digits_[i];
    return out;
  }

  Natural operator<<(unsigned n) const {
    if (is_zero()) return {};
    Natural out;
    out.digits_.assign(n / 32, 0);
    uint64_t carry = 0;
    for (const uint32_t d : digits_) {
      carry |= uint64_t(d) << (n % 32);
      out.digits_.push_back(uint32_t(carry));
      carry >>= 32;
    }
    out.digits_.push_back(uint32_t(carry));
    return out.trimmed();
  }
  // Rounds down.
  Natural operator>>(unsigned n) const {
    Natural out;
    for (size_t i = n / 32; i < digits_.size(); ++i) {
      uint64_t two = digits_[i];
      if (i + 1 < digits_.size()) two |= uint64_t(digits_[i + 1]) << 32;
      out.digits_.push_back(uint32_t(two >> (n % 32)));
    }
    return out.trimmed();
  }
  Natural operator+(const Natural& other) const {
    Natural out;
    uint64_t carry = 0;
    for (size_t i = 0; i < digits_.size() || i < other.digits_.size() || carry; ++i) {
      carry += uint64_t(digit(i)) + other.digit(i);
      out.digits_.push_back(uint32_t(carry));
      carry >>= 32;
    }
    return out;
  }
  // `other` is not greater.
  Natural operator-(const Natural& other) const {
    Natural out;
    int64_t borrow = 0;
    for (size_t i = 0; i < digits_.size(); ++i) {
      int64_t d = int64_t(digit(i)) - other.digit(i) - borrow;
      borrow = d < 0;
      if (d < 0) d += int64_t(1) << 32;
      out.digits_.push_back(uint32_t(d));
    }
    return out.trimmed();
  }
  // Negative, 0 or positive as *this is less, equal or greater.
  int compare(const Natural& other) const {
    if (digits_.size() != other.digits_.size())
      return digits_.size() < other.digits_.size() ? -1 : 1;
    for (size_t i = digits_.size(); i--;)
      if (digits_[i] != other.digits_[i]) return digits_[i] < other.digits_[i] ? -1 : 1;
    return 0;
  }

 private:
  uint32_t digit(size_t i) const { return i < digits_.size() ? digits_[i] : 0; }
  Natural trimmed() {
    while (!digits_.empty() && digits_.back() == 0) digits_.pop_back();
    return std::move(*this);
  }
  std::vector<uint32_t> digits_;  // least significant first, no leading zeros
};

}  // namespace wafer::reference
