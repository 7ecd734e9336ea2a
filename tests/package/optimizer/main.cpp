// Runs optimized code; the argument says where the optimizing compiler is.
#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

int main(int argc, char** argv) {
  wafer::Config config;
  config.tier = wafer::Tier::Optimized;
  if (argc > 1) config.optimizer_library = argv[1];
  wafer::Engine engine(config);
  auto module =
      wafer::compile_wat(engine, "(module (func (export \"f\") (result i32) (i32.const 42)))");
  if (!module.ok()) return 1;
  wafer::Store store(engine);
  auto instance = wafer::Instance::create(store, *module);
  if (!instance.ok()) {
    std::printf("%s\n", instance.error().message.c_str());
    return 0;
  }
  std::printf("%d\n", *(*instance->func<int32_t()>("f"))());
  return 0;
}
