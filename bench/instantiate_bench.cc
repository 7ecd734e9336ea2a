// Time from a compiled module to a usable instance and back to nothing: a store is made,
// the module instantiated through a linker with WASI, and the store destroyed. Variants
// differ in where memories come from, and in whether the guest writes to its memory.
//
//   wafer_instantiate_bench [--benchmark_filter=REGEX]

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "interp/interp.h"
#include "runtime/linker.h"
#include "runtime/memory_pool.h"
#include "runtime/store.h"
#include "wasi/p1/p1.h"
#include "wat/wat.h"

using namespace wafer;

namespace {

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "error: %s\n", result.error().message.c_str());
  std::exit(1);
}

struct Shape {
  const char* name;
  unsigned pages, data_kib, funcs, table;
};
constexpr Shape kShapes[] = {{"small: 1 page, 10 KiB data, 40 funcs", 1, 10, 40, 10},
                             {"typical: 17 pages, 64 KiB data, 500 funcs", 17, 64, 500, 200}};

// A module like those that C compilers make. "touch" writes to the first `n` pages of
// data and as many of stack.
std::string module_text(const Shape& shape) {
  static constexpr const char* kImports[][2] = {
      {"args_get", "(param i32 i32)"},
      {"args_sizes_get", "(param i32 i32)"},
      {"clock_time_get", "(param i32 i64 i32)"},
      {"environ_get", "(param i32 i32)"},
      {"environ_sizes_get", "(param i32 i32)"},
      {"fd_close", "(param i32)"},
      {"fd_fdstat_get", "(param i32 i32)"},
      {"fd_prestat_get", "(param i32 i32)"},
      {"fd_prestat_dir_name", "(param i32 i32 i32)"},
      {"fd_read", "(param i32 i32 i32 i32)"},
      {"fd_seek", "(param i32 i64 i32 i32)"},
      {"fd_write", "(param i32 i32 i32 i32)"},
      {"path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32)"},
      {"random_get", "(param i32 i32)"},
  };
  std::string text = "(module\n";
  for (const auto& [name, params] : kImports)
    text += std::string("(import \"wasi_snapshot_preview1\" \"") + name + "\" (func " + params +
            " (result i32)))\n";
  text += "(memory (export \"memory\") " + std::to_string(shape.pages) + ")\n";
  text += "(table " + std::to_string(shape.table + 1) + " funcref)\n";
  text +=
      "(global (mut i32) (i32.const 1024)) (global i32 (i32.const 7))"
      "(global (mut i64) (i64.const 0)) (global (export \"end\") i32 (i32.const 1024))\n";
  const unsigned page = 4096, data = 1024;
  text +=
      "(func (export \"touch\") (param $n i32) (local $at i32)"
      "(loop $next (if (local.get $n) (then"
      "(i64.store offset=1024 (local.get $at) (i64.const 1))"
      "(i64.store offset=" +
      std::to_string((shape.pages * 65536) / 2) +
      " (local.get $at) (i64.const 1))"
      "(local.set $at (i32.add (local.get $at) (i32.const " +
      std::to_string(page) +
      ")))"
      "(local.set $n (i32.sub (local.get $n) (i32.const 1)))"
      "(br $next)))))\n";
  for (unsigned f = 1; f < shape.funcs; ++f)
    text += "(func $f" + std::to_string(f) +
            " (param i32 i32) (result i32) (i32.add (local.get 0) (i32.mul (local.get 1)"
            " (i32.const " +
            std::to_string(f) + "))))\n";
  text += "(elem (i32.const 1) func";
  for (unsigned i = 0; i < shape.table; ++i)
    text += " $f" + std::to_string(1 + i % (shape.funcs - 1));
  text += ")\n(data (i32.const " + std::to_string(data) + ") \"";
  for (unsigned i = 0; i < shape.data_kib * 1024; ++i) text += char('a' + i % 23);
  text += "\"))";
  return text;
}

enum class Kind { Ordinary, Images, Pool, PoolAndImages };
constexpr const char* kKindNames[] = {"ordinary", "images", "pool", "pool+images"};

struct Setup {
  std::shared_ptr<runtime::Engine> engine;
  std::shared_ptr<const wasm::Module> module;
  std::unique_ptr<runtime::Linker> linker;

  Setup(const Shape& shape, Kind kind, uint32_t slots = 64) {
    runtime::Config config;
    config.memory_images = kind == Kind::Images || kind == Kind::PoolAndImages;
    if (kind == Kind::Pool || kind == Kind::PoolAndImages) {
      runtime::MemoryPool::Options options;
      options.slots = slots;
      config.pool = must(runtime::MemoryPool::create(options));
    }
    engine = runtime::Engine::create(config, interp::tier());
    const Vec<uint8_t> binary = must(wat::parse_wat(module_text(shape)));
    module = must(engine->load_module(binary));
    linker = std::make_unique<runtime::Linker>(engine);
    auto context = must(wasi::P1Context::create({}));
    if (auto r = wasi::add_to_linker(*linker, std::move(context)); !r.ok()) std::exit(1);
  }
};

// Arguments: shape, kind, pages that the guest touches (0: it does not run).
std::unique_ptr<Setup> g_setup;

void instantiate(benchmark::State& state) {
  const Shape& shape = kShapes[state.range(0)];
  const auto pages = int32_t(state.range(2));
  if (state.thread_index() == 0) g_setup = std::make_unique<Setup>(shape, Kind(state.range(1)));
  for (auto _ : state) {
    runtime::Store store(g_setup->engine);
    runtime::Instance* const instance = must(g_setup->linker->instantiate(store, g_setup->module));
    if (pages) {
      const runtime::Value arg = runtime::Value::i32(pages);
      must(store.call(instance->get_export("touch")->func, {&arg, 1}));
    }
    benchmark::DoNotOptimize(instance);
  }
  if (state.thread_index() == 0) {
    g_setup.reset();
    state.SetLabel(std::string(kKindNames[state.range(1)]) + ", " + shape.name);
  }
}
BENCHMARK(instantiate)
    ->ArgNames({"shape", "kind", "touch"})
    ->ArgsProduct({{0, 1}, {0, 1, 2, 3}, {0}})
    ->ArgsProduct({{0}, {0, 1, 2, 3}, {1}})
    ->ArgsProduct({{1}, {0, 1, 2, 3}, {4}})
    ->Threads(1)
    ->Threads(2)
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// All of them alive at the same time; the time is of one.
void live(benchmark::State& state) {
  const auto count = size_t(state.range(1));
  Setup setup(kShapes[1], Kind(state.range(0)), uint32_t(count));
  const runtime::Value arg = runtime::Value::i32(1);
  for (auto _ : state) {
    std::vector<std::unique_ptr<runtime::Store>> stores;
    stores.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      stores.push_back(std::make_unique<runtime::Store>(setup.engine));
      runtime::Instance* const instance =
          must(setup.linker->instantiate(*stores.back(), setup.module));
      must(stores.back()->call(instance->get_export("touch")->func, {&arg, 1}));
    }
  }
  state.SetItemsProcessed(int64_t(state.iterations() * count));
  state.SetLabel(kKindNames[state.range(0)]);
}
BENCHMARK(live)
    ->ArgNames({"kind", "count"})
    ->ArgsProduct({{0, 3}, {5000}})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
