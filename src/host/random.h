// Randomness.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "base/span.h"
#include "host/status.h"

namespace wafer::host {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  // Fills `bytes`, at most kPiece of them in one call.
  virtual Status fill(MutableBytes bytes) = 0;
  static constexpr size_t kPiece = 1u << 20;

  // Eight bytes; zero if they cannot be had.
  uint64_t next();
};
using RandomRef = std::shared_ptr<Random>;

// The system's, fit for secrets.
RandomRef system_random();
// The same bytes for the same seed (SplitMix64): fast, and for no secret.
RandomRef seeded_random(uint64_t seed);

}  // namespace wafer::host
