// A command for WASI 0.2, as toolchains make them, run by a program that grants what it may use.
#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wasi.hpp"
#include "wafer/wat.hpp"

// Writes its first argument to its standard output.
static constexpr const char* kCommand = R"((component
  (import "wasi:cli/environment@0.2.0" (instance $env
    (export "get-arguments" (func (result (list string))))))
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $e))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $e (type $e))
    (export "error" (type $error (eq $e)))
    (export "output-stream" (type $out (sub resource)))
    (type $failed (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $failed)))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $out)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $o))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $o (type $o))
    (export "output-stream" (type $out (eq $o)))
    (export "get-stdout" (func (result (own $out))))))
  (core module $Memory
    (memory (export "mem") 1)
    (global $at (mut i32) (i32.const 64))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $at)
      (global.set $at (i32.and (i32.add (i32.add (global.get $at) (local.get 3)) (i32.const 7))
                               (i32.const -8)))))
  (core instance $memory (instantiate $Memory))
  (core func $args (canon lower (func $env "get-arguments")
    (memory (core memory $memory "mem")) (realloc (core func $memory "realloc"))))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $memory "mem")) (realloc (core func $memory "realloc"))))
  (core module $M
    (import "" "mem" (memory 1))
    (import "" "args" (func $args (param i32)))
    (import "" "get-stdout" (func $get-stdout (result i32)))
    (import "" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "run") (result i32) (local $list i32)
      (call $args (i32.const 8))
      (local.set $list (i32.load (i32.const 8)))
      (call $write (call $get-stdout) (i32.load (local.get $list))
        (i32.load offset=4 (local.get $list)) (i32.const 16))
      (i32.load8_u (i32.const 16))))
  (core instance $m (instantiate $M (with "" (instance
    (export "mem" (memory $memory "mem")) (export "args" (func $args))
    (export "get-stdout" (func $get-stdout)) (export "write" (func $write))))))
  (func $run (result (result)) (canon lift (core func $m "run")))
  (instance $i (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $i))))";

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(binary, wafer::wat2wasm(kCommand));
  WAFER_LET(component, wafer::Component::load(engine, {binary.data(), binary.size()}));
  std::string output;
  wafer::wasi::Config config;
  config.arg("hello from a component").capture_stdout(&output);
  config.allow(wafer::wasi::NetworkUse::TcpConnect, "127.0.0.1:8080").random_seed(1);

  wafer::ComponentLinker linker;
  WAFER_LET(command, wafer::wasi::Command::create(linker, std::move(config)));
  wafer::Store store(engine);
  command.attach(store);
  WAFER_LET(instance, linker.instantiate(store, component));
  WAFER_LET(code, command.run(store, instance));
  std::printf("exit code %d: %s\n", code, output.c_str());

  wafer::ComponentLinker other;
  wafer::wasi::Config wrong;
  wrong.allow(wafer::wasi::NetworkUse::UdpSend, "127.0.0.1");
  const auto none = wafer::wasi::Command::create(other, std::move(wrong));
  std::printf("error: %s\n", none.error().message.c_str());
  return {};
}

int main() {
  if (const auto done = run(); !done) {
    std::fprintf(stderr, "error: %s\n", done.error().message.c_str());
    return 1;
  }
}
