// Shares bytes with a module through its memory, and grows it.
#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kText = R"((module
  (memory (export "memory") 1 3)
  (func (export "sum") (param $at i32) (param $count i32) (result i32) (local $s i32)
    (loop $next
      (if (local.get $count) (then
        (local.set $s (i32.add (local.get $s) (i32.load8_u (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))
    (local.get $s))))";

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(module, wafer::compile_wat(engine, kText));
  wafer::Store store(engine);
  WAFER_LET(instance, wafer::Instance::create(store, module));
  WAFER_LET(memory, instance.memory("memory"));

  const uint8_t bytes[] = {1, 2, 3, 4, 250};
  WAFER_TRY(memory.write(100, {bytes, sizeof bytes}));
  WAFER_LET(sum, instance.func<int32_t(int32_t, int32_t)>("sum"));
  WAFER_LET(total, sum(100, 5));
  std::printf("sum: %d\n", total);

  WAFER_LET(before, memory.grow(2));
  std::printf("grown from %d to %d pages\n", int(before), int(memory.pages()));
  std::printf("beyond the maximum: %s\n", memory.grow(1).ok() ? "grew" : "refused");
  // Every access from the host is checked as well.
  std::printf("past the end: %s\n", memory.get<uint32_t>(3 * 65536 - 2).ok() ? "read" : "refused");
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
