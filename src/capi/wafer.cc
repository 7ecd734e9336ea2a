// What include/wafer.h adds to the standard C API.
#include "capi/capi.h"
#include "interp/xip.h"

using namespace wafer;
using namespace wafer::capi;

extern "C" {

const char* wafer_version() { return WAFER_VERSION; }

void wafer_set_allocator(void* (*allocate)(void*, size_t, size_t),
                         void (*release)(void*, void*, size_t, size_t), void* context) {
  set_allocator({allocate, release, context});
}

// ---- Errors

void wafer_error_delete(wafer_error_t* e) { destroy(e); }
wafer_error_kind_t wafer_error_kind(const wafer_error_t* e) {
  return wafer_error_kind_t(e->error.kind);
}
const char* wafer_error_message(const wafer_error_t* e) { return e->error.message.c_str(); }
uint64_t wafer_error_offset(const wafer_error_t* e) { return e->error.offset; }

// ---- Configuration

static_assert(WAFER_FEATURE_REFERENCE_TYPES == unsigned(wasm::Feature::ReferenceTypes));
static_assert(WAFER_TRAP_EXIT == unsigned(TrapCode::Exit));
static_assert(WAFER_TRAP_UNHANDLED_TAG == unsigned(TrapCode::UnhandledTag));
static_assert(WAFER_ERROR_IO == unsigned(ErrorKind::Io));

void wafer_config_feature_set(wasm_config_t* c, wafer_feature_t feature, bool enable) {
  if (feature < unsigned(wasm::Feature::Count))
    c->config.features.set(wasm::Feature(feature), enable);
}
void wafer_config_trim_memories_set(wasm_config_t* c, bool enable) {
  c->config.trim_memories = enable;
}
static_assert(sizeof(wafer_memory_storage_t) == sizeof(MemoryStorage) &&
              offsetof(wafer_memory_storage_t, give_back) == offsetof(MemoryStorage, give_back) &&
              offsetof(wafer_memory_storage_t, env) == offsetof(MemoryStorage, env));
void wafer_config_memory_storage_set(wasm_config_t* c, const wafer_memory_storage_t* storage) {
  c->config.memory_storage = reinterpret_cast<const MemoryStorage*>(storage);
}
void wafer_config_code_budget_set(wasm_config_t* c, size_t bytes) { c->config.code_budget = bytes; }
void wafer_config_consume_fuel_set(wasm_config_t* c, bool enable) {
  c->config.consume_fuel = enable;
}
void wafer_config_interruptible_set(wasm_config_t* c, bool enable) {
  c->config.interruptible = enable;
}
void wafer_config_guard_pages_set(wasm_config_t* c, bool enable) { c->config.guard_pages = enable; }
void wafer_config_signals_set(wasm_config_t* c, bool enable) { c->config.signals = enable; }
void wafer_config_optimizer_library_set(wasm_config_t* c, const char* path) {
  c->config.optimizer_library = path ? path : "";
}
void wafer_config_warning_set(wasm_config_t* c, wafer_warning_callback_t callback, void* env) {
  c->config.warning = callback;
  c->config.warning_env = env;
}
void wafer_config_stack_size_set(wasm_config_t* c, size_t bytes) { c->config.stack_bytes = bytes; }
void wafer_config_nested_calls_set(wasm_config_t* c, uint32_t calls) {
  c->config.nested_calls = calls;
}

static_assert(WAFER_TIER_AUTO == int(Tier::Auto) && WAFER_TIER_BASELINE == int(Tier::Baseline));
static_assert(WAFER_TIER_INTERPRETER == int(Tier::Interpreter) &&
              WAFER_TIER_OPTIMIZED == int(Tier::Optimized) &&
              WAFER_TIER_IN_PLACE == int(Tier::InPlace) &&
              WAFER_TIER_OPTIMIZING == int(Tier::Optimizing));

void wafer_config_tier_set(wasm_config_t* c, wafer_tier_t tier) {
  if (tier <= WAFER_TIER_OPTIMIZING) c->config.tier = Tier(tier);
}
void wafer_config_opt_level_set(wasm_config_t* c, unsigned level) { c->config.opt_level = level; }
void wafer_config_relaxed_traps_set(wasm_config_t* c, bool enable) {
  c->config.relaxed_traps = enable;
}
void wafer_config_cache_set(wasm_config_t* c, const char* folder, uint64_t max_bytes) {
  c->config.cache_folder = folder ? folder : "";
  c->config.cache_bytes = max_bytes;
}
void wafer_config_pooled_memories_set(wasm_config_t* c, uint32_t count) {
  c->config.pooled_memories = count;
}

#if WAFER_HAS_OS
bool wafer_handle_signal(int signal, void* info, void* context) {
  return handle_signal(signal, info, context);
}
void wafer_install_signal_handlers() { install_signal_handlers(); }
#endif

// ---- Store

wafer_limits_t wafer_limits_default() {
  const runtime::StoreLimits l;
  return {l.memory_bytes, l.table_elements, l.instances, l.gc_heap_bytes};
}
wasm_store_t* wafer_store_new_with_limits(wasm_engine_t* engine, const wafer_limits_t* limits) {
  runtime::StoreLimits l;
  l.memory_bytes = limits->memory_bytes;
  l.table_elements = limits->table_elements;
  l.instances = limits->instances;
  l.gc_heap_bytes = limits->gc_heap_bytes;
  return create<wasm_store_t>(engine->engine, l);
}
void wafer_store_set_fuel(wasm_store_t* s, uint64_t fuel) {
  s->store.fuel = fuel > uint64_t(INT64_MAX) ? INT64_MAX : int64_t(fuel);
}
uint64_t wafer_store_fuel(const wasm_store_t* s) {
  return s->store.fuel > 0 ? uint64_t(s->store.fuel) : 0;
}
void wafer_store_interrupt(wasm_store_t* s) { s->store.interrupt(); }
void wafer_store_clear_interrupt(wasm_store_t* s) {
  s->store.interrupt_flag.store(0, std::memory_order_relaxed);
}
void wafer_store_gc(wasm_store_t* s) { s->store.gc().collect(); }

// ---- Modules

static wafer_error_t* give(wasm_store_t* store, Result<Shared<wasm::Module>> module,
                           wasm_module_t** out) {
  *out = nullptr;
  if (!module) return new_error(module.take_failure());
  *out = new_module(store, *std::move(module));
  return nullptr;
}
wafer_error_t* wafer_module_new(wasm_store_t* store, const wasm_byte_vec_t* binary,
                                wasm_module_t** out) {
  return give(store, store->store.engine().load_module(bytes_of(*binary), true), out);
}
wafer_error_t* wafer_module_precompile(wasm_engine_t* engine, const wasm_byte_vec_t* binary,
                                       wasm_byte_vec_t* out) {
  wasm_byte_vec_new_empty(out);
  auto code = Module::precompile(Engine(engine->engine), bytes_of(*binary));
  if (!code) return new_error(code.take_failure());
  wasm_byte_vec_new(out, code->size(), reinterpret_cast<const wasm_byte_t*>(code->data()));
  return nullptr;
}
wafer_error_t* wafer_module_load_compiled(wasm_store_t* store, const wasm_byte_vec_t* code,
                                          wasm_module_t** out) {
  return give(store, store->store.engine().load_code(bytes_of(*code)), out);
}
wafer_error_t* wafer_module_load_compiled_file(wasm_store_t* store, const char* path,
                                               wasm_module_t** out) {
  return give(store, store->store.engine().map_code(path), out);
}
wafer_error_t* wafer_module_new_in_place(wasm_store_t* store, const void* binary, size_t size,
                                         wasm_module_t** out) {
  const Bytes bytes(static_cast<const uint8_t*>(binary), size);
  return give(store, store->store.engine().load_module(bytes, false), out);
}
wafer_error_t* wafer_module_attach_code(wasm_module_t* m, const void* code, size_t size) {
  const auto& module = *static_cast<const wasm::Module*>(m->item);
  auto opened = interp::open_xip(module, {static_cast<const uint8_t*>(code), size});
  if (!opened) return new_error(opened.take_failure());
  module.precompiled = *std::move(opened);
  return nullptr;
}

// ---- Callers and instances

static wasm_extern_t* find_export(wasm_store_t* store, runtime::Instance* instance,
                                  const char* name) {
  if (!instance) return nullptr;
  const auto e = instance->get_export(view_of(name));
  return e ? from_extern(store, *e) : nullptr;
}

wasm_extern_t* wafer_caller_export(wafer_caller_t* caller, const char* name) {
  return find_export(store_of(caller->context.store), caller->context.caller, name);
}
uint8_t* wafer_caller_memory(wafer_caller_t* caller, size_t* size) {
  *size = 0;
  runtime::Instance* instance = caller->context.caller;
  if (!instance) return nullptr;
  const auto e = instance->get_export("memory");
  runtime::Memory* memory =
      e && e->kind == wasm::ExternKind::Memory ? e->memory : instance->memory0;
  if (!memory) return nullptr;
  *size = size_t(memory->size_bytes());
  return memory->base;
}
wasm_store_t* wafer_caller_store(wafer_caller_t* caller) { return store_of(caller->context.store); }

wasm_extern_t* wafer_instance_export(const wasm_instance_t* i, const char* name) {
  return find_export(i->store, static_cast<runtime::Instance*>(i->item), name);
}
wasm_func_t* wafer_instance_func(const wasm_instance_t* i, const char* name) {
  wasm_extern_t* e = wafer_instance_export(i, name);
  wasm_func_t* func = wasm_extern_as_func(e);
  if (!func) wasm_extern_delete(e);
  return func;
}

// ---- Linker

wafer_linker_t* wafer_linker_new(wasm_engine_t* engine) {
  return create<wafer_linker_t>(wafer_linker_t{runtime::Linker(engine->engine), engine->engine});
}
void wafer_linker_delete(wafer_linker_t* l) { destroy(l); }
void wafer_linker_allow_shadowing(wafer_linker_t* l, bool allow) {
  l->linker.allow_shadowing(allow);
}
void wafer_linker_trap_on_unknown_imports(wafer_linker_t* l, bool enable) {
  l->linker.trap_on_unknown_imports(enable);
}

static wafer_error_t* error_of(Result<void> result) {
  return result.ok() ? nullptr : new_error(result.take_failure());
}

wafer_error_t* wafer_linker_define(wafer_linker_t* l, const char* module, const char* name,
                                   const wasm_extern_t* e) {
  return error_of(l->linker.define(view_of(module), view_of(name), to_extern(*e)));
}
wafer_error_t* wafer_linker_define_func(wafer_linker_t* l, const char* module, const char* name,
                                        const wasm_functype_t* type, wafer_func_callback_t callback,
                                        void* env, void (*finalizer)(void*)) {
  wasm::TypeRegistry& registry = *l->engine->registry();
  HostFunc host;
  host.type = registry.get(registry.intern_func(to_func_type(*type)));
  host.with_caller = callback;
  host.env = env;
  host.finalizer = finalizer;
  return error_of(l->linker.define_func(view_of(module), view_of(name), host.type,
                                        &HostFunc::invoke, create<HostFunc>(host),
                                        &HostFunc::release));
}
wafer_error_t* wafer_linker_define_instance(wafer_linker_t* l, const char* module,
                                            const wasm_instance_t* i) {
  return error_of(
      l->linker.define_instance(view_of(module), static_cast<runtime::Instance*>(i->item)));
}
wafer_error_t* wafer_linker_instantiate(wafer_linker_t* l, wasm_store_t* store,
                                        const wasm_module_t* module, wasm_instance_t** out,
                                        wasm_trap_t** trap) {
  *out = nullptr;
  if (trap) *trap = nullptr;
  auto instance = l->linker.instantiate(store->store, module_owner(module));
  if (instance.ok()) {
    *out = new_ref<wasm_instance_t>(RefKind::Instance, store, *instance);
    return nullptr;
  }
  if (trap && instance.error().kind == ErrorKind::Trap) *trap = take_trap(store);
  return new_error(instance.take_failure());
}

}  // extern "C"
