// Host objects behind externref, and structs of the guest seen from the host.
#include <cstdio>
#include <string>

#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

static constexpr const char* kText = R"((module
  (type $pair (struct (field (mut i32)) (field externref)))
  (global $kept (mut (ref null $pair)) (ref.null $pair))
  (func (export "keep") (param i32 externref) (result anyref)
    (global.set $kept (struct.new $pair (local.get 0) (local.get 1)))
    (global.get $kept))
  (func (export "name") (result externref) (struct.get $pair 1 (global.get $kept)))
  (func (export "number") (result i32) (struct.get $pair 0 (global.get $kept)))
  (func (export "drop") (global.set $kept (ref.null $pair)))))";

namespace {
struct Noisy {
  std::string name;
  explicit Noisy(std::string n) : name(std::move(n)) {}
  Noisy(Noisy&&) = default;
  ~Noisy() {
    if (!name.empty()) std::printf("%s freed\n", name.c_str());
  }
};
}  // namespace

static wafer::Result<void> run() {
  wafer::Engine engine;
  WAFER_LET(module, wafer::compile_wat(engine, kText));
  wafer::Store store(engine);
  WAFER_LET(instance, wafer::Instance::create(store, module));
  WAFER_LET(keep, instance.func<wafer::AnyRef(int32_t, wafer::ExternRef)>("keep"));
  WAFER_LET(name, instance.func<wafer::ExternRef()>("name"));
  WAFER_LET(number, instance.func<int32_t()>("number"));
  WAFER_LET(drop, instance.func<void()>("drop"));
  {
    WAFER_LET(pair, keep(7, wafer::ExternRef::create(store, Noisy("teapot"))));
    store.collect();  // the guest's global keeps the pair and the object in it
    WAFER_LET(back, name());
    std::printf("kept %s\n", back.get<Noisy>()->name.c_str());
    WAFER_TRY(pair.set(0, wafer::Val(8)));
    WAFER_LET(changed, number());
    std::printf("number %d\n", changed);
  }
  WAFER_TRY(drop());
  store.collect();
  std::printf("after the collection\n");
  return {};
}

int main() {
  const wafer::Result<void> r = run();
  if (!r.ok()) std::fprintf(stderr, "%s\n", r.error().message.c_str());
  return r.ok() ? 0 : 1;
}
