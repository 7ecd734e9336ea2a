// Threads, which share memories: what they do to those happens one after the other.
#pragma once

#include <mutex>

#include "integers.h"
#include "runtime/memory.h"

namespace wafer::reference {

std::mutex& one_at_a_time();

// While there is one, no other thread accesses a shared memory.
class Turn {
 public:
  explicit Turn(const runtime::Memory& memory) {
    if (memory.shared()) lock_ = std::unique_lock(one_at_a_time());
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

// `width` bits at an address that is in bounds.
Nat read(const runtime::Memory& memory, Nat at, unsigned width);
void write(runtime::Memory& memory, Nat at, unsigned width, Nat value);

}  // namespace wafer::reference
