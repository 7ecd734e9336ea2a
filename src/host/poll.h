// Waiting for descriptors on the spot, for guests that have a thread of their own.
#pragma once

#include <cstdint>
#include <span>

#include "host/status.h"

namespace wafer::host {

inline constexpr uint64_t kForever = ~uint64_t{0};

struct Interest {
  int fd = -1;
  bool write = false;  // rather than read
  // What came of it.
  bool ready = false;
  bool hangup = false;   // or failed: the next read or write tells
  bool invalid = false;  // no such descriptor
};

// Waits up to `nanoseconds` until something is ready; how many are. EINTR for a signal.
Outcome<size_t> wait_ready(std::span<Interest> interests, uint64_t nanoseconds);

}  // namespace wafer::host
