// Bounds what untrusted code may use: fuel, time, memory and stack.
#include <chrono>
#include <cstdio>
#include <thread>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kText = R"((module
  (memory 1)
  (func (export "spin") (loop (br 0)))
  (func $deep (export "deep") (call $deep))
  (func (export "grow") (result i32) (memory.grow (i32.const 100)))))";

static wafer::Result<void> run() {
  wafer::Config config;
  config.consume_fuel = true;
  config.interruptible = true;
  wafer::Engine engine(config);
  WAFER_LET(module, wafer::compile_wat(engine, kText));
  wafer::StoreLimits limits;
  limits.memory_bytes = 10 * 65536;
  wafer::Store store(engine, limits);
  WAFER_LET(instance, wafer::Instance::create(store, module));
  WAFER_LET(spin, instance.func<void()>("spin"));
  WAFER_LET(deep, instance.func<void()>("deep"));
  WAFER_LET(grow, instance.func<int32_t()>("grow"));

  store.set_fuel(1'000'000);
  std::printf("spin: %s\n", spin().error().message.c_str());

  store.set_fuel(uint64_t(1) << 60);
  std::thread watch([&store] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    store.interrupt();
  });
  std::printf("spin: %s\n", spin().error().message.c_str());
  watch.join();
  store.clear_interrupt();

  std::printf("deep: %s\n", deep().error().message.c_str());
  WAFER_LET(pages, grow());
  std::printf("grow: %d\n", pages);
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
