// Machine code: makes it ahead of time, loads it again, and runs one function in every tier.
#include <cstdio>
#include <string>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kText = R"((module
  (func (export "sum") (param $n i32) (result i64) (local $sum i64)
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (local.get $n))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))))";

static wafer::Result<int64_t> sum(const wafer::Engine& engine, const wafer::Module& module) {
  wafer::Store store(engine);
  WAFER_LET(instance, wafer::Instance::create(store, module));
  WAFER_LET(sum, instance.func<int64_t(int32_t)>("sum"));
  return sum(1'000'000);
}

static wafer::Result<void> run() {
  const struct {
    const char* name;
    wafer::Tier tier;
  } kTiers[] = {{"interpreter", wafer::Tier::Interpreter},
                {"auto", wafer::Tier::Auto},
                {"optimized", wafer::Tier::Optimized}};
  for (const auto& [name, tier] : kTiers) {
    wafer::Config config;
    config.tier = tier;
    const wafer::Engine engine(config);
    WAFER_LET(module, wafer::compile_wat(engine, kText));
    WAFER_LET(result, sum(engine, module));
    std::printf("%s: %lld\n", name, static_cast<long long>(result));
  }

  // Compiled once, here, and loaded where the program is to start at once. With a pool,
  // memories wait ready for its instances.
  wafer::Vec<uint8_t> code;
  {
    const wafer::Engine engine;
    WAFER_LET(module, wafer::compile_wat(engine, kText));
    WAFER_LET(made, wafer::Module::precompile(engine, module.bytes()));
    code = std::move(made);
  }
  wafer::Config config;
  config.pooled_memories = 10;
  const wafer::Engine engine(config);
  WAFER_LET(module, wafer::Module::load_compiled(engine, code));
  WAFER_LET(result, sum(engine, module));
  std::printf("ahead of time: %lld\n", static_cast<long long>(result));

  // Damage is noticed.
  code[code.size() / 2] ^= 1;
  auto damaged = wafer::Module::load_compiled(engine, code);
  std::printf("damaged: %s\n", damaged.error().message.c_str());
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
