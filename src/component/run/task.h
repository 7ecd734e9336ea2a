// Concurrency (CanonicalABI.md, "Threads", "Tasks", "Waitable State", "Subtask State").
//
// Code of a component runs on a fiber if it may wait, so that a wait suspends the thread of the
// component and not that of the host. What a thread does outside of core code (waiting to enter,
// the event loop of the callback ABI) needs no stack: it is the state of Thread::step.
#pragma once

#include "component/run/state.h"
#include "component/run/values.h"
#include "runtime/fiber.h"

namespace wafer::component {

// "Tasks": how a caller is told of a call's course. on_start gives the arguments; on_resolve
// takes the result (nothing or one value), or null for a call that was cancelled.
using OnStart = Function<TrapCode(std::vector<Val>&)>;
using OnCancel = Function<TrapCode()>;

// The options of a lift or lower, resolved in an instance.
struct ResolvedOptions : MemoryOptions {
  bool is_async = false;
  runtime::FuncInst* post_return = nullptr;
  runtime::FuncInst* callback = nullptr;
};

class LiftedFunc;

// ---- Waitables

enum class EventCode : uint32_t {
  None,
  Subtask,
  StreamRead,
  StreamWrite,
  FutureRead,
  FutureWrite,
  TaskCancelled,
};

struct Event {
  EventCode code = EventCode::None;
  uint32_t index = 0;
  uint32_t payload = 0;
};

// The place of a waitable in a list.
struct WaitablePlace {
  Waitable *before = nullptr, *after = nullptr;
};

class Waitable : public std::enable_shared_from_this<Waitable> {
 public:
  explicit Waitable(ComponentStore& s) : store(s) {}
  virtual ~Waitable();
  Waitable(const Waitable&) = delete;
  Waitable& operator=(const Waitable&) = delete;

  bool has_pending_event() const { return pending_; }
  void set_pending();
  // Computes the event, as the world is now.
  Event get_pending_event();
  void join(WaitableSet* to);

  ComponentStore& store;
  WaitableSet* set = nullptr;
  bool has_sync_waiter = false;
  std::weak_ptr<Thread> waiter;  // a thread that waits for it by itself

 protected:
  virtual Event event() = 0;

 private:
  friend class WaitableSet;
  bool pending_ = false;
  WaitablePlace element_, queued_;  // of its set, and with an event there
};

// Waitables in the order in which they came, by what they have for that: nothing is allocated,
// and any of them is taken out in constant time.
template <WaitablePlace Waitable::* kPlace>
class WaitableList {
 public:
  bool empty() const { return !first_; }
  size_t size() const { return size_; }
  Waitable* first() const { return first_; }
  static Waitable* next(const Waitable& w) { return (w.*kPlace).after; }
  void push(Waitable& w) {
    w.*kPlace = {last_, nullptr};
    (last_ ? (last_->*kPlace).after : first_) = &w;
    last_ = &w;
    ++size_;
  }
  void erase(Waitable& w) {
    const auto [before, after] = std::exchange(w.*kPlace, {});
    (before ? (before->*kPlace).after : first_) = after;
    (after ? (after->*kPlace).before : last_) = before;
    --size_;
  }

 private:
  Waitable *first_ = nullptr, *last_ = nullptr;
  size_t size_ = 0;
};

class WaitableSet {
 public:
  ~WaitableSet();
  bool has_pending_event() const { return !pending.empty(); }
  Event get_pending_event(ComponentStore& store);
  void notify(ComponentStore& store);

  WaitableList<&Waitable::element_> elements;
  WaitableList<&Waitable::queued_> pending;  // of them, the oldest event first
  std::vector<Thread*> waiters;
};

// Handles of a caller that a call borrows for as long as it lasts.
class Lenders {
 public:
  explicit Lenders(ComponentInstance& caller) : caller_(caller) {}
  void lend(uint32_t handle) {
    ++caller_.handles.get(handle)->lends;
    if (few_count_ < few_.size())
      few_[few_count_++] = handle;
    else
      more_.push_back(handle);
  }
  void release() {
    const auto back = [this](uint32_t i) {
      if (Handle* const h = caller_.handles.get(i)) --h->lends;
    };
    for (uint32_t i = 0; i < few_count_; ++i) back(few_[i]);
    for (const uint32_t i : more_) back(i);
    few_count_ = 0;
    more_.clear();
  }
  // Those of another call of the same caller.
  void take(Lenders& from) {
    few_ = from.few_;
    few_count_ = std::exchange(from.few_count_, 0);
    more_ = std::move(from.more_);
  }

 private:
  ComponentInstance& caller_;
  // Mostly a call borrows one, and nothing is allocated for that.
  std::array<uint32_t, 4> few_;
  uint32_t few_count_ = 0;
  std::vector<uint32_t> more_;
};

class Subtask final : public Waitable {
 public:
  enum class State : uint32_t {
    Starting,
    Started,
    Returned,
    CancelledBeforeStarted,
    CancelledBeforeReturned,
  };
  explicit Subtask(ComponentInstance& inst);

  bool resolved() const { return state >= State::Returned; }
  bool delivered() const { return delivered_; }
  void resolve(State to);
  void deliver();

  ComponentInstance& instance;
  State state = State::Starting;
  OnCancel on_cancel;
  bool cancellation_requested = false;
  uint32_t index = 0;  // in the table of handles, if it is there
  std::vector<Slot> flat_results;
  Lenders lenders;

 protected:
  Event event() override;

 private:
  bool delivered_ = false;
};

// ---- Threads

class Thread : public std::enable_shared_from_this<Thread> {
 public:
  enum class State : uint8_t { Running, Suspended, Waiting, Finished };
  // What a built-in that waited gives to the code that called it: its results.
  using Wake = Function<TrapCode(std::vector<Slot>& results)>;
  using Condition = Function<bool()>;

  explicit Thread(std::shared_ptr<Task> t) : task(std::move(t)) {}
  // One that will call `func` with `argument` (thread.new-indirect).
  Thread(std::shared_ptr<Task> t, runtime::FuncInst* func, Slot argument)
      : task(std::move(t)), function_(func), argument_(argument) {}
  ~Thread();

  bool suspended() const { return state == State::Suspended; }
  bool waiting() const { return state == State::Waiting; }
  bool ready() const { return waiting() && (!condition || condition()); }
  // Whether its code may stop in the middle.
  bool can_stop() const { return fiber_ != nullptr; }

  // ---- From built-ins that its code calls

  // Ends what it does for now, until `until()` (null: at once again); `wake` gives the results
  // then.
  TrapCode wait(Condition until, Wake wake);
  // The same, until others resume it.
  TrapCode suspend(Wake wake);

  // ---- From others

  // Goes on until it ends or waits again, and so on with the thread that it hands over to.
  TrapCode resume();
  void resume_later();
  // Whether only others of its instance keep it from going on.
  bool held_by_instance() const;
  // Nothing will resume it any more.
  void forget();

  std::shared_ptr<Task> task;
  uint32_t index = 0;
  Slot storage[2] = {0, 0};
  State state = State::Suspended;
  Condition condition;
  std::shared_ptr<Thread> switch_to;  // goes on after this one has stopped
  bool queued = false;                // among those that may be ready
  uint64_t ticket = 0;                // of its turn there

 private:
  enum class Step : uint8_t { Enter, Entering, Begin, Core, Event, End };

  ComponentInstance& instance() const;
  void wait_outside(Condition until);
  TrapCode run();
  TrapCode begin();
  TrapCode call_core(runtime::FuncInst* func, std::span<const Slot> args);
  TrapCode go_on(TrapCode code, std::span<const Slot> results);
  TrapCode after_core();
  TrapCode after_sync();
  TrapCode after_callback(uint32_t packed);
  TrapCode callback_event();
  TrapCode exit_implicit();

  Step step_ = Step::Enter;
  runtime::FuncInst* const function_ = nullptr;
  const Slot argument_ = 0;
  bool has_event_ = false;  // a cancellation that need not be waited for
  std::shared_ptr<WaitableSet> callback_set_;
  Box<runtime::Fiber> fiber_;
  std::vector<Slot> results_;  // of core code that has ended
  Wake wake_;
};

// ---- Tasks

class Task : public std::enable_shared_from_this<Task> {
 public:
  enum class State : uint8_t { Initial, Started, PendingCancel, CancelDelivered, Resolved };

  Task(const LiftedFunc& f, OnStart start, OnResolve resolve);
  // What code belongs to that no call of a component's function began, as a start function.
  explicit Task(ComponentInstance& i) : instance(i), async_(false) {}

  bool is_async() const { return async_; }
  bool needs_exclusive() const;
  bool has_backpressure() const;
  bool deliver_pending_cancel() {
    if (state != State::PendingCancel) return false;
    state = State::CancelDelivered;
    return true;
  }
  TrapCode register_thread(const std::shared_ptr<Thread>& thread);
  TrapCode unregister_thread(Thread& thread);
  TrapCode return_(std::vector<Val>& result);
  TrapCode cancel();
  TrapCode request_cancellation();

  std::shared_ptr<const LiftedFunc> func;
  ComponentInstance& instance;
  OnStart on_start;
  OnResolve on_resolve;
  State state = State::Initial;
  uint32_t borrows = 0;
  std::shared_ptr<Thread> implicit;
  uint32_t threads = 0;

 private:
  const bool async_;
};

// Lets go of the instance's lock for code that runs one task at a time.
void release_exclusive(ComponentInstance& instance);
// Has the next thread try that the instance keeps waiting.
void let_next(ComponentInstance& instance);

// ---- Functions

// Who calls: the function's type as it knows it.
struct Caller {
  const TypeArena& types;
  TypeId type;
  ComponentInstance* instance = nullptr;  // null: the embedder

  const TypeDef& def() const { return types[type]; }
};

class Func : public std::enable_shared_from_this<Func> {
 public:
  virtual ~Func() = default;

  // Calls it ("FuncInst"). What follows after this returns is told to `on_resolve`.
  virtual TrapCode call(ComponentStore& store, const Caller& caller, OnStart on_start,
                        OnResolve on_resolve, OnCancel& on_cancel) const = 0;
  // Whether a call may have to wait before it returns.
  virtual bool may_block() const = 0;
  // What its type has to be (func_text()); empty: anything.
  virtual std::string_view signature() const { return {}; }
};

// A lifted core function.
class LiftedFunc final : public Func {
 public:
  LiftedFunc(TypeId id, ComponentInstance& i, runtime::FuncInst* f, ResolvedOptions o,
             const CanonLift* d = nullptr)
      : type(id), instance(i), core(f), options(o), definition(d), params(param_types(def())) {}

  TrapCode call(ComponentStore& store, const Caller& caller, OnStart on_start, OnResolve on_resolve,
                OnCancel& on_cancel) const override;
  bool may_block() const override { return instance.may_block; }
  const TypeDef& def() const { return (*instance.component->types)[type]; }

  const TypeId type;
  ComponentInstance& instance;
  runtime::FuncInst* const core;
  const ResolvedOptions options;
  const CanonLift* const definition;  // null: a destructor
  const std::vector<ValType> params;
};

// Nothing or one.
inline std::span<const ValType> result_types(const TypeDef& func) {
  const ValType& t = func.args[0];
  return {&t, t ? size_t{1} : 0};
}

// Makes the core function that lowers `func` ("canon lower").
runtime::FuncInst* make_lowered(ComponentInstance& instance, std::shared_ptr<const Func> func,
                                const CanonLower& def, const ResolvedOptions& options);
// Makes the core function of a built-in.
runtime::FuncInst* make_builtin(ComponentInstance& instance, const CanonBuiltin& def,
                                const ResolvedOptions& options);
// Whether a built-in may make its caller wait.
bool builtin_blocks(const CanonBuiltin& def);

// Drops a resource that nobody owns any more: calls the destructor. `done` tells when that has
// ended, which may be later.
TrapCode drop_resource(ComponentStore& store, ResourceType& type, uint64_t rep,
                       const std::shared_ptr<bool>& done);

// Waits, in the code of the current thread, for a call that has not resolved although it may
// not be interrupted. `calls`: how many were blocked before it was made.
TrapCode wait_for_blocked(ComponentStore& store, size_t calls, Thread::Condition resolved,
                          Thread::Wake wake, Slot* slots);

}  // namespace wafer::component
