#include "component/run/instantiate.h"

#include "component/builtins.h"
#include "component/names.h"
#include "component/run/fuse.h"
#include "component/run/handles.h"
#include "component/run/linker.h"
#include "component/run/match.h"

namespace wafer::component {

ResourceType* ComponentInstance::resource_of(TypeId type) const {
  auto it = resources.find((*component->types)[type].resource);
  return it == resources.end() ? nullptr : it->second.get();
}

runtime::GlobalInst* ComponentInstance::new_leave_flag(ComponentStore& store) {
  return store.core.new_global({wasm::kI32, true}, runtime::Value::i32(1));
}

namespace {

// Whether a built-in is about the thread or task that calls it.
bool needs_thread(Builtin b) {
  const Feature feature = builtin_info(b).feature;
  return b == Builtin::ContextGet || b == Builtin::ContextSet || b == Builtin::TaskReturn ||
         b == Builtin::TaskCancel || feature == Feature::Threads ||
         feature == Feature::SharedThreads;
}

constexpr uint32_t kMaxInstanceDepth = 200;

class Instantiator {
 public:
  Instantiator(ComponentStore& store, std::shared_ptr<Root> root)
      : store_(store), root_(std::move(root)) {}

  Result<std::shared_ptr<ComponentInstance>> run(const std::shared_ptr<const Component>& component,
                                                 const std::shared_ptr<ComponentInstance>& outer,
                                                 const InstanceValue& args);
  // What has been made is of no use.
  void give_up();

 private:
  // One instance as it is made.
  struct Frame {
    ComponentInstance& instance;
    const InstanceValue& args;
    TypeArena& types() const { return *instance.component->types; }
  };

  Result<void> define(Frame& f, const Import& def);
  Result<void> define(Frame& f, const CoreModuleDef& def);
  Result<void> define(Frame& f, const CoreInstantiate& def);
  Result<void> define(Frame& f, const CoreInlineInstance& def);
  Result<void> define(Frame& f, const ComponentDef& def);
  Result<void> define(Frame& f, const Instantiate& def);
  Result<void> define(Frame& f, const InlineInstance& def);
  Result<void> define(Frame& f, const AliasExport& def);
  Result<void> define(Frame& f, const AliasCoreExport& def);
  Result<void> define(Frame& f, const AliasOuter& def);
  Result<void> define(Frame& f, const ResourceDef& def);
  Result<void> define(Frame& f, const CanonLift& def);
  Result<void> define(Frame& f, const CanonLower& def);
  Result<void> define(Frame& f, const CanonBuiltin& def);
  Result<void> define(Frame& f, const ValueDef& def);
  Result<void> define(Frame& f, const Start& def);
  Result<void> define(Frame& f, const Export& def);

  // The item that `what` is; `type` of a type.
  Item item_at(Frame& f, const SortIndex& what, TypeId type) const;
  // Puts an item in its index space.
  void push(Frame& f, const Item& item) const;
  // Learns what resources are that `entity` names.
  void bind(Frame& f, const Entity& entity, const Item& item) const;
  void add_core_func(Frame& f, runtime::FuncInst* func) const;
  ResolvedOptions resolve(Frame& f, const CanonOptions& options) const;

  ComponentStore& store_;
  const std::shared_ptr<Root> root_;
  std::vector<std::shared_ptr<LinkedValue>> made_;  // by start functions
  uint32_t depth_ = 0;  // of instances that are being made inside of each other
};

// Drops what a value owns that nobody takes.
void abandon_all(ComponentStore& store, const Val& v) {
  if (v.is_resource()) store.abandon(v.resource());
  if (v.is_items())
    for (const Val& item : v.items()) abandon_all(store, item);
  if (v.is_case() && v.payload()) abandon_all(store, *v.payload());
}

void Instantiator::give_up() {
  for (const auto& value : made_)
    if (value->val.holds_handles() && !value->taken.exchange(true)) abandon_all(store_, value->val);
  if (root_->instances.empty()) return;
  store_.poison(*root_);
  store_.bury();
}

Error unlinkable(std::string message) { return {ErrorKind::Unlinkable, message}; }

// What comes from outside is not known to be what the types say: components that the embedder
// gives have types of their own.
Result<void> check_sort(std::string_view what, const std::string& name, Sort wanted,
                        const Item& item) {
  if (item.sort == wanted) return {};
  return unlinkable(std::string(what) + " `" + name + "`: expected " +
                    std::string(sort_name(wanted)) + ", found " +
                    std::string(sort_name(item.sort)));
}

Result<std::shared_ptr<ComponentInstance>> Instantiator::run(
    const std::shared_ptr<const Component>& component,
    const std::shared_ptr<ComponentInstance>& outer, const InstanceValue& args) {
  // A component may hold few that instantiate each other, and still mean any number of instances.
  if (store_.instances.size() >= store_.core.limits().instances)
    return Error(ErrorKind::Exhaustion, "too many component instances in the store");
  if (depth_ == kMaxInstanceDepth)
    return Error(ErrorKind::Exhaustion, "component instances are nested too deeply");
  ++depth_;
  auto instance = std::make_shared<ComponentInstance>(store_, component, outer, root_);
  store_.instances.push_back(instance);
  root_->instances.push_back(instance.get());
  Frame frame{*instance, args};
  for (const Definition& definition : component->definitions)
    WAFER_TRY(std::visit([&](const auto& d) { return define(frame, d); }, definition));
  --depth_;
  instance->complete = true;
  return instance;
}

void Instantiator::push(Frame& f, const Item& item) const {
  switch (item.sort) {
    case Sort::CoreModule:
      f.instance.core_modules.push_back(item.module);
      break;
    case Sort::Func:
      f.instance.funcs.push_back(item.func);
      break;
    case Sort::Value:
      f.instance.values.push_back(item.value);
      break;
    case Sort::Component:
      f.instance.components.push_back(item.component);
      break;
    case Sort::Instance:
      f.instance.instances.push_back(item.instance);
      break;
    case Sort::Type:
      break;
  }
}

void Instantiator::bind(Frame& f, const Entity& entity, const Item& item) const {
  const TypeDef& def = f.types()[entity.type];
  if (entity.sort == Sort::Type) {
    if (def.kind == TypeKind::Resource && item.resource)
      f.instance.resources[def.resource] = item.resource;
  } else if (entity.sort == Sort::Instance && item.instance) {
    for (const NamedEntity& e : def.shape->exports)
      if (e.entity.sort == Sort::Type || e.entity.sort == Sort::Instance)
        if (const Item* inner = item.instance->find(e.name)) bind(f, e.entity, *inner);
  }
}

Item Instantiator::item_at(Frame& f, const SortIndex& what, TypeId type) const {
  ComponentInstance& inst = f.instance;
  Item item;
  item.sort = what.sort;
  switch (what.sort) {
    case Sort::CoreModule:
      item.module = inst.core_modules[what.index];
      break;
    case Sort::Func:
      item.func = inst.funcs[what.index];
      break;
    case Sort::Value:
      item.value = inst.values[what.index];
      break;
    case Sort::Component:
      item.component = inst.components[what.index];
      break;
    case Sort::Instance:
      item.instance = inst.instances[what.index];
      break;
    case Sort::Type: {
      const TypeDef& def = f.types()[type];
      if (def.kind != TypeKind::Resource) break;
      if (auto it = inst.resources.find(def.resource); it != inst.resources.end())
        item.resource = it->second;
      break;
    }
  }
  return item;
}

Result<void> Instantiator::define(Frame& f, const Import& def) {
  const Item* item = f.args.find(def.name);
  if (!item) {
    if (def.entity.sort == Sort::Type) return {};
    return unlinkable("unknown import `" + def.name + "`");
  }
  WAFER_TRY(check_sort("import", def.name, def.entity.sort, *item));
  bind(f, def.entity, *item);
  push(f, *item);
  return {};
}

Result<void> Instantiator::define(Frame& f, const CoreModuleDef& def) {
  f.instance.core_modules.push_back(def.module);
  return {};
}

Result<void> Instantiator::define(Frame& f, const CoreInstantiate& def) {
  ComponentInstance& inst = f.instance;
  const auto& module = inst.core_modules[def.module];
  if (!module) return unlinkable("core module is not known");
  std::unordered_map<std::string_view, uint32_t> by_name;
  for (const auto& [name, index] : def.args) by_name.emplace(name, index);
  std::vector<runtime::Extern> imports;
  for (const wasm::Import& import : module->imports) {
    const auto arg = by_name.find(std::string_view(import.module));
    std::optional<runtime::Extern> found;
    if (arg != by_name.end()) found = inst.core_instances[arg->second].find(import.name);
    if (!found)
      return unlinkable("unknown import `" + std::string(import.module) + "` `" +
                        std::string(import.name) + "`");
    imports.push_back(*found);
  }
  const AuxiliaryThread thread(inst, /*may_leave=*/true);
  auto made = store_.core.instantiate(module, imports);
  if (!made.ok()) {
    store_.poison(*root_);
    return made.take_error();
  }
  CoreInstanceValue value;
  value.instance = *made;
  inst.core_instances.push_back(std::move(value));
  return {};
}

Result<void> Instantiator::define(Frame& f, const CoreInlineInstance& def) {
  CoreInstanceValue value;
  for (const CoreExportRef& e : def.exports)
    value.items.emplace(e.name, f.instance.core[size_t(e.sort)][e.index]);
  f.instance.core_instances.push_back(std::move(value));
  return {};
}

Result<void> Instantiator::define(Frame& f, const ComponentDef& def) {
  f.instance.components.push_back({def.component, f.instance.shared_from_this()});
  return {};
}

Result<void> Instantiator::define(Frame& f, const Instantiate& def) {
  const ComponentValue callee = f.instance.components[def.component];
  if (!callee.component) return unlinkable("component is not known");
  InstanceValue args;
  for (const NamedIndex& arg : def.args) args.set(arg.name, item_at(f, arg.what, arg.entity.type));
  // Of one that comes from elsewhere the validator knows only what it was said to be.
  const bool foreign = callee.component->types != f.instance.component->types;
  if (foreign) {
    ItemMatcher matcher(*callee.component);
    for (const NamedEntity& import : callee.component->shape().imports)
      if (const Item* arg = args.find(import.name))
        if (const std::string why = matcher.mismatch(import.entity, *arg); !why.empty())
          return unlinkable("import `" + import.name + "`: " + why);
  }
  WAFER_LET(made, run(callee.component, callee.outer, args));
  Item item;
  item.sort = Sort::Instance;
  item.instance = made->exports;
  Entity entity;
  entity.sort = Sort::Instance;
  entity.type = def.type;
  if (foreign) {
    ItemMatcher matcher(*f.instance.component);
    for (const NamedIndex& arg : def.args) matcher.learn(arg.entity, *args.find(arg.name));
    const std::string why = matcher.mismatch(entity, item);
    if (!why.empty()) return unlinkable("export " + why);
  }
  bind(f, entity, item);
  push(f, item);
  return {};
}

Result<void> Instantiator::define(Frame& f, const InlineInstance& def) {
  auto value = std::make_shared<InstanceValue>();
  for (const NamedIndex& e : def.exports) value->set(e.name, item_at(f, e.what, e.entity.type));
  f.instance.instances.push_back(std::move(value));
  return {};
}

Result<void> Instantiator::define(Frame& f, const AliasExport& def) {
  if (def.sort == Sort::Type) return {};
  const Item* const item = f.instance.instances[def.instance]->find(def.name);
  if (!item) return unlinkable("instance has no export `" + def.name + "`");
  WAFER_TRY(check_sort("export", def.name, def.sort, *item));
  push(f, *item);
  return {};
}

Result<void> Instantiator::define(Frame& f, const AliasCoreExport& def) {
  auto found = f.instance.core_instances[def.instance].find(def.name);
  if (!found) return unlinkable("core instance has no export `" + def.name + "`");
  f.instance.core[size_t(def.sort)].push_back(*found);
  return {};
}

Result<void> Instantiator::define(Frame& f, const AliasOuter& def) {
  const bool module = def.core && def.core_sort == CoreSort::Module;
  if (!module && (def.core || def.sort != Sort::Component)) return {};
  ComponentInstance* from = &f.instance;
  for (uint32_t i = 0; i < def.count; ++i) from = from->outer.get();
  if (module)
    f.instance.core_modules.push_back(from->core_modules[def.index]);
  else
    f.instance.components.push_back(from->components[def.index]);
  return {};
}

Result<void> Instantiator::define(Frame& f, const ResourceDef& def) {
  auto type = std::make_shared<ResourceType>();
  type->impl = &f.instance;
  if (def.destructor)
    type->destructor = std::make_shared<LiftedFunc>(
        def.destructor_type, f.instance,
        f.instance.core[size_t(wasm::ExternKind::Func)][*def.destructor].func, ResolvedOptions{});
  f.instance.resources[f.types()[def.type].resource] = std::move(type);
  return {};
}

ResolvedOptions Instantiator::resolve(Frame& f, const CanonOptions& options) const {
  const auto func = [&](const std::optional<uint32_t>& index) {
    return index ? f.instance.core[size_t(wasm::ExternKind::Func)][*index].func : nullptr;
  };
  ResolvedOptions out;
  out.encoding = options.encoding;
  if (options.memory) {
    out.memory = f.instance.core[size_t(wasm::ExternKind::Memory)][*options.memory].memory;
    out.is64 = out.memory->type().limits.is64;
  }
  out.realloc = func(options.realloc);
  out.is_async = options.is_async;
  out.post_return = func(options.post_return);
  out.callback = func(options.callback);
  return out;
}

Result<void> Instantiator::define(Frame& f, const CanonLift& def) {
  f.instance.funcs.push_back(std::make_shared<LiftedFunc>(
      def.type, f.instance, f.instance.core[size_t(wasm::ExternKind::Func)][def.core_func].func,
      resolve(f, def.options), &def));
  return {};
}

void Instantiator::add_core_func(Frame& f, runtime::FuncInst* func) const {
  runtime::Extern e;
  e.kind = wasm::ExternKind::Func;
  e.func = func;
  f.instance.core[size_t(wasm::ExternKind::Func)].push_back(e);
}

Result<void> Instantiator::define(Frame& f, const CanonLower& def) {
  const auto& func = f.instance.funcs[def.func];
  if (func->may_block() || (f.types()[def.type].is_async && !def.options.is_async))
    f.instance.may_block = true;
  const ResolvedOptions options = resolve(f, def.options);
  runtime::FuncInst* core = nullptr;
  if (const auto* lifted = dynamic_cast<const LiftedFunc*>(func.get())) {
    WAFER_LET(fused, fuse(f.instance, *lifted, def, options));
    core = fused;
  }
  add_core_func(f, core ? core : make_lowered(f.instance, func, def, options));
  return {};
}

Result<void> Instantiator::define(Frame& f, const CanonBuiltin& def) {
  if (builtin_blocks(def)) f.instance.may_block = true;
  if (needs_thread(def.builtin)) f.instance.needs_thread = true;
  if (def.builtin == Builtin::ResourceDrop) {
    const ResourceType* type = f.instance.resource_of(def.type.id);
    if (type && type->impl && type->impl != &f.instance && type->impl->may_block)
      f.instance.may_block = true;
  }
  add_core_func(f, make_builtin(f.instance, def, resolve(f, def.options)));
  return {};
}

Result<void> Instantiator::define(Frame& f, const ValueDef& def) {
  f.instance.values.push_back(std::make_shared<LinkedValue>(def.value));
  return {};
}

Result<void> Instantiator::define(Frame& f, const Start& def) {
  ComponentInstance& inst = f.instance;
  // Nothing runs in instances that are only looked at.
  if (store_.adapters) {
    inst.values.resize(inst.values.size() + def.results);
    return {};
  }
  std::vector<Val> args;
  for (const uint32_t index : def.args) {
    if (!inst.values[index]) return unlinkable("value is not known");
    auto arg = take_value(*inst.values[index]);
    if (!arg.ok()) {
      for (const Val& taken : args) abandon_all(store_, taken);
      return unlinkable(std::string(std::string_view(arg.error().message)));
    }
    args.push_back(*std::move(arg));
  }
  auto results = call(store_, ExportedFunc{inst.funcs[def.func], def.type, &inst}, std::move(args));
  if (!results.ok()) {
    store_.poison(*root_);
    return results.take_error();
  }
  for (Val& result : *results) {
    inst.values.push_back(std::make_shared<LinkedValue>(std::move(result)));
    made_.push_back(inst.values.back());
  }
  return {};
}

Result<void> Instantiator::define(Frame& f, const Export& def) {
  const Item item = item_at(f, def.what, def.inferred.type);
  bind(f, def.entity, item);
  f.instance.exports->set(def.name, item);
  push(f, item);
  return {};
}

}  // namespace

Result<Val> take_value(LinkedValue& value) {
  if (value.val.holds_handles() && value.taken.exchange(true))
    return Error(ErrorKind::Usage, "the resources or streams of a value were given away before");
  return Val(value.val);
}

Result<std::shared_ptr<ComponentInstance>> instantiate(
    ComponentStore& store, const std::shared_ptr<const Component>& component,
    const InstanceValue& args) {
  Instantiator made(store, std::make_shared<Root>());
  auto out = made.run(component, nullptr, args);
  if (!out.ok()) made.give_up();
  return out;
}

}  // namespace wafer::component
