// The C++ embedding API: errors as values, type checks, limits, references.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "module_bytes.h"
#include "tier_engine.h"
#include "wafer/wafer.hpp"
#include "wafer/wasi.hpp"
#include "wafer/wat.hpp"

namespace wafer {
namespace {

struct Fixture {
  Engine engine;
  Store store;
  Linker linker;
  explicit Fixture(const Config& config = {}, const StoreLimits& limits = {})
      : engine(config), store(engine, limits), linker(engine) {}
  Result<Instance> instance(std::string_view text) {
    WAFER_LET(module, compile_wat(engine, text));
    return linker.instantiate(store, module);
  }
};

TEST(Api, TypedCallChecksTheType) {
  Fixture f;
  auto i = f.instance(R"((module (func (export "f") (param i32) (result i64)
    (i64.extend_i32_s (local.get 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  auto good = i->func<int64_t(int32_t)>("f");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*(*good)(-3), -3);
  EXPECT_FALSE(i->func<int32_t(int32_t)>("f").ok());
  EXPECT_FALSE(i->func<int64_t()>("f").ok());
  EXPECT_FALSE(i->func<int64_t(int32_t)>("g").ok());
  // The untyped call checks its arguments.
  auto func = i->func("f");
  ASSERT_TRUE(func.ok());
  EXPECT_EQ(func->call({Val(int64_t{1})}).error().kind, ErrorKind::Usage);
  EXPECT_EQ(func->call({}).error().kind, ErrorKind::Usage);
  auto r = func->call({Val(int32_t{5})});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ((*r)[0].i64(), 5);
}

TEST(Api, ManyResultsAndVectors) {
  Fixture f;
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "split",
                             [](int64_t v) {
                               return std::tuple<int32_t, int32_t, double>(int32_t(v),
                                                                           int32_t(v >> 32), 0.5);
                             })
                  .ok());
  auto i = f.instance(R"((module
    (import "h" "split" (func $s (param i64) (result i32 i32 f64)))
    (func (export "f") (param i64) (result i32 i32 f64) (call $s (local.get 0)))
    (func (export "v") (param v128) (result v128) (i32x4.add (local.get 0) (local.get 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  auto split = i->func<std::tuple<int32_t, int32_t, double>(int64_t)>("f");
  ASSERT_TRUE(split.ok());
  auto r = (*split)(0x700000002);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(*r, std::make_tuple(2, 7, 0.5));
  auto twice = i->func<V128(V128)>("v");
  ASSERT_TRUE(twice.ok());
  V128 v{};
  v.bytes[0] = 9;
  v.bytes[12] = 1;
  auto w = (*twice)(v);
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(w->bytes[0], 18);
  EXPECT_EQ(w->bytes[12], 2);
}

// Functions that the module's compiler inlined are frames too, in every tier.
TEST(Api, BacktracesShowInlinedFunctions) {
  const Code binary = module_with_lines(5, /*with_entries=*/true);
  for (const Tier tier : kTiers) {
    Config config;
    config.tier = tier;
    Fixture f(config);
    auto module = Module::compile(f.engine, binary);
    ASSERT_TRUE(module.ok()) << module.error().message;
    auto instance = Instance::create(f.store, *module);
    if (!instance.ok() && instance.error().kind == ErrorKind::Unsupported) continue;
    ASSERT_TRUE(instance.ok()) << instance.error().message;
    ASSERT_FALSE((*instance->func<void()>("f"))().ok());
    const auto& frames = f.store.last_trap().backtrace;
    ASSERT_EQ(frames.size(), 3u);
#if WAFER_WITH_DEMANGLE
    EXPECT_EQ(frames[0].func_name, "a()");
#endif
    EXPECT_EQ(frames[0].source, "sub/a.c:12:3");
    EXPECT_TRUE(frames[0].inlined);
    EXPECT_EQ(frames[1].func_name, "b");
    EXPECT_EQ(frames[1].source, "sub/a.c:20:4");
    EXPECT_EQ(frames[2].func_name, "f");
    EXPECT_EQ(frames[2].source, "sub/a.c:30:5");
    EXPECT_FALSE(frames[2].inlined);
    const String text = f.store.format_backtrace();
    EXPECT_NE(text.find(" (inlined) (sub/a.c:12:3) @0x"), String::npos) << text;
  }
}

TEST(Api, HostErrorsBecomeTraps) {
  Fixture f;
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "fail",
                             [](Caller&, int32_t v) -> Result<int32_t> {
                               if (v > 2) return Error(ErrorKind::Usage, "too large");
                               return v;
                             })
                  .ok());
  auto i = f.instance(R"((module (import "h" "fail" (func $h (param i32) (result i32)))
    (func $inner (export "f") (param i32) (result i32) (call $h (local.get 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  auto call = i->func<int32_t(int32_t)>("f");
  EXPECT_EQ(*(*call)(2), 2);
  auto r = (*call)(3);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().kind, ErrorKind::Trap);
  EXPECT_EQ(std::string_view(r.error().message), "too large");
  EXPECT_NE(std::string_view(f.store.format_backtrace()).find("inner"), std::string_view::npos);
  EXPECT_EQ(*(*call)(1), 1);  // the store goes on
}

TEST(Api, DefaultsOfTheLinker) {
  Fixture f;
  ASSERT_TRUE(f.linker.func_wrap("a", "b", [] {}).ok());
  EXPECT_FALSE(f.linker.func_wrap("a", "b", [] {}).ok());
  f.linker.allow_shadowing(true);
  EXPECT_TRUE(f.linker.func_wrap("a", "b", [] {}).ok());
  auto missing = f.instance(R"((module (import "a" "c" (func)) (func (export "f") (call 0))))");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::Unlinkable);
  auto wrong = f.instance(R"((module (import "a" "b" (func (param i32)))))");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().kind, ErrorKind::Unlinkable);
  f.linker.trap_on_unknown_imports(true);
  auto later = f.instance(R"((module (import "a" "c" (func)) (func (export "f") (call 0))))");
  ASSERT_TRUE(later.ok());
  EXPECT_EQ((*later->func<void()>("f"))().error().kind, ErrorKind::Trap);
}

TEST(Api, MemoryIsCheckedAndLimited) {
  StoreLimits limits;
  limits.memory_bytes = 4 * 65536;
  Fixture f({}, limits);
  auto i = f.instance(R"((module (memory (export "m") 1)))");
  ASSERT_TRUE(i.ok());
  Memory m = *i->memory("m");
  EXPECT_TRUE(m.set<uint32_t>(65532, 0x01020304).ok());
  EXPECT_EQ(*m.get<uint8_t>(65535), 1);
  EXPECT_FALSE(m.set<uint32_t>(65533, 0).ok());
  EXPECT_FALSE(m.get<uint8_t>(~uint64_t{0}).ok());
  EXPECT_FALSE(m.slice(65530, 7).ok());
  EXPECT_EQ(*m.grow(3), 1u);
  EXPECT_FALSE(m.grow(1).ok());
  EXPECT_EQ(*m.get<uint8_t>(65535), 1);
  EXPECT_EQ(m.size(), 4u * 65536);
}

TEST(Api, GlobalsAndTablesCheckTypes) {
  Fixture f;
  auto i = f.instance(R"((module (global (export "c") i32 (i32.const 1))
    (global (export "v") (mut i64) (i64.const 2)) (table (export "t") 1 2 funcref)
    (func (export "f"))))");
  ASSERT_TRUE(i.ok());
  EXPECT_FALSE(i->global("c")->set(Val(int32_t{2})).ok());  // immutable
  EXPECT_FALSE(i->global("v")->set(Val(int32_t{2})).ok());  // wrong type
  EXPECT_TRUE(i->global("v")->set(Val(int64_t{3})).ok());
  EXPECT_EQ(i->global("v")->get().i64(), 3);
  Table t = *i->table("t");
  EXPECT_TRUE(t.get(0)->is_null());
  EXPECT_TRUE(t.set(0, Val(*i->func("f"))).ok());
  EXPECT_FALSE(t.get(0)->is_null());
  EXPECT_FALSE(t.set(1, Val::null(kFuncRef)).ok());
  EXPECT_FALSE(t.set(0, Val(int32_t{1})).ok());
  EXPECT_EQ(*t.grow(1, Val::null(kFuncRef)), 1u);
  EXPECT_FALSE(t.grow(1, Val::null(kFuncRef)).ok());
}

TEST(Api, FuelRunsOutAndCanBeAdded) {
  Config config;
  config.consume_fuel = true;
  Fixture f(config);
  auto i = f.instance(R"((module (func (export "f") (param i32)
    (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))))))");
  ASSERT_TRUE(i.ok());
  auto count = i->func<void(int32_t)>("f");
  f.store.set_fuel(100);
  EXPECT_EQ(std::string_view((*count)(1000000).error().message), "out of fuel");
  f.store.set_fuel(100000);
  EXPECT_TRUE((*count)(100).ok());
  const uint64_t left = f.store.fuel();
  EXPECT_LT(left, 100000u);
  EXPECT_TRUE((*count)(100).ok());
  EXPECT_LT(f.store.fuel(), left);
}

TEST(Api, InterruptEndsLoopsAndWaits) {
  Config config;
  config.interruptible = true;
  Fixture f(config);
  auto i = f.instance(R"((module (memory 1 1 shared) (func (export "spin") (loop (br 0)))
    (func (export "wait")
      (drop (memory.atomic.wait64 (i32.const 8) (i64.const 0) (i64.const -1))))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  for (const char* name : {"spin", "wait"}) {
    auto run = i->func<void()>(name);
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      f.store.interrupt();
    });
    EXPECT_EQ(std::string_view((*run)().error().message), "interrupted");
    other.join();
    f.store.clear_interrupt();
  }
}

TEST(Api, ReferencesKeepObjectsAlive) {
  int freed = 0;
  struct Counted {
    int* freed;
    explicit Counted(int* f) : freed(f) {}
    Counted(Counted&& o) noexcept : freed(std::exchange(o.freed, nullptr)) {}
    ~Counted() {
      if (freed) ++*freed;
    }
  };
  {
    Fixture f;
    ExternRef kept = ExternRef::create(f.store, Counted(&freed));
    {
      ExternRef lost = ExternRef::create(f.store, Counted(&freed));
    }
    f.store.collect();
    EXPECT_EQ(freed, 1);
    EXPECT_NE(kept.get<Counted>(), nullptr);
    EXPECT_EQ(kept.get<int>(), nullptr);  // of another type
    ExternRef copy = kept;
    kept = ExternRef();
    f.store.collect();
    EXPECT_EQ(freed, 1);
    EXPECT_EQ(copy.get<Counted>()->freed, &freed);
    copy = ExternRef();
  }
  EXPECT_EQ(freed, 2);  // with the store
}

TEST(Api, ExceptionsCrossTheHost) {
  Fixture f;
  const ValType params[] = {kI32};
  Tag tag = Tag::create(f.store, params);
  ASSERT_TRUE(f.linker.define("h", "t", tag).ok());
  ASSERT_TRUE(f.linker
                  .func_wrap("h", "raise",
                             [&](int32_t v) -> Result<void> {
                               const Val args[] = {Val(v)};
                               return tag.raise(args);
                             })
                  .ok());
  auto i = f.instance(R"((module (import "h" "t" (tag $t (param i32)))
    (import "h" "raise" (func $raise (param i32)))
    (func (export "catch") (param i32) (result i32)
      (block $h (result i32)
        (try_table (catch $t $h) (call $raise (local.get 0)))
        (i32.const -1)))
    (func (export "throw") (throw $t (i32.const 77)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  EXPECT_EQ(*(*i->func<int32_t(int32_t)>("catch"))(41), 41);
  EXPECT_FALSE((*i->func<void()>("throw"))().ok());
  Tag raised;
  Vec<Val> args;
  ASSERT_TRUE(f.store.take_exception(raised, args));
  EXPECT_TRUE(raised == tag);
  EXPECT_EQ(args[0].i32(), 77);
}

TEST(Api, ModulesAreSharedAndSerialized) {
  Engine engine;
  auto module = compile_wat(engine, R"((module $name (import "a" "b" (memory 1))
    (func (export "f") (result i32) (i32.load (i32.const 0)))))");
  ASSERT_TRUE(module.ok());
  EXPECT_EQ(module->name(), "name");
  ASSERT_EQ(module->imports().size(), 1u);
  EXPECT_EQ(module->exports().size(), 1u);
  const Vec<uint8_t> bytes = module->serialize();
  auto again = Module::deserialize(engine, {bytes.data(), bytes.size()});
  ASSERT_TRUE(again.ok());
  Vec<uint8_t> cut(bytes.begin(), bytes.end() - 1);
  EXPECT_FALSE(Module::deserialize(engine, {cut.data(), cut.size()}).ok());
  // Two stores at once on threads of their own.
  auto worker = [&](int32_t value) {
    Store store(engine);
    MemoryType type;
    type.limits.min = 1;
    auto memory = wafer::Memory::create(store, type);
    ASSERT_TRUE(memory->set<int32_t>(0, value).ok());
    const Extern imports[] = {*memory};
    auto i = Instance::create(store, *module, imports);
    ASSERT_TRUE(i.ok()) << i.error().message;
    auto load = i->func<int32_t()>("f");
    for (int n = 0; n < 1000; ++n) ASSERT_EQ(*(*load)(), value);
  };
  std::thread one(worker, 1), two(worker, 2);
  one.join();
  two.join();
}

TEST(Api, BadModulesGiveOffsets) {
  Engine engine;
  const uint8_t bytes[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 9};
  auto r = Module::compile(engine, {bytes, sizeof bytes});
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().kind, ErrorKind::Malformed);
  EXPECT_NE(r.error().offset, Error::kNoOffset);
  auto text = compile_wat(engine, "(module\n (func bad))");
  ASSERT_FALSE(text.ok());
  EXPECT_FALSE(Module::validate(engine, {bytes, 3}).ok());
  // What validation finds in text has its place there, and not in the binary form.
  const std::string_view wrong = "(module (func (result i32)\n  f32.const 1 f32.neg))";
  auto invalid = compile_wat(engine, wrong);
  ASSERT_FALSE(invalid.ok());
  EXPECT_EQ(invalid.error().offset, wrong.find("))"));
}

TEST(Api, WasiGivesOutputAndStatus) {
  Fixture f;
  std::string out;
  wasi::Config config;
  config.capture_stdout(&out);
  ASSERT_TRUE(wasi::add_to_linker(f.linker, std::move(config)).ok());
  auto i = f.instance(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $x (param i32)))
    (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\02\00\00\00hi")
    (func (export "_start")
      (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
      (call $x (i32.const 9)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  auto status = wasi::run(f.store, *i);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(*status, 9);
  EXPECT_EQ(out, "hi");
}

TEST(Api, WasiOfTheProgramsOwn) {
  Fixture f;
  wasi::MemoryFiles files;
  ASSERT_TRUE(files.put("sub/in", "from memory").ok());
  EXPECT_FALSE(files.get("sub/none").ok());
  EXPECT_FALSE(files.put("sub", "x").ok());
  std::string input = "from a function", out;
  wasi::Config config;
  config.capture_stdout(&out)
      .dir(files, "/")
      .stdin_from([&](char* data, size_t size) {
        const size_t n = std::min(size, input.size());
        std::memcpy(data, input.data(), n);
        input.erase(0, n);
        return int64_t(n);
      })
      .clocks([] { return uint64_t{1234}; }, [] { return uint64_t{5678}; });
  ASSERT_TRUE(wasi::add_to_linker(f.linker, std::move(config)).ok());
  // Reads the file and standard input, writes both to standard output and to a file of its own.
  auto i = f.instance(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get"
      (func $time (param i32 i64 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\00\01\00\00\00\01\00\00")
    (data (i32.const 64) "sub/in") (data (i32.const 80) "sub/out")
    (global $in (mut i32) (i32.const 0)) (global $out (mut i32) (i32.const 0))
    (func (export "realtime") (result i64)
      (drop (call $time (i32.const 0) (i64.const 0) (i32.const 32))) (i64.load (i32.const 32)))
    (func (export "monotonic") (result i64)
      (drop (call $time (i32.const 1) (i64.const 0) (i32.const 32))) (i64.load (i32.const 32)))
    (func $copy (param $from i32)
      (i32.store (i32.const 4) (i32.const 256))
      (if (call $read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 16))
        (then (unreachable)))
      (i32.store (i32.const 4) (i32.load (i32.const 16)))
      (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))
        (then (unreachable)))
      (if (call $write (global.get $out) (i32.const 0) (i32.const 1) (i32.const 16))
        (then (unreachable))))
    (func (export "_start")
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 6) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 20)) (then (unreachable)))
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 80) (i32.const 7) (i32.const 1)
            (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 24)) (then (unreachable)))
      (global.set $out (i32.load (i32.const 24)))
      (call $copy (i32.load (i32.const 20)))
      (call $copy (i32.const 0)))))");
  ASSERT_TRUE(i.ok()) << i.error().message;
  auto status = wasi::run(f.store, *i);
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(out, "from memoryfrom a function");
  EXPECT_EQ(*files.get("sub/out"), out);
  EXPECT_EQ(*(*i->func<int64_t()>("realtime"))(), 1234);
  EXPECT_EQ(*(*i->func<int64_t()>("monotonic"))(), 5678);
}

#ifdef WAFER_LLVM_MODULE

TEST(ApiTiers, InterruptEndsCompilation) {
  Config config;
  config.tier = Tier::Optimized;
  config.interruptible = true;
  Fixture f(config);
  std::string text = "(module (memory 1)";
  for (int i = 0; i < 400; ++i) {
    text += "(func (export \"f" + std::to_string(i) + "\") (param i32) (result i32) (loop $l";
    for (int k = 0; k < 40; ++k)
      text += "(i32.store8 (local.get 0) (i32.mul (i32.load (local.get 0)) (i32.const " +
              std::to_string(k) + ")))";
    text += "(br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 1))";
  }
  text += ")";
  f.store.interrupt();
  EXPECT_EQ(std::string_view(f.instance(text).error().message), "interrupted");
  f.store.clear_interrupt();
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    f.store.interrupt();
  });
  const auto stopped = f.instance(text);
  other.join();
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.error().kind, ErrorKind::Trap);
  f.store.clear_interrupt();
  EXPECT_TRUE(f.instance("(module (func (export \"f\")))").ok());
}

// The same results, traps, fuel and interruption in every tier.
TEST(ApiTiers, AllRunAlike) {
  std::vector<uint32_t> places;  // of what ran out of fuel
  for (const Tier tier : kTiers) {
    Config config;
    config.tier = tier;
    config.consume_fuel = true;
    Fixture f(config);
    EXPECT_EQ(f.engine.config().tier, tier);
    ASSERT_TRUE(f.linker
                    .func_wrap("env", "half",
                               [](int32_t n) -> Result<int32_t> {
                                 if (n & 1) return Error(ErrorKind::Trap, "odd");
                                 return n / 2;
                               })
                    .ok());
    auto i = f.instance(R"((module (import "env" "half" (func $half (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (i32.add (i32.const 1) (call $half (local.get 0))))
      (func (export "spin") (loop $l (br $l)))))");
    ASSERT_TRUE(i.ok()) << i.error().message;
    auto fn = i->func<int32_t(int32_t)>("f");
    auto spin = i->func<void()>("spin");
    ASSERT_TRUE(fn.ok() && spin.ok());
    f.store.set_fuel(1000);
    EXPECT_EQ(*(*fn)(20), 11);
    const auto odd = (*fn)(3);
    ASSERT_FALSE(odd.ok());
    EXPECT_NE(odd.error().message.find("odd"), String::npos);
    const auto spun = (*spin)();
    ASSERT_FALSE(spun.ok());
    EXPECT_NE(spun.error().message.find("fuel"), String::npos) << spun.error().message;
    const auto& frames = f.store.last_trap().backtrace;
    ASSERT_EQ(frames.size(), 1u);
    places.push_back(frames[0].module_offset);
    EXPECT_EQ(places.back(), places[0]) << "tier " << int(tier);
  }
}

TEST(ApiTiers, MachineCodeIsKeptAndLoaded) {
  const auto bytes = wat2wasm(R"((module (memory 1) (func (export "f") (param i32) (result i32)
    (i32.mul (local.get 0) (i32.load (i32.const 65532))))))");
  ASSERT_TRUE(bytes.ok());
  const Engine engine;
  auto code = Module::precompile(engine, *bytes);
  ASSERT_TRUE(code.ok()) << code.error().message;
  // Portable serialization stays what it was: machine code is not taken by mistake.
  EXPECT_EQ(Module::deserialize(engine, *code).error().kind, ErrorKind::Malformed);
  auto module = Module::load_compiled(engine, *code);
  ASSERT_TRUE(module.ok()) << module.error().message;
  EXPECT_EQ(module->exports().size(), 1u);
  Store store(engine);
  auto instance = Instance::create(store, *module);
  ASSERT_TRUE(instance.ok()) << instance.error().message;
  EXPECT_EQ(*(*instance->func<int32_t(int32_t)>("f"))(5), 0);

  // Cut off, damaged, of an engine with other settings, or in one that makes none.
  for (size_t size = 0; size < code->size(); size += 997)
    EXPECT_FALSE(Module::load_compiled(engine, Bytes(*code).first(size)).ok());
  Config config;
  config.consume_fuel = true;
  const Engine counting(config);
  auto other = Module::load_compiled(counting, *code);
  ASSERT_TRUE(other.ok());
  Store counted(counting);
  EXPECT_EQ(Instance::create(counted, *other).error().kind, ErrorKind::Unsupported);
  config.tier = Tier::Interpreter;
  EXPECT_EQ(Module::load_compiled(Engine(config), *code).error().kind, ErrorKind::Unsupported);
  EXPECT_EQ(Module::load_compiled_file(engine, "/nonexistent").error().kind, ErrorKind::Io);
  const uint8_t bad[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 99};
  EXPECT_EQ(Module::precompile(engine, bad).error().kind, ErrorKind::Malformed);
}

TEST(ApiTiers, CacheHoldsCodeBetweenEngines) {
  char folder[] = "/tmp/wafer-cache-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  Config config;
  config.tier = Tier::Optimized;
  config.cache_folder = folder;
  for (int round = 0; round < 2; ++round) {
    Fixture f(config);
    auto i = f.instance("(module (func (export \"f\") (result i32) (i32.const 9)))");
    ASSERT_TRUE(i.ok()) << i.error().message;
    EXPECT_EQ(*(*i->func<int32_t()>("f"))(), 9);
    const auto files = std::distance(std::filesystem::directory_iterator(folder), {});
    EXPECT_EQ(files, 1) << round;
  }
  std::filesystem::remove_all(folder);
}

#endif

// More live memories than the pool holds is an error; as many as it holds, again and again, not.
TEST(ApiTiers, PoolBoundsLiveMemories) {
  Config config;
  config.pooled_memories = 3;
  const Engine engine(config);
  auto module = compile_wat(engine, "(module (memory 1) (data (i32.const 5) \"x\"))");
  ASSERT_TRUE(module.ok());
  for (int round = 0; round < 5; ++round) {
    Store store(engine);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Instance::create(store, *module).ok());
    const auto fourth = Instance::create(store, *module);
    ASSERT_FALSE(fourth.ok());
    EXPECT_EQ(fourth.error().kind, ErrorKind::Exhaustion);
  }
}

}  // namespace
}  // namespace wafer
