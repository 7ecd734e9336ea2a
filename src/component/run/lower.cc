// "canon lower".
#include "component/run/handles.h"
#include "component/run/linker.h"
#include "component/run/match.h"
#include "component/run/task.h"

namespace wafer::component {

// What follows from the types of a lowered function: the same in all instances.
struct LowerPlan {
  std::vector<ValType> params;
  std::vector<ValType> results;
  bool is_async = false;  // the function's type
  bool flat_params = false, flat_results = false;
  uint32_t param_slots = 0;
  std::string form;  // for functions that take no dynamic values: what theirs has to be
};

namespace {

std::shared_ptr<LowerPlan> make_plan(const Component& component, const CanonLower& def, bool abi) {
  const TypeArena& types = *component.types;
  const TypeDef& func = types[def.type];
  auto plan = std::make_shared<LowerPlan>();
  if (abi) plan->form = func_form(types, func);
  plan->params = param_types(func);
  const Types results = result_types(func);
  plan->results.assign(results.begin(), results.end());
  plan->is_async = func.is_async;
  plan->param_slots = types.core().get(def.signature)->param_slots;
  const uint32_t most = def.options.is_async ? kMaxFlatAsyncParams : kMaxFlatParams;
  const uint32_t most_results = def.options.is_async ? 0 : kMaxFlatResults;
  plan->flat_params = flat_count(types, plan->params) <= most;
  plan->flat_results = flat_count(types, plan->results) <= most_results;
  return plan;
}

struct Lowered {
  ComponentInstance& instance;
  std::shared_ptr<const Func> func;
  const HostFunc* host;  // if it is one
  std::shared_ptr<const LowerPlan> plan;
  TypeId type;
  ResolvedOptions options;
  std::vector<AbiHandle> handles = {};  // for functions that take no dynamic values

  static TrapCode call(void* env, runtime::CallContext&, Slot* slots);
  static TrapCode call_host(void* env, runtime::CallContext&, Slot* slots);
  static TrapCode call_abi(void* env, runtime::CallContext&, Slot* slots);
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
  const Context cx{target.options, target.instance, &subtask->lenders};
  return lift_tuple(cx, target.plan->flat_params, in, target.plan->params, out);
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
  const TrapCode code = lower_tuple(cx, target.plan->flat_results, *result, target.plan->results,
                                    subtask->flat_results, &in);
  if (code != TrapCode::None) {
    target.instance.store.poison(*target.instance.root);
    return code;
  }
  subtask->resolve(Subtask::State::Returned);
  return TrapCode::None;
}

// What the caller of a call gets that has begun.
TrapCode give_or_wait(const Lowered& self, const std::shared_ptr<Call>& call, size_t calls,
                      Slot* slots) {
  ComponentInstance& inst = self.instance;
  ComponentStore& store = inst.store;
  Thread& thread = *store.current;
  const std::shared_ptr<Subtask>& subtask = call->subtask;
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
  if (!self.plan->is_async) {
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
  h.hold(std::shared_ptr<Waitable>(subtask));
  Slot index;
  CANON_TRY(add_handle(inst, std::move(h), index));
  subtask->index = uint32_t(index);
  call->reports = true;
  slots[0] = uint32_t(subtask->state) | uint32_t(index) << 4;
  return TrapCode::None;
}

TrapCode Lowered::call(void* env, runtime::CallContext&, Slot* slots) {
  const Lowered& self = *static_cast<const Lowered*>(env);
  ComponentInstance& inst = self.instance;
  ComponentStore& store = inst.store;
  if (!inst.may_leave()) return store.trap("cannot leave component instance");
  const auto subtask = std::make_shared<Subtask>(inst);
  const auto call = std::make_shared<Call>(Call{self, subtask, {}, {}});
  call->args.assign(slots, slots + self.plan->param_slots);
  call->in = {call->args.data(), call->args.data() + call->args.size()};
  const size_t calls = store.blocked.size();
  CANON_TRY(self.func->call(
      store, Caller{*inst.component->types, self.type, &inst},
      [call](std::vector<Val>& out) { return call->start(out); },
      [call](std::vector<Val>* result) { return call->resolve(result); }, subtask->on_cancel));
  return give_or_wait(self, call, calls, slots);
}

// What the caller gets of a call of the host that has no answer yet. `in`: what is left of the
// arguments.
TrapCode wait_for(const Lowered& self, FlatReader in, Lenders& lenders, const Answer& answer,
                  size_t calls, Slot* slots) {
  const auto subtask = std::make_shared<Subtask>(self.instance);
  subtask->state = Subtask::State::Started;
  subtask->lenders.take(lenders);
  const auto call = std::make_shared<Call>(Call{self, subtask, {}, {}});
  call->args.assign(in.at, in.end);
  call->in = {call->args.data(), call->args.data() + call->args.size()};
  HostFunc::answers_later(
      self.instance.store, answer,
      [call](std::vector<Val>* result) { return call->resolve(result); }, subtask->on_cancel);
  return give_or_wait(self, call, calls, slots);
}

// A call of the host that mostly has its answer at once: then nothing is kept of it.
TrapCode Lowered::call_host(void* env, runtime::CallContext&, Slot* slots) {
  const Lowered& self = *static_cast<const Lowered*>(env);
  ComponentInstance& inst = self.instance;
  ComponentStore& store = inst.store;
  if (!inst.may_leave()) return store.trap("cannot leave component instance");
  const LowerPlan& plan = *self.plan;
  const Room room(store);
  FlatReader in{slots, slots + plan.param_slots};
  Lenders lenders(inst);
  const size_t calls = store.blocked.size();
  const Caller caller{*inst.component->types, self.type, &inst};
  HostCall host{store, caller, std::move(room->args), std::move(room->result), {}};
  const Context cx{self.options, inst, &lenders};
  CANON_TRY(lift_tuple(cx, plan.flat_params, in, plan.params, host.args));
  CANON_TRY(self.host->run(host));
  if (host.answer) return wait_for(self, in, lenders, host.answer, calls, slots);
  const TrapCode code =
      lower_tuple(cx, plan.flat_results, host.result, plan.results, room->flat, &in);
  if (code != TrapCode::None) {
    store.poison(*inst.root);
    return code;
  }
  lenders.release();
  if (self.options.is_async)
    slots[0] = uint32_t(Subtask::State::Returned);
  else
    std::copy(room->flat.begin(), room->flat.end(), slots);
  room->args = std::move(host.args);
  room->result = std::move(host.result);
  return TrapCode::None;
}

// A call of the host without dynamic values.
TrapCode Lowered::call_abi(void* env, runtime::CallContext&, Slot* slots) {
  const Lowered& self = *static_cast<const Lowered*>(env);
  ComponentInstance& inst = self.instance;
  ComponentStore& store = inst.store;
  if (!inst.may_leave()) return store.trap("cannot leave component instance");
  Lenders lenders(inst);
  const Context cx{self.options, inst, &lenders};
  AbiCall call(cx, slots, self.handles);
  Answer answer;
  call.answer = &answer;
  const size_t calls = store.blocked.size();
  ++store.host_calls;
  if (!self.host->abi()(call)) {
    if (call.has_result) store.poison(*inst.root);
    return call.code();
  }
  if (answer) {
    // Where the result goes, if it is not flat, is told behind the parameters.
    const LowerPlan& plan = *self.plan;
    const Slot* const end = slots + plan.param_slots;
    return wait_for(self, {end - !plan.flat_results, end}, lenders, answer, calls, slots);
  }
  lenders.release();
  return TrapCode::None;
}

}  // namespace

runtime::FuncInst* make_lowered(ComponentInstance& instance, std::shared_ptr<const Func> func,
                                const CanonLower& def, const ResolvedOptions& options) {
  AdapterCache& cache = *instance.component->adapters;
  const auto* const host = dynamic_cast<const HostFunc*>(func.get());
  const bool abi = host && host->abi() && !def.options.is_async && !options.is64;
  std::shared_ptr<const LowerPlan> plan;
  {
    const std::lock_guard lock(cache.mutex);
    auto& kept = abi ? cache.lowered_abi[&def] : cache.lowered[&def];
    if (!kept) kept = make_plan(*instance.component, def, abi);
    plan = std::static_pointer_cast<const LowerPlan>(kept);
  }
  const wasm::CanonType* const core = instance.component->types->core().get(def.signature);
  auto* const env = new Lowered{instance, std::move(func), host, plan, def.type, options};
  runtime::HostCallback call = host ? &Lowered::call_host : &Lowered::call;
  // Nothing but the form makes it safe.
  if (abi && plan->form == host->abi().form()) {
    call = &Lowered::call_abi;
    env->handles = abi_handles(instance, (*instance.component->types)[def.type]);
  }
  return instance.store.core.new_host_func(core, call, env, &Lowered::release);
}

}  // namespace wafer::component
