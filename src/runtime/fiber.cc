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

Fiber::Fiber(Store& store, FuncInst* func, uint8_t* stack)
    : store_(&store), func_(func), stack_(stack) {
  StackPool& pool = store.engine().stacks();
  top_ = reinterpret_cast<uintptr_t>(stack + pool.stack_bytes());
  native_limit_ = reinterpret_cast<uintptr_t>(stack + pool.value_bytes() + kGuard + kReserve);
  mine_.native.stack_limit = native_limit_;
  auto* const base = reinterpret_cast<void**>(top_ - 16);
  base[0] = &host_sp_;
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
  sp_ = frame;
#ifdef WAFER_TSAN
  known_.tsan = __tsan_create_fiber(0);
#endif
  next_ = store.fibers;
  if (next_) next_->previous_ = this;
  store.fibers = this;
}

Result<Box<Fiber>> Fiber::create(Store& store, FuncInst* func, std::span<const Slot> args) {
  uint8_t* const stack = store.engine().stacks().acquire();
  if (!stack) return Error(ErrorKind::Exhaustion, "no memory for a stack");
  auto fiber = make_box<Fiber>(store, func, stack);
  const wasm::CanonType& type = *func->type;
  fiber->slots_.resize(std::max<size_t>(type.param_slots, type.result_slots));
  std::copy(args.begin(), args.end(), fiber->slots_.begin());
  return fiber;
}

Fiber::~Fiber() {
  if (active_) panic("a computation that runs was destroyed");
  forsake();
}

void Fiber::forsake() {
  if (!store_) return;
  drop_stack();
  (previous_ ? previous_->next_ : store_->fibers) = next_;
  if (next_) next_->previous_ = previous_;
  store_ = nullptr;
}

void Fiber::drop_stack() {
  if (!stack_) return;
  if (mine_.tier) mine_.tier->destroy();
  mine_.tier = nullptr;
#ifdef WAFER_TSAN
  __tsan_destroy_fiber(known_.tsan);
#endif
  store_->engine().stacks().release(stack_);
  stack_ = nullptr;
  sp_ = nullptr;
  top_ = 0;
}

void Fiber::enter() {
  host_.tier = store_->tier_stack;
  store_->tier_stack = mine_.tier;
  if (store_->native_state) {
    host_.native = *store_->native_state;
    *store_->native_state = mine_.native;
  } else {
    host_.native = {};
  }
  store_->current_fiber = this;
  host_scope_ = exchange_fault_scope(my_scope_);
}

void Fiber::leave() {
  mine_.tier = store_->tier_stack;
  store_->tier_stack = host_.tier;
  if (store_->native_state) {
    mine_.native = *store_->native_state;
    *store_->native_state = host_.native;
  }
  store_->current_fiber = nullptr;
  my_scope_ = exchange_fault_scope(host_scope_);
}

Fiber::Pause Fiber::resume(TrapCode code, std::span<const Slot> results) {
  result_code_ = code;
  results_ = results;
  const auto sp = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  if (WAFER_UNLIKELY(!room_below(sp))) {
    // Guests resume guests through the host, over and over.
    outcome_ = store_->set_trap(TrapCode::CallStackExhausted);
    drop_stack();
    return pause_ = Pause::Finished;
  }
  outer_ = store_->active_fiber;
  store_->active_fiber = this;
  active_ = true;
  enter();
#ifdef WAFER_ASAN
  const size_t low = native_limit_ - kReserve;
  __sanitizer_start_switch_fiber(&known_.host_fake_stack, reinterpret_cast<const void*>(low),
                                 top_ - low);
#endif
#ifdef WAFER_TSAN
  known_.host_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(known_.tsan, 0);
#endif
  wafer_fiber_switch(&host_sp_, sp_);
#ifdef WAFER_ASAN
  __sanitizer_finish_switch_fiber(known_.host_fake_stack, nullptr, nullptr);
#endif
  active_ = false;
  store_->active_fiber = outer_;
  outer_ = nullptr;
  if (pause_ == Pause::Finished) drop_stack();
  return pause_;
}

void Fiber::switch_to_host(bool last) {
  leave();
#ifdef WAFER_ASAN
  __sanitizer_start_switch_fiber(last ? nullptr : &known_.fake_stack, known_.host_bottom,
                                 known_.host_bytes);
#endif
#ifdef WAFER_TSAN
  __tsan_switch_to_fiber(known_.host_tsan, 0);
#endif
  wafer_fiber_switch(&sp_, host_sp_);
#ifdef WAFER_ASAN
  __sanitizer_finish_switch_fiber(known_.fake_stack, &known_.host_bottom, &known_.host_bytes);
#endif
}

void Fiber::run() {
#ifdef WAFER_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &known_.host_bottom, &known_.host_bytes);
#endif
  outcome_ = func_->call(*store_, func_, slots_.data());
  pause_ = Pause::Finished;
  switch_to_host(true);
}

void Fiber::on_host_stack(void (*run)(void*), void* argument) {
  struct Run {
    Fiber* self;
    void (*run)(void*);
    void* argument;
  } there{this, run, argument};
  leave();
#ifdef WAFER_ASAN
  __sanitizer_start_switch_fiber(&known_.fake_stack, known_.host_bottom, known_.host_bytes);
#endif
#ifdef WAFER_TSAN
  __tsan_switch_to_fiber(known_.host_tsan, 0);
#endif
  auto* const stack =
      reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(host_sp_) & ~uintptr_t{15});
  wafer_call_on_stack(
      [](void* p) {
        const Run& r = *static_cast<Run*>(p);
#ifdef WAFER_ASAN
        Fiber& self = *r.self;
        __sanitizer_finish_switch_fiber(self.known_.host_fake_stack, nullptr, nullptr);
#endif
        r.run(r.argument);
#ifdef WAFER_ASAN
        const size_t low = self.native_limit_ - kReserve;
        __sanitizer_start_switch_fiber(&self.known_.host_fake_stack,
                                       reinterpret_cast<const void*>(low), self.top_ - low);
#endif
#ifdef WAFER_TSAN
        __tsan_switch_to_fiber(r.self->known_.tsan, 0);
#endif
      },
      &there, stack, &sp_);
#ifdef WAFER_ASAN
  __sanitizer_finish_switch_fiber(known_.fake_stack, &known_.host_bottom, &known_.host_bytes);
#endif
  enter();
}

TrapCode Fiber::call_host(FuncInst* func, Instance* caller, Slot* slots) {
  struct Call {
    Fiber* self;
    FuncInst* func;
    Instance* caller;
    Slot* slots;
    TrapCode code;
  } call{this, func, caller, slots, TrapCode::None};
  on_host_stack(
      [](void* p) {
        Call& c = *static_cast<Call*>(p);
        CallContext context{*c.self->store_, c.caller, c.self, c.func};
        c.code = c.func->host(c.func->host_env, context, c.slots);
      },
      &call);
  if (call.code != TrapCode::Pending) return call.code;
  pause_ = Pause::HostCall;
  switch_to_host(false);
  if (result_code_ == TrapCode::None && !results_.empty())
    std::memcpy(slots, results_.data(), results_.size_bytes());
  return result_code_;
}

bool Fiber::wait_for(Pause reason) {
  for (;;) {
    int64_t owed = 0;
    if (reason == Pause::OutOfFuel) {
      if (store_->fuel >= 0) return true;
      owed = -std::exchange(store_->fuel, 0);
    } else if (!store_->interrupt_flag.load(std::memory_order_relaxed)) {
      return true;
    }
    pause_ = reason;
    switch_to_host(false);
    store_->fuel -= owed;
    if (result_code_ != TrapCode::None) return false;
  }
}

std::span<Slot> Fiber::value_memory() const {
  return {reinterpret_cast<Slot*>(stack_), store_->engine().stacks().value_bytes() / sizeof(Slot)};
}

void Fiber::enumerate_roots(RootVisitor& visitor) const {
  if (mine_.tier) mine_.tier->enumerate_roots(visitor);
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
                        "host function that finishes later was not called asynchronously");
}

}  // namespace wafer::runtime
