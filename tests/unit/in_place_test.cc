// Functions that are run where their bytes lie, against translated ones.
#include <string>

#include "interp/interp.h"
#include "random_program.h"

namespace wafer::compiler {
namespace {

void expect_alike(const std::string& text, const Vec<Value>& args, Config config = {}) {
  config.consume_fuel = true;
  const Outcome a = run(interp::tier(), text, config, args, 5'000'000);
  const Outcome b = run(interp::in_place_tier(), text, config, args, 5'000'000);
  expect_same(a, b, text);
  EXPECT_EQ(a.fuel, b.fuel) << text;
  // The other may not know where it was at a fault.
  if (a.trap_offset) EXPECT_EQ(a.trap_offset, b.trap_offset) << text;
}

// In a body of 32 KiB and more the side table has wide entries: forward over all of it, back to a
// loop's head, by a table, and with values that move.
TEST(InPlace, BranchesInLargeBodies) {
  for (const int adds : {100, 5460, 5470, 40000}) {
    std::string filler;
    for (int i = 0; i < adds; ++i) filler += " (local.set 1 (i32.add (local.get 1) (i32.const 3)))";
    const std::string text =
        "(module (func (export \"f\") (param i32) (result i32) (local i32 i32)"
        " (loop $again (result i32)"
        "  (block $three (result i32)"
        "   (i32.const 7) (block $two (result i32) (block $one"
        "    (br_table $one $one $again $again (local.get 2))"
        "    " +
        filler + ") (i32.const 1) (br_if $two (i32.eqz (local.get 2))) (drop)" + filler +
        "    (local.set 2 (i32.add (local.get 2) (i32.const 1)))"
        "    (br_if $three (i32.const 2) (i32.gt_s (local.get 1) (local.get 0))) (drop)"
        "    (if (result i32) (i32.and (local.get 2) (i32.const 1)) (then (i32.const 5)) (else" +
        filler +
        " (i32.const 6))))"
        "   (i32.add) (local.set 2) (br_if $again (i32.lt_s (local.get 2) (i32.const 4)))"
        "   (local.get 2)) (i32.add (local.get 1))))";
    expect_alike(text + ")", {Value::i32(100000)});
    expect_alike(text + ")", {Value::i32(-1)});
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(InPlace, DeepCallsEndInATrapAndLeaveTheStoreUsable) {
  const char* const text =
      "(module (func $deep (param i32 i32) (result i32) (local i64 i64)"
      "  (if (result i32) (local.get 0) (then (i32.add (i32.const 1)"
      "    (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))) (else (local.get "
      "1))))"
      " (func (export \"f\") (param i32) (result i32) (call $deep (local.get 0) (i32.const 9))))";
  for (const int32_t depth : {0, 1, 1000}) {
    const Outcome o = run(interp::in_place_tier(), text, {}, {Value::i32(depth)});
    ASSERT_EQ(o.values.size(), 1u);
    EXPECT_EQ(o.values[0].as_i32(), depth + 9);
  }
  EXPECT_EQ(run(interp::in_place_tier(), text, {}, {Value::i32(1 << 30)}).trap,
            TrapCode::CallStackExhausted);
}

TEST(InPlace, FeaturesThatItLacksAreRefused) {
  const auto engine = runtime::Engine::create({}, interp::in_place_tier());
  EXPECT_FALSE(engine->config().features.has(wasm::Feature::Simd));
  EXPECT_FALSE(engine->config().features.has(wasm::Feature::GC));
  EXPECT_TRUE(engine->config().features.has(wasm::Feature::Exceptions));
  const auto bytes = wat::parse_wat("(module (func (result v128) v128.const i64x2 1 2))");
  ASSERT_TRUE(bytes.ok());
  EXPECT_FALSE(engine->load_module(*bytes).ok());
}

}  // namespace
}  // namespace wafer::compiler
