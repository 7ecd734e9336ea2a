// Calls of the host by components: typed functions of C++, and what is told when types differ;
// code ahead of time; many waitables and threads at once.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "component/run/linker.h"
#include "wafer/component.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

Vec<uint8_t> binary_of(std::string_view text) {
  auto binary = wat2wasm(text);
  EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message) << "\n" << text;
  return binary.ok() ? *std::move(binary) : Vec<uint8_t>();
}
Engine engine_of(Tier tier) {
  Config config;
  config.tier = tier;
#ifdef WAFER_LLVM_MODULE
  config.optimizer_library = WAFER_LLVM_MODULE;
#endif
  return Engine(config);
}
Component load(const Engine& engine, std::string_view text) {
  const auto binary = binary_of(text);
  auto component = Component::load(engine, {binary.data(), binary.size()});
  EXPECT_TRUE(component.ok()) << std::string_view(component.error().message) << "\n" << text;
  return *component;
}

// Passes what it gets on to the host, and the host's result back. `core`: the core type.
std::string pass_on(const std::string& component, const std::string& core) {
  return R"((component
    (import "my:host/it" (instance $host
      (export "f" (func (param "x" )" +
         component + ") (result " + component + R"()))))
    (core func $f (canon lower (func $host "f")))
    (core module $M (import "" "f" (func $f (param )" +
         core + ") (result " + core + R"()))
      (func (export "run") (param )" +
         core + ") (result " + core + R"() (call $f (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
    (func (export "run") (param "x" )" +
         component + ") (result " + component + R"() (canon lift (core func $m "run")))))";
}

class TypedHost : public testing::TestWithParam<Tier> {
 protected:
  TypedHost() : engine(engine_of(GetParam())) {}
  // The result of `f` for `v`, through a component; and that it was called without values.
  template <class T>
  T pass(const char* component, const char* core, T v, T (*f)(T)) {
    Store store(engine);
    ComponentLinker linker;
    linker.typed("my:host/it", "f", [f](T x) { return f(x); });
    auto instance = linker.instantiate(store, load(engine, pass_on(component, core)));
    EXPECT_TRUE(instance.ok()) << std::string_view(instance.error().message);
    auto out = instance->func("run").call<T>(v);
    EXPECT_TRUE(out.ok()) << component << ": " << std::string_view(out.error().message);
    return *out;
  }
  Engine engine;
};

TEST_P(TypedHost, ScalarsComeAsTheyAre) {
  EXPECT_EQ(pass<bool>("bool", "i32", true, [](bool x) { return !x; }), false);
  EXPECT_EQ(pass<uint8_t>("u8", "i32", 255, [](uint8_t x) { return uint8_t(x - 1); }), 254);
  EXPECT_EQ(pass<int8_t>("s8", "i32", -128, [](int8_t x) { return int8_t(x + 1); }), -127);
  EXPECT_EQ(pass<uint16_t>("u16", "i32", 65535, [](uint16_t x) { return uint16_t(x - 1); }), 65534);
  EXPECT_EQ(pass<int16_t>("s16", "i32", -2, [](int16_t x) { return int16_t(x * 3); }), -6);
  EXPECT_EQ(pass<uint32_t>("u32", "i32", ~0u, [](uint32_t x) { return x - 1; }), ~0u - 1);
  EXPECT_EQ(pass<int32_t>("s32", "i32", -7, [](int32_t x) { return x * 2; }), -14);
  EXPECT_EQ(pass<uint64_t>("u64", "i64", ~0ull, [](uint64_t x) { return x - 1; }), ~0ull - 1);
  EXPECT_EQ(pass<int64_t>("s64", "i64", INT64_MIN, [](int64_t x) { return x + 1; }), INT64_MIN + 1);
  EXPECT_EQ(pass<float>("f32", "f32", 1.5f, [](float x) { return x * 2; }), 3.0f);
  EXPECT_EQ(pass<double>("f64", "f64", -0.0, [](double x) { return 1 / x; }), -INFINITY);
  EXPECT_EQ(pass<char32_t>("char", "i32", U'é', [](char32_t x) { return char32_t(x + 1); }), U'ê');
  // NaNs become the one that all know.
  const float nan =
      pass<float>("f32", "f32", 0.0f, [](float) { return std::bit_cast<float>(0xffc12345u); });
  EXPECT_EQ(std::bit_cast<uint32_t>(nan), 0x7fc00000u);
}

// What a guest gives is made fit, as by the general way.
TEST_P(TypedHost, BitsBeyondTheType) {
  const char* const text = R"((component
    (import "f" (func $f (param "a" u8) (param "b" s16) (param "c" bool) (param "d" char)
      (result s8)))
    (core func $f (canon lower (func $f)))
    (core module $M (import "" "f" (func $f (param i32 i32 i32 i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (call $f (i32.const 0x1234) (i32.const 0x18000) (i32.const 2) (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
    (func (export "run") (param "x" u32) (result s32) (canon lift (core func $m "run")))))";
  for (const bool typed : {true, false}) {
    Store store(engine);
    ComponentLinker linker;
    std::tuple<uint8_t, int16_t, bool, char32_t> seen;
    if (typed)
      linker.typed("", "f", [&](uint8_t a, int16_t b, bool c, char32_t d) {
        seen = {a, b, c, d};
        return int8_t(-3);
      });
    else
      linker.func("", "f", [&](ComponentCall& call) {
        seen = {call.arg<uint8_t>(0), call.arg<int16_t>(1), call.arg<bool>(2),
                call.arg<char32_t>(3)};
        call.set(int8_t(-3));
      });
    const Component component = load(engine, text);
    auto instance = linker.instantiate(store, component);
    ASSERT_TRUE(instance.ok()) << std::string_view(instance.error().message);
    EXPECT_EQ(*instance->func("run").call<int32_t>(uint32_t('x')), -3);
    EXPECT_EQ(seen, (std::tuple<uint8_t, int16_t, bool, char32_t>{0x34, -32768, true, U'x'}));
    auto bad = instance->func("run").call<int32_t>(0xd800u);
    ASSERT_FALSE(bad.ok());
    EXPECT_EQ(std::string_view(bad.error().message), "invalid `char` bit pattern");
  }
}

// Values that are more than a core value each go the general way, and may be refused.
TEST_P(TypedHost, StringsAndLists) {
  const char* const text = R"((component
    (import "f" (func $f (param "a" string) (param "n" u32) (result (list u8))))
    (core module $Mem (memory (export "mem") 1) (data (i32.const 8) "abc")
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 256)))
    (core instance $mem (instantiate $Mem))
    (core func $f (canon lower (func $f) (memory (core memory $mem "mem"))
      (realloc (core func $mem "realloc"))))
    (core module $M (import "" "mem" (memory 1))
      (import "" "f" (func $f (param i32 i32 i32 i32)))
      (func (export "run") (result i32)
        (call $f (i32.const 8) (i32.const 3) (i32.const 2) (i32.const 64))
        (i32.add (i32.mul (i32.load (i32.const 68)) (i32.const 1000))
                 (i32.load8_u offset=5 (i32.load (i32.const 64))))))
    (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))
      (export "mem" (memory $mem "mem"))))))
    (func (export "run") (result u32) (canon lift (core func $m "run")))))";
  const Component component = load(engine, text);
  Store store(engine);
  ComponentLinker linker;
  linker.typed("", "f", [](const std::string& a, uint32_t n) {
    std::vector<uint8_t> out;
    for (uint32_t i = 0; i < n; ++i) out.insert(out.end(), a.begin(), a.end());
    return out;
  });
  auto instance = linker.instantiate(store, component);
  ASSERT_TRUE(instance.ok()) << std::string_view(instance.error().message);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*instance->func("run").call<uint32_t>(), 6000u + 'c');
  Store other(engine);
  ComponentLinker wrong;
  wrong.typed("", "f", [](const std::string&, const std::string&) {});
  auto bad = wrong.instantiate(other, component);
  ASSERT_TRUE(bad.ok());
  auto called = bad->func("run").call<uint32_t>();
  ASSERT_FALSE(called.ok());
  EXPECT_EQ(std::string_view(called.error().message), "the host's function has other parameters");
}

TEST_P(TypedHost, AnotherTypeIsToldAtOnce) {
  Store store(engine);
  ComponentLinker linker;
  linker.typed("my:host/it", "f", [](uint32_t x) { return x; });
  auto instance = linker.instantiate(store, load(engine, pass_on("s32", "i32")));
  ASSERT_FALSE(instance.ok());
  EXPECT_EQ(std::string_view(instance.error().message),
            "component imports `my:host/it`: `f`: the host's function has another type");
}

INSTANTIATE_TEST_SUITE_P(Tiers, TypedHost, testing::Values(Tier::Interpreter, Tier::Auto));

// ---- Functions of other components

constexpr const char* kGiver = R"((component
  (core module $M (func (export "f") (param i32) (result i32) (local.get 0))
    (func (export "g") (param i32 i32)))
  (core instance $m (instantiate $M))
  (type $r' (record (field "a" u32)))
  (export $r "r" (type $r'))
  (type $e' (enum "a" "b"))
  (export $e "e" (type $e'))
  (func (export "number") (param "x" u32) (result u32) (canon lift (core func $m "f")))
  (func (export "record") (param "x" $r) (result u32) (canon lift (core func $m "f")))
  (func (export "choice") (param "x" (option $e)) (canon lift (core func $m "g")))))";

TEST(ComponentTypes, FunctionsFromElsewhereAreCompared) {
  const Engine engine = engine_of(Tier::Interpreter);
  Store store(engine);
  ComponentLinker linker;
  auto given = linker.instantiate(store, load(engine, kGiver));
  ASSERT_TRUE(given.ok()) << std::string_view(given.error().message);
  component::Item item;
  item.sort = component::Sort::Instance;
  item.instance = given->raw()->exports;
  const auto why = [&](const std::string& exports) {
    ComponentLinker other;
    other.raw()->define("lib", item);
    auto made = other.instantiate(
        store, load(engine, "(component (import \"lib\" (instance " + exports + ")))"));
    return made.ok() ? std::string() : std::string(std::string_view(made.error().message));
  };
  const std::string record =
      R"((type $r' (record (field "a" u32))) (export "r" (type $r (eq $r'))))";
  const std::string choice = R"((type $e' (enum "a" "b")) (export "e" (type $e (eq $e'))))";
  EXPECT_EQ(why(R"((export "number" (func (param "x" u32) (result u32))))"), "");
  EXPECT_EQ(why(record + R"((export "record" (func (param "x" $r) (result u32))))"), "");
  EXPECT_EQ(why(choice + R"((export "choice" (func (param "x" (option $e)))))"), "");
  EXPECT_EQ(why(R"((export "number" (func (param "x" s32) (result u32))))"),
            "component imports `lib`: `number`: parameter `x`: expected s32, found u32");
  EXPECT_EQ(why(R"((export "number" (func (param "y" u32) (result u32))))"),
            "component imports `lib`: `number`: expected parameter `y`, found `x`");
  EXPECT_EQ(why(R"((export "number" (func (param "x" u32))))"),
            "component imports `lib`: `number`: result: expected nothing, found u32");
  EXPECT_EQ(why(R"((export "number" (func (result u32))))"),
            "component imports `lib`: `number`: expected 0 parameters, found 1");
  EXPECT_EQ(why(R"((export "number" (func async (param "x" u32) (result u32))))"),
            "component imports `lib`: `number`: expected an async function");
  EXPECT_EQ(why(R"((type $r' (record (field "b" u32))) (export "r" (type $r (eq $r')))
                   (export "record" (func (param "x" $r) (result u32))))"),
            "component imports `lib`: `record`: parameter `x`: expected record { b: u32 }, found "
            "record { a: u32 }");
  // Names of cases count, too.
  EXPECT_NE(why(R"((type $e' (enum "a" "c")) (export "e" (type $e (eq $e')))
                   (export "choice" (func (param "x" (option $e)))))"),
            "");
}

// ---- Code ahead of time

constexpr const char* kTwo = R"((component
  (component $C
    (core module $M (memory (export "mem") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
      (func (export "count") (param i32 i32) (result i32) (local.get 1)))
    (core instance $m (instantiate $M))
    (func (export "count") (param "s" string) (result u32) (canon lift (core func $m "count")
      (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))
  (component $D
    (import "count" (func $count (param "s" string) (result u32)))
    (core module $Mem (memory (export "mem") 1) (data (i32.const 8) "hello"))
    (core instance $mem (instantiate $Mem))
    (core func $count' (canon lower (func $count) (memory (core memory $mem "mem"))))
    (core module $M (import "" "count" (func $count (param i32 i32) (result i32)))
      (func (export "run") (param i32) (result i32) (call $count (i32.const 8) (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "count" (func $count'))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run"))))
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "count" (func $c "count"))))
  (func (export "run") (alias export $d "run"))))";

class Thing final : public HostResource {};

// Values that there are none of are failures, not something else.
TEST(ComponentTypes, ValuesThatCannotBeConvertedFail) {
  const Engine engine = engine_of(Tier::Interpreter);
  const Component component = load(engine, R"((component
    (import "h" (instance $h
      (export "r" (type $r (sub resource)))
      (export "make" (func (result (own $r))))
      (export "make-wrong" (func (result (own $r))))
      (export "later" (func async (result (own $r))))
      (export "take" (func (param "x" (own $r))))
      (export "take-typed" (func (param "x" (own $r))))))
    (core func $make (canon lower (func $h "make")))
    (core func $make_wrong (canon lower (func $h "make-wrong")))
    (core func $later (canon lower (func $h "later")))
    (core func $take (canon lower (func $h "take")))
    (core func $take_typed (canon lower (func $h "take-typed")))
    (core module $M
      (import "" "make" (func $make (result i32)))
      (import "" "make-wrong" (func $make_wrong (result i32)))
      (import "" "later" (func $later (result i32)))
      (import "" "take" (func $take (param i32)))
      (import "" "take-typed" (func $take_typed (param i32)))
      (func (export "none") (drop (call $make_wrong)))
      (func (export "late") (drop (call $later)))
      (func (export "give") (call $take (call $make)))
      (func (export "give-typed") (call $take_typed (call $make))))
    (core instance $m (instantiate $M (with "" (instance
      (export "make" (func $make)) (export "make-wrong" (func $make_wrong))
      (export "later" (func $later)) (export "take" (func $take))
      (export "take-typed" (func $take_typed))))))
    (func (export "none") (canon lift (core func $m "none")))
    (func (export "late") async (canon lift (core func $m "late")))
    (func (export "give") (canon lift (core func $m "give")))
    (func (export "give-typed") (canon lift (core func $m "give-typed")))))");
  ComponentLinker linker;
  const ComponentResource type = linker.resource("h", "r");
  linker.func("h", "make", [&](ComponentCall& call) { call.set_raw(type.make(7)); });
  linker.func("h", "make-wrong", [](ComponentCall& call) { call.set(std::make_unique<Thing>()); });
  linker.func(
      "h", "later", [](ComponentCall& call) { call.later().complete(std::make_unique<Thing>()); },
      true);
  linker.func("h", "take",
              [](ComponentCall& call) { EXPECT_EQ(call.arg<std::unique_ptr<Thing>>(0), nullptr); });
  linker.typed("h", "take-typed", [](std::unique_ptr<Thing>) { FAIL() << "called"; });
  for (const auto& [name, wanted] : {std::pair{"none", "null resource"},
                                     {"late", "null resource"},
                                     {"give", "resource of another type"},
                                     {"give-typed", "resource of another type"}}) {
    Store store(engine);
    auto instance = linker.instantiate(store, component);
    ASSERT_TRUE(instance.ok()) << std::string_view(instance.error().message);
    const auto done = instance->func(name).call();
    ASSERT_FALSE(done.ok()) << name;
    EXPECT_NE(std::string_view(done.error().message).find(wanted), std::string_view::npos)
        << name << ": " << std::string_view(done.error().message);
    const auto refused =
        instance->func(name).call<void>(static_cast<const GuestResource*>(nullptr));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::Usage);
    EXPECT_EQ(std::string_view(refused.error().message), "null resource");
  }
}

TEST(ComponentCode, IsOneFile) {
  const Engine engine = engine_of(Tier::Optimized);
  const auto binary = binary_of(kTwo);
  auto code = Component::precompile(engine, {binary.data(), binary.size()});
  if (!code.ok()) GTEST_SKIP() << std::string_view(code.error().message);
  // Without what could make code of anything that is not in it, too.
  for (const Tier tier : {Tier::Optimized, Tier::Auto}) {
    const Engine user = engine_of(tier);
    auto component = Component::load_compiled(user, {code->data(), code->size()});
    ASSERT_TRUE(component.ok()) << std::string_view(component.error().message);
    for (int i = 0; i < 2; ++i) {
      Store store(user);
      ComponentLinker linker;
      auto instance = linker.instantiate(store, *component);
      ASSERT_TRUE(instance.ok()) << std::string_view(instance.error().message);
      EXPECT_EQ(*instance->func("run").call<uint32_t>(5u), 5u);
    }
  }
  // Damage never gets as far as to run.
  for (size_t at = 0; at < code->size(); at += 1 + at / 7) {
    auto bad = *code;
    bad[at] ^= 0x55;
    (void)Component::load_compiled(engine, {bad.data(), bad.size()});
    (void)Component::load_compiled(engine, {code->data(), at});
  }
}

}  // namespace
}  // namespace wafer

namespace wafer::component {
namespace {

// ---- Many at once

class Signal final : public Waitable {
 public:
  explicit Signal(ComponentStore& s) : Waitable(s) {}

 protected:
  Event event() override { return {EventCode::Subtask, 1, 0}; }
};

// Takes a hundred thousand out of a set in ways that would each be a walk through all of it.
TEST(ComponentMany, PendingEventsAreTakenInConstantTime) {
  const auto engine = runtime::Engine::create({}, nullptr);
  runtime::Store core(engine);
  ComponentStore store(core);
  constexpr size_t kMany = 100'000;
  const auto start = std::chrono::steady_clock::now();
  WaitableSet set;
  std::vector<std::shared_ptr<Signal>> all;
  for (size_t i = 0; i < kMany; ++i) {
    all.push_back(std::make_shared<Signal>(store));
    all.back()->join(&set);
    all.back()->set_pending();
  }
  // From the end, and every second one; then the rest in order.
  for (size_t i = kMany; i-- > kMany / 2;) (void)all[i]->get_pending_event();
  for (size_t i = 0; i < kMany / 2; i += 2) all[i]->join(nullptr);
  EXPECT_EQ(set.pending.size(), kMany / 4);
  for (size_t i = 1; i < kMany / 2; i += 2) {
    ASSERT_EQ(&set.pending.nth(0), all[i].get());
    (void)set.get_pending_event(store);
  }
  EXPECT_FALSE(set.has_pending_event());
  // The first one stays while others come and go.
  all[1]->set_pending();
  for (size_t i = 0; i < kMany; ++i) {
    all[3]->set_pending();
    (void)all[3]->get_pending_event();
  }
  EXPECT_EQ(set.pending.size(), 1u);
  EXPECT_EQ(&set.pending.nth(0), all[1].get());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace wafer::component
