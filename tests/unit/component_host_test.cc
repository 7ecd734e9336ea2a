// Calls of the host by components: typed functions of C++, and what is told when types differ;
// code ahead of time; many waitables and threads at once.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <variant>

#include "compiler/code_bundle.h"
#include "component/run/linker.h"
#include "component/run/precompile.h"
#include "tier_engine.h"
#include "wafer/component.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

struct Point {
  uint32_t x = 0;
  double y = 0;
};
enum class Side : uint8_t { Left, Right };
struct Figure {
  struct Dot {
    uint32_t value;
  };
  struct Nothing {};
  std::variant<Dot, Nothing> value;
};

}  // namespace

template <>
struct ComponentShape<Point> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Record;
  static constexpr auto kFields = std::tuple(&Point::x, &Point::y);
};
template <>
struct ComponentShape<Side> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Enum;
  static constexpr uint32_t kCount = 2;
};
template <>
struct ComponentShape<Figure> {
  static constexpr ComponentShapeKind kKind = ComponentShapeKind::Variant;
};

namespace {

Vec<uint8_t> binary_of(std::string_view text) {
  auto binary = wat2wasm(text);
  EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message) << "\n" << text;
  return binary.ok() ? *std::move(binary) : Vec<uint8_t>();
}
Component load(const Engine& engine, std::string_view text) {
  const auto binary = binary_of(text);
  auto component =
      Component::load(engine, {binary.data(), binary.size()}, {{"cm-fixed-length-lists"}});
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
    // The general way keeps room for values.
    EXPECT_EQ(instance->raw()->store.host_calls, 1u);
    EXPECT_TRUE(instance->raw()->store.rooms.empty());
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
}

// Other types are refused when components are linked, also where one of them is no scalar.
TEST_P(TypedHost, OtherTypesAreToldAtOnce) {
  const auto why = [&](const std::string& types, const std::string& func, auto f) {
    Store store(engine);
    ComponentLinker linker;
    linker.typed("", "f", f);
    auto made = linker.instantiate(
        store, load(engine, "(component " + types + " (import \"f\" (func " + func + ")))"));
    return made.ok() ? std::string() : std::string(std::string_view(made.error().message));
  };
  const auto f = [](const std::string&, uint32_t) { return std::vector<uint8_t>(); };
  EXPECT_EQ(why("", R"((param "a" string) (param "n" u32) (result (list u8)))", f), "");
  // All of these are bits.
  for (const char* other : {"f64", "s32", "u8", "char", "bool", "u64"})
    EXPECT_EQ(
        why("", R"((param "a" string) (param "n" )" + std::string(other) + ") (result (list u8))",
            f),
        "component imports `f`: the component's type is (string, " + std::string(other) +
            ") -> list<u8>, the host's (string, u32) -> list<u8>");
  EXPECT_NE(why("", R"((param "a" string) (param "n" u32) (result (list s8)))", f), "");
  EXPECT_NE(why("", R"((param "a" string) (param "n" u32))", f), "");
  EXPECT_NE(why("", R"((param "a" string) (result (list u8)))", f), "");
  // What is made of other types.
  const char* const names = R"((type $p' (record (field "x" u32) (field "y" f64)))
      (import "p" (type $p (eq $p'))) (type $e' (enum "a" "b")) (import "e" (type $e (eq $e')))
      (type $v' (variant (case "a" u32) (case "b"))) (import "v" (type $v (eq $v'))))";
  const auto pair = [](const std::tuple<uint32_t, double>&) {};
  EXPECT_EQ(why("", R"((param "a" (tuple u32 f64)))", pair), "");
  EXPECT_EQ(why(names, R"((param "a" $p))", pair), "");
  EXPECT_NE(why("", R"((param "a" (tuple u32 u64)))", pair), "");
  const auto point = [](Point, Side, Figure) {};
  EXPECT_EQ(why(names, R"((param "a" $p) (param "b" $e) (param "c" $v))", point), "");
  EXPECT_NE(why(names, R"((param "a" $p) (param "b" $e) (param "c" $e))", point), "");
  EXPECT_NE(why(names, R"((param "a" $p) (param "b" u8) (param "c" $v))", point), "");
  const auto map = [](const std::vector<std::pair<std::string, uint32_t>>&) {};
  EXPECT_EQ(why("", R"((param "a" (list (tuple string u32))))", map), "");
  EXPECT_NE(why("", R"((param "a" (list (tuple string f32))))", map), "");
  const auto results = [](std::optional<int16_t>) -> Expected<Unit, std::string> { return Unit(); };
  EXPECT_EQ(why("", R"((param "a" (option s16)) (result (result (error string))))", results), "");
  EXPECT_NE(why("", R"((param "a" (option s16)) (result (result string)))", results), "");
  EXPECT_NE(why("", R"((param "a" (option u16)) (result (result (error string))))", results), "");
  const auto four = [](std::array<float, 4>) {};
  EXPECT_EQ(why("", R"((param "a" (list f32 4)))", four), "");
  EXPECT_NE(why("", R"((param "a" (list f32 3)))", four), "");
  const auto any = [](const ComponentVal&, const std::string&) {};
  EXPECT_EQ(why("", R"((param "a" (list (tuple u32 (option string)))) (param "b" string))", any),
            "");
  EXPECT_EQ(why("", R"((param "a" u8) (param "b" string))", any), "");
  EXPECT_NE(why("", R"((param "a" u8) (param "b" u8))", any), "");
  EXPECT_NE(why("", R"((param "b" string))", any), "");
  // What is none of a C++ type is no number either.
  EXPECT_NE(why(names, R"((param "a" $e) (param "b" string))", [](uint32_t, const std::string&) {}),
            "");
}

// A function has its state once, and gets values that are its own.
TEST_P(TypedHost, FunctionsAreNotCopied) {
  struct Counter {
    int* copies;
    explicit Counter(int* c) : copies(c) {}
    Counter(const Counter& o) : copies(o.copies) { ++*copies; }
    Counter(Counter&&) = default;
    uint32_t operator()(uint32_t x) const { return x; }
  };
  int copies = 0;
  ComponentLinker linker;
  std::function<uint32_t(uint32_t)> f = Counter(&copies);
  const int before = copies;
  linker.typed("", "f", std::move(f));
  EXPECT_EQ(copies, before);
}

TEST_P(TypedHost, AnotherTypeIsToldAtOnce) {
  Store store(engine);
  ComponentLinker linker;
  linker.typed("my:host/it", "f", [](uint32_t x) { return x; });
  auto instance = linker.instantiate(store, load(engine, pass_on("s32", "i32")));
  ASSERT_FALSE(instance.ok());
  EXPECT_EQ(std::string_view(instance.error().message),
            "component imports `my:host/it`: `f`: the component's type is (s32) -> s32, the "
            "host's (u32) -> u32");
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

// What was found out about imports does not outlive a change of what the host gives.
TEST(ComponentTypes, ChangesOfTheLinkerAreSeen) {
  const Engine engine = engine_of(Tier::Interpreter);
  Store store(engine);
  const auto instance_of = [&](bool more) {
    std::string text = R"((component (core module $M (func (export "f") (result i32) (i32.const )" +
                       std::string(more ? "1" : "2") + R"()))
      (core instance $m (instantiate $M))
      (func $f (result u32) (canon lift (core func $m "f"))) (export "f" (func $f)))";
    for (const char* name : {"a", "b", "c", "d"})
      if (more || *name != 'd') text += " (export \"" + std::string(name) + "\" (func $f))";
    ComponentLinker linker;
    auto given = linker.instantiate(store, load(engine, text + ")"));
    EXPECT_TRUE(given.ok()) << std::string_view(given.error().message);
    component::Item item;
    item.sort = component::Sort::Instance;
    item.instance = given->raw()->exports;
    return item;
  };
  const Component user = load(engine, R"((component
    (import "lib" (instance $lib (export "f" (func (result u32)))))
    (export "run" (func $lib "f"))))");
  const Component needs_all = load(engine, R"((component
    (import "lib" (instance (export "d" (func (result u32)))))))");
  ComponentLinker linker;
  const auto result = [&]() -> uint32_t {
    auto instance = linker.instantiate(store, user);
    EXPECT_TRUE(instance.ok()) << std::string_view(instance.error().message);
    return *instance->func("run").call<uint32_t>();
  };
  const component::Item more = instance_of(true), fewer = instance_of(false);
  ASSERT_EQ(more.instance->changes(), fewer.instance->changes() + 1);
  linker.raw()->define("lib", more);
  EXPECT_EQ(result(), 1u);
  EXPECT_TRUE(linker.instantiate(store, needs_all).ok());
  linker.raw()->define("lib", fewer);
  EXPECT_EQ(result(), 2u);
  EXPECT_FALSE(linker.instantiate(store, needs_all).ok());
  linker.raw()->define("lib", more);
  EXPECT_EQ(result(), 1u);
}

// Two names of one resource type are given one.
TEST(ComponentTypes, EqualResourcesAreOne) {
  const Engine engine = engine_of(Tier::Interpreter);
  const Component user = load(engine, R"((component
    (import "r" (type $r (sub resource)))
    (import "s" (type $s (eq $r)))
    (import "make" (func (result (own $s))))))");
  for (const bool same : {true, false}) {
    Store store(engine);
    ComponentLinker linker;
    const ComponentResource r = linker.resource("", "r");
    linker.func("", "make", [](ComponentCall&) {});
    if (same)
      linker.resource("", "s", r);
    else
      (void)linker.resource("", "s");
    auto made = linker.instantiate(store, user);
    EXPECT_EQ(made.ok(), same);
    if (!same) {
      EXPECT_EQ(std::string_view(made.error().message),
                "component imports `s`: another resource type than that of the import that it is "
                "equal to");
    }
  }
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

class ComponentCode : public testing::Test {
 protected:
  // Code of kTwo; without a code generator the test is over.
  void SetUp() override {
    auto made = Component::precompile(engine, {binary.data(), binary.size()});
    if (!made.ok() && made.error().kind == ErrorKind::Unsupported)
      GTEST_SKIP() << std::string_view(made.error().message);
    ASSERT_TRUE(made.ok()) << std::string_view(made.error().message);
    code = *std::move(made);
    // In the order of the file.
    auto listed = component::precompile(
        {binary.data(), binary.size()}, component::options_for(*engine.raw()),
        [](const wasm::Module&) -> Result<Vec<uint8_t>> { return Vec<uint8_t>(); });
    ASSERT_TRUE(listed.ok()) << std::string_view(listed.error().message);
    modules = *std::move(listed);
  }
  const Engine engine = engine_of(Tier::Optimized);
  const Vec<uint8_t> binary = binary_of(kTwo);
  Vec<uint8_t> code;
  std::vector<runtime::CompiledModule> modules;
};

TEST_F(ComponentCode, IsOneFile) {
  // Two with the functions, one with a memory, and the adapter between them.
  ASSERT_EQ(modules.size(), 4u);
  const auto bundle = compiler::CodeBundle::load({code.data(), code.size()});
  ASSERT_TRUE(bundle.ok()) << std::string_view(bundle.error().message);
  size_t adapters = 0;
  for (const runtime::CompiledModule& m : modules) {
    EXPECT_NE((*bundle)->find(m.module->bytes), nullptr);
    const uint8_t* const at = m.module->bytes.data();
    adapters += at < binary.data() || at >= binary.data() + binary.size();
  }
  EXPECT_EQ(adapters, 1u);
  // Without what could make code of anything that is not in it, too.
  for (const Tier tier : {Tier::Optimized, Tier::Auto}) {
    const Engine user = engine_of(tier);
    auto component = Component::load_compiled(user, {code.data(), code.size()});
    ASSERT_TRUE(component.ok()) << std::string_view(component.error().message);
    for (int i = 0; i < 2; ++i) {
      Store store(user);
      ComponentLinker linker;
      auto instance = linker.instantiate(store, *component);
      ASSERT_TRUE(instance.ok()) << std::string_view(instance.error().message);
      EXPECT_EQ(*instance->func("run").call<uint32_t>(5u), 5u);
    }
  }
}

// What is damaged, or not all there, is refused; only bytes between two images do not matter.
TEST_F(ComponentCode, DamageIsFound) {
  const auto bundle = compiler::CodeBundle::load({code.data(), code.size()});
  ASSERT_TRUE(bundle.ok()) << std::string_view(bundle.error().message);
  std::vector<bool> padding(code.size());
  size_t images = 0;
  for (size_t at = 0; at < code.size(); at += compiler::kImagePage) {
    if (!compiler::CodeImage::is_image(Bytes(code).subspan(at))) continue;
    ASSERT_LT(images, modules.size());
    const size_t end = at + (*bundle)->find(modules[images++].module->bytes)->size();
    for (size_t i = end; i % compiler::kImagePage; ++i) padding[i] = true;
  }
  ASSERT_EQ(images, modules.size());
  const auto loads = [&](Bytes bytes) { return Component::load_compiled(engine, bytes).ok(); };
  size_t damaged = 0;
  for (size_t at = 0; at < code.size(); at += 1 + std::min(at / 7, size_t{61})) {
    EXPECT_FALSE(loads(Bytes(code).first(at))) << at;
    if (padding[at]) continue;
    code[at] ^= 0x55;
    EXPECT_FALSE(loads(code)) << at;
    code[at] ^= 0x55;
    ++damaged;
  }
  EXPECT_GT(damaged, 100u);
  EXPECT_TRUE(loads(code));
}

// Engines that run no machine code say so, as they do of modules; also of a component that has
// none.
TEST_F(ComponentCode, IsRefusedByEnginesThatCannotRunIt) {
  const auto empty = binary_of("(component)");
  const auto nothing = Component::precompile(engine, {empty.data(), empty.size()});
  ASSERT_TRUE(nothing.ok()) << std::string_view(nothing.error().message);
  EXPECT_TRUE(Component::load_compiled(engine, {nothing->data(), nothing->size()}).ok());
  for (const Tier tier : {Tier::Interpreter, Tier::Baseline}) {
    const Engine other = engine_of(tier);
    for (const Vec<uint8_t>& c : {code, *nothing}) {
      const auto loaded = Component::load_compiled(other, {c.data(), c.size()});
      ASSERT_FALSE(loaded.ok());
      EXPECT_EQ(loaded.error().kind, ErrorKind::Unsupported);
      EXPECT_EQ(std::string_view(loaded.error().message),
                "this tier does not run machine code from files");
    }
  }
}

// What comes from outside is not known when code is made: parts that depend on it have no adapters.
TEST(ComponentPrecompile, ImportedModulesAndComponentsAreNotLookedInto) {
  const Engine engine = engine_of(Tier::Interpreter);
  component::DecodeOptions options = component::options_for(*engine.raw());
  for (const char* const text : {
           R"((component (import "m" (core module)) (core instance (instantiate 0))))",
           R"((component (import "c" (component)) (instance (instantiate 0))))",
           R"((component (import "i" (instance $i (export "m" (core module))))
             (alias export $i "m" (core module $m)) (core instance (instantiate $m))))",
           R"((component (import "m" (core module $m)) (export $e "e" (core module $m))
             (component (alias outer 1 $m (core module $o)) (core instance (instantiate $o)))
             (instance (instantiate 0))))",
       }) {
    const auto binary = binary_of(text);
    size_t modules = 0;
    const auto made = component::precompile({binary.data(), binary.size()}, options,
                                            [&](const wasm::Module&) -> Result<Vec<uint8_t>> {
                                              ++modules;
                                              return Vec<uint8_t>();
                                            });
    EXPECT_TRUE(made.ok()) << text << "\n" << std::string_view(made.error().message);
    EXPECT_EQ(modules, 0u);
  }
}

// Components 0 to `n`, of which each makes `twice` or one of that before it, and one of the last.
std::string chain_of(int n, bool twice, const std::string& first) {
  std::string text = "(component (component $c0 " + first + ")";
  for (int i = 1; i <= n; ++i) {
    text += " (component $c" + std::to_string(i) + " (alias outer 1 $c" + std::to_string(i - 1) +
            " (component $x)) (instance (instantiate $x))" +
            (twice ? " (instance (instantiate $x))" : "") + ")";
  }
  return text + " (instance (instantiate $c" + std::to_string(n) + ")))";
}
constexpr const char* kBig =
    "(core module $m (table 10000000 funcref) (memory 16384))"
    "(core instance (instantiate $m))";

// Few components may mean any number of instances, of any size: code is made of them all the same.
TEST(ComponentPrecompile, WhatIsLookedAtIsLimited) {
  const Engine engine = engine_of(Tier::Interpreter);
  const component::DecodeOptions options = component::options_for(*engine.raw());
  for (const std::string& text : {chain_of(40, true, ""), chain_of(40, true, kBig),
                                  chain_of(11, true, kBig), chain_of(5000, false, kBig)}) {
    const auto binary = binary_of(text);
    const auto made = component::precompile(
        {binary.data(), binary.size()}, options,
        [](const wasm::Module&) -> Result<Vec<uint8_t>> { return Vec<uint8_t>(); });
    ASSERT_TRUE(made.ok()) << std::string_view(made.error().message);
    EXPECT_EQ(made->size(), text.find("core module") != text.npos);
  }
}

// Instances of components count as those of modules do, and do not go as deep as they like.
TEST(ComponentTypes, InstancesAreLimited) {
  const Engine engine = engine_of(Tier::Interpreter);
  const auto made = [&](const std::string& text) {
    StoreLimits limits;
    limits.instances = 1000;
    Store store(engine, limits);
    ComponentLinker linker;
    const auto result = linker.instantiate(store, load(engine, text));
    return result.ok() ? std::string() : std::string(std::string_view(result.error().message));
  };
  EXPECT_EQ(made(chain_of(8, true, "")), "");
  EXPECT_EQ(made(chain_of(40, true, "")), "too many component instances in the store");
  EXPECT_EQ(made(chain_of(100, false, "")), "");
  EXPECT_EQ(made(chain_of(20000, false, "")), "component instances are nested too deeply");
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
    ASSERT_EQ(set.pending.first(), all[i].get());
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
  EXPECT_EQ(set.pending.first(), all[1].get());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace wafer::component
