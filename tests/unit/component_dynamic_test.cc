// Dynamic values in the C++ API: components with 64-bit memories, functions that are async, values
// that are imported and exported; in every tier.
#include <gtest/gtest.h>

#include <thread>

#include "tier_engine.h"
#include "wafer/component.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

using Val = ComponentVal;

class Dynamic : public testing::TestWithParam<Tier> {
 protected:
  Dynamic() : engine(engine_of(GetParam())), store(engine) {}
  std::optional<ComponentInstance> instance_of(std::string_view text) {
    const auto binary = wat2wasm(text);
    EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    if (!binary.ok()) return std::nullopt;
    const auto component =
        Component::load(engine, {binary->data(), binary->size()},
                        {{"cm-memory64", "cm-values", "cm-async-stackful", "cm-async-builtins"}});
    EXPECT_TRUE(component.ok()) << std::string_view(component.error().message);
    if (!component.ok()) return std::nullopt;
    auto made = linker.instantiate(store, *component);
    EXPECT_TRUE(made.ok()) << std::string_view(made.error().message);
    if (!made.ok()) return std::nullopt;
    return *std::move(made);
  }

  Engine engine;
  Store store;
  ComponentLinker linker;
};

std::string with_pointers(const char* pointer) {
  // One component for both widths of pointers.
  std::string text = R"((component
    (import "join" (func $join (param "l" (list string)) (result string)))
    (import "later" (func $later async (param "n" u32) (result (list u64))))
    (core module $Memory
      (memory (export "mem") PTR 32)
      (global $next (mut PTR) (PTR.const 4096))
      (func (export "realloc") (param PTR PTR PTR PTR) (result PTR)
        (global.set $next (PTR.and (PTR.add (global.get $next) (PTR.const 7)) (PTR.const -8)))
        (global.get $next)
        (global.set $next (PTR.add (global.get $next) (local.get 3)))))
    (core instance $memory (instantiate $Memory))
    (core func $join' (canon lower (func $join) (memory (core memory $memory "mem"))
      (realloc (core func $memory "realloc"))))
    (core func $later' (canon lower (func $later) (memory (core memory $memory "mem"))
      (realloc (core func $memory "realloc"))))
    (core func $return (canon task.return (result (list u64))
      (memory (core memory $memory "mem"))))
    (core module $M
      (import "" "mem" (memory PTR 4))
      (import "" "join" (func $join (param PTR PTR PTR)))
      (import "" "later" (func $later (param i32 PTR)))
      (import "" "return" (func $return (param PTR PTR)))
      (func (export "both") (param PTR PTR) (result PTR)
        (call $join (local.get 0) (local.get 1) (PTR.const 16))
        (PTR.const 16))
      (func (export "count") (param i32)
        (call $later (local.get 0) (PTR.const 32))
        (call $return (PTR.load (PTR.const 32)) (PTR.load offset=SIZE (PTR.const 32)))))
    (core instance $m (instantiate $M (with "" (instance
      (export "mem" (memory $memory "mem")) (export "join" (func $join'))
      (export "later" (func $later')) (export "return" (func $return))))))
    (func (export "both") (param "l" (list string)) (result string)
      (canon lift (core func $m "both") (memory (core memory $memory "mem"))
        (realloc (core func $memory "realloc"))))
    (func (export "count") async (param "n" u32) (result (list u64))
      (canon lift (core func $m "count") async (memory (core memory $memory "mem")))))
)";
  const auto all = [&text](std::string_view from, std::string_view to) {
    for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size())
      text.replace(at, from.size(), to);
  };
  all("PTR", pointer);
  all("SIZE", std::string_view(pointer) == "i64" ? "8" : "4");
  return text;
}

TEST_P(Dynamic, WideMemoriesAndAsyncFunctions) {
  std::vector<std::jthread> threads;
  linker.func("", "join", [](ComponentCall& call) {
    std::string all;
    for (const Val& s : call.args()[0].items()) all += s.str() + ";";
    call.set_raw(Val::of_text(all));
  });
  linker.func(
      "", "later",
      [&threads](ComponentCall& call) {
        const auto n = call.args()[0].bits();
        threads.emplace_back([answer = call.later(), n] {
          Val::Items items;
          for (uint64_t i = 0; i < n; ++i) items.push_back(Val::of_bits(i << 40));
          answer.complete_raw(Val::of_items(std::move(items)));
        });
      },
      /*waits=*/true);
  for (const char* pointer : {"i32", "i64"}) {
    const auto instance = instance_of(with_pointers(pointer));
    ASSERT_TRUE(instance);
    const ComponentFunc both = instance->func("both"), count = instance->func("count");
    for (const size_t n : {size_t{0}, size_t{1}, size_t{500}}) {
      Val::Items strings;
      std::string want;
      for (size_t i = 0; i < n; ++i) {
        strings.push_back(Val::of_text(std::string(i, 'x') + "é"));
        want += strings.back().str() + ";";
      }
      std::vector<Val> args;
      args.push_back(Val::of_items(std::move(strings)));
      auto joined = both.call_raw(std::move(args));
      ASSERT_TRUE(joined.ok()) << pointer << ": " << std::string_view(joined.error().message);
      EXPECT_EQ(joined->at(0).str(), want);
    }
    for (const uint32_t n : {0u, 1u, 1000u}) {
      auto counted = count.call_raw({Val::of_bits(n)});
      ASSERT_TRUE(counted.ok()) << pointer << ": " << std::string_view(counted.error().message);
      ASSERT_EQ(counted->at(0).items().size(), n);
      if (n > 1) EXPECT_EQ(counted->at(0).items()[n - 1].bits(), uint64_t{n - 1} << 40);
    }
    // Values of another type are told, and poison nothing that was not entered.
    EXPECT_FALSE(count.call_raw({}).ok());
    auto typed = count.call<std::vector<uint64_t>>(uint32_t{3});
    ASSERT_TRUE(typed.ok()) << std::string_view(typed.error().message);
    EXPECT_EQ(*typed, (std::vector<uint64_t>{0, 1ull << 40, 2ull << 40}));
  }
}

constexpr std::string_view kValues = R"((component
  (import "limit" (value $limit u32))
  (import "conf" (instance $conf (export "words" (value (list string)))))
  (alias export $conf "words" (value $words))
  (core module $M
    (memory (export "mem") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
  (core instance $m (instantiate $M))
  (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $m "add")))
  (value $one u32 1)
  (start $add (value $limit) (value $one) (result (value $sum)))
  (export "sum" (value $sum))
  (instance $out (export "words" (value $words)))
  (export "my:conf/out@1.0.0" (instance $out)))
)";

TEST_P(Dynamic, ValuesComeAndGo) {
  Val::Items words;
  words.push_back(Val::of_text("a"));
  words.push_back(Val::of_text("b"));
  const Val list = Val::of_items(std::move(words));
  linker.value("", "limit", Val::of_bits(41));
  linker.value("conf", "words", list);
  // Each instance has its own.
  for (int i = 0; i < 2; ++i) {
    const auto instance = instance_of(kValues);
    ASSERT_TRUE(instance);
    auto sum = instance->value("sum");
    ASSERT_TRUE(sum.ok()) << std::string_view(sum.error().message);
    EXPECT_EQ(sum->bits(), 42u);
    auto out = instance->value("words", "my:conf/out@1.0.0");
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(*out, list);
    EXPECT_FALSE(instance->value("limit").ok());
  }
  const auto refused = [this](const char* name, Val value, std::string_view why) {
    const auto binary = wat2wasm(kValues);
    linker.value(name == std::string_view("words") ? "conf" : "", name, std::move(value));
    const auto component =
        Component::load(engine, {binary->data(), binary->size()}, {{"cm-values"}});
    ASSERT_TRUE(component.ok());
    auto made = linker.instantiate(store, *component);
    ASSERT_FALSE(made.ok());
    EXPECT_NE(std::string_view(made.error().message).find(why), std::string_view::npos)
        << std::string_view(made.error().message);
  };
  refused("limit", Val::of_int(-1), "`limit`: the value is none of type u32");
  refused("limit", Val::of_text("x"), "`limit`: the value is none of type u32");
  linker.value("", "limit", Val::of_bits(0));
  refused("words", Val::of_bits(0), "`words`: the value is none of type list<string>");
}

TEST_P(Dynamic, ResourcesInValuesGoOnce) {
  constexpr std::string_view kText = R"((component
    (import "r" (type $r (sub resource)))
    (import "v" (value $v (own $r)))
    (core func $drop (canon resource.drop $r))
    (core module $M (import "" "drop" (func $drop (param i32)))
      (func (export "f") (param i32) (call $drop (local.get 0))))
    (core instance $m (instantiate $M (with "" (instance (export "drop" (func $drop))))))
    (func $f (param "r" (own $r)) (canon lift (core func $m "f")))
    (start $f (value $v)))
)";
  std::vector<uint64_t> dropped;
  const ComponentResource type =
      linker.resource("", "r", [&dropped](uint64_t rep) { dropped.push_back(rep); });
  linker.value("", "v", type.make(7));
  ASSERT_TRUE(instance_of(kText));
  EXPECT_EQ(dropped, std::vector<uint64_t>{7});
  const auto binary = wat2wasm(kText);
  const auto component = Component::load(engine, {binary->data(), binary->size()}, {{"cm-values"}});
  auto made = linker.instantiate(store, *component);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(std::string_view(made.error().message).find("were given away before"),
            std::string_view::npos);
  EXPECT_EQ(dropped, std::vector<uint64_t>{7});
}

// A value that is said to be equal to one before it.
TEST_P(Dynamic, EqualValuesAreCompared) {
  constexpr std::string_view kText = R"((component
    (import "a" (value $a u32))
    (import "b" (value $b (eq $a)))
    (export "x" (value $a))
    (export "y" (value $b)))
)";
  linker.value("", "a", Val::of_bits(1));
  linker.value("", "b", Val::of_bits(1));
  const auto instance = instance_of(kText);
  ASSERT_TRUE(instance);
  EXPECT_EQ(instance->value("y")->bits(), 1u);
  linker.value("", "b", Val::of_bits(2));
  const auto binary = wat2wasm(kText);
  const auto component = Component::load(engine, {binary->data(), binary->size()}, {{"cm-values"}});
  ASSERT_TRUE(component.ok());
  auto made = linker.instantiate(store, *component);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(std::string_view(made.error().message)
                .find("`b`: another value than the one that it is equal to"),
            std::string_view::npos)
      << std::string_view(made.error().message);
}

// What was taken for a start function that cannot be called is dropped, and so is what was given
// to a function with an argument that is none of its type.
TEST_P(Dynamic, ResourcesOfCallsThatFailAreDropped) {
  constexpr std::string_view kText = R"((component
    (import "r" (type $r (sub resource)))
    (import "v" (value $v (own $r)))
    (import "w" (value $w (own $r)))
    (core func $drop (canon resource.drop $r))
    (core module $M (import "" "drop" (func $drop (param i32)))
      (func (export "f") (param i32 i32)
        (call $drop (local.get 0)) (call $drop (local.get 1))))
    (core instance $m (instantiate $M (with "" (instance (export "drop" (func $drop))))))
    (func $f (param "v" (own $r)) (param "w" (own $r)) (canon lift (core func $m "f")))
    (start $f (value $v) (value $w))
    (export "f" (func $f)))
)";
  std::vector<uint64_t> dropped;
  const ComponentResource type =
      linker.resource("", "r", [&dropped](uint64_t rep) { dropped.push_back(rep); });
  linker.value("", "v", type.make(7));
  linker.value("", "w", type.make(8));
  const auto instance = instance_of(kText);
  ASSERT_TRUE(instance);
  EXPECT_EQ(dropped, (std::vector<uint64_t>{7, 8}));
  // The second was given away before.
  linker.value("", "v", type.make(9));
  const auto binary = wat2wasm(kText);
  const auto component = Component::load(engine, {binary->data(), binary->size()}, {{"cm-values"}});
  ASSERT_FALSE(linker.instantiate(store, *component).ok());
  EXPECT_EQ(dropped, (std::vector<uint64_t>{7, 8, 9}));
  EXPECT_FALSE(instance->func("f").call_raw({type.make(10), Val::of_text("x")}).ok());
  EXPECT_EQ(dropped, (std::vector<uint64_t>{7, 8, 9, 10}));
}

// What an instance owned of the host's is dropped when it traps, as are results of start functions
// that nobody takes since the instantiation ends.
TEST_P(Dynamic, ResourcesOfInstancesThatTrapAreDropped) {
  std::vector<uint64_t> dropped;
  const ComponentResource type =
      linker.resource("", "r", [&dropped](uint64_t rep) { dropped.push_back(rep); });
  const auto instance = instance_of(R"((component
    (import "r" (type $r (sub resource)))
    (core module $M (func (export "f") (param i32) unreachable) (func (export "g") (param i32)))
    (core instance $m (instantiate $M))
    (func $f (param "r" (own $r)) (canon lift (core func $m "f")))
    (func $g (param "r" (own $r)) (canon lift (core func $m "g")))
    (export "f" (func $f)) (export "g" (func $g)))
)");
  ASSERT_TRUE(instance);
  ASSERT_TRUE(instance->func("g").call_raw({type.make(1)}).ok());
  EXPECT_TRUE(dropped.empty());
  EXPECT_FALSE(instance->func("f").call_raw({type.make(2)}).ok());
  EXPECT_EQ(dropped, (std::vector<uint64_t>{1, 2}));
  linker.value("", "v", type.make(3));
  const auto binary = wat2wasm(R"((component
    (import "r" (type $r (sub resource)))
    (import "v" (value $v (own $r)))
    (core module $M
      (func (export "id") (param i32) (result i32) (local.get 0))
      (func (export "trap") unreachable))
    (core instance $m (instantiate $M))
    (func $id (param "r" (own $r)) (result (own $r)) (canon lift (core func $m "id")))
    (func $trap (canon lift (core func $m "trap")))
    (start $id (value $v) (result (value $w)))
    (start $trap)
    (export "w" (value $w)))
)");
  ASSERT_TRUE(binary.ok()) << std::string_view(binary.error().message);
  const auto component = Component::load(engine, {binary->data(), binary->size()}, {{"cm-values"}});
  ASSERT_TRUE(component.ok()) << std::string_view(component.error().message);
  EXPECT_FALSE(linker.instantiate(store, *component).ok());
  EXPECT_EQ(dropped, (std::vector<uint64_t>{1, 2, 3}));
}

// An end that goes by way of the host keeps the type that it had.
TEST_P(Dynamic, EndsThatTheHostPassesOnKeepTheirTypes) {
  const auto replaced = [](std::string text, std::string_view type) {
    for (size_t at; (at = text.find("TYPE")) != std::string::npos;) text.replace(at, 4, type);
    return text;
  };
  constexpr std::string_view kGiver = R"((component
    (type $s TYPE)
    (core func $new (canon GENUS.new $s))
    (core module $M (import "" "new" (func $new (result i64)))
      (func (export "f") (result i32) (i32.wrap_i64 (call $new))))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
    (func (export "f") (result $s) (canon lift (core func $m "f")))
))";
  constexpr std::string_view kTaker = R"((component
    (type $s TYPE)
    (core module $M (func (export "f") (param i32)))
    (core instance $m (instantiate $M))
    (func (export "f") (param "s" $s) (canon lift (core func $m "f")))
))";
  struct Case {
    const char *genus, *given, *wanted, *why;
  };
  for (const Case& c : {
           Case{"stream", "(stream u32)", "(stream u32)", nullptr},
           Case{"stream", "(stream (tuple u8 (future string)))",
                "(stream (tuple u8 (future string)))", nullptr},
           Case{"future", "(future)", "(future)", nullptr},
           Case{"stream", "(stream u32)", "(stream f32)",
                "expected a stream of f32, found one of u32"},
           Case{"stream", "(stream u32)", "(stream)",
                "expected a stream of no value, found one of u32"},
           Case{"stream", "(stream (future u8))", "(stream (future s8))", "expected a stream of"},
           Case{"future", "(future error-context)", "(future u32)", "expected a future of u32"},
           Case{"stream", "(stream u32)", "(future u32)", "expected a future, found a stream"},
       }) {
    std::string giver(kGiver);
    giver.replace(giver.find("GENUS"), 5, c.genus);
    Store own(engine);
    const auto make = [&](const std::string& text) -> std::optional<ComponentInstance> {
      const auto binary = wat2wasm(text);
      EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message) << text;
      if (!binary.ok()) return std::nullopt;
      const auto component = Component::load(engine, {binary->data(), binary->size()},
                                             {{"cm-values", "cm-error-context"}});
      EXPECT_TRUE(component.ok()) << std::string_view(component.error().message);
      if (!component.ok()) return std::nullopt;
      auto made = linker.instantiate(own, *component);
      EXPECT_TRUE(made.ok());
      return made.ok() ? std::optional(*std::move(made)) : std::nullopt;
    };
    const auto from = make(replaced(giver, c.given));
    const auto to = make(replaced(std::string(kTaker), c.wanted));
    ASSERT_TRUE(from && to);
    auto end = from->func("f").call_raw({});
    ASSERT_TRUE(end.ok()) << std::string_view(end.error().message);
    const auto taken = to->func("f").call_raw({(*end)[0]});
    EXPECT_EQ(taken.ok(), c.why == nullptr) << c.given << c.wanted;
    if (c.why && !taken.ok())
      EXPECT_NE(std::string_view(taken.error().message).find(c.why), std::string_view::npos)
          << std::string_view(taken.error().message);
  }
}

INSTANTIATE_TEST_SUITE_P(Tiers, Dynamic,
                         testing::Values(Tier::Interpreter, Tier::Baseline, Tier::Auto
#ifdef WAFER_LLVM_MODULE
                                         ,
                                         Tier::Optimized
#endif
                                         ));

}  // namespace
}  // namespace wafer
