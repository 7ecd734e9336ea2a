// Engines, stores, references, values and traps of the C API.
#include <algorithm>

#include "api/convert.h"
#include "capi/capi.h"

void wasm_store_t::release() {
  if (--references > 0) return;
  // Finalizers may still use the store's handles.
  references = 1;
  infos.clear();
  trap.reset();
  wafer::capi::destroy(this);
}

namespace wafer::capi {

using runtime::GcHeap;
using runtime::GcHostObject;
using runtime::GcObject;
using wasm::HeapKind;
using wasm::HeapType;

namespace {

void finalize_foreign(void* data) { destroy(static_cast<Foreign*>(data)); }

HeapKind hierarchy(const wasm::TypeRegistry& registry, HeapType type) { return registry.top(type); }

HostInfo* info_of(const wasm_ref_t* ref, bool make) {
  switch (ref->kind) {
    case RefKind::Foreign:
      return &static_cast<Foreign*>(ref->item)->info;
    case RefKind::Trap:
      return &static_cast<TrapData*>(ref->item)->info;
    case RefKind::Gc:
      return nullptr;
    default:
      break;
  }
  auto& infos = ref->store->infos;
  auto it = infos.find(ref->item);
  if (it != infos.end()) return it->second.get();
  if (!make) return nullptr;
  return infos.emplace(ref->item, make_box<HostInfo>()).first->second.get();
}

bool same(const wasm_ref_t* a, const wasm_ref_t* b) {
  if (!a || !b) return a == b;
  if (a->kind != b->kind || a->store != b->store) return false;
  if (a->kind == RefKind::Gc)
    return a->store->store.rooted(a->root) == b->store->store.rooted(b->root);
  return a->item == b->item;
}

}  // namespace

wasm_ref_t* ref_from_bits(wasm_store_t* store, Ref bits, ValType type) {
  if (bits == kNullRef) return nullptr;
  if (hierarchy(store->store.registry(), type.heap()) == HeapKind::Func)
    return new_ref<wasm_ref_t>(RefKind::Func, store, reinterpret_cast<void*>(uintptr_t(bits)));
  auto* ref = new_ref<wasm_ref_t>(RefKind::Gc, store, nullptr);
  ref->root = store->store.root(bits);
  if (!runtime::is_i31(bits)) {
    auto* object = reinterpret_cast<GcObject*>(uintptr_t(bits));
    if (GcHeap::is_host_object(object)) {
      auto* host = static_cast<GcHostObject*>(object);
      if (host->finalize == finalize_foreign) {
        ref->kind = RefKind::Foreign;
        ref->item = host->data;
      }
    }
  }
  return ref;
}

bool ref_to_bits(wasm_store_t* store, const wasm_ref_t* ref, ValType want, Ref& bits) {
  bits = kNullRef;
  if (!want.is_ref()) return false;
  if (!ref) return want.nullable();
  if (ref->store != store) return false;
  const wasm::TypeRegistry& registry = store->store.registry();
  const HeapKind top = hierarchy(registry, want.heap());
  switch (ref->kind) {
    case RefKind::Func:
      if (top != HeapKind::Func) return false;
      bits = uintptr_t(ref->item);
      break;
    case RefKind::Foreign:
    case RefKind::Gc: {
      if (top == HeapKind::Func) return false;
      bits = store->store.rooted(ref->root);
      const bool exception = !runtime::is_i31(bits) &&
                             GcHeap::is_exception(reinterpret_cast<GcObject*>(uintptr_t(bits)));
      if (exception != (top == HeapKind::Exn)) return false;
      // Of which type a continuation is, its object does not say.
      if (top == HeapKind::Cont) return false;
      if (top != HeapKind::Any) return true;
      break;
    }
    default:
      return false;
  }
  return runtime::ref_matches(registry, bits, want.heap());
}

// Numbers have kinds in the same order, and in a value lie as the low bytes of its 64 bits do.
static bool is_number(ValType t) {
  using wasm::TypeKind;
  static_assert(int(TypeKind::I32) - WASM_I32 == int(TypeKind::I64) - WASM_I64 &&
                int(TypeKind::I32) - WASM_I32 == int(TypeKind::F32) - WASM_F32 &&
                int(TypeKind::I32) - WASM_I32 == int(TypeKind::F64) - WASM_F64);
  return t.is_num();
}
static wasm_valkind_t kind_of_number(ValType t) {
  return wasm_valkind_t(int(t.kind()) - int(wasm::TypeKind::I32) + WASM_I32);
}
static bool has_64_bits(ValType t) {
  return t.kind() == wasm::TypeKind::I64 || t.kind() == wasm::TypeKind::F64;
}

WAFER_NOINLINE uint32_t to_slots(wasm_store_t* store, const wasm_val_t& value, ValType want,
                                 Slot* slots) {
  if (is_number(want)) {
    slots[0] = has_64_bits(want) ? uint64_t(value.of.i64) : uint32_t(value.of.i32);
    return value.kind == kind_of_number(want);
  }
  if constexpr (wasm::is_built(wasm::Feature::ReferenceTypes))
    if (want.is_ref())
      return value.kind >= WASM_EXTERNREF && ref_to_bits(store, value.of.ref, want, slots[0]);
  return 0;  // v128 does not fit a wasm_val_t
}

WAFER_NOINLINE wasm_val_t from_slots(wasm_store_t* store, ValType type, const Slot* slots) {
  wasm_val_t v;
  std::memset(&v, 0, sizeof v);
  if (is_number(type)) {
    v.kind = kind_of_number(type);
    if (has_64_bits(type))
      v.of.i64 = int64_t(slots[0]);
    else
      v.of.i32 = int32_t(slots[0]);
    return v;
  }
  v.kind = kind_of(store->store.registry(), type);
  if constexpr (wasm::is_built(wasm::Feature::ReferenceTypes)) {
    if (type.is_ref()) {
      v.of.ref = ref_from_bits(store, slots[0], type);
      return v;
    }
  }
  v.of.i64 = int64_t(slots[0]);
  return v;
}

// ---- Traps

namespace {

wasm_trap_t* trap_ref(wasm_store_t* store, Shared<TrapData> data) {
  TrapData* const p = data.get();
  return new_ref<wasm_trap_t>(RefKind::Trap, store, p, std::move(data));
}

const TrapData& data_of(const wasm_trap_t* trap) { return *static_cast<TrapData*>(trap->item); }

wasm_frame_t* new_frame(wasm_store_t* store, const runtime::BacktraceFrame& f) {
  auto* frame = create<wasm_frame_t>(wasm_frame_t{f, nullptr});
  if (f.instance) frame->instance = new_ref<wasm_instance_t>(RefKind::Instance, store, f.instance);
  return frame;
}

}  // namespace

wasm_trap_t* new_trap(wasm_store_t* store, std::string_view message) {
  auto data = make_shared_in<TrapData>();
  data->trap.code = TrapCode::HostError;
  data->trap.message = message;
  return trap_ref(store, std::move(data));
}

wasm_trap_t* take_trap(wasm_store_t* store) {
  runtime::TrapInfo& info = store->store.trap();
  detail::described_trap(store->store);
  Shared<TrapData> data;
  // A host function's own trap comes back as the same object.
  if (store->trap && info.code == store->trap->trap.code &&
      info.message == store->trap->trap.message)
    data = std::move(store->trap);
  else
    data = make_shared_in<TrapData>();
  store->trap.reset();
  data->trap = std::move(info);
  if (data->trap.message.empty()) data->trap.message = runtime::trap_message(data->trap.code);
  return trap_ref(store, std::move(data));
}

TrapCode call(wasm_store_t* store, FuncInst* func, Slot* slots) {
  runtime::TrapInfo& info = store->store.trap();
  if (WAFER_UNLIKELY(info.code != TrapCode::None)) store->store.clear_trap();
  const TrapCode code = func->call(store->store, func, slots);
  if (WAFER_UNLIKELY(code != TrapCode::None) && info.code != code) store->store.set_trap(code);
  return code;
}

// ---- Host functions

TrapCode HostFunc::invoke(void* self, runtime::CallContext& context, Slot* slots) {
  const HostFunc host = *static_cast<HostFunc*>(self);
  wasm_store_t* const store = store_of(context.store);
  const wasm::FuncType& type = host.type->func;
  const size_t params = type.params.size(), results = type.results.size();
  constexpr size_t kInline = 16;
  wasm_val_t inline_vals[kInline];
  Vec<wasm_val_t> more;
  wasm_val_t* vals = inline_vals;
  if (params + results > kInline) {
    more.resize(params + results);
    vals = more.data();
  }
  const Slot* at = slots;
  for (size_t i = 0; i < params; ++i) {
    vals[i] = from_slots(store, type.params[i], at);
    at += wasm::slot_count(type.params[i]);
  }
  for (size_t i = 0; i < results; ++i) {
    std::memset(&vals[params + i], 0, sizeof(wasm_val_t));
    vals[params + i].kind = kind_of(store->store.registry(), type.results[i]);
  }
  const wasm_val_vec_t args{params, vals};
  wasm_val_vec_t outs{results, vals + params};
  wasm_trap_t* trap = nullptr;
  store->retain();  // the callback may drop the last handle
  if (host.with_caller) {
    wafer_caller_t caller{context};
    trap = host.with_caller(host.env, &caller, &args, &outs);
  } else if (host.with_env) {
    trap = host.with_env(host.env, &args, &outs);
  } else {
    trap = host.plain(&args, &outs);
  }

  TrapCode code = TrapCode::None;
  if (trap) {
    store->trap = shared_cast<TrapData>(trap->owner);
    const runtime::TrapInfo& info = store->trap->trap;
    code = store->store.set_trap(info.code, info.message);
    store->store.trap().exit_code = info.exit_code;
    wasm_trap_delete(trap);
  } else {
    Slot* out = slots;
    for (size_t i = 0; i < results; ++i) {
      if (!to_slots(store, vals[params + i], type.results[i], out)) {
        code =
            store->store.set_trap(TrapCode::HostError, "host function gave a result of wrong type");
        break;
      }
      out += wasm::slot_count(type.results[i]);
    }
    for (size_t i = 0; i < results; ++i) wasm_val_delete(&vals[params + i]);
  }
  if constexpr (wasm::is_built(wasm::Feature::ReferenceTypes))
    for (size_t i = 0; i < params; ++i) wasm_val_delete(&vals[i]);
  store->release();
  return code;
}

void HostFunc::release(void* self) {
  auto* host = static_cast<HostFunc*>(self);
  if (host->finalizer) host->finalizer(host->env);
  destroy(host);
}

wafer_error_t* new_error(Error error) {
  return create<wafer_error_t>(wafer_error_t{std::move(error)});
}
WAFER_NOINLINE wafer_error_t* new_error(Failure failure) { return new_error(std::move(*failure)); }

}  // namespace wafer::capi

using namespace wafer;
using namespace wafer::capi;

extern "C" {

// ---- Engine and store

wasm_config_t* wasm_config_new() { return create<wasm_config_t>(); }
void wasm_config_delete(wasm_config_t* c) { destroy(c); }

wasm_engine_t* wasm_engine_new() { return wasm_engine_new_with_config(wasm_config_new()); }
wasm_engine_t* wasm_engine_new_with_config(wasm_config_t* config) {
  auto* engine = create<wasm_engine_t>(wasm_engine_t{wafer::detail::make_engine(config->config)});
  wasm_config_delete(config);
  return engine;
}
void wasm_engine_delete(wasm_engine_t* e) { destroy(e); }

wasm_store_t* wasm_store_new(wasm_engine_t* engine) {
  return create<wasm_store_t>(engine->engine, runtime::StoreLimits{});
}
void wasm_store_delete(wasm_store_t* s) {
  if (s) s->release();
}

// ---- References

void wasm_ref_delete(wasm_ref_t* r) { destroy(r); }
wasm_ref_t* wasm_ref_copy(const wasm_ref_t* r) { return r ? create<wasm_ref_t>(*r) : nullptr; }
bool wasm_ref_same(const wasm_ref_t* a, const wasm_ref_t* b) { return same(a, b); }
void* wasm_ref_get_host_info(const wasm_ref_t* r) {
  HostInfo* info = info_of(r, false);
  return info ? info->info : nullptr;
}
void wasm_ref_set_host_info(wasm_ref_t* r, void* info) {
  wasm_ref_set_host_info_with_finalizer(r, info, nullptr);
}
void wasm_ref_set_host_info_with_finalizer(wasm_ref_t* r, void* info, void (*finalizer)(void*)) {
  if (HostInfo* slot = info_of(r, true)) slot->set(info, finalizer);
}

#define WAFER_REF_BASE(name)                                                      \
  void wasm_##name##_delete(wasm_##name##_t* r) { wasm_ref_delete(r); }           \
  wasm_##name##_t* wasm_##name##_copy(const wasm_##name##_t* r) {                 \
    return static_cast<wasm_##name##_t*>(wasm_ref_copy(r));                       \
  }                                                                               \
  bool wasm_##name##_same(const wasm_##name##_t* a, const wasm_##name##_t* b) {   \
    return same(a, b);                                                            \
  }                                                                               \
  void* wasm_##name##_get_host_info(const wasm_##name##_t* r) {                   \
    return wasm_ref_get_host_info(r);                                             \
  }                                                                               \
  void wasm_##name##_set_host_info(wasm_##name##_t* r, void* info) {              \
    wasm_ref_set_host_info(r, info);                                              \
  }                                                                               \
  void wasm_##name##_set_host_info_with_finalizer(wasm_##name##_t* r, void* info, \
                                                  void (*finalizer)(void*)) {     \
    wasm_ref_set_host_info_with_finalizer(r, info, finalizer);                    \
  }                                                                               \
  wasm_ref_t* wasm_##name##_as_ref(wasm_##name##_t* r) { return r; }              \
  const wasm_ref_t* wasm_##name##_as_ref_const(const wasm_##name##_t* r) { return r; }
#define WAFER_REF(name, test)                                              \
  WAFER_REF_BASE(name)                                                     \
  wasm_##name##_t* wasm_ref_as_##name(wasm_ref_t* r) {                     \
    return r && (test) ? static_cast<wasm_##name##_t*>(r) : nullptr;       \
  }                                                                        \
  const wasm_##name##_t* wasm_ref_as_##name##_const(const wasm_ref_t* r) { \
    return r && (test) ? static_cast<const wasm_##name##_t*>(r) : nullptr; \
  }
WAFER_REF(trap, r->kind == RefKind::Trap)
WAFER_REF(foreign, r->kind == RefKind::Foreign)
WAFER_REF(module, r->kind == RefKind::Module)
WAFER_REF(func, r->kind == RefKind::Func)
WAFER_REF(global, r->kind == RefKind::Global)
WAFER_REF(table, r->kind == RefKind::Table)
WAFER_REF(memory, r->kind == RefKind::Memory)
WAFER_REF(instance, r->kind == RefKind::Instance)
WAFER_REF(extern, r->kind <= RefKind::Tag)
#undef WAFER_REF
#undef WAFER_REF_BASE

wasm_foreign_t* wasm_foreign_new(wasm_store_t* store) {
  auto* data = create<Foreign>();
  GcHostObject* object = store->store.gc().new_host_object(data, finalize_foreign);
  if (!object) {
    destroy(data);
    return nullptr;
  }
  auto* ref = new_ref<wasm_foreign_t>(RefKind::Foreign, store, data);
  ref->root = store->store.root(uintptr_t(object));
  return ref;
}

// ---- Values

void wasm_val_delete(wasm_val_t* v) {
  if (!wasm_valkind_is_ref(v->kind)) return;
  wasm_ref_delete(v->of.ref);
  v->of.ref = nullptr;
}
void wasm_val_copy(wasm_val_t* out, const wasm_val_t* v) {
  *out = *v;
  if (wasm_valkind_is_ref(v->kind)) out->of.ref = wasm_ref_copy(v->of.ref);
}

// ---- Traps

wasm_trap_t* wasm_trap_new(wasm_store_t* store, const wasm_message_t* message) {
  std::string_view text(message->data, message->size);
  if (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  return new_trap(store, text);
}

void wasm_trap_message(const wasm_trap_t* trap, wasm_message_t* out) {
  const String& message = data_of(trap).trap.message;
  wasm_byte_vec_new(out, message.size() + 1, message.c_str());
}

wasm_frame_t* wasm_trap_origin(const wasm_trap_t* trap) {
  const auto& frames = data_of(trap).trap.backtrace;
  return frames.empty() ? nullptr : new_frame(trap->store, frames[0]);
}

void wasm_trap_trace(const wasm_trap_t* trap, wasm_frame_vec_t* out) {
  const auto& frames = data_of(trap).trap.backtrace;
  wasm_frame_vec_new_uninitialized(out, frames.size());
  for (size_t i = 0; i < frames.size(); ++i) out->data[i] = new_frame(trap->store, frames[i]);
}

wafer_trap_code_t wafer_trap_code(const wasm_trap_t* trap) {
  return wafer_trap_code_t(data_of(trap).trap.code);
}

bool wafer_trap_exit_status(const wasm_trap_t* trap, int32_t* status) {
  const runtime::TrapInfo& info = data_of(trap).trap;
  if (info.code != TrapCode::Exit) return false;
  *status = info.exit_code;
  return true;
}

void wasm_frame_delete(wasm_frame_t* f) {
  if (!f) return;
  wasm_instance_delete(f->instance);
  destroy(f);
}
wasm_frame_t* wasm_frame_copy(const wasm_frame_t* f) {
  return create<wasm_frame_t>(wasm_frame_t{f->frame, wasm_instance_copy(f->instance)});
}
wasm_instance_t* wasm_frame_instance(const wasm_frame_t* f) { return f->instance; }
uint32_t wasm_frame_func_index(const wasm_frame_t* f) { return f->frame.func_index; }
size_t wasm_frame_module_offset(const wasm_frame_t* f) { return f->frame.module_offset; }
size_t wasm_frame_func_offset(const wasm_frame_t* f) {
  if (!f->instance) return 0;
  const wasm::Module& module = *static_cast<runtime::Instance*>(f->instance->item)->module;
  const size_t begin = module.functions[f->frame.func_index].body.begin;
  return f->frame.module_offset >= begin ? f->frame.module_offset - begin : 0;
}
const char* wafer_frame_func_name(const wasm_frame_t* f) { return f->frame.func_name.c_str(); }
const char* wafer_frame_module_name(const wasm_frame_t* f) { return f->frame.module_name.c_str(); }
const char* wafer_frame_source(const wasm_frame_t* f) { return f->frame.source.c_str(); }
bool wafer_frame_is_inlined(const wasm_frame_t* f) { return f->frame.inlined; }

}  // extern "C"
