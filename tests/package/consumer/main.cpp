#include <cstdio>

#include "wafer/bindings.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

// 42 by a component: 6 from a module, 7 from the host.
static wafer::Result<uint32_t> component(wafer::Engine& engine) {
  WAFER_LET(binary, wafer::wat2wasm(R"((component
    (import "seven" (func $seven (result u32)))
    (core func $lowered (canon lower (func $seven)))
    (core module $M
      (import "" "seven" (func $seven (result i32)))
      (func (export "f") (result i32) (i32.mul (call $seven) (i32.const 6))))
    (core instance $m (instantiate $M (with "" (instance (export "seven" (func $lowered))))))
    (func (export "f") (result u32) (canon lift (core func $m "f")))))"));
  WAFER_LET(made, wafer::Component::load(engine, {binary.data(), binary.size()}));
  wafer::ComponentLinker linker;
  linker.func("", "seven", [](wafer::ComponentCall& call) { call.set(uint32_t{7}); });
  wafer::Store store(engine);
  WAFER_LET(instance, linker.instantiate(store, made));
  return instance.func("f").call<uint32_t>();
}

int main() {
  wafer::Engine engine;
  auto module =
      wafer::compile_wat(engine, "(module (func (export \"f\") (result i32) (i32.const 42)))");
  if (!module.ok()) return 1;
  wafer::Store store(engine);
  auto instance = wafer::Instance::create(store, *module);
  if (!instance.ok()) return 1;
  const auto sum = component(engine);
  if (!sum.ok() || *sum != 42) return 2;
  std::printf("%d\n", *(*instance->func<int32_t()>("f"))());
  return 0;
}
