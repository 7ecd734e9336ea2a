// Computations on stacks of their own, which can wait while others run.
//
// Only WebAssembly code and the engine run on such a stack: host functions run on the stack
// of the thread that resumed the computation. So no frame of the host is ever on a stack that
// waits; a waiting computation can be resumed by any thread, or dropped, without a trace.
#pragma once

#include "base/result.h"
#include "runtime/store.h"

#if WAFER_HAS_OS && (defined(__x86_64__) || defined(__aarch64__))
#define WAFER_HAS_FIBERS 1
#else
#define WAFER_HAS_FIBERS 0
#endif

namespace wafer::runtime {

#if WAFER_HAS_FIBERS

struct FaultScope;

// Stacks, used again and again. Thread-safe. All lie in few mappings without protections of
// their own, so that their number does not run into the system's limit on mappings; pages are
// committed as they are touched. Code compares the stack pointer with a limit; below it is
// room for the engine, and then a guard where the system has cheap ones.
//
//   [ values of the interpreter -> | guard | reserve | <- native frames ]
class StackPool {
 public:
  // Each stack with `bytes` for native frames of WebAssembly and as many for the
  // interpreter's values.
  explicit StackPool(size_t bytes);
  ~StackPool();
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;

  // Lowest address of a stack; null without memory or address space for it.
  uint8_t* acquire();
  void release(uint8_t* stack);

  size_t value_bytes() const { return value_bytes_; }
  size_t stack_bytes() const { return stack_bytes_; }  // of a whole stack
  // Bytes at the low end of the native part that WebAssembly leaves to the engine.
  static size_t reserve();
  // Stacks handed out and not given back.
  size_t in_use() const;

 private:
  bool grow();
  void trim(uint8_t* stack) const;

  const size_t value_bytes_, stack_bytes_;
  mutable Mutex mutex_;
  struct Mapping {
    uint8_t* base;
    size_t bytes;
  };
  Vec<Mapping> mappings_;
  Vec<uint8_t*> idle_;        // last in, first out
  size_t trimmed_ = 0;        // of them, from the first on: give back their memory
  uint8_t* fresh_ = nullptr;  // never used, up to fresh_end_
  uint8_t* fresh_end_ = nullptr;
  size_t in_use_ = 0;
  size_t guards_ = 0;
  bool cheap_guards_ = true;
};

struct ResumeHandler;

// What is kept of a stack while control is on another.
struct StackSide {
  void* sp = nullptr;
  StackState state;
  FaultScope* scope = nullptr;
  Fiber* fiber = nullptr;  // that it is of; null: the thread's own
  // What sanitizers know of it.
  void* fake_stack = nullptr;
  const void* bottom = nullptr;
  size_t bytes = 0;
  void* tsan = nullptr;
};

// The thread's own stack, from which `resumed` was resumed.
struct HostSide : StackSide {
  Fiber* resumed = nullptr;
  Fiber* calling = nullptr;   // what called the host functions that are on it now
  HostSide* outer = nullptr;  // of the same thread, further out
};

// One call of a function, on a stack of its own: a computation that the embedder resumes, or
// (part of) a continuation that WebAssembly does. Belongs to its store. Used by one thread at
// a time, as the store is, but not always by the same.
class Fiber : private StackSide {
 public:
  // Why control came back to who resumed a computation.
  enum class Pause : uint8_t {
    Finished,     // outcome() and slots() tell how
    HostCall,     // a host function gave TrapCode::Pending
    OutOfFuel,    // Store::fuel is used up
    Interrupted,  // Store::interrupt_flag is set
  };

  // A call of `func`, which has not begun. Exhaustion without memory for its stack;
  // Unsupported where there are no such stacks.
  static Result<Box<Fiber>> create(Store& store, FuncInst* func, std::span<const Slot> args);
  // Whatever waits on the stack, and on those that it has resumed, is forgotten. Must not be
  // active().
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs until it finishes or has to wait. After Pause::HostCall, `code` and `results` are
  // what the host function came to. Must not be active() or finished().
  Pause resume(TrapCode code = TrapCode::None, std::span<const Slot> results = {});

  bool finished() const { return pause_ == Pause::Finished; }
  // Runs, or has called what runs.
  bool active() const { return active_; }
  bool store_gone() const { return !store_; }
  Pause pause() const { return pause_; }
  TrapCode outcome() const { return outcome_; }
  FuncInst* func() const { return func_; }
  // Arguments before the start, results after the end.
  std::span<Slot> slots() { return slots_; }

  // ---- For tiers, on the fiber's stack

  // Calls `run(argument)` on the stack of the thread that resumed.
  void on_host_stack(void (*run)(void*), void* argument);
  // Waits; true: go on. False: the computation ends with a trap for that reason.
  bool wait_for(Pause reason);
  // As FuncInst::host, there; waits if that is what it asks for.
  TrapCode call_host(FuncInst* func, Instance* caller, Slot* slots);
  // Native code must stay above this stack pointer.
  uintptr_t native_limit() const { return native_limit_; }
  // Memory for the interpreter's values.
  std::span<Slot> value_memory() const;

  // ---- For continuations

  // Resumes `inner`, whose outermost resumer is `outer`, from the present stack, until `outer`
  // finishes or is suspended again. The values are for who waits in `inner`.
  static void resume_from_here(Store& store, Fiber& outer, Fiber& inner, TrapCode code,
                               std::span<const Slot> values);
  // Leaves `outer`, with all that it has resumed, for the stack that resumed it; gives what it
  // is resumed with.
  static TrapCode suspend_to_resumer(Store& store, Fiber& outer, std::span<const Slot>& values);
  // The same, but goes on in another chain with the same resumer.
  static TrapCode switch_chains(Store& store, Fiber& outer, Fiber& to_outer, Fiber& to_inner,
                                std::span<const Slot> in, std::span<const Slot>& out);
  Fiber* resumer() const { return resumer_; }  // null: the thread's own stack
  bool is_computation() const { return computation_; }
  void set_suspended(bool suspended) { suspended_ = suspended; }
  bool suspended() const { return suspended_; }
  // How suspensions of this and what it resumes are handled by its resumer; and what became
  // of it.
  std::span<const ResumeHandler> handlers;
  uint32_t clause = 0;            // that a suspension goes to; kFinished: none
  std::span<const Slot> payload;  // of the suspension
  Ref continuation = kNullRef;
  static constexpr uint32_t kFinished = ~0u;

  // ---- For the collector and backtraces

  // Its native frames, while control is elsewhere.
  const uint64_t* frames_begin() const { return static_cast<const uint64_t*>(sp); }
  const uint64_t* frames_end() const { return reinterpret_cast<const uint64_t*>(top_); }
  TierStack* tier_stack() const { return state.tier; }
  Fiber* next() const { return next_; }  // of the store
  // All roots but those in native frames.
  void enumerate_roots(RootVisitor& visitor) const;

  // The store ends first: nothing but the destructor may follow.
  void forsake();
  // What the stack begins with.
  void run();

  // For the embedder's own use.
  void* user = nullptr;

  Fiber(Store& store, FuncInst* func, uint8_t* stack, bool computation);  // use create()
  static Fiber* create_for_continuation(Store& store, FuncInst* func, std::span<const Slot> args);

 private:
  static Fiber* create_with(Store& store, FuncInst* func, std::span<const Slot> args,
                            bool computation);
  static void go(Store& store, StackSide& from, StackSide& to, bool last = false);
  StackSide& resumer_side() const;
  // Where an unwinder goes on from the first frame.
  void link_to(StackSide& side);
  void drop_stack();

  Store* store_;  // null: it is gone
  FuncInst* func_;
  uint8_t* stack_;
  uintptr_t top_, native_limit_;
  Fiber* resumer_ = nullptr;
  Fiber* innermost_ = nullptr;  // of a computation that waits: where it does
  Fiber *next_ = nullptr, *previous_ = nullptr;
  Vec<Slot> slots_;
  // What a call that waited came to.
  TrapCode result_code_ = TrapCode::None;
  std::span<const Slot> results_;
  TrapCode outcome_ = TrapCode::None;
  Pause pause_ = Pause::HostCall;
  const bool computation_;
  bool active_ = false;
  bool suspended_ = false;  // part of a continuation
};

// What frames on the thread's own stack, entered at `sp`, should stay above.
uintptr_t thread_stack_floor(uintptr_t sp);

#else

// There are none in this build.
class StackPool {};
class Fiber {};

#endif

// Calls a host function from code: on the right stack, and waiting if it has to. Without a
// fiber TrapCode::Pending becomes a trap.
inline TrapCode call_host(Store& store, FuncInst* func, Instance* caller, Slot* slots);

// Runs `f()` on the thread's own stack, if control is on a fiber's: for what needs much
// stack, or calls the embedder.
template <class F>
void on_host_stack(Store& store, F&& f) {
#if WAFER_HAS_FIBERS
  if (store.current_fiber) {
    store.current_fiber->on_host_stack(
        [](void* p) { (*static_cast<std::remove_reference_t<F>*>(p))(); }, &f);
    return;
  }
#endif
  f();
}

// On a fiber, waits until there is fuel or no interrupt; false: it is a trap.
bool wait_for_fuel(Store& store);
bool wait_for_interrupt(Store& store);

TrapCode pending_without_fiber(Store& store);

inline TrapCode call_host(Store& store, FuncInst* func, Instance* caller, Slot* slots) {
#if WAFER_HAS_FIBERS
  if (store.current_fiber) return store.current_fiber->call_host(func, caller, slots);
#endif
  CallContext context{store, caller, nullptr, func};
  const TrapCode code = func->host(func->host_env, context, slots);
  return WAFER_UNLIKELY(code == TrapCode::Pending) ? pending_without_fiber(store) : code;
}

}  // namespace wafer::runtime
