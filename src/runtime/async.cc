#include "runtime/async.h"

#if WAFER_HAS_OS

#include <algorithm>

namespace wafer::runtime {

// ---- Host calls

template <class Fill>
void PendingCall::settle(Fill&& fill) {
  Shared<Waker> waker;
  {
    const MutexLock lock(mutex_);
    if (state_.load(std::memory_order_relaxed) != kOpen) return;
    fill();
    state_.store(kAnswered, std::memory_order_release);
    waker = std::move(waker_);
  }
  state_.notify_all();
  if (waker) waker->wake();
}

void PendingCall::finish(std::span<const Slot> results) {
  settle([&] {
    results_.assign(results.begin(), results.end());
    uint32_t at = 0;
    for (const wasm::ValType t : type_.func.results) {
      if (t.kind() == wasm::TypeKind::I32) results_[at] = uint32_t(results_[at]);
      if (t.is_ref() && results_[at] != kNullRef && store_.registry().is_gc_ref(t)) {
        roots_.resize(results_.size());
        roots_[at] = store_.root(results_[at]);
      }
      at += slot_count(t);
    }
  });
}

void PendingCall::fail(TrapCode code, std::string_view message) {
  settle([&] {
    code_ = code;
    message_ = message;
  });
}

void PendingCall::raise(Ref exception) {
  settle([&] {
    code_ = TrapCode::UncaughtException;
    roots_.assign(1, store_.root(exception));
  });
}

void PendingCall::wait() const {
  while (state_.load(std::memory_order_acquire) == kOpen) state_.wait(kOpen);
}

void PendingCall::cancel(bool store_gone) {
  {
    const MutexLock lock(mutex_);
    for (const uint32_t root : roots_)
      if (root && !store_gone) store_.unroot(root);
    roots_.clear();
    waker_.reset();
    state_.store(kCancelled, std::memory_order_release);
  }
  state_.notify_all();
}

void PendingCall::wake_by(Shared<Waker> waker) {
  {
    const MutexLock lock(mutex_);
    if (state_.load(std::memory_order_relaxed) == kOpen) {
      waker_ = std::move(waker);
      return;
    }
  }
  if (waker && answered()) waker->wake();
}

TrapCode PendingCall::take(Vec<Slot>& results) {
  const MutexLock lock(mutex_);
  results = std::move(results_);
  if (code_ == TrapCode::UncaughtException) {
    store_.pending_exception = store_.rooted(roots_[0]);
  } else {
    for (size_t i = 0; i < roots_.size(); ++i)
      if (roots_[i]) results[i] = store_.rooted(roots_[i]);
  }
  for (const uint32_t root : roots_)
    if (root) store_.unroot(root);
  roots_.clear();
  if (code_ != TrapCode::None) store_.set_trap(code_, message_);
  return code_;
}

// ---- Computations

#if WAFER_HAS_FIBERS

Computation::Computation(Store& store, FuncInst* func, Box<Fiber> fiber)
    : store_(store), type_(func->type), fiber_(std::move(fiber)) {
  fiber_->user = this;
}

Result<Box<Computation>> Computation::create(Store& store, FuncInst* func,
                                             std::span<const Value> args) {
  Vec<Slot> slots(2 * args.size());
  WAFER_TRY(store.check_arguments(*func->type, args, slots.data()));
  slots.resize(func->type->param_slots);
  WAFER_LET(fiber, Fiber::create(store, func, slots));
  return make_box<Computation>(store, func, std::move(fiber));
}

Computation::~Computation() {
  if (pending_) pending_->cancel(fiber_->store_gone());
}

void Computation::dispose(Box<Computation> computation) {
  if (!computation || !computation->fiber_->active()) return;
  computation->doomed_ = true;
  computation.release();
}

Store* Computation::store() const { return fiber_->store_gone() ? nullptr : &store_; }

Computation::Status Computation::status() const {
  if (fiber_->finished() || fiber_->store_gone()) return Status::Finished;
  if (fiber_->active()) return Status::Running;
  if (!begun_) return Status::Ready;
  switch (fiber_->pause()) {
    case Fiber::Pause::OutOfFuel:
      return Status::OutOfFuel;
    case Fiber::Pause::Interrupted:
      return Status::Interrupted;
    default:
      return pending_->answered() ? Status::Ready : Status::Waiting;
  }
}

Computation::Status Computation::resume() { return run(TrapCode::None); }

Computation::Status Computation::end() {
  switch (status()) {
    case Status::OutOfFuel:
      return run(TrapCode::OutOfFuel);
    case Status::Interrupted:
      return run(TrapCode::Interrupted);
    default:
      return status();
  }
}

Computation::Status Computation::run(TrapCode code) {
  if (const Status s = status();
      s == Status::Finished || s == Status::Running || s == Status::Waiting)
    return s;
  begun_ = true;
  do {
    store_.clear_trap();
    Vec<Slot> results;
    if (pending_) code = std::exchange(pending_, nullptr)->take(results);
    fiber_->resume(code, results);
    if (doomed_) {
      Box<Computation>(this).reset();
      return Status::Finished;
    }
    if (fiber_->store_gone()) return Status::Finished;
    code = TrapCode::None;
  } while (status() == Status::Ready);
  if (fiber_->finished() && fiber_->outcome() != TrapCode::None) {
    if (store_.trap().code != fiber_->outcome()) store_.set_trap(fiber_->outcome());
    trap_ = store_.trap();
  }
  if (pending_ && waker_) pending_->wake_by(waker_);
  return status();
}

void Computation::wake_by(Shared<Waker> waker) {
  waker_ = std::move(waker);
  if (pending_) pending_->wake_by(waker_);
}

std::span<const Slot> Computation::results() const {
  if (!fiber_->finished() || fiber_->outcome() != TrapCode::None || fiber_->store_gone()) return {};
  return fiber_->slots().first(type_->result_slots);
}

Shared<PendingCall> Computation::begin(CallContext& context) {
  if (!context.fiber) return nullptr;
  auto pending = make_shared_in<PendingCall>(context.store, *context.func->type);
  auto& now = static_cast<Computation*>(context.fiber->user)->pending_;
  if (now) now->cancel(false);
  now = pending;
  return pending;
}

#else

Result<Box<Computation>> Computation::create(Store&, FuncInst*, std::span<const Value>) {
  return failure(ErrorKind::Unsupported, "no stacks that can wait on this platform");
}
Computation::Computation(Store& store, FuncInst* func, Box<Fiber>)
    : store_(store), type_(func->type) {}
Computation::~Computation() = default;
void Computation::dispose(Box<Computation>) {}
Store* Computation::store() const { return &store_; }
Computation::Status Computation::status() const { return Status::Finished; }
Computation::Status Computation::resume() { return Status::Finished; }
Computation::Status Computation::end() { return Status::Finished; }
void Computation::wake_by(Shared<Waker>) {}
std::span<const Slot> Computation::results() const { return {}; }
Shared<PendingCall> Computation::begin(CallContext&) { return nullptr; }

#endif

}  // namespace wafer::runtime

#endif
