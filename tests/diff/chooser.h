// The source of every choice of the generator.
#pragma once

#include <cstdint>
#include <iterator>

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

  uint64_t bits() { return state_ = mix(state_); }
  // A number below `n`, which is not 0.
  uint32_t below(uint32_t n) { return uint32_t((bits() >> 32) * n >> 32); }
  // True once in `n` times.
  bool one_in(uint32_t n) { return below(n) == 0; }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  template <class C>
  auto& pick(C& from) {
    return from[below(uint32_t(std::size(from)))];
  }

 private:
  uint64_t state_;
};

}  // namespace wafer::diff
