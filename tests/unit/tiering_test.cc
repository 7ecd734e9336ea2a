// Functions that move from baseline to optimized code while the program runs.
#if WAFER_HAS_BASELINE && defined(WAFER_LLVM_MODULE)
#include "compiler/tiering/tiering.h"

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <latch>
#include <map>
#include <set>
#include <thread>

#include "compiler/llvm_loader.h"
#include "random_program.h"
#include "runtime/backtrace.h"
#include "runtime/linker.h"

namespace wafer::compiler {
namespace {

class TieringTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!BaselineCompiler::supported()) GTEST_SKIP() << "processor too old";
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
    o.seconds_per_round = 1;  // all that is hot is worthwhile
    return o;
  }
  static std::unique_ptr<TieringTier> make(const TieringOptions& tiering) {
    return std::make_unique<TieringTier>(options(), tiering);
  }
};

// Makes code only while it is open, so that a test can look at what happens meanwhile.
class GatedBackend final : public Backend {
 public:
  Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                             std::span<const uint32_t> functions) override {
    {
      std::unique_lock lock(mutex_);
      ++started_;
      changed_.notify_all();
      // The tier notifies nobody when it sets `cancel`.
      while (!open_ && !(options.cancel && *options.cancel))
        changed_.wait_for(lock, std::chrono::milliseconds(1));
      if (!open_) {
        ++cancelled_;
        return Error(ErrorKind::Unsupported, "cancelled");
      }
    }
    WAFER_LET(backend, load_llvm_backend());
    return backend->compile(module, options, functions);
  }
  Result<ImageTraits> traits(const CompileOptions& options) override {
    WAFER_LET(backend, load_llvm_backend());
    return backend->traits(options);
  }
  Result<Vec<uint8_t>> compile_in_place(const wasm::Module&, const CompileOptions&) override {
    return Error(ErrorKind::Unsupported, "not here");
  }

  // Waits until something is being compiled.
  void wait_until_started() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return started_ > 0; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  TierOptions options() {
    TierOptions o;
    o.backend = [this]() -> Result<Backend*> { return this; };
    return o;
  }
  int cancelled() {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int started_ = 0, cancelled_ = 0;
};

// Notes what is compiled.
class NotingBackend final : public Backend {
 public:
  Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                             std::span<const uint32_t> functions) override {
    {
      const std::lock_guard lock(mutex_);
      if (options.enter_at) entered_.push_back(options.enter_at->func);
      called_.insert(called_.end(), functions.begin(), functions.end());
    }
    WAFER_LET(backend, load_llvm_backend());
    return backend->compile(module, options, functions);
  }
  Result<ImageTraits> traits(const CompileOptions& options) override {
    WAFER_LET(backend, load_llvm_backend());
    return backend->traits(options);
  }
  Result<Vec<uint8_t>> compile_in_place(const wasm::Module&, const CompileOptions&) override {
    return Error(ErrorKind::Unsupported, "not here");
  }
  TierOptions options() {
    TierOptions o;
    o.backend = [this]() -> Result<Backend*> { return this; };
    return o;
  }
  // Functions that code was made for to be entered at a loop, and to be called.
  std::vector<uint32_t> entered() { return take(entered_); }
  std::vector<uint32_t> called() { return take(called_); }

 private:
  std::vector<uint32_t> take(const std::vector<uint32_t>& from) {
    const std::lock_guard lock(mutex_);
    return from;
  }
  std::mutex mutex_;
  std::vector<uint32_t> entered_, called_;
};

// A program that runs in a tier, with hosts that call its exports and collect garbage.
struct Running {
  std::shared_ptr<Engine> engine;
  std::shared_ptr<wasm::Module> module;
  std::unique_ptr<Store> store;
  runtime::Linker linker;
  runtime::Instance* instance = nullptr;

  Running(TieringTier& tier, std::string_view text, const Config& config = {})
      : Running(Engine::create(config, &tier), text) {}
  Running(const std::shared_ptr<Engine>& in, std::string_view text)
      : engine(in), module(load(engine, text)), store(std::make_unique<Store>(engine)), linker(in) {
    wasm::FuncType type;
    define("collect", type, [](void*, runtime::CallContext& context, runtime::Slot*) {
      context.store.gc().collect();
      return TrapCode::None;
    });
    type.params.push_back(wasm::kI32);
    define("call_hot", type, call_export<'h'>);
    define("call_cold", type, call_export<'c'>);
    auto made = linker.instantiate(*store, module);
    EXPECT_TRUE(made.ok()) << made.error().message;
    if (made) instance = *made;
  }

  uint32_t imports() const { return module->imported_functions; }
  runtime::FuncInst* func(std::string_view name) const { return instance->get_export(name)->func; }
  void* code(std::string_view name) const { return func(name)->native; }
  // What is left of the heat of own function `name`: it falls only in baseline code.
  uint32_t heat(std::string_view name) const {
    return static_cast<VmContext*>(instance->tier_data)->heat[func(name)->index];
  }
  int32_t call(std::string_view name, int32_t argument) const {
    const Vec<Value> args = {Value::i32(argument)};
    auto result = store->call(func(name), args);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return result ? (*result)[0].as_i32() : -1;
  }
  // The trap of a call that has to trap, and the functions in its backtrace.
  TrapCode trap(std::string_view name, int32_t argument, std::string* frames = nullptr) const {
    const Vec<Value> args = {Value::i32(argument)};
    auto result = store->call(func(name), args);
    EXPECT_FALSE(result.ok()) << name;
    if (result) return TrapCode::None;
    if (frames) {
      frames->clear();
      runtime::describe(store->trap(), nullptr);
      for (const runtime::BacktraceFrame& f : store->trap().backtrace) {
        EXPECT_EQ(f.instance, instance);
        *frames += (frames->empty() ? "" : " ") + std::string(f.func_name);
      }
    }
    return store->trap().code;
  }

 private:
  void define(std::string_view name, const wasm::FuncType& type, runtime::HostCallback callback) {
    EXPECT_TRUE(linker.define_func("env", name, type, callback, this).ok());
  }
  template <char kWhich>
  static TrapCode call_export(void* env, runtime::CallContext& context, runtime::Slot* slots) {
    runtime::FuncInst* f = static_cast<Running*>(env)->func(kWhich == 'h' ? "hot" : "cold");
    return f->call(context.store, f, slots);
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
  void* const before = r.code("hot");
  void* const cold = r.code("cold");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(r.call("hot", i), 2 * i + 1);
  tier->wait_until_idle();
  EXPECT_FALSE(tier->busy());
  EXPECT_NE(r.code("hot"), before);
  EXPECT_EQ(r.code("cold"), cold);
  const uint32_t heat = r.heat("hot");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(r.call("hot", i), 2 * i + 1);
  EXPECT_EQ(r.heat("hot"), heat);
}

// What is called once needs code for its loop, and what is called often code for calls.
TEST_F(TieringTest, CodeIsMadeForTheWayItIsEntered) {
  NotingBackend backend;
  TieringTier tier(backend.options(), parts(400));
  const Running r(tier, R"((module (global $g (mut i32) (i32.const 0))
    (func $long (export "long") (param i32) (result i32)
      (loop $l (global.set $g (i32.xor (global.get $g) (local.get 0)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (global.get $g))
    (func $short (param i32) (result i32) (local $i i32)
      (loop $l (global.set $g (i32.xor (global.get $g) (local.get 0)))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
      (global.get $g))
    (func (export "hot") (param i32) (result i32) (call $short (local.get 0)))))");
  const uint32_t kLong = r.imports(), kShort = kLong + 1;
  r.call("long", 1'500'000'000);
  tier.wait_until_idle();
  EXPECT_EQ(backend.entered(), std::vector{kLong});
  EXPECT_EQ(backend.called(), std::vector<uint32_t>{});
  for (int i = 0; i < 50; ++i) r.call("long", 100'000);
  tier.wait_until_idle();
  EXPECT_EQ(backend.called(), std::vector{kLong});
  for (int i = 0; i < 300; ++i) r.call("hot", i);
  tier.wait_until_idle();
  const auto called = backend.called();
  EXPECT_NE(std::find(called.begin(), called.end(), kShort), called.end());
  EXPECT_EQ(backend.entered(), std::vector{kLong});
}

// Baseline code runs for as long as it takes to make better code; then every instance
// has it, also one that came meanwhile.
TEST_F(TieringTest, OldCodeRunsMeanwhile) {
  constexpr const char* kText = R"((module (global $g (mut i32) (i32.const 0))
    (func (export "f") (param i32) (result i32)
      (global.set $g (i32.add (global.get $g) (local.get 0)))
      (global.get $g))))";
  GatedBackend gate;
  TieringTier tier(gate.options(), parts(50));
  const Running r(tier, kText);
  int32_t sum = 0;
  const auto calls = [&r, &sum] {
    for (int i = 0; i < 200; ++i) {
      sum += i;
      ASSERT_EQ(r.call("f", i), sum);
    }
  };
  calls();
  gate.wait_until_started();
  EXPECT_TRUE(tier.busy());
  void* const before = r.code("f");
  calls();
  EXPECT_EQ(r.code("f"), before);

  Store second(r.engine);
  auto instance = second.instantiate(r.module, {});
  ASSERT_TRUE(instance.ok()) << instance.error().message;
  runtime::FuncInst* const f = (*instance)->get_export("f")->func;
  EXPECT_EQ(f->native, before);
  gate.open();
  tier.wait_until_idle();
  EXPECT_NE(r.code("f"), before);
  EXPECT_EQ(f->native, r.code("f"));
  calls();
  const Vec<Value> args = {Value::i32(5)};
  auto result = second.call(f, args);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)[0].as_i32(), 5);
}

// What baseline code cannot do is left to the interpreter, until there is better code: calls by way
// of tables and references reach that as they reached the interpreter.
TEST_F(TieringTest, WhatTheInterpreterRanIsReplaced) {
  TieringOptions how;
  how.heat = 100;
  how.background = false;
  TieringTier tier(options(), how);
  Config config;
  config.features = wasm::FeatureSet::all();
  const Running r(tier, R"((module
    (type $t (func (param i32) (result i32)))
    (tag $e (param i32))
    (table 1 funcref) (elem (i32.const 0) func $legacy)
    (global $kept (ref $t) (ref.func $legacy))
    (func $legacy (export "legacy") (type $t)
      try (result i32)
        (if (i32.and (local.get 0) (i32.const 1)) (then (throw $e (local.get 0))))
        (i32.const 7)
      catch $e
      end)
    (func (export "hot") (param i32) (result i32)
      (i32.add (call_indirect (type $t) (local.get 0) (i32.const 0))
               (call_ref $t (local.get 0) (global.get $kept))))))",
                  config);
  const int rounds = int(how.heat) + 100;
  for (int i = 0; i < rounds; ++i) ASSERT_EQ(r.call("hot", i), i % 2 ? 2 * i : 14);
  const uint32_t heat = r.heat("hot");
  for (int i = 0; i < rounds; ++i) ASSERT_EQ(r.call("hot", i), i % 2 ? 2 * i : 14);
  EXPECT_EQ(r.heat("hot"), heat);  // the whole module has other code
  for (int i = 0; i < rounds; ++i) ASSERT_EQ(r.call("legacy", i), i % 2 ? i : 7);
}

// Calls by way of tables and references take new code as well, from another instance too,
// and by references that were taken before.
TEST_F(TieringTest, IndirectCallsReachNewCode) {
  const auto tier = make(parts(100));
  const Running callee(*tier, R"((module (func $f (export "f") (param i32) (result i32)
    (i32.xor (local.get 0) (i32.const 0x55)))))");
  auto caller_module = load(callee.engine, R"((module
    (type $t (func (param i32) (result i32)))
    (import "m" "f" (func $f (type $t)))
    (table $table 1 funcref) (elem (i32.const 0) func $f) (elem declare func $f)
    (global $kept (mut (ref null $t)) (ref.null $t))
    (func $keep (global.set $kept (ref.func $f)))
    (start $keep)
    (func (export "indirect") (param i32) (result i32)
      (call_indirect (type $t) (local.get 0) (i32.const 0)))
    (func (export "ref") (param i32) (result i32) (call_ref $t (local.get 0) (ref.func $f)))
    (func (export "kept") (param i32) (result i32) (call_ref $t (local.get 0) (global.get $kept)))
    (func (export "copied") (param i32) (result i32)
      (table.set (i32.const 0) (table.get (i32.const 0)))
      (call_indirect (type $t) (local.get 0) (i32.const 0)))
    (func (export "tail") (param i32) (result i32)
      (return_call_indirect (type $t) (local.get 0) (i32.const 0)))
    (func (export "tail_ref") (param i32) (result i32)
      (return_call_ref $t (local.get 0) (global.get $kept)))
    (func (export "direct") (param i32) (result i32) (call $f (local.get 0)))))");
  ASSERT_TRUE(caller_module);
  const runtime::Extern imports[] = {*callee.instance->get_export("f")};
  auto caller = callee.store->instantiate(caller_module, imports);
  ASSERT_TRUE(caller.ok()) << caller.error().message;
  std::map<std::string, int> counted;  // calls that ran in baseline code, by way
  const auto call_all_ways = [&] {
    for (const char* way : {"indirect", "ref", "kept", "copied", "tail", "tail_ref", "direct"})
      for (int i = 0; i < 10; ++i) {
        const Vec<Value> args = {Value::i32(i)};
        const uint32_t heat = callee.heat("f");
        auto result = callee.store->call((*caller)->get_export(way)->func, args);
        ASSERT_TRUE(result.ok()) << result.error().message;
        ASSERT_EQ((*result)[0].as_i32(), i ^ 0x55);
        // Baseline code of the callee would count; the callers stay in baseline code.
        if (callee.heat("f") != heat) ++counted[way];
      }
  };
  void* const before = callee.code("f");
  call_all_ways();
  EXPECT_EQ(counted.size(), 7u);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(callee.call("f", i), i ^ 0x55);
  tier->wait_until_idle();
  EXPECT_NE(callee.code("f"), before);
  counted.clear();
  call_all_ways();
  for (const auto& [way, count] : counted) ADD_FAILURE() << way << " does not reach new code";
}

// A small module is compiled as a whole and kept, and the next engine starts with it.
TEST_F(TieringTest, WholeModulesAreKeptInTheCache) {
  char folder[] = "/tmp/wafer-tiering-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  TierOptions with_cache = options();
  with_cache.cache = std::make_shared<CodeCache>(folder);
  TieringOptions tiering;
  tiering.heat = 50;
  tiering.seconds_per_round = 1;
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
    EXPECT_EQ(kept ? kept->parts.images.size() : 0, known);
    for (int i = 0; i < 500; ++i) r.call(hot, i);
    tier.wait_until_idle();
    EXPECT_EQ(r.call("a", 7), 8);
    EXPECT_EQ(r.call("b", 7), 21);
    EXPECT_EQ(r.call("c", 7), 2);
  };
  const auto size = [&] {
    const auto all = files();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? 0 : std::filesystem::file_size(all[0]);
  };
  go("a", 0);
  const auto one = size();
  go("b", 1);
  const auto two = size();
  EXPECT_GT(two, one);
  go("a", 2);  // is fast from the start: nothing is made
  EXPECT_EQ(size(), two);
  // The next part takes the place of what a writer left that died.
  std::filesystem::resize_file(files()[0], two + 5 * 4096);
  go("c", 2);
  go("c", 3);
  EXPECT_LT(size(), two + 5 * 4096 + (two - one));
  // Damage ends the row of parts, and is made good: in the first part, and in a later one.
  std::filesystem::resize_file(files()[0], 100);
  go("c", 0);
  go("b", 1);
  std::filesystem::resize_file(files()[0], size() - 1);
  go("a", 1);
  go("a", 1);
  std::filesystem::remove_all(folder);
}

// A file that holds another module's parts, as where hashes collide, is neither run nor changed.
TEST_F(TieringTest, PartsOfAnotherModuleStay) {
  char folder[] = "/tmp/wafer-tiering-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  TierOptions with_cache = options();
  with_cache.cache = std::make_shared<CodeCache>(folder);
  const auto text = [](int n) {
    return "(module (func (export \"f\") (param i32) (result i32) (i32.add (local.get 0) "
           "(i32.const " +
           std::to_string(n) + "))))";
  };
  const auto go = [&](int n, size_t known) {
    TieringTier tier(with_cache, parts(50));
    const Running r(tier, text(n));
    const auto kept = kept_code(*r.module);
    EXPECT_EQ(kept ? kept->parts.images.size() : 0, known);
    for (int i = 0; i < 500; ++i) EXPECT_EQ(r.call("f", i), i + n);
    tier.wait_until_idle();
    EXPECT_EQ(r.call("f", 1), 1 + n);
  };
  go(1, 0);
  const std::filesystem::path of_one = std::filesystem::directory_iterator(folder)->path();
  go(2, 0);
  std::filesystem::path of_two;
  for (const auto& e : std::filesystem::directory_iterator(folder))
    if (e.path() != of_one) of_two = e.path();
  ASSERT_FALSE(of_two.empty());
  const auto bytes = [](const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  std::filesystem::copy_file(of_one, of_two, std::filesystem::copy_options::overwrite_existing);
  go(2, 0);
  EXPECT_EQ(bytes(of_two), bytes(of_one));
  go(1, 1);
  std::filesystem::remove_all(folder);
}

// What a loop goes on in is kept as well.
TEST_F(TieringTest, LoopsAreKeptInTheCache) {
  char folder[] = "/tmp/wafer-tiering-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  for (const bool first : {true, false}) {
    NotingBackend backend;
    TierOptions with_cache = backend.options();
    with_cache.cache = std::make_shared<CodeCache>(folder);
    TieringTier tier(with_cache, parts(400));
    const Running r(tier, R"((module (global $g (mut i32) (i32.const 0))
      (func (export "long") (param i32) (result i32)
        (loop $l (global.set $g (i32.xor (global.get $g) (local.get 0)))
          (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (global.get $g))))");
    EXPECT_EQ(r.call("long", 1'500'000'000), 1'500'000'000);
    tier.wait_until_idle();
    EXPECT_EQ(backend.entered().size(), first ? 1u : 0u);
    EXPECT_EQ(backend.called().size(), 0u);
  }
  std::filesystem::remove_all(folder);
}

// Processes that add parts at the same time keep those of all, and each other's code runs.
TEST_F(TieringTest, SeveralAddPartsToTheCache) {
  char folder[] = "/tmp/wafer-tiering-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  constexpr int kFunctions = 24, kAtOnce = 3;
  std::string text = "(module";
  for (int i = 0; i < kFunctions; ++i)
    text += "(func (export \"f" + std::to_string(i) +
            "\") (param i32) (result i32) (i32.add (local.get 0) (i32.const " + std::to_string(i) +
            ")))";
  text += ")";
  TierOptions with_cache = options();
  with_cache.cache = std::make_shared<CodeCache>(folder);
  std::vector<std::thread> all;
  for (int n = 0; n < kAtOnce; ++n)
    all.emplace_back([&, n] {
      TieringTier tier(with_cache, parts(20));  // one for each: they know nothing of each other
      const Running r(tier, text);
      for (int i = 0; i < kFunctions; ++i) {
        const int f = (i * (n + 1) + n) % kFunctions;
        for (int k = 0; k < 100; ++k) EXPECT_EQ(r.call("f" + std::to_string(f), k), k + f);
      }
      tier.wait_until_idle();
    });
  for (std::thread& t : all) t.join();
  TieringTier tier(with_cache, parts(20));
  const Running r(tier, text);
  const auto kept = kept_code(*r.module);
  ASSERT_NE(kept, nullptr);
  std::set<uint32_t> functions;
  for (const auto& part : kept->parts.images)
    for (const ImageFunction& f : part->functions()) functions.insert(f.func_index);
  EXPECT_GT(functions.size(), size_t(kFunctions) / 2);
  for (int f = 0; f < kFunctions; ++f) EXPECT_EQ(r.call("f" + std::to_string(f), 5), 5 + f);
  std::filesystem::remove_all(folder);
}

// What is hot goes before what was warm, though that is smaller and came first.
TEST_F(TieringTest, TheHottestGoFirst) {
  GatedBackend gate;
  NotingBackend notes;
  TierOptions o;
  std::atomic<bool> gated{true};
  o.backend = [&]() -> Result<Backend*> {
    return gated ? static_cast<Backend*>(*gate.options().backend()) : *notes.options().backend();
  };
  std::string text = "(module (func (export \"first\") (param i32) (result i32) (local.get 0))";
  const auto add = [&text](const std::string& name, int size) {
    text += "(func (export \"" + name + "\") (param i32) (result i32) (local.get 0)";
    for (int i = 0; i < size; ++i) text += "(i32.add (i32.const 3)) (i32.mul (local.get 0))";
    text += ")";
  };
  constexpr int kWarm = 20;
  for (int i = 0; i < kWarm; ++i) add("warm" + std::to_string(i), 300);
  add("hot", 700);
  text += ")";
  TieringTier tier(o, parts(64));
  const Running r(tier, text);
  for (int i = 0; i < 200; ++i) r.call("first", i);
  gate.wait_until_started();  // now all others wait
  gated = false;
  for (int f = 0; f < kWarm; ++f)
    for (int i = 0; i < 80; ++i) r.call("warm" + std::to_string(f), i);
  for (int i = 0; i < 4000; ++i) r.call("hot", i);
  gate.open();
  tier.wait_until_idle();
  const auto called = notes.called();
  ASSERT_FALSE(called.empty());  // on a slow machine the others are hot no more
  EXPECT_EQ(called[0], r.func("hot")->index);
}

// Code of a few functions takes time by their size, however large their module is.
TEST_F(TieringTest, PartsTakeTimeByTheirOwnSize) {
  const auto seconds = [](int functions) {
    std::string text = "(module", body = "(func (param i32) (result i32) (local.get 0)";
    for (int i = 0; i < 40; ++i) body += "(i32.const 18)(i32.add)";
    for (int i = 0; i < functions; ++i)
      text += body + ")(func (param i32) (result i32) (return_call 0 (local.get 0)))";
    text += "(func (export \"f\") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))";
    const auto engine = Engine::create({}, nullptr);
    const auto module = load(engine, text);
    auto backend = load_llvm_backend();
    EXPECT_TRUE(backend.ok());
    CompileOptions compile;
    compile.through_entries = true;
    const std::vector<uint32_t> f = {uint32_t(module->functions.size()) - 1};
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto now = [] {
        timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
      };
      const double before = now();
      EXPECT_TRUE((*backend)->compile(*module, compile, f).ok());
      best = std::min(best, now() - before);
    }
    return best;
  };
  const double small = seconds(1), large = seconds(30'000);
  EXPECT_LT(large, 3 * small) << small;
}

// Without a code generator, or with one that fails, baseline code goes on, and is not
// asked about again and again.
TEST_F(TieringTest, FailureLeavesBaselineCode) {
  std::atomic<int> asked{0};
  TierOptions none;
  none.backend = [&asked]() -> Result<Backend*> {
    ++asked;
    return Error(ErrorKind::Unsupported, "none here");
  };
  TieringTier tier(none, parts(10));
  const Running r(tier, R"((module (func (export "f") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 1)))))");
  EXPECT_EQ(r.call("f", 1), 2);
  void* const before = r.code("f");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(r.call("f", i), i + 1);
  tier.wait_until_idle();
  EXPECT_EQ(r.code("f"), before);
  EXPECT_EQ(asked, 1);
}

// Code of a whole module that waits until the program has used the time for it does not wait for
// ever when the program waits for the code.
TEST_F(TieringTest, WaitingForCodeDoesNotWaitForTheProgram) {
  TieringOptions tiering = parts(20);
  tiering.small_bytes = 0;
  tiering.whole_bytes = 1u << 20;
  tiering.seconds_per_byte = 1e6;
  const auto tier = make(tiering);
  const Running r(*tier, R"((module
    (func (export "hot") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "cold") (param i32) (result i32) (local.get 0))))");
  void* const before = r.code("cold");
  for (int i = 0; i < 100; ++i) ASSERT_EQ(r.call("hot", i), i + 1);
  tier->wait_until_idle();
  EXPECT_FALSE(tier->busy());
  EXPECT_NE(r.code("cold"), before);
  EXPECT_EQ(r.call("cold", 5), 5);
}

// Everything may go while code is being made: the store and the module first, or the tier.
TEST_F(TieringTest, ProgramsEndWhileBusy) {
  for (const bool whole : {false, true}) {
    GatedBackend gate;
    TieringOptions tiering = parts(5);
    if (whole) tiering.whole_bytes = tiering.small_bytes;
    TieringTier tier(gate.options(), tiering);
    const std::string text = Program(3).text();
    const auto hot = [](const Running& r) {
      const Vec<Value> args = {Value::i32(1), Value::i64(2), Value::f32(1), Value::f64(2)};
      for (int k = 0; k < 20; ++k) EXPECT_TRUE(r.store->call(r.func("f"), args).ok());
    };
    std::weak_ptr<wasm::Module> gone;
    {
      const Running r(tier, text);
      hot(r);
      gate.wait_until_started();
      gone = r.module;
    }
    EXPECT_TRUE(tier.busy());
    gate.open();
    tier.wait_until_idle();
    EXPECT_TRUE(gone.expired());
    // The tier goes on with others.
    const Running next(tier, text);
    void* const before = next.code("f");
    hot(next);
    tier.wait_until_idle();
    EXPECT_NE(next.code("f"), before);
  }
}

// One store of a module ends, the other goes on and gets the code.
TEST_F(TieringTest, OneOfTwoStoresEndsWhileBusy) {
  constexpr const char* kText = R"((module (func (export "f") (param i32) (result i32)
    (i32.add (local.get 0) (i32.const 1)))))";
  GatedBackend gate;
  TieringTier tier(gate.options(), parts(20));
  const Running r(tier, kText);
  void* before = nullptr;
  {
    Store other(r.engine);
    auto instance = other.instantiate(r.module, {});
    ASSERT_TRUE(instance.ok());
    const Vec<Value> args = {Value::i32(1)};
    for (int i = 0; i < 100; ++i)
      ASSERT_TRUE(other.call((*instance)->get_export("f")->func, args).ok());
    gate.wait_until_started();
    EXPECT_EQ(r.call("f", 1), 2);
    before = r.code("f");
  }
  gate.open();
  tier.wait_until_idle();
  EXPECT_NE(r.code("f"), before);
  EXPECT_EQ(r.call("f", 1), 2);
}

TEST_F(TieringTest, TierEndsWhileBusy) {
  GatedBackend gate;
  auto tier = std::make_unique<TieringTier>(gate.options(), parts(5));
  {
    const Running r(*tier, R"((module (func (export "f") (param i32) (result i32)
      (local.get 0))))");
    for (int i = 0; i < 20; ++i) ASSERT_EQ(r.call("f", i), i);
    gate.wait_until_started();
  }
  // Never opened: it would wait forever, were the work not given up.
  tier.reset();
  EXPECT_EQ(gate.cancelled(), 1);
}

// A module whose bytes belong to someone else, of which `*gone` tells when they go. Its function
// "f" has been hot.
struct Borrowed {
  explicit Borrowed(TieringTier& tier, bool* gone = nullptr) {
    auto text =
        wat::parse_wat("(module (func (export \"f\") (param i32) (result i32) (local.get 0)))");
    EXPECT_TRUE(text.ok());
    bytes = {new Vec<uint8_t>(*text), [gone](Vec<uint8_t>* v) {
               std::fill(v->begin(), v->end(), uint8_t{0});
               delete v;
               if (gone) *gone = true;
             }};
    engine = Engine::create({}, &tier);
    auto loaded = engine->load_module(*bytes, false);
    EXPECT_TRUE(loaded.ok());
    module = *loaded;
    store = std::make_unique<Store>(engine);
  }
  void run() {
    auto instance = store->instantiate(module, {});
    EXPECT_TRUE(instance.ok());
    const Vec<Value> args = {Value::i32(1)};
    for (int i = 0; i < 20; ++i)
      EXPECT_TRUE(store->call((*instance)->get_export("f")->func, args).ok());
  }
  std::shared_ptr<Vec<uint8_t>> bytes;
  std::shared_ptr<Engine> engine;
  std::shared_ptr<wasm::Module> module;
  std::unique_ptr<Store> store;
};

// The owner of a module's bytes stays for as long as code is made of them.
TEST_F(TieringTest, OwnersOfBytesStayWhileBusy) {
  GatedBackend gate;
  TieringTier tier(gate.options(), parts(5));
  bool gone = false;
  {
    Borrowed b(tier, &gone);
    b.module->owner = b.bytes;
    b.run();
    gate.wait_until_started();
  }
  EXPECT_FALSE(gone);
  gate.open();
  tier.wait_until_idle();
  EXPECT_TRUE(gone);
  EXPECT_EQ(gate.cancelled(), 0);
}

// Lent bytes are not read once the last store with the module has ended.
TEST_F(TieringTest, LentBytesAreGivenBack) {
  GatedBackend gate;
  TieringTier tier(gate.options(), parts(5));
  Borrowed b(tier);
  b.run();
  gate.wait_until_started();
  // Never opened: the store's end gives the work up, and waits for that.
  b.store.reset();
  EXPECT_EQ(gate.cancelled(), 1);
  EXPECT_FALSE(tier.busy());
  // The module can be used again.
  b.store = std::make_unique<Store>(b.engine);
  b.run();
  gate.open();
  tier.wait_until_idle();
}

// Stores of one module in several threads, which start and run while its code changes
// under them.
TEST_F(TieringTest, ThreadsShareNewCode) {
  constexpr int kThreads = 4, kStores = 25;
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
  // The code that the function had in every store once nothing was made any more.
  std::set<void*> codes;
  std::mutex codes_mutex;
  std::latch ran(kThreads), idle(1);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      std::vector<std::unique_ptr<Store>> stores;
      std::vector<runtime::FuncInst*> funcs;
      int good = 0;
      for (int s = 0; s < kStores; ++s) {
        Store& store = *stores.emplace_back(std::make_unique<Store>(engine));
        auto instance = store.instantiate(module, {});
        if (!instance) break;
        funcs.push_back((*instance)->get_export("f")->func);
        const Vec<Value> args = {Value::i32(300)};
        uint32_t want = 0;
        for (int i = 0; i < 40; ++i) {
          want += 300u * 301 / 2;
          auto result = store.call(funcs.back(), args);
          if (result && uint32_t((*result)[0].as_i32()) == want) ++good;
        }
      }
      right += good;
      ran.count_down();
      idle.wait();
      const std::lock_guard lock(codes_mutex);
      for (const runtime::FuncInst* f : funcs) codes.insert(f->native);
    });
  ran.wait();
  tier->wait_until_idle();
  idle.count_down();
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, kThreads * kStores * 40);
  EXPECT_NE(module->precompiled, nullptr);
  EXPECT_EQ(codes.size(), 1u);
}

// Thrown in either kind of code and caught in the other, with the host in between too.
TEST_F(TieringTest, ExceptionsCrossTiers) {
  const auto tier = make(parts(300));
  const Running r(*tier, R"((module
    (import "env" "call_hot" (func $call_hot (param i32)))
    (import "env" "call_cold" (func $call_cold (param i32)))
    (type $t (func (param i32)))
    (tag $e (param i32))
    (table funcref (elem $throw_hot $throw_cold $call_hot $call_cold $rethrow_cold))
    (func $throw_hot (export "hot") (type $t)
      (if (i32.gt_s (local.get 0) (i32.const 0)) (then (throw $e (local.get 0)))))
    (func $throw_cold (export "cold") (type $t) (throw $e (i32.add (local.get 0) (i32.const 1000))))
    ;; Catches what optimized code throws, and throws it again in baseline code.
    (func $rethrow_cold (type $t)
      (block $caught (result exnref)
        (try_table (catch_all_ref $caught) (call $throw_hot (local.get 0)))
        (return))
      (throw_ref))
    ;; The low digit says whom to call, the rest with what.
    (func $catch_hot (export "catch_hot") (param $n i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $e $caught)
          (call_indirect (type $t) (i32.div_s (local.get $n) (i32.const 10))
            (i32.rem_u (i32.and (local.get $n) (i32.const 0x7fffffff)) (i32.const 10))))
        (i32.const -1)))
    (func $catch_cold (export "catch_cold") (param $n i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $e $caught)
          (call_indirect (type $t) (i32.div_s (local.get $n) (i32.const 10))
            (i32.rem_u (i32.and (local.get $n) (i32.const 0x7fffffff)) (i32.const 10))))
        (i32.const -1)))
    (func (export "uncaught_cold") (param i32) (result i32)
      (call $throw_hot (local.get 0)) (i32.const 0))))");
  const auto all = [&r] {
    for (const char* catcher : {"catch_hot", "catch_cold"}) {
      EXPECT_EQ(r.call(catcher, 70), 7) << catcher;
      EXPECT_EQ(r.call(catcher, 71), 1007) << catcher;
      EXPECT_EQ(r.call(catcher, 72), 7) << catcher;
      EXPECT_EQ(r.call(catcher, 73), 1007) << catcher;
      EXPECT_EQ(r.call(catcher, 74), 7) << catcher;
      EXPECT_EQ(r.call(catcher, 0), -1) << catcher;
    }
    EXPECT_EQ(r.trap("uncaught_cold", 3), TrapCode::UncaughtException);
  };
  all();
  void* const catch_cold = r.code("catch_cold");
  void* const throw_cold = r.code("cold");
  void* const catch_hot = r.code("catch_hot");
  void* const throw_hot = r.code("hot");
  for (int i = 1; i < 400; ++i) {
    ASSERT_EQ(r.call("catch_hot", 10 * i), i);
    ASSERT_EQ(r.call("catch_hot", 10 * i + 2), i);
  }
  tier->wait_until_idle();
  // One of each has moved, the other stays in baseline code.
  EXPECT_NE(r.code("catch_hot"), catch_hot);
  EXPECT_NE(r.code("hot"), throw_hot);
  EXPECT_EQ(r.code("catch_cold"), catch_cold);
  EXPECT_EQ(r.code("cold"), throw_cold);
  all();
}

// Traps of all origins, from either kind of code below the other, with the host in between
// too: their backtraces name every function.
TEST_F(TieringTest, TrapsCrossTiers) {
  const auto tier = make(parts(100));
  const Running r(*tier, R"((module
    (import "env" "call_hot" (func $call_hot (param i32)))
    (import "env" "call_cold" (func $call_cold (param i32)))
    (type $t (func (param i32)))
    (memory 1)
    (table funcref (elem $hot $cold $call_hot $call_cold $deeper))
    ;; 1: a fault; 2: an instruction that traps; 3: a builtin; 0: none.
    (func $hot (export "hot") (type $t)
      (if (i32.eq (local.get 0) (i32.const 1))
        (then (i32.store (i32.const 0x100000) (local.get 0))))
      (if (i32.eq (local.get 0) (i32.const 2)) (then (unreachable)))
      (if (i32.eq (local.get 0) (i32.const 3))
        (then (memory.fill (i32.const 65535) (i32.const 0) (i32.const 2)))))
    (func $cold (export "cold") (type $t)
      (if (i32.eq (local.get 0) (i32.const 1))
        (then (i32.store (i32.const 0x100000) (local.get 0))))
      (if (i32.eq (local.get 0) (i32.const 2)) (then (unreachable)))
      (if (i32.eq (local.get 0) (i32.const 3))
        (then (memory.fill (i32.const 65535) (i32.const 0) (i32.const 2)))))
    ;; The low digit says whom to call, the rest with what.
    (func $by_hot (export "by_hot") (param i32) (result i32)
      (call_indirect (type $t) (i32.div_u (local.get 0) (i32.const 10))
        (i32.rem_u (local.get 0) (i32.const 10)))
      (i32.const 6))
    (func $by_cold (export "by_cold") (param i32) (result i32)
      (call_indirect (type $t) (i32.div_u (local.get 0) (i32.const 10))
        (i32.rem_u (local.get 0) (i32.const 10)))
      (i32.const 6))
    ;; Never ends, in both kinds of code in turns.
    (func $deeper (type $t) (drop (call $by_hot (i32.const 4))))))");
  const auto all = [&r] {
    std::string frames;
    const std::pair<int, TrapCode> traps[] = {{1, TrapCode::MemoryOutOfBounds},
                                              {2, TrapCode::Unreachable},
                                              {3, TrapCode::MemoryOutOfBounds}};
    for (const std::string by : {"by_hot", "by_cold"}) {
      for (const auto& [what, trap] : traps) {
        EXPECT_EQ(r.trap(by, what * 10, &frames), trap);
        EXPECT_EQ(frames, "hot " + by);
        EXPECT_EQ(r.trap(by, what * 10 + 1, &frames), trap);
        EXPECT_EQ(frames, "cold " + by);
        EXPECT_EQ(r.trap(by, what * 10 + 2, &frames), trap);
        EXPECT_EQ(frames, "hot " + by);
        EXPECT_EQ(r.trap(by, what * 10 + 3, &frames), trap);
        EXPECT_EQ(frames, "cold " + by);
      }
      EXPECT_EQ(r.trap(by, 4), TrapCode::CallStackExhausted);
      EXPECT_EQ(r.call(by, 0), 6);
    }
  };
  for (const char* by : {"by_hot", "by_cold"})
    for (const int whom : {0, 1}) EXPECT_EQ(r.call(by, whom), 6);
  void* const by_hot = r.code("by_hot");
  void* const hot = r.code("hot");
  void* const by_cold = r.code("by_cold");
  void* const cold = r.code("cold");
  all();
  for (int i = 1; i < 500; ++i) ASSERT_EQ(r.call("by_hot", 0), 6);
  tier->wait_until_idle();
  EXPECT_NE(r.code("by_hot"), by_hot);
  EXPECT_NE(r.code("hot"), hot);
  EXPECT_EQ(r.code("by_cold"), by_cold);
  EXPECT_EQ(r.code("cold"), cold);
  all();
}

// Offsets in backtraces are those of the instructions, in both kinds of code.
TEST_F(TieringTest, BacktracesKeepTheirOffsets) {
  const auto tier = make(parts(100));
  const Running r(*tier, R"((module
    (func $deep (export "deep") (param i32) (result i32)
      (i32.div_u (i32.const 100) (local.get 0)))
    (func $cold (export "cold") (param i32) (result i32)
      (i32.add (i32.const 1) (call $deep (local.get 0))))))");
  const auto offsets = [&r] {
    std::string frames;
    EXPECT_EQ(r.trap("cold", 0, &frames), TrapCode::IntegerDivideByZero);
    EXPECT_EQ(frames, "deep cold");
    Vec<uint32_t> out;
    for (const auto& f : r.store->trap().backtrace) out.push_back(f.module_offset);
    return out;
  };
  const Vec<uint32_t> before = offsets();
  ASSERT_EQ(before.size(), 2u);
  EXPECT_GT(before[0], 0u);
  EXPECT_GT(before[1], before[0]);
  void* const code = r.code("deep");
  for (int i = 1; i < 500; ++i) ASSERT_EQ(r.call("deep", i), 100 / i);
  tier->wait_until_idle();
  EXPECT_NE(r.code("deep"), code);
  EXPECT_EQ(offsets(), before);
}

// Objects that only frames refer to outlive a collection, in both kinds of code.
TEST_F(TieringTest, ReferencesInFramesAreRoots) {
  const auto tier = make(parts(100));
  const Running r(*tier, R"((module
    (import "env" "collect" (func $collect))
    (type $box (struct (field (mut i32))))
    (type $t (func (param i32) (result i32)))
    (table funcref (elem $hot $cold $bottom))
    (func $bottom (type $t)
      (local $i i32)
      (call $collect)
      ;; Takes what was wrongly set free.
      (loop $again
        (drop (struct.new $box (i32.const -1)))
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
          (i32.const 20))))
      (i32.const 0))
    (func $hot (export "hot") (type $t) (local $box (ref null $box))
      (local.set $box (struct.new $box (local.get 0)))
      (i32.add (call_indirect (type $t) (i32.add (local.get 0) (i32.const 1))
          (select (i32.const 2) (i32.const 1) (i32.gt_u (local.get 0) (i32.const 7))))
        (struct.get $box 0 (local.get $box))))
    (func $cold (export "cold") (type $t) (local $box (ref null $box))
      (local.set $box (struct.new $box (local.get 0)))
      (i32.add (call_indirect (type $t) (i32.add (local.get 0) (i32.const 1))
          (select (i32.const 2) (i32.const 0) (i32.gt_u (local.get 0) (i32.const 7))))
        (struct.get $box 0 (local.get $box))))))");
  const auto deep = [&r] {
    // 2 + 3 + ... + 8, in frames of both kinds.
    EXPECT_EQ(r.call("hot", 2), 35);
    EXPECT_EQ(r.call("cold", 2), 35);
  };
  deep();
  void* const hot = r.code("hot");
  void* const cold = r.code("cold");
  for (int i = 0; i < 300; ++i) ASSERT_EQ(r.call("hot", 8 + i), 8 + i);
  tier->wait_until_idle();
  EXPECT_NE(r.code("hot"), hot);
  EXPECT_EQ(r.code("cold"), cold);
  deep();
}

}  // namespace
}  // namespace wafer::compiler
#endif
