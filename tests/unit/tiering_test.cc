// Functions that move from baseline to optimized code while the program runs.
#if WAFER_HAS_BASELINE
#include "compiler/tiering/tiering.h"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "compiler/llvm_loader.h"
#include "random_program.h"
#include "runtime/linker.h"

namespace wafer::compiler {
namespace {

class TieringTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!BaselineCompiler::supported()) GTEST_SKIP() << "processor too old";
    setenv("WAFER_LLVM", WAFER_LLVM_MODULE, /*overwrite=*/0);
  }

  static TierOptions options() {
    TierOptions o;
    o.backend = load_llvm_backend;
    return o;
  }
  // Functions become hot on their own; whole modules are not compiled.
  static TieringOptions parts(uint32_t heat) {
    TieringOptions o;
    o.heat = heat;
    o.whole_bytes = 0;
    return o;
  }
  static std::unique_ptr<TieringTier> make(const TieringOptions& tiering) {
    return std::make_unique<TieringTier>(options(), tiering);
  }
};

// A program that runs in a tier of its own.
struct Running {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<wasm::Module> module;
  std::unique_ptr<Store> store;
  runtime::Instance* instance = nullptr;

  Running(TieringTier& tier, std::string_view text, const Config& config = {})
      : engine(Engine::create(config, &tier)), module(load(engine, text)) {
    store = std::make_unique<Store>(engine);
    auto made = store->instantiate(module, {});
    EXPECT_TRUE(made.ok()) << made.error().message;
    if (made) instance = *made;
  }
  runtime::FuncInst* func(std::string_view name) const { return instance->get_export(name)->func; }
  int32_t call(std::string_view name, int32_t argument) const {
    const Vec<Value> args = {Value::i32(argument)};
    auto result = store->call(func(name), args);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result ? (*result)[0].as_i32() : -1;
  }
};

TEST_F(TieringTest, HotFunctionsAreReplaced) {
  const auto tier = make(parts(200));
  const Running r(*tier, R"((module
    (func $twice (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
    (func (export "hot") (param i32) (result i32) (i32.add (call $twice (local.get 0)) (i32.const 1)))
    (func (export "cold") (param i32) (result i32) (local.get 0))))");
  EXPECT_EQ(r.call("cold", 3), 3);
  EXPECT_EQ(r.call("hot", 3), 7);
  void* const before = r.func("hot")->native;
  void* const cold = r.func("cold")->native;
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(r.call("hot", i), 2 * i + 1);
  tier->wait_until_idle();
  EXPECT_FALSE(tier->busy());
  EXPECT_NE(r.func("hot")->native, before);
  EXPECT_EQ(r.func("cold")->native, cold);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(r.call("hot", i), 2 * i + 1);
}

// Calls by way of tables and references take new code as well, from another instance too.
TEST_F(TieringTest, IndirectCallsReachNewCode) {
  const auto tier = make(parts(100));
  const Running callee(*tier, R"((module (func $f (export "f") (param i32) (result i32)
    (i32.xor (local.get 0) (i32.const 0x55)))))");
  auto caller_module = load(callee.engine, R"((module
    (type $t (func (param i32) (result i32)))
    (import "m" "f" (func $f (type $t)))
    (table 1 funcref) (elem (i32.const 0) func $f) (elem declare func $f)
    (func (export "indirect") (param i32) (result i32)
      (call_indirect (type $t) (local.get 0) (i32.const 0)))
    (func (export "ref") (param i32) (result i32) (call_ref $t (local.get 0) (ref.func $f)))
    (func (export "direct") (param i32) (result i32) (call $f (local.get 0)))))");
  ASSERT_TRUE(caller_module);
  const runtime::Extern imports[] = {*callee.instance->get_export("f")};
  auto caller = callee.store->instantiate(caller_module, imports);
  ASSERT_TRUE(caller.ok()) << caller.error().message;
  void* const before = callee.func("f")->native;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 500; ++i)
      for (const char* way : {"indirect", "ref", "direct"}) {
        const Vec<Value> args = {Value::i32(i)};
        auto result = callee.store->call((*caller)->get_export(way)->func, args);
        ASSERT_TRUE(result.ok()) << result.error().message;
        ASSERT_EQ((*result)[0].as_i32(), i ^ 0x55);
      }
    tier->wait_until_idle();
  }
  EXPECT_NE(callee.func("f")->native, before);
}

// A small module is compiled as a whole and kept, and the next engine starts with it.
TEST_F(TieringTest, WholeModulesAreKeptInTheCache) {
  char folder[] = "/tmp/wafer-tiering-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  TierOptions with_cache = options();
  with_cache.cache = std::make_shared<CodeCache>(folder);
  TieringOptions tiering;
  tiering.heat = 50;
  constexpr const char* kText =
      R"((module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "never") (param i32) (result i32) (i32.const 4))))";
  {
    TieringTier tier(with_cache, tiering);
    const Running r(tier, kText);
    EXPECT_EQ(r.module->precompiled, nullptr);
    for (int i = 0; i < 500; ++i) ASSERT_EQ(r.call("f", i), i + 1);
    tier.wait_until_idle();
    EXPECT_NE(r.module->precompiled, nullptr);
    EXPECT_EQ(r.call("never", 0), 4);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  TieringTier tier(with_cache, tiering);
  const Running r(tier, kText);
  EXPECT_NE(r.module->precompiled, nullptr);
  EXPECT_EQ(r.call("f", 1), 2);
  EXPECT_FALSE(tier.busy());
  std::filesystem::remove_all(folder);
}

// Of a module that is never compiled as a whole, the cache keeps what was hot, run by run.
TEST_F(TieringTest, PartsAreKeptInTheCache) {
  char folder[] = "/tmp/wafer-tiering-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  TierOptions with_cache = options();
  with_cache.cache = std::make_shared<CodeCache>(folder);
  constexpr const char* kText = R"((module
    (func (export "a") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "b") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
    (func (export "c") (param i32) (result i32) (i32.sub (local.get 0) (i32.const 5)))))";
  const auto files = [&folder] {
    std::vector<std::filesystem::path> out;
    for (const auto& e : std::filesystem::directory_iterator(folder)) out.push_back(e.path());
    return out;
  };
  // Runs with the parts that are there, and makes one function hot.
  const auto go = [&](const char* hot, size_t known) {
    TieringTier tier(with_cache, parts(50));
    const Running r(tier, kText);
    const auto kept = kept_code(*r.module);
    EXPECT_EQ(kept ? kept->parts.size() : 0, known);
    for (int i = 0; i < 500; ++i) r.call(hot, i);
    tier.wait_until_idle();
    EXPECT_EQ(r.call("a", 7), 8);
    EXPECT_EQ(r.call("b", 7), 21);
    EXPECT_EQ(r.call("c", 7), 2);
  };
  go("a", 0);
  EXPECT_EQ(files().size(), 1u);
  go("b", 1);
  EXPECT_EQ(files().size(), 2u);
  go("a", 2);  // is fast from the start: nothing is made
  EXPECT_EQ(files().size(), 2u);
  // Damage ends the row of parts, and is made good.
  for (const auto& path : files()) std::filesystem::resize_file(path, 100);
  go("c", 0);
  go("c", 1);
  std::filesystem::remove_all(folder);
}

// Everything may go while code is being made: the store first, or the tier.
TEST_F(TieringTest, EndsWhileBusy) {
  for (int i = 0; i < 10; ++i) {
    TieringOptions tiering;
    tiering.heat = 5;
    tiering.small_bytes = i % 2 ? 0 : 1u << 20;
    auto tier = make(tiering);
    {
      const Running r(*tier, Program(uint32_t(i)).text());
      const Vec<Value> args = {Value::i32(i), Value::i64(2), Value::f32(1), Value::f64(2)};
      for (int k = 0; k < 20; ++k) (void)r.store->call(r.func("f"), args);
    }
    if (i % 3 == 0) tier->wait_until_idle();
  }
}

// Stores of one module in several threads, while its code changes under them.
TEST_F(TieringTest, ThreadsShareNewCode) {
  TieringOptions tiering;
  tiering.heat = 1000;
  const auto tier = make(tiering);
  auto engine = Engine::create({}, tier.get());
  const auto module = load(engine, R"((module (memory 1)
    (func $step (param i32) (result i32)
      (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (local.get 0)))
      (i32.load (i32.const 8)))
    (func (export "f") (param i32) (result i32)
      (loop $l
        (drop (call $step (local.get 0)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (i32.load (i32.const 8)))))");
  ASSERT_TRUE(module);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      Store store(engine);
      auto instance = store.instantiate(module, {});
      if (!instance) return;
      const Vec<Value> args = {Value::i32(3000)};
      uint32_t want = 0;
      for (int i = 0; i < 200; ++i) {
        want += 3000u * 3001 / 2;
        auto result = store.call((*instance)->get_export("f")->func, args);
        if (!result || uint32_t((*result)[0].as_i32()) != want) return;
      }
      ++right;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 4);
}

// Thrown in either kind of code and caught in the other, with the host in between too.
TEST_F(TieringTest, ExceptionsCrossTiers) {
  const auto tier = make(parts(300));
  auto engine = Engine::create({}, tier.get());
  const auto module = load(engine, R"((module
    (import "env" "through" (func $through (param i32)))
    (tag $e (param i32))
    (table 2 funcref) (elem (i32.const 0) func $throw_hot $throw_cold)
    (type $t (func (param i32)))
    (func $throw_hot (export "throw") (type $t)
      (if (i32.gt_s (local.get 0) (i32.const 0)) (then (throw $e (local.get 0)))))
    (func $throw_cold (type $t) (throw $e (i32.add (local.get 0) (i32.const 1000))))
    (func $catch (export "catch") (param $n i32) (param $which i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $e $caught)
          (if (i32.eq (local.get $which) (i32.const 2))
            (then (call $through (local.get $n)))
            (else (call_indirect (type $t) (local.get $n) (local.get $which)))))
        (i32.const -1)))
    (func (export "catch_cold") (param $n i32) (param $which i32) (result i32)
      (i32.add (i32.const 10000) (call $catch_again (local.get $n) (local.get $which))))
    (func $catch_again (param $n i32) (param $which i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $e $caught) (call_indirect (type $t) (local.get $n) (local.get $which)))
        (i32.const -1)))))");
  ASSERT_TRUE(module);
  Store store(engine);
  runtime::Linker linker(engine);
  runtime::Instance* instance = nullptr;
  wasm::FuncType type;
  type.params.push_back(wasm::kI32);
  ASSERT_TRUE(linker
                  .define_func(
                      "env", "through", type,
                      [](void* env, runtime::CallContext& context, runtime::Slot* slots) {
                        auto* instance = *static_cast<runtime::Instance**>(env);
                        runtime::FuncInst* f = instance->get_export("throw")->func;
                        return f->call(context.store, f, slots);
                      },
                      &instance, nullptr)
                  .ok());
  auto made = linker.instantiate(store, module);
  ASSERT_TRUE(made.ok()) << made.error().message;
  instance = *made;
  const auto call = [&](const char* name, int32_t n, int32_t which) {
    const Vec<Value> args = {Value::i32(n), Value::i32(which)};
    auto result = store.call(instance->get_export(name)->func, args);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result ? (*result)[0].as_i32() : 0;
  };
  void* const before = instance->get_export("catch")->func->native;
  for (int round = 0; round < 2; ++round) {
    for (int i = 1; i < 400; ++i) {
      ASSERT_EQ(call("catch", i, 0), i);
      ASSERT_EQ(call("catch", i, 2), i);
      ASSERT_EQ(call("catch", -i, 0), -1);
    }
    tier->wait_until_idle();
    // One side has moved, the other stays in baseline code.
    EXPECT_NE(instance->get_export("catch")->func->native, before);
    EXPECT_EQ(call("catch", 5, 1), 1005);
    EXPECT_EQ(call("catch_cold", 6, 0), 10006);
  }
}

TEST_F(TieringTest, BacktracesCrossTiers) {
  const auto tier = make(parts(100));
  const Running r(*tier, R"((module
    (func $deep (export "deep") (param i32) (result i32)
      (i32.div_u (i32.const 100) (local.get 0)))
    (func $cold (export "cold") (param i32) (result i32)
      (i32.add (i32.const 1) (call $deep (local.get 0))))))");
  EXPECT_EQ(r.call("cold", 50), 3);
  for (int i = 1; i < 500; ++i) ASSERT_EQ(r.call("deep", i), 100 / i);
  tier->wait_until_idle();
  const Vec<Value> zero = {Value::i32(0)};
  ASSERT_FALSE(r.store->call(r.func("cold"), zero).ok());
  const auto& trap = r.store->trap();
  EXPECT_EQ(trap.code, TrapCode::IntegerDivideByZero);
  ASSERT_EQ(trap.backtrace.size(), 2u);
  EXPECT_EQ(trap.backtrace[0].func_name, "deep");
  EXPECT_EQ(trap.backtrace[1].func_name, "cold");
  EXPECT_GT(trap.backtrace[1].module_offset, trap.backtrace[0].module_offset);
  EXPECT_EQ(trap.backtrace[0].instance, r.instance);
}

}  // namespace
}  // namespace wafer::compiler
#endif
