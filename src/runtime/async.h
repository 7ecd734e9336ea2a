// Calls that can wait: a computation on a fiber, and the host calls that it waits for.
#pragma once

#include <atomic>
#include <memory>

#include "runtime/fiber.h"

#if WAFER_HAS_OS

namespace wafer::runtime {

// Called, from any thread, when what a computation waits for has come.
class Waker {
 public:
  virtual void wake() = 0;
  virtual ~Waker() = default;
};

// A call of a host function that finishes later. Answered once, by any thread; only results
// that are references take the thread that uses the store.
class PendingCall {
 public:
  PendingCall(Store& store, const wasm::CanonType& type) : store_(store), type_(type) {}

  // The call's results, or how it failed. Later answers, and all after the computation is
  // gone, count for nothing.
  void finish(std::span<const Slot> results);
  void fail(TrapCode code, std::string_view message);
  // Throws in the guest.
  void raise(Ref exception);

  const wasm::CanonType& type() const { return type_; }
  const Store& store() const { return store_; }
  bool answered() const { return state_.load(std::memory_order_acquire) == kAnswered; }
  bool cancelled() const { return state_.load(std::memory_order_acquire) == kCancelled; }
  // Blocks until it is answered, or cancelled.
  void wait() const;

 private:
  friend class Computation;
  enum State : uint32_t { kOpen, kAnswered, kCancelled };
  template <class Fill>
  void settle(Fill&& fill);
  // Afterwards no answer comes, and nobody is woken.
  void cancel(bool store_gone);
  // Tells `waker` when there is an answer, perhaps now.
  void wake_by(Shared<Waker> waker);
  TrapCode take(Vec<Slot>& results);

  Store& store_;  // only while not cancelled
  const wasm::CanonType& type_;
  std::atomic<uint32_t> state_{kOpen};
  Mutex mutex_;
  TrapCode code_ = TrapCode::None;
  String message_;
  Vec<Slot> results_;
  Vec<uint32_t> roots_;  // by slot: handle of the store, or 0
  Shared<Waker> waker_;
};

// A call under way. Made, resumed and dropped by the thread that uses the store.
class Computation {
 public:
  enum class Status : uint8_t {
    Ready,        // resume() goes on: it has not begun, or what it waited for has come
    Waiting,      // for a host call
    OutOfFuel,    // resume() goes on once there is fuel
    Interrupted,  // resume() goes on once the flag is clear
    Running,      // calls the host just now
    Finished,
  };

  // A call of `func`, which has not begun. Errors: Usage for arguments of wrong types;
  // Exhaustion; Unsupported where there are no fibers.
  static Result<Box<Computation>> create(Store& store, FuncInst* func, std::span<const Value> args);
  // Drops what waits. If it runs, that happens when it waits or finishes.
  static void dispose(Box<Computation> computation);
  ~Computation();

  Status status() const;
  // Goes on if it can, until it finishes or has to wait.
  Status resume();
  // While it waits for fuel or for an interrupt to go: ends it with that trap.
  Status end();
  // Blocks until a host call is answered.
  void wait() const {
    if (pending_) pending_->wait();
  }
  // Told whenever what the computation waits for has come.
  void wake_by(Shared<Waker> waker);
  // Of a finished one: how it went, and its results as slots.
  const TrapInfo& trap() const { return trap_; }
  std::span<const Slot> results() const;
  const wasm::CanonType& type() const { return *type_; }
  // Null once it is gone.
  Store* store() const;

  // For host functions: begins a call that is answered later, after which they return
  // TrapCode::Pending. Null if nothing can wait: then they return pending_without_fiber().
  static Shared<PendingCall> begin(CallContext& context);

  Computation(Store& store, FuncInst* func, Box<Fiber> fiber);  // use create()

 private:
  Status run(TrapCode code);

  Store& store_;
  const wasm::CanonType* type_;
  Box<Fiber> fiber_;
  Shared<PendingCall> pending_;
  Shared<Waker> waker_;
  TrapInfo trap_;
  bool begun_ = false, doomed_ = false;
};

}  // namespace wafer::runtime

#endif
