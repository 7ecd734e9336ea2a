// "canon lower".
#include "component/run/handles.h"
#include "component/run/task.h"

namespace wafer::component {

namespace {

struct Lowered {
  ComponentInstance& instance;
  std::shared_ptr<const Func> func;
  TypeId type;
  ResolvedOptions options;
  std::vector<ValType> params;
  std::vector<ValType> results;
  bool is_async;  // the function's type
  uint32_t param_slots;

  static TrapCode call(void* env, runtime::CallContext& context, Slot* slots);
  static void release(void* env) { delete static_cast<Lowered*>(env); }
};

// One call, for as long as it is not over.
struct Call {
  const Lowered& target;
  std::shared_ptr<Subtask> subtask;
  std::vector<Slot> args;
  FlatReader in;
  bool reports = false;  // progress, as events

  TrapCode start(std::vector<Val>& out);
  TrapCode resolve(std::vector<Val>* result);
};

TrapCode Call::start(std::vector<Val>& out) {
  if (reports) subtask->set_pending();
  subtask->state = Subtask::State::Started;
  const Context cx{target.options, target.instance, subtask.get()};
  return lift_values(cx, target.options.is_async ? kMaxFlatAsyncParams : kMaxFlatParams, in,
                     target.params, out);
}

TrapCode Call::resolve(std::vector<Val>* result) {
  if (target.instance.root->poisoned) return TrapCode::None;
  if (reports) subtask->set_pending();
  if (!result) {
    subtask->resolve(subtask->state == Subtask::State::Starting
                         ? Subtask::State::CancelledBeforeStarted
                         : Subtask::State::CancelledBeforeReturned);
    return TrapCode::None;
  }
  const Context cx{target.options, target.instance};
  const TrapCode code = lower_values(cx, target.options.is_async ? 0 : kMaxFlatResults, *result,
                                     target.results, subtask->flat_results, &in);
  if (code != TrapCode::None) {
    target.instance.store.poison(*target.instance.root);
    return code;
  }
  subtask->resolve(Subtask::State::Returned);
  return TrapCode::None;
}

TrapCode Lowered::call(void* env, runtime::CallContext&, Slot* slots) {
  const Lowered& self = *static_cast<const Lowered*>(env);
  ComponentInstance& inst = self.instance;
  ComponentStore& store = inst.store;
  if (!inst.may_leave()) return store.trap("cannot leave component instance");
  Thread& thread = *store.current;
  const auto subtask = std::make_shared<Subtask>(inst);
  const auto call = std::make_shared<Call>(Call{self, subtask, {}, {}});
  call->args.assign(slots, slots + self.param_slots);
  call->in = {call->args.data(), call->args.data() + call->args.size()};
  const size_t calls = store.blocked.size();
  CANON_TRY(self.func->call(
      store, Caller{*inst.component->types, self.type, &inst},
      [call](std::vector<Val>& out) { return call->start(out); },
      [call](std::vector<Val>* result) { return call->resolve(result); }, subtask->on_cancel));

  const auto results = [subtask](std::vector<Slot>& out) {
    subtask->deliver();
    out = subtask->flat_results;
    return TrapCode::None;
  };
  const auto give = [&] {
    subtask->deliver();
    std::copy(subtask->flat_results.begin(), subtask->flat_results.end(), slots);
    return TrapCode::None;
  };
  if (!self.is_async) {
    if (subtask->resolved()) return give();
    return wait_for_blocked(
        store, calls, [subtask] { return subtask->resolved(); }, results, slots);
  }
  if (!self.options.is_async) {
    if (subtask->resolved()) return give();
    subtask->waiter = thread.weak_from_this();
    return thread.wait([subtask] { return subtask->resolved(); }, results);
  }
  if (subtask->resolved()) {
    subtask->deliver();
    slots[0] = uint32_t(Subtask::State::Returned);
    return TrapCode::None;
  }
  Handle h;
  h.kind = HandleKind::Subtask;
  h.waitable = subtask;
  Slot index;
  CANON_TRY(add_handle(inst, std::move(h), index));
  subtask->index = uint32_t(index);
  call->reports = true;
  slots[0] = uint32_t(subtask->state) | uint32_t(index) << 4;
  return TrapCode::None;
}

}  // namespace

runtime::FuncInst* make_lowered(ComponentInstance& instance, std::shared_ptr<const Func> func,
                                TypeId type, const ResolvedOptions& options, uint32_t signature) {
  const TypeDef& def = (*instance.component->types)[type];
  const std::span<const ValType> results = result_types(def);
  const wasm::CanonType* const core = instance.component->types->core().get(signature);
  auto* const env = new Lowered{instance,     std::move(func),  type,
                                options,      param_types(def), {results.begin(), results.end()},
                                def.is_async, core->param_slots};
  return instance.store.core.new_host_func(core, &Lowered::call, env, &Lowered::release);
}

}  // namespace wafer::component
