// Calls by bindings of C++: of functions of the host by a component (a loop of calls inside), and
// of a component by the host. `dynamic`: the same by values of which only the function's type tells
// what they are.
//
//   WAFER_LLVM=.../libwafer-llvm.so wafer_bindings_bench [--benchmark_filter=REGEX]

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>

#include "wafer/bindings.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

using namespace wafer;

namespace {

constexpr std::string_view kText = R"((component
  (import "h" (instance $h
    (export "nothing" (func))
    (export "u32" (func (param "x" u32) (result u32)))
    (export "string" (func (param "x" string)))
    (export "bytes" (func (param "x" (list u8))))
    (export "records" (func (param "x" (list (tuple u32 f64 bool (option u16))))))
    (export "c" (type $c (sub resource)))
    (export "make" (func (result (own $c))))
    (export "[method]c.get" (func (param "self" (borrow $c)) (result u32)))))
  (core module $Mem (memory (export "mem") 64)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $mem (instantiate $Mem))
  (core func $nothing (canon lower (func $h "nothing")))
  (core func $u32 (canon lower (func $h "u32")))
  (core func $string (canon lower (func $h "string") (memory (core memory $mem "mem"))))
  (core func $bytes (canon lower (func $h "bytes") (memory (core memory $mem "mem"))))
  (core func $records (canon lower (func $h "records") (memory (core memory $mem "mem"))))
  (core func $make (canon lower (func $h "make")))
  (core func $get (canon lower (func $h "[method]c.get")))
  (core module $M
    (import "" "nothing" (func $nothing)) (import "" "u32" (func $u32 (param i32) (result i32)))
    (import "" "string" (func $string (param i32 i32)))
    (import "" "bytes" (func $bytes (param i32 i32)))
    (import "" "records" (func $records (param i32 i32)))
    (import "" "make" (func $make (result i32)))
    (import "" "get" (func $get (param i32) (result i32)))
    (func $one (param $kind i32) (param $handle i32)
      (block $m (block $r (block $b (block $s (block $u (block $n
        (br_table $n $u $s $b $r $m (local.get $kind)))
        (call $nothing) (return))
        (drop (call $u32 (local.get $kind))) (return))
        (call $string (i32.const 4096) (i32.const 1024)) (return))
        (call $bytes (i32.const 4096) (i32.const 1048576)) (return))
        (call $records (i32.const 4096) (i32.const 10000)) (return))
      (drop (call $get (local.get $handle))))
    (func (export "run") (param $kind i32) (param $n i32) (local $handle i32)
      (local.set $handle (call $make))
      (loop $l
        (call $one (local.get $kind) (local.get $handle))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "none"))
    (func (export "next") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "take") (param i32 i32)))
  (core instance $m (instantiate $M (with "" (instance
    (export "nothing" (func $nothing)) (export "u32" (func $u32)) (export "string" (func $string))
    (export "bytes" (func $bytes)) (export "records" (func $records))
    (export "make" (func $make)) (export "get" (func $get))))))
  (func (export "run") (param "kind" u32) (param "n" u32) (canon lift (core func $m "run")))
  (func (export "nothing") (canon lift (core func $m "none")))
  (func (export "u32") (param "x" u32) (result u32) (canon lift (core func $m "next")))
  (func (export "string") (param "x" string) (canon lift (core func $m "take")
    (memory (core memory $mem "mem")) (realloc (core func $mem "realloc"))))
  (func (export "bytes") (param "x" (list u8)) (canon lift (core func $m "take")
    (memory (core memory $mem "mem")) (realloc (core func $mem "realloc"))))
  (func (export "records") (param "x" (list (tuple u32 f64 bool (option u16))))
    (canon lift (core func $m "take")
      (memory (core memory $mem "mem")) (realloc (core func $mem "realloc"))))))";

using Record = std::tuple<uint32_t, double, bool, std::optional<uint16_t>>;
using Bytes = std::vector<uint8_t>;
using Records = std::vector<Record>;
constexpr const char* kNames[] = {"nothing", "u32", "string", "bytes", "records", "method"};

template <class T>
T must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "error: %s\n", std::string(result.error().message).c_str());
  std::exit(1);
}
void must(const Result<void>& result) {
  if (!result.ok()) std::exit((std::fprintf(stderr, "error: the call failed\n"), 1));
}

class C : public HostResource {
 public:
  Result<uint32_t> get() { return 1u; }
};
struct Host {
  Result<void> nothing() { return {}; }
  Result<uint32_t> u32(uint32_t x) { return x + 1; }
  Result<void> string(std::string x) { return see(x); }
  Result<void> bytes(Bytes x) { return see(x); }
  Result<void> records(Records x) { return see(x); }
  Result<std::unique_ptr<C>> make() { return std::make_unique<C>(); }
  template <class T>
  Result<void> see(const T& x) {
    benchmark::DoNotOptimize(x.data());
    return {};
  }
};

constexpr const char* kRecords = "func(list<tuple<u32, f64, bool, option<u16>>>)";

struct Setup {
  Engine engine;
  Store store{engine};
  ComponentLinker linker;
  Host host;
  std::optional<ComponentInstance> instance;

  explicit Setup(bool dynamic) {
    bind_resource<C>(linker, "h", "c");
    bind_method<&Host::make>(linker, "h", "make", "func() -> own", &host);
    if (dynamic) {
      linker.func("h", "nothing", [](ComponentCall&) {});
      linker.func("h", "u32", [](ComponentCall& c) { c.set(c.arg<uint32_t>(0) + 1); });
      linker.func("h", "string", [this](ComponentCall& c) { (void)host.see(c.args()[0].str()); });
      linker.func("h", "bytes", [this](ComponentCall& c) { (void)host.see(c.args()[0].bytes()); });
      linker.func("h", "records",
                  [this](ComponentCall& c) { (void)host.see(c.args()[0].items()); });
      linker.func("h", "[method]c.get", [](ComponentCall& c) { c.set(c.arg<C*>(0) ? 1u : 0u); });
    } else {
      bind_method<&Host::nothing>(linker, "h", "nothing", "func()", &host);
      bind_method<&Host::u32>(linker, "h", "u32", "func(u32) -> u32", &host);
      bind_method<&Host::string>(linker, "h", "string", "func(string)", &host);
      bind_method<&Host::bytes>(linker, "h", "bytes", "func(list<u8>)", &host);
      bind_method<&Host::records>(linker, "h", "records", kRecords, &host);
      bind_method<&C::get>(linker, "h", "[method]c.get", "func(borrow) -> u32",
                           static_cast<C*>(nullptr));
    }
    const auto binary = must(wat2wasm(kText));
    instance = must(
        linker.instantiate(store, must(Component::load(engine, {binary.data(), binary.size()}))));
  }
};

void from_component(benchmark::State& state) {
  Setup setup(state.range(1) != 0);
  const auto kind = uint32_t(state.range(0));
  state.SetLabel(kNames[kind]);
  const uint32_t calls = kind == 3 || kind == 4 ? 20 : 20000;
  const auto run = setup.instance->func("run");
  must(run.call(kind, calls));
  for (auto _ : state) must(run.call(kind, calls));
  // Seconds of processor time for a call.
  state.counters["call"] = benchmark::Counter(
      double(calls), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(from_component)
    ->ArgNames({"kind", "dynamic"})
    ->ArgsProduct({{0, 1, 2, 3, 4}, {0, 1}})
    ->Args({5, 0});

template <class... A>
void to_component(benchmark::State& state, const char* name, const char* type, A... args) {
  Setup setup(false);
  const ComponentScope scope{setup.instance->store(), setup.linker.host_types().get(), nullptr};
  if (state.range(0)) {
    const auto func = setup.instance->func(name);
    for (auto _ : state) must(func.call(args...));
  } else {
    const auto func =
        must(BoundFunc<void(const A&...)>::find(*setup.instance, scope, "", name, type));
    for (auto _ : state) must(func.call(args...));
  }
}
void next(benchmark::State& state) {
  Setup setup(false);
  const ComponentScope scope{setup.instance->store(), setup.linker.host_types().get(), nullptr};
  if (state.range(0)) {
    const auto func = setup.instance->func("u32");
    for (auto _ : state) benchmark::DoNotOptimize(must(func.call<uint32_t>(1u)));
  } else {
    const auto func = must(
        BoundFunc<uint32_t(uint32_t)>::find(*setup.instance, scope, "", "u32", "func(u32) -> u32"));
    for (auto _ : state) benchmark::DoNotOptimize(must(func.call(1u)));
  }
}
BENCHMARK_CAPTURE(to_component, nothing, "nothing", "func()")->ArgName("dynamic")->Arg(0)->Arg(1);
BENCHMARK(next)->ArgName("dynamic")->Arg(0)->Arg(1);
BENCHMARK_CAPTURE(to_component, string, "string", "func(string)", std::string(1024, 'x'))
    ->ArgName("dynamic")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(to_component, bytes, "bytes", "func(list<u8>)", Bytes(1 << 20, 7))
    ->ArgName("dynamic")
    ->Arg(0)
    ->Arg(1);
BENCHMARK_CAPTURE(to_component, records, "records", kRecords, Records(10000))
    ->ArgName("dynamic")
    ->Arg(0)
    ->Arg(1);

}  // namespace

BENCHMARK_MAIN();
