// Modules, functions, globals, tables, memories and instances of the C API.
#include <algorithm>

#include "capi/capi.h"

namespace wafer::capi {

using wasm::ExternKind;

namespace {

// Must begin a serialized module; the last byte is the version.
constexpr uint8_t kSerialMagic[8] = {'\0', 'w', 'a', 'f', 'e', 'r', 'm', 1};

template <class T>
T* item_of(const wasm_ref_t* ref) {
  return static_cast<T*>(ref->item);
}

wasm_externtype_t* from_extern_type(const wasm::Module& m, const wasm::ExternType& type) {
  const wasm::TypeRegistry& registry = *m.registry;
  switch (type.kind) {
    case ExternKind::Func:
      return from_func_type(registry, m.canon_type(type.type_index)->func);
    case ExternKind::Tag:
      return from_tag_type(registry, m.canon_type(type.type_index)->func);
    case ExternKind::Table: {
      wasm::TableType t = type.table;
      t.element = m.canonical(t.element);
      return from_table_type(registry, t);
    }
    case ExternKind::Memory:
      return from_memory_type(type.memory);
    default: {
      wasm::GlobalType t = type.global;
      t.type = m.canonical(t.type);
      return from_global_type(registry, t);
    }
  }
}

wasm::ExternType export_type(const wasm::Module& m, const wasm::Export& e) {
  wasm::ExternType type;
  type.kind = e.kind;
  switch (e.kind) {
    case ExternKind::Func:
      type.type_index = m.functions[e.index].type_index;
      break;
    case ExternKind::Tag:
      type.type_index = m.tags[e.index].type_index;
      break;
    case ExternKind::Table:
      type.table = m.tables[e.index].type;
      break;
    case ExternKind::Memory:
      type.memory = m.memories[e.index].type;
      break;
    case ExternKind::Global:
      type.global = m.globals[e.index].type;
      break;
  }
  return type;
}

}  // namespace

wasm_module_t* new_module(wasm_store_t* store, Shared<const wasm::Module> module) {
  auto owner = shared_cast<wasm::Module>(std::move(module));
  void* const item = owner.get();
  return new_ref<wasm_module_t>(RefKind::Module, store, item, std::move(owner));
}

Shared<const wasm::Module> module_owner(const wasm_module_t* m) {
  return shared_cast<const wasm::Module>(m->owner);
}

runtime::Extern to_extern(const wasm_ref_t& ref) {
  runtime::Extern e;
  switch (ref.kind) {
    case RefKind::Global:
      e.kind = ExternKind::Global;
      break;
    case RefKind::Table:
      e.kind = ExternKind::Table;
      break;
    case RefKind::Memory:
      e.kind = ExternKind::Memory;
      e.memory_owner = shared_cast<runtime::Memory>(ref.owner);
      break;
    case RefKind::Tag:
      e.kind = ExternKind::Tag;
      break;
    default:
      e.kind = ExternKind::Func;
  }
  // One pointer, whatever its type.
  e.func = static_cast<FuncInst*>(ref.item);
  return e;
}

wasm_extern_t* from_extern(wasm_store_t* store, const runtime::Extern& e) {
  static constexpr RefKind kKinds[] = {RefKind::Func, RefKind::Table, RefKind::Memory,
                                       RefKind::Global, RefKind::Tag};
  return new_ref<wasm_extern_t>(kKinds[unsigned(e.kind)], store, e.func, e.memory_owner);
}

}  // namespace wafer::capi

using namespace wafer;
using namespace wafer::capi;

extern "C" {

// ---- Modules

wasm_module_t* wasm_module_new(wasm_store_t* store, const wasm_byte_vec_t* binary) {
  auto module = store->store.engine().load_module(bytes_of(*binary), true);
  return module.ok() ? new_module(store, std::move(*module)) : nullptr;
}
bool wasm_module_validate(wasm_store_t* store, const wasm_byte_vec_t* binary) {
  return store->store.engine().load_module(bytes_of(*binary), false).ok();
}

void wasm_module_imports(const wasm_module_t* module, wasm_importtype_vec_t* out) {
  const wasm::Module& m = module_of(module);
  wasm_importtype_vec_new_uninitialized(out, m.imports.size());
  for (size_t i = 0; i < m.imports.size(); ++i) {
    wasm_name_t from, name;
    set_name(&from, m.imports[i].module);
    set_name(&name, m.imports[i].name);
    out->data[i] = wasm_importtype_new(&from, &name, from_extern_type(m, m.imports[i].type));
  }
}

void wasm_module_exports(const wasm_module_t* module, wasm_exporttype_vec_t* out) {
  const wasm::Module& m = module_of(module);
  wasm_exporttype_vec_new_uninitialized(out, m.exports.size());
  for (size_t i = 0; i < m.exports.size(); ++i) {
    wasm_name_t name;
    set_name(&name, m.exports[i].name);
    out->data[i] = wasm_exporttype_new(&name, from_extern_type(m, export_type(m, m.exports[i])));
  }
}

void wasm_module_serialize(const wasm_module_t* module, wasm_byte_vec_t* out) {
  const Bytes bytes = module_of(module).bytes;
  wasm_byte_vec_new_uninitialized(out, sizeof kSerialMagic + bytes.size());
  std::memcpy(out->data, kSerialMagic, sizeof kSerialMagic);
  if (!bytes.empty()) std::memcpy(out->data + sizeof kSerialMagic, bytes.data(), bytes.size());
}

wasm_module_t* wasm_module_deserialize(wasm_store_t* store, const wasm_byte_vec_t* serialized) {
  const Bytes bytes = bytes_of(*serialized);
  if (bytes.size() < sizeof kSerialMagic ||
      std::memcmp(bytes.data(), kSerialMagic, sizeof kSerialMagic) != 0)
    return nullptr;
  auto module = store->store.engine().load_module(bytes.subspan(sizeof kSerialMagic), true);
  return module.ok() ? new_module(store, std::move(*module)) : nullptr;
}

wasm_shared_module_t* wasm_module_share(const wasm_module_t* m) {
  return create<wasm_shared_module_t>(wasm_shared_module_t{module_owner(m)});
}
void wasm_shared_module_delete(wasm_shared_module_t* m) { destroy(m); }
wasm_module_t* wasm_module_obtain(wasm_store_t* store, const wasm_shared_module_t* shared) {
  if (shared->module->registry == store->store.engine().registry())
    return new_module(store, shared->module);
  // Of another engine: types must be entered in this one's registry.
  auto module = store->store.engine().load_module(shared->module->bytes, true);
  return module.ok() ? new_module(store, std::move(*module)) : nullptr;
}

// ---- Functions

static wasm_func_t* new_func(wasm_store_t* store, const wasm_functype_t* type, HostFunc host) {
  wasm::TypeRegistry& registry = *store->store.engine().registry();
  host.type = registry.get(registry.intern_func(to_func_type(*type)));
  FuncInst* func = store->store.new_host_func(host.type, &HostFunc::invoke, create<HostFunc>(host),
                                              &HostFunc::release);
  return new_ref<wasm_func_t>(RefKind::Func, store, func);
}

wasm_func_t* wasm_func_new(wasm_store_t* store, const wasm_functype_t* type,
                           wasm_func_callback_t callback) {
  HostFunc host;
  host.plain = callback;
  return new_func(store, type, host);
}
wasm_func_t* wasm_func_new_with_env(wasm_store_t* store, const wasm_functype_t* type,
                                    wasm_func_callback_with_env_t callback, void* env,
                                    void (*finalizer)(void*)) {
  HostFunc host;
  host.with_env = callback;
  host.env = env;
  host.finalizer = finalizer;
  return new_func(store, type, host);
}
wasm_func_t* wafer_func_new(wasm_store_t* store, const wasm_functype_t* type,
                            wafer_func_callback_t callback, void* env, void (*finalizer)(void*)) {
  HostFunc host;
  host.with_caller = callback;
  host.env = env;
  host.finalizer = finalizer;
  return new_func(store, type, host);
}

wasm_functype_t* wasm_func_type(const wasm_func_t* f) {
  return from_func_type(f->store->store.registry(), item_of<FuncInst>(f)->type->func);
}
size_t wasm_func_param_arity(const wasm_func_t* f) {
  return item_of<FuncInst>(f)->type->func.params.size();
}
size_t wasm_func_result_arity(const wasm_func_t* f) {
  return item_of<FuncInst>(f)->type->func.results.size();
}

wasm_trap_t* wasm_func_call(const wasm_func_t* f, const wasm_val_vec_t* args,
                            wasm_val_vec_t* results) {
  auto* func = item_of<FuncInst>(f);
  wasm_store_t* const store = f->store;
  const wasm::FuncType& type = func->type->func;
  const size_t arg_count = args ? args->size : 0, result_count = results ? results->size : 0;
  if (arg_count != type.params.size()) return new_trap(store, "wrong number of arguments");
  constexpr uint32_t kInline = 32;
  Slot inline_slots[kInline];
  Vec<Slot> more;
  Slot* slots = inline_slots;
  const uint32_t needed = std::max(func->type->param_slots, func->type->result_slots);
  if (needed > kInline) {
    more.resize(needed);
    slots = more.data();
  }
  Slot* at = slots;
  for (size_t i = 0; i < arg_count; ++i) {
    if (!to_slots(store, args->data[i], type.params[i], at))
      return new_trap(store, "wrong type of argument");
    at += wasm::slot_count(type.params[i]);
  }
  store->retain();  // a callback may drop the last handle
  wasm_trap_t* trap = nullptr;
  if (call(store, func, slots) != TrapCode::None) {
    trap = take_trap(store);
  } else {
    at = slots;
    // Programs that expect a trap may leave no room for results.
    const size_t room = std::min(type.results.size(), result_count);
    for (size_t i = 0; i < room; ++i) {
      results->data[i] = from_slots(store, type.results[i], at);
      at += wasm::slot_count(type.results[i]);
    }
  }
  store->release();
  return trap;
}

wasm_trap_t* wafer_func_call_raw(const wasm_func_t* f, uint64_t* slots) {
  auto* func = item_of<FuncInst>(f);
  if (call(f->store, func, slots) == TrapCode::None) return nullptr;
  return take_trap(f->store);
}

// ---- Globals

wasm_global_t* wasm_global_new(wasm_store_t* store, const wasm_globaltype_t* type,
                               const wasm_val_t* value) {
  runtime::Value v;
  v.type = type->content->type;
  if (v.type.kind() == wasm::TypeKind::V128) {
    // Starts as zero: a wasm_val_t cannot say otherwise.
  } else if (!to_slots(store, *value, v.type, v.bits)) {
    return nullptr;
  }
  wasm::GlobalType t;
  t.type = v.type;
  t.is_mutable = type->mutability == WASM_VAR;
  return new_ref<wasm_global_t>(RefKind::Global, store, store->store.new_global(t, v));
}
wasm_globaltype_t* wasm_global_type(const wasm_global_t* g) {
  return static_cast<wasm_globaltype_t*>(
      from_global_type(g->store->store.registry(), item_of<runtime::GlobalInst>(g)->type));
}
void wasm_global_get(const wasm_global_t* g, wasm_val_t* out) {
  auto* global = item_of<runtime::GlobalInst>(g);
  *out = from_slots(g->store, global->type.type, global->value);
}
void wasm_global_set(wasm_global_t* g, const wasm_val_t* value) {
  auto* global = item_of<runtime::GlobalInst>(g);
  Slot slot;
  if (global->type.is_mutable && to_slots(g->store, *value, global->type.type, &slot))
    global->value[0] = slot;
}

// ---- Tables

wasm_table_t* wasm_table_new(wasm_store_t* store, const wasm_tabletype_t* type, wasm_ref_t* init) {
  wasm::TableType t;
  t.limits = type->exact;
  t.element = type->element->type;
  Ref bits;
  if (!ref_to_bits(store, init, t.element, bits)) return nullptr;
  auto table = store->store.new_table(t, bits);
  return table.ok() ? new_ref<wasm_table_t>(RefKind::Table, store, *table) : nullptr;
}
wasm_tabletype_t* wasm_table_type(const wasm_table_t* t) {
  return static_cast<wasm_tabletype_t*>(
      from_table_type(t->store->store.registry(), item_of<runtime::Table>(t)->type()));
}
wasm_ref_t* wasm_table_get(const wasm_table_t* t, wasm_table_size_t index) {
  auto* table = item_of<runtime::Table>(t);
  if (index >= table->size) return nullptr;
  return ref_from_bits(t->store, table->elements[index], table->type().element);
}
bool wasm_table_set(wasm_table_t* t, wasm_table_size_t index, wasm_ref_t* value) {
  auto* table = item_of<runtime::Table>(t);
  Ref bits;
  if (index >= table->size || !ref_to_bits(t->store, value, table->type().element, bits))
    return false;
  table->elements[index] = bits;
  return true;
}
wasm_table_size_t wasm_table_size(const wasm_table_t* t) {
  return wasm_table_size_t(item_of<runtime::Table>(t)->size);
}
bool wasm_table_grow(wasm_table_t* t, wasm_table_size_t delta, wasm_ref_t* init) {
  auto* table = item_of<runtime::Table>(t);
  Ref bits;
  return ref_to_bits(t->store, init, table->type().element, bits) &&
         table->grow(delta, bits) != ~uint64_t{0};
}

// ---- Memories

wasm_memory_t* wasm_memory_new(wasm_store_t* store, const wasm_memorytype_t* type) {
  auto memory = store->store.new_memory(type->exact);
  if (!memory.ok()) return nullptr;
  void* const item = memory->get();
  return new_ref<wasm_memory_t>(RefKind::Memory, store, item, std::move(*memory));
}
wasm_memorytype_t* wasm_memory_type(const wasm_memory_t* m) {
  return static_cast<wasm_memorytype_t*>(from_memory_type(item_of<runtime::Memory>(m)->type()));
}
byte_t* wasm_memory_data(wasm_memory_t* m) {
  return reinterpret_cast<byte_t*>(item_of<runtime::Memory>(m)->base);
}
size_t wasm_memory_data_size(const wasm_memory_t* m) {
  return size_t(item_of<runtime::Memory>(m)->size_bytes());
}
wasm_memory_pages_t wasm_memory_size(const wasm_memory_t* m) {
  return wasm_memory_pages_t(item_of<runtime::Memory>(m)->pages());
}
bool wasm_memory_grow(wasm_memory_t* m, wasm_memory_pages_t delta) {
  return item_of<runtime::Memory>(m)->grow(delta) != ~uint64_t{0};
}

// ---- Externals

wasm_externkind_t wasm_extern_kind(const wasm_extern_t* e) {
  switch (e->kind) {
    case RefKind::Global:
      return WASM_EXTERN_GLOBAL;
    case RefKind::Table:
      return WASM_EXTERN_TABLE;
    case RefKind::Memory:
      return WASM_EXTERN_MEMORY;
    case RefKind::Tag:
      return WAFER_EXTERN_TAG;
    default:
      return WASM_EXTERN_FUNC;
  }
}

wasm_externtype_t* wasm_extern_type(const wasm_extern_t* e) {
  const wasm::TypeRegistry& registry = e->store->store.registry();
  switch (e->kind) {
    case RefKind::Global:
      return from_global_type(registry, item_of<runtime::GlobalInst>(e)->type);
    case RefKind::Table:
      return from_table_type(registry, item_of<runtime::Table>(e)->type());
    case RefKind::Memory:
      return from_memory_type(item_of<runtime::Memory>(e)->type());
    case RefKind::Tag:
      return from_tag_type(registry, item_of<runtime::TagInst>(e)->type->func);
    default:
      return from_func_type(registry, item_of<FuncInst>(e)->type->func);
  }
}

#define WAFER_EXTERN(name, Kind)                                                        \
  wasm_extern_t* wasm_##name##_as_extern(wasm_##name##_t* r) {                          \
    return static_cast<wasm_extern_t*>(static_cast<wasm_ref_t*>(r));                    \
  }                                                                                     \
  const wasm_extern_t* wasm_##name##_as_extern_const(const wasm_##name##_t* r) {        \
    return static_cast<const wasm_extern_t*>(static_cast<const wasm_ref_t*>(r));        \
  }                                                                                     \
  wasm_##name##_t* wasm_extern_as_##name(wasm_extern_t* e) {                            \
    return e && e->kind == RefKind::Kind                                                \
               ? static_cast<wasm_##name##_t*>(static_cast<wasm_ref_t*>(e))             \
               : nullptr;                                                               \
  }                                                                                     \
  const wasm_##name##_t* wasm_extern_as_##name##_const(const wasm_extern_t* e) {        \
    return e && e->kind == RefKind::Kind                                                \
               ? static_cast<const wasm_##name##_t*>(static_cast<const wasm_ref_t*>(e)) \
               : nullptr;                                                               \
  }
WAFER_EXTERN(func, Func)
WAFER_EXTERN(global, Global)
WAFER_EXTERN(table, Table)
WAFER_EXTERN(memory, Memory)
#undef WAFER_EXTERN

// ---- Instances

wasm_instance_t* wasm_instance_new(wasm_store_t* store, const wasm_module_t* module,
                                   const wasm_extern_vec_t* imports, wasm_trap_t** trap) {
  if (trap) *trap = nullptr;
  const size_t needed = module_of(module).imports.size();
  const size_t given = imports ? imports->size : 0;
  if (given < needed) {
    if (trap) *trap = new_trap(store, "too few imports");
    return nullptr;
  }
  Vec<runtime::Extern> externs;
  externs.reserve(needed);
  for (size_t i = 0; i < needed; ++i)
    externs.push_back(imports->data[i] ? to_extern(*imports->data[i]) : runtime::Extern{});
  auto instance = store->store.instantiate(module_owner(module), externs);
  if (instance.ok()) return new_ref<wasm_instance_t>(RefKind::Instance, store, *instance);
  if (trap)
    *trap = instance.error().kind == ErrorKind::Trap ? take_trap(store)
                                                     : new_trap(store, instance.error().message);
  return nullptr;
}

void wasm_instance_exports(const wasm_instance_t* i, wasm_extern_vec_t* out) {
  auto* instance = item_of<runtime::Instance>(i);
  const auto& exports = instance->module->exports;
  wasm_extern_vec_new_uninitialized(out, exports.size());
  for (size_t n = 0; n < exports.size(); ++n)
    out->data[n] = from_extern(i->store, instance->extern_of(exports[n].kind, exports[n].index));
}

}  // extern "C"
