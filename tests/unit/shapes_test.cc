// Functions of shapes that the optimizing compiler takes without optimization, or in pieces,
// to be done in linear time: they compute what they do in the interpreter.
#ifdef WAFER_LLVM_MODULE
#include <gtest/gtest.h>

#include "../../bench/compile_shapes.h"
#include "compiler/llvm_loader.h"
#include "compiler/tiers/tiers.h"
#include "interp/interp.h"

namespace wafer::compiler {
namespace {

std::vector<uint32_t> results(runtime::Tier* tier, const bench::Shape& shape, size_t n) {
  const auto engine = runtime::Engine::create({}, tier);
  const std::vector<uint8_t> bytes = shape.make(n);
  auto module = engine->load_module(bytes, false);
  EXPECT_TRUE(module.ok()) << shape.name << ": " << module.error().message;
  runtime::Store store(engine);
  auto instance = store.instantiate(*module, {});
  EXPECT_TRUE(instance.ok()) << shape.name << ": " << instance.error().message;
  std::vector<uint32_t> out;
  for (const uint32_t argument : {1u, 2u, 77u, 1111u}) {
    auto done = store.call((*instance)->get_export("f")->func,
                           Vec<runtime::Value>{runtime::Value::i32(int32_t(argument))});
    out.push_back(done ? uint32_t((*done)[0].bits[0]) : 0xFFFF'0000 + uint32_t(store.trap().code));
  }
  return out;
}

TEST(Shapes, LargeOnesComputeTheSame) {
  TierOptions options;
  options.backend = load_llvm_backend;
  options.compile.threads = 1;
  auto optimized = make_tier(TierKind::Optimized, std::move(options));
  ASSERT_TRUE(optimized.ok());
  // Shapes that end, with a number that is_plain() of the compiler does not let pass.
  const std::pair<const char*, size_t> kCases[] = {{"straight", 2'500},
                                                   {"nested_blocks", 2'700},
                                                   {"nested_ifs", 2'500},
                                                   {"nested_branches", 2'500},
                                                   {"ifs_in_a_row", 6'500},
                                                   {"nested_loops", 2'500},
                                                   {"switch_of_blocks", 1'500},
                                                   {"locals_and_ifs", 2'500},
                                                   {"locals_and_branches", 2'500},
                                                   {"branches_with_values", 6'500},
                                                   {"selects", 5'000},
                                                   {"deep_expression", 4'000},
                                                   {"memory_accesses", 1'500},
                                                   {"globals", 1'500},
                                                   {"calls", 2'500},
                                                   // Long tables of handlers.
                                                   {"throws_in_a_row", 300}};
  for (const auto& [name, n] : kCases) {
    const bench::Shape* shape = nullptr;
    for (const bench::Shape& s : bench::kShapes)
      if (std::string_view(s.name) == name) shape = &s;
    ASSERT_NE(shape, nullptr) << name;
    EXPECT_EQ(results(optimized->tier, *shape, n), results(interp::tier(), *shape, n)) << name;
  }
}

// What `compile` says about a function and a loop that are too large.
TEST(Shapes, LargeFunctionsAreLeftToTheBaselineCompiler) {
  auto backend = load_llvm_backend();
  ASSERT_TRUE(backend.ok()) << backend.error().message;
  const std::vector<uint8_t> bytes = bench::shapes::ifs_in_a_row(7'000);
  const auto engine = runtime::Engine::create({}, interp::tier());
  auto module = engine->load_module(bytes, false);
  ASSERT_TRUE(module.ok());
  CompileOptions options;
  options.through_entries = true;
  const uint32_t functions[] = {0};
  EXPECT_EQ((*backend)->compile(**module, options, functions).error().kind, ErrorKind::Unsupported);
  std::atomic<uint32_t> cancel{1};
  options.through_entries = false;
  options.cancel = &cancel;
  EXPECT_EQ((*backend)->compile(**module, options, {}).error().message, "cancelled");
  cancel = 0;
  EXPECT_TRUE((*backend)->compile(**module, options, {}).ok());
}

}  // namespace
}  // namespace wafer::compiler
#endif
