// Calls a function of a module, and a C++ lambda from it.
#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kText = R"((module
  (import "host" "print" (func $print (param i32)))
  (func (export "twice") (param i32) (result i32)
    (call $print (local.get 0))
    (i32.mul (local.get 0) (i32.const 2)))))";

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(module, wafer::compile_wat(engine, kText));

  wafer::Linker linker(engine);
  WAFER_TRY(linker.func_wrap("host", "print", [](int32_t v) { std::printf("got %d\n", v); }));

  wafer::Store store(engine);
  WAFER_LET(instance, linker.instantiate(store, module));
  WAFER_LET(twice, instance.func<int32_t(int32_t)>("twice"));
  WAFER_LET(result, twice(21));
  std::printf("twice: %d\n", result);
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
