// One call from a guest: its memory, bounds-checked, and ways to wait that an
// interrupt ends.
#pragma once

#include "wasi/p1/context.h"

namespace wafer::wasi {

class Call {
 public:
  Call(P1Context::Impl& p1, runtime::CallContext& context) : p1(p1), context(context) {}

  P1Context::Impl& p1;
  runtime::CallContext& context;
  // Not None: execution stops with this.
  runtime::TrapCode trap = runtime::TrapCode::None;

  // Finds the caller's exported memory "memory"; false (and a trap) without one.
  bool bind_memory();

  // Is [address, address+length) inside the memory?
  bool in_bounds(uint32_t address, uint64_t length) const {
    return address <= size_ && length <= size_ - address;
  }
  uint8_t* at(uint32_t address) const { return base_ + address; }
  // Guest integers; the caller has checked the bounds.
  template <class T>
  T load(uint64_t address) const {
    return load_le<T>(base_ + address);
  }
  template <class T>
  void store(uint64_t address, T value) const {
    store_le<T>(base_ + address, value);
  }
  void zero(uint32_t address, uint32_t length) const { std::memset(base_ + address, 0, length); }

  // Copies a path argument: kFault out of bounds, kInval with a NUL in it, kIlseq
  // if it is not UTF-8.
  Errno path(uint32_t address, uint32_t length, std::string& out) const;

  bool interruptible() const { return context.store.engine().config().interruptible; }
  // True, with the trap set, once the store was interrupted.
  bool interrupted();
  // Waits until `fd` can be read, or written. False if interrupted.
  bool wait_ready(int fd, bool write);

 private:
  uint8_t* base_ = nullptr;
  uint64_t size_ = 0;
};

// Longest uninterrupted wait, in nanoseconds, while an interrupt has to be noticed.
inline constexpr uint64_t kWaitSlice = 50'000'000;

// Clocks of the host by their number here.
inline constexpr host::ClockId kClocks[] = {host::ClockId::Realtime, host::ClockId::Monotonic,
                                            host::ClockId::ProcessCpu, host::ClockId::ThreadCpu};

}  // namespace wafer::wasi
