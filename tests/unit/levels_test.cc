// Images of code whose functions several code generators made: they call each other, hand on
// exceptions, and tell where they trap.
#include "compiler/tiers/levels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "compiler/llvm_loader.h"
#include "compiler/tier.h"
#include "compiler/tiers/choose.h"
#include "wafer/async.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"
#include "wasm/decoder.h"
#include "wat/wat.h"

namespace wafer {
namespace {

// $catch has a handler, which only the baseline compiler and LLVM have code for; the others are
// the optimizing compiler's.
constexpr std::string_view kMixed = R"((module
  (tag $e (param i32))
  (memory 1 3)
  (table funcref (elem $even $odd $throw))
  (type $unary (func (param i32) (result i32)))
  (func $throw (export "throw") (param i32) (result i32)
    (if (i32.gt_s (local.get 0) (i32.const 100)) (then (throw $e (local.get 0))))
    (i32.load (local.get 0)))
  (func $through (param i32) (result i32)
    (i32.add (i32.const 1) (call $throw (i32.add (local.get 0) (i32.const 1)))))
  (func $catch (export "catch") (param i32) (result i32) (local i32 i64 f64)
    (local.set 1 (i32.const 7))
    (local.set 2 (i64.const 1000))
    (local.set 3 (f64.const 0.5))
    (block $h (result i32)
      (try_table (result i32) (catch $e $h) (call $through (local.get 0)))
      (return))
    (i32.add (i32.wrap_i64 (local.get 2)))
    (i32.add (local.get 1))
    (i32.add (i32.trunc_f64_s (f64.mul (local.get 3) (f64.const 4)))))
  (func (export "rounds") (param i32) (result i32) (local i32)
    (loop $l
      (local.set 1 (i32.add (local.get 1) (call $catch (i32.const 200))))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func $even (export "even") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
      (else (return_call $odd (i32.sub (local.get 0) (i32.const 1))))))
  (func $odd (export "odd") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
      (else (return_call $even (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "indirect") (param i32) (result i32)
    (call_indirect (type $unary) (i32.const 10) (local.get 0)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "outer") (param i32) (result i32)
    (i32.add (i32.const 1) (call $catch (local.get 0))))))";

constexpr const char* kNoLibrary = "/nowhere/libwafer-llvm.so";

// An instance of kMixed at level 1, with the code generator for other functions at `library`.
struct Mixed {
  Engine engine;
  Store store;
  std::optional<Instance> instance;  // none if it could not be made, which is told

  Mixed(Config config, const char* library) : engine(at_level_1(config, library)), store(engine) {
    auto module = compile_wat(engine, kMixed);
    EXPECT_TRUE(module.ok()) << module.error().message;
    if (!module) return;
    auto made = Instance::create(store, *module);
    EXPECT_TRUE(made.ok()) << made.error().message;
    if (made) instance = *made;
  }
  static Config& at_level_1(Config& config, const char* library) {
    config.opt_level = 1;
    config.optimizer_library = library;
    return config;
  }
};

void run_mixed(const char* library) {
  Config config;
  config.tier = Tier::Optimized;
  Mixed mixed(config, library);
  ASSERT_TRUE(mixed.instance);
  Store& store = mixed.store;
  const auto call = [&](const char* name, int32_t argument) {
    return (*mixed.instance->func<int32_t(int32_t)>(name))(argument);
  };
  EXPECT_EQ(*call("catch", 4), 1);
  EXPECT_EQ(*call("catch", 100), 101 + 1000 + 7 + 2);
  EXPECT_EQ(*call("rounds", 1000), 1000 * (201 + 1000 + 7 + 2));
  EXPECT_EQ(*call("even", 1'000'001), 0);
  EXPECT_EQ(*call("indirect", 0), 1);
  EXPECT_EQ(*call("indirect", 1), 0);
  EXPECT_FALSE(call("indirect", 3).ok());
  EXPECT_EQ(store.last_trap().code, TrapCode::UndefinedElement);
  EXPECT_EQ(*call("grow", 2), 1);
  EXPECT_EQ(*call("grow", 1), -1);
  EXPECT_FALSE(call("throw", 101).ok());
  EXPECT_EQ(store.last_trap().code, TrapCode::UncaughtException);
  // Through frames of both kinds.
  EXPECT_FALSE(call("outer", -2).ok());
  EXPECT_EQ(store.last_trap().code, TrapCode::MemoryOutOfBounds);
  const auto& frames = store.last_trap().backtrace;
  ASSERT_EQ(frames.size(), 4u);
  const uint32_t expected[] = {0, 1, 2, 8};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(frames[i].func_index, expected[i]);
    EXPECT_GT(frames[i].module_offset, i ? frames[i - 1].module_offset : 0u);
  }
}

TEST(Levels, MixedWithBaselineCode) { run_mixed(kNoLibrary); }
#ifdef WAFER_LLVM_MODULE
TEST(Levels, MixedWithLlvm) { run_mixed(WAFER_LLVM_MODULE); }
#endif

// What a call comes to that waits whenever it has used so little fuel, and how much in all.
std::pair<int32_t, uint64_t> call_in_doses(Tier tier, const char* name, int32_t argument) {
  Config config;
  config.tier = tier;
  config.consume_fuel = config.interruptible = true;
  Mixed mixed(config, kNoLibrary);
  if (!mixed.instance) return {};
  Store& store = mixed.store;
  auto call = Computation::start(*mixed.instance->func(name), {Val(argument)});
  EXPECT_TRUE(call.ok()) << call.error().message;
  constexpr uint64_t kDose = 7;
  uint64_t given = 0;
  store.interrupt();
  EXPECT_EQ(call->resume(), Computation::Status::OutOfFuel);
  for (auto s = call->status(); s != Computation::Status::Finished; s = call->resume()) {
    store.clear_interrupt();
    if (s != Computation::Status::OutOfFuel) continue;
    store.set_fuel(kDose);
    given += kDose;
  }
  const auto result = call->result();
  EXPECT_TRUE(result.ok()) << result.error().message;
  return {result.ok() ? (*result)[0].i32() : 0, given - store.fuel()};
}

TEST(Levels, CodeThatWaits) {
  const std::pair<const char*, int32_t> kCalls[] = {{"rounds", 20}, {"even", 101}, {"outer", 100}};
  for (const auto& [name, argument] : kCalls) {
    const auto want = call_in_doses(Tier::Interpreter, name, argument);
    EXPECT_GT(want.second, 30u);
    EXPECT_EQ(call_in_doses(Tier::Optimized, name, argument), want) << name;
  }
}

#if WAFER_HAS_OPTIMIZING
namespace compiler = wafer::compiler;

std::shared_ptr<wasm::Module> mixed_module() {
  auto source = wat::parse_wat(kMixed);
  EXPECT_TRUE(source.ok());
  auto module = wasm::decode_module(*source, {});
  EXPECT_TRUE(module.ok());
  return *module;
}

Result<compiler::Backend*> no_backend() { return Error(ErrorKind::Unsupported, "none"); }

// What is run often gains: loops, and what is called from them, through others too; not what is
// large or run once.
TEST(Levels, ChoosesWhatIsRunOften) {
  std::string cold = "(func $cold";
  for (int i = 0; i < 60; ++i) cold += " (drop (i32.const 1))";
  const std::string text = "(module " + cold + R"()
    (func $kernel (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
    (func $between (param i32) (result i32) (call $kernel (call $kernel (local.get 0))))
    (func $loops (export "loops") (param i32)
      (loop $l (loop $m (drop (call $between (local.get 0))) (br_if $m (local.get 0)))
        (br_if $l (local.get 0))))
    (func $once (export "once") (call $cold) (drop (call $cousin (i32.const 1))))
    (func $cousin (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))))";
  const auto source = wat::parse_wat(text);
  ASSERT_TRUE(source.ok());
  const auto module = wasm::decode_module(*source, {});
  ASSERT_TRUE(module.ok());
  const auto size = [&](uint32_t f) { return uint64_t{(*module)->functions[f].body.size()}; };
  const uint64_t hot = size(1) + size(2) + size(3);
  EXPECT_EQ(compiler::choose_functions(**module, hot),
            (Vec<bool>{false, true, true, true, false, false}));
  // The one that is called most comes first, as far as there is room.
  EXPECT_EQ(compiler::choose_functions(**module, size(1)),
            (Vec<bool>{false, true, false, false, false, false}));
  EXPECT_EQ(compiler::choose_functions(**module, 0), Vec<bool>(6, false));
  EXPECT_EQ(compiler::choose_functions(**module, 10'000), Vec<bool>(6, true));
}

// Notes what the code generator for the rest is asked for.
class Noting final : public compiler::Backend {
 public:
  Result<compiler::ImageParts> compile(const wasm::Module&, const compiler::CompileOptions& options,
                                       std::span<const uint32_t> functions) override {
    through_entries = options.through_entries;
    asked.assign(functions.begin(), functions.end());
    return Error(ErrorKind::Unsupported, "no code");
  }
  Result<compiler::ImageTraits> traits(const compiler::CompileOptions&) override {
    return compiler::ImageTraits{};
  }
  Result<Vec<uint8_t>> compile_in_place(const wasm::Module&,
                                        const compiler::CompileOptions&) override {
    return Error(ErrorKind::Unsupported, "no code");
  }
  Vec<uint32_t> asked;
  bool through_entries = false;
};

// `count` functions without loops.
std::shared_ptr<wasm::Module> large_module(int count) {
  std::string text = "(module";
  for (int i = 0; i < count; ++i) {
    text += " (func (param i32) (result i32) (local.get 0)";
    for (int k = 0; k < 100; ++k) text += "(i32.add (i32.const 12345))";
    text += ")";
  }
  const auto source = wat::parse_wat(text + ")");
  EXPECT_TRUE(source.ok());
  auto module = wasm::decode_module(*source, {});
  EXPECT_TRUE(module.ok());
  return *module;
}

TEST(Levels, ShareOfLargeModules) {
  const auto module = large_module(1000);
  uint64_t all = 0;
  for (const auto& f : module->functions) all += f.body.size();
  Noting noting;
  compiler::CompileOptions options;
  const auto asked = [&](unsigned level) {
    options.opt_level = level;
    noting.asked.clear();
    const auto source =
        compiler::by_level([&]() -> Result<compiler::Backend*> { return &noting; }, level);
    const auto parts = (*source())->compile(*module, options, {});
    // All have code, from whomever.
    EXPECT_TRUE(level == 0 || (parts.ok() && parts->functions.size() == 1000u));
    uint64_t bytes = 0;
    for (const uint32_t f : noting.asked) bytes += module->functions[f].body.size();
    return double(bytes) / double(all);
  };
  EXPECT_NEAR(asked(1), 0.08, 0.01);
  EXPECT_TRUE(noting.through_entries);
  EXPECT_NEAR(asked(2), 0.18, 0.01);
  EXPECT_EQ(asked(3), 1);
  EXPECT_EQ(asked(0), 0);  // as a whole, without a list
  options.code.fuel = options.code.interruptible = true;
  EXPECT_NEAR(asked(1), 0.08, 0.01);
  EXPECT_NEAR(asked(2), 0.18, 0.01);
  // What is known to be hot is chosen whatever it looks like.
  const std::set<uint32_t> chosen(noting.asked.begin(), noting.asked.end());
  for (uint32_t f = 0; f < 1000; ++f)
    if (!chosen.contains(f) && options.hot.size() < 3) options.hot.push_back(f);
  EXPECT_GT(asked(2), 0.18);
  for (const uint32_t f : options.hot)
    EXPECT_TRUE(std::ranges::find(noting.asked, f) != noting.asked.end());
}

// The code generator of level 1, without another.
class LevelsQuickTest : public testing::Test {
 protected:
  LevelsQuickTest() { options.opt_level = 1; }
  const compiler::BackendSource source = compiler::by_level(no_backend, 1);
  compiler::Backend* const backend = *source();
  const std::shared_ptr<wasm::Module> module = mixed_module();
  compiler::CompileOptions options;
};

TEST_F(LevelsQuickTest, CodeForAnyProcessorSaysSo) {
  options.target = "x86_64";
  const auto any = backend->traits(options);
  ASSERT_TRUE(any.ok());
  EXPECT_FALSE(any->features & compiler::cpu_feature_bit("bmi2"));
  EXPECT_TRUE(any->features & compiler::cpu_feature_bit("sse4.2"));
  const auto parts = backend->compile(*module, options, {});
  ASSERT_TRUE(parts.ok());
  EXPECT_EQ(parts->traits.features, any->features);
  // Others' code is not guessed at.
  options.target = "aarch64";
  EXPECT_EQ(backend->compile(*module, options, {}).error().message, "none");
  options.target = "";
  options.cpu = "haswell";
  EXPECT_EQ(backend->compile(*module, options, {}).error().message, "none");
  EXPECT_EQ(compiler::by_level(no_backend, 2)().error().message, "none");
}

TEST_F(LevelsQuickTest, SameBytesWithAnyNumberOfThreads) {
  // Enough for several pieces of work.
  const auto large = large_module(1000);
  options.threads = 1;
  const auto one = backend->compile(*large, options, {});
  options.threads = 4;
  const auto four = backend->compile(*large, options, {});
  ASSERT_TRUE(one.ok() && four.ok());
  EXPECT_EQ(compiler::write_image(*one), compiler::write_image(*four));
}

TEST_F(LevelsQuickTest, IsCancelled) {
  std::atomic<uint32_t> cancel{1};
  options.cancel = &cancel;
  EXPECT_EQ(backend->compile(*module, options, {}).error().message, "cancelled");
}

// A handler that would go on outside of the code is refused.
TEST_F(LevelsQuickTest, HandlersLieInTheCode) {
  auto parts = backend->compile(*module, options, {});
  ASSERT_TRUE(parts.ok());
  ASSERT_FALSE(parts->handlers.empty());
  EXPECT_TRUE(compiler::CodeImage::load(compiler::write_image(*parts)).ok());
  compiler::ImageParts bad = *parts;
  bad.handlers[0].pad = uint32_t(bad.text.size());
  EXPECT_EQ(compiler::CodeImage::load(compiler::write_image(bad)).error().message,
            "corrupted code file: a handler lies outside of the code");
  bad = *parts;
  bad.framed = uint32_t(bad.text.size()) + 1;
  EXPECT_EQ(compiler::CodeImage::load(compiler::write_image(bad)).error().message,
            "corrupted code file: bad sections");
}
#endif

}  // namespace
}  // namespace wafer
