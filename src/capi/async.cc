// Calls that can wait, in C.
#include "runtime/async.h"

#include "capi/capi.h"

#if WAFER_HAS_OS

using namespace wafer;
using namespace wafer::capi;

using Status = runtime::Computation::Status;

struct wafer_future_t {
  wasm_store_t* store;
  Box<runtime::Computation> computation;
};

struct wafer_completion_t {
  Shared<runtime::PendingCall> call;
  wasm_store_t* store;  // only for references, and while it is not cancelled
};

namespace {

static_assert(WAFER_FUTURE_RUNNING == int(Status::Running) &&
              WAFER_FUTURE_FINISHED == int(Status::Finished));

struct LaterFunc {
  const wasm::CanonType* type;
  wafer_async_callback_t callback;
  void* env;
  void (*finalizer)(void*);

  static TrapCode invoke(void* self, runtime::CallContext& context, Slot* slots) {
    const LaterFunc& host = *static_cast<LaterFunc*>(self);
    wasm_store_t* const store = store_of(context.store);
    auto call = runtime::Computation::begin(context);
    if (!call) return runtime::pending_without_fiber(context.store);
    const Vec<ValType>& params = host.type->func.params;
    wasm_val_vec_t args;
    wasm_val_vec_new_uninitialized(&args, params.size());
    const Slot* at = slots;
    for (size_t i = 0; i < params.size(); ++i) {
      args.data[i] = from_slots(store, params[i], at);
      at += wasm::slot_count(params[i]);
    }
    wafer_caller_t caller{context};
    host.callback(host.env, &caller, &args,
                  create<wafer_completion_t>(wafer_completion_t{std::move(call), store}));
    wasm_val_vec_delete(&args);
    return TrapCode::Pending;
  }
  static void release(void* self) {
    auto* host = static_cast<LaterFunc*>(self);
    if (host->finalizer) host->finalizer(host->env);
    destroy(host);
  }
};

LaterFunc* later(runtime::Engine& engine, const wasm_functype_t* type,
                 wafer_async_callback_t callback, void* env, void (*finalizer)(void*)) {
  wasm::TypeRegistry& registry = *engine.registry();
  return create<LaterFunc>(
      LaterFunc{registry.get(registry.intern_func(to_func_type(*type))), callback, env, finalizer});
}

struct Wake final : runtime::Waker {
  void (*call)(void*);
  void* env;
  Wake(void (*c)(void*), void* e) : call(c), env(e) {}
  void wake() override { call(env); }
};

}  // namespace

extern "C" {

wasm_func_t* wafer_func_new_async(wasm_store_t* store, const wasm_functype_t* type,
                                  wafer_async_callback_t callback, void* env,
                                  void (*finalizer)(void*)) {
  LaterFunc* const host = later(store->store.engine(), type, callback, env, finalizer);
  return new_ref<wasm_func_t>(
      RefKind::Func, store,
      store->store.new_host_func(host->type, &LaterFunc::invoke, host, &LaterFunc::release));
}

wafer_error_t* wafer_linker_define_async_func(wafer_linker_t* l, const char* module,
                                              const char* name, const wasm_functype_t* type,
                                              wafer_async_callback_t callback, void* env,
                                              void (*finalizer)(void*)) {
  auto defined =
      l->linker.define_func(module, name, to_func_type(*type), &LaterFunc::invoke,
                            later(*l->engine, type, callback, env, finalizer), &LaterFunc::release);
  return defined.ok() ? nullptr : new_error(defined.take_error());
}

void wafer_completion_finish(wafer_completion_t* c, const wasm_val_vec_t* results) {
  const Vec<ValType>& types = c->call->type().func.results;
  const size_t count = results ? results->size : 0;
  bool fits = count == types.size();
  Vec<Slot> slots(2 * count);
  Slot* at = slots.data();
  for (size_t i = 0; fits && i < count && !c->call->cancelled(); ++i) {
    fits = to_slots(c->store, results->data[i], types[i], at) != 0;
    at += wasm::slot_count(types[i]);
  }
  if (fits)
    c->call->finish({slots.data(), at});
  else
    c->call->fail(TrapCode::HostError, "wrong results of a host function");
  destroy(c);
}
void wafer_completion_fail(wafer_completion_t* c, const char* message) {
  c->call->fail(TrapCode::HostError, message);
  destroy(c);
}
bool wafer_completion_cancelled(const wafer_completion_t* c) { return c->call->cancelled(); }

wafer_error_t* wafer_func_call_async(const wasm_func_t* f, const wasm_val_vec_t* args,
                                     wafer_future_t** out) {
  *out = nullptr;
  auto* func = static_cast<FuncInst*>(f->item);
  const Vec<ValType>& params = func->type->func.params;
  const size_t count = args ? args->size : 0;
  if (count != params.size())
    return new_error(Error(ErrorKind::Usage, "wrong number of arguments"));
  Vec<runtime::Value> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i].type = params[i];
    if (!to_slots(f->store, args->data[i], params[i], values[i].bits))
      return new_error(Error(ErrorKind::Usage, "wrong type of argument"));
  }
  auto computation = runtime::Computation::create(f->store->store, func, values);
  if (!computation.ok()) return new_error(computation.take_error());
  f->store->retain();
  *out = create<wafer_future_t>(wafer_future_t{f->store, *std::move(computation)});
  return nullptr;
}
void wafer_future_delete(wafer_future_t* f) {
  if (!f) return;
  wasm_store_t* const store = f->store;
  runtime::Computation::dispose(std::move(f->computation));
  destroy(f);
  store->release();
}
wafer_future_status_t wafer_future_status(const wafer_future_t* f) {
  return wafer_future_status_t(f->computation->status());
}
wafer_future_status_t wafer_future_resume(wafer_future_t* f) {
  return wafer_future_status_t(f->computation->resume());
}
wafer_future_status_t wafer_future_end(wafer_future_t* f) {
  return wafer_future_status_t(f->computation->end());
}
void wafer_future_wait(const wafer_future_t* f) { f->computation->wait(); }
void wafer_future_on_wake(wafer_future_t* f, void (*wake)(void*), void* env) {
  f->computation->wake_by(wake ? make_shared_in<Wake>(wake, env) : nullptr);
}
wasm_trap_t* wafer_future_result(const wafer_future_t* f, wasm_val_vec_t* results) {
  const runtime::Computation& c = *f->computation;
  if (c.status() != Status::Finished) return new_trap(f->store, "the call has not finished");
  if (c.trap().code != TrapCode::None) {
    f->store->store.trap() = c.trap();
    return take_trap(f->store);
  }
  const Slot* at = c.results().data();
  const Vec<ValType>& types = c.type().func.results;
  const size_t room = std::min(types.size(), results ? results->size : 0);
  for (size_t i = 0; i < room; ++i) {
    results->data[i] = from_slots(f->store, types[i], at);
    at += wasm::slot_count(types[i]);
  }
  return nullptr;
}

}  // extern "C"

#endif
