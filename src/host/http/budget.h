// What the other side of a connection may cost beyond what it is there for.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace wafer::host {

// A little is free; the rest has to be in proportion.
class HttpBudget {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr size_t kFrameHeader = 9;  // of HTTP/2

  // Bytes of the connection; and those that are messages, in either direction.
  void came(size_t size) { came_ += size; }
  void content(size_t size) { content_ += size; }
  // A stream that was given up, by the other side or for what that did.
  void reset() {
    constexpr double kPerSecond = 33;
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    resets_ = std::max(0.0, resets_ - passed.count() * kPerSecond) + 1;
  }
  bool used_up() const {
    constexpr uint64_t kFree = 1 << 20;
    constexpr uint64_t kOverhead = 8;  // bytes for one of content
    constexpr double kResets = 1000;
    return resets_ > kResets || came_ / kOverhead > content_ + kFree;
  }

 private:
  uint64_t came_ = 0, content_ = 0;
  double resets_ = 0;
  Clock::time_point last_ = Clock::now();
};

}  // namespace wafer::host
