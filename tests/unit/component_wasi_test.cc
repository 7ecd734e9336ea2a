// What goes on after calls, driven by the embedder: tasks that wait for WASI.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <thread>

#include "wafer/streams.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wasi.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

using namespace std::chrono_literals;

// Both return at once. `sleep` waits for so many nanoseconds, then calls `tell` with 1; `read`
// tells of each piece of standard input how long it is, and 0 at its end.
constexpr std::string_view kText = R"((component
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "wait-for" (func async (param "how-long" u64)))))
  (import "wasi:cli/types@0.3.0" (instance $types
    (type $e (enum "io" "illegal-byte-sequence" "pipe"))
    (export "error-code" (type (eq $e)))))
  (alias export $types "error-code" (type $error))
  (type $bytes (stream u8)) (type $result (result (error $error))) (type $future (future $result))
  (type $both (tuple $bytes $future))
  (import "wasi:cli/stdin@0.3.0" (instance $stdin
    (export "read-via-stream" (func (result $both)))))
  (import "tell" (func $tell (param "n" u32)))
  (core module $Memory (memory (export "mem") 1))
  (core instance $memory (instantiate $Memory))
  (core func $wait' (canon lower (func $clock "wait-for")))
  (core func $stdin' (canon lower (func $stdin "read-via-stream") (memory (core memory $memory "mem"))))
  (core func $tell' (canon lower (func $tell)))
  (core func $read (canon stream.read $bytes (memory (core memory $memory "mem"))))
  (core func $return (canon task.return))
  (core module $M
    (import "" "mem" (memory 1))
    (import "" "wait" (func $wait (param i64)))
    (import "" "stdin" (func $stdin (param i32)))
    (import "" "tell" (func $tell (param i32)))
    (import "" "read" (func $read (param i32 i32 i32) (result i32)))
    (import "" "return" (func $return))
    (func (export "sleep") (param i64)
      (call $return) (call $wait (local.get 0)) (call $tell (i32.const 1)))
    (func (export "read") (local $got i32)
      (call $return)
      (call $stdin (i32.const 0))
      (loop $more
        (local.set $got (call $read (i32.load (i32.const 0)) (i32.const 100) (i32.const 1000)))
        (if (i32.shr_u (local.get $got) (i32.const 4))
          (then (call $tell (i32.shr_u (local.get $got) (i32.const 4)))))
        (br_if $more (i32.eqz (i32.and (local.get $got) (i32.const 0xf)))))
      (call $tell (i32.const 0))))
  (core instance $m (instantiate $M (with "" (instance (export "mem" (memory $memory "mem"))
    (export "wait" (func $wait')) (export "stdin" (func $stdin')) (export "tell" (func $tell'))
    (export "read" (func $read)) (export "return" (func $return))))))
  (func (export "sleep") async (param "n" u64) (canon lift (core func $m "sleep") async))
  (func (export "read") async (canon lift (core func $m "read") async))))";

class ComponentWasi : public testing::TestWithParam<bool> {
 protected:
  ComponentWasi() : engine(config()) {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    // The guest has a duplicate of what is the standard input when it is made.
    const int input = dup(0);
    EXPECT_EQ(dup2(fds[0], 0), 0);
    close(fds[0]);
    pipe_ = fds[1];
    wasi::Config given;
    given.inherit_stdio();
    auto made = wasi::Command::create(linker, std::move(given));
    EXPECT_TRUE(made.ok()) << std::string_view(made.error().message);
    dup2(input, 0);
    close(input);
    command.emplace(*std::move(made));
    command->attach(*store);
    linker.typed("", "tell", [this](uint32_t n) { told.push_back(n); });
    const auto binary = wat2wasm(kText);
    EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    auto component = Component::load(engine, {binary->data(), binary->size()},
                                     {{"cm-async-builtins", "cm-async-stackful"}});
    EXPECT_TRUE(component.ok()) << std::string_view(component.error().message);
    auto instance_made = linker.instantiate(*store, *component);
    EXPECT_TRUE(instance_made.ok()) << std::string_view(instance_made.error().message);
    instance.emplace(*std::move(instance_made));
  }
  ~ComponentWasi() override {
    instance.reset();
    store.reset();
    if (pipe_ >= 0) close(pipe_);
  }
  static Config config() {
    Config out;
    out.interruptible = GetParam();
    return out;
  }
  void sleep(std::chrono::nanoseconds time) {
    EXPECT_TRUE(instance->func("sleep").call<void>(uint64_t(time.count())).ok());
    EXPECT_EQ(told, std::vector<uint32_t>());
  }
  RunOutcome run(std::chrono::nanoseconds most = {}) {
    const auto outcome = run_until_idle(*store, most);
    EXPECT_TRUE(outcome.ok()) << std::string_view(outcome.error().message);
    return outcome.ok() ? *outcome : RunOutcome::Stalled;
  }
  void write(std::string_view text) {
    EXPECT_EQ(::write(pipe_, text.data(), text.size()), ssize_t(text.size()));
  }
  void end_input() { close(std::exchange(pipe_, -1)); }

  using Told = std::vector<uint32_t>;
  Engine engine;
  std::optional<Store> store{std::in_place, engine};
  ComponentLinker linker;
  std::optional<wasi::Command> command;
  std::optional<ComponentInstance> instance;
  int pipe_ = -1;
  Told told;
};

TEST_P(ComponentWasi, TimersArePolled) {
  sleep(20ms);
  EXPECT_EQ(run(), RunOutcome::Waits);
  EXPECT_EQ(told, Told());
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(run(), RunOutcome::Done);
  EXPECT_EQ(told, Told{1});
}

TEST_P(ComponentWasi, TimersAreWaitedFor) {
  sleep(20ms);
  EXPECT_EQ(run(std::chrono::nanoseconds::max()), RunOutcome::Done);
  EXPECT_EQ(told, Told{1});
  told.clear();
  sleep(20ms);
  const auto outcome = run_until(*store, [&] { return !told.empty(); });
  EXPECT_TRUE(outcome.ok() && *outcome == RunOutcome::Done);
}

TEST_P(ComponentWasi, ThereIsADeadline) {
  sleep(1h);
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(run(30ms), RunOutcome::Waits);
  EXPECT_EQ(run(-1s), RunOutcome::Waits);
  const auto outcome = run_until(*store, [&] { return !told.empty(); }, 30ms);
  EXPECT_TRUE(outcome.ok() && *outcome == RunOutcome::Waits);
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_GE(took, 60ms);
  EXPECT_LT(took, 30s);
  // It still goes on, before that.
  told.clear();
  EXPECT_TRUE(instance->func("sleep").call<void>(uint64_t{1}).ok());
  EXPECT_EQ(run(200ms), RunOutcome::Waits);
  EXPECT_EQ(told, Told{1});
}

TEST_P(ComponentWasi, InputThatComesLater) {
  EXPECT_TRUE(instance->func("read").call<void>().ok());
  EXPECT_EQ(run(), RunOutcome::Waits);
  EXPECT_EQ(run(), RunOutcome::Waits);
  EXPECT_EQ(told, Told());
  write("hello");
  EXPECT_EQ(run(), RunOutcome::Waits);
  EXPECT_EQ(told, Told{5});
  EXPECT_EQ(run(), RunOutcome::Waits);
  std::thread other([this] {
    std::this_thread::sleep_for(10ms);
    write("you");
  });
  const auto outcome = run_until(*store, [&] { return told.size() == 2; }, 10s);
  EXPECT_TRUE(outcome.ok() && *outcome == RunOutcome::Done);
  other.join();
  end_input();
  EXPECT_EQ(run(10s), RunOutcome::Done);
  EXPECT_EQ(told, (Told{5, 3, 0}));
}

// Another thread has something to do here, and WASI nothing: that is waited for without work.
TEST_P(ComponentWasi, WaitsForOthersAsWell) {
  const auto used = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  bool came = false;
  std::thread other([&came, post = StorePost({.store = instance->store()})] {
    std::this_thread::sleep_for(300ms);
    post([&came] { came = true; });
  });
  const auto before = used();
  const auto outcome = run_until(*store, [&] { return came; });
  EXPECT_TRUE(outcome.ok() && *outcome == RunOutcome::Done);
  EXPECT_LT(used() - before, 100ms);
  other.join();
}

INSTANTIATE_TEST_SUITE_P(Engines, ComponentWasi, testing::Bool(),
                         [](const auto& param) { return param.param ? "Interruptible" : "Plain"; });

}  // namespace
}  // namespace wafer
