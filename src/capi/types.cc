// Vectors and types of the C API.
#include <algorithm>

#include "capi/capi.h"

namespace wafer::capi {

namespace {
// Before the memory of a vector.
struct alignas(std::max_align_t) VecHeader {
  size_t bytes;
};
}  // namespace

void* vec_allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  auto* header = static_cast<VecHeader*>(allocate(sizeof(VecHeader) + bytes, alignof(VecHeader)));
  header->bytes = bytes;
  return header + 1;
}

void vec_release(void* p) {
  if (!p) return;
  VecHeader* header = static_cast<VecHeader*>(p) - 1;
  release(header, sizeof(VecHeader) + header->bytes, alignof(VecHeader));
}

namespace {

template <class V>
void vec_new_uninitialized(V* out, size_t size) {
  using T = std::remove_pointer_t<decltype(out->data)>;
  if (size > SIZE_MAX / 2 / sizeof(T)) panic("vector too large");
  out->size = size;
  out->data = static_cast<T*>(vec_allocate(size * sizeof(T)));
  // So that a vector which is filled only in part can be deleted.
  if constexpr (!std::is_same_v<T, char>)
    if (size) std::memset(static_cast<void*>(out->data), 0, size * sizeof(T));
}

template <class V, class T>
void vec_new(V* out, size_t size, const T* data) {
  vec_new_uninitialized(out, size);
  if (size) std::memcpy(static_cast<void*>(out->data), data, size * sizeof(T));
}

void copy_element(char& to, const char& from) { to = from; }
void copy_element(wasm_val_t& to, const wasm_val_t& from) { wasm_val_copy(&to, &from); }
void delete_element(char&) {}
void delete_element(wasm_val_t& v) { wasm_val_delete(&v); }
#define WAFER_ELEMENT(name)                                               \
  void copy_element(wasm_##name##_t*& to, wasm_##name##_t* const& from) { \
    to = from ? wasm_##name##_copy(from) : nullptr;                       \
  }                                                                       \
  void delete_element(wasm_##name##_t*& e) { wasm_##name##_delete(e); }
WAFER_ELEMENT(valtype)
WAFER_ELEMENT(functype)
WAFER_ELEMENT(globaltype)
WAFER_ELEMENT(tabletype)
WAFER_ELEMENT(memorytype)
WAFER_ELEMENT(externtype)
WAFER_ELEMENT(importtype)
WAFER_ELEMENT(exporttype)
WAFER_ELEMENT(frame)
WAFER_ELEMENT(extern)
#undef WAFER_ELEMENT

template <class V>
void vec_copy(V* out, const V* from) {
  vec_new_uninitialized(out, from->size);
  for (size_t i = 0; i < from->size; ++i) copy_element(out->data[i], from->data[i]);
}

template <class V>
void vec_delete(V* v) {
  if (!v || !v->data) return;
  for (size_t i = 0; i < v->size; ++i) delete_element(v->data[i]);
  vec_release(v->data);
  v->data = nullptr;
  v->size = 0;
}

}  // namespace
}  // namespace wafer::capi

using namespace wafer;
using namespace wafer::capi;

extern "C" {

#define WAFER_VEC(name, element)                                                            \
  void wasm_##name##_vec_new_empty(wasm_##name##_vec_t* out) { *out = {0, nullptr}; }       \
  void wasm_##name##_vec_new_uninitialized(wasm_##name##_vec_t* out, size_t size) {         \
    vec_new_uninitialized(out, size);                                                       \
  }                                                                                         \
  void wasm_##name##_vec_new(wasm_##name##_vec_t* out, size_t size, element const data[]) { \
    vec_new(out, size, data);                                                               \
  }                                                                                         \
  void wasm_##name##_vec_copy(wasm_##name##_vec_t* out, const wasm_##name##_vec_t* v) {     \
    vec_copy(out, v);                                                                       \
  }                                                                                         \
  void wasm_##name##_vec_delete(wasm_##name##_vec_t* v) { vec_delete(v); }

WAFER_VEC(byte, wasm_byte_t)
WAFER_VEC(val, wasm_val_t)
WAFER_VEC(valtype, wasm_valtype_t*)
WAFER_VEC(functype, wasm_functype_t*)
WAFER_VEC(globaltype, wasm_globaltype_t*)
WAFER_VEC(tabletype, wasm_tabletype_t*)
WAFER_VEC(memorytype, wasm_memorytype_t*)
WAFER_VEC(externtype, wasm_externtype_t*)
WAFER_VEC(importtype, wasm_importtype_t*)
WAFER_VEC(exporttype, wasm_exporttype_t*)
WAFER_VEC(frame, wasm_frame_t*)
WAFER_VEC(extern, wasm_extern_t*)
#undef WAFER_VEC

// ---- Value types

wasm_valtype_t* wasm_valtype_new(wasm_valkind_t kind) {
  return create<wasm_valtype_t>(wasm_valtype_t{valtype_of(kind), kind});
}
void wasm_valtype_delete(wasm_valtype_t* t) { destroy(t); }
wasm_valtype_t* wasm_valtype_copy(const wasm_valtype_t* t) { return create<wasm_valtype_t>(*t); }
wasm_valkind_t wasm_valtype_kind(const wasm_valtype_t* t) { return t->kind; }

// ---- Function types

wasm_functype_t* wasm_functype_new(wasm_valtype_vec_t* params, wasm_valtype_vec_t* results) {
  auto* t = create<wasm_functype_t>();
  t->kind = WASM_EXTERN_FUNC;
  t->params = *params;
  t->results = *results;
  *params = {0, nullptr};
  *results = {0, nullptr};
  return t;
}
void wasm_functype_delete(wasm_functype_t* t) {
  if (!t) return;
  vec_delete(&t->params);
  vec_delete(&t->results);
  destroy(t);
}
wasm_functype_t* wasm_functype_copy(const wasm_functype_t* t) {
  auto* copy = create<wasm_functype_t>();
  copy->kind = t->kind;
  vec_copy(&copy->params, &t->params);
  vec_copy(&copy->results, &t->results);
  return copy;
}
const wasm_valtype_vec_t* wasm_functype_params(const wasm_functype_t* t) { return &t->params; }
const wasm_valtype_vec_t* wasm_functype_results(const wasm_functype_t* t) { return &t->results; }

// ---- Global types

wasm_globaltype_t* wasm_globaltype_new(wasm_valtype_t* content, wasm_mutability_t mutability) {
  auto* t = create<wasm_globaltype_t>();
  t->kind = WASM_EXTERN_GLOBAL;
  t->content = content;
  t->mutability = mutability;
  return t;
}
void wasm_globaltype_delete(wasm_globaltype_t* t) {
  if (!t) return;
  destroy(t->content);
  destroy(t);
}
wasm_globaltype_t* wasm_globaltype_copy(const wasm_globaltype_t* t) {
  return wasm_globaltype_new(wasm_valtype_copy(t->content), t->mutability);
}
const wasm_valtype_t* wasm_globaltype_content(const wasm_globaltype_t* t) { return t->content; }
wasm_mutability_t wasm_globaltype_mutability(const wasm_globaltype_t* t) { return t->mutability; }

// ---- Table and memory types

static wasm::Limits exact_limits(const wasm_limits_t& l) {
  wasm::Limits exact;
  exact.min = l.min;
  exact.has_max = l.max != wasm_limits_max_default;
  exact.max = exact.has_max ? l.max : 0;
  return exact;
}
static wasm_limits_t shown_limits(const wasm::Limits& l) {
  const uint64_t most = wasm_limits_max_default;
  return {uint32_t(std::min(l.min, most)), l.has_max ? uint32_t(std::min(l.max, most)) : ~0u};
}

wasm_tabletype_t* wasm_tabletype_new(wasm_valtype_t* element, const wasm_limits_t* limits) {
  auto* t = create<wasm_tabletype_t>();
  t->kind = WASM_EXTERN_TABLE;
  t->element = element;
  t->limits = *limits;
  t->exact = exact_limits(*limits);
  return t;
}
void wasm_tabletype_delete(wasm_tabletype_t* t) {
  if (!t) return;
  destroy(t->element);
  destroy(t);
}
wasm_tabletype_t* wasm_tabletype_copy(const wasm_tabletype_t* t) {
  auto* copy = create<wasm_tabletype_t>(*t);
  copy->element = wasm_valtype_copy(t->element);
  return copy;
}
const wasm_valtype_t* wasm_tabletype_element(const wasm_tabletype_t* t) { return t->element; }
const wasm_limits_t* wasm_tabletype_limits(const wasm_tabletype_t* t) { return &t->limits; }

wasm_memorytype_t* wasm_memorytype_new(const wasm_limits_t* limits) {
  auto* t = create<wasm_memorytype_t>();
  t->kind = WASM_EXTERN_MEMORY;
  t->limits = *limits;
  t->exact.limits = exact_limits(*limits);
  return t;
}
void wasm_memorytype_delete(wasm_memorytype_t* t) { destroy(t); }
wasm_memorytype_t* wasm_memorytype_copy(const wasm_memorytype_t* t) {
  return create<wasm_memorytype_t>(*t);
}
const wasm_limits_t* wasm_memorytype_limits(const wasm_memorytype_t* t) { return &t->limits; }

// ---- External types

wasm_externkind_t wasm_externtype_kind(const wasm_externtype_t* t) { return t->kind; }

void wasm_externtype_delete(wasm_externtype_t* t) {
  if (!t) return;
  switch (t->kind) {
    case WASM_EXTERN_GLOBAL:
      return wasm_globaltype_delete(static_cast<wasm_globaltype_t*>(t));
    case WASM_EXTERN_TABLE:
      return wasm_tabletype_delete(static_cast<wasm_tabletype_t*>(t));
    case WASM_EXTERN_MEMORY:
      return wasm_memorytype_delete(static_cast<wasm_memorytype_t*>(t));
    default:
      return wasm_functype_delete(static_cast<wasm_functype_t*>(t));
  }
}

wasm_externtype_t* wasm_externtype_copy(const wasm_externtype_t* t) {
  switch (t->kind) {
    case WASM_EXTERN_GLOBAL:
      return wasm_globaltype_copy(static_cast<const wasm_globaltype_t*>(t));
    case WASM_EXTERN_TABLE:
      return wasm_tabletype_copy(static_cast<const wasm_tabletype_t*>(t));
    case WASM_EXTERN_MEMORY:
      return wasm_memorytype_copy(static_cast<const wasm_memorytype_t*>(t));
    default:
      return wasm_functype_copy(static_cast<const wasm_functype_t*>(t));
  }
}

#define WAFER_EXTERNTYPE(name, upper)                                                              \
  wasm_externtype_t* wasm_##name##_as_externtype(wasm_##name##_t* t) { return t; }                 \
  const wasm_externtype_t* wasm_##name##_as_externtype_const(const wasm_##name##_t* t) {           \
    return t;                                                                                      \
  }                                                                                                \
  wasm_##name##_t* wasm_externtype_as_##name(wasm_externtype_t* t) {                               \
    return t && t->kind == WASM_EXTERN_##upper ? static_cast<wasm_##name##_t*>(t) : nullptr;       \
  }                                                                                                \
  const wasm_##name##_t* wasm_externtype_as_##name##_const(const wasm_externtype_t* t) {           \
    return t && t->kind == WASM_EXTERN_##upper ? static_cast<const wasm_##name##_t*>(t) : nullptr; \
  }
WAFER_EXTERNTYPE(functype, FUNC)
WAFER_EXTERNTYPE(globaltype, GLOBAL)
WAFER_EXTERNTYPE(tabletype, TABLE)
WAFER_EXTERNTYPE(memorytype, MEMORY)
#undef WAFER_EXTERNTYPE

const wasm_functype_t* wafer_externtype_as_tagtype_const(const wasm_externtype_t* t) {
  return t && t->kind == WAFER_EXTERN_TAG ? static_cast<const wasm_functype_t*>(t) : nullptr;
}

// ---- Import and export types

wasm_importtype_t* wasm_importtype_new(wasm_name_t* module, wasm_name_t* name,
                                       wasm_externtype_t* type) {
  auto* t = create<wasm_importtype_t>(wasm_importtype_t{*module, *name, type});
  *module = {0, nullptr};
  *name = {0, nullptr};
  return t;
}
void wasm_importtype_delete(wasm_importtype_t* t) {
  if (!t) return;
  vec_delete(&t->module);
  vec_delete(&t->name);
  wasm_externtype_delete(t->type);
  destroy(t);
}
wasm_importtype_t* wasm_importtype_copy(const wasm_importtype_t* t) {
  wasm_name_t module, name;
  vec_copy(&module, &t->module);
  vec_copy(&name, &t->name);
  return wasm_importtype_new(&module, &name, wasm_externtype_copy(t->type));
}
const wasm_name_t* wasm_importtype_module(const wasm_importtype_t* t) { return &t->module; }
const wasm_name_t* wasm_importtype_name(const wasm_importtype_t* t) { return &t->name; }
const wasm_externtype_t* wasm_importtype_type(const wasm_importtype_t* t) { return t->type; }

wasm_exporttype_t* wasm_exporttype_new(wasm_name_t* name, wasm_externtype_t* type) {
  auto* t = create<wasm_exporttype_t>(wasm_exporttype_t{*name, type});
  *name = {0, nullptr};
  return t;
}
void wasm_exporttype_delete(wasm_exporttype_t* t) {
  if (!t) return;
  vec_delete(&t->name);
  wasm_externtype_delete(t->type);
  destroy(t);
}
wasm_exporttype_t* wasm_exporttype_copy(const wasm_exporttype_t* t) {
  wasm_name_t name;
  vec_copy(&name, &t->name);
  return wasm_exporttype_new(&name, wasm_externtype_copy(t->type));
}
const wasm_name_t* wasm_exporttype_name(const wasm_exporttype_t* t) { return &t->name; }
const wasm_externtype_t* wasm_exporttype_type(const wasm_exporttype_t* t) { return t->type; }

}  // extern "C"

namespace wafer::capi {

ValType valtype_of(wasm_valkind_t kind) {
  switch (kind) {
    case WASM_I32:
      return wasm::kI32;
    case WASM_I64:
      return wasm::kI64;
    case WASM_F32:
      return wasm::kF32;
    case WASM_F64:
      return wasm::kF64;
    case WAFER_V128:
      return wasm::kV128;
    case WASM_FUNCREF:
      return wasm::kFuncRef;
    case WAFER_ANYREF:
      return wasm::kAnyRef;
    case WAFER_EXNREF:
      return wasm::kExnRef;
    default:
      return wasm::kExternRef;
  }
}

wasm_valkind_t kind_of(const wasm::TypeRegistry& registry, ValType type) {
  switch (type.kind()) {
    case wasm::TypeKind::I64:
      return WASM_I64;
    case wasm::TypeKind::F32:
      return WASM_F32;
    case wasm::TypeKind::F64:
      return WASM_F64;
    case wasm::TypeKind::V128:
      return WAFER_V128;
    case wasm::TypeKind::Ref:
      break;
    default:
      return WASM_I32;
  }
  if (type.heap().is_concrete())
    return registry.get(type.heap().index())->kind == wasm::CompKind::Func
               ? wasm_valkind_t(WASM_FUNCREF)
               : wasm_valkind_t(WAFER_ANYREF);
  switch (wasm::top_of(type.heap().kind())) {
    case wasm::HeapKind::Func:
      return WASM_FUNCREF;
    case wasm::HeapKind::Extern:
      return WASM_EXTERNREF;
    case wasm::HeapKind::Exn:
      return WAFER_EXNREF;
    default:
      return WAFER_ANYREF;
  }
}

static wasm_valtype_t* new_valtype(const wasm::TypeRegistry& registry, ValType type) {
  return create<wasm_valtype_t>(wasm_valtype_t{type, kind_of(registry, type)});
}

wasm::FuncType to_func_type(const wasm_functype_t& type) {
  wasm::FuncType t;
  for (size_t i = 0; i < type.params.size; ++i) t.params.push_back(type.params.data[i]->type);
  for (size_t i = 0; i < type.results.size; ++i) t.results.push_back(type.results.data[i]->type);
  return t;
}

wasm_functype_t* from_func_type(const wasm::TypeRegistry& registry, const wasm::FuncType& type) {
  auto* t = create<wasm_functype_t>();
  t->kind = WASM_EXTERN_FUNC;
  vec_new_uninitialized(&t->params, type.params.size());
  for (size_t i = 0; i < type.params.size(); ++i)
    t->params.data[i] = new_valtype(registry, type.params[i]);
  vec_new_uninitialized(&t->results, type.results.size());
  for (size_t i = 0; i < type.results.size(); ++i)
    t->results.data[i] = new_valtype(registry, type.results[i]);
  return t;
}

wasm_externtype_t* from_table_type(const wasm::TypeRegistry& registry,
                                   const wasm::TableType& type) {
  const wasm_limits_t limits = shown_limits(type.limits);
  auto* t = wasm_tabletype_new(new_valtype(registry, type.element), &limits);
  t->exact = type.limits;
  return t;
}

wasm_externtype_t* from_memory_type(const wasm::MemoryType& type) {
  const wasm_limits_t limits = shown_limits(type.limits);
  auto* t = wasm_memorytype_new(&limits);
  t->exact = type;
  return t;
}

wasm_externtype_t* from_global_type(const wasm::TypeRegistry& registry,
                                    const wasm::GlobalType& type) {
  return wasm_globaltype_new(new_valtype(registry, type.type),
                             type.is_mutable ? WASM_VAR : WASM_CONST);
}

wasm_externtype_t* from_tag_type(const wasm::TypeRegistry& registry, const wasm::FuncType& type) {
  wasm_functype_t* t = from_func_type(registry, type);
  t->kind = WAFER_EXTERN_TAG;
  return t;
}

}  // namespace wafer::capi
