// Calls that fail on the way: which instances run no more, and that no handle is left behind in one
// that does.
#include <gtest/gtest.h>

#include "component/run/linker.h"
#include "tier_engine.h"
#include "wafer/bindings.hpp"
#include "wafer/component.hpp"
#include "wafer/wafer.hpp"
#include "wat/wat.h"

namespace wafer {
namespace {

using component::Val;

// The one that has resources. Its destructor traps for 13.
constexpr std::string_view kOwner = R"((component
  (core module $D
    (global $dropped (mut i32) (i32.const 0))
    (func (export "dtor") (param i32)
      (if (i32.eq (local.get 0) (i32.const 13)) (then unreachable))
      (global.set $dropped (i32.add (global.get $dropped) (i32.const 1))))
    (func (export "dropped") (result i32) (global.get $dropped)))
  (core instance $d (instantiate $D))
  (type $r' (resource (rep i32) (dtor (core func $d "dtor"))))
  (export $r "r" (type $r'))
  (core func $new (canon resource.new $r'))
  (core func $drop (canon resource.drop $r'))
  (core module $M
    (import "" "new" (func $new (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (memory (export "mem") 1)
    ;; Space for strings cannot be had.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (if (i32.eq (local.get 2) (i32.const 1)) (then unreachable))
      (i32.const 1024))
    (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
    (func (export "take") (param $at i32) (param $count i32)
      (loop $next
        (if (i32.eqz (local.get $count)) (then return))
        (call $drop (i32.load (local.get $at)))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (func (export "named") (param i32 i32 i32) unreachable)
    (func (export "trap") (param i32) unreachable)
    (func (export "pair") (param i32 i32) (call $drop (local.get 0)) (call $drop (local.get 1)))
    (func (export "look") (param i32 i32) (call $drop (local.get 0)))
    (func (export "post") (param i32) (result i32) (i32.const 1))
    (func (export "post-return") (param i32) unreachable))
  (core instance $m (instantiate $M (with "" (instance
    (export "new" (func $new)) (export "drop" (func $drop))))))
  (func (export "make") (param "rep" u32) (result (own $r)) (canon lift (core func $m "make")))
  (func (export "take") (param "l" (list (own $r)))
    (canon lift (core func $m "take") (memory (core memory $m "mem"))
      (realloc (core func $m "realloc"))))
  (func (export "named") (param "r" (own $r)) (param "name" string)
    (canon lift (core func $m "named") (memory (core memory $m "mem"))
      (realloc (core func $m "realloc"))))
  (func (export "trap") (param "r" (own $r)) (canon lift (core func $m "trap")))
  (func (export "pair") (param "a" (own $r)) (param "b" (own $r))
    (canon lift (core func $m "pair")))
  (func (export "post") (param "r" (own $r)) (result u32)
    (canon lift (core func $m "post") (post-return (core func $m "post-return"))))
  (func (export "dropped") (result u32) (canon lift (core func $d "dropped"))))
)";

// What uses them. Each function fails in its own way.
constexpr std::string_view kUser = R"((component
  (import "owner" (instance $o
    (export "r" (type $r (sub resource)))
    (export "make" (func (param "rep" u32) (result (own $r))))
    (export "take" (func (param "l" (list (own $r)))))
    (export "named" (func (param "r" (own $r)) (param "name" string)))
    (export "trap" (func (param "r" (own $r))))
    (export "pair" (func (param "a" (own $r)) (param "b" (own $r))))
    (export "post" (func (param "r" (own $r)) (result u32)))))
  (alias export $o "r" (type $r))
  (core module $Memory (memory (export "mem") 1))
  (core instance $memory (instantiate $Memory))
  (core func $make (canon lower (func $o "make")))
  (core func $take (canon lower (func $o "take") (memory (core memory $memory "mem"))))
  (core func $named (canon lower (func $o "named") (memory (core memory $memory "mem"))))
  (core func $trap (canon lower (func $o "trap")))
  (core func $pair (canon lower (func $o "pair")))
  (core func $post (canon lower (func $o "post")))
  (core func $drop (canon resource.drop $r))
  (core module $M
    (import "" "mem" (memory 1))
    (import "" "make" (func $make (param i32) (result i32)))
    (import "" "take" (func $take (param i32 i32)))
    (import "" "named" (func $named (param i32 i32 i32)))
    (import "" "trap" (func $trap (param i32)))
    (import "" "pair" (func $pair (param i32 i32)))
    (import "" "post" (func $post (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func $made (result i32) (call $make (i32.const 7)))
    (func (export "good")
      (i32.store (i32.const 0) (call $made)) (i32.store (i32.const 4) (call $made))
      (call $take (i32.const 0) (i32.const 2)))
    (func (export "bad-list")
      (i32.store (i32.const 0) (call $made)) (i32.store (i32.const 4) (i32.const 99))
      (call $take (i32.const 0) (i32.const 2)))
    (func (export "twice") (local $h i32)
      (local.set $h (call $made))
      (call $pair (local.get $h) (local.get $h)))
    (func (export "no-space") (call $named (call $made) (i32.const 0) (i32.const 3)))
    (func (export "out-of-bounds") (call $named (call $made) (i32.const -8) (i32.const 16)))
    (func (export "callee") (call $trap (call $made)))
    (func (export "post") (drop (call $post (call $made))))
    (func (export "destructor") (call $drop (call $make (i32.const 13))))
    (func (export "leak") (drop (call $made)) unreachable)
    (func (export "nothing")))
  (core instance $m (instantiate $M (with "" (instance
    (export "mem" (memory $memory "mem")) (export "make" (func $make)) (export "take" (func $take))
    (export "named" (func $named)) (export "trap" (func $trap)) (export "pair" (func $pair))
    (export "post" (func $post)) (export "drop" (func $drop))))))
  (func (export "good") (canon lift (core func $m "good")))
  (func (export "bad-list") (canon lift (core func $m "bad-list")))
  (func (export "twice") (canon lift (core func $m "twice")))
  (func (export "no-space") (canon lift (core func $m "no-space")))
  (func (export "out-of-bounds") (canon lift (core func $m "out-of-bounds")))
  (func (export "callee") (canon lift (core func $m "callee")))
  (func (export "post") (canon lift (core func $m "post")))
  (func (export "destructor") (canon lift (core func $m "destructor")))
  (func (export "leak") (canon lift (core func $m "leak")))
  (func (export "nothing") (canon lift (core func $m "nothing"))))
)";

class Poison : public testing::TestWithParam<Tier> {
 protected:
  Poison() : engine(engine_of(GetParam())), store(engine) {}
  Component load(std::string_view text) {
    auto binary = wat::parse_wat(text, {});
    EXPECT_TRUE(binary.ok()) << std::string_view(binary.error().message);
    auto made = Component::load(engine, {binary->data(), binary->size()});
    EXPECT_TRUE(made.ok()) << std::string_view(made.error().message);
    return *made;
  }
  ComponentInstance instance(component::ComponentLinker& linker, std::string_view text) {
    auto made = linker.instantiate(*component_store(), load(text).raw());
    EXPECT_TRUE(made.ok()) << std::string_view(made.error().message);
    return ComponentInstance(*made);
  }
  component::ComponentStore* component_store() {
    // The API makes it with the first instance.
    if (!first) {
      ComponentLinker none;
      auto made = none.instantiate(store, load("(component)"));
      EXPECT_TRUE(made.ok());
      first.emplace(*made);
    }
    return first->store();
  }
  static std::string message(const Result<std::vector<Val>>& result) {
    return result.ok() ? std::string() : std::string(std::string_view(result.error().message));
  }
  static std::string call(const ComponentInstance& i, std::string_view name,
                          std::vector<Val> args = {}) {
    return message(i.func(name).call_raw(std::move(args)));
  }
  static size_t handles(const ComponentInstance& i) {
    size_t live = 0;
    i.raw()->handles.each([&](const component::Handle&) { ++live; });
    return live;
  }

  Engine engine;
  Store store;
  std::optional<ComponentInstance> first;
};

// Two that the embedder made one after the other. A trap stops those whose functions have been
// entered, which the callee's has been when it takes its arguments.
TEST_P(Poison, InstancesThatCallEachOther) {
  struct Case {
    const char* name;
    const char* says;
    bool owner;         // is it poisoned as well?
    bool came = false;  // is there a handle of it that nobody can use any more?
  };
  for (const Case& c :
       {Case{"bad-list", "unknown handle index 99", true},
        Case{"twice", "unknown handle index", true}, Case{"out-of-bounds", "out of bounds", true},
        Case{"leak", "unreachable", false}, Case{"no-space", "unreachable", true, true},
        Case{"callee", "unreachable", true, true}, Case{"post", "unreachable", true, true},
        Case{"destructor", "unreachable", true}}) {
    component::ComponentLinker none, linker;
    const ComponentInstance owner = instance(none, kOwner);
    component::Item item;
    item.sort = component::Sort::Instance;
    item.instance = owner.raw()->exports;
    linker.define("owner", item);
    const ComponentInstance user = instance(linker, kUser);
    EXPECT_EQ(call(user, "good"), "") << c.name;
    EXPECT_EQ(handles(owner), 0u);
    EXPECT_EQ(handles(user), 0u);
    EXPECT_NE(call(user, c.name).find(c.says), std::string::npos) << c.name;
    EXPECT_EQ(call(user, "nothing"), "cannot enter component instance") << c.name;
    EXPECT_EQ(call(owner, "dropped"), c.owner ? "cannot enter component instance" : "") << c.name;
    EXPECT_EQ(handles(owner), c.came ? 1u : 0u) << c.name;
  }
}

// What the embedder gives.
TEST_P(Poison, ArgumentsOfTheEmbedder) {
  component::ComponentLinker none;
  const auto made = [&](const ComponentInstance& i) {
    auto out = i.func("make").call_raw({Val::of_bits(7)});
    EXPECT_TRUE(out.ok());
    return out.ok() ? out->at(0) : Val();
  };
  for (const char* how : {"another type", "no resource", "no space", "callee", "post-return"}) {
    const ComponentInstance owner = instance(none, kOwner);
    const std::string_view what = how;
    std::vector<Val> args;
    const char* name = "take";
    if (what == "no space") {
      name = "named";
      args = {made(owner), Val::of_text("abc")};
    } else if (what == "callee" || what == "post-return") {
      name = what == "callee" ? "trap" : "post";
      args = {made(owner)};
    } else {
      component::ResourceType other;
      args = {Val::of_items(
          {made(owner), what == "another type" ? Val::of_resource(&other, 1) : Val::of_text("x")})};
    }
    EXPECT_NE(call(owner, name, std::move(args)), "") << how;
    EXPECT_EQ(call(owner, "dropped"), "cannot enter component instance") << how;
  }
}

struct R : GuestResource {
  using GuestResource::GuestResource;
};

// The same by bindings, which put handles in place one by one: the second argument is none.
TEST_P(Poison, ArgumentsOfBindings) {
  component::ComponentLinker none;
  const ComponentInstance owner = instance(none, kOwner);
  const ComponentScope scope{owner.store(), nullptr, nullptr};
  const auto make = BoundFunc<R(uint32_t)>::find(owner, scope, "", "make", "func(u32) -> own");
  const auto pair = BoundFunc<void(R, R)>::find(owner, scope, "", "pair", "func(own, own)");
  ASSERT_TRUE(make.ok() && pair.ok());
  auto a = make->call(1u), b = make->call(2u);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE((pair->call(*std::move(a), *std::move(b)).ok()));
  EXPECT_EQ(handles(owner), 0u);

  // Nothing has happened yet when the first one is none.
  auto c = make->call(3u);
  ASSERT_TRUE(c.ok());
  auto refused = pair->call(R(), *std::move(c));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::Usage);
  EXPECT_EQ(handles(owner), 0u);
  EXPECT_EQ(call(owner, "dropped"), "");

  auto d = make->call(4u);
  ASSERT_TRUE(d.ok());
  refused = pair->call(*std::move(d), R());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(std::string_view(refused.error().message), "");
  EXPECT_EQ(call(owner, "dropped"), "cannot enter component instance");
}

INSTANTIATE_TEST_SUITE_P(Tiers, Poison,
                         testing::Values(Tier::Interpreter, Tier::Baseline, Tier::Auto
#ifdef WAFER_LLVM_MODULE
                                         ,
                                         Tier::Optimized
#endif
                                         ));

}  // namespace
}  // namespace wafer
