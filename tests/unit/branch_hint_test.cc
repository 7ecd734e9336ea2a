// Branch hints reach the optimizing compiler: the side that is said to be taken follows on.
#ifdef WAFER_LLVM_MODULE
#include <gtest/gtest.h>

#include "compiler/llvm_loader.h"
#include "wasm/decoder.h"
#include "wat/wat.h"

namespace wafer::compiler {
namespace {

Vec<uint8_t> code_of(const std::string& body) {
  const std::string text =
      "(module (import \"m\" \"a\" (func $a (param i32))) (import \"m\" \"b\" (func $b))"
      "(func (export \"f\") (param i32 i32)" +
      body + "))";
  auto binary = wat::parse_wat(text);
  EXPECT_TRUE(binary.ok()) << binary.error().message;
  auto module = wasm::decode_module({binary->data(), binary->size()});
  EXPECT_TRUE(module.ok()) << module.error().message;
  auto backend = load_llvm_backend();
  EXPECT_TRUE(backend.ok()) << backend.error().message;
  CompileOptions options;
  options.opt_level = 2;
  options.cpu = "baseline";
  auto parts = (*backend)->compile(**module, options, {});
  EXPECT_TRUE(parts.ok()) << parts.error().message;
  return parts->text;
}

void expect_three_ways(const std::string& before, const std::string& after) {
  const Vec<uint8_t> plain = code_of(before + after);
  const Vec<uint8_t> likely = code_of(before + "(@metadata.code.branch_hint \"\\01\")" + after);
  const Vec<uint8_t> unlikely = code_of(before + "(@metadata.code.branch_hint \"\\00\")" + after);
  EXPECT_NE(likely, unlikely) << after;
  EXPECT_TRUE(likely != plain || unlikely != plain) << after;
}

TEST(BranchHint, ShapeCode) {
  expect_three_ways("", R"((if (local.get 0)
    (then (call $a (i32.const 1)) (call $a (local.get 1)))
    (else (call $b) (call $b) (call $b))) (call $b))");
  expect_three_ways("block local.get 0 ", R"(br_if 0
    (call $a (i32.const 1)) (call $a (local.get 1)) (return) end (call $b) (call $b))");
  // In a loop that is left early.
  expect_three_ways("(local i32) block loop local.get 2 local.get 0 i32.eq ", R"(br_if 1
    (call $a (local.get 2)) (local.set 2 (i32.add (local.get 2) (i32.const 1))) br 0 end end
    (call $b))");
}

}  // namespace
}  // namespace wafer::compiler
#endif
