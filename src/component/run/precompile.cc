#include "component/run/precompile.h"

#include <algorithm>

#include "component/run/instantiate.h"
#include "component/run/linker.h"

namespace wafer::component {

DecodeOptions options_for(const runtime::Engine& engine, FindCode find_code) {
  DecodeOptions decode;
  decode.core_features = engine.config().features;
  decode.registry = engine.registry();
  decode.find_code = std::move(find_code);
  decode.load_module = [&engine, find = decode.find_code](Bytes bytes) {
    return engine.load_module(bytes, false, true, find ? find(bytes) : nullptr);
  };
  return decode;
}

Result<std::shared_ptr<Component>> decode_compiled(Bytes binary, const runtime::Engine& engine,
                                                   FindCode find_code,
                                                   std::shared_ptr<const void> owner,
                                                   FeatureSet features) {
  // Told also of a component that has no modules.
  WAFER_TRY(engine.check_runs_stored_code());
  DecodeOptions options = options_for(engine, std::move(find_code));
  options.features = features;
  options.owner = std::move(owner);
  return decode(binary, options);
}

namespace {

// Runs nothing: for instances that are only looked at.
class NoTier final : public runtime::Tier {
 public:
  Result<void> attach(runtime::Instance&) override { return {}; }
  void detach_store(runtime::Store&) override {}
};

// Something for an import: which of several it is makes no difference to adapters.
Item stand_in(const TypeArena& types, const Entity& entity) {
  Item item;
  item.sort = entity.sort;
  switch (entity.sort) {
    case Sort::Func:
      item.func = std::make_shared<HostFunc>(nullptr, /*blocks=*/false);
      break;
    case Sort::Type:
      if (types[entity.type].kind == TypeKind::Resource)
        item.resource = std::make_shared<ResourceType>();
      break;
    case Sort::Instance:
      item.instance = std::make_shared<InstanceValue>();
      for (const NamedEntity& e : types[entity.type].shape->exports)
        item.instance->add(e.name, stand_in(types, e.entity));
      break;
    default:
      break;
  }
  return item;
}

// Core modules of `component` and of the components inside.
void collect(const Component& component, std::vector<std::shared_ptr<wasm::Module>>& out) {
  for (const Definition& d : component.definitions) {
    if (const auto* m = std::get_if<CoreModuleDef>(&d)) out.push_back(m->module);
    if (const auto* c = std::get_if<ComponentDef>(&d)) collect(*c->component, out);
  }
}

// Instances of components, and of modules, that are made to see their adapters.
constexpr uint32_t kMaxLookedAt = 10'000;

// Takes from a module what instances of it cost, and all that they would run.
void make_cheap(wasm::Module& module) {
  module.start.reset();
  module.datas.clear();
  module.elems.clear();
  for (wasm::Table& t : module.tables) t.type.limits.min = 0;
  for (wasm::Memory& m : module.memories) m.type.limits.min = 0;
  for (wasm::Import& i : module.imports) {
    i.type.table.limits.min = 0;
    i.type.memory.limits.min = 0;
  }
}

// The adapters that instances of the component use: found by making one, of modules without
// start functions and segments. Imported modules and components are not known here; what
// depends on them has no adapter.
Result<std::vector<Vec<uint8_t>>> adapters_of(Bytes binary, const DecodeOptions& options) {
  NoTier tier;
  runtime::Config config;
  config.features = options.core_features;
  const auto engine = runtime::Engine::create(config, &tier);
  DecodeOptions how = options;
  how.registry = engine->registry();
  how.find_code = nullptr;
  how.load_module = [&engine](Bytes bytes) {
    return engine->load_module(bytes, false, /*validate=*/false);
  };
  WAFER_LET(component, decode(binary, how));
  std::vector<std::shared_ptr<wasm::Module>> modules;
  collect(*component, modules);
  for (const auto& module : modules) make_cheap(*module);
  runtime::StoreLimits limits;
  limits.instances = kMaxLookedAt;
  limits.gc_heap_bytes = size_t{64} << 20;
  runtime::Store core(engine, limits);
  std::vector<Vec<uint8_t>> adapters;
  {
    ComponentStore store(core);
    store.adapters = &adapters;
    InstanceValue args;
    for (const NamedEntity& import : component->shape().imports)
      args.set(import.name, stand_in(*component->types, import.entity));
    // As far as it goes.
    (void)instantiate(store, component, args);
  }
  return adapters;
}

}  // namespace

Result<std::vector<runtime::CompiledModule>> precompile(
    Bytes binary, const DecodeOptions& options,
    const std::function<Result<Vec<uint8_t>>(const wasm::Module&)>& compile) {
  WAFER_LET(component, decode(binary, options));
  std::vector<std::shared_ptr<wasm::Module>> modules;
  collect(*component, modules);
  WAFER_LET(adapters, adapters_of(binary, options));
  for (auto& adapter : adapters) {
    const auto kept = std::make_shared<Vec<uint8_t>>(std::move(adapter));
    WAFER_LET(module, options.load_module({kept->data(), kept->size()}));
    module->owner = kept;
    modules.push_back(std::move(module));
  }
  std::vector<runtime::CompiledModule> out;
  for (auto& module : modules) {
    const auto same = [&](const runtime::CompiledModule& m) {
      const Bytes a = m.module->bytes, b = module->bytes;
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    };
    if (std::any_of(out.begin(), out.end(), same)) continue;
    WAFER_LET(code, compile(*module));
    out.push_back({std::move(module), std::move(code)});
  }
  return out;
}

}  // namespace wafer::component
