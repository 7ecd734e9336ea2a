// Stores that are put back to what they were.
#include "runtime/snapshot.h"

#include <gtest/gtest.h>

#include <string>

#include "interp/interp.h"
#include "wat/wat.h"

namespace wafer::runtime {
namespace {

constexpr uint64_t kMost = 64 << 20;

// The start function writes where the image says something else, and where it says nothing.
constexpr const char* kModule = R"((module
  (memory (export "m") 2 8)
  (data (i32.const 100) "hello")
  (data $passive "again")
  (table $t (export "t") 4 8 funcref)
  (elem (table $t) (i32.const 0) func $one)
  (elem $e func $two)
  (global $g (mut i64) (i64.const 5))
  (global $r (mut funcref) (ref.func $one))
  (func $one (result i32) (i32.const 1))
  (func $two (result i32) (i32.const 2))
  (func $start (i32.store8 (i32.const 101) (i32.const 69)) (i32.store (i32.const 70000) (i32.const 42)))
  (start $start)
  (func (export "write")
    (i64.store (i32.const 96) (i64.const -1)) (i64.store (i32.const 70000) (i64.const -1))
    (memory.init $passive (i32.const 5000) (i32.const 0) (i32.const 5)) (data.drop $passive)
    (drop (memory.grow (i32.const 3))) (i64.store (i32.const 200000) (i64.const -1))
    (global.set $g (i64.const 6)) (global.set $r (ref.null func))
    (table.set $t (i32.const 0) (ref.func $two)) (table.set $t (i32.const 3) (ref.func $one)))
  (func (export "read") (result i32 i32 i32 i64 i32 i32 i32)
    (i32.load8_u (i32.const 101)) (i32.load (i32.const 70000)) (i32.load (i32.const 5000))
    (global.get $g) (memory.size)
    (call_indirect $t (result i32) (i32.const 0))
    (ref.is_null (table.get $t (i32.const 3))))
  (func (export "passive") (memory.init $passive (i32.const 5000) (i32.const 0) (i32.const 5)))
  (func (export "grow_table") (drop (table.grow $t (ref.null func) (i32.const 1))))
  (func (export "drop_elem") (elem.drop $e))
  (func (export "trap") (i32.store (i32.const 0) (i32.const 1)) unreachable)))";

struct Guest {
  Guest() : engine(Engine::create(Config(), interp::tier())), store(engine) {}

  bool make(std::string_view text) {
    auto binary = wat::parse_wat(text);
    EXPECT_TRUE(binary.ok()) << binary.error().message;
    auto module = engine->load_module(*binary);
    EXPECT_TRUE(module.ok()) << module.error().message;
    auto made = store.instantiate(*module, {});
    EXPECT_TRUE(made.ok()) << made.error().message;
    instance = *made;
    return snapshot.take(store, kMost);
  }
  std::vector<uint64_t> call(std::string_view name) {
    std::vector<uint64_t> out;
    const auto result = store.call(instance->get_export(name)->func, {});
    EXPECT_TRUE(result.ok());
    if (result.ok())
      for (const Value& v : *result) out.push_back(v.bits[0]);
    return out;
  }

  std::shared_ptr<Engine> engine;
  Store store;
  Instance* instance = nullptr;
  StoreSnapshot snapshot;
};

TEST(StoreSnapshot, PutEverythingBack) {
  if (!guard_pages_available()) GTEST_SKIP() << "no guard pages";
  Guest g;
  ASSERT_TRUE(g.make(kModule));
  const std::vector<uint64_t> fresh{69, 42, 0, 5, 2, 1, 1};
  EXPECT_EQ(g.call("read"), fresh);
  for (int i = 0; i < 3; ++i) {
    g.call("write");
    EXPECT_NE(g.call("read"), fresh);
    ASSERT_TRUE(g.snapshot.restore(g.store));
    EXPECT_EQ(g.call("read"), fresh);
    EXPECT_EQ(g.instance->memories[0]->base[102], 'l');
    EXPECT_EQ(g.instance->memories[0]->grow(3), 2u);
    EXPECT_EQ(g.instance->memories[0]->base[200000], 0);
    g.call("passive");  // which is there again
    EXPECT_FALSE(g.store.call(g.instance->get_export("trap")->func, {}).ok());
    ASSERT_TRUE(g.snapshot.restore(g.store));
    EXPECT_EQ(g.store.trap().code, TrapCode::None);
    EXPECT_EQ(g.call("read"), fresh);
  }
}

TEST(StoreSnapshot, RefuseWhatTheyCannot) {
  if (!guard_pages_available()) GTEST_SKIP() << "no guard pages";
  for (const char* change : {"grow_table", "drop_elem"}) {
    Guest other;
    ASSERT_TRUE(other.make(kModule));
    other.call(change);
    EXPECT_FALSE(other.snapshot.restore(other.store)) << change;
  }
  Guest more;
  ASSERT_TRUE(more.make(kModule));
  more.store.new_global({wasm::kI32, false}, Value::i32(1));
  EXPECT_FALSE(more.snapshot.restore(more.store));
  Guest gc;
  EXPECT_FALSE(gc.make("(module (type $s (struct)) (global (ref $s) (struct.new $s)))"));
  Guest shared;
  EXPECT_FALSE(shared.make("(module (memory 1 2 shared))"));
  Guest large;
  EXPECT_FALSE(large.make("(module (memory 2000))"));
}

}  // namespace
}  // namespace wafer::runtime
