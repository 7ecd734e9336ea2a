// Components: from a compiled component to a usable instance and back to nothing, and calls by
// the embedder.
//
//   wafer_component_bench [--benchmark_filter=REGEX] [FILE.wcode]
//
// FILE: what is instantiated, with WASI; without it a small one of its own, in the interpreter.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "compiler/code_bundle.h"
#include "compiler/tiers/tiers.h"
#include "component/run/linker.h"
#include "component/run/precompile.h"
#include "interp/interp.h"
#include "runtime/memory_pool.h"
#include "wasi/command/command.h"
#include "wat/wat.h"

using namespace wafer;

namespace {

std::string g_file;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
  std::exit(1);
}

constexpr std::string_view kSmall = R"((component
  (core module $M (memory (export "mem") 1)
    (func (export "next") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "nothing"))
    (func (export "length") (param i32 i32) (result i32) (local.get 1))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $m (instantiate $M))
  (func (export "nothing") (canon lift (core func $m "nothing")))
  (func (export "next") (param "x" u32) (result u32) (canon lift (core func $m "next")))
  (func (export "length") (param "x" string) (result u32) (canon lift (core func $m "length")
    (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))
)";

struct Setup {
  compiler::OwnedTier tier;
  std::shared_ptr<runtime::Engine> engine;
  std::shared_ptr<component::Component> component;
  component::ComponentLinker linker;
  std::unique_ptr<wasi::CommandHost> host;

  explicit Setup(bool pool, const std::string& file = {}) {
    runtime::Config config;
    if (pool) config.pool = must(runtime::MemoryPool::create({}));
    if (file.empty()) {
      engine = runtime::Engine::create(config, interp::tier());
      const auto binary = std::make_shared<Vec<uint8_t>>(must(wat::parse_wat(kSmall)));
      component::DecodeOptions options = component::options_for(*engine);
      options.owner = binary;
      component = must(component::decode({binary->data(), binary->size()}, options));
    } else {
      tier = compiler::make_code_tier({});
      engine = runtime::Engine::create(config, tier.tier);
      const auto bundle = must(compiler::CodeBundle::map_file(file));
      component = must(component::decode_compiled(bundle->component(), *engine,
                                                  compiler::code_finder(bundle), bundle,
                                                  component::FeatureSet::standard()));
    }
    host = must(wasi::CommandHost::open({}, linker));
  }
};

void instantiate(benchmark::State& state) {
  Setup setup(state.range(0) != 0, g_file);
  for (auto _ : state) {
    runtime::Store core(setup.engine);
    component::ComponentStore store(core);
    setup.host->attach(store);
    benchmark::DoNotOptimize(must(setup.linker.instantiate(store, setup.component)));
  }
}
BENCHMARK(instantiate)->ArgName("pool")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

// Calls by the embedder, with dynamic values.
void call(benchmark::State& state, const char* name, std::vector<component::Val> args) {
  Setup setup(false);
  runtime::Store core(setup.engine);
  component::ComponentStore store(core);
  const auto instance = must(setup.linker.instantiate(store, setup.component));
  const auto func = component::find_func(*instance, name);
  for (auto _ : state) benchmark::DoNotOptimize(must(component::call(store, func, args)));
}
BENCHMARK_CAPTURE(call, nothing, "nothing", {});
BENCHMARK_CAPTURE(call, u32, "next", {component::Val::of_bits(1)});
BENCHMARK_CAPTURE(call, string, "length", {component::Val::of_text(std::string(1024, 'x'))});

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc > 1) g_file = argv[1];
  benchmark::RunSpecifiedBenchmarks();
}
