// Calls that wait: in every tier, in any order, on any thread; what a stack that waits keeps
// alive, and what becomes of it when nobody goes on with it.
#include "wafer/async.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/fiber.h"
#include "tier_engine.h"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

using Status = Computation::Status;

struct Fixture {
  Engine engine;
  Store store;
  Linker linker;
  // Answers that the host owes, in the order of the calls.
  std::deque<std::pair<Promise<int32_t>, int32_t>> owed;

  explicit Fixture(const Config& config) : engine(config), store(engine), linker(engine) {
    EXPECT_TRUE(linker
                    .func_wrap("h", "later",
                               [this](Promise<int32_t> done, int32_t v) {
                                 owed.emplace_back(std::move(done), v);
                               })
                    .ok());
    EXPECT_TRUE(linker.func_wrap("h", "now", [](int32_t v) { return v + 1000; }).ok());
    EXPECT_TRUE(linker.func_wrap("h", "collect", [this] { store.collect(); }).ok());
  }
  Result<Instance> instance(std::string_view text) {
    WAFER_LET(module, compile_wat(engine, text));
    return linker.instantiate(store, module);
  }
  Computation start(const Instance& i, const char* name, std::initializer_list<Val> args) {
    auto func = i.func(name);
    EXPECT_TRUE(func.ok());
    auto c = Computation::start(*func, args);
    EXPECT_TRUE(c.ok()) << c.error().message;
    return *std::move(c);
  }
  // The oldest call comes to its argument and `more`.
  void answer(int32_t more = 0) {
    auto [done, v] = std::move(owed.front());
    owed.pop_front();
    done.set(v + more);
  }
};

class Async : public testing::TestWithParam<Tier> {
 protected:
  Config config() const {
    Config c;
    c.tier = GetParam();
    return c;
  }
};

int32_t value_of(const Result<Vec<Val>>& r) {
  EXPECT_TRUE(r.ok()) << (r.ok() ? "" : r.error().message.c_str());
  return r.ok() && r->size() == 1 ? (*r)[0].i32() : -1;
}

// Sums answers in a loop, with values in locals, on the operand stack and in several frames.
constexpr std::string_view kSum = R"((module
  (import "h" "later" (func $later (param i32) (result i32)))
  (import "h" "now" (func $now (param i32) (result i32)))
  (func $one (param i32 i64 f64) (result i32 i64 f64)
    (i32.add (call $now (i32.const 1)) (call $later (local.get 0)))
    (i64.add (local.get 1) (i64.const 1))
    (f64.add (local.get 2) (f64.const 0.5)))
  (func (export "sum") (param $n i32) (result i32)
    (local $total i32) (local $l i64) (local $d f64) (local $i i32)
    (loop $more
      (local.get $total)
      (call $one (local.get $i) (local.get $l) (local.get $d))
      (local.set $d) (local.set $l)
      (i32.sub (i32.const 1001))
      (i32.add) (local.set $total)
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (local.get $n))))
    (if (i64.ne (local.get $l) (i64.extend_i32_u (local.get $n))) (then unreachable))
    (if (f64.ne (local.get $d) (f64.mul (f64.const 0.5) (f64.convert_i32_u (local.get $n))))
      (then unreachable))
    (local.get $total))))";

int32_t sum_to(int32_t n) { return n * (n - 1) / 2; }

TEST_P(Async, HostFinishesLater) {
  Fixture f(config());
  auto i = f.instance(kSum);
  ASSERT_TRUE(i.ok()) << i.error().message;
  Computation c = f.start(*i, "sum", {Val(10)});
  EXPECT_EQ(c.status(), Status::Ready);
  EXPECT_FALSE(c.result().ok());
  for (int n = 0; n < 10; ++n) {
    EXPECT_EQ(c.resume(), Status::Waiting);
    EXPECT_EQ(c.resume(), Status::Waiting);  // nothing has come
    ASSERT_EQ(f.owed.size(), 1u);
    f.answer();
    EXPECT_EQ(c.status(), Status::Ready);
  }
  EXPECT_EQ(c.resume(), Status::Finished);
  EXPECT_EQ(value_of(c.result()), 45);
  EXPECT_EQ(c.resume(), Status::Finished);
}

TEST_P(Async, ManyInAnyOrder) {
  Fixture f(config());
  auto i = f.instance(kSum);
  ASSERT_TRUE(i.ok()) << i.error().message;
  constexpr int kCount = 500;
  std::vector<Computation> all;
  for (int n = 0; n < kCount; ++n) all.push_back(f.start(*i, "sum", {Val(n % 7 + 1)}));
  std::mt19937 random(1);
  int left = kCount;
  std::vector<bool> done(kCount);
  for (size_t n = 0; n < kCount; ++n) all[n].resume();
  while (left) {
    const size_t at = random() % f.owed.size();
    std::swap(f.owed[0], f.owed[at]);
    f.answer();
    for (size_t n = 0; n < kCount; ++n) {
      if (done[n] || all[n].status() != Status::Ready) continue;
      if (all[n].resume() != Status::Finished) break;
      EXPECT_EQ(value_of(all[n].result()), sum_to(int(n) % 7 + 1));
      done[n] = true;
      --left;
      break;
    }
  }
}

TEST_P(Async, PlainCallsMeanwhile) {
  Fixture f(config());
  auto i = f.instance(kSum);
  ASSERT_TRUE(i.ok());
  Computation c = f.start(*i, "sum", {Val(3)});
  c.resume();
  // A plain call cannot wait.
  auto plain = i->func<int32_t(int32_t)>("sum");
  auto r = (*plain)(1);
  ASSERT_FALSE(r.ok());
  EXPECT_NE(r.error().message.find("later"), String::npos);
  f.answer();
  for (; c.resume() == Status::Waiting;) f.answer();
  EXPECT_EQ(value_of(c.result()), 3);
}

TEST_P(Async, Coroutines) {
  Fixture f(config());
  struct Event {
    std::vector<std::coroutine_handle<>> waiting;
    bool await_ready() { return false; }
    void await_suspend(std::coroutine_handle<> h) { waiting.push_back(h); }
    void await_resume() {}
    void happen() {
      for (auto h : std::exchange(waiting, {})) h.resume();
    }
  } event;
  struct Host {
    static Task<int32_t> inner(Event& e, int32_t v) {
      co_await e;
      if (v == 13) co_return Error(ErrorKind::Usage, "thirteen");
      co_return v * 2;
    }
  };
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "twice",
                             [&event](Caller&, int32_t v) -> Task<int32_t> {
                               auto r = co_await Host::inner(event, v);
                               if (!r.ok()) co_return r.error();
                               co_return *r + 1;
                             })
                  .ok());
  ASSERT_TRUE(f.linker.func_wrap("h", "wait", [&event]() -> Task<void> { co_await event; }).ok());
  auto i = f.instance(R"((module (import "h" "twice" (func $t (param i32) (result i32)))
    (import "h" "wait" (func $w))
    (func (export "f") (param i32) (result i32) (call $w) (call $t (local.get 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  Computation c = f.start(*i, "f", {Val(20)});
  EXPECT_EQ(c.resume(), Status::Waiting);
  event.happen();
  EXPECT_EQ(c.resume(), Status::Waiting);
  event.happen();
  EXPECT_EQ(c.resume(), Status::Finished);
  EXPECT_EQ(value_of(c.result()), 41);
  Computation bad = f.start(*i, "f", {Val(13)});
  bad.resume();
  event.happen();
  bad.resume();
  event.happen();
  EXPECT_EQ(bad.resume(), Status::Finished);
  EXPECT_EQ(bad.result().error().message, "thirteen");
  {
    Computation dropped = f.start(*i, "f", {Val(1)});
    dropped.resume();
  }
  event.happen();  // goes on to its end
}

TEST_P(Async, AnswersFromOtherThreads) {
  Fixture f(config());
  std::vector<std::thread> threads;
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "thread",
                             [&](Promise<int64_t> done, int64_t v) {
                               threads.emplace_back([done, v]() mutable { done.set(v * v); });
                             })
                  .ok());
  auto i = f.instance(R"((module (import "h" "thread" (func $t (param i64) (result i64)))
    (func (export "f") (param i64) (result i64)
      (i64.add (call $t (local.get 0)) (call $t (i64.const 3))))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  std::atomic<int> woken = 0;
  std::vector<Computation> all;
  for (int64_t n = 0; n < 20; ++n) {
    all.push_back(f.start(*i, "f", {Val(n)}));
    all.back().on_wake([&] { ++woken; });
  }
  for (int64_t n = 0; n < 20; ++n) {
    // Each goes on in a thread of its own for a while.
    std::thread([&] { all[size_t(n)].resume(); }).join();
    auto r = all[size_t(n)].finish();
    ASSERT_TRUE(r.ok()) << r.error().message;
    EXPECT_EQ((*r)[0].i64(), n * n + 9);
  }
  for (auto& t : threads) t.join();
  EXPECT_LE(woken, 40);
}

TEST_P(Async, MovesBetweenThreads) {
  Fixture f(config());
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (memory 1)
    (func (export "f") (param i32) (result i32)
      (drop (call $later (local.get 0)))
      (drop (call $later (local.get 0)))
      (i32.load (local.get 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  // Traps work on whatever thread it goes on.
  Computation good = f.start(*i, "f", {Val(64)});
  Computation bad = f.start(*i, "f", {Val(int32_t(0x7FFF0000))});
  for (int n = 0; n < 3; ++n)
    std::thread([&] {
      good.resume();
      bad.resume();
      while (!f.owed.empty()) f.answer();
    }).join();
  EXPECT_EQ(value_of(good.result()), 0);
  ASSERT_EQ(bad.status(), Status::Finished);
  EXPECT_EQ(bad.trap().code, TrapCode::MemoryOutOfBounds);
  EXPECT_EQ(bad.result().error().message, "out of bounds memory access");
}

constexpr std::string_view kFib = R"((module
  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "loop") (param i32) (result i32) (local i32)
    (loop $l
      (local.set 1 (i32.add (local.get 1) (i32.const 3)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))))";

TEST_P(Async, FuelCanBeAdded) {
  Config c = config();
  c.consume_fuel = true;
  Fixture f(c);
  auto i = f.instance(kFib);
  ASSERT_TRUE(i.ok()) << i.error().message;
  constexpr uint64_t kPlenty = 1'000'000;
  for (const char* name : {"fib", "loop"}) {
    const int32_t arg = 15;
    f.store.set_fuel(kPlenty);
    auto plain = (*i->func<int32_t(int32_t)>(name))(arg);
    ASSERT_TRUE(plain.ok());
    const uint64_t used = kPlenty - f.store.fuel();
    f.store.set_fuel(0);
    Computation a = f.start(*i, name, {Val(arg)});
    uint64_t given = 0;
    int waits = 0;
    while (a.resume() == Status::OutOfFuel) {
      EXPECT_EQ(f.store.fuel(), 0u);
      f.store.set_fuel(7);
      given += 7;
      ++waits;
    }
    EXPECT_EQ(value_of(a.result()), *plain);
    EXPECT_EQ(given - f.store.fuel(), used);
    EXPECT_GT(waits, 5);
    // Or it ends.
    f.store.set_fuel(5);
    Computation b = f.start(*i, name, {Val(arg)});
    EXPECT_EQ(b.resume(), Status::OutOfFuel);
    EXPECT_EQ(b.end(), Status::Finished);
    EXPECT_EQ(b.trap().code, TrapCode::OutOfFuel);
    EXPECT_EQ(b.trap().backtrace.size() > 0, true);
    // Plain calls trap.
    f.store.set_fuel(5);
    EXPECT_FALSE((*i->func<int32_t(int32_t)>(name))(arg).ok());
    EXPECT_EQ(f.store.last_trap().code, TrapCode::OutOfFuel);
  }
}

TEST_P(Async, InterruptsYield) {
  Config c = config();
  c.interruptible = true;
  Fixture f(c);
  auto i = f.instance(kFib);
  ASSERT_TRUE(i.ok()) << i.error().message;
  Computation a = f.start(*i, "loop", {Val(1000)});
  Computation b = f.start(*i, "fib", {Val(10)});
  f.store.interrupt();
  EXPECT_EQ(a.resume(), Status::Interrupted);
  EXPECT_EQ(a.resume(), Status::Interrupted);
  EXPECT_EQ(b.resume(), Status::Interrupted);
  f.store.clear_interrupt();
  EXPECT_EQ(b.resume(), Status::Finished);
  EXPECT_EQ(a.resume(), Status::Finished);
  EXPECT_EQ(value_of(a.result()), 3000);
  EXPECT_EQ(value_of(b.result()), 55);
  // From another thread, again and again, while it runs.
  std::atomic<bool> stop = false;
  std::thread other([&] {
    while (!stop) {
      f.store.interrupt();
      std::this_thread::yield();
    }
  });
  Computation d = f.start(*i, "loop", {Val(20'000'000)});
  int times = 0;
  while (d.resume() == Status::Interrupted) {
    if (++times == 50) stop = true;
    f.store.clear_interrupt();
  }
  stop = true;
  other.join();
  EXPECT_EQ(value_of(d.result()), 60'000'000);
  f.store.interrupt();
  Computation e = f.start(*i, "loop", {Val(1000)});
  e.resume();
  EXPECT_EQ(e.end(), Status::Finished);
  EXPECT_EQ(e.trap().code, TrapCode::Interrupted);
}

TEST_P(Async, TrapsAndBacktraces) {
  Fixture f(config());
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (func $inner (param i32) (result i32)
      (i32.div_u (i32.const 1) (call $later (local.get 0))))
    (func $middle (param i32) (result i32) (i32.add (call $inner (local.get 0)) (i32.const 1)))
    (func $outer (export "f") (param i32) (result i32)
      (i32.add (call $middle (local.get 0)) (i32.const 1)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  Computation good = f.start(*i, "f", {Val(1)}), bad = f.start(*i, "f", {Val(0)}),
              failed = f.start(*i, "f", {Val(5)});
  good.resume();
  bad.resume();
  failed.resume();
  f.answer();
  f.answer();
  f.owed.front().first.fail(Error(ErrorKind::Io, "disk on fire"));
  f.owed.clear();
  EXPECT_EQ(bad.resume(), Status::Finished);
  EXPECT_EQ(bad.result().error().message, "integer divide by zero");
  const String text = f.store.format_backtrace();
  const auto inner = text.find("inner"), middle = text.find("middle"), outer = text.find("outer");
  EXPECT_NE(outer, String::npos) << text;
  EXPECT_TRUE(inner < middle && middle < outer) << text;
  EXPECT_EQ(good.resume(), Status::Finished);
  EXPECT_EQ(value_of(good.result()), 3);
  EXPECT_EQ(failed.resume(), Status::Finished);
  EXPECT_EQ(failed.result().error().message, "disk on fire");
  EXPECT_EQ(failed.trap().backtrace.size(), 3u);
  // An answer that never comes.
  Computation lost = f.start(*i, "f", {Val(5)});
  lost.resume();
  f.owed.clear();
  EXPECT_EQ(lost.resume(), Status::Finished);
  EXPECT_EQ(lost.result().error().message, "host function gave no answer");
}

TEST_P(Async, BacktracesGoOnAtTheResumer) {
  Fixture f(config());
  std::optional<Instance> instance;
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "nest",
                             [&](int32_t v) -> Result<int32_t> {
                               Computation c = f.start(*instance, "inner", {Val(v)});
                               auto r = c.finish();
                               if (!r.ok()) return r.take_error();
                               return (*r)[0].i32();
                             })
                  .ok());
  auto i = f.instance(R"((module (import "h" "nest" (func $nest (param i32) (result i32)))
    (func $deep (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
    (func $inner (export "inner") (param i32) (result i32)
      (i32.add (call $deep (local.get 0)) (i32.const 1)))
    (func $outer (export "f") (param i32) (result i32)
      (i32.add (call $nest (local.get 0)) (i32.const 1)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  instance = *i;
  EXPECT_EQ(*(*i->func<int32_t(int32_t)>("f"))(1), 3);
  EXPECT_FALSE((*i->func<int32_t(int32_t)>("f"))(0).ok());
  const String text = f.store.format_backtrace();
  EXPECT_TRUE(text.find("deep") < text.find("inner") && text.find("inner") < text.find("outer"))
      << text;
}

TEST_P(Async, Exceptions) {
  Fixture f(config());
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (tag $t (export "t") (param i32))
    (func $thrower (param i32) (throw $t (call $later (local.get 0))))
    (func (export "catch") (param i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $t $caught) (call $thrower (local.get 0)))
        (i32.const -1)))
    (func (export "host") (param i32) (result i32)
      (block $caught (result i32)
        (try_table (result i32) (catch $t $caught) (call $later (local.get 0)))
        (return (i32.add (i32.const 100)))))
    (func (export "uncaught") (param i32) (call $thrower (local.get 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  Computation a = f.start(*i, "catch", {Val(7)}), b = f.start(*i, "uncaught", {Val(8)});
  a.resume();
  b.resume();
  f.answer();
  f.answer();
  EXPECT_EQ(b.resume(), Status::Finished);
  EXPECT_EQ(b.trap().code, TrapCode::UncaughtException);
  EXPECT_EQ(a.resume(), Status::Finished);
  EXPECT_EQ(value_of(a.result()), 7);
  // The host throws later.
  const Tag tag = i->get("t").tag();
  Computation c = f.start(*i, "host", {Val(1)}), d = f.start(*i, "host", {Val(2)});
  c.resume();
  d.resume();
  const Val thrown[] = {Val(42)};
  f.owed.front().first.raise(tag, thrown);
  f.owed.pop_front();
  f.answer();
  f.store.collect();
  EXPECT_EQ(d.resume(), Status::Finished);
  EXPECT_EQ(value_of(d.result()), 102);
  EXPECT_EQ(c.resume(), Status::Finished);
  EXPECT_EQ(value_of(c.result()), 42);
}

TEST_P(Async, WhatWaitsKeepsObjectsAlive) {
  Fixture f(config());
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (import "h" "collect" (func $collect))
    (type $s (struct (field (mut i32)) (field (ref null $s))))
    (func $list (param i32) (result (ref null $s)) (local (ref null $s))
      (loop $l
        (local.set 1 (struct.new $s (local.get 0) (local.get 1)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1))
    (func $sum (param (ref null $s)) (result i32) (local i32)
      (block $end
        (loop $l
          (br_if $end (ref.is_null (local.get 0)))
          (local.set 1 (i32.add (local.get 1) (struct.get $s 0 (local.get 0))))
          (local.set 0 (struct.get $s 1 (local.get 0)))
          (br $l)))
      (local.get 1))
    (func (export "f") (param i32) (result i32) (local $kept (ref null $s))
      (local.set $kept (call $list (local.get 0)))
      (call $list (i32.add (local.get 0) (i32.const 1)))
      (drop (call $later (i32.const 0)))
      (drop (call $list (i32.const 100)))
      (call $collect)
      (drop (call $later (i32.const 0)))
      (call $sum)
      (i32.add (call $sum (local.get $kept))))
    (func (export "refs") (param anyref) (result anyref)
      (drop (call $later (i32.const 0)))
      (local.get 0))
    (func (export "make") (result anyref) (call $list (i32.const 5)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  std::vector<Computation> all;
  for (int n = 1; n <= 50; ++n) all.push_back(f.start(*i, "f", {Val(n)}));
  // Arguments of what has not begun, and results that nobody has asked for, count too.
  Computation refs = [&] {
    auto made = i->func("make")->call({});
    return f.start(*i, "refs", {(*made)[0]});
  }();
  f.store.collect();
  for (auto& c : all) c.resume();
  refs.resume();
  for (int round = 0; round < 2; ++round) {
    f.store.collect();
    while (!f.owed.empty()) f.answer();
    for (size_t n = all.size(); n-- > 0;) all[n].resume();
    refs.resume();
  }
  f.store.collect();
  for (int n = 1; n <= 50; ++n)
    EXPECT_EQ(value_of(all[size_t(n) - 1].result()), n * (n + 1) + n + 1);
  auto r = refs.result();
  ASSERT_TRUE(r.ok());
  f.store.collect();
  EXPECT_EQ((*r)[0].anyref().get(0)->i32(), 1);
  // What is gone keeps nothing.
  r = Vec<Val>();
  refs = Computation();
  all.clear();
  f.store.collect();
  f.store.collect();
  EXPECT_LT(f.store.gc_live_bytes(), 20'000u);
}

TEST_P(Async, ReferencesAsResults) {
  Fixture f(config());
  std::vector<Promise<ExternRef>> owed;
  ASSERT_TRUE(
      f.linker.func_wrap("h", "get", [&](Promise<ExternRef> p) { owed.push_back(p); }).ok());
  auto i = f.instance(R"((module (import "h" "get" (func $get (result externref)))
    (func (export "f") (result externref) (call $get))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  Computation c = f.start(*i, "f", {});
  c.resume();
  owed[0].set(ExternRef::create(f.store, 77));
  f.store.collect();
  EXPECT_EQ(c.resume(), Status::Finished);
  f.store.collect();
  EXPECT_EQ(*(*c.result())[0].externref().get<int>(), 77);
}

TEST_P(Async, Dropped) {
  Fixture f(config());
  auto i = f.instance(kSum);
  ASSERT_TRUE(i.ok());
  {
    Computation never = f.start(*i, "sum", {Val(3)});
    Computation waits = f.start(*i, "sum", {Val(3)});
    waits.resume();
    EXPECT_FALSE(f.owed.front().first.cancelled());
  }
  EXPECT_TRUE(f.owed.front().first.cancelled());
  f.answer();  // for nobody
  // By the host function that it has called.
  std::optional<Computation> self;
  ASSERT_TRUE(f.linker.func_wrap("h", "drop", [&] { self.reset(); }).ok());
  auto j = f.instance(R"((module (import "h" "drop" (func $d)) (func (export "f") (call $d))))");
  ASSERT_TRUE(j.ok());
  self = f.start(*j, "f", {});
  EXPECT_EQ(self->resume(), Status::Finished);
  EXPECT_FALSE(self.has_value());
}

TEST_P(Async, StoreEndsFirst) {
  std::optional<Fixture> f(std::in_place, config());
  auto i = f->instance(kSum);
  ASSERT_TRUE(i.ok());
  Computation c = f->start(*i, "sum", {Val(3)});
  c.resume();
  auto owed = std::move(f->owed);
  f.reset();
  EXPECT_EQ(c.resume(), Status::Finished);
  EXPECT_FALSE(c.result().ok());
  c = Computation();
  EXPECT_TRUE(owed.front().first.cancelled());
}

TEST_P(Async, StacksHaveLimits) {
  Config c = config();
  c.stack_bytes = 128 << 10;
  Fixture f(c);
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (func $down (export "down") (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (i32.add (call $down (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
        (else (call $later (i32.const 0)))))))");
  ASSERT_TRUE(i.ok());
  Computation fits = f.start(*i, "down", {Val(500)}), deep = f.start(*i, "down", {Val(1 << 30)});
  fits.resume();
  EXPECT_EQ(deep.resume(), Status::Finished);
  EXPECT_EQ(deep.trap().code, TrapCode::CallStackExhausted);
  f.answer();
  EXPECT_EQ(fits.resume(), Status::Finished);
  EXPECT_EQ(value_of(fits.result()), 500);
}

TEST_P(Async, NestedThroughTheHost) {
  Fixture f(config());
  std::optional<Instance> instance;
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "plain",
                             [&](int32_t v) -> Result<int32_t> {
                               return (*instance->func<int32_t(int32_t)>("sum"))(v);
                             })
                  .ok());
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "again",
                             [&](int32_t v) -> Result<int32_t> {
                               Computation c = f.start(*instance, "down", {Val(v)});
                               auto r = c.finish();
                               if (!r.ok()) return r.take_error();
                               return (*r)[0].i32() + 1;
                             })
                  .ok());
  auto i = f.instance(R"((module
    (import "h" "later" (func $later (param i32) (result i32)))
    (import "h" "plain" (func $plain (param i32) (result i32)))
    (import "h" "again" (func $again (param i32) (result i32)))
    (func (export "sum") (param i32) (result i32)
      (if (result i32) (i32.eqz (local.get 0))
        (then (i32.const 0))
        (else (i32.add (local.get 0) (call $plain (i32.sub (local.get 0) (i32.const 1)))))))
    (func (export "f") (param i32) (result i32)
      (i32.add (call $later (i32.const 1))
        (i32.add (call $plain (local.get 0)) (call $later (i32.const 2)))))
    (func (export "waits") (param i32) (result i32) (call $later (local.get 0)))
    (func (export "down") (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (call $again (i32.sub (local.get 0) (i32.const 1))))
        (else (i32.const 0))))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  instance = *i;
  Computation c = f.start(*i, "f", {Val(10)});
  EXPECT_EQ(c.resume(), Status::Waiting);
  f.answer();
  EXPECT_EQ(c.resume(), Status::Waiting);
  f.answer();
  EXPECT_EQ(c.resume(), Status::Finished);
  EXPECT_EQ(value_of(c.result()), 1 + 55 + 2);
  // Computations that the guest's own host calls start, in each other.
  Computation down = f.start(*i, "down", {Val(50)});
  EXPECT_EQ(value_of(down.finish()), 50);
  Computation endless = f.start(*i, "down", {Val(1 << 30)});
  auto r = endless.finish();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(endless.trap().code, TrapCode::CallStackExhausted);
  EXPECT_EQ(value_of(f.start(*i, "down", {Val(3)}).finish()), 3);
}

TEST_P(Async, HostFunctionsThemselves) {
  Fixture f(config());
  std::vector<Promise<int64_t>> owed;
  const Func host = Func::wrap(f.store, [&](Promise<int64_t> p, int64_t) { owed.push_back(p); });
  auto c = Computation::start(host, {Val(int64_t{3})});
  ASSERT_TRUE(c.ok()) << c.error().message;
  EXPECT_EQ(c->resume(), Status::Waiting);
  owed[0].set(int64_t{-1});
  EXPECT_EQ(c->resume(), Status::Finished);
  EXPECT_EQ((*c->result())[0].i64(), -1);
  EXPECT_EQ(Computation::start(host, {}).error().kind, ErrorKind::Usage);
  EXPECT_EQ(Computation::start(host, {Val(1)}).error().kind, ErrorKind::Usage);
  EXPECT_EQ(Computation::start(Func(), {}).error().kind, ErrorKind::Usage);
  // At once, before the host function returns.
  const Func quick = Func::wrap(f.store, [&](Promise<int64_t> p, int64_t v) { p.set(v + 1); });
  auto q = Computation::start(quick, {Val(int64_t{3})});
  EXPECT_EQ(q->resume(), Status::Finished);
  EXPECT_EQ((*q->result())[0].i64(), 4);
}

TEST_P(Async, TailCallsAndOtherTiers) {
  Config c = config();
  c.features.set(wasm::Feature::LegacyExceptions, true);
  Fixture f(c);
  // The legacy `try` runs in the interpreter, between machine code.
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (tag $t (param i32))
    (func $tail (param i32) (result i32)
      (return_call $later (i32.add (local.get 0) (i32.const 1))))
    (func $legacy (param i32) (result i32)
      (try (result i32)
        (do (throw $t (call $tail (local.get 0))))
        (catch $t (i32.add (i32.const 10)))))
    (func $indirect (param i32) (result i32) (return_call $legacy (local.get 0)))
    (func (export "f") (param i32) (result i32)
      (i32.add (call $indirect (local.get 0)) (call $tail (local.get 0))))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  std::vector<Computation> all;
  for (int n = 0; n < 20; ++n) {
    all.push_back(f.start(*i, "f", {Val(n)}));
    all.back().resume();
  }
  for (int n = 19; n >= 0; --n) {
    std::swap(f.owed.front(), f.owed.back());
    while (!f.owed.empty()) f.answer();
    all[size_t(n)].resume();
  }
  for (int n = 0; n < 20; ++n) {
    while (all[size_t(n)].resume() == Status::Waiting)
      while (!f.owed.empty()) f.answer();
    EXPECT_EQ(value_of(all[size_t(n)].result()), 2 * n + 12);
  }
}

TEST_P(Async, CodeIsReplacedMeanwhile) {
  Config c = config();
  c.consume_fuel = true;
  Fixture f(c);
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (func (export "hot") (param i32) (result i32) (local i32 i32)
      (loop $l
        (if (i32.eqz (i32.and (local.get 0) (i32.const 0xFFFF)))
          (then (local.set 2 (i32.add (local.get 2) (call $later (i32.const 1))))))
        (local.set 1 (i32.add (local.get 1) (i32.and (local.get 0) (i32.const 3))))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (i32.add (local.get 1) (local.get 2)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  constexpr int32_t kRounds = 6 << 16;
  int32_t expected = 6;
  for (int32_t k = kRounds; k; --k) expected += k & 3;
  std::vector<Computation> all;
  for (int n = 0; n < 8; ++n) all.push_back(f.start(*i, "hot", {Val(kRounds)}));
  bool more = true;
  while (more) {
    more = false;
    for (auto& a : all) {
      f.store.set_fuel(100'000);
      if (a.resume() != Status::Finished) more = true;
    }
    while (!f.owed.empty()) f.answer();
  }
  for (auto& a : all) EXPECT_EQ(value_of(a.result()), expected);
}

// What waits may be in continuations that the guest has resumed.
TEST_P(Async, ContinuationsWait) {
  Config c = config();
  c.features.set(wasm::Feature::StackSwitching);
  c.consume_fuel = true;
  Fixture f(c);
  f.store.set_fuel(1'000'000);
  auto i = f.instance(R"((module (import "h" "later" (func $later (param i32) (result i32)))
    (import "h" "collect" (func $collect))
    (type $f (func (param i32) (result i32)))
    (type $k (cont $f))
    (type $s (struct (field i32)))
    (tag $y (param i32) (result i32))
    (elem declare func $inner $outer)
    (func $inner (param i32) (result i32) (local (ref null $s))
      (local.set 1 (struct.new $s (local.get 0)))
      (i32.add (call $later (i32.const 1)) (suspend $y (i32.const 10)))
      (call $collect)
      (i32.add (struct.get $s 0 (local.get 1)))
      (i32.div_u (i32.add (call $later (i32.const 2))) (i32.const 1)))
    (func $outer (param i32) (result i32)
      (resume $k (local.get 0) (cont.new $k (ref.func $inner))))
    (func (export "f") (param i32) (result i32) (local $k (ref null $k)) (local $n i32)
      (block $on (result i32 (ref $k))
        (resume $k (on $y $on) (local.get 0) (cont.new $k (ref.func $outer)))
        (unreachable))
      (local.set $k)
      (local.set $n)
      (call $collect)
      (drop (call $later (i32.const 0)))
      (resume $k (i32.mul (local.get $n) (i32.const 7)) (local.get $k)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  std::vector<Computation> all;
  for (int n = 0; n < 20; ++n) all.push_back(f.start(*i, "f", {Val(n)}));
  for (int round = 0; round < 4; ++round) {
    for (size_t n = all.size(); n-- > 0;) all[n].resume();
    f.store.collect();
    while (!f.owed.empty()) f.answer();
  }
  for (int n = 0; n < 20; ++n) EXPECT_EQ(value_of(all[size_t(n)].result()), 1 + 70 + n + 2);
  // Without fuel in the middle of it, and dropped there.
  f.store.set_fuel(0);
  Computation slow = f.start(*i, "f", {Val(3)});
  while (slow.status() != Status::Finished) {
    if (slow.resume() == Status::OutOfFuel) f.store.set_fuel(2);
    if (!f.owed.empty()) f.answer();
  }
  EXPECT_EQ(value_of(slow.result()), 76);
  f.store.set_fuel(1000);
  {
    Computation dropped = f.start(*i, "f", {Val(3)});
    dropped.resume();
  }
  f.owed.clear();
  EXPECT_EQ(f.engine.raw()->stacks().in_use(), 0u);
}

TEST_P(Async, UnreachableContinuationsGiveStacksBack) {
  Config c = config();
  c.features.set(wasm::Feature::StackSwitching);
  Fixture f(c);
  auto i = f.instance(R"((module
    (type $f (func)) (type $k (cont $f)) (tag $y)
    (global $kept (mut (ref null $k)) (ref.null $k))
    (elem declare func $stops)
    (func $stops (suspend $y))
    (func (export "make")
      (block $on (result (ref $k))
        (resume $k (on $y $on) (cont.new $k (ref.func $stops)))
        (unreachable))
      (global.set $kept))
    (func (export "drop") (global.set $kept (ref.null $k)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  auto& stacks = f.engine.raw()->stacks();
  auto make = *i->func<void()>("make");
  for (int n = 0; n < 10; ++n) ASSERT_TRUE(make().ok());
  f.store.collect();
  EXPECT_LE(stacks.in_use(), 2u);  // what a stale word on the native stack may keep
  EXPECT_GE(stacks.in_use(), 1u);
  ASSERT_TRUE((*i->func<void()>("drop"))().ok());
  f.store.collect();
  EXPECT_LE(stacks.in_use(), 1u);
}

TEST_P(Async, BacktracesGoThroughContinuations) {
  Config c = config();
  c.features.set(wasm::Feature::StackSwitching);
  Fixture f(c);
  auto i = f.instance(R"((module
    (type $f (func (param i32) (result i32))) (type $k (cont $f))
    (elem declare func $inner $middle)
    (func $inner (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
    (func $middle (param i32) (result i32)
      (i32.add (resume $k (local.get 0) (cont.new $k (ref.func $inner))) (i32.const 1)))
    (func $outer (export "f") (param i32) (result i32)
      (i32.add (resume $k (local.get 0) (cont.new $k (ref.func $middle))) (i32.const 1)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  EXPECT_EQ(*(*i->func<int32_t(int32_t)>("f"))(1), 3);
  EXPECT_FALSE((*i->func<int32_t(int32_t)>("f"))(0).ok());
  EXPECT_EQ(f.store.last_trap().code, TrapCode::IntegerDivideByZero);
  const String text = f.store.format_backtrace();
  EXPECT_NE(text.find("inner"), String::npos) << text;
  // Between machine code, what the interpreter runs is not shown.
  if (GetParam() == Tier::Interpreter || GetParam() == Tier::Optimized) {
    EXPECT_TRUE(text.find("inner") < text.find("middle") &&
                text.find("middle") < text.find("outer"))
        << text;
  }
  EXPECT_EQ(f.engine.raw()->stacks().in_use(), 0u);
}

TEST_P(Async, ManyStacks) {
  Config c = config();
  c.stack_bytes = 64 << 10;
  Fixture f(c);
  auto i = f.instance(kSum);
  ASSERT_TRUE(i.ok());
  for (int round = 0; round < 2; ++round) {
    std::vector<Computation> all;
    constexpr int kCount = 4000;
    for (int n = 0; n < kCount; ++n) {
      all.push_back(f.start(*i, "sum", {Val(2)}));
      ASSERT_EQ(all.back().resume(), Status::Waiting);
    }
    for (int k = 0; k < 2; ++k) {
      for (int n = 0; n < kCount; ++n) f.answer();
      for (auto& a : all) a.resume();
    }
    for (auto& a : all) EXPECT_EQ(value_of(a.result()), 1);
  }
}

std::string tier_name(const testing::TestParamInfo<Tier>& tier) {
  static constexpr const char* kNames[] = {"Auto",      "Interpreter", "Baseline",
                                           "Optimized", "InPlace",     "Optimizing"};
  return kNames[size_t(tier.param)];
}

INSTANTIATE_TEST_SUITE_P(Tiers, Async, testing::ValuesIn(kTiers), tier_name);

}  // namespace
}  // namespace wafer
