// Entering and leaving the interpreter, unwinding, roots and the tier itself.
#include "interp/run.h"

#include <algorithm>
#include <cstring>

#include "base/sort.h"
#include "interp/footprint.h"  // whose assertions hold here
#include "interp/in_place.h"
#include "interp/interp.h"
#include "interp/xip.h"
#include "runtime/backtrace.h"
#include "runtime/continuation.h"
#include "runtime/fault.h"
#include "runtime/gc_storage.h"
#include "runtime/roots.h"

namespace wafer::interp {

namespace {

using runtime::GcArray;
using runtime::GcException;
using wasm::TypeKind;
using wasm::ValType;

// Frames that a backtrace keeps.
constexpr size_t kMaxBacktrace = 64;

#if WAFER_HAS_TRANSLATOR
const Word kExitCode[] = {Word(op_id(Special::Exit))};
#else
constexpr const Word* kExitCode = nullptr;  // what has no caller returns
#endif

// Runs `code` in a frame at `fp`.
void enter(Activation& activation, FuncCode* code, Slot* fp) {
#if WAFER_HAS_IN_PLACE
  if (code->module->in_place()) return run_in_place(activation, code, fp);
#endif
#if WAFER_HAS_TRANSLATOR
  dispatch(activation, code->entry.load(std::memory_order_acquire), fp);
#endif
}

bool is_gc_ref(const wasm::TypeRegistry& registry, ValType t) {
  if (!t.is_ref()) return false;
  const wasm::HeapType h = t.heap();
  if (h.is_concrete()) return registry.get(h.index())->kind != wasm::CompKind::Func;
  return wasm::top_of(h.kind()) != wasm::HeapKind::Func;
}

#if !WAFER_HAS_OS
// All stacks of the store's engine.
Stack*& first_stack(const Store& store) { return store.engine().interpreter_stacks; }
#endif

Stack* stack_of(Store& store) {
  if (store.tier_stack) return static_cast<Stack*>(store.tier_stack);
  std::span<Slot> memory;
  size_t bytes = 0;
#if WAFER_HAS_FIBERS
  if (store.current_fiber) memory = store.current_fiber->value_memory();
#endif
  if (!memory.data()) {
    bytes = store.engine().config().stack_bytes;
    memory = {static_cast<Slot*>(try_allocate(bytes, alignof(Slot))), bytes / sizeof(Slot)};
    if (!memory.data()) return nullptr;
  }
  void* const place = try_allocate(sizeof(Stack), alignof(Stack));
  if (!place) {
    if (bytes) release(memory.data(), bytes, alignof(Slot));
    return nullptr;
  }
  auto* stack = new (place) Stack;
  stack->base = stack->top = memory.data();
  stack->limit = stack->base + memory.size();
  stack->bytes = bytes;
  stack->store = &store;
  store.tier_stack = stack;
#if !WAFER_HAS_OS
  stack->next = std::exchange(first_stack(store), stack);
#endif
  // The store knows the stacks of fibers.
  if (bytes) store.gc().add_root_source(stack);
  return stack;
}

// Slots outside of the interpreter hold i32 and f32 zero-extended.
void clear_upper_halves(const Vec<ValType>& types, Slot* slots) {
  for (const ValType t : types) {
    if (t.kind() == TypeKind::I32 || t.kind() == TypeKind::F32) *slots = uint32_t(*slots);
    slots += slot_count(t);
  }
}

// Is there room for another activation on the native stack that control is on?
bool native_room(const Store& store) {
#if WAFER_HAS_FIBERS
  return !store.current_fiber || reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) >=
                                     store.current_fiber->native_limit();
#else
  return true;
#endif
}

// One step of a walk over WebAssembly frames.
struct Frame {
  const Word* next;  // word after the frame's current instruction
  Slot* fp;
  Instance* instance;
  FuncCode* code() const {
    auto* m = static_cast<ModuleCodeImpl*>(instance->code.get());
    if (kNarrow || m->in_place()) return m->find(next);
    return &m->funcs[uint32_t(next[-1])];
  }
  uint32_t at() const { return code()->before(next); }
  // Goes to the caller; false at the entry frame.
  bool up() {
    const Slot* link = fp + code()->link;
    if (!pointer_in<Slot>(link[1])) return false;
    next = pointer_in<const Word>(link[0]);
    fp = pointer_in<Slot>(link[1]);
    instance = pointer_in<Instance>(link[2]);
    return true;
  }
};

void add_frame(runtime::TrapInfo& info, const FuncCode& code, uint32_t at, Instance* instance) {
  if (info.backtrace.size() >= kMaxBacktrace) return;
  info.backtrace.push_back(
      runtime::make_frame(code.module->module, code.func_index, code.module_offset(at), instance));
}

// Activations on the present stack and on those that control came from, innermost first.
class ActivationWalk {
 public:
  explicit ActivationWalk(const Store& store) : at_(current_of(store.tier_stack)) {
#if WAFER_HAS_FIBERS
    host_ = store.host_side;
    fiber_ = store.current_fiber;
#endif
  }
  Activation* next() {
#if WAFER_HAS_FIBERS
    for (;;) {
      if (fiber_) {
        if (at_) break;
        // On to what resumed it.
        fiber_ = fiber_->resumer();
        if (fiber_) {
          at_ = current_of(fiber_->tier_stack());
          continue;
        }
        at_ = current_of(host_->state.tier);
        // What this stack of the thread has below is newer.
        while (at_ && at_ <= host_->sp) at_ = at_->previous;
        host_ = host_->outer;
      } else {
        if (!host_ || (at_ && at_ <= host_->sp)) break;
        fiber_ = host_->calling;
        at_ = current_of(fiber_->tier_stack());
      }
    }
#endif
    return at_ ? std::exchange(at_, at_->previous) : nullptr;
  }

 private:
  static Activation* current_of(runtime::TierStack* stack) {
    return stack ? static_cast<Stack*>(stack)->current : nullptr;
  }
  Activation* at_;
#if WAFER_HAS_FIBERS
  const runtime::HostSide* host_;  // the thread's own stack, from where at_ is on outwards
  const runtime::Fiber* fiber_;    // that at_ is on; null: the thread's own stack
#endif
};

// Fills the store's backtrace from the activation at which a trap arose. `pc`
// may point anywhere into the current function.
void collect_backtrace(Stack& stack, const Word* pc, Slot* fp) {
  runtime::TrapInfo& info = stack.store->trap();
  info.backtrace.clear();
  info.described = false;
  ActivationWalk walk(*stack.store);
  bool top = true;
  while (Activation* a = walk.next()) {
    if (!a->instance || !a->instance->code) continue;
    Frame frame{top ? pc : a->pc, top ? fp : a->fp, a->instance};
    if (top) {
      top = false;
      auto* m = static_cast<ModuleCodeImpl*>(a->instance->code.get());
      FuncCode* code = frame.next ? m->find(frame.next) : nullptr;
      if (!code || frame.fp < stack.base || frame.fp >= stack.limit) continue;
      add_frame(info, *code, code->before(frame.next), frame.instance);
      const Slot* link = frame.fp + code->link;
      if (!pointer_in<Slot>(link[1])) continue;
      frame = {pointer_in<const Word>(link[0]), pointer_in<Slot>(link[1]),
               pointer_in<Instance>(link[2])};
    } else if (!frame.next) {
      continue;
    }
    do {
      if (info.backtrace.size() >= kMaxBacktrace) return;
      add_frame(info, *frame.code(), frame.at(), frame.instance);
    } while (frame.up());
  }
}

}  // namespace

void Stack::enumerate_roots(runtime::RootVisitor& visitor) {
  if constexpr (!runtime::kHasRoots) return;
  const wasm::TypeRegistry& registry = store->registry();
  for (Activation* a = current; a; a = a->previous) {
    if (a->host_func) {
      const Slot* s = a->host_slots;
      for (const ValType t : a->host_func->type->func.params) {
        if (is_gc_ref(registry, t)) visitor.visit(*s);
        s += slot_count(t);
      }
    }
    if (!a->pc) continue;
    Frame frame{a->pc, a->fp, a->instance};
    do {
      const FuncCode* code = frame.code();
      for (const uint16_t slot : code->ref_locals) visitor.visit(frame.fp[slot]);
      for (uint32_t map = code->ref_map(frame.next); map;) {
        const RefMapNode& node = code->ref_maps[map - 1];
        visitor.visit(frame.fp[node.slot]);
        map = node.below;
      }
    } while (frame.up());
  }
}

void Stack::destroy() {
#if !WAFER_HAS_OS
  Stack** at = &first_stack(*store);
  while (*at != this) at = &(*at)->next;
  *at = next;
#endif
  if (bytes) {
    store->gc().remove_root_source(this);
    release(base, bytes, alignof(Slot));
  }
  this->~Stack();
  release(this, sizeof(Stack), alignof(Stack));
}

void fill_array(GcArray* array, uint64_t at, uint64_t count, const Slot* value) {
  const ValType t = array->type->fields[0].storage;
  const size_t size = array->type->element_size;
  uint8_t* p = array->elements() + at * size;
  if (size == 1) {
    std::memset(p, uint8_t(*value), count);
    return;
  }
  for (uint64_t i = 0; i < count; ++i, p += size) runtime::store_storage(t, p, value);
}

#if !WAFER_HAS_OS
namespace {

// Drops the code of functions that have no frame on any stack: stores of an engine share the code
// of a module. Allocates nothing.
void drop_code(const Store& store, ModuleCodeImpl& module) {
  for (const Stack* stack = first_stack(store); stack; stack = stack->next)
    for (const Activation* a = stack->current; a; a = a->previous) {
      const Word* next = a->pc;
      const Slot* fp = a->fp;
      const Instance* instance = a->instance;
      while (next && fp) {
        FuncCode* code = static_cast<ModuleCodeImpl*>(instance->code.get())->find(next);
        if (!code) break;
        code->running = code->module == &module;
        const Slot* link = fp + code->link;
        next = pointer_in<const Word>(link[0]);
        fp = pointer_in<const Slot>(link[1]);
        instance = pointer_in<const Instance>(link[2]);
      }
    }
  module.drop_code();
}

void ensure_guarded(void* code) {
  auto* const c = static_cast<FuncCode*>(code);
  c->module->ensure(*c);
}

}  // namespace
#endif

bool ensure(Store& store, FuncCode& code) {
#if !WAFER_HAS_OS
  ModuleCodeImpl& module = *code.module;
  const size_t budget = store.engine().config().code_budget;
  // There may be memory now.
  if (!code.failed.ok()) module.drop(code);
  bool drop = budget && module.code_bytes() >= budget;
  for (;;) {
    if (drop) drop_code(store, module);
    if (code.entry.load(std::memory_order_relaxed)) return true;
    if (!wafer_guard(ensure_guarded, &code)) {
      // What it had is gone; without others' code there may be enough.
      module.forget(code);
      if (drop || !budget) return false;
    } else {
      if (!code.failed.ok()) return false;
      // How much it would be was not known before.
      if (!budget || module.code_bytes() <= budget) return true;
      code.running = true;
    }
    drop = true;
  }
#else
  bool ok = false;
  runtime::on_host_stack(store, [&] { ok = code.module->ensure(code); });
  return ok;
#endif
}

TrapCode translation_failed(Store& store, const FuncCode& code) {
  if (code.failed.ok()) return store.set_trap(TrapCode::OutOfMemory);
  return store.set_trap(TrapCode::HostError, code.failed.error().message);
}

TrapCode indirect_failed(Store& store, TrapCode code, runtime::Index index) {
  if (code != TrapCode::UninitializedElement) return code;
  String m(runtime::trap_message(code));
  m += ' ';
  char digits[20];
  size_t n = 0;
  do {
    digits[n++] = char('0' + index % 10);
    index /= 10;
  } while (index);
  while (n) m += digits[--n];
  return store.set_trap(code, m);
}

TrapCode call_out(Activation& a, FuncInst* func, Slot* slots) {
  Stack* stack = static_cast<Stack*>(a.store->tier_stack);
  const wasm::CanonType* type = func->type;
  a.host_func = func;
  a.host_slots = slots;
  Slot* const saved_top = stack->top;
  stack->top = slots + std::max(type->param_slots, type->result_slots);
#if WAFER_HAS_OS
  runtime::FaultScope* const scope = runtime::exchange_fault_scope(nullptr);
#endif
  if (kNarrow) clear_upper_halves(type->func.params, slots);
  const TrapCode code = func->host ? runtime::call_host(*a.store, func, a.instance, slots)
                                   : func->call(*a.store, func, slots);
#if WAFER_HAS_OS
  runtime::exchange_fault_scope(scope);
#endif
  stack->top = saved_top;
  a.host_func = nullptr;
  if (code == TrapCode::None) {
    if (WAFER_UNLIKELY(a.store->trap().code != TrapCode::None)) a.store->trap() = {};
    // Whatever the host left above.
    if (!kNarrow) clear_upper_halves(type->func.results, slots);
  }
  return code;
}

TrapCode resume_here(Activation& a, uint32_t base, uint32_t slots, uint32_t top, uint32_t first,
                     uint32_t count, uint32_t throws, bool& branch) {
  Store& store = *a.store;
  Slot* const args = a.fp + base;
  const Ref continuation = args[slots];
  const FuncCode& code = *Frame{a.pc, a.fp, a.instance}.code();
  Ref exception = runtime::kNullRef;
  if (throws == kResumeThrowRef) {
    exception = args[0];
  } else if (throws != kResumePlain) {
    GcException* e = store.gc().new_exception(a.instance->tags[throws]);
    if (!e) return store.set_trap(TrapCode::OutOfMemory);
    if (slots) std::memcpy(e->args(), args, slots * sizeof(Slot));
    exception = reinterpret_cast<Ref>(e);
  }
  // No destructor may be due here: this frame can be dropped while it waits.
  auto* const handlers = static_cast<runtime::ResumeHandler*>(
      __builtin_alloca(count * sizeof(runtime::ResumeHandler)));
  for (uint32_t i = 0; i < count; ++i) {
    const Handler& h = code.handlers[first + i];
    handlers[i] = {a.instance->tags[h.tag], h.kind == Handler::Kind::Switch};
  }
  auto* const stack = static_cast<Stack*>(store.tier_stack);
  Slot* const saved_top = stack->top;
  stack->top = a.fp + top;
#if WAFER_HAS_OS
  runtime::FaultScope* const scope = runtime::exchange_fault_scope(nullptr);
#endif
  const runtime::Resumed r = runtime::resume_continuation(
      store, continuation, {args, slots}, {handlers, count}, throws != kResumePlain, exception);
#if WAFER_HAS_OS
  runtime::exchange_fault_scope(scope);
#endif
  stack->top = saved_top;
  if (r.code == TrapCode::None) {
    Slot* to = args;
    if (r.clause != runtime::kResumeFinished) {
      const Handler& h = code.handlers[first + r.clause];
      to = a.fp + h.dst;
      to[r.values.size()] = r.continuation;
      a.pc = code.code.data() + h.target;
      branch = true;
    }
    if (!r.values.empty()) std::memmove(to, r.values.data(), r.values.size_bytes());
  }
  runtime::release(r);
  return r.code;
}

void HandlerTable::push_back(const Handler& h) {
  if (!parts_) parts_ = make_box<Parts>();
  parts_->handlers.push_back(h);
}

void HandlerTable::finish() {
  if (!parts_) return;
  auto& [handlers, points] = *parts_;
  handlers.shrink_to_fit();
  // Tries lie in one another or apart. From the last one back, `open` is the innermost whose end
  // has been met and whose beginning has not, with the outer ones by `next`.
  uint32_t open = kNoHandler;
  const auto close_from = [&](uint32_t end) {
    while (open != kNoHandler && handlers[open].begin >= end) {
      const Handler& inner = handlers[open];
      points.push_back({inner.begin, open});
      do open = handlers[open].next;
      while (open != kNoHandler && handlers[open].depth == inner.depth);
    }
  };
  // A legacy try comes after those in its catch clauses, which lie behind what it guards.
  Vec<uint32_t> order;
  if (wasm::is_built(wasm::Feature::LegacyExceptions)) {
    for (uint32_t i = 0; i < handlers.size(); ++i) order.push_back(i);
    sort(order.data(), order.data() + order.size(), [&](uint32_t a, uint32_t b) {
      return handlers[a].end != handlers[b].end ? handlers[a].end < handlers[b].end : a < b;
    });
  }
  for (uint32_t at = uint32_t(handlers.size()); at-- > 0;) {
    const uint32_t i = order.empty() ? at : order[at];
    Handler& h = handlers[i];
    if (h.begin >= h.end) continue;
    const bool same_try = open == i + 1 && handlers[open].depth == h.depth &&
                          handlers[open].begin == h.begin && handlers[open].end == h.end;
    if (!same_try) {
      close_from(h.end);
      points.push_back({h.end, open});
    }
    h.next = open;
    open = i;
  }
  close_from(0);
  points.shrink_to_fit();
}

uint32_t HandlerTable::first_at(uint32_t at) const {
  if (!parts_) return kNoHandler;
  const auto& points = parts_->points;
  const auto point = std::lower_bound(points.begin(), points.end(), at,
                                      [](const Point& p, uint32_t pc) { return p.at > pc; });
  return point == points.end() ? kNoHandler : point->handler;
}

size_t HandlerTable::bytes() const {
  return parts_ ? parts_->handlers.size() * sizeof(Handler) + parts_->points.size() * sizeof(Point)
                : 0;
}

bool unwind(Activation& a, Ref exn) {
  auto* e = reinterpret_cast<GcException*>(exn);
  Frame frame{a.pc, a.fp, a.instance};
  while (kHasHandlers) {
    const FuncCode* code = frame.code();
    const uint32_t at = frame.at();
    uint32_t max_depth = ~0u;
    for (uint32_t index = code->handlers.first_at(at); index != kNoHandler;
         index = code->handlers[index].next) {
      const Handler& h = code->handlers[index];
      if (h.depth > max_depth) continue;
      if (h.kind == Handler::Kind::Delegate) {
        max_depth = h.delegate_depth;
        continue;
      }
      if (h.kind == Handler::Kind::Catch && frame.instance->tags[h.tag] != e->tag) continue;
      Slot* dst = frame.fp + h.dst;
      const uint32_t args = h.push_args ? e->tag->type->param_slots : 0;
      const bool ref_first = h.delegate_depth == ~0u;
      if (ref_first) *dst++ = exn;
      if (args) std::memcpy(dst, e->args(), args * sizeof(Slot));
      if (h.push_ref && !ref_first) dst[args] = exn;
      a.pc = code->module->in_place()
                 ? reinterpret_cast<const Word*>(code->module->module.bytes.data() + h.target)
                 : code->code.data() + h.target;
      a.handler = &h;
      a.fp = frame.fp;
      a.instance = frame.instance;
      return true;
    }
    if (!frame.up()) break;
  }
  a.store->pending_exception = exn;
  a.trap = a.store->set_trap(TrapCode::UncaughtException);
  return false;
}

bool unwind_pending(Activation& a) {
  const Ref exn = a.store->pending_exception;
  a.store->pending_exception = runtime::kNullRef;
  return unwind(a, exn);
}

bool leave_frame_and_unwind(Activation& a, Slot pc, Slot fp, Slot instance) {
  if (!pointer_in<Slot>(fp)) {
    a.trap = TrapCode::UncaughtException;
    return false;
  }
  a.pc = pointer_in<const Word>(pc);
  a.fp = pointer_in<Slot>(fp);
  a.instance = pointer_in<Instance>(instance);
  return unwind_pending(a);
}

TrapCode call_from_native(Store& store, FuncInst* func, Slot* slots) {
  Stack* stack = stack_of(store);
  if (!stack) return store.set_trap(TrapCode::OutOfMemory, "no memory for the call stack");
  auto* code = static_cast<FuncCode*>(func->code);
  unsigned depth = 0;
  if (stack->current)
    for (const Activation* p = stack->current; p; p = p->previous) ++depth;
  if (depth >= store.engine().config().nested_calls || !native_room(store))
    return store.set_trap(TrapCode::CallStackExhausted);
  if (!code->entry.load(std::memory_order_acquire) && !ensure(store, *code))
    return translation_failed(store, *code);
  Slot* const fp = stack->top;
  if (size_t(stack->limit - fp) < code->frame_slots)
    return store.set_trap(TrapCode::CallStackExhausted);

  // A trap that the host has swallowed must not be taken for the next one.
  if (!stack->current && store.trap().code != TrapCode::None) store.clear_trap();
  Activation a;
  a.previous = stack->current;
  a.store = &store;
  a.instance = func->instance;
  a.stack_limit = stack->limit;
  if (code->param_slots) std::memcpy(fp, slots, code->param_slots * sizeof(Slot));
  if (!kNarrow) clear_upper_halves(func->type->func.params, fp);
  std::memset(fp + code->zero_begin, 0, code->zero_count * sizeof(Slot));
  Slot* link = fp + code->link;
  link[0] = reinterpret_cast<uintptr_t>(kExitCode);
  link[1] = 0;
  link[2] = reinterpret_cast<uintptr_t>(func->instance);
  stack->current = &a;

#if WAFER_HAS_OS
  runtime::FaultScope scope;
  scope.previous = runtime::exchange_fault_scope(&scope);
  if (sigsetjmp(scope.target, 0) == 0) {
    enter(a, code, fp);
  } else {
    a.trap = TrapCode::MemoryOutOfBounds;
    // Machine registers of the handler that faulted: see WAFER_PARAMS.
    a.pc = nullptr;
    a.fp = nullptr;
#if WAFER_TAIL && defined(__x86_64__)
    a.pc = reinterpret_cast<const Word*>(scope.registers[0]) + 1;
    a.fp = reinterpret_cast<Slot*>(scope.registers[1]);
#elif WAFER_TAIL && defined(__aarch64__)
    a.pc = reinterpret_cast<const Word*>(scope.registers[0]) + 1;
    a.fp = reinterpret_cast<Slot*>(scope.registers[1]);
#endif
  }
  runtime::exchange_fault_scope(scope.previous);
#else
  enter(a, code, fp);
#endif

  if (WAFER_LIKELY(a.trap == TrapCode::None)) {
    stack->current = a.previous;
    if (code->result_slots) std::memcpy(slots, fp, code->result_slots * sizeof(Slot));
    if (kNarrow) clear_upper_halves(func->type->func.results, slots);
    return TrapCode::None;
  }
  // The innermost activation that stops describes the trap; outer ones pass it on.
  runtime::TrapInfo& info = store.trap();
  const bool passed_on = a.host_func == nullptr && info.code == a.trap && !info.message.empty();
  if (!passed_on) store.set_trap(a.trap);
  if (info.backtrace.empty() && a.trap != TrapCode::Exit) collect_backtrace(*stack, a.pc, a.fp);
  stack->current = a.previous;
  return a.trap;
}

// ---- code -----------------------------------------------------------------

Result<void> FuncCode::lay_out(const wasm::Module& m, const Vec<ValType>& locals,
                               uint32_t link_slots, uint32_t free) {
  const wasm::FuncType& type = m.func_type(func_index);
  uint32_t params = 0, results = 0, slots = 0;
  for (const ValType t : type.params) params += slot_count(t);
  for (const ValType t : type.results) results += slot_count(t);
  for (const ValType t : locals) slots += slot_count(t);
  const uint32_t moved = free ? std::max(params, free) : 0;
  const uint32_t at = std::max(slots + moved, results);
  if (at + link_slots > kMaxFrameSlots)
    return failure(ErrorKind::Exhaustion, "too many locals for the interpreter",
                   m.functions[func_index].body.begin);
  param_slots = uint16_t(params);
  zero_begin = uint16_t(params + moved);
  zero_count = uint16_t(slots - params);
  result_slots = uint16_t(results);
  link = uint16_t(at);
  return {};
}

uint32_t FuncCode::before(const Word* next) const {
  if (module->in_place())
    return uint32_t(reinterpret_cast<const uint8_t*>(next) - 1 - module->module.bytes.data());
  return uint32_t(next - 1 - code.data());
}

uint32_t FuncCode::ref_map(const Word* next) const {
  if (!module->in_place()) {
    if constexpr (!kNarrow) return uint32_t(next[-1] >> 32);
    return kSafepointWords ? number_at<uint32_t>(next - 2) : 0;
  }
  const auto it = std::upper_bound(
      ref_points.begin(), ref_points.end(), before(next),
      [](uint32_t at, const std::pair<uint32_t, uint32_t>& p) { return at < p.first; });
  return it == ref_points.begin() ? 0 : it[-1].second;
}

uint32_t FuncCode::module_offset(uint32_t at) const {
#if WAFER_HAS_IN_PLACE
  if (!WAFER_HAS_TRANSLATOR || module->in_place()) return instruction_at(*this, at);
#endif
#if WAFER_HAS_TRANSLATOR
  const uint8_t* p = offsets.data();
  const uint8_t* end = p + offsets.size();
  uint64_t word = 0, offset = 0, best = 0;
  while (p < end) {
    uint64_t code_delta;
    int64_t offset_delta;
    if (read_uleb<64>(p, end, code_delta) != LebStatus::Ok) break;
    if (read_sleb<64>(p, end, offset_delta) != LebStatus::Ok) break;
    word += code_delta;
    offset += uint64_t(offset_delta);
    if (word > at) break;
    best = offset;
  }
  return uint32_t(best);
#endif
}

ModuleCodeImpl::ModuleCodeImpl(const wasm::Module& m, const runtime::Engine& engine, bool in_place)
    : module(m),
      options{engine.config().consume_fuel, engine.config().interruptible,
              engine.config().guard_pages, in_place},
      memory0_mode(m.memories.empty() ? runtime::MemoryMode::Checked
                                      : engine.memory_mode(m.memories[0].type)),
      funcs(static_cast<FuncCode*>(
          allocate(sizeof(FuncCode) * (m.functions.size() + 1), alignof(FuncCode)))),
      func_count(uint32_t(m.functions.size())) {
  for (uint32_t i = 0; i < func_count; ++i) forget(funcs[i]);
}

void ModuleCodeImpl::forget(FuncCode& code) {
  const auto index = uint32_t(&code - funcs);
  new (&code) FuncCode;
  code.module = this;
  code.func_index = index;
}

ModuleCodeImpl::~ModuleCodeImpl() {
  for (uint32_t i = 0; i < func_count; ++i) funcs[i].~FuncCode();
  release(funcs, sizeof(FuncCode) * (func_count + 1), alignof(FuncCode));
}

namespace {

Result<void> make_code(const ModuleCodeImpl& module, FuncCode& code) {
#if WAFER_HAS_IN_PLACE
  if (!WAFER_HAS_TRANSLATOR || module.in_place())
    return make_side_table(module.module, module, code);
#endif
#if WAFER_HAS_TRANSLATOR
  return translate(module.module, module, code);
#endif
}

}  // namespace

bool ModuleCodeImpl::ensure(FuncCode& code) {
  MutexLock lock(mutex_);
  if (code.entry.load(std::memory_order_relaxed)) return true;
  if (!code.failed.ok()) return false;
  if (Result<void> r = make_code(*this, code); !r.ok()) {
    code.failed = std::move(r);
    return false;
  }
  code.handlers.finish();
  by_address_.push_back(&code);
  sorted_ = false;
  code.entry.store(code.code.data(), std::memory_order_release);
  return true;
}

#if !WAFER_HAS_OS
size_t ModuleCodeImpl::code_bytes() const {
  size_t bytes = 0;
  for (const FuncCode* f : by_address_)
    bytes += f->code.size() * sizeof(Word) + f->handlers.bytes() + f->offsets.size();
  return bytes;
}

void ModuleCodeImpl::drop_code() {
  FuncCode** to = by_address_.begin();
  for (FuncCode* f : by_address_) {
    if (std::exchange(f->running, false)) {
      *to++ = f;
      continue;
    }
    drop(*f);
  }
  by_address_.resize(size_t(to - by_address_.begin()));
}
#endif

FuncCode* ModuleCodeImpl::find(const Word* next) {
#if WAFER_HAS_IN_PLACE
  if (!WAFER_HAS_TRANSLATOR || in_place()) {
    const auto* byte = reinterpret_cast<const uint8_t*>(next) - 1;
    const auto begin = module.functions.begin() + module.imported_functions;
    const auto it =
        std::upper_bound(begin, module.functions.end(), uint32_t(byte - module.bytes.data()),
                         [](uint32_t at, const wasm::Function& f) { return at < f.body.begin; });
    return it == begin ? nullptr : &funcs[it - module.functions.begin() - 1];
  }
#endif
#if WAFER_HAS_TRANSLATOR
  const Word* const pc = next - 1;
  MutexLock lock(mutex_);
  if (!sorted_) {
    sort(by_address_.data(), by_address_.data() + by_address_.size(),
         [](const FuncCode* a, const FuncCode* b) { return a->code.data() < b->code.data(); });
    sorted_ = true;
  }
  auto it = std::upper_bound(by_address_.begin(), by_address_.end(), pc,
                             [](const Word* p, const FuncCode* c) { return p < c->code.data(); });
  if (it == by_address_.begin()) return nullptr;
  FuncCode* c = *--it;
  return pc < c->code.data() + c->code.size() ? c : nullptr;
#endif
}

// ---- tier -----------------------------------------------------------------

namespace {

class InterpTier final : public runtime::Tier {
 public:
  explicit constexpr InterpTier(bool in_place = !WAFER_HAS_TRANSLATOR) : in_place_(in_place) {}
#if WAFER_HAS_TRANSLATOR && WAFER_HAS_IN_PLACE
  wasm::FeatureSet features() const override {
    return in_place_ ? in_place_features() : Tier::features();
  }
#endif

  Result<void> attach(Instance& instance) override {
    const wasm::Module& module = *instance.module;
    const runtime::Engine& engine = instance.store->engine();
#if WAFER_HAS_XIP
    if (module.precompiled) return attach_xip(instance);
#endif
#if WAFER_HAS_OS
    if (engine.config().guard_pages) runtime::install_fault_handlers();
#endif
    ModuleCodeImpl* code;
    {
      // Instances of a module share its code.
      MutexLock lock(module.tier_mutex);
      code = static_cast<ModuleCodeImpl*>(module.tier_code.get());
      const CodeOptions wanted{engine.config().consume_fuel, engine.config().interruptible,
                               engine.config().guard_pages, in_place_};
      if (!code || !(code->options == wanted)) {
        Shared<ModuleCodeImpl> made = make_shared_in<ModuleCodeImpl>(module, engine, in_place_);
        code = made.get();
        module.tier_code = std::move(made);
      }
      instance.code = shared_cast<ModuleCodeImpl>(module.tier_code);
    }
    for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i) {
      FuncInst* f = instance.funcs[i];
      f->code = &code->funcs[i];
      f->call = &call_from_native;
    }
    // On small systems there are budgets, and a lack of memory to be undone: only on first calls.
    if (WAFER_HAS_OS && !engine.config().lazy_translation) return translate_all(instance);
    return {};
  }

  void detach_store(Store& store) override {
    if (store.tier_stack) store.tier_stack->destroy();
    store.tier_stack = nullptr;
  }

 private:
  const bool in_place_;
};

}  // namespace

runtime::Tier* tier() {
  static InterpTier instance;
  return &instance;
}

#if WAFER_HAS_OS
runtime::Tier* in_place_tier() {
  static InterpTier instance(true);
  return &instance;
}
#endif

Result<void> translate_all(Instance& instance) {
  auto* code = static_cast<ModuleCodeImpl*>(instance.code.get());
  for (uint32_t i = instance.module->imported_functions; i < code->func_count; ++i) {
    if (!code->ensure(code->funcs[i])) {
      const Error& e = code->funcs[i].failed.error();
      return Error(e.kind, e.message, e.offset);
    }
  }
  return {};
}

}  // namespace wafer::interp
