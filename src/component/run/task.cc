#include "component/run/task.h"

#include <algorithm>

#include "component/run/handles.h"

namespace wafer::component {

// ---- Waitables

Waitable::~Waitable() {
  if (set) join(nullptr);
}

void Waitable::set_pending() {
  if (store.closing) return;
  if (set && !pending_) set->pending.push(*this);
  pending_ = true;
  if (set) set->notify(store);
  if (const auto thread = waiter.lock()) store.wake(*thread);
}

Event Waitable::get_pending_event() {
  if (set && pending_) set->pending.erase(*this);
  pending_ = false;
  return event();
}

void Waitable::join(WaitableSet* to) {
  if (set) {
    set->elements.erase(*this);
    if (pending_) set->pending.erase(*this);
  }
  set = to;
  if (!to) return;
  to->elements.push(*this);
  if (!pending_) return;
  to->pending.push(*this);
  to->notify(store);
}

WaitableSet::~WaitableSet() {
  for (Waitable* w = elements.first(); w; w = elements.next(*w)) w->set = nullptr;
}

Event WaitableSet::get_pending_event(ComponentStore& store) {
  Waitable* w = pending.first();
  for (size_t n = store.choose(pending.size()); n; --n) w = pending.next(*w);
  return w->get_pending_event();
}

void WaitableSet::notify(ComponentStore& store) {
  for (Thread* t : waiters) store.wake(*t);
}

Subtask::Subtask(ComponentInstance& inst) : Waitable(inst.store), instance(inst), lenders(inst) {}

void Subtask::resolve(State to) {
  state = to;
  if (const auto thread = waiter.lock()) store.wake(*thread);
}

void Subtask::deliver() {
  lenders.release();
  delivered_ = true;
}

Event Subtask::event() {
  if (resolved()) deliver();
  return {EventCode::Subtask, index, uint32_t(state)};
}

// ---- Threads

Thread::~Thread() = default;

ComponentInstance& Thread::instance() const { return task->instance; }

void Thread::wait_outside(Condition until) {
  state = State::Waiting;
  condition = std::move(until);
  if (ready()) instance().store.wake(*this);
}

TrapCode Thread::wait(Condition until, Wake wake) {
  if (!can_stop()) return instance().store.trap("cannot block a synchronous task before returning");
  wake_ = std::move(wake);
  wait_outside(std::move(until));
  return TrapCode::Pending;
}

TrapCode Thread::suspend(Wake wake) {
  if (!can_stop()) return instance().store.trap("cannot block a synchronous task before returning");
  wake_ = std::move(wake);
  state = State::Suspended;
  return TrapCode::Pending;
}

void Thread::resume_later() {
  state = State::Waiting;
  condition = nullptr;
  instance().store.wake(*this);
}

bool Thread::held_by_instance() const {
  return step_ == Step::Entering || (step_ == Step::Event && instance().exclusive);
}

void Thread::forget() {
  state = State::Finished;
  condition = nullptr;
  wake_ = nullptr;
  switch_to = nullptr;
  callback_set_ = nullptr;
  if (fiber_ && !fiber_->active()) fiber_.reset();
  if (task->implicit.get() == this) task->implicit = nullptr;
}

TrapCode Thread::resume() {
  ComponentStore& store = instance().store;
  if (store.depth >= ComponentStore::kMaxDepth)
    return store.core.set_trap(TrapCode::CallStackExhausted);
  Thread* const outer = store.current;
  ++store.depth;
  TrapCode code = TrapCode::None;
  for (std::shared_ptr<Thread> t = shared_from_this(); t;) {
    t->state = State::Running;
    t->condition = nullptr;
    store.current = t.get();
    code = t->run();
    if (code != TrapCode::None) {
      store.poison(*t->instance().root);
      break;
    }
    t = std::exchange(t->switch_to, nullptr);
  }
  store.current = outer;
  --store.depth;
  return code;
}

// "canon_lift", and the function of a new thread.
TrapCode Thread::run() {
  ComponentInstance& inst = instance();
  for (;;) switch (step_) {
      case Step::Enter:
        if (function_) {
          step_ = Step::Core;
          CANON_TRY(call_core(function_, {&argument_, 1}));
          if (fiber_) return TrapCode::None;
          CANON_TRY(after_core());
          break;
        }
        step_ = Step::Begin;
        if (task->is_async() && (task->has_backpressure() || inst.waiting_to_enter > 0)) {
          ++inst.waiting_to_enter;
          step_ = Step::Entering;
          inst.entering.push_back(weak_from_this());
          wait_outside([t = task.get()] { return !t->has_backpressure(); });
          return TrapCode::None;
        }
        break;
      case Step::Entering:
        --inst.waiting_to_enter;
        if (task->deliver_pending_cancel()) {
          CANON_TRY(task->cancel());
          let_next(inst);
          step_ = Step::End;
          break;
        }
        if (!task->needs_exclusive()) let_next(inst);
        step_ = Step::Begin;
        break;
      case Step::Begin:
        CANON_TRY(begin());
        if (fiber_) return TrapCode::None;
        CANON_TRY(after_core());
        break;
      case Step::Core: {
        std::vector<Slot> results;
        const Wake wake = std::exchange(wake_, nullptr);
        const TrapCode code = wake ? wake(results) : TrapCode::None;
        CANON_TRY(go_on(code, results));
        if (fiber_) return TrapCode::None;
        CANON_TRY(after_core());
        break;
      }
      case Step::Event:
        if (waiting()) return TrapCode::None;
        CANON_TRY(callback_event());
        if (fiber_) return TrapCode::None;
        CANON_TRY(after_core());
        break;
      case Step::End:
        forget();
        return TrapCode::None;
    }
}

TrapCode Thread::begin() {
  ComponentInstance& inst = instance();
  const LiftedFunc& f = *task->func;
  step_ = Step::Core;
  if (task->is_async() && task->needs_exclusive()) inst.exclusive = this;
  CANON_TRY(task->register_thread(shared_from_this()));
  task->state = Task::State::Started;
  const Room room(inst.store);
  CANON_TRY(task->on_start(room->args));
  task->on_start = nullptr;
  const Context cx{f.options, inst, nullptr, task.get()};
  CANON_TRY(lower_values(cx, kMaxFlatParams, room->args, f.params, room->flat));
  return call_core(f.core, room->flat);
}

TrapCode Thread::call_core(runtime::FuncInst* func, std::span<const Slot> args) {
  runtime::Store& core = instance().store.core;
  if (instance().may_block) {
    auto made = runtime::Fiber::create(core, func, args);
    if (!made.ok()) return core.set_trap(TrapCode::CallStackExhausted, made.error().message);
    fiber_ = std::move(*made);
    return go_on(TrapCode::None, {});
  }
  const wasm::CanonType& type = *func->type;
  results_.assign(args.begin(), args.end());
  results_.resize(std::max<size_t>({type.param_slots, type.result_slots, 1}));
  const TrapCode code = core.call_raw(func, results_.data());
  results_.resize(type.result_slots);
  return code;
}

// Goes on in core code; afterwards `fiber_` is null if that has ended.
TrapCode Thread::go_on(TrapCode code, std::span<const Slot> results) {
  using Pause = runtime::Fiber::Pause;
  for (;;) switch (fiber_->resume(code, results)) {
      case Pause::Finished: {
        const TrapCode outcome = fiber_->outcome();
        const auto slots = fiber_->slots();
        results_.assign(slots.begin(), slots.begin() + fiber_->func()->type->result_slots);
        fiber_.reset();
        return outcome;
      }
      case Pause::HostCall:
        return TrapCode::None;
      case Pause::OutOfFuel:
        code = TrapCode::OutOfFuel;
        break;
      case Pause::Interrupted:
        code = TrapCode::Interrupted;
        break;
    }
}

TrapCode Thread::after_core() {
  if (function_) {
    step_ = Step::End;
    return task->unregister_thread(*this);
  }
  const ResolvedOptions& options = task->func->options;
  if (!options.is_async) return after_sync();
  if (options.callback) return after_callback(uint32_t(results_[0]));
  return exit_implicit();
}

TrapCode Thread::after_sync() {
  ComponentInstance& inst = instance();
  const LiftedFunc& f = *task->func;
  const Context cx{f.options, inst};
  FlatReader in{results_.data(), results_.data() + results_.size()};
  {
    const Room room(inst.store);
    CANON_TRY(lift_values(cx, kMaxFlatResults, in, result_types(f.def()), room->result));
    CANON_TRY(task->return_(room->result));
  }
  if (f.options.post_return) {
    inst.set_may_leave(false);
    results_.resize(std::max<size_t>(results_.size(), 1));
    CANON_TRY(inst.store.core.call_raw(f.options.post_return, results_.data()));
    inst.set_may_leave(true);
  }
  return exit_implicit();
}

TrapCode Thread::exit_implicit() {
  step_ = Step::End;
  CANON_TRY(task->unregister_thread(*this));
  if (task->is_async() && task->needs_exclusive()) release_exclusive(instance());
  return TrapCode::None;
}

// What a call of the callback ABI asked for.
TrapCode Thread::after_callback(uint32_t packed) {
  enum : uint32_t { kExit, kYield, kWait };
  ComponentInstance& inst = instance();
  const uint32_t code = packed & 0xf;
  if (code == kExit) return exit_implicit();
  if (code > kWait) return inst.store.trap("unsupported callback code: " + std::to_string(code));
  step_ = Step::Event;
  callback_set_ = nullptr;
  if (task->deliver_pending_cancel()) {
    has_event_ = true;
    return TrapCode::None;
  }
  if (code == kWait) {
    Handle* h;
    CANON_TRY(get_handle(inst, packed >> 4, HandleKind::WaitableSet, h));
    callback_set_ = h->shared<WaitableSet>();
    callback_set_->waiters.push_back(this);
  }
  release_exclusive(inst);
  WaitableSet* const set = callback_set_.get();
  wait_outside([this, set, &inst] {
    return !inst.exclusive &&
           (!set || set->has_pending_event() || task->state == Task::State::PendingCancel);
  });
  return TrapCode::None;
}

TrapCode Thread::callback_event() {
  ComponentInstance& inst = instance();
  Event event;
  if (has_event_) {
    has_event_ = false;
    event.code = EventCode::TaskCancelled;
  } else {
    if (callback_set_) std::erase(callback_set_->waiters, this);
    if (task->deliver_pending_cancel())
      event.code = EventCode::TaskCancelled;
    else if (callback_set_)
      event = callback_set_->get_pending_event(inst.store);
    inst.exclusive = this;
  }
  callback_set_ = nullptr;
  step_ = Step::Core;
  const Slot args[] = {Slot(event.code), event.index, event.payload};
  return call_core(task->func->options.callback, args);
}

// ---- Tasks

Task::Task(const LiftedFunc& f, OnStart start, OnResolve resolve)
    : func(std::static_pointer_cast<const LiftedFunc>(f.shared_from_this())),
      instance(f.instance),
      on_start(std::move(start)),
      on_resolve(std::move(resolve)),
      async_(f.def().is_async) {}

bool Task::needs_exclusive() const { return !func->options.is_async || func->options.callback; }

bool Task::has_backpressure() const {
  return instance.backpressure > 0 || (needs_exclusive() && instance.exclusive);
}

TrapCode Task::register_thread(const std::shared_ptr<Thread>& thread) {
  ++threads;
  thread->index = instance.threads.add(thread);
  return thread->index ? TrapCode::None : instance.store.trap("too many threads");
}

TrapCode Task::unregister_thread(Thread& thread) {
  if (--threads == 0 && state != State::Resolved)
    return instance.store.trap("task exited without calling `task.return` or `task.cancel`");
  instance.threads.take(thread.index);
  return TrapCode::None;
}

TrapCode Task::return_(std::vector<Val>& result) {
  if (state == State::Resolved)
    return instance.store.trap(
        "`task.return` or `task.cancel` called more than once for current task");
  if (borrows > 0) return instance.store.trap("borrow handles still remain at the end of the call");
  state = State::Resolved;
  return std::exchange(on_resolve, nullptr)(&result);
}

TrapCode Task::cancel() {
  if (state != State::CancelDelivered)
    return instance.store.trap("`task.cancel` called by task which has not been cancelled");
  if (borrows > 0) return instance.store.trap("borrow handles still remain at the end of the call");
  state = State::Resolved;
  return std::exchange(on_resolve, nullptr)(nullptr);
}

TrapCode Task::request_cancellation() {
  if (instance.root->poisoned) return TrapCode::None;
  const auto keep = shared_from_this();
  if (state == State::Initial) {
    state = State::PendingCancel;
    return implicit->resume();
  }
  if (state != State::Started) return TrapCode::None;
  state = State::PendingCancel;
  // The task itself first, so that a cancellation that it waits for is over at once.
  if (implicit && implicit->ready()) return implicit->resume();
  if (implicit) instance.store.wake(*implicit);
  const auto thread = instance.store.take_ready(instance);
  return thread ? thread->resume() : TrapCode::None;
}

void release_exclusive(ComponentInstance& instance) {
  instance.exclusive = nullptr;
  let_next(instance);
}

void let_next(ComponentInstance& instance) {
  while (!instance.entering.empty()) {
    const auto thread = instance.entering.front().lock();
    instance.entering.pop_front();
    if (!thread || !thread->waiting()) continue;
    instance.store.wake(*thread);
    return;
  }
}

// ---- Functions

TrapCode LiftedFunc::call(ComponentStore& store, const Caller&, OnStart on_start,
                          OnResolve on_resolve, OnCancel& on_cancel) const {
  if (instance.root->poisoned) return store.trap("cannot enter component instance");
  const auto task = std::make_shared<Task>(*this, std::move(on_start), std::move(on_resolve));
  task->implicit = std::make_shared<Thread>(task);
  // The subtask that keeps this is kept by the task's `on_resolve`.
  on_cancel = [weak = std::weak_ptr(task)] {
    const auto task = weak.lock();
    return task ? task->request_cancellation() : TrapCode::None;
  };
  const size_t calls = store.blocked.size();
  CANON_TRY(task->implicit->resume());
  if (task->is_async()) return TrapCode::None;
  while (task->state != Task::State::Resolved) {
    if (store.blocked.size() > calls) {
      // Something in it waits for the host.
      const auto inner = ptrdiff_t(store.blocked.size() - calls);
      store.blocked.insert(store.blocked.begin() + inner, {nullptr, task});
      return TrapCode::None;
    }
    const auto thread = instance.store.take_ready(instance);
    if (!thread) {
      store.poison(*instance.root);
      return store.trap("cannot block a synchronous task before returning");
    }
    CANON_TRY(thread->resume());
  }
  return TrapCode::None;
}

TrapCode wait_for_blocked(ComponentStore& store, size_t calls, Thread::Condition resolved,
                          Thread::Wake wake, Slot* slots) {
  Thread& thread = *store.current;
  // Of a call of another instance there is an entry already.
  const size_t inner = store.blocked.size() - calls;
  if (thread.can_stop()) {
    if (inner)
      store.blocked[inner - 1].thread = thread.shared_from_this();
    else
      store.blocked.push_front({thread.shared_from_this(), nullptr});
    return thread.wait(std::move(resolved), std::move(wake));
  }
  // Nothing can be put aside: the host's thread waits.
  if (!inner) store.blocked.push_front({});
  CANON_TRY(store.run_until([&] { return resolved(); }));
  while (store.blocked.size() > calls) store.blocked.pop_front();
  std::vector<Slot> results;
  CANON_TRY(wake(results));
  std::copy(results.begin(), results.end(), slots);
  return TrapCode::None;
}

// ---- Scheduling

ComponentStore::~ComponentStore() {
  {
    const std::lock_guard lock(door->mutex);
    door->store = nullptr;
  }
  closing = true;
  blocked.clear();
  for (const auto& instance : instances) {
    std::vector<std::shared_ptr<Thread>> all;
    instance->threads.each([&](const std::shared_ptr<Thread>& t) { all.push_back(t); });
    for (const auto& weak : instance->entering)
      if (auto t = weak.lock()) all.push_back(std::move(t));
    for (const auto& t : all) t->forget();
  }
  answers.clear();
  // Components inside refer to the instance around them, which has them.
  for (const auto& instance : instances) {
    instance->components.clear();
    instance->instances.clear();
    instance->exports.reset();
  }
}

void ComponentStore::wake(Thread& thread) {
  if (thread.queued || !thread.waiting() || closing) return;
  thread.queued = true;
  thread.ticket = ++tickets_;
  ready_.push(thread);
  thread.task->instance.ready.push(thread);
}

void ReadyQueue::push(Thread& thread) {
  if (places_.size() >= tidy_at_) tidy_at_ = std::max<size_t>(64, 2 * tidy());
  places_.push_back({thread.weak_from_this(), thread.ticket});
}

std::shared_ptr<Thread> ReadyQueue::at(size_t place) const {
  auto thread = places_[place].thread.lock();
  return thread && thread->queued && thread->ticket == places_[place].ticket ? thread : nullptr;
}

std::shared_ptr<Thread> ReadyQueue::pop(size_t skip) {
  if (skip) std::swap(places_.front(), places_[skip]);
  while (!places_.empty()) {
    auto thread = at(0);
    places_.pop_front();
    if (thread) {
      thread->queued = false;
      return thread;
    }
  }
  return nullptr;
}

size_t ReadyQueue::tidy() {
  std::erase_if(places_, [&](const Place& p) {
    const auto thread = p.thread.lock();
    return !thread || !thread->queued || thread->ticket != p.ticket;
  });
  return places_.size();
}

bool ComponentStore::tick(TrapCode& code) {
  while (const std::shared_ptr<Thread> thread = ready_.pop(random_ ? choose(ready_.tidy()) : 0)) {
    ComponentInstance& instance = thread->task->instance;
    if (!thread->waiting() || instance.root->poisoned) continue;
    if (thread->ready()) {
      code = thread->resume();
      return true;
    }
    // What keeps it waiting wakes it: its instance, or else what it waits for.
    if (thread->held_by_instance())
      instance.entering.push_back(thread);
    else
      let_next(instance);
  }
  return false;
}

std::shared_ptr<Thread> ComponentStore::take_ready(ComponentInstance& instance) {
  // In turns: who has become ready first comes first.
  std::vector<std::shared_ptr<Thread>> candidates;
  ReadyQueue& queue = instance.ready;
  // What was taken by another way lies in front, mostly.
  while (queue.places() && !queue.at(0)) queue.drop();
  for (size_t i = 0; i < queue.places(); ++i) {
    auto thread = queue.at(i);
    if (!thread || !thread->index || !thread->ready()) continue;
    candidates.push_back(std::move(thread));
    if (!random_) break;
  }
  if (candidates.empty()) return nullptr;
  auto& out = candidates[choose(candidates.size())];
  out->queued = false;
  return std::move(out);
}

// The innermost call that nothing may interrupt; false: it waits for the host.
bool ComponentStore::step_blocked(TrapCode& code) {
  const BlockedCall top = blocked.front();
  if (!top.callee) {
    if (!top.thread) return false;
    if (!top.thread->ready()) return false;
  } else if (top.callee->state != Task::State::Resolved) {
    const auto thread = take_ready(top.callee->instance);
    code = thread ? thread->resume() : trap("cannot block a synchronous task before returning");
    return true;
  }
  blocked.pop_front();
  if (top.thread) code = top.thread->resume();
  // Calls of the host that are over have nobody to wake.
  while (!blocked.empty() && !blocked.front().thread && blocked.front().callee &&
         blocked.front().callee->state == Task::State::Resolved)
    blocked.pop_front();
  return true;
}

bool ComponentStore::run_jobs(TrapCode& code) {
  std::unique_lock lock(mutex_);
  if (jobs_.empty()) return false;
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  lock.unlock();
  code = job();
  return true;
}

bool ComponentStore::wait_for_jobs(uint64_t most) {
  if (idle) idle(most);
  std::unique_lock lock(mutex_);
  const auto any = [&] { return !jobs_.empty(); };
  if (idle || most == 0) return any();
  if (most != kForever) return posted_.wait_for(lock, std::chrono::nanoseconds(most), any);
  posted_.wait(lock, any);
  return true;
}

bool ComponentStore::idle_now() {
  if (ready_.tidy() != 0) return false;
  const std::lock_guard lock(mutex_);
  return jobs_.empty();
}

void ComponentStore::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  posted_.notify_one();
  if (posted) posted();
}

TrapCode ComponentStore::run_until(const std::function<bool()>& done, WhenIdle when_idle,
                                   uint64_t most) {
  using Clock = std::chrono::steady_clock;
  const bool timed = most != 0 && most != kForever;
  const Clock::time_point begin = timed ? Clock::now() : Clock::time_point();
  uint64_t left = most;
  Thread* const outer = std::exchange(current, nullptr);
  TrapCode code = TrapCode::None;
  while (!done()) {
    if (timed) {
      const auto past = uint64_t(std::chrono::nanoseconds(Clock::now() - begin).count());
      if (past >= most) break;
      left = most - past;
    }
    if (!run_jobs(code) && !(blocked.empty() ? tick(code) : step_blocked(code))) {
      if (outstanding == 0) {
        if (when_idle == WhenIdle::Return) break;
        code = trap("deadlock detected: event loop cannot make further progress");
        break;
      }
      if (!wait_for_jobs(left) && left == 0) break;
    }
    if (code != TrapCode::None) break;
  }
  if (code != TrapCode::None) {
    for (const BlockedCall& b : std::exchange(blocked, {})) {
      if (b.thread) poison(*b.thread->task->instance.root);
      if (b.callee) poison(*b.callee->instance.root);
    }
  }
  current = outer;
  return code;
}

void ComponentStore::poison(Root& root) {
  if (!std::exchange(root.poisoned, true)) poisoned_.push_back(&root);
}

void ComponentStore::abandon(const Resource& resource) {
  ResourceType* const type = resource.type;
  if (!type) return;
  if (!type->impl) {
    if (type->on_drop) type->on_drop(resource.rep);
  } else if (!type->impl->root->poisoned) {
    post([this, type, rep = resource.rep] {
      if (type->impl->root->poisoned) return TrapCode::None;
      return drop_resource(*this, *type, rep, std::make_shared<bool>());
    });
  }
}

void ComponentStore::bury() {
  if (current || depth) return;
  while (!poisoned_.empty()) {
    const Root* const root = poisoned_.back();
    poisoned_.pop_back();
    for (ComponentInstance* const instance : root->instances) {
      std::vector<Resource> owned;
      instance->handles.each([&](Handle& h) {
        if (h.kind == HandleKind::Resource && std::exchange(h.own, false))
          owned.push_back({h.type, h.rep});
      });
      for (const Resource& resource : owned) abandon(resource);
    }
  }
}

}  // namespace wafer::component
