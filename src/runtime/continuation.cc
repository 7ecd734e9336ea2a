#include "runtime/continuation.h"

namespace wafer::runtime {

#if WAFER_HAS_FIBERS

namespace {

struct Continuation {
  Store& store;
  FuncInst* func;    // to be called, if it has not begun
  Vec<Slot> values;  // bound so far; in the end, all that it is resumed with
  // The fibers that wait, from the one that the next resumer resumes to the one that goes on.
  Fiber* outer = nullptr;
  Fiber* inner = nullptr;
  bool consumed = false;

  Continuation(Store& s, FuncInst* f) : store(s), func(f) {}
};

template <class F>
void for_each_fiber(const Continuation& c, F&& f) {
  for (Fiber* at = c.inner; at;) {
    Fiber* const next = at == c.outer ? nullptr : at->resumer();
    f(at);
    at = next;
  }
}

// What the collector takes a stack to hold.
constexpr size_t kStackBytes = 16u << 10;

size_t trace(void* data, RootVisitor& visitor) {
  const Continuation& c = *static_cast<Continuation*>(data);
  size_t bytes = 0;
  for (const Slot s : c.values)
    if (c.store.gc().owns(s)) visitor.visit(s);
  for_each_fiber(c, [&](const Fiber* f) {
    f->enumerate_roots(visitor);
    if (c.store.native_state) visitor.visit_conservatively(f->frames_begin(), f->frames_end());
    bytes += kStackBytes;
  });
  return bytes;
}

void finalize(void* data) {
  Box<Continuation> c(static_cast<Continuation*>(data));
  for_each_fiber(*c, [](Fiber* f) { Box<Fiber>(f).reset(); });
}

TrapCode make(Store& store, FuncInst* func, Ref& out, Continuation*& c) {
  auto box = make_box<Continuation>(store, func);
  GcTraced* const object = store.gc().new_traced(box.get(), finalize, trace);
  if (!object) return store.set_trap(TrapCode::OutOfMemory);
  c = box.release();
  out = reinterpret_cast<uintptr_t>(object);
  return TrapCode::None;
}

Continuation* data_of(Ref ref) {
  return static_cast<Continuation*>(reinterpret_cast<GcTraced*>(uintptr_t(ref))->data);
}

TrapCode check(Ref ref) {
  if (!ref) return TrapCode::NullContinuationReference;
  return data_of(ref)->consumed ? TrapCode::ContinuationConsumed : TrapCode::None;
}

// Gives `c` the stack that it begins on, if it has none; false without memory for it.
bool begin(Continuation& c) {
  if (c.inner) return true;
  c.store.gc().charge(kStackBytes);
  c.outer = c.inner = Fiber::create_for_continuation(c.store, c.func, c.values);
  return c.inner != nullptr;
}

// Takes the fibers out of `c`: they are active again.
void consume(Continuation& c, Fiber*& outer, Fiber*& inner) {
  for_each_fiber(c, [](Fiber* f) { f->set_suspended(false); });
  c.consumed = true;
  outer = std::exchange(c.outer, nullptr);
  inner = std::exchange(c.inner, nullptr);
}

// The fiber whose resumer handles `tag`, and by which clause; null: nobody does.
Fiber* find_handler(const Store& store, const TagInst* tag, bool is_switch, uint32_t& clause) {
  for (Fiber* f = store.current_fiber; f; f = f->resumer())
    for (clause = 0; clause < f->handlers.size(); ++clause)
      if (f->handlers[clause].tag == tag && f->handlers[clause].is_switch == is_switch) return f;
  return nullptr;
}

// Makes `c` of the present fiber and all out to `outer`.
void capture(const Store& store, Fiber& outer, Continuation& c) {
  c.inner = store.current_fiber;
  c.outer = &outer;
  for_each_fiber(c, [](Fiber* f) { f->set_suspended(true); });
}

}  // namespace

TrapCode new_continuation(Store& store, FuncInst* func, Ref& out) {
  Continuation* c;
  return make(store, func, out, c);
}

TrapCode bind_continuation(Store& store, Ref continuation, std::span<const Slot> args, Ref& out) {
  if (const TrapCode code = check(continuation); code != TrapCode::None) return code;
  Continuation* c;
  if (const TrapCode code = make(store, nullptr, out, c); code != TrapCode::None) return code;
  Continuation& from = *data_of(continuation);
  from.consumed = true;
  c->func = from.func;
  c->values = std::move(from.values);
  c->values.insert(c->values.end(), args.begin(), args.end());
  c->outer = std::exchange(from.outer, nullptr);
  c->inner = std::exchange(from.inner, nullptr);
  return TrapCode::None;
}

Resumed resume_continuation(Store& store, Ref continuation, std::span<const Slot> args,
                            std::span<const ResumeHandler> handlers, bool throws, Ref exception) {
  Resumed out;
  out.code = check(continuation);
  if (out.code == TrapCode::None && throws && !exception)
    out.code = TrapCode::NullExceptionReference;
  if (out.code != TrapCode::None) return out;
  Continuation& c = *data_of(continuation);
  if (throws) {
    store.pending_exception = exception;
    if (!c.inner) {  // nothing of it could catch that
      c.consumed = true;
      out.code = TrapCode::UncaughtException;
      return out;
    }
  } else {
    c.values.insert(c.values.end(), args.begin(), args.end());
  }
  if (!begin(c)) {
    out.code = store.set_trap(TrapCode::OutOfMemory, "no memory for a stack");
    return out;
  }
  Fiber *outer, *inner;
  consume(c, outer, inner);
  outer->handlers = handlers;
  Fiber::resume_from_here(store, *outer, *inner,
                          throws ? TrapCode::UncaughtException : TrapCode::None, c.values);
  // Perhaps another, by a switch.
  Fiber& back = *store.came_back;
  out.clause = back.clause;
  if (back.clause != kResumeFinished) {
    out.values = back.payload;
    out.continuation = back.continuation;
    return out;
  }
  out.code = back.outcome();
  out.values = back.slots().first(back.func()->type->result_slots);
  out.finished = &back;
  return out;
}

void release(const Resumed& resumed) {
  if (resumed.finished) Box<Fiber>(resumed.finished).reset();
}

TrapCode suspend(Store& store, TagInst* tag, std::span<const Slot> args,
                 std::span<const Slot>& values) {
  uint32_t clause;
  Fiber* const outer = find_handler(store, tag, false, clause);
  if (!outer) return TrapCode::UnhandledTag;
  Continuation* c;
  Ref ref;
  if (const TrapCode code = make(store, nullptr, ref, c); code != TrapCode::None) return code;
  capture(store, *outer, *c);
  outer->clause = clause;
  outer->payload = args;
  outer->continuation = ref;
  store.came_back = outer;
  return Fiber::suspend_to_resumer(store, *outer, values);
}

TrapCode switch_to(Store& store, TagInst* tag, Ref continuation, std::span<const Slot> args,
                   std::span<const Slot>& values) {
  if (const TrapCode code = check(continuation); code != TrapCode::None) return code;
  uint32_t clause;
  Fiber* const outer = find_handler(store, tag, true, clause);
  if (!outer) return TrapCode::UnhandledTag;
  Continuation* left;
  Ref ref;
  if (const TrapCode code = make(store, nullptr, ref, left); code != TrapCode::None) return code;
  Continuation& to = *data_of(continuation);
  to.values.insert(to.values.end(), args.begin(), args.end());
  to.values.push_back(ref);
  if (!begin(to)) return store.set_trap(TrapCode::OutOfMemory, "no memory for a stack");
  Fiber *to_outer, *to_inner;
  consume(to, to_outer, to_inner);
  capture(store, *outer, *left);
  return Fiber::switch_chains(store, *outer, *to_outer, *to_inner, to.values, values);
}

#else

namespace {

TrapCode unsupported(Store& store) {
  return store.set_trap(TrapCode::HostError, "no stack switching on this platform");
}

}  // namespace

TrapCode new_continuation(Store& store, FuncInst*, Ref&) { return unsupported(store); }
TrapCode bind_continuation(Store& store, Ref, std::span<const Slot>, Ref&) {
  return unsupported(store);
}
Resumed resume_continuation(Store& store, Ref, std::span<const Slot>,
                            std::span<const ResumeHandler>, bool, Ref) {
  Resumed out;
  out.code = unsupported(store);
  return out;
}
void release(const Resumed&) {}
TrapCode suspend(Store& store, TagInst*, std::span<const Slot>, std::span<const Slot>&) {
  return unsupported(store);
}
TrapCode switch_to(Store& store, TagInst*, Ref, std::span<const Slot>, std::span<const Slot>&) {
  return unsupported(store);
}

#endif

}  // namespace wafer::runtime
