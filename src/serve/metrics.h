// What there is to count.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace wafer::serve {

// By all threads.
struct Metrics {
  // Upper bounds of the histogram's buckets, in microseconds; what is above is in none of them.
  static constexpr uint64_t kBuckets[] = {250,     500,       1'000,     2'500,     5'000,
                                          10'000,  25'000,    50'000,    100'000,   250'000,
                                          500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};

  std::atomic<uint64_t> connections{0}, open{0}, requests{0}, active{0}, refused{0}, instances{0},
      failures{0}, timeouts{0};
  std::atomic<uint64_t> by_class[5] = {};  // responses of 1xx to 5xx
  std::atomic<uint64_t> within[std::size(kBuckets)] = {};
  std::atomic<uint64_t> responses{0}, microseconds{0}, body_bytes{0};
  std::atomic<uint64_t> reloads{0}, failed_reloads{0};
  const std::chrono::system_clock::time_point started = std::chrono::system_clock::now();

  // Counts a request as active for as long as the result, its own, is kept; null if there are
  // `most` already.
  std::shared_ptr<void> admit(size_t most);
  // A response that was sent, or broke off.
  void count(int status, uint64_t took, uint64_t bytes);
  // In the text format of Prometheus.
  std::string text() const;
};

}  // namespace wafer::serve
