// Links two modules: the second uses a function and a memory of the first.
#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kCounter = R"((module
  (memory (export "memory") 1)
  (func (export "next") (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
    (i32.load (i32.const 0)))))";
static constexpr const char* kUser = R"((module
  (import "counter" "next" (func $next (result i32)))
  (import "counter" "memory" (memory 1))
  (func (export "run") (result i32)
    (drop (call $next)) (drop (call $next))
    (i32.mul (i32.load (i32.const 0)) (call $next)))))";

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(counter, wafer::compile_wat(engine, kCounter));
  WAFER_LET(user, wafer::compile_wat(engine, kUser));
  wafer::Store store(engine);
  wafer::Linker linker(engine);
  WAFER_LET(first, linker.instantiate(store, counter));
  WAFER_TRY(linker.define_instance("counter", first));
  WAFER_LET(second, linker.instantiate(store, user));
  WAFER_LET(function, second.func("run"));
  WAFER_LET(result, function.call<int32_t()>());
  std::printf("2 * 3 = %d\n", result);

  // What does not fit is refused before anything runs.
  wafer::Linker empty(engine);
  const wafer::Result<wafer::Instance> refused = empty.instantiate(store, user);
  std::printf("without it: %s\n", refused.ok() ? "linked" : refused.error().message.c_str());
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
