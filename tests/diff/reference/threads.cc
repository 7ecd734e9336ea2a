#include "threads.h"

#include <chrono>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>

#include "evaluator.h"

namespace wafer::reference {

using runtime::Memory;
using runtime::TrapCode;
using wasm::Opcode;
using wasm::TypeKind;

namespace {

// A thread that sleeps until another notifies it.
struct Waiter {
  const Memory* memory;
  Nat address;
  bool woken = false;
};

// All of this under one_at_a_time(). In order of arrival:
std::list<Waiter*> waiters;
std::condition_variable woken_up;

// Others may come to lie where a memory was.
std::map<const Memory*, std::weak_ptr<const Memory>> accessed;

enum WaitResult { kOk = 0, kNotEqual = 1, kTimedOut = 2 };

// `timeout` in nanoseconds; negative: none.
WaitResult wait(const Memory& memory, Nat address, Int timeout) {
  using Clock = std::chrono::steady_clock;
  constexpr Int kLongest = Int(1'000'000'000) * 60 * 60 * 24 * 365;  // a clock has an end
  const bool is_endless = timeout < 0 || timeout > kLongest;
  const auto end = Clock::now() + std::chrono::nanoseconds(is_endless ? 0 : int64_t(timeout));
  std::unique_lock lock(one_at_a_time(), std::adopt_lock);
  Waiter self{&memory, address};
  waiters.push_back(&self);
  while (!self.woken) {
    if (is_endless)
      woken_up.wait(lock);
    else if (woken_up.wait_until(lock, end) == std::cv_status::timeout)
      break;
  }
  if (!self.woken) waiters.remove(&self);
  lock.release();  // it is the caller's
  return self.woken ? kOk : kTimedOut;
}

Nat notify(const Memory& memory, Nat address, Nat count) {
  Nat woken = 0;
  for (auto at = waiters.begin(); at != waiters.end() && woken < count;) {
    Waiter& w = **at;
    if (w.memory != &memory || w.address != address) {
      ++at;
      continue;
    }
    w.woken = true;
    ++woken;
    at = waiters.erase(at);
  }
  woken_up.notify_all();
  return woken;
}

}  // namespace

std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

void note_access(const Memory& memory) {
  std::weak_ptr<const Memory>& entry = accessed[&memory];
  if (entry.expired()) entry = const_cast<Memory&>(memory).owner();
}

bool is_accessed(const Memory& memory) {
  const auto at = accessed.find(&memory);
  return at != accessed.end() && !at->second.expired();
}

void Evaluator::wait_or_notify(const wasm::Instr& in, Frame& frame, Ending& out) {
  const bool is_wait = in.op != Opcode::MemoryAtomicNotify;
  const unsigned width = in.op == Opcode::MemoryAtomicWait64 ? 64 : 32;
  Memory& memory = *frame.instance.memories[in.index];
  const Turn turn(memory);
  const Nat last = pop();  // timeout or count
  const Nat expected = is_wait ? pop() : 0;
  const Nat ea = pop() + in.offset;
  // Whichever trap comes first: the rules do not say.
  if (ea + width / 8 > memory.size_bytes()) {
    out = trap(TrapCode::MemoryOutOfBounds);
  } else if (ea % (width / 8) != 0) {
    out = trap(TrapCode::UnalignedAtomic);
  } else if (!memory.shared()) {
    // Nobody waits there.
    if (is_wait)
      out = trap(TrapCode::ExpectedSharedMemory);
    else
      push(TypeKind::I32, 0);
  } else if (!is_wait) {
    push(TypeKind::I32, notify(memory, ea, last));
  } else if (read(memory, ea, width) != expected) {
    push(TypeKind::I32, kNotEqual);
  } else {
    push(TypeKind::I32, wait(memory, ea, signed_value(64, last)));
  }
}

}  // namespace wafer::reference
