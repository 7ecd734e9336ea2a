// Loops that go on in optimized code: baseline code that asks for it at the first round of
// every loop and gets it on the spot, against the interpreter.
#if WAFER_HAS_BASELINE && defined(WAFER_LLVM_MODULE)
#include "compiler/llvm_loader.h"
#include "compiler/tiering/tiering.h"
#include "interp/interp.h"
#include "random_program.h"

namespace wafer::compiler {
namespace {

class LoopEntryTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!BaselineCompiler::supported()) GTEST_SKIP() << "processor too old";
  }

  // A tier that enters every loop in its round `heat` or, when that is the function's own
  // entry, soon after.
  static std::unique_ptr<TieringTier> eager(uint32_t heat, unsigned opt_level = 1) {
    TierOptions options;
    options.backend = load_llvm_backend;
    options.compile.opt_level = opt_level;
    TieringOptions tiering;
    tiering.heat = heat;
    tiering.whole_bytes = 0;
    tiering.background = false;
    return std::make_unique<TieringTier>(std::move(options), tiering);
  }

  static Vec<Value> call(std::string_view text, const Vec<Value>& args, uint32_t heat = 1) {
    const auto tier = eager(heat);
    const Outcome out = run(tier.get(), text, {}, args);
    EXPECT_EQ(out.trap, TrapCode::None) << out.error;
    return out.values;
  }
};

TEST_F(LoopEntryTest, RandomProgramsGiveWhatTheInterpreterGives) {
  const char* more = std::getenv("WAFER_RANDOM_PROGRAMS");
  const uint32_t count = more ? uint32_t(std::strtoul(more, nullptr, 10)) : 40;
  for (uint32_t seed = 1000; seed < 1000 + count; ++seed) {
    const std::string text = Program(seed).text();
    Config config;
    config.consume_fuel = true;
    const Vec<Value> args = {Value::i32(int32_t(seed) * 77), Value::i64(-int64_t(seed)),
                             Value::f32(float(seed) / 3), Value::f64(-1e10 * seed)};
    const Outcome a = run(interp::tier(), text, config, args, 2'000'000);
    const auto tier = eager(2 + seed % 4);
    const Outcome b = run(tier.get(), text, config, args, 2'000'000);
    expect_same(a, b, text);
    if (HasFatalFailure()) return;
    EXPECT_EQ(a.fuel, b.fuel) << text;
  }
}

// Locals of every type, more than the registers that baseline code gives them.
TEST_F(LoopEntryTest, TakesOverLocals) {
  const std::string text = R"((module (func (export "f") (param i32 i64 f32 f64) (result f64)
    (local i32 i64 v128 i32 f64)
    (local.set 6 (i32x4.splat (i32.const 3)))
    (local.set 7 (i32.const 5))
    (loop $l
      (local.set 1 (i64.add (local.get 1) (i64.const 10)))
      (local.set 2 (f32.add (local.get 2) (f32.const 0.5)))
      (local.set 3 (f64.add (local.get 3) (f64.const 0.25)))
      (local.set 6 (i32x4.add (local.get 6) (i32x4.splat (local.get 7))))
      (local.set 4 (i32.add (local.get 4) (i32.const 2)))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (f64.add (f64.convert_i64_s (local.get 1))
      (f64.add (f64.promote_f32 (local.get 2))
        (f64.add (local.get 3)
          (f64.convert_i32_s (i32.add (local.get 4) (i32x4.extract_lane 3 (local.get 6))))))))))";
  for (const uint32_t heat : {1u, 2u, 7u, 50u}) {
    const auto values =
        call(text, {Value::i32(100), Value::i64(7), Value::f32(1), Value::f64(2)}, heat);
    ASSERT_EQ(values.size(), 1u);
    EXPECT_EQ(values[0].as_f64(), 1007 + 51 + 27 + 200 + 503);
  }
}

// What lies on the stack before the inner loop, also when the outer one comes round again:
// constants, values of every round, and a loop's own parameters.
TEST_F(LoopEntryTest, TakesOverOperands) {
  const std::string text = R"((module (func (export "f") (param i32) (result i64)
    (local $i i32) (local $j i32)
    (i64.const 1000000)
    (i64.extend_i32_s (i32.mul (local.get 0) (i32.const 3)))
    (i64.const 0)
    (loop $outer (param i64) (result i64)
      (local.set $j (i32.const 5))
      (i64.extend_i32_s (local.get $i))
      (i64.const 100)
      (loop $inner (param i64) (result i64)
        (i64.add (i64.const 1))
        (br_if $inner (local.tee $j (i32.sub (local.get $j) (i32.const 1)))))
      (i64.mul)
      (i64.add)
      (br_if $outer
        (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))
    (i64.add) (i64.add))))";
  for (const uint32_t heat : {1u, 3u, 4u, 30u}) {
    const auto values = call(text, {Value::i32(9)}, heat);
    ASSERT_EQ(values.size(), 1u);
    EXPECT_EQ(values[0].as_i64(), 1000000 + 27 + 105 * 190);
  }
}

// The loop in either half of an `if`, and a way out of it past code that was before it.
TEST_F(LoopEntryTest, EntersLoopsInBranches) {
  const std::string text = R"((module (func (export "f") (param i32) (result i32)
    (local $i i32) (local $sum i32)
    (loop $outer
      (local.get $sum)
      (if (param i32) (result i32) (i32.and (local.get $i) (i32.const 1))
        (then
          (local.set $sum (local.get $i))
          (loop $a (br_if $a (i32.gt_s (local.tee $sum (i32.sub (local.get $sum) (i32.const 1)))
                                       (i32.const 0)))))
        (else
          (block $out (param i32) (result i32)
            (loop $b (param i32) (result i32)
              (i32.add (i32.const 1))
              (br_if $out (i32.eqz (local.get $i)))
              (br_if $b (i32.rem_u (local.tee $sum (i32.add (local.get $sum) (i32.const 7)))
                                   (i32.const 5)))))))
      (local.set $sum (i32.add (i32.mul (local.get $i) (i32.const 10))))
      (br_if $outer (i32.lt_s (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                              (local.get 0))))
    (local.get $sum))))";
  const Vec<Value> args = {Value::i32(30)};
  const Outcome want = run(interp::tier(), text, {}, args);
  ASSERT_EQ(want.trap, TrapCode::None) << want.error;
  for (const uint32_t heat : {1u, 2u, 5u, 11u, 40u}) {
    const auto tier = eager(heat);
    EXPECT_EQ(describe(run(tier.get(), text, {}, args)), describe(want)) << heat;
  }
}

// Results beyond the first go through memory.
TEST_F(LoopEntryTest, ReturnsManyResults) {
  const std::string text = R"((module (func (export "f") (param i32) (result f64 i32 i64)
    (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (f64.const 1.5) (i32.const -7) (i64.const 8))))";
  const auto values = call(text, {Value::i32(50)});
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0].as_f64(), 1.5);
  EXPECT_EQ(values[1].as_i32(), -7);
  EXPECT_EQ(values[2].as_i64(), 8);
}

// Thrown after the change: caught by the handler around the loop, or by the caller's.
TEST_F(LoopEntryTest, CatchesAroundTheLoop) {
  const std::string text = R"((module (tag $e (param i32))
    (func $thrower (param i32)
      (if (i32.eqz (local.get 0)) (then (throw $e (i32.const 5)))))
    (func $loops (param i32) (result i32)
      (block $caught (result i32)
        (try_table (result i32) (catch $e $caught)
          (loop $l
            (call $thrower (i32.and (local.get 0) (i32.const 63)))
            (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
            (br_if $l (i32.ge_s (local.get 0) (i32.const 0))))
          (i32.const 1))
        (return))
      (i32.add (i32.const 100)))
    (func $through (param i32)
      (loop $l
        (call $thrower (local.get 0))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br $l)))
    (func (export "f") (param i32) (result i32)
      (block $caught (result i32)
        (try_table (catch $e $caught) (call $through (i32.const 90)))
        (unreachable))
      (i32.mul (call $loops (local.get 0))))))";
  const auto values = call(text, {Value::i32(50)});
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(values[0].as_i32(), 5 * 105);
}

TEST_F(LoopEntryTest, BacktraceNamesTheActivationOnce) {
  const auto tier = eager(1);
  auto engine = Engine::create({}, tier.get());
  const auto module = load(engine, R"((module (func $f (export "f") (param i32)
    (loop $l
      (drop (i32.div_s (i32.const 9) (local.get 0)))
      (br $l (local.set 0 (i32.sub (local.get 0) (i32.const 1)))))))
    )");
  ASSERT_TRUE(module);
  Store store(engine);
  auto instance = store.instantiate(module, {});
  ASSERT_TRUE(instance.ok());
  const Vec<Value> args = {Value::i32(50)};
  ASSERT_FALSE(store.call((*instance)->get_export("f")->func, args).ok());
  EXPECT_EQ(store.trap().code, TrapCode::IntegerDivideByZero);
  ASSERT_EQ(store.trap().backtrace.size(), 1u);
  EXPECT_EQ(store.trap().backtrace[0].func_index, 0u);
}

// Tail calls need the frame gone; the loop stays where it is.
TEST_F(LoopEntryTest, LeavesFunctionsWithTailCalls) {
  const std::string text = R"((module
    (func $even (param i32) (result i32) (local i32)
      (local.set 1 (i32.const 4))
      (loop $l (br_if $l (local.tee 1 (i32.sub (local.get 1) (i32.const 1)))))
      (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
      (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
    (func $odd (param i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
      (return_call $even (i32.sub (local.get 0) (i32.const 1))))
    (func (export "f") (param i32) (result i32) (call $even (local.get 0)))))";
  const auto values = call(text, {Value::i32(1'000'000)});
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(values[0].as_i32(), 1);
}

}  // namespace
}  // namespace wafer::compiler
#endif
