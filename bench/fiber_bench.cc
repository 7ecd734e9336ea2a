// Computations that wait: what a switch between stacks costs, a call that waits for the host,
// a whole computation from beginning to end, and the memory of 100,000 that wait at once.
//
//   wafer_fiber_bench [--benchmark_filter=REGEX]

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/async.h"
#include "wafer/async.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

using namespace wafer;

namespace {

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
  std::exit(1);
}

constexpr std::string_view kText =
    R"((module (import "h" "later" (func $later (param i32) (result i32)))
  (func $inner (param i32) (result i32) (i32.add (call $later (local.get 0)) (i32.const 1)))
  (func (export "once") (param i32) (result i32) (i32.add (call $inner (local.get 0)) (i32.const 1)))
  (func (export "forever") (loop $l (drop (call $later (i32.const 0))) (br $l)))))";

struct Guest {
  std::vector<Promise<int32_t>> owed;
  Engine engine;
  Store store;
  Linker linker;
  Instance instance;

  static Config config(Tier tier, size_t stack_bytes) {
    Config c;
    c.tier = tier;
    if (stack_bytes) c.stack_bytes = stack_bytes;
    return c;
  }
  explicit Guest(Tier tier, size_t stack_bytes = 0)
      : engine(config(tier, stack_bytes)), store(engine), linker(engine), instance([&] {
          const auto later = [this](Promise<int32_t> p, int32_t) { owed.push_back(std::move(p)); };
          if (!linker.func_wrap("h", "later", later).ok()) std::abort();
          return must(linker.instantiate(store, must(compile_wat(engine, kText))));
        }()) {}
  Computation start(const char* name, std::initializer_list<Val> args) {
    return must(Computation::start(must(instance.func(name)), args));
  }
};

// To a fiber and back: two switches.
void BM_SwitchThereAndBack(benchmark::State& state) {
  Engine engine;
  Store store(engine);
  runtime::Store& s = *store.raw();
  runtime::FuncInst func = *Func::wrap(store, [] {}).raw();
  func.call = [](runtime::Store& st, runtime::FuncInst*, Slot*) {
    runtime::wait_for_interrupt(st);
    return TrapCode::Interrupted;
  };
  s.interrupt();
  auto fiber = must(runtime::Fiber::create(s, &func, {}));
  for (auto _ : state) fiber->resume();
}
BENCHMARK(BM_SwitchThereAndBack);

// The guest calls the host, waits, is answered and goes on.
void BM_HostCallThatWaits(benchmark::State& state) {
  Guest g{Tier(state.range(0))};
  Computation c = g.start("forever", {});
  c.resume();
  for (auto _ : state) {
    Promise<int32_t> p = std::move(g.owed.back());
    g.owed.pop_back();
    p.set(1);
    c.resume();
  }
}
void BM_WholeComputation(benchmark::State& state) {
  Guest g{Tier(state.range(0))};
  for (auto _ : state) {
    Computation c = g.start("once", {Val(1)});
    c.resume();
    g.owed.back().set(1);
    g.owed.pop_back();
    c.resume();
  }
}
void tiers(benchmark::internal::Benchmark* b) {
  b->ArgName("tier");
  for (const Tier t : {Tier::Interpreter, Tier::Baseline, Tier::Optimized}) b->Arg(int(t));
}
BENCHMARK(BM_HostCallThatWaits)->Apply(tiers);
BENCHMARK(BM_WholeComputation)->Apply(tiers);

// In KiB.
double status(const char* name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name))
      return std::strtod(line.c_str() + std::string(name).size(), nullptr);
  return 0;
}
double mappings() {
  std::ifstream file("/proc/self/maps");
  double n = 0;
  for (std::string line; std::getline(file, line);) ++n;
  return n;
}

void BM_HundredThousand(benchmark::State& state) {
  constexpr int kCount = 100'000;
  for (auto _ : state) {
    Guest g(Tier(state.range(0)), size_t(state.range(1)) << 10);
    const double rss = status("VmRSS:"), tables = status("VmPTE:"), maps = mappings();
    std::vector<Computation> all;
    for (int n = 0; n < kCount; ++n) {
      all.push_back(g.start("once", {Val(1)}));
      all.back().resume();
    }
    state.counters["resident_each"] = (status("VmRSS:") - rss) * 1024 / kCount;
    state.counters["tables_each"] = (status("VmPTE:") - tables) * 1024 / kCount;
    state.counters["mappings"] = mappings() - maps;
    for (auto& p : g.owed) p.set(1);
    for (auto& c : all) {
      c.resume();
      if ((*must(c.result()).begin()).i32() != 3) state.SkipWithError("wrong result");
    }
  }
}
BENCHMARK(BM_HundredThousand)
    ->ArgNames({"tier", "stack_kib"})
    ->ArgsProduct({{int(Tier::Interpreter), int(Tier::Baseline), int(Tier::Optimized)}, {64, 1024}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
