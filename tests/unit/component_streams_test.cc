// Ends of streams and futures that the host has by types of C++ (wafer/streams.hpp).
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "wafer/bindings.hpp"
#include "wafer/streams.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

using Pair = std::tuple<uint8_t, uint32_t>;

// Reads, in pieces of up to 4: the sum of a stream's numbers, and of the pairs of another; what
// a future has (or 1000 without a value). Writes: 1 to n to a stream that the host takes, and pairs
// of them; n to a future. Gives the sum to a future after it has returned; traps if it is 13.
constexpr std::string_view kText = R"((component
  (type $n (stream u32)) (type $pair (tuple u8 u32)) (type $p (stream $pair)) (type $f (future u32))
  (import "take" (func $take (param "s" $n)))
  (import "take-pairs" (func $take-pairs (param "s" $p)))
  (import "take-future" (func $take-future (param "f" $f)))
  (core module $Memory (memory (export "mem") 1))
  (core instance $memory (instantiate $Memory))
  (canon stream.read $n (memory (core memory $memory "mem")) (core func $read))
  (canon stream.read $p (memory (core memory $memory "mem")) (core func $read-pairs))
  (canon stream.drop-readable $n (core func $drop))
  (canon stream.new $n (core func $new)) (canon stream.new $p (core func $new-pairs))
  (canon stream.write $n (memory (core memory $memory "mem")) (core func $write))
  (canon stream.write $p (memory (core memory $memory "mem")) (core func $write-pairs))
  (canon stream.drop-writable $n (core func $end))
  (canon stream.drop-writable $p (core func $end-pairs))
  (core func $return (canon task.return))
  (canon future.new $f (core func $new-future))
  (canon future.read $f (memory (core memory $memory "mem")) (core func $read-future))
  (canon future.write $f (memory (core memory $memory "mem")) (core func $write-future))
  (canon lower (func $take) (core func $take'))
  (canon lower (func $take-pairs) (core func $take-pairs'))
  (canon lower (func $take-future) (core func $take-future'))
  (core module $M
    (import "" "mem" (memory 1))
    (import "" "read" (func $read (param i32 i32 i32) (result i32)))
    (import "" "read-pairs" (func $read-pairs (param i32 i32 i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (import "" "new" (func $new (result i64)))
    (import "" "new-pairs" (func $new-pairs (result i64)))
    (import "" "write" (func $write (param i32 i32 i32) (result i32)))
    (import "" "write-pairs" (func $write-pairs (param i32 i32 i32) (result i32)))
    (import "" "end" (func $end (param i32)))
    (import "" "end-pairs" (func $end-pairs (param i32)))
    (import "" "new-future" (func $new-future (result i64)))
    (import "" "read-future" (func $read-future (param i32 i32) (result i32)))
    (import "" "write-future" (func $write-future (param i32 i32) (result i32)))
    (import "" "return" (func $return))
    (import "" "take" (func $take (param i32)))
    (import "" "take-pairs" (func $take-pairs (param i32)))
    (import "" "take-future" (func $take-future (param i32)))
    (func $total (param $n i32) (param $size i32) (result i32) (local $sum i32)
      (block $done (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (local.set $sum (i32.add (local.get $sum) (i32.load
          (i32.add (i32.mul (local.get $n) (local.get $size))
                   (i32.sub (local.get $size) (i32.const 4))))))
        (br $next)))
      (local.get $sum))
    (func $sum (export "sum") (param $s i32) (param $most i32) (result i32) (local $n i32) (local $sum i32)
      (loop $more
        (local.set $n (call $read (local.get $s) (i32.const 0) (i32.const 4)))
        (local.set $sum (i32.add (local.get $sum)
          (call $total (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 4))))
        (br_if $more (i32.and (i32.eqz (i32.and (local.get $n) (i32.const 0xf)))
                              (i32.lt_u (local.get $sum) (local.get $most)))))
      (call $drop (local.get $s))
      (local.get $sum))
    (func (export "sum-pairs") (param $s i32) (result i32) (local $n i32) (local $sum i32)
      (loop $more
        (local.set $n (call $read-pairs (local.get $s) (i32.const 0) (i32.const 4)))
        (local.set $sum (i32.add (local.get $sum)
          (call $total (i32.shr_u (local.get $n) (i32.const 4)) (i32.const 8))))
        (br_if $more (i32.eqz (i32.and (local.get $n) (i32.const 0xf)))))
      (local.get $sum))
    (func (export "get") (param $f i32) (result i32)
      (if (result i32) (call $read-future (local.get $f) (i32.const 0))
        (then (i32.const 1000)) (else (i32.load (i32.const 0)))))
    (func (export "count") (param $n i32) (local $ends i64) (local $i i32)
      (local.set $ends (call $new))
      (call $take (i32.wrap_i64 (local.get $ends)))
      (block $gone (loop $next
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (i32.store (i32.const 0) (local.get $i))
        (br_if $gone (i32.and (i32.const 0xf) (call $write
          (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32))) (i32.const 0) (i32.const 1))))
        (br_if $next (i32.lt_u (local.get $i) (local.get $n)))))
      (call $end (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32)))))
    (func (export "count-pairs") (param $n i32) (local $ends i64) (local $i i32)
      (local.set $ends (call $new-pairs))
      (call $take-pairs (i32.wrap_i64 (local.get $ends)))
      (loop $next
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (i32.store8 (i32.const 0) (local.get $i))
        (i32.store (i32.const 4) (i32.mul (local.get $i) (i32.const 100)))
        (drop (call $write-pairs (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32)))
          (i32.const 0) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
      (call $end-pairs (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32)))))
    (func (export "sum-later") (param $s i32) (local $sum i32)
      (call $return)
      (local.set $sum (call $sum (local.get $s) (i32.const -1)))
      (if (i32.eq (local.get $sum) (i32.const 13)) (then unreachable))
      (call $give (local.get $sum)))
    (func $give (export "give") (param $n i32) (local $ends i64)
      (local.set $ends (call $new-future))
      (call $take-future (i32.wrap_i64 (local.get $ends)))
      (i32.store (i32.const 0) (local.get $n))
      (drop (call $write-future (i32.wrap_i64 (i64.shr_u (local.get $ends) (i64.const 32)))
        (i32.const 0)))))
  (core instance $m (instantiate $M (with "" (instance (export "mem" (memory $memory "mem"))
    (export "read" (func $read)) (export "read-pairs" (func $read-pairs))
    (export "return" (func $return)) (export "drop" (func $drop)) (export "new" (func $new)) (export "new-pairs" (func $new-pairs))
    (export "write" (func $write)) (export "write-pairs" (func $write-pairs))
    (export "end" (func $end)) (export "end-pairs" (func $end-pairs))
    (export "new-future" (func $new-future)) (export "read-future" (func $read-future))
    (export "write-future" (func $write-future)) (export "take" (func $take'))
    (export "take-pairs" (func $take-pairs')) (export "take-future" (func $take-future'))))))
  (func (export "sum") async (param "s" $n) (param "most" u32) (result u32)
    (canon lift (core func $m "sum")))
  (func (export "sum-pairs") async (param "s" $p) (result u32)
    (canon lift (core func $m "sum-pairs")))
  (func (export "get") async (param "f" $f) (result u32) (canon lift (core func $m "get")))
  (func (export "count") async (param "n" u32) (canon lift (core func $m "count")))
  (func (export "count-pairs") async (param "n" u32) (canon lift (core func $m "count-pairs")))
  (func (export "sum-later") async (param "s" $n) (canon lift (core func $m "sum-later") async))
  (func (export "give") async (param "n" u32) (canon lift (core func $m "give")))))";

class ComponentStreams : public testing::Test {
 protected:
  void SetUp() override {
    linker.typed("", "take", [this](Stream<uint32_t> s) {
      reader = StreamReader<uint32_t>(scope, std::move(s));
      read_on();
    });
    linker.typed("", "take-pairs", [this](Stream<Pair> s) {
      pair_reader = StreamReader<Pair>(scope, std::move(s));
      read_pairs();
    });
    linker.typed("", "take-future", [this](Future<uint32_t> f) {
      const auto inside = run_until_idle(*store);
      EXPECT_TRUE(!inside.ok() && inside.error().kind == ErrorKind::Usage);
      future_reader = FutureReader<uint32_t>(scope, std::move(f));
      EXPECT_TRUE(future_reader.read([this](std::optional<uint32_t> v) { value = v; }).ok());
    });
    const auto binary = wat2wasm(kText);
    ASSERT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    auto loaded = Component::load(engine, {binary->data(), binary->size()},
                                  {{"cm-async-builtins", "cm-async-stackful"}});
    ASSERT_TRUE(loaded.ok()) << std::string_view(loaded.error().message);
    component.emplace(*std::move(loaded));
    auto made = linker.instantiate(*store, *component);
    ASSERT_TRUE(made.ok()) << std::string_view(made.error().message);
    instance.emplace(*std::move(made));
  }
  void read_on() {
    EXPECT_TRUE(reader
                    .read(3,
                          [this](std::vector<uint32_t> items, StreamState state) {
                            got.insert(got.end(), items.begin(), items.end());
                            last = state;
                            if (got.size() >= most) return reader.close();
                            if (state == StreamState::Open) read_on();
                          })
                    .ok());
  }
  void read_pairs() {
    EXPECT_TRUE(pair_reader
                    .read(3,
                          [this](std::vector<Pair> items, StreamState state) {
                            pairs.insert(pairs.end(), items.begin(), items.end());
                            if (state == StreamState::Open) read_pairs();
                          })
                    .ok());
  }
  template <class... A>
  std::string call(const char* name, const A&... args) {
    const auto result = instance->func(name).call_raw({ComponentType<A>::to(args, scope)...});
    if (!result.ok()) return std::string(result.error().message);
    return result->empty() ? "" : std::to_string((*result)[0].bits());
  }

  // What is left after calls.
  RunOutcome run_on() {
    const auto outcome = run_until_idle(*store);
    EXPECT_TRUE(outcome.ok()) << std::string_view(outcome.error().message);
    return outcome.ok() ? *outcome : RunOutcome::Stalled;
  }

  Engine engine;
  std::optional<Store> store{std::in_place, engine};
  ComponentLinker linker;
  ComponentScope scope = scope_of(*store, linker);
  std::optional<Component> component;
  std::optional<ComponentInstance> instance;
  StreamReader<uint32_t> reader;
  StreamReader<Pair> pair_reader;
  FutureReader<uint32_t> future_reader;
  std::vector<uint32_t> got;
  std::vector<Pair> pairs;
  size_t most = ~size_t{0};
  StreamState last = StreamState::Open;
  std::optional<uint32_t> value;
};

TEST_F(ComponentStreams, WritesAndCloses) {
  size_t taken = 0;
  Stream<uint32_t> stream;
  {
    auto [made, writer] = StreamWriter<uint32_t>::make(scope);
    stream = made;
    ASSERT_TRUE(writer
                    .write({1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
                           [&](size_t n, StreamState state) {
                             taken = n;
                             EXPECT_EQ(state, StreamState::Open);
                           })
                    .ok());
    EXPECT_TRUE(writer.busy());
    EXPECT_EQ(std::string_view(writer.write({1}).error().message), "a read or write is under way");
    // What is under way is not ended by that; the stream is, afterwards.
  }
  EXPECT_EQ(call("sum", stream, ~0u), "55");
  EXPECT_EQ(taken, 10u);
}

TEST_F(ComponentStreams, WritesMoreWhenToldAndSeesTheReaderGo) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  std::vector<size_t> taken;
  StreamState state = StreamState::Open;
  std::function<void()> more = [&, w = writer]() mutable {
    ASSERT_TRUE(w.write({5, 5, 5}, [&](size_t n, StreamState s) {
                   taken.push_back(n);
                   state = s;
                   if (s == StreamState::Open) more();
                 }).ok());
  };
  more();
  // It reads four at a time: 3, and then 4 of the next two writes.
  EXPECT_EQ(call("sum", stream, 25u), "35");
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(taken, (std::vector<size_t>{3, 3, 1}));
  EXPECT_EQ(state, StreamState::Ended);
  EXPECT_FALSE(writer.write({1}).ok());
  more = nullptr;
}

TEST_F(ComponentStreams, WritesValues) {
  auto [stream, writer] = StreamWriter<Pair>::make(scope);
  ASSERT_TRUE(writer.write({{1, 10}, {2, 20}, {3, 30}, {4, 40}, {5, 50}}).ok());
  writer = {};
  EXPECT_EQ(call("sum-pairs", stream), "150");
}

TEST_F(ComponentStreams, ReadsUntilTheEnd) {
  EXPECT_EQ(call("count", 7u), "");
  EXPECT_EQ(call("give", 42u), "");
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(got, (std::vector<uint32_t>{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(last, StreamState::Ended);
  EXPECT_EQ(value, 42u);
  EXPECT_EQ(call("count-pairs", 3u), "");
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(pairs, (std::vector<Pair>{{1, 100}, {2, 200}, {3, 300}}));
}

TEST_F(ComponentStreams, ReaderCloses) {
  most = 2;
  EXPECT_EQ(call("count", 1000u), "");
  // The read took what three writes gave before it was told.
  EXPECT_EQ(got, (std::vector<uint32_t>{1, 2, 3}));
  EXPECT_EQ(std::string_view(reader.read(1, [](auto, auto) {}).error().message),
            "the end of the stream or future is closed");
}

TEST_F(ComponentStreams, Futures) {
  {
    auto [future, writer] = FutureWriter<uint32_t>::make(scope);
    bool taken = false;
    ASSERT_TRUE(writer.write(7, [&](bool t) { taken = t; }).ok());
    writer = {};
    EXPECT_EQ(call("get", future), "7");
    EXPECT_EQ(run_on(), RunOutcome::Done);
    EXPECT_TRUE(taken);
  }
  auto [future, writer] = FutureWriter<uint32_t>::make(scope);
  writer.close();
  EXPECT_EQ(call("get", future), "1000");
}

TEST_F(ComponentStreams, Cancels) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  std::optional<StreamState> state;
  ASSERT_TRUE(writer
                  .write({1, 2},
                         [&](size_t n, StreamState s) {
                           EXPECT_EQ(n, 0u);
                           state = s;
                         })
                  .ok());
  writer.cancel();
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(state, StreamState::Cancelled);
  // It is there as before.
  ASSERT_TRUE(writer.write({3}).ok());
  writer = {};
  EXPECT_EQ(call("sum", stream, ~0u), "3");
}

// What comes after a read was cancelled is for the next one.
TEST_F(ComponentStreams, CancelledReadsTakeNoMore) {
  ComponentLinker other;
  std::vector<std::pair<size_t, StreamState>> told;
  other.func("", "take", [&](ComponentCall& call) {
    reader = StreamReader<uint32_t>(scope, call.arg<Stream<uint32_t>>(0));
    ASSERT_TRUE(reader
                    .read(100,
                          [&](std::vector<uint32_t> items, StreamState state) {
                            told.emplace_back(items.size(), state);
                            read_on();
                          })
                    .ok());
    reader.cancel();
  });
  other.func("", "take-pairs", [](ComponentCall&) {});
  other.func("", "take-future", [](ComponentCall&) {});
  instance.emplace(*other.instantiate(*store, *component));
  EXPECT_EQ(call("count", 5u), "");
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(told, (std::vector<std::pair<size_t, StreamState>>{{0, StreamState::Cancelled}}));
  EXPECT_EQ(got, (std::vector<uint32_t>{1, 2, 3, 4, 5}));
}

// Copies of an end that one has used are of no use to others.
TEST_F(ComponentStreams, AnEndIsUsedByOne) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  EXPECT_EQ(call("sum-later", stream), "");
  {
    StreamReader<uint32_t> late(scope, stream);
    EXPECT_EQ(std::string_view(late.read(1, [](auto, auto) {}).error().message),
              "the end of the stream or future was given to a component");
  }
  ASSERT_TRUE(writer.write({4}).ok());
  writer = {};
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(value, 4u);

  auto [other, other_writer] = StreamWriter<uint32_t>::make(scope);
  StreamReader<uint32_t> early(scope, other);
  ASSERT_TRUE(early.read(1, [](auto, auto) {}).ok());
  EXPECT_EQ(call("sum", other, 0u), "the readable end is read from, or has been read to its end");
}

TEST_F(ComponentStreams, GivenTwice) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  EXPECT_EQ(call("sum-later", stream), "");
  EXPECT_EQ(call("sum-later", stream), "the readable end was given away before");
}

TEST_F(ComponentStreams, FromAnotherThread) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  std::thread other([post = StorePost(scope), w = std::move(writer)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    // What is called there has the end, so that it goes there.
    post([w = std::move(w)]() mutable {
      EXPECT_TRUE(w.write({1, 2, 3}).ok());
      w = {};
    });
  });
  EXPECT_EQ(call("sum", stream, ~0u), "6");
  other.join();
}

TEST_F(ComponentStreams, WhatIsLeftAfterACall) {
  EXPECT_EQ(run_on(), RunOutcome::Done);
  {
    auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
    EXPECT_EQ(call("sum-later", stream), "");
    EXPECT_EQ(run_on(), RunOutcome::Stalled);
    ASSERT_TRUE(writer.write({1, 2, 3}).ok());
    EXPECT_EQ(run_on(), RunOutcome::Stalled);
    EXPECT_EQ(value, std::nullopt);
  }
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(value, 6u);
  const auto never = run_until(*store, [&] { return value == 7; });
  EXPECT_TRUE(never.ok() && *never == RunOutcome::Stalled);

  value.reset();
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  EXPECT_EQ(call("sum-later", stream), "");
  std::promise<void> go;
  std::thread other([post = StorePost(scope), &go, w = std::exchange(writer, {})]() mutable {
    go.get_future().wait();
    post([w = std::move(w)] { EXPECT_TRUE(StreamWriter(w).write({5}).ok()); });
  });
  EXPECT_EQ(run_on(), RunOutcome::Waits);
  go.set_value();
  const auto came = run_until(*store, [&] { return value.has_value(); });
  EXPECT_TRUE(came.ok() && *came == RunOutcome::Done);
  EXPECT_EQ(value, 5u);
  other.join();
  EXPECT_EQ(run_on(), RunOutcome::Done);
}

TEST_F(ComponentStreams, WhatIsLeftMayTrap) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  EXPECT_EQ(call("sum-later", stream), "");
  ASSERT_TRUE(writer.write({13}).ok());
  writer = {};
  const auto outcome = run_until_idle(*store);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().kind, ErrorKind::Trap);
  // And is gone with that.
  EXPECT_EQ(run_on(), RunOutcome::Done);
}

// Nobody is left who could write.
TEST_F(ComponentStreams, DeadlockIsATrap) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  EXPECT_EQ(call("sum", stream, ~0u), "deadlock detected: event loop cannot make further progress");
}

TEST_F(ComponentStreams, OutlivesTheStore) {
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  bool told = false;
  ASSERT_TRUE(writer.write({1}, [&, writer = writer](size_t, StreamState) { told = true; }).ok());
  const StorePost post(scope);
  stream = {};
  instance.reset();
  store.reset();
  EXPECT_FALSE(told);
  EXPECT_EQ(std::string_view(writer.write({1}).error().message), "the store is gone");
  EXPECT_FALSE(post([] {}));
}

// Values without types are compared where they are used.
TEST_F(ComponentStreams, ElementsOfDynamicValues) {
  {
    auto [floats, writer] = StreamWriter<float>::make(scope);
    EXPECT_EQ(call("sum", floats, ~0u), "expected stream<u32>, found stream<f32>");
  }
  SetUp();
  {
    auto [future, writer] = FutureWriter<uint32_t>::make(scope);
    EXPECT_EQ(call("sum", future, ~0u), "expected a stream, found a future");
  }
  SetUp();
  {
    auto [strings, writer] = FutureWriter<std::string>::make(scope);
    EXPECT_EQ(call("get", strings), "expected future<u32>, found future<string>");
  }
  SetUp();
  // Any is the component's own matter.
  auto [any, writer] = StreamWriter<ComponentVal>::make(scope);
  ASSERT_TRUE(writer.write({ComponentVal::of_bits(3), ComponentVal::of_bits(4)}).ok());
  writer = {};
  EXPECT_EQ(call("sum", any, ~0u), "7");

  auto [pairs, pair_writer] = StreamWriter<Pair>::make(scope);
  StreamReader<std::tuple<ComponentVal, uint32_t>> fits(scope, {pairs.end});
  EXPECT_TRUE(fits.read(1, [](auto, auto) {}).ok());
  StreamReader<std::tuple<ComponentVal, std::string>> none(scope, {pairs.end});
  EXPECT_EQ(std::string_view(none.read(1, [](auto, auto) {}).error().message),
            "expected stream<tuple<*, string>>, found stream<tuple<u8, u32>>");
}

// What a component gives as a value is read as what it is.
TEST_F(ComponentStreams, ElementsOfWhatComponentsGive) {
  std::string why;
  StreamReader<int32_t> wrong;
  ComponentLinker other;
  other.func("", "take", [&](ComponentCall& call) {
    wrong = StreamReader<int32_t>(scope, call.arg<Stream<int32_t>>(0));
    why = std::string_view(wrong.read(1, [](auto, auto) {}).error().message);
    EXPECT_FALSE(ComponentType<Stream<int32_t>>::is(call.args()[0]));
    EXPECT_FALSE(ComponentType<Future<uint32_t>>::is(call.args()[0]));
    EXPECT_TRUE(ComponentType<Stream<uint32_t>>::is(call.args()[0]));
    EXPECT_TRUE(ComponentType<Stream<ComponentVal>>::is(call.args()[0]));
    this->reader = StreamReader<uint32_t>(scope, call.arg<Stream<uint32_t>>(0));
    read_on();
  });
  other.func("", "take-pairs", [](ComponentCall&) {});
  other.func("", "take-future", [](ComponentCall&) {});
  instance.emplace(*other.instantiate(*store, *component));
  EXPECT_EQ(call("count", 2u), "");
  EXPECT_EQ(run_on(), RunOutcome::Done);
  EXPECT_EQ(why, "expected stream<s32>, found stream<u32>");
  EXPECT_EQ(got, (std::vector<uint32_t>{1, 2}));
  auto [future, writer] = FutureWriter<uint32_t>::make(scope);
  ASSERT_TRUE(writer.write(1).ok());
  EXPECT_EQ(std::string_view(instance->func("get").call<std::string>(future).error().message),
            "the result is u32, not string");
}

struct Node : HostResource {};
struct Later {
  void take(Stream<float>, ComponentReply<Future<Unit>> reply) { reply.fail("no"); }
};

// Functions of C++ are compared when they are linked, whatever the ends are in.
TEST(ComponentStreamTypes, OfFunctions) {
  const Engine engine;
  // Definitions of types, the function's type; why the host's function is another.
  const auto refuses = [&](const std::string& types, const std::string& type, auto define) {
    const auto binary = wat2wasm("(component " + types + " (import \"f\" (func " + type + ")))");
    EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    auto component = Component::load(engine, {binary->data(), binary->size()}, {});
    EXPECT_TRUE(component.ok()) << std::string_view(component.error().message);
    Store store(engine);
    ComponentLinker linker;
    bind_resource<Node>(linker, "", "node");
    define(linker);
    const auto instance = linker.instantiate(store, *component);
    return instance.ok() ? "" : std::string(instance.error().message);
  };
  const auto typed = []<class R, class... A>(std::type_identity<R(A...)>) {
    return [](ComponentLinker& linker) {
      linker.typed("", "f", std::function<R(A...)>([](A...) -> R { return R(); }));
    };
  };
  const auto is = [&]<class F>(const std::string& types, const std::string& type,
                               std::type_identity<F> f) { return refuses(types, type, typed(f)); };
  const auto other = [](const std::string& theirs, const std::string& ours) {
    return "component imports `f`: the component's type is " + theirs + ", the host's " + ours;
  };
  using std::type_identity;
  const std::string numbers = "(type $s (stream u32))", taken = R"((param "s" $s))";
  EXPECT_EQ(is(numbers, taken, type_identity<void(Stream<uint32_t>)>()), "");
  EXPECT_EQ(is(numbers, taken, type_identity<void(Stream<ComponentVal>)>()), "");
  EXPECT_EQ(is(numbers, taken, type_identity<void(ComponentVal)>()), "");
  EXPECT_EQ(is(numbers, taken, type_identity<void(Stream<float>)>()),
            other("(stream<u32>)", "(stream<f32>)"));
  EXPECT_EQ(is(numbers, taken, type_identity<void(Stream<int32_t>)>()),
            other("(stream<u32>)", "(stream<s32>)"));
  EXPECT_EQ(is(numbers, taken, type_identity<void(Stream<Unit>)>()),
            other("(stream<u32>)", "(stream<_>)"));
  EXPECT_EQ(is(numbers, taken, type_identity<void(Future<uint32_t>)>()),
            other("(stream<u32>)", "(future<u32>)"));
  EXPECT_EQ(is(numbers, "(result $s)", type_identity<Stream<uint64_t>()>()),
            other("() -> stream<u32>", "() -> stream<u64>"));

  EXPECT_EQ(is("(type $s (stream))", taken, type_identity<void(Stream<Unit>)>()), "");
  EXPECT_EQ(is("(type $s (stream))", taken, type_identity<void(Stream<uint8_t>)>()),
            other("(stream<_>)", "(stream<u8>)"));
  EXPECT_EQ(is("(type $s (future))", "(result $s)", type_identity<Future<Unit>()>()), "");
  EXPECT_EQ(is("(type $s (future))", "(result $s)", type_identity<Future<bool>()>()),
            other("() -> future<_>", "() -> future<bool>"));

  const std::string nested = "(type $n (stream u32)) (type $s (stream $n))";
  EXPECT_EQ(is(nested, taken, type_identity<void(Stream<Stream<uint32_t>>)>()), "");
  EXPECT_EQ(is(nested, taken, type_identity<void(Stream<Stream<uint8_t>>)>()),
            other("(stream<stream<u32>>)", "(stream<stream<u8>>)"));
  EXPECT_EQ(is(nested, taken, type_identity<void(Stream<uint32_t>)>()),
            other("(stream<stream<u32>>)", "(stream<u32>)"));

  const std::string inside =
      "(type $n (stream u32)) (type $o (option $n)) (type $f (future string)) (type $l (list $f))"
      " (type $t (tuple $o $l)) (type $s (result $t))";
  using Inside = std::tuple<std::optional<Stream<uint32_t>>, std::vector<Future<std::string>>>;
  using Other = std::tuple<std::optional<Stream<uint32_t>>, std::vector<Future<char32_t>>>;
  EXPECT_EQ(is(inside, taken, type_identity<void(Expected<Inside, Unit>)>()), "");
  EXPECT_EQ(is(inside, taken, type_identity<void(Expected<Other, Unit>)>()),
            other("(result<tuple<option<stream<u32>>, list<future<string>>>, _>)",
                  "(result<tuple<option<stream<u32>>, list<future<char>>>, _>)"));

  const std::string handles =
      "(import \"node\" (type $r (sub resource))) (type $h (own $r))"
      " (type $s (stream $h))";
  EXPECT_EQ(is(handles, taken, type_identity<void(Stream<std::unique_ptr<Node>>)>()), "");
  EXPECT_EQ(is(handles, taken, type_identity<void(Stream<uint32_t>)>()),
            other("(stream<own>)", "(stream<u32>)"));

  // Methods that answer later.
  Later host;
  const auto later = [&](const char* signature) {
    return [&host, signature](ComponentLinker& linker) {
      bind_method<&Later::take>(linker, "", "f", signature, &host);
    };
  };
  const std::string both = "(type $t (stream f32)) (type $s (future))",
                    function = R"((param "s" $t) (result $s))";
  EXPECT_EQ(refuses(both, function, later("func(stream<f32>) -> future<_>")), "");
  EXPECT_EQ(refuses("(type $t (stream u32)) (type $s (future))", function,
                    later("func(stream<u32>) -> future<_>")),
            other("(stream<u32>) -> future<_>", "(stream<f32>) -> future<_>"));
}

TEST_F(ComponentStreams, ExportsAreCompared) {
  const auto find = [&]<class F>(const char* name, std::type_identity<F>) {
    const auto found = BoundFunc<F>::find(*instance, scope, "", name, "");
    return found.ok() ? "" : std::string(found.error().message);
  };
  using std::type_identity;
  EXPECT_EQ(find("sum", type_identity<uint32_t(Stream<uint32_t>, uint32_t)>()), "");
  EXPECT_EQ(find("sum-pairs", type_identity<uint32_t(Stream<Pair>)>()), "");
  EXPECT_EQ(find("sum", type_identity<uint32_t(Stream<float>, uint32_t)>()),
            "component exports `sum`: the component's type is (stream<u32>, u32) -> u32, the "
            "host's (stream<f32>, u32) -> u32");
  EXPECT_EQ(find("get", type_identity<uint32_t(Future<Pair>)>()),
            "component exports `get`: the component's type is (future<u32>) -> u32, the host's "
            "(future<tuple<u8, u32>>) -> u32");
}

// Functions with ends of streams need no dynamic values.
TEST_F(ComponentStreams, DirectCalls) {
  const auto sum =
      BoundFunc<uint32_t(Stream<uint32_t>, uint32_t)>::find(*instance, scope, "", "sum", "");
  ASSERT_TRUE(sum.ok()) << std::string_view(sum.error().message);
  auto [stream, writer] = StreamWriter<uint32_t>::make(scope);
  ASSERT_TRUE(writer.write({1, 2, 3, 4, 5}).ok());
  writer = {};
  const auto result = sum->call(stream, ~0u);
  ASSERT_TRUE(result.ok()) << std::string_view(result.error().message);
  EXPECT_EQ(*result, 15u);
  // An end of another type is none, whatever it is called.
  auto [floats, float_writer] = StreamWriter<float>::make(scope);
  EXPECT_EQ(std::string_view(sum->call(Stream<uint32_t>{floats.end}, 0u).error().message),
            "expected stream<u32>, found stream<f32>");
}

}  // namespace
}  // namespace wafer
