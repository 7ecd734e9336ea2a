#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

int main() {
  wafer::Engine engine;
  auto module =
      wafer::compile_wat(engine, "(module (func (export \"f\") (result i32) (i32.const 42)))");
  if (!module.ok()) return 1;
  wafer::Store store(engine);
  auto instance = wafer::Instance::create(store, *module);
  if (!instance.ok()) return 1;
  std::printf("%d\n", *(*instance->func<int32_t()>("f"))());
  return 0;
}
