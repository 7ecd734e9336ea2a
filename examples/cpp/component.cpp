// A component that uses functions and a resource of the host, and is called with values.
#include "wafer/component.hpp"

#include <cstdio>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kComponent = R"((component
  (import "shop:stock/api@1.0.0" (instance $shop
    (export "item" (type $item (sub resource)))
    (export "find" (func (param "name" string) (result (own $item))))
    (export "[method]item.price" (func (param "self" (borrow $item)) (result u32)))))
  (alias export $shop "item" (type $item))
  (core module $Memory
    (memory (export "mem") 1)
    (global $at (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $at (i32.add (global.get $at) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -8))))
      (i32.sub (global.get $at) (i32.and (i32.add (local.get 3) (i32.const 15)) (i32.const -8)))))
  (core instance $memory (instantiate $Memory))
  (core func $find (canon lower (func $shop "find") (memory (core memory $memory "mem"))))
  (core func $price (canon lower (func $shop "[method]item.price")))
  (core func $drop (canon resource.drop $item))
  (core module $M
    (import "" "find" (func $find (param i32 i32) (result i32)))
    (import "" "price" (func $price (param i32) (result i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "total") (param $name i32) (param $length i32) (param $count i32) (result i32)
      (local $item i32) (local $sum i32)
      (local.set $item (call $find (local.get $name) (local.get $length)))
      (local.set $sum (i32.mul (call $price (local.get $item)) (local.get $count)))
      (call $drop (local.get $item))
      (local.get $sum)))
  (core instance $m (instantiate $M (with "" (instance (export "find" (func $find))
    (export "price" (func $price)) (export "drop" (func $drop))))))
  (func (export "total") (param "name" string) (param "count" u32) (result u32)
    (canon lift (core func $m "total") (memory (core memory $memory "mem"))
      (realloc (core func $memory "realloc"))))))";

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(binary, wafer::wat2wasm(kComponent));
  WAFER_LET(component, wafer::Component::load(engine, {binary.data(), binary.size()}));
  for (const std::string& name : component.imports()) std::printf("imports %s\n", name.c_str());

  // The host has a newer version of what the component was made for.
  wafer::ComponentLinker linker;
  constexpr const char* kShop = "shop:stock/api@1.2.0";
  const auto item = linker.resource(
      kShop, "item", [](uint64_t rep) { std::printf("item %d is gone\n", int(rep)); });
  linker.func(kShop, "find", [&](wafer::ComponentCall& call) {
    call.set(item.make(call.arg<std::string>(0).size()));
  });
  linker.func(kShop, "[method]item.price", [&](wafer::ComponentCall& call) {
    call.set(uint32_t(item.rep(call.args()[0]) * 100));
  });

  wafer::Store store(engine);
  WAFER_LET(instance, linker.instantiate(store, component));
  const wafer::ComponentFunc total = instance.func("total");
  WAFER_LET(sum, total.call<uint32_t>("chair", 3u));
  std::printf("three chairs: %u\n", sum);
  WAFER_LET(text, total.call_text("(\"sofa\", 1)"));
  std::printf("a sofa: %s\n", text.c_str());
  const auto wrong = total.call_text("(\"sofa\")");
  std::printf("error: %s\n", wrong.error().message.c_str());
  return {};
}

int main() {
  if (const auto done = run(); !done) {
    std::fprintf(stderr, "error: %s\n", done.error().message.c_str());
    return 1;
  }
}
