// Calls that can wait: host functions that finish later, and computations that wait for
// them, for fuel, or for an interrupt to be cleared. Not in embedded builds.
//
//   linker.func_wrap("env", "sleep", [&](Promise<int32_t> done, int32_t ms) {
//     timers.after(ms, [done]() mutable { done.set(0); });     // any thread
//   });
//   linker.func_wrap("env", "get", [&](int32_t key) -> Task<int32_t> {
//     co_return co_await database.read(key);
//   });
//   auto call = Computation::start(*func, {Val(7)});
//   while (call->resume() == Computation::Status::Waiting) call->wait();
//   auto results = call->result();
#pragma once

#include <coroutine>
#include <functional>
#include <optional>

#include "wafer/func.hpp"

namespace wafer {

namespace runtime {
class Computation;
class PendingCall;
}  // namespace runtime

class Tag;

// The answer that a host function owes the guest, which waits. Give it once, from any
// thread (results that are references: from the thread that uses the store). Copies are the
// same answer; when the last is gone without one, the guest traps.
class Completion {
 public:
  Completion() = default;
  explicit Completion(std::shared_ptr<runtime::PendingCall> call);

  // The call's results; if they do not fit its type, it fails.
  void complete(std::span<const Val> results);
  void complete(std::initializer_list<Val> results) {
    complete(std::span<const Val>(results.begin(), results.size()));
  }
  // Results as slots, unchecked.
  void complete_raw(std::span<const Slot> slots);
  // Makes the guest trap.
  void fail(const Error& error);
  // Throws in the guest. From the thread that uses the store.
  void raise(const Tag& tag, std::span<const Val> args);
  // True once nobody waits for the answer any more.
  bool cancelled() const;
  explicit operator bool() const { return owner_ != nullptr; }

 private:
  struct Owner;
  std::shared_ptr<Owner> owner_;
};

// A Completion for results of C++ type R (void, one value, a tuple or pair of values). As
// the first parameter of a host function, or the one after Caller&, it makes that function
// one that finishes later.
template <class R>
class Promise {
 public:
  Promise() = default;
  explicit Promise(Completion completion) : completion_(std::move(completion)) {}

  template <class... V>
    requires(sizeof...(V) <= 1)
  void set(const V&... value) {
    Slot slots[detail::Returns<R>::kSlots ? detail::Returns<R>::kSlots : 1];
    if constexpr (!std::is_void_v<R>) detail::Returns<R>::store(nullptr, slots, value...);
    completion_.complete_raw({slots, detail::Returns<R>::kSlots});
  }
  void fail(const Error& error) { completion_.fail(error); }
  void raise(const Tag& tag, std::span<const Val> args) { completion_.raise(tag, args); }
  bool cancelled() const { return completion_.cancelled(); }

 private:
  Completion completion_;
};

namespace detail {

template <class R>
struct TaskPromiseBase {
  std::optional<Result<R>> result;
  template <class V>
  void return_value(V&& value) {
    result.emplace(std::forward<V>(value));
  }
};
template <>
struct TaskPromiseBase<void> {
  std::optional<Result<void>> result;
  void return_void() { result.emplace(); }
};

}  // namespace detail

// A coroutine. As what a host function returns, it is that call: it runs at once, and where
// it waits, the guest does. It can `co_return` an R or an Error (Task<void>: nothing). Its
// parameters live in its frame; a Caller& only until it first waits. If the computation that
// waits for it goes, the coroutine goes on to its end all the same, and its result counts
// for nothing. Other coroutines can co_await a Task as well.
template <class R>
class Task {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct promise_type : detail::TaskPromiseBase<R> {
    std::coroutine_handle<> next;  // that awaits this one
    Promise<R> answer;             // or what it answers, and then frees itself
    bool detached = false;

    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(Handle self) noexcept { return self.promise().end(); }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    [[noreturn]] void unhandled_exception() noexcept { panic("a host function threw"); }

   private:
    std::coroutine_handle<> end() noexcept {
      if (!detached) return next ? next : std::noop_coroutine();
      Promise<R> to = std::move(answer);
      std::optional<Result<R>> with = std::move(this->result);
      Handle::from_promise(*this).destroy();
      if (!with->ok())
        to.fail(with->error());
      else if constexpr (std::is_void_v<R>)
        to.set();
      else
        to.set(**with);
      return std::noop_coroutine();
    }
  };

  Task(Task&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  Task& operator=(Task o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // Runs it; what it comes to goes to `answer`.
  void start(Promise<R> answer) && {
    const Handle h = std::exchange(handle_, nullptr);
    h.promise().answer = std::move(answer);
    h.promise().detached = true;
    h.resume();
  }
  auto operator co_await() && {
    struct Awaiter {
      Handle handle;
      bool await_ready() { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> next) {
        handle.promise().next = next;
        return handle;
      }
      Result<R> await_resume() { return std::move(*handle.promise().result); }
    };
    return Awaiter{handle_};
  }

 private:
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
};

// A call under way, on a stack of its own. Goes before its store; destroying it drops
// whatever it waits for. Used by the thread that uses the store, whichever that is.
class Computation {
 public:
  enum class Status : uint8_t {
    Ready,        // resume() goes on: it has not begun, or what it waited for has come
    Waiting,      // for a host function
    OutOfFuel,    // resume() goes on once Store::set_fuel has given more
    Interrupted,  // resume() goes on after Store::clear_interrupt
    Running,      // it has called the host function that asks
    Finished,
  };

  // A call of `func`, which begins with the first resume(). Errors: Usage if the arguments
  // do not fit its type; Exhaustion without memory for a stack; Unsupported on processors
  // that the library has no stacks for.
  static Result<Computation> start(const Func& func, std::span<const Val> args);
  static Result<Computation> start(const Func& func, std::initializer_list<Val> args) {
    return start(func, std::span<const Val>(args.begin(), args.size()));
  }
  Computation() = default;
  Computation(Computation&& o) noexcept;
  Computation& operator=(Computation&& o) noexcept;
  ~Computation();

  Status status() const;
  // Goes on, if it can, until it has to wait or finishes.
  Status resume();
  // Instead of more fuel, or of going on after an interrupt: lets it trap.
  Status end();
  // Blocks while it waits for a host function.
  void wait() const;
  // resume() and wait() to the end, which lack of fuel and interrupts bring about as well.
  Result<Vec<Val>> finish();
  // Called whenever what it waits for has come, from the thread that brings it.
  void on_wake(std::function<void()> wake);
  // How it finished. Errors: Trap; Usage before that.
  Result<Vec<Val>> result() const;
  // What stopped it, if it trapped.
  const TrapInfo& trap() const;

 private:
  explicit Computation(runtime::Computation* impl) : impl_(impl) {}
  runtime::Computation* impl_ = nullptr;
};

namespace detail {

// The answer to the call that `context` is of; empty if nothing can wait for it.
Completion begin_later(runtime::CallContext& context);
TrapCode cannot_wait(runtime::CallContext& context);

template <class R>
struct Later {
  template <class F>
  static TrapCode begin(runtime::CallContext& context, F&& start) {
    Completion completion = begin_later(context);
    if (!completion) return cannot_wait(context);
    start(Promise<R>(std::move(completion)));
    return TrapCode::Pending;
  }
};

}  // namespace detail

}  // namespace wafer
