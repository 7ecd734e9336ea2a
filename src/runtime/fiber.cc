#include "runtime/fiber.h"

#if WAFER_HAS_FIBERS

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/fault.h"
#include "runtime/memory_region.h"

#if defined(__SANITIZE_ADDRESS__)
#define WAFER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WAFER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WAFER_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WAFER_TSAN 1
#endif

#ifdef WAFER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WAFER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

extern "C" {
void wafer_fiber_switch(void** save, void* to);
void wafer_fiber_start();
void wafer_call_on_stack(void (*run)(void*), void* argument, void* stack, void** save);
__attribute__((visibility("hidden"), used)) void wafer_fiber_main(wafer::runtime::Fiber* self);
extern void* __libc_stack_end;  // NOLINT(bugprone-reserved-identifier): glibc's
}

namespace wafer::runtime {

// ---- Stacks

namespace {

constexpr size_t kReserve = 256u << 10;
constexpr size_t kGuard = 64u << 10;
// Stacks that wait with their memory for the next use.
constexpr size_t kWarm = 64;
// Guards that cost the system two mappings each.
constexpr size_t kMostDearGuards = 8000;
constexpr size_t kFirstStacks = 16, kMostStacks = 1024;

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

}  // namespace

StackPool::StackPool(size_t bytes)
    : value_bytes_(round_to_os_page(std::max<size_t>(bytes, 16u << 10))),
      stack_bytes_(value_bytes_ + kGuard + kReserve + value_bytes_) {}

StackPool::~StackPool() {
  for (const Mapping& m : mappings_) munmap(m.base, m.bytes);
}

size_t StackPool::reserve() { return kReserve; }

size_t StackPool::in_use() const {
  const MutexLock lock(mutex_);
  return in_use_;
}

bool StackPool::grow() {
  size_t count = kFirstStacks;
  for (size_t i = 0; i < mappings_.size() && count < kMostStacks; ++i) count *= 2;
  for (; count; count /= 2) {
    const size_t bytes = count * stack_bytes_;
    void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED) continue;
    // A huge page would commit many stacks at once.
    madvise(p, bytes, MADV_NOHUGEPAGE);
    mappings_.push_back({static_cast<uint8_t*>(p), bytes});
    fresh_ = static_cast<uint8_t*>(p);
    fresh_end_ = fresh_ + bytes;
    return true;
  }
  return false;
}

uint8_t* StackPool::acquire() {
  const MutexLock lock(mutex_);
  if (!idle_.empty()) {
    uint8_t* const stack = idle_.back();
    idle_.pop_back();
    trimmed_ = std::min(trimmed_, idle_.size());
    ++in_use_;
    return stack;
  }
  if (fresh_ == fresh_end_ && !grow()) return nullptr;
  uint8_t* const stack = fresh_;
  fresh_ += stack_bytes_;
  uint8_t* const guard = stack + value_bytes_;
  if (cheap_guards_ && madvise(guard, kGuard, MADV_GUARD_INSTALL) != 0) cheap_guards_ = false;
  if (!cheap_guards_ && guards_ < kMostDearGuards && mprotect(guard, kGuard, PROT_NONE) == 0)
    ++guards_;
  ++in_use_;
  return stack;
}

void StackPool::release(uint8_t* stack) {
#ifdef WAFER_ASAN
  const size_t native = value_bytes_ + kGuard;
  __asan_unpoison_memory_region(stack + native, stack_bytes_ - native);
#endif
  const MutexLock lock(mutex_);
  --in_use_;
  idle_.push_back(stack);
  if (idle_.size() - trimmed_ > kWarm) trim(idle_[trimmed_++]);
}

void StackPool::trim(uint8_t* stack) const {
  madvise(stack, value_bytes_, MADV_DONTNEED);
  const size_t native = value_bytes_ + kGuard;
  madvise(stack + native, stack_bytes_ - native, MADV_DONTNEED);
}

// ---- The thread's stack

namespace {

struct ThreadStack {
  uintptr_t low = 0;  // as far as is known
  size_t bytes = 0;
};

const ThreadStack& thread_stack() {
  thread_local const ThreadStack stack = [] {
    if (getpid() == pid_t(syscall(SYS_gettid))) {
      // Asking for the attributes of the main thread reads a list of all mappings.
      rlimit limit{};
      getrlimit(RLIMIT_STACK, &limit);
      constexpr rlim_t kMost = rlim_t(1) << 30;
      const auto top = reinterpret_cast<uintptr_t>(__libc_stack_end);
      const auto bytes = size_t(std::min(limit.rlim_cur, kMost));
      return ThreadStack{top - bytes, bytes};
    }
    pthread_attr_t attributes;
    void* base = nullptr;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
      pthread_attr_getstack(&attributes, &base, &size);
      pthread_attr_destroy(&attributes);
    }
    return ThreadStack{reinterpret_cast<uintptr_t>(base), size};
  }();
  return stack;
}

// Is there enough of the thread's stack for host functions?
bool room_below(uintptr_t sp) {
  const ThreadStack& stack = thread_stack();
  return sp - stack.low >= std::min(kReserve, stack.bytes / 4);
}

}  // namespace

uintptr_t thread_stack_floor(uintptr_t sp) {
  const uintptr_t low = thread_stack().low;
  const uintptr_t room = sp > low ? sp - low : 0;
  return low + std::min<uintptr_t>(kReserve, room / 4);
}

// ---- Fibers

namespace {

// Takes what belongs to the present stack away from the store, and puts another's there.
void put_state_away(Store& store, StackSide& side) {
  side.state.tier = store.tier_stack;
  if (store.native_state)
    side.state.native = *store.native_state;
  else if (!side.fiber)
    side.state.native = {};
}
void take_state_up(Store& store, const StackSide& side) {
  store.tier_stack = side.state.tier;
  if (store.native_state) *store.native_state = side.state.native;
  store.current_fiber = side.fiber;
}
// The same with what faults of the code that runs on it.
void put_away(Store& store, StackSide& side) {
  put_state_away(store, side);
  side.scope = exchange_fault_scope(nullptr);
}
void take_up(Store& store, const StackSide& side) {
  take_state_up(store, side);
  exchange_fault_scope(side.scope);
}

// Sanitizers are told before control leaves `from` for `to`, and after it has come to `at`.
void before_switch(Store& store, StackSide& from, const StackSide& to, bool last) {
#ifdef WAFER_ASAN
  store.came_from = &from;
  __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.bottom, to.bytes);
#endif
#ifdef WAFER_TSAN
  from.tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.tsan, 0);
#endif
}
void after_switch(Store& store, StackSide& at) {
#ifdef WAFER_ASAN
  StackSide& from = *static_cast<StackSide*>(store.came_from);
  __sanitizer_finish_switch_fiber(at.fake_stack, &from.bottom, &from.bytes);
#endif
}

}  // namespace

Fiber::Fiber(Store& store, FuncInst* func, uint8_t* stack, bool computation)
    : store_(&store), func_(func), stack_(stack), computation_(computation) {
  StackPool& pool = store.engine().stacks();
  fiber = this;
  top_ = reinterpret_cast<uintptr_t>(stack + pool.stack_bytes());
  native_limit_ = reinterpret_cast<uintptr_t>(stack + pool.value_bytes() + kGuard + kReserve);
  state.native.stack_limit = native_limit_;
  bottom = reinterpret_cast<const void*>(native_limit_ - kReserve);
  bytes = top_ - (native_limit_ - kReserve);
  auto* const base = reinterpret_cast<void**>(top_ - 16);
#if defined(__x86_64__)
  void** const frame = base - 7;
  std::memset(static_cast<void*>(frame), 0, 7 * sizeof(void*));
  frame[3] = this;  // r12
  frame[6] = reinterpret_cast<void*>(&wafer_fiber_start);
#elif defined(__aarch64__)
  void** const frame = base - 20;
  std::memset(static_cast<void*>(frame), 0, 20 * sizeof(void*));
  frame[1] = reinterpret_cast<void*>(&wafer_fiber_start);  // x30
  frame[2] = this;                                         // x19
#endif
  sp = frame;
#ifdef WAFER_TSAN
  tsan = __tsan_create_fiber(0);
#endif
  next_ = store.fibers;
  if (next_) next_->previous_ = this;
  store.fibers = this;
}

Fiber* Fiber::create_with(Store& store, FuncInst* func, std::span<const Slot> args,
                          bool computation) {
  uint8_t* const stack = store.engine().stacks().acquire();
  if (!stack) return nullptr;
  auto fiber = make_box<Fiber>(store, func, stack, computation);
  const wasm::CanonType& type = *func->type;
  fiber->slots_.resize(std::max<size_t>(type.param_slots, type.result_slots));
  std::copy(args.begin(), args.end(), fiber->slots_.begin());
  return fiber.release();
}

Result<Box<Fiber>> Fiber::create(Store& store, FuncInst* func, std::span<const Slot> args) {
  Box<Fiber> fiber(create_with(store, func, args, true));
  if (!fiber) return failure(ErrorKind::Exhaustion, "no memory for a stack");
  return fiber;
}

Fiber* Fiber::create_for_continuation(Store& store, FuncInst* func, std::span<const Slot> args) {
  return create_with(store, func, args, false);
}

Fiber::~Fiber() {
  if (active_) panic("a computation that runs was destroyed");
  forsake();
}

void Fiber::forsake() {
  if (!store_) return;
  // What a computation waits in is nobody else's.
  while (innermost_ && innermost_ != this) {
    Fiber* const f = innermost_;
    innermost_ = f->resumer_;
    Box<Fiber>(f).reset();
  }
  drop_stack();
  (previous_ ? previous_->next_ : store_->fibers) = next_;
  if (next_) next_->previous_ = previous_;
  store_ = nullptr;
}

void Fiber::drop_stack() {
  if (!stack_) return;
  if (state.tier) state.tier->destroy();
  state.tier = nullptr;
#ifdef WAFER_TSAN
  __tsan_destroy_fiber(tsan);
#endif
  store_->engine().stacks().release(stack_);
  stack_ = nullptr;
  sp = nullptr;
  top_ = 0;
}

void Fiber::link_to(StackSide& side) { reinterpret_cast<void**>(top_ - 16)[0] = &side.sp; }

StackSide& Fiber::resumer_side() const {
  return resumer_ ? static_cast<StackSide&>(*resumer_) : *store_->host_side;
}

void Fiber::go(Store& store, StackSide& from, StackSide& to, bool last) {
  put_away(store, from);
  take_up(store, to);
  before_switch(store, from, to, last);
  wafer_fiber_switch(&from.sp, to.sp);
  after_switch(store, from);
}

Fiber::Pause Fiber::resume(TrapCode code, std::span<const Slot> results) {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (WAFER_UNLIKELY(!room_below(here))) {
    // Guests resume guests through the host, over and over.
    outcome_ = store_->set_trap(TrapCode::CallStackExhausted);
    drop_stack();
    return pause_ = Pause::Finished;
  }
  Fiber* const waits = std::exchange(innermost_, nullptr);
  Fiber& inner = waits ? *waits : *this;
  inner.result_code_ = code;
  inner.results_ = results;
  HostSide side;
  side.resumed = this;
  side.outer = store_->host_side;
  store_->host_side = &side;
  active_ = true;
  link_to(side);
  go(*store_, side, inner);
  active_ = false;
  store_->host_side = side.outer;
  if (pause_ == Pause::Finished) drop_stack();
  return pause_;
}

void Fiber::run() {
  after_switch(*store_, *this);
  outcome_ = func_->call(*store_, func_, slots_.data());
  pause_ = Pause::Finished;
  clause = kFinished;
  store_->came_back = this;
  go(*store_, *this, resumer_side(), true);
}

void Fiber::on_host_stack(void (*run)(void*), void* argument) {
  struct Run {
    Store& store;
    Fiber& self;
    HostSide& host;
    void (*run)(void*);
    void* argument;
  } there{*store_, *this, *store_->host_side, run, argument};
  there.host.calling = this;
  // Host code may run, whatever the stack holds: no fault in it is one of the code below.
  put_away(*store_, *this);
  take_state_up(*store_, there.host);
  before_switch(*store_, *this, there.host, false);
  auto* const stack =
      reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(there.host.sp) & ~uintptr_t{15});
  wafer_call_on_stack(
      [](void* p) {
        const Run& r = *static_cast<Run*>(p);
        after_switch(r.store, r.host);
        r.run(r.argument);
        before_switch(r.store, r.host, r.self, false);
      },
      &there, stack, &sp);
  after_switch(*store_, *this);
  put_state_away(*store_, there.host);
  take_up(*store_, *this);
}

TrapCode Fiber::call_host(FuncInst* func, Instance* caller, Slot* slots) {
  struct Call {
    Store& store;
    FuncInst* func;
    Instance* caller;
    Slot* slots;
    Fiber* waits;
    TrapCode code;
  } call{*store_, func, caller, slots, store_->host_side->resumed, TrapCode::None};
  // A continuation that plain code resumed cannot wait.
  if (!call.waits->computation_) call.waits = nullptr;
  on_host_stack(
      [](void* p) {
        Call& c = *static_cast<Call*>(p);
        CallContext context{c.store, c.caller, c.waits, c.func};
        c.code = c.func->host(c.func->host_env, context, c.slots);
      },
      &call);
  if (WAFER_LIKELY(call.code != TrapCode::Pending)) return call.code;
  if (!call.waits) return pending_without_fiber(*store_);
  call.waits->pause_ = Pause::HostCall;
  call.waits->innermost_ = this;
  go(*store_, *this, *store_->host_side);
  if (result_code_ == TrapCode::None && !results_.empty())
    std::memcpy(slots, results_.data(), results_.size_bytes());
  return result_code_;
}

bool Fiber::wait_for(Pause reason) {
  if (!store_->host_side->resumed->computation_) return false;
  for (;;) {
    int64_t owed = 0;
    if (reason == Pause::OutOfFuel) {
      if (store_->fuel >= 0) return true;
      owed = -std::exchange(store_->fuel, 0);
    } else if (!store_->interrupt_flag.load(std::memory_order_relaxed)) {
      return true;
    }
    Fiber& waits = *store_->host_side->resumed;
    waits.pause_ = reason;
    waits.innermost_ = this;
    go(*store_, *this, *store_->host_side);
    store_->fuel -= owed;
    if (result_code_ != TrapCode::None) return false;
  }
}

void Fiber::resume_from_here(Store& store, Fiber& outer, Fiber& inner, TrapCode code,
                             std::span<const Slot> values) {
  inner.result_code_ = code;
  inner.results_ = values;
  outer.resumer_ = store.current_fiber;
  if (Fiber* const here = store.current_fiber) {
    outer.link_to(*here);
    go(store, *here, inner);
    return;
  }
  HostSide side;
  side.resumed = &outer;
  side.outer = store.host_side;
  store.host_side = &side;
  outer.link_to(side);
  go(store, side, inner);
  store.host_side = side.outer;
}

TrapCode Fiber::suspend_to_resumer(Store& store, Fiber& outer, std::span<const Slot>& values) {
  Fiber& here = *store.current_fiber;
  go(store, here, outer.resumer_side());
  values = here.results_;
  return here.result_code_;
}

TrapCode Fiber::switch_chains(Store& store, Fiber& outer, Fiber& to_outer, Fiber& to_inner,
                              std::span<const Slot> in, std::span<const Slot>& out) {
  Fiber& here = *store.current_fiber;
  to_inner.result_code_ = TrapCode::None;
  to_inner.results_ = in;
  to_outer.resumer_ = outer.resumer_;
  to_outer.handlers = outer.handlers;
  to_outer.link_to(outer.resumer_side());
  if (!outer.resumer_) store.host_side->resumed = &to_outer;
  go(store, here, to_inner);
  out = here.results_;
  return here.result_code_;
}

std::span<Slot> Fiber::value_memory() const {
  return {reinterpret_cast<Slot*>(stack_), store_->engine().stacks().value_bytes() / sizeof(Slot)};
}

void Fiber::enumerate_roots(RootVisitor& visitor) const {
  if (state.tier) state.tier->enumerate_roots(visitor);
  for (const Slot s : slots_)
    if (store_->gc().owns(s)) visitor.visit(s);
}

bool wait_for_fuel(Store& store) {
  return store.current_fiber && store.current_fiber->wait_for(Fiber::Pause::OutOfFuel);
}

bool wait_for_interrupt(Store& store) {
  return store.current_fiber && store.current_fiber->wait_for(Fiber::Pause::Interrupted);
}

}  // namespace wafer::runtime

extern "C" void wafer_fiber_main(wafer::runtime::Fiber* self) { self->run(); }

#else

namespace wafer::runtime {

bool wait_for_fuel(Store&) { return false; }
bool wait_for_interrupt(Store&) { return false; }

}  // namespace wafer::runtime

#endif

namespace wafer::runtime {

TrapCode pending_without_fiber(Store& store) {
  return store.set_trap(TrapCode::HostError,
                        WAFER_MESSAGE(trap_message(TrapCode::Pending),
                                      "host function that finishes later was not called "
                                      "asynchronously"));
}

}  // namespace wafer::runtime
