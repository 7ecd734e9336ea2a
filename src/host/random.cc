#include "host/random.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/leb128.h"

#if defined(__linux__)
#include <sys/random.h>
#endif

namespace wafer::host {

namespace {

class SystemRandom final : public Random {
 public:
  Status fill(MutableBytes bytes) override {
    while (!bytes.empty()) {
#if defined(__linux__)
      const ssize_t n = getrandom(bytes.data(), bytes.size(), 0);
      if (n < 0) {
        if (errno != EINTR) return Status::last();
        continue;
      }
#else
      const size_t n = std::min<size_t>(bytes.size(), 256);
      if (getentropy(bytes.data(), n) != 0) return Status::last();
#endif
      bytes = bytes.subspan(size_t(n));
    }
    return {};
  }
};

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}

  Status fill(MutableBytes bytes) override {
    const std::lock_guard lock(mutex_);
    while (!bytes.empty()) {
      uint64_t z = state_ += 0x9E3779B97F4A7C15;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
      z ^= z >> 31;
      uint8_t word[8];
      store_le(word, z);
      const size_t n = std::min<size_t>(bytes.size(), 8);
      std::memcpy(bytes.data(), word, n);
      bytes = bytes.subspan(n);
    }
    return {};
  }

 private:
  std::mutex mutex_;
  uint64_t state_;
};

}  // namespace

uint64_t Random::next() {
  uint8_t word[8] = {};
  (void)fill(word);
  return load_le<uint64_t>(word);
}

RandomRef system_random() {
  static const RandomRef random = std::make_shared<SystemRandom>();
  return random;
}
RandomRef seeded_random(uint64_t seed) { return std::make_shared<SeededRandom>(seed); }

}  // namespace wafer::host
