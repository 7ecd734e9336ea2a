// Interpreter: every valid module can be instantiated and its exports called, in
// bounded time and memory.
#include <string>
#include <vector>

#include "interp/interp.h"
#include "runtime/linker.h"
#include "seeds.h"
#include "wat/wat.h"

std::vector<std::string> make_seeds() { return binary_seeds(); }

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wafer::runtime;
  static const auto engine = [] {
    Config config;
    config.consume_fuel = true;
    return Engine::create(config, wafer::interp::tier());
  }();
  auto module = engine->load_module({data, size});
  if (!module.ok()) return 0;
  StoreLimits limits;
  limits.memory_bytes = 4u << 20;
  limits.table_elements = 10000;
  limits.gc_heap_bytes = 4u << 20;
  Store store(engine, limits);
  store.fuel = 100000;
  // Code does not poll for this, but it ends every wait for a notification.
  store.interrupt();
  Linker linker(engine);
  linker.trap_on_unknown_imports(true);
  auto instance = linker.instantiate(store, *module);
  if (!instance.ok()) return 0;
  for (const auto& e : (*module)->exports) {
    if (e.kind != wafer::wasm::ExternKind::Func) continue;
    FuncInst* func = (*instance)->funcs[e.index];
    std::vector<Value> args;
    for (const auto type : func->type->func.params) {
      if (!type.defaultable()) break;
      args.push_back({type, {3, 0}});
      if (type.is_ref()) args.back().bits[0] = kNullRef;
    }
    if (args.size() == func->type->func.params.size()) (void)store.call(func, args);
  }
  return 0;
}
