// Canonical built-ins (CanonicalABI.md, "canon resource.new" and what follows it).
#include "component/run/handles.h"
#include "component/run/stream.h"
#include "component/run/task.h"

namespace wafer::component {

namespace {

struct Env {
  ComponentInstance& instance;
  const CanonBuiltin& def;
  ResolvedOptions options;
  ResourceType* resource = nullptr;
  TypeId type = 0;  // canonical, of a stream or future
  ValType element;
  runtime::Table* table = nullptr;
  std::vector<ValType> results;  // of task.return
  uint32_t param_slots = 0;

  ComponentStore& store() const { return instance.store; }
  Thread& thread() const { return *instance.store.current; }
  TrapCode trap(std::string_view message) const { return instance.store.trap(message); }
  TrapCode may_leave() const {
    return instance.may_leave() ? TrapCode::None : trap("cannot leave component instance");
  }
};

using Body = TrapCode (*)(Env&, Slot*);

// ---- Resources

TrapCode resource_new(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Handle h;
  h.kind = HandleKind::Resource;
  h.type = e.resource;
  h.rep = slots[0];
  h.own = true;
  return add_handle(e.instance, std::move(h), slots[0]);
}

TrapCode resource_rep(Env& e, Slot* slots) {
  const auto index = uint32_t(slots[0]);
  Handle* const h = e.instance.handles.get(index);
  if (!h) return unknown_handle(e.instance, index);
  CANON_TRY(check_resource(e.instance, *h, index, e.resource));
  slots[0] = h->rep;
  return TrapCode::None;
}

TrapCode resource_drop(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const auto index = uint32_t(slots[0]);
  Handle* const found = e.instance.handles.get(index);
  if (!found) return unknown_handle(e.instance, index);
  CANON_TRY(check_resource(e.instance, *found, index, e.resource));
  if (found->lends != 0) return e.trap("cannot remove owned resource while borrowed");
  const Handle h = e.instance.handles.take(index);
  if (!h.own) {
    if (h.borrow_scope) --h.borrow_scope->borrows;
    return TrapCode::None;
  }
  ResourceType& type = *h.type;
  // (The host's is gone at once.)
  const auto done = type.impl ? std::make_shared<bool>() : nullptr;
  const size_t calls = e.store().blocked.size();
  CANON_TRY(drop_resource(e.store(), type, h.rep, done));
  if (!done || *done) return TrapCode::None;
  return wait_for_blocked(
      e.store(), calls, [done] { return *done; }, [](std::vector<Slot>&) { return TrapCode::None; },
      slots);
}

// ---- Threads' storage, backpressure

TrapCode context_get(Env& e, Slot* slots) {
  slots[0] = e.thread().storage[e.def.index];
  return TrapCode::None;
}

TrapCode context_set(Env& e, Slot* slots) {
  e.thread().storage[e.def.index] = slots[0];
  return TrapCode::None;
}

TrapCode backpressure_inc(Env& e, Slot*) {
  if (++e.instance.backpressure == 1 << 16) return e.trap("backpressure counter overflow");
  return TrapCode::None;
}

TrapCode backpressure_dec(Env& e, Slot*) {
  if (--e.instance.backpressure < 0) return e.trap("backpressure counter underflow");
  if (e.instance.backpressure == 0) let_next(e.instance);
  return TrapCode::None;
}

// ---- Tasks

TrapCode task_return(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Task& task = *e.thread().task;
  const auto wrong = [&] {
    return e.trap("invalid `task.return` signature and/or options for current task");
  };
  if (!task.func || !task.func->options.is_async) return wrong();
  const TypeArena& types = *e.instance.component->types;
  const std::span<const ValType> wanted = result_types(task.func->def());
  if (wanted.size() != e.results.size() ||
      (!wanted.empty() && !types.same(wanted[0], e.results[0])))
    return wrong();
  // Without a memory the result is known to need none.
  if (e.options.memory && (e.options.encoding != task.func->options.encoding ||
                           e.options.memory != task.func->options.memory))
    return wrong();
  const Context cx{e.options, e.instance};
  FlatReader in{slots, slots + e.param_slots};
  const Room room(e.store());
  CANON_TRY(lift_values(cx, kMaxFlatParams, in, e.results, room->result));
  return task.return_(room->result);
}

TrapCode task_cancel(Env& e, Slot*) {
  CANON_TRY(e.may_leave());
  Task& task = *e.thread().task;
  if (!task.func || !task.func->options.is_async)
    return e.trap("`task.cancel` called by task which has not been cancelled");
  return task.cancel();
}

// ---- Waitables

TrapCode waitable_set_new(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Handle h;
  h.kind = HandleKind::WaitableSet;
  h.hold(std::make_shared<WaitableSet>());
  return add_handle(e.instance, std::move(h), slots[0]);
}

TrapCode store_event(Env& e, uint64_t at, const Event& event) {
  if (!e.options.is64) at = uint32_t(at);
  if (at & 3) return e.trap("unaligned pointer");
  const MutableBytes to = e.options.memory->slice(at, 8);
  if (!to.data()) return e.trap("event pointer out of bounds of memory");
  std::memcpy(to.data(), &event.index, 4);
  std::memcpy(to.data() + 4, &event.payload, 4);
  return TrapCode::None;
}

TrapCode waitable_set_wait(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Handle* h;
  CANON_TRY(get_handle(e.instance, uint32_t(slots[0]), HandleKind::WaitableSet, h));
  const auto set = h->shared<WaitableSet>();
  const uint64_t at = slots[1];
  if (set->has_pending_event()) {
    const Event event = set->get_pending_event(e.store());
    slots[0] = Slot(event.code);
    return store_event(e, at, event);
  }
  Thread* const thread = &e.thread();
  if (!thread->can_stop()) return e.trap("cannot block a synchronous task before returning");
  set->waiters.push_back(thread);
  return thread->wait([set] { return set->has_pending_event(); },
                      [&e, set, thread, at](std::vector<Slot>& results) {
                        std::erase(set->waiters, thread);
                        const Event event = set->get_pending_event(e.store());
                        results.push_back(Slot(event.code));
                        return store_event(e, at, event);
                      });
}

TrapCode waitable_set_poll(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Handle* h;
  CANON_TRY(get_handle(e.instance, uint32_t(slots[0]), HandleKind::WaitableSet, h));
  Event event;
  if (h->set().has_pending_event()) event = h->set().get_pending_event(e.store());
  const uint64_t at = slots[1];
  slots[0] = Slot(event.code);
  return store_event(e, at, event);
}

TrapCode waitable_set_drop(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const auto index = uint32_t(slots[0]);
  Handle* h;
  CANON_TRY(get_handle(e.instance, index, HandleKind::WaitableSet, h));
  if (!h->set().elements.empty()) return e.trap("cannot drop waitable set with waitables in it");
  if (!h->set().waiters.empty()) return e.trap("cannot drop waitable set with waiters");
  e.instance.handles.take(index);
  return TrapCode::None;
}

bool is_waitable(HandleKind kind) {
  return kind >= HandleKind::Subtask && kind <= HandleKind::FutureWrite;
}

constexpr std::string_view kInSet =
    "waitable cannot be used synchronously while added to a waitable set";

TrapCode waitable_join(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const auto index = uint32_t(slots[0]);
  Handle* const h = e.instance.handles.get(index);
  if (!h) return unknown_handle(e.instance, index);
  if (!is_waitable(h->kind)) return wrong_handle(e.instance, index);
  Waitable& waitable = h->waitable();
  if (waitable.has_sync_waiter) return e.trap(kInSet);
  WaitableSet* set = nullptr;
  if (const auto to = uint32_t(slots[1])) {
    Handle* s;
    CANON_TRY(get_handle(e.instance, to, HandleKind::WaitableSet, s));
    set = &s->set();
  }
  waitable.join(set);
  return TrapCode::None;
}

// ---- Subtasks

TrapCode subtask_cancel(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const auto index = uint32_t(slots[0]);
  Handle* h;
  CANON_TRY(get_handle(e.instance, index, HandleKind::Subtask, h));
  const auto subtask = std::static_pointer_cast<Subtask>(h->shared<Waitable>());
  if (subtask->delivered())
    return e.trap("`subtask.cancel` called after terminal status delivered");
  if (subtask->cancellation_requested)
    return e.trap("`subtask.cancel` called more than once for the same subtask");
  if (subtask->set) return e.trap(kInSet);
  const auto finish = [subtask](std::vector<Slot>& results) {
    subtask->has_sync_waiter = false;
    subtask->get_pending_event();
    results.push_back(uint32_t(subtask->state));
    return TrapCode::None;
  };
  if (!subtask->resolved()) {
    subtask->cancellation_requested = true;
    subtask->has_sync_waiter = true;
    if (subtask->on_cancel) CANON_TRY(subtask->on_cancel());
    if (!subtask->resolved()) {
      if (e.def.is_async) {
        subtask->has_sync_waiter = false;
        slots[0] = End::kBlocked;
        return TrapCode::None;
      }
      subtask->waiter = e.thread().weak_from_this();
      return e.thread().wait([subtask] { return subtask->resolved(); }, finish);
    }
  }
  std::vector<Slot> results;
  CANON_TRY(finish(results));
  slots[0] = results[0];
  return TrapCode::None;
}

TrapCode subtask_drop(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const auto index = uint32_t(slots[0]);
  Handle* h;
  CANON_TRY(get_handle(e.instance, index, HandleKind::Subtask, h));
  auto& subtask = static_cast<Subtask&>(h->waitable());
  if (!subtask.delivered()) return e.trap("cannot drop a subtask which has not yet resolved");
  subtask.join(nullptr);
  e.instance.handles.take(index);
  return TrapCode::None;
}

// ---- Streams and futures

bool of_future(Builtin b) {
  return (b >= Builtin::FutureNew && b <= Builtin::FutureDropWritable) ||
         b == Builtin::FutureForward;
}

HandleKind end_kind(bool future, bool read) {
  if (future) return read ? HandleKind::FutureRead : HandleKind::FutureWrite;
  return read ? HandleKind::StreamRead : HandleKind::StreamWrite;
}

TrapCode ends_new(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const bool future = of_future(e.def.builtin);
  const Ends ends = new_ends(e.store(), future, &e.instance, e.type, e.element);
  Handle r, w;
  r.kind = end_kind(future, true);
  r.hold(std::shared_ptr<Waitable>(ends.reader));
  w.kind = end_kind(future, false);
  w.hold(std::shared_ptr<Waitable>(ends.writer));
  Slot read, write;
  CANON_TRY(add_handle(e.instance, std::move(r), read));
  CANON_TRY(add_handle(e.instance, std::move(w), write));
  ends.reader->index = uint32_t(read);
  ends.writer->index = uint32_t(write);
  slots[0] = read | write << 32;
  return TrapCode::None;
}

// The end at `index`, which has to be of that kind and of the built-in's type.
TrapCode get_end(Env& e, uint32_t index, bool read, End*& out) {
  Handle* h;
  CANON_TRY(get_handle(e.instance, index, end_kind(of_future(e.def.builtin), read), h));
  out = static_cast<End*>(&h->waitable());
  return out->type == e.type ? TrapCode::None : wrong_handle(e.instance, index);
}

// Why an end in its present state cannot do `what` ("read from", "lift", ...).
TrapCode not_idle(Env& e, const End& end, std::string_view what) {
  const std::string kind = end.is_future() ? "future" : "stream";
  if (end.state != End::State::Done)
    return e.trap("cannot have concurrent operations active on a future/stream");
  std::string why;
  if (!end.is_future())
    why = end.is_read() ? " after being notified that the writable end dropped"
                        : " after being notified that the readable end dropped";
  else
    why = end.is_read() ? " after previous read succeeded"
                        : " after previous write succeeded or readable end dropped";
  return e.trap("cannot " + std::string(what) + " " + kind + why);
}

TrapCode copy(Env& e, Slot* slots, bool read) {
  CANON_TRY(e.may_leave());
  const bool future = of_future(e.def.builtin);
  const auto index = uint32_t(slots[0]);
  End* end;
  CANON_TRY(get_end(e, index, read, end));
  if (end->state != End::State::Idle) return not_idle(e, *end, read ? "read from" : "write to");
  if (end->set && !e.options.is_async) return e.trap(kInSet);
  const uint64_t at = e.options.is64 ? slots[1] : uint32_t(slots[1]);
  const uint64_t length = future ? 1 : e.options.is64 ? slots[2] : uint32_t(slots[2]);
  const GuestBuffer buffer(e.instance, e.options, e.element, at, length);
  CANON_TRY(buffer.check());
  CANON_TRY(end->copy(buffer));
  if (end->has_pending_event()) {
    slots[0] = end->get_pending_event().payload;
    return TrapCode::None;
  }
  if (e.options.is_async) {
    slots[0] = End::kBlocked;
    return TrapCode::None;
  }
  Thread& thread = e.thread();
  end->has_sync_waiter = true;
  end->waiter = thread.weak_from_this();
  return thread.wait([end] { return end->has_pending_event(); },
                     [end, kept = end->shared_from_this()](std::vector<Slot>& results) {
                       end->has_sync_waiter = false;
                       results.push_back(end->get_pending_event().payload);
                       return TrapCode::None;
                     });
}

TrapCode copy_read(Env& e, Slot* slots) { return copy(e, slots, true); }
TrapCode copy_write(Env& e, Slot* slots) { return copy(e, slots, false); }

TrapCode cancel_copy(Env& e, Slot* slots, bool read) {
  CANON_TRY(e.may_leave());
  End* end;
  CANON_TRY(get_end(e, uint32_t(slots[0]), read, end));
  if (end->state != End::State::Copying)
    return e.trap(std::string("stream or future ") + (read ? "read" : "write") +
                  " cancelled when no " + (read ? "read" : "write") + " is pending");
  if (end->has_sync_waiter) return e.trap("cannot cancel a copy that is waited for synchronously");
  if (end->set && !e.def.is_async) return e.trap(kInSet);
  end->cancel();
  slots[0] = end->get_pending_event().payload;
  return TrapCode::None;
}

TrapCode cancel_read(Env& e, Slot* slots) { return cancel_copy(e, slots, true); }
TrapCode cancel_write(Env& e, Slot* slots) { return cancel_copy(e, slots, false); }

TrapCode drop_end(Env& e, Slot* slots, bool read) {
  CANON_TRY(e.may_leave());
  const auto index = uint32_t(slots[0]);
  End* end;
  CANON_TRY(get_end(e, index, read, end));
  if (end->busy())
    return e.trap(std::string(read ? "cannot remove busy " : "cannot drop busy ") +
                  (end->is_future() ? "future" : "stream"));
  if (end->is_future() && !read && end->state != End::State::Done)
    return e.trap("cannot drop future write end without first writing a value");
  const Handle kept = e.instance.handles.take(index);
  end->drop();
  return TrapCode::None;
}

TrapCode drop_readable(Env& e, Slot* slots) { return drop_end(e, slots, true); }
TrapCode drop_writable(Env& e, Slot* slots) { return drop_end(e, slots, false); }

TrapCode forward(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const std::string what = of_future(e.def.builtin) ? "future" : "stream";
  End* ends[2];
  Handle kept[2];
  for (int i = 0; i < 2; ++i) {
    const auto index = uint32_t(slots[i]);
    CANON_TRY(get_end(e, index, i == 0, ends[i]));
    if (ends[i]->busy()) return e.trap("cannot forward busy " + what);
    if (ends[i]->state != End::State::Idle) return not_idle(e, *ends[i], "forward");
    if (ends[i]->set) return e.trap("cannot forward " + what + " while it's in a waitable set");
    kept[i] = e.instance.handles.take(index);
  }
  return End::forward(*ends[0], *ends[1]);
}

// ---- Error contexts

TrapCode error_context_new(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  const Context cx{e.options, e.instance};
  Text text;
  CANON_TRY(load_string(cx, e.options.is64 ? slots[0] : uint32_t(slots[0]),
                        e.options.is64 ? slots[1] : uint32_t(slots[1]), text));
  Handle h;
  h.kind = HandleKind::ErrorContext;
  h.hold(std::make_shared<ErrorContext>(ErrorContext{std::move(text.utf8)}));
  return add_handle(e.instance, std::move(h), slots[0]);
}

TrapCode error_context_debug_message(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Handle* h;
  CANON_TRY(get_handle(e.instance, uint32_t(slots[0]), HandleKind::ErrorContext, h));
  const Context cx{e.options, e.instance};
  const uint64_t at = e.options.is64 ? slots[1] : uint32_t(slots[1]);
  const uint32_t width = e.options.pointer_size();
  const auto failure = h->shared<ErrorContext>();
  uint64_t begin, length;
  CANON_TRY(store_string(cx, failure->debug_message, Text::Source::Utf8, begin, length));
  if (at & (width - 1)) return e.trap("unaligned pointer");
  const MutableBytes to = e.options.memory->slice(at, 2 * width);
  if (!to.data()) return e.trap("pointer out of bounds of memory");
  std::memcpy(to.data(), &begin, width);
  std::memcpy(to.data() + width, &length, width);
  return TrapCode::None;
}

TrapCode error_context_drop(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  Handle* h;
  CANON_TRY(get_handle(e.instance, uint32_t(slots[0]), HandleKind::ErrorContext, h));
  e.instance.handles.take(uint32_t(slots[0]));
  return TrapCode::None;
}

// ---- Threads

TrapCode thread_index(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  slots[0] = e.thread().index;
  return TrapCode::None;
}

// A thread that will call `func`, suspended as yet; slots[0] gets its index.
TrapCode new_thread(Env& e, runtime::FuncInst* func, Slot* slots,
                    std::shared_ptr<Thread>* out = nullptr) {
  const std::shared_ptr<Task> task = e.thread().task;
  const auto thread = std::make_shared<Thread>(task, func, slots[1]);
  CANON_TRY(task->register_thread(thread));
  slots[0] = thread->index;
  if (out) *out = thread;
  return TrapCode::None;
}

// The function that a thread begins with, by its place in a table.
TrapCode start_function(Env& e, uint64_t at, runtime::FuncInst*& func) {
  if (at >= e.table->size) return e.store().core.set_trap(TrapCode::UndefinedElement);
  func = reinterpret_cast<runtime::FuncInst*>(e.table->elements[at]);
  if (!func) return e.store().core.set_trap(TrapCode::UninitializedElement);
  if (func->type != e.instance.component->types->core().get(e.def.core_type))
    return e.store().core.set_trap(TrapCode::IndirectTypeMismatch);
  return TrapCode::None;
}

TrapCode thread_new_indirect(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  runtime::FuncInst* func = nullptr;
  CANON_TRY(start_function(e, slots[0], func));
  return new_thread(e, func, slots);
}

TrapCode thread_spawn_indirect(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  runtime::FuncInst* func = nullptr;
  CANON_TRY(start_function(e, slots[0], func));
  std::shared_ptr<Thread> thread;
  CANON_TRY(new_thread(e, func, slots, &thread));
  thread->resume_later();
  return TrapCode::None;
}

TrapCode thread_spawn_ref(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  auto* const func = reinterpret_cast<runtime::FuncInst*>(slots[0]);
  if (!func) return e.store().core.set_trap(TrapCode::NullFunctionReference);
  std::shared_ptr<Thread> thread;
  CANON_TRY(new_thread(e, func, slots, &thread));
  thread->resume_later();
  return TrapCode::None;
}

// Threads take turns on one processor.
TrapCode thread_available_parallelism(Env&, Slot* slots) {
  slots[0] = 1;
  return TrapCode::None;
}

// The thread at `index`; null after a trap.
TrapCode get_thread(Env& e, uint32_t index, std::shared_ptr<Thread>& out) {
  auto* const found = e.instance.threads.get(index);
  if (!found) return e.trap("unknown thread index " + std::to_string(index));
  out = *found;
  return TrapCode::None;
}

TrapCode get_suspended(Env& e, uint32_t index, std::shared_ptr<Thread>& out) {
  CANON_TRY(get_thread(e, index, out));
  return out->suspended() ? TrapCode::None : e.trap("cannot resume thread which is not suspended");
}

TrapCode give_zero(std::vector<Slot>& results) {
  results.push_back(0);
  return TrapCode::None;
}

TrapCode thread_resume_later(Env& e, Slot* slots) {
  CANON_TRY(e.may_leave());
  std::shared_ptr<Thread> other;
  CANON_TRY(get_suspended(e, uint32_t(slots[0]), other));
  other->resume_later();
  return TrapCode::None;
}

TrapCode thread_suspend(Env& e, Slot*) {
  CANON_TRY(e.may_leave());
  return e.thread().suspend(give_zero);
}

TrapCode thread_yield(Env& e, Slot*) {
  CANON_TRY(e.may_leave());
  return e.thread().wait(nullptr, give_zero);
}

TrapCode switch_to(Env& e, std::shared_ptr<Thread> other, bool yield) {
  Thread& thread = e.thread();
  const TrapCode code = yield ? thread.wait(nullptr, give_zero) : thread.suspend(give_zero);
  if (code == TrapCode::Pending) thread.switch_to = std::move(other);
  return code;
}

TrapCode then_resume(Env& e, Slot* slots, bool yield) {
  CANON_TRY(e.may_leave());
  std::shared_ptr<Thread> other;
  CANON_TRY(get_suspended(e, uint32_t(slots[0]), other));
  return switch_to(e, std::move(other), yield);
}

TrapCode then_promote(Env& e, Slot* slots, bool yield) {
  CANON_TRY(e.may_leave());
  std::shared_ptr<Thread> other;
  const auto index = uint32_t(slots[0]);
  if (index == e.thread().index) return e.trap("cannot resume thread which is not suspended");
  CANON_TRY(get_thread(e, index, other));
  return switch_to(e, other->ready() ? std::move(other) : nullptr, yield);
}

TrapCode suspend_then_resume(Env& e, Slot* slots) { return then_resume(e, slots, false); }
TrapCode yield_then_resume(Env& e, Slot* slots) { return then_resume(e, slots, true); }
TrapCode suspend_then_promote(Env& e, Slot* slots) { return then_promote(e, slots, false); }
TrapCode yield_then_promote(Env& e, Slot* slots) { return then_promote(e, slots, true); }

// ---- The table

struct Entry {
  Builtin builtin;
  Body body;
  bool blocks;  // may make its caller wait
};

constexpr Entry kBodies[] = {
    {Builtin::ResourceNew, resource_new, false},
    {Builtin::ResourceDrop, resource_drop, false},
    {Builtin::ResourceRep, resource_rep, false},
    {Builtin::TaskCancel, task_cancel, false},
    {Builtin::SubtaskCancel, subtask_cancel, true},
    {Builtin::TaskReturn, task_return, false},
    {Builtin::ContextGet, context_get, false},
    {Builtin::ContextSet, context_set, false},
    {Builtin::ThreadYield, thread_yield, true},
    {Builtin::SubtaskDrop, subtask_drop, false},
    {Builtin::StreamNew, ends_new, false},
    {Builtin::StreamRead, copy_read, true},
    {Builtin::StreamWrite, copy_write, true},
    {Builtin::StreamCancelRead, cancel_read, false},
    {Builtin::StreamCancelWrite, cancel_write, false},
    {Builtin::StreamDropReadable, drop_readable, false},
    {Builtin::StreamDropWritable, drop_writable, false},
    {Builtin::FutureNew, ends_new, false},
    {Builtin::FutureRead, copy_read, true},
    {Builtin::FutureWrite, copy_write, true},
    {Builtin::FutureCancelRead, cancel_read, false},
    {Builtin::FutureCancelWrite, cancel_write, false},
    {Builtin::FutureDropReadable, drop_readable, false},
    {Builtin::FutureDropWritable, drop_writable, false},
    {Builtin::ErrorContextNew, error_context_new, false},
    {Builtin::ErrorContextDebugMessage, error_context_debug_message, false},
    {Builtin::ErrorContextDrop, error_context_drop, false},
    {Builtin::WaitableSetNew, waitable_set_new, false},
    {Builtin::WaitableSetWait, waitable_set_wait, true},
    {Builtin::WaitableSetPoll, waitable_set_poll, false},
    {Builtin::WaitableSetDrop, waitable_set_drop, false},
    {Builtin::WaitableJoin, waitable_join, false},
    {Builtin::BackpressureInc, backpressure_inc, false},
    {Builtin::BackpressureDec, backpressure_dec, false},
    {Builtin::ThreadIndex, thread_index, false},
    {Builtin::ThreadNewIndirect, thread_new_indirect, true},
    {Builtin::ThreadResumeLater, thread_resume_later, false},
    {Builtin::ThreadSuspend, thread_suspend, true},
    {Builtin::ThreadSuspendThenResume, suspend_then_resume, true},
    {Builtin::ThreadYieldThenResume, yield_then_resume, true},
    {Builtin::ThreadSuspendThenPromote, suspend_then_promote, true},
    {Builtin::ThreadYieldThenPromote, yield_then_promote, true},
    {Builtin::StreamForward, forward, false},
    {Builtin::FutureForward, forward, false},
    {Builtin::ThreadSpawnRef, thread_spawn_ref, true},
    {Builtin::ThreadSpawnIndirect, thread_spawn_indirect, true},
    {Builtin::ThreadAvailableParallelism, thread_available_parallelism, false},
};

constexpr const Entry* entry_of(Builtin builtin) {
  for (const Entry& e : kBodies)
    if (e.builtin == builtin) return &e;
  return nullptr;
}

#define BUILTIN(code, id, name, feature, immediates, params, results) \
  static_assert(entry_of(Builtin::id), "a built-in without a body: " name);
#include "component/builtins.def"
#undef BUILTIN

struct Bound {
  Env env;
  Body body;

  static TrapCode call(void* p, runtime::CallContext&, Slot* slots) {
    Bound& self = *static_cast<Bound*>(p);
    return self.body(self.env, slots);
  }
  static void release(void* p) { delete static_cast<Bound*>(p); }
};

}  // namespace

bool builtin_blocks(const CanonBuiltin& def) {
  if (def.builtin == Builtin::SubtaskCancel) return !def.is_async;
  const bool copies = def.builtin == Builtin::StreamRead || def.builtin == Builtin::StreamWrite ||
                      def.builtin == Builtin::FutureRead || def.builtin == Builtin::FutureWrite;
  if (copies) return !def.options.is_async;
  return entry_of(def.builtin)->blocks;
}

runtime::FuncInst* make_builtin(ComponentInstance& instance, const CanonBuiltin& def,
                                const ResolvedOptions& options) {
  const TypeArena& types = *instance.component->types;
  const wasm::CanonType* const core = types.core().get(def.signature);
  auto* const bound = new Bound{Env{instance, def, options, nullptr, 0, {}, nullptr, {}, 0},
                                entry_of(def.builtin)->body};
  Env& env = bound->env;
  env.param_slots = core->param_slots;
  switch (def.builtin) {
    case Builtin::ResourceNew:
    case Builtin::ResourceDrop:
    case Builtin::ResourceRep:
      env.resource = instance.resource_of(def.type.id);
      break;
    case Builtin::TaskReturn:
      if (def.type) env.results.push_back(def.type);
      break;
    case Builtin::ThreadNewIndirect:
    case Builtin::ThreadSpawnIndirect:
      env.table = instance.core[size_t(wasm::ExternKind::Table)][def.table].table;
      break;
    default:
      if (def.type.defined()) {
        env.type = types[def.type.id].canon;
        env.element = types[def.type.id].args[0];
      }
      break;
  }
  return instance.store.core.new_host_func(core, &Bound::call, bound, &Bound::release);
}

TrapCode drop_resource(ComponentStore& store, ResourceType& type, uint64_t rep,
                       const std::shared_ptr<bool>& done) {
  // (Null where nobody asks about a resource of the host.)
  if (done) *done = true;
  if (!type.impl) {
    if (type.on_drop) type.on_drop(rep);
    return TrapCode::None;
  }
  if (!type.destructor) return TrapCode::None;
  *done = false;
  OnCancel cancel;
  return type.destructor->call(
      store, Caller{*type.impl->component->types, type.destructor->type},
      [rep](std::vector<Val>& args) {
        args.push_back(Val::of_bits(rep));
        return TrapCode::None;
      },
      [done](std::vector<Val>*) {
        *done = true;
        return TrapCode::None;
      },
      cancel);
}

}  // namespace wafer::component
