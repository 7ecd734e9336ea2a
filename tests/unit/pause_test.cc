// Loops that the optimizing compiler lets run without looking for fuel or an interrupt: they
// use just as much fuel, end where the interpreter ends, and do not run for long.
#ifdef WAFER_LLVM_MODULE
#include <chrono>
#include <cstring>
#include <thread>

#include "compiler/llvm_loader.h"
#include "compiler/tiers/tiers.h"
#include "interp/interp.h"
#include "random_program.h"

namespace wafer::compiler {
namespace {

// `sum` adds to numbers of memory in rounds of which all take the same fuel, `some` in rounds of
// which they do not, `count` counts up to its argument, and `known` for so long that it is known.
constexpr const char* kText = R"((module (memory (export "m") 1)
  (func (export "sum") (param $n i32) (result i32) (local $i i32) (local $p i32)
    (loop $l
      (i32.store offset=1024 (local.get $p)
        (i32.add (i32.load (local.get $p)) (i32.add (local.get $i) (i32.const 7))))
      (local.set $p (i32.add (local.get $p) (i32.const 4)))
      (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $p))
  (func (export "some") (param $n i32) (result i32) (local $i i32) (local $s i32)
    (loop $l
      (if (i32.and (local.get $i) (i32.const 4))
        (then (i32.store offset=2048 (i32.shl (local.get $i) (i32.const 2)) (local.get $s)))
        (else (local.set $s (i32.add (local.get $s) (i32.load offset=2040 (local.get $i))))))
      (br_if $l (i32.ne (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $s))
  (func (export "count") (param $n i64) (result i64) (local $i i64)
    (loop $l
      (i64.store (i32.const 0) (i64.xor (i64.load (i32.const 8)) (local.get $i)))
      (br_if $l
        (i64.ne (local.tee $i (i64.add (local.get $i) (i64.const 1))) (local.get $n))))
    (local.get $i))
  (func (export "known") (param $n i64) (result i64) (local $i i64)
    (loop $l
      (i64.store (i32.const 0) (i64.xor (i64.load (i32.const 8)) (local.get $i)))
      (br_if $l
        (i64.ne (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const 0x4000000000000))))
    (local.get $i))))";

struct Program {
  std::shared_ptr<runtime::Engine> engine;
  std::unique_ptr<runtime::Store> store;
  runtime::Instance* instance = nullptr;

  Program(runtime::Tier* tier, const Config& config) : engine(Engine::create(config, tier)) {
    store = std::make_unique<runtime::Store>(engine);
    auto made = store->instantiate(load(engine, kText), {});
    EXPECT_TRUE(made.ok()) << made.error().message;
    if (made) instance = *made;
  }

  // All that can be seen of a call: what it gives or how it traps, the fuel that is left, and
  // the memory.
  std::string call(const char* name, int32_t argument, int64_t fuel) {
    store->fuel = fuel;
    runtime::Memory& memory = *instance->get_export("m")->memory;
    std::memset(memory.base, 1, 65536);
    auto done = store->call(instance->get_export(name)->func, Vec<Value>{Value::i32(argument)});
    std::string out = done ? std::to_string((*done)[0].as_i32())
                           : "trap " + std::to_string(int(store->trap().code));
    out += " fuel " + std::to_string(store->fuel) + " ";
    out.append(reinterpret_cast<const char*>(memory.base), 65536);
    return out;
  }
};

OwnedTier optimized(bool relaxed) {
  TierOptions options;
  options.backend = load_llvm_backend;
  options.compile.threads = 1;
  options.compile.code.relaxed_traps = relaxed;
  auto tier = make_tier(TierKind::Optimized, std::move(options));
  EXPECT_TRUE(tier.ok());
  return *std::move(tier);
}

TEST(Pauses, FuelIsCountedAsElsewhere) {
  for (const bool relaxed : {false, true}) {
    const OwnedTier tier = optimized(relaxed);
    Config config;
    config.consume_fuel = true;
    Program have(tier.tier, config), want(interp::tier(), config);
    for (const char* name : {"sum", "some"})
      for (const int32_t rounds : {1, 2, 37, 100})
        for (int64_t fuel = 0; fuel < 2500; fuel += fuel < 40 ? 1 : 37) {
          const std::string expected = want.call(name, rounds, fuel);
          // Memory after a trap may differ with relaxed traps.
          if (relaxed && expected[0] == 't') continue;
          ASSERT_TRUE(have.call(name, rounds, fuel) == expected)
              << name << ' ' << rounds << ' ' << fuel;
        }
    if (relaxed) continue;
    // Past the end of the memory.
    ASSERT_TRUE(have.call("sum", 20'000, 1'000'000) == want.call("sum", 20'000, 1'000'000));
    ASSERT_TRUE(have.call("some", 20'000, 1'000'000) == want.call("some", 20'000, 1'000'000));
  }
}

TEST(Pauses, LongLoopsAreInterrupted) {
  const OwnedTier tier = optimized(false);
  Config config;
  config.interruptible = true;
  for (const char* name : {"count", "known"}) {
    Program program(tier.tier, config);
    std::thread other([&program] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      program.store->interrupt();
    });
    // Longer than any test waits.
    auto done = program.store->call(program.instance->get_export(name)->func,
                                    Vec<Value>{Value::i64(int64_t{1} << 50)});
    other.join();
    ASSERT_FALSE(done.ok()) << name;
    EXPECT_EQ(program.store->trap().code, TrapCode::Interrupted);
  }
}

}  // namespace
}  // namespace wafer::compiler
#endif
