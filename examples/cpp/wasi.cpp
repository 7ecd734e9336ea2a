// Runs a WASI command with its output captured.
#include "wafer/wasi.hpp"

#include <cstdio>
#include <string>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kText = R"((module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "hello\0a")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $exit (i32.const 3)))))";

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(module, wafer::compile_wat(engine, kText));
  wafer::Linker linker(engine);
  std::string out;
  wafer::wasi::Config config;
  config.arg("prog").capture_stdout(&out);
  WAFER_LET(context, wafer::wasi::add_to_linker(linker, std::move(config)));
  wafer::Store store(engine);
  WAFER_LET(instance, linker.instantiate(store, module));
  WAFER_LET(status, wafer::wasi::run(store, instance));
  std::printf("wrote %zu bytes, exit status %d\n", out.size(), status);
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
