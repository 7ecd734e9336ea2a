#include "component/run/linker.h"

#include <algorithm>

#include "component/names.h"
#include "component/run/call.h"
#include "component/run/handles.h"
#include "component/run/instantiate.h"
#include "component/run/match.h"
#include "component/shape.h"

namespace wafer::component {

// ---- Host functions

// May outlive the store, in other threads. What is to be done with the answer is the store's.
struct Answer::State {
  const std::weak_ptr<ComponentStore::Door> door;
  std::function<bool()> on_cancel;
  uint64_t waiting = 0;  // who waits, among store.answers

  State(ComponentStore& s, std::function<bool()> c) : door(s.door), on_cancel(std::move(c)) {}
  ~State();

  // Has `job` done by the store's thread, if the store is still there.
  template <class F>
  void post(F job) const {
    const auto d = door.lock();
    if (!d) return;
    const std::lock_guard lock(d->mutex);
    if (ComponentStore* const store = d->store)
      store->post([store, job = std::move(job)] { return job(*store); });
  }
};

// What the last answer leaves behind.
Answer::State::~State() {
  if (!waiting) return;
  post([id = waiting](ComponentStore& s) {
    if (s.answers.erase(id) == 0) return TrapCode::None;
    --s.outstanding;
    return s.trap("host function gave no answer");
  });
}

namespace {

TrapCode finish(ComponentStore& store, uint64_t& waiting, std::vector<Val>* result) {
  const auto found = store.answers.extract(std::exchange(waiting, 0));
  if (!found) return TrapCode::None;
  --store.outstanding;
  return found.mapped()(result);
}

}  // namespace

void Answer::complete(std::vector<Val> result) const {
  state_->post([s = state_, r = std::make_shared<std::vector<Val>>(std::move(result))](
                   ComponentStore& store) { return finish(store, s->waiting, r.get()); });
}

void Answer::cancel() const {
  state_->post([s = state_](ComponentStore& store) { return finish(store, s->waiting, nullptr); });
}

void Answer::fail(std::string message) const {
  state_->post([s = state_, m = std::move(message)](ComponentStore& store) {
    if (store.answers.erase(std::exchange(s->waiting, 0)) == 0) return TrapCode::None;
    --store.outstanding;
    return store.trap(m);
  });
}

Answer Answer::later(ComponentStore& store, std::function<bool()> on_cancel) {
  Answer out;
  out.state_ = std::make_shared<State>(store, std::move(on_cancel));
  return out;
}

Answer HostCall::later(std::function<bool()> on_cancel) {
  answer = Answer::later(store, std::move(on_cancel));
  return answer;
}

TrapCode HostFunc::call(ComponentStore& store, const Caller& caller, OnStart on_start,
                        OnResolve on_resolve, OnCancel& on_cancel) const {
  HostCall call{store, caller, {}, {}, {}};
  CANON_TRY(on_start(call.args));
  CANON_TRY(run(call));
  if (!call.answer) return on_resolve(&call.result);
  answers_later(store, call.answer, std::move(on_resolve), on_cancel);
  return TrapCode::None;
}

TrapCode HostFunc::run(HostCall& call) const {
  ++call.store.host_calls;
  return function_(call);
}

void HostFunc::answers_later(ComponentStore& store, const Answer& answer, OnResolve on_resolve,
                             OnCancel& on_cancel) {
  answer.state_->waiting = ++store.answers_asked;
  store.answers.emplace(store.answers_asked, std::move(on_resolve));
  ++store.outstanding;
  on_cancel = [&store, weak = std::weak_ptr(answer.state_)] {
    const auto s = weak.lock();
    if (!s || !s->waiting || !s->on_cancel || !std::exchange(s->on_cancel, nullptr)())
      return TrapCode::None;
    return finish(store, s->waiting, nullptr);
  };
}

// ---- Definitions

HostInstance& HostInstance::func(std::string name, HostFunction function, bool blocks,
                                 std::string signature, AbiFunction abi) {
  Item item;
  item.sort = Sort::Func;
  item.func =
      std::make_shared<HostFunc>(std::move(function), blocks, std::move(signature), std::move(abi));
  value_->set(std::move(name), std::move(item));
  return *this;
}

std::shared_ptr<ResourceType> HostInstance::resource(std::string name,
                                                     std::function<void(uint64_t)> on_drop) {
  auto type = std::make_shared<ResourceType>();
  type->name = name;
  type->on_drop = std::move(on_drop);
  resource(std::move(name), type);
  return type;
}

HostInstance& HostInstance::resource(std::string name, std::shared_ptr<ResourceType> type) {
  Item item;
  item.sort = Sort::Type;
  item.resource = std::move(type);
  value_->set(std::move(name), std::move(item));
  return *this;
}

HostInstance& HostInstance::module(std::string name, std::shared_ptr<const wasm::Module> module) {
  Item item;
  item.sort = Sort::CoreModule;
  item.module = std::move(module);
  value_->set(std::move(name), std::move(item));
  return *this;
}

HostInstance& HostInstance::value(std::string name, Val value) {
  Item item;
  item.sort = Sort::Value;
  item.value = std::make_shared<LinkedValue>(std::move(value));
  value_->set(std::move(name), std::move(item));
  return *this;
}

HostInstance HostInstance::instance(std::string name) {
  if (const Item* item = value_->find(name); item && item->instance)
    return HostInstance(item->instance);
  Item item;
  item.sort = Sort::Instance;
  item.instance = std::make_shared<InstanceValue>();
  HostInstance out(item.instance);
  value_->set(std::move(name), std::move(item));
  return out;
}

HostInstance ComponentLinker::instance(std::string name) {
  return root().instance(std::move(name));
}

// ---- Instantiation and calls

Result<void> ComponentLinker::arguments(const Component& component, InstanceValue& args) const {
  std::string missing;
  ItemMatcher matcher(component);
  // What is there by what compatible versions have in common, from the first import on that is
  // not there under its own name.
  std::unordered_map<std::string_view, const Item*> compatible;
  const auto find = [&](std::string_view name) {
    const Item* const same = root_->find(name);
    if (same) return same;
    if (compatible.empty())
      for (const auto& [offered, item] : root_->items())
        compatible.try_emplace(common_name(offered), &item);
    const auto it = compatible.find(common_name(name));
    return it == compatible.end() ? nullptr : it->second;
  };
  for (const NamedEntity& import : component.shape().imports) {
    const Item* const item = find(import.name);
    std::string why;
    if (!item) {
      // Types are what the component says they are.
      if (import.entity.sort == Sort::Type &&
          (*component.types)[import.entity.type].kind != TypeKind::Resource)
        continue;
      // An instance of nothing but types needs nobody.
      if (import.entity.sort == Sort::Instance && only_types(component, import.entity)) {
        Item empty;
        empty.sort = Sort::Instance;
        empty.instance = std::make_shared<InstanceValue>();
        args.set(import.name, std::move(empty));
        continue;
      }
      std::vector<std::string_view> there;
      for (const auto& [offered, any] : root_->items()) there.push_back(offered);
      why = "unknown import" + other_versions(import.name, there);
    } else {
      why = matcher.mismatch(import.entity, *item);
    }
    if (why.empty()) {
      args.set(import.name, *item);
      continue;
    }
    missing += (missing.empty() ? "" : "; ") + std::string("`") + import.name + "`: " + why;
  }
  if (!missing.empty()) return Error(ErrorKind::Unlinkable, "component imports " + missing);
  return {};
}

Result<void> ComponentLinker::check(const Component& component) const {
  InstanceValue args;
  return arguments(component, args);
}

Result<std::shared_ptr<ComponentInstance>> ComponentLinker::instantiate(
    ComponentStore& store, const std::shared_ptr<const Component>& component) const {
  std::shared_ptr<InstanceValue> args;
  const uint64_t changes = root_->changes();
  {
    const std::lock_guard lock(kept_->mutex);
    // Another component may lie where one lay that is gone.
    if (const auto it = kept_->components.find(component.get()); it != kept_->components.end() &&
                                                                 it->second.changes == changes &&
                                                                 !it->second.component.expired())
      args = it->second.args;
  }
  if (!args) {
    args = std::make_shared<InstanceValue>();
    WAFER_TRY(arguments(*component, *args));
    const std::lock_guard lock(kept_->mutex);
    // What is kept of components that are gone goes with the next one.
    std::erase_if(kept_->components,
                  [](const auto& entry) { return entry.second.component.expired(); });
    kept_->components[component.get()] = {component, changes, args};
  }
  return component::instantiate(store, component, *args);
}

namespace {

// What an instance exports, itself or by an interface; nulls: there is nothing.
std::pair<const Item*, const Entity*> find_export(ComponentInstance& instance,
                                                  std::string_view name, std::string_view interface,
                                                  Sort sort) {
  const TypeArena& types = *instance.component->types;
  const InstanceValue* items = instance.exports.get();
  const EntityList* entities = &instance.component->shape().exports;
  if (!interface.empty()) {
    const Item* found = nullptr;
    for (const NamedEntity& e : *entities) {
      if (e.entity.sort != Sort::Instance) continue;
      if (e.name != interface && !names_match(interface, e.name)) continue;
      found = items->find(e.name);
      entities = &types[e.entity.type].shape->exports;
      break;
    }
    if (!found) return {};
    items = found->instance.get();
  }
  const Item* const item = items->find(name);
  const Entity* const entity = entities->find(name);
  if (!item || !entity || entity->sort != sort) return {};
  return {item, entity};
}

}  // namespace

ExportedFunc find_func(ComponentInstance& instance, std::string_view name,
                       std::string_view interface) {
  const auto [item, entity] = find_export(instance, name, interface, Sort::Func);
  return item ? ExportedFunc{item->func, entity->type, &instance} : ExportedFunc{};
}

std::shared_ptr<LinkedValue> find_value(ComponentInstance& instance, std::string_view name,
                                        std::string_view interface) {
  const auto [item, entity] = find_export(instance, name, interface, Sort::Value);
  return item ? item->value : nullptr;
}

namespace {

// What ends a call of the embedder's.
Error error_of(ComponentStore& store, TrapCode code) {
  if (store.core.trap().code != code) store.core.set_trap(code);
  Error out = store.core.trap_error();
  store.bury();
  return out;
}

}  // namespace

bool has_tasks(const ComponentStore& store) {
  return std::any_of(store.instances.begin(), store.instances.end(),
                     [](const auto& i) { return !i->root->poisoned && i->threads.live() != 0; });
}

Result<void> run(ComponentStore& store, const std::function<bool()>& done, uint64_t most) {
  if (store.current || store.depth)
    return Error(ErrorKind::Usage, "code of a component runs already");
  store.core.clear_trap();
  const TrapCode code = store.run_until(done, ComponentStore::WhenIdle::Return, most);
  if (code == TrapCode::None) return {};
  return error_of(store, code);
}

Result<void> finish(ComponentStore& store) {
  return run(store, [&] { return !has_tasks(store); });
}

namespace {

// Whether the code can neither wait nor ask what task it is of, and nothing else runs.
bool runs_at_once(const ComponentStore& store, const LiftedFunc& func) {
  return func.instance.complete && !func.instance.may_block && !func.instance.needs_thread &&
         !func.def().is_async && !func.options.is_async && !store.current;
}

// A call of such code, without a task of its own. `lower` and `lift` have a Context and core
// values.
template <class Lower, class Lift>
TrapCode call_at_once(ComponentStore& store, const LiftedFunc& func, Lower&& lower, Lift&& lift) {
  ComponentInstance& inst = func.instance;
  if (inst.root->poisoned) return store.trap("cannot enter component instance");
  if (store.depth >= ComponentStore::kMaxDepth)
    return store.core.set_trap(TrapCode::CallStackExhausted);
  const AuxiliaryThread scope(inst, /*may_leave=*/true);
  Task& task = *store.current->task;
  ++store.depth;
  const auto run = [&]() -> TrapCode {
    const wasm::CanonType& type = *func.core->type;
    const Context cx{func.options, inst, nullptr, &task};
    // Parameters and results are flat, or pointers.
    Slot few[kMaxFlatParams + 1] = {};
    std::vector<Slot> many;
    std::span<Slot> slots(few);
    const size_t count = std::max(type.param_slots, type.result_slots);
    if (count > std::size(few)) {
      many.resize(count);
      slots = many;
    }
    CANON_TRY(lower(cx, slots));
    CANON_TRY(store.core.call_raw(func.core, slots.data()));
    CANON_TRY(lift(cx, slots));
    if (task.borrows > 0) return store.trap("borrow handles still remain at the end of the call");
    if (!func.options.post_return) return TrapCode::None;
    inst.set_may_leave(false);
    CANON_TRY(store.core.call_raw(func.options.post_return, slots.data()));
    inst.set_may_leave(true);
    return TrapCode::None;
  };
  const TrapCode code = run();
  --store.depth;
  task.borrows = 0;
  return code;
}

}  // namespace

Result<std::vector<Val>> call(ComponentStore& store, const ExportedFunc& func,
                              std::vector<Val> args) {
  if (!func) return Error(ErrorKind::Usage, "null function");
  const Caller caller = func.caller();
  if (args.size() != caller.def().labels.size())
    return Error(ErrorKind::Usage, "wrong number of arguments: " +
                                       std::to_string(caller.def().labels.size()) + " expected");
  if (const auto* const lifted = dynamic_cast<const LiftedFunc*>(func.func.get());
      lifted && runs_at_once(store, *lifted)) {
    store.core.clear_trap();
    std::vector<Val> result;
    const TypeDef& def = lifted->def();
    const TrapCode code = call_at_once(
        store, *lifted,
        [&](const Context& cx, std::span<Slot> slots) {
          std::vector<Slot> flat;
          flat.reserve(slots.size());
          CANON_TRY(lower_values(cx, kMaxFlatParams, args, lifted->params, flat));
          std::copy(flat.begin(), flat.end(), slots.begin());
          return TrapCode::None;
        },
        [&](const Context& cx, std::span<Slot> slots) {
          FlatReader in{slots.data(), slots.data() + slots.size()};
          return lift_values(cx, kMaxFlatResults, in, result_types(def), result);
        });
    if (code == TrapCode::None) return result;
    store.poison(*lifted->instance.root);
    return error_of(store, code);
  }
  struct State {
    std::vector<Val> args, result;
    bool done = false;
  };
  const auto state = std::make_shared<State>();
  state->args = std::move(args);
  OnCancel cancel;
  store.core.clear_trap();
  TrapCode code = func.func->call(
      store, caller,
      [state](std::vector<Val>& out) {
        out = std::move(state->args);
        return TrapCode::None;
      },
      [state](std::vector<Val>* result) {
        if (result) state->result = std::move(*result);
        state->done = true;
        return TrapCode::None;
      },
      cancel);
  if (code == TrapCode::None) code = store.run_until([&] { return state->done; });
  if (code == TrapCode::None) {
    // A call of the embedder that waited for a task which may not be interrupted is over.
    std::erase_if(store.blocked, [](const BlockedCall& b) { return !b.thread; });
    return std::move(state->result);
  }
  return error_of(store, code);
}

std::shared_ptr<const DirectTarget> direct_target(const ExportedFunc& func) {
  const auto* const lifted = dynamic_cast<const LiftedFunc*>(func.func.get());
  if (!lifted || lifted->options.is64 || lifted->options.is_async || lifted->def().is_async)
    return nullptr;
  return std::make_shared<const DirectTarget>(
      DirectTarget{func.func, *lifted, abi_handles(lifted->instance, lifted->def())});
}

Result<bool> call(ComponentStore& store, const DirectTarget& target, AbiHalf lower, AbiHalf lift,
                  void* env) {
  const LiftedFunc& func = target.func;
  if (!runs_at_once(store, func)) return false;
  store.core.clear_trap();
  const char* failure = nullptr;
  bool entered = true;
  const TrapCode code = call_at_once(
      store, func,
      [&](const Context& cx, std::span<Slot> slots) {
        AbiCall call(cx, slots.data(), target.handles);
        if (lower(env, call)) return TrapCode::None;
        failure = call.scope.failure;
        entered = !failure || call.gave_handle;
        return call.code();
      },
      [&](const Context& cx, std::span<Slot> slots) {
        AbiCall call(cx, slots.data(), target.handles);
        if (lift(env, call)) return TrapCode::None;
        // The call itself has gone well.
        failure = call.scope.failure;
        return failure ? TrapCode::None : call.code();
      });
  // Nothing has happened to the component when its function has not been called.
  if (code != TrapCode::None && entered) {
    store.poison(*func.instance.root);
    return error_of(store, code);
  }
  if (failure) {
    store.core.clear_trap();
    return Error(ErrorKind::Usage, failure);
  }
  return true;
}

}  // namespace wafer::component
