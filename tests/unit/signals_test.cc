// Signal handlers of the embedder beside Wafer's: whoever comes first, each gets its own
// faults. And engines that use no signals.
#include <gtest/gtest.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tier_engine.h"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

constexpr std::string_view kTraps = R"((module
  (memory 1)
  (func $load (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "unreachable") (param i32) (result i32) unreachable)
  (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
  (func $deep (export "deep") (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0))))
  (func (export "outer") (param i32) (result i32) (i32.add (i32.const 1) (call $load (local.get 0))))
  (table 1 funcref)
  (func (export "indirect") (param i32) (result i32) (call_indirect (param i32) (result i32) (local.get 0) (local.get 0)))))";

// A module in a store of its own.
struct Program {
  Engine engine;
  Store store;
  Instance instance;
  explicit Program(const Config& config = {}) : engine(config), store(engine) {
    auto module = compile_wat(engine, kTraps);
    EXPECT_TRUE(module.ok());
    auto made = Instance::create(store, *module);
    EXPECT_TRUE(made.ok()) << made.error().message;
    instance = *made;
  }
  // The trap of a call, which must trap.
  TrapCode call(const char* name, int32_t argument) {
    auto result = (*instance.func<int32_t(int32_t)>(name))(argument);
    EXPECT_FALSE(result.ok()) << name;
    return store.last_trap().code;
  }
  void expect_traps() {
    EXPECT_EQ(call("load", -1), TrapCode::MemoryOutOfBounds);
    EXPECT_EQ(call("outer", 0x10000), TrapCode::MemoryOutOfBounds);
    EXPECT_EQ(store.last_trap().backtrace.size(), 2u);
    EXPECT_EQ(call("unreachable", 0), TrapCode::Unreachable);
    EXPECT_EQ(call("divide", 0), TrapCode::IntegerDivideByZero);
    EXPECT_EQ(call("deep", 0), TrapCode::CallStackExhausted);
    EXPECT_EQ(call("indirect", 7), TrapCode::UndefinedElement);
    EXPECT_EQ(call("indirect", 0), TrapCode::UninitializedElement);
    EXPECT_EQ(*(*instance.func<int32_t(int32_t)>("load"))(4), 0);
  }
};

sigjmp_buf g_back;
volatile int g_seen = 0;
struct sigaction g_found[NSIG];  // before the embedder's handler

void jump_back(int, siginfo_t*, void*) {
  g_seen = g_seen + 1;
  siglongjmp(g_back, 1);
}
void end_at_once(int, siginfo_t*, void*) { _exit(9); }
void ask_wafer(int signal, siginfo_t* info, void* context) {
  if (handle_signal(signal, info, context)) return;
  jump_back(signal, info, context);
}
// Hands on to what it found when it was installed.
void hand_on(int signal, siginfo_t* info, void* context) {
  g_seen = g_seen + 1;
  const struct sigaction& found = g_found[signal];
  if (found.sa_flags & SA_SIGINFO) {
    found.sa_sigaction(signal, info, context);
  } else {
    signal == SIGSEGV ? _exit(3) : _exit(4);
  }
}

void install(void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL}) sigaction(signal, &action, &g_found[signal]);
}

void* guarded_page() {
  static void* const page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return page;
}

// Faults of the embedder's own, and says whether its handler saw them.
bool own_faults_are_seen() {
  for (int round = 0; round < 3; ++round) {
    const int before = g_seen;
    if (sigsetjmp(g_back, 1) == 0) *static_cast<volatile int*>(guarded_page()) = 1;
    if (g_seen != before + 1) return false;
    if (sigsetjmp(g_back, 1) == 0) __builtin_trap();  // ud2: an illegal instruction
    if (g_seen != before + 2) return false;
  }
  return true;
}

class Signals : public testing::Test {
 protected:
  void SetUp() override {
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL}) sigaction(signal, nullptr, &before_[signal]);
  }
  void TearDown() override {
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL}) sigaction(signal, &before_[signal], nullptr);
  }

 private:
  struct sigaction before_[NSIG];
};

TEST_F(Signals, HandlerFromBefore) {
  install(jump_back);
  Program program;
  program.expect_traps();
  EXPECT_TRUE(own_faults_are_seen());
  program.expect_traps();
}

TEST_F(Signals, HandlerFromAfterThatAsks) {
  Program program;
  for (const int flags : {0, SA_NODEFER}) {
    install(ask_wafer, flags);
    program.expect_traps();
    EXPECT_TRUE(own_faults_are_seen());
    program.expect_traps();
    // In the interpreter too, whose traps leave by a jump.
    Config config;
    config.tier = Tier::Interpreter;
    Program interpreted(config);
    install(ask_wafer, flags);
    interpreted.expect_traps();
    interpreted.expect_traps();
    EXPECT_TRUE(own_faults_are_seen());
  }
}

TEST_F(Signals, HandlerFromAfterThatDoesNotAsk) {
  Program program;
  // As often as one likes.
  for (int i = 0; i < 20; ++i) {
    install(jump_back);
    install_signal_handlers();
    program.expect_traps();
    EXPECT_TRUE(own_faults_are_seen());
  }
  install(jump_back);
  Program another;  // an instantiation does it as well
  another.expect_traps();
  program.expect_traps();
  EXPECT_TRUE(own_faults_are_seen());
}

// A handler that hands on to Wafer's comes to what was there before that.
TEST_F(Signals, HandlersThatHandOn) {
  install(jump_back);
  Program program;
  install(hand_on);
  Program another;
  another.expect_traps();
  EXPECT_TRUE(([] {
    const int before = g_seen;
    if (sigsetjmp(g_back, 1) == 0) *static_cast<volatile int*>(guarded_page()) = 1;
    return g_seen == before + 2;  // both
  })());
  program.expect_traps();
}

// Even if they hand on in a ring.
TEST_F(Signals, RingOfHandlersEnds) {
  EXPECT_EXIT(
      {
        signal(SIGSEGV, SIG_DFL);
        install(hand_on);
        install_signal_handlers();
        install(hand_on);  // forgets what was there before
        *static_cast<volatile int*>(guarded_page()) = 1;
      },
      testing::KilledBySignal(SIGSEGV), "");
}

TEST_F(Signals, DefaultActionStays) {
  const auto defaults = [] {
    for (const int s : {SIGSEGV, SIGBUS, SIGILL}) signal(s, SIG_DFL);
    Program program;
    program.expect_traps();
  };
  EXPECT_EXIT((defaults(), *static_cast<volatile int*>(guarded_page()) = 1),
              testing::KilledBySignal(SIGSEGV), "");
  // Sent by somebody, without a fault.
  EXPECT_EXIT((defaults(), raise(SIGSEGV), _exit(0)), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT((defaults(), kill(getpid(), SIGILL), _exit(0)), testing::KilledBySignal(SIGILL), "");
  EXPECT_EXIT((signal(SIGBUS, SIG_IGN), install_signal_handlers(), raise(SIGBUS), _exit(0)),
              testing::ExitedWithCode(0), "");
}

// Where no signals are wanted, none come and no handler is touched.
TEST_F(Signals, EnginesWithout) {
  EXPECT_EXIT(
      {
        install(end_at_once);
        for (const Tier tier : kTiers) {
          Config config;
          config.signals = false;
          config.tier = tier;
          Engine engine(config);
          Store probe(engine);
          auto module = compile_wat(engine, kTraps);
          // A tier that this build lacks.
          if (auto made = Instance::create(probe, *module);
              !made.ok() && made.error().kind == ErrorKind::Unsupported)
            continue;
          Program program(config);
          program.expect_traps();
          for (const int s : {SIGSEGV, SIGBUS, SIGILL}) {
            struct sigaction now = {};
            sigaction(s, nullptr, &now);
            EXPECT_EQ(now.sa_sigaction, &end_at_once);
          }
        }
        _exit(testing::Test::HasFailure() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

// ---- The optimizing compiler cannot be found --------------------------------------------

struct Heard {
  std::atomic<int> count{0};
  std::string message;
};
void hear(void* env, const char* message) {
  auto& heard = *static_cast<Heard*>(env);
  heard.message = message;
  heard.count.fetch_add(1, std::memory_order_release);
}

TEST(Optimizer, MissingIsToldOnce) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "no baseline compiler, so nothing gets hot";
#endif
  Heard heard;
  Config config;
  config.optimizer_library = "/nowhere/libwafer-llvm.so";
  config.warning = hear;
  config.warning_env = &heard;
  Engine engine(config);
  Store store(engine);
  auto module = compile_wat(engine, R"((module
    (func (export "f") (param i32) (result i32) (local i32)
      (loop $l (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1))
    (func (export "g") (param i32) (result i32) (local i32)
      (loop $l (local.set 1 (i32.xor (local.get 1) (local.get 0)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1))))");
  ASSERT_TRUE(module.ok());
  auto instance = Instance::create(store, *module);
  ASSERT_TRUE(instance.ok());
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!heard.count.load(std::memory_order_acquire) && std::chrono::steady_clock::now() < end) {
    for (const char* name : {"f", "g"})
      ASSERT_TRUE((*instance->func<int32_t(int32_t)>(name))(100'000).ok());
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE((*instance->func<int32_t(int32_t)>("g"))(100'000).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(heard.count, 1);
  EXPECT_NE(heard.message.find("no optimizing code generator: /nowhere"), std::string::npos)
      << heard.message;
}

}  // namespace
}  // namespace wafer
