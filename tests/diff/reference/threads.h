// Threads, which share memories: what they do to those happens one after the other.
#pragma once

#include <mutex>

#include "integers.h"
#include "runtime/memory.h"

namespace wafer::reference {

std::mutex& one_at_a_time();
// Of a shared memory, while that is locked: whether code has accessed it.
void note_access(const runtime::Memory& memory);
bool is_accessed(const runtime::Memory& memory);

// While there is one, no other thread accesses a shared memory.
class Turn {
 public:
  explicit Turn(const runtime::Memory& memory) {
    if (!memory.shared()) return;
    lock_ = std::unique_lock(one_at_a_time());
    note_access(memory);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

// `width` bits at an address that is in bounds.
Nat read(const runtime::Memory& memory, Nat at, unsigned width);
void write(runtime::Memory& memory, Nat at, unsigned width, Nat value);

}  // namespace wafer::reference
