// The source of every choice of the generator: a seed, or bytes of a fuzzer.
#pragma once

#include <cstdint>
#include <iterator>

#include "base/span.h"

namespace wafer::diff {

// Stateless mixing of 64 bits (the finaliser of splitmix64).
constexpr uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

class Chooser {
 public:
  explicit Chooser(uint64_t seed) : state_(mix(seed)) {}
  // Choices are read from `input`, so that a small change of it is a small change
  // of the module; when it is used up, they follow from what it was.
  explicit Chooser(Bytes input) : input_(input) {
    for (const uint8_t b : input) state_ = mix(state_ ^ b);
  }

  uint64_t bits() {
    if (input_.empty()) return state_ = mix(state_);
    return take(8);
  }
  // A number below `n`, which is not 0.
  uint32_t below(uint32_t n) {
    if (input_.empty()) return uint32_t((bits() >> 32) * n >> 32);
    return uint32_t(take(n <= 0x100 ? 1 : n <= 0x10000 ? 2 : 4) % n);
  }
  // True once in `n` times.
  bool one_in(uint32_t n) { return below(n) == 0; }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  template <class C>
  auto& pick(C& from) {
    return from[below(uint32_t(std::size(from)))];
  }

 private:
  uint64_t take(size_t count) {
    uint64_t v = 0;
    for (; count && !input_.empty(); --count, input_ = input_.subspan(1)) v = v << 8 | input_[0];
    return v;
  }

  Bytes input_;
  uint64_t state_ = 0;
};

}  // namespace wafer::diff
