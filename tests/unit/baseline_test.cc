// The baseline tier against the interpreter, on programs made at random and on the
// corners of its conventions.
#if WAFER_HAS_BASELINE
#include <bit>
#include <cstring>
#include <thread>

#include "compiler/baseline/tier.h"
#include "interp/interp.h"
#include "random_program.h"

namespace wafer::compiler {
namespace {

class BaselineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!baseline_tier()) GTEST_SKIP() << "processor too old";
  }
};

TEST_F(BaselineTest, RandomProgramsGiveWhatTheInterpreterGives) {
  const char* more = std::getenv("WAFER_RANDOM_PROGRAMS");
  const uint32_t count = more ? uint32_t(std::strtoul(more, nullptr, 10)) : 300;
  for (uint32_t seed = 1; seed <= count; ++seed) {
    const std::string text = Program(seed).text();
    for (const bool guard_pages : {true, false}) {
      Config config;
      config.guard_pages = guard_pages;
      config.consume_fuel = true;
      const Vec<Value> args = {Value::i32(int32_t(seed) * 77), Value::i64(-int64_t(seed)),
                               Value::f32(float(seed) / 3), Value::f64(-1e10 * seed)};
      const Outcome a = run(interp::tier(), text, config, args, 5'000'000);
      const Outcome b = run(baseline_tier(), text, config, args, 5'000'000);
      expect_same(a, b, text);
      if (HasFatalFailure()) return;
      EXPECT_EQ(a.fuel, b.fuel) << text;
      // Built as a loop, the interpreter does not know where it was at a fault.
      if (a.trap_offset) EXPECT_EQ(a.trap_offset, b.trap_offset) << text;
    }
  }
}

// More parameters and results than registers, of all classes.
TEST_F(BaselineTest, ManyParametersAndResults) {
  std::string types, results, sum, swapped;
  Vec<Value> args;
  const char* const names[] = {"i32", "f64", "i64", "f32"};
  for (int i = 0; i < 40; ++i) {
    types += std::string(" ") + names[i % 4];
    const int v = i * 3 - 50;
    args.push_back(i % 4 == 0   ? Value::i32(v)
                   : i % 4 == 1 ? Value::f64(v)
                   : i % 4 == 2 ? Value::i64(v)
                                : Value::f32(float(v)));
  }
  std::string gets;
  for (int i = 0; i < 40; ++i) gets += " (local.get " + std::to_string(i) + ")";
  const std::string text = "(module (type $t (func (param" + types + ") (result" + types +
                           "))) (func $g (type $t)" + gets + ") (func $h (type $t)" + gets +
                           " return_call $g) (func (export \"f\") (type $t)" + gets + " call $h))";
  const Outcome a = run(interp::tier(), text, {}, args);
  const Outcome b = run(baseline_tier(), text, {}, args);
  ASSERT_EQ(a.values.size(), 40u);
  expect_same(a, b, text);
}

// More live operands than registers.
TEST_F(BaselineTest, ManyLiveOperands) {
  std::string push, add;
  for (int i = 0; i < 40; ++i) {
    push += "(i32.mul (local.get 0) (i32.const " + std::to_string(i + 1) +
            ")) (f64.convert_i32_s (i32.add (local.get 0) (i32.const " + std::to_string(i) + ")))";
    add += "i32.trunc_f64_s local.get 1 i32.add local.set 1 local.get 1 i32.xor local.set 1 ";
  }
  const std::string text = "(module (func (export \"f\") (param i32) (result i32) (local i32) " +
                           push + add + "local.get 1))";
  expect_same(run(interp::tier(), text, {}, {Value::i32(12345)}),
              run(baseline_tier(), text, {}, {Value::i32(12345)}), text);
}

// Bytes of machine code of the first function, which must not be left to the interpreter.
size_t code_size(const std::string& text) {
  auto engine = Engine::create({}, baseline_tier());
  const auto module = load(engine, text);
  BaselineCompiler compiler(*module, {});
  const auto code = compiler.compile(0);
  EXPECT_TRUE(code.ok()) << code.error().message;
  return code.ok() ? code->code.size() : 0;
}

// A body so large that branches to its ends, jump tables and constants are out of the reach
// of short instructions.
TEST_F(BaselineTest, LargeBodies) {
  std::string text =
      "(module (memory 1) (func (export \"f\") (param i32 i64) (result i64) (local v128)"
      " (local $n i32) (block $out ";
  for (int i = 0; i < 22000; ++i) {
    const std::string n = std::to_string(i);
    text +=
        "(block $a (block $b (block $c (br_table $a $b $c (local.get 0))) (local.set 1 (i64.add"
        " (local.get 1) (i64.const " +
        n + "))) (br $a)) (local.set 1 (i64.mul (local.get 1) (i64.const 7)))) ";
    if (i % 40 == 0)
      text += "(local.set 2 (i8x16.add (local.get 2) (v128.const i32x4 " + n +
              " 2 3 4))) (br_if $out (i64.eq (local.get 1) (i64.const " + n + "))) ";
    if (i % 100 == 0)
      text += "(local.set $n (i32.div_u (i32.load offset=" + n +
              " (local.get 0)) (i32.sub (i32.const " + n + ") (local.get 0)))) ";
  }
  text += ") (i64.xor (local.get 1) (i64x2.extract_lane 0 (local.get 2)))))";
  EXPECT_GT(code_size(text), size_t{1} << 20);
  for (const int arg : {1, 13900}) {
    const Vec<Value> args = {Value::i32(arg), Value::i64(-5)};
    expect_same(run(interp::tier(), text, {}, args), run(baseline_tier(), text, {}, args), "large");
  }
}

// A small body that makes much code: each loop has what hands its frame over.
TEST_F(BaselineTest, DenseBodies) {
  std::string text = "(module (func";
  for (int i = 0; i < 60; ++i) text += " (i64.const " + std::to_string(0x123456789ABCDEF + i) + ")";
  for (int i = 0; i < 1500; ++i) text += " (loop)";
  for (int i = 0; i < 60; ++i) text += " drop";
  text += "))";
  auto engine = Engine::create({}, baseline_tier());
  const auto module = load(engine, text);
  BaselineOptions options;
  options.heat = true;
  BaselineCompiler compiler(*module, options);
  const auto code = compiler.compile(0);
  ASSERT_TRUE(code.ok()) << code.error().message;
  EXPECT_GT(code->code.size(), size_t{1} << 20);
}

// A frame so large that its slots are out of the reach of short offsets; vectors at odd slots.
TEST_F(BaselineTest, LargeFrames) {
  std::string text = "(module (func (export \"f\") (param i32 f32) (result i64) (local ";
  for (int i = 0; i < 6000; ++i) text += i % 3 == 0 ? "i32 " : i % 3 == 1 ? "v128 " : "f64 ";
  text += ")";
  for (int i = 0; i < 6000; i += 7) {
    const std::string n = std::to_string(i + 2), v = std::to_string(i + 100);
    text += i % 3 == 0   ? "(local.set " + n + " (i32.add (local.get 0) (i32.const " + v + ")))"
            : i % 3 == 1 ? "(local.set " + n + " (i32x4.splat (i32.add (local.get 0) (i32.const " +
                               v + "))))"
                         : "(local.set " + n +
                               " (f64.promote_f32 (f32.add (local.get 1) (f32.const " + v + "))))";
  }
  text += "(i64.const 0)";
  for (int i = 0; i < 6000; ++i) {
    const std::string n = std::to_string(i + 2);
    text += i % 3 == 0   ? "(i64.xor (i64.extend_i32_s (local.get " + n + ")))"
            : i % 3 == 1 ? "(i64.add (i64x2.extract_lane 1 (local.get " + n + ")))"
                         : "(i64.xor (i64.reinterpret_f64 (local.get " + n + ")))";
    if (i % 50 == 0) text += "(i64.rotl (i64.const 9))";
  }
  text += "))";
  EXPECT_GT(code_size(text), 0u);
  const Vec<Value> args = {Value::i32(77), Value::f32(1.5f)};
  const Outcome a = run(interp::tier(), text, {}, args);
  ASSERT_EQ(a.values.size(), 1u) << a.error;
  expect_same(a, run(baseline_tier(), text, {}, args), "large frame");
}

// Constants of every form that instructions hold or do not hold.
TEST_F(BaselineTest, Constants) {
  std::string text =
      "(module (memory 1) (func (export \"f\") (param i64 i32) (result i64)"
      " (local i64) ";
  Vec<uint64_t> values;
  for (unsigned bit = 0; bit < 64; ++bit)
    for (const uint64_t v : {uint64_t{1}, uint64_t{3}, uint64_t{0xFF}, uint64_t{0x12345}})
      for (const int64_t add : {-1, 0, 1}) values.push_back((v << bit) + uint64_t(add));
  for (size_t i = 0, n = values.size(); i < n; ++i) values.push_back(~values[i]);
  for (const uint64_t v : {0x5555555555555555ull, 0x0F0F0F0F0F0F0F0Full, 0xFFFF0000FFFF0000ull,
                           0x8000000080000000ull, 0x0001000100010001ull})
    values.push_back(v);
  const char* const ops[] = {"add", "sub", "and", "or", "xor", "mul"};
  size_t i = 0;
  for (const uint64_t v : values) {
    const std::string wide = std::to_string(int64_t(v)), narrow = std::to_string(int32_t(v));
    const char* const op = ops[i++ % 6];
    text +=
        std::string("(local.set 2 (i64.add (i64.rotl (local.get 2) (i64.const 5)) (i64.xor (i64.") +
        op + " (local.get 0) (i64.const " + wide + ")) (i64.extend_i32_u (i32." + op +
        " (local.get 1) (i32.const " + narrow + ")))))) (if (i64.lt_s (local.get 2) (i64.const " +
        wide + ")) (then (local.set 2 (i64.add (local.get 2) (i64.const 1)))))" +
        "(if (i32.gt_u (local.get 1) (i32.const " + narrow +
        ")) (then (local.set 2 (i64.add (local.get 2) (i64.const 3)))))" +
        "(i64.store offset=" + std::to_string(i * 8 + i % 3) + " (i32.const " + std::to_string(i) +
        ") (i64.const " + wide + "))";
  }
  text += "(i64.xor (local.get 2) (i64.load (i32.const 800)))))";
  EXPECT_GT(code_size(text), 0u);
  for (const int64_t arg : {int64_t{0}, int64_t{-1}, int64_t{0x123456789ABCDEF}}) {
    const Vec<Value> args = {Value::i64(arg), Value::i32(int32_t(arg))};
    expect_same(run(interp::tier(), text, {}, args), run(baseline_tier(), text, {}, args), text);
  }
}

TEST_F(BaselineTest, DeepRecursionTraps) {
  const std::string text =
      "(module (func $f (export \"f\") (param i64) (result i64) (i64.add (call $f (i64.add "
      "(local.get 0) (i64.const 1))) (i64.const 1))))";
  const Outcome b = run(baseline_tier(), text, {}, {Value::i64(0)});
  EXPECT_EQ(b.trap, TrapCode::CallStackExhausted);
}

TEST_F(BaselineTest, FuelRunsOutAndInterruptsStop) {
  const std::string text = "(module (func (export \"f\") (loop $l (br $l))))";
  Config config;
  config.consume_fuel = true;
  EXPECT_EQ(run(baseline_tier(), text, config, {}, 1000).trap, TrapCode::OutOfFuel);

  config = {};
  config.interruptible = true;
  auto engine = Engine::create(config, baseline_tier());
  const auto module = load(engine, text);
  Store store(engine);
  auto instance = store.instantiate(module, {});
  ASSERT_TRUE(instance.ok());
  std::thread other([&store] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    store.interrupt();
  });
  EXPECT_FALSE(store.call((*instance)->get_export("f")->func, {}).ok());
  other.join();
  EXPECT_EQ(store.trap().code, TrapCode::Interrupted);
}

// A function that the baseline compiler refuses runs in the interpreter, called from and
// calling compiled code, and exceptions pass through both.
TEST_F(BaselineTest, FallsBackOnTheInterpreter) {
  const std::string text = R"((module
    (tag $e (param i32))
    (func $throw (param i32) (if (i32.eqz (local.get 0)) (then (throw $e (i32.const 40)))))
    (func $legacy (param i32) (result i32)
      try (result i32)
        (call $throw (local.get 0)) (i32.const 1)
      catch $e
      end)
    (func $rethrows (param i32)
      try
        (call $throw (local.get 0))
      catch_all
        rethrow 0
      end)
    (func (export "f") (param i32) (result i32)
      (i32.add (call $legacy (local.get 0))
        (block $caught (result i32)
          (try_table (catch $e $caught) (call $rethrows (local.get 0)))
          (i32.const 5)))))
  )";
  Config config;
  config.features = wasm::FeatureSet::all();
  for (const int arg : {0, 1}) {
    const Outcome b = run(baseline_tier(), text, config, {Value::i32(arg)});
    ASSERT_EQ(b.values.size(), 1u) << b.error;
    EXPECT_EQ(b.values[0].as_i32(), arg ? 6 : 80);
  }
}

// Threads that run one module compile each function once, and all of them get through.
TEST_F(BaselineTest, ThreadsShareLazyCode) {
  std::string text = "(module (func $f0 (param i32) (result i32) (local.get 0))";
  for (int i = 1; i < 200; ++i)
    text += "(func $f" + std::to_string(i) +
            " (param i32) (result i32) (i32.add (i32.const 1) (call $f" + std::to_string(i - 1) +
            " (local.get 0))))";
  text += "(export \"f\" (func $f199)))";
  auto engine = Engine::create({}, baseline_tier());
  const auto module = load(engine, text);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      Store store(engine);
      auto instance = store.instantiate(module, {});
      const Vec<Value> args = {Value::i32(t)};
      auto result = store.call((*instance)->get_export("f")->func, args);
      if (result && (*result)[0].as_i32() == t + 199) ++right;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
}

TEST_F(BaselineTest, HeatIsCountedToZero) {
  BaselineTier tier(10);
  auto engine = Engine::create({}, &tier);
  const auto module =
      load(engine,
           "(module (func (export \"f\") (param i32) (result i32) (local i32) (loop "
           "$l (local.set 1 (i32.add (local.get 1) (local.get 0))) (br_if $l "
           "(local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 1)))");
  Store store(engine);
  auto instance = store.instantiate(module, {});
  ASSERT_TRUE(instance.ok());
  const Vec<Value> args = {Value::i32(100)};
  auto result = store.call((*instance)->get_export("f")->func, args);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)[0].as_i32(), 5050);
  // One entry and 100 rounds.
  const auto* context = static_cast<VmContext*>((*instance)->tier_data);
  EXPECT_EQ(context->heat[0], uint32_t(10 - 101));
}

// What goes on at a loop in place of the baseline code: gives all that its frame holds.
uint64_t go_on_at_loop(VmContext*, const uint8_t* frame) {
  const auto word = [&](uint32_t slot, wasm::ValType type, size_t half = 0) {
    uint64_t v = 0;
    std::memcpy(&v, frame + loop_frame_offset(slot, type) + 8 * half,
                type.kind() == wasm::TypeKind::I32 ? 4 : 8);
    return v;
  };
  uint64_t digest = 0;
  for (const uint64_t v :
       {word(0, wasm::kI32), word(1, wasm::kF64), word(2, wasm::kI64), word(3, wasm::kV128),
        word(3, wasm::kV128, 1), word(5, wasm::kI64), word(6, wasm::kI64), word(7, wasm::kF64)})
    digest = digest * 1000003 + v;
  return digest;
}

TEST_F(BaselineTest, OtherCodeGoesOnInTheFrameOfALoop) {
  BaselineTier tier(5);
  auto engine = Engine::create({}, &tier);
  const auto module = load(engine, R"((module
    (func (export "f") (param i32 f64) (result i64) (local i64 v128)
      (i64.const 77) (i64.extend_i32_s (local.get 0)) (local.get 1)
      (loop $l
        (local.set 2 (i64.add (local.get 2) (i64.const 3)))
        (local.set 3 (i64x2.replace_lane 1 (i64x2.splat (local.get 2)) (i64.const 5)))
        (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      drop drop drop (local.get 2))))");
  Store store(engine);
  auto instance = store.instantiate(module, {});
  ASSERT_TRUE(instance.ok());
  auto* context = static_cast<VmContext*>((*instance)->tier_data);
  context->better_code = [](VmContext&, uint32_t, uint32_t loop) {
    return loop ? reinterpret_cast<void*>(&go_on_at_loop) : nullptr;
  };
  const Vec<Value> args = {Value::i32(100), Value::f64(2.5)};
  auto result = store.call((*instance)->get_export("f")->func, args);
  ASSERT_TRUE(result.ok());
  // The entry and three rounds have taken the heat.
  uint64_t expected = 0;
  const auto bits = std::bit_cast<uint64_t>(2.5);
  for (const uint64_t v : {uint64_t{97}, bits, uint64_t{9}, uint64_t{9}, uint64_t{5}, uint64_t{77},
                           uint64_t{100}, bits})
    expected = expected * 1000003 + v;
  EXPECT_EQ(uint64_t((*result)[0].as_i64()), expected);
}

}  // namespace
}  // namespace wafer::compiler
#endif
