// What the C API's opaque types are. Internal to src/capi.
#pragma once

#include "runtime/linker.h"
#include "runtime/store.h"
#include "wafer.h"
#include "wafer/engine.hpp"

// ---- Types -------------------------------------------------------------------

struct wasm_config_t {
  wafer::Config config;
};

struct wasm_engine_t {
  wafer::Shared<wafer::runtime::Engine> engine;
};

struct wasm_valtype_t {
  wafer::wasm::ValType type;  // heap types canonical
  wasm_valkind_t kind;        // nearest that C knows
};

struct wasm_externtype_t {
  wasm_externkind_t kind;
};
struct wasm_functype_t : wasm_externtype_t {  // also of tags
  wasm_valtype_vec_t params, results;
};
struct wasm_globaltype_t : wasm_externtype_t {
  wasm_valtype_t* content;
  wasm_mutability_t mutability;
};
struct wasm_tabletype_t : wasm_externtype_t {
  wasm_valtype_t* element;
  wasm_limits_t limits;
  wafer::wasm::Limits exact;
};
struct wasm_memorytype_t : wasm_externtype_t {
  wasm_limits_t limits;
  wafer::wasm::MemoryType exact;
};
struct wasm_importtype_t {
  wasm_name_t module, name;
  wasm_externtype_t* type;
};
struct wasm_exporttype_t {
  wasm_name_t name;
  wasm_externtype_t* type;
};

struct wafer_error_t {
  wafer::Error error;
};

namespace wafer::capi {

using runtime::FuncInst;
using runtime::kNullRef;
using runtime::Ref;
using runtime::Slot;
using runtime::TrapCode;
using wasm::ValType;

// Information that the embedder attached to an object.
struct HostInfo {
  void* info = nullptr;
  void (*finalizer)(void*) = nullptr;
  HostInfo() = default;
  HostInfo(const HostInfo&) = delete;
  HostInfo& operator=(const HostInfo&) = delete;
  ~HostInfo() { set(nullptr, nullptr); }
  void set(void* new_info, void (*new_finalizer)(void*)) {
    void* const old = info;
    void (*const old_finalizer)(void*) = finalizer;
    info = new_info;
    finalizer = new_finalizer;
    if (old_finalizer) old_finalizer(old);
  }
};

// What a trap handle refers to.
struct TrapData {
  runtime::TrapInfo trap;
  HostInfo info;
};

// Host data of a foreign object.
struct Foreign {
  HostInfo info;
};

enum class RefKind : uint8_t {
  Func,
  Global,
  Table,
  Memory,
  Tag,
  Instance,
  Module,
  Trap,
  Foreign,
  Gc
};

}  // namespace wafer::capi

struct wasm_store_t {
  wafer::runtime::Store store;
  uint32_t references = 1;  // the embedder's, and one for each handle
  // A trap on its way out of a host function.
  wafer::Shared<wafer::capi::TrapData> trap;
  // By object. Goes first, so that finalizers still find the store.
  wafer::HashMap<const void*, wafer::Box<wafer::capi::HostInfo>> infos;

  wasm_store_t(wafer::Shared<wafer::runtime::Engine> engine,
               const wafer::runtime::StoreLimits& limits)
      : store(std::move(engine), limits) {
    store.embedder_data = this;
  }
  void retain() { ++references; }
  void release();
};

// Every handle is one of these, whatever its C type says.
struct wasm_ref_t {
  wafer::capi::RefKind kind;
  wasm_store_t* store;
  // FuncInst, GlobalInst, Table, Memory, TagInst, Instance, wasm::Module, TrapData or
  // Foreign.
  void* item = nullptr;
  uint32_t root = 0;          // Foreign, Gc: keeps the object alive
  wafer::Shared<void> owner;  // Memory, Module, Trap: keeps `item` alive

  wasm_ref_t(wafer::capi::RefKind k, wasm_store_t* s, void* i, wafer::Shared<void> o = nullptr)
      : kind(k), store(s), item(i), owner(std::move(o)) {
    store->retain();
  }
  wasm_ref_t(const wasm_ref_t& o) : kind(o.kind), store(o.store), item(o.item), owner(o.owner) {
    store->retain();
    if (o.root) root = store->store.root(store->store.rooted(o.root));
  }
  ~wasm_ref_t() {
    if (root) store->store.unroot(root);
    owner.reset();
    store->release();
  }
};

struct wasm_trap_t : wasm_ref_t {};
struct wasm_foreign_t : wasm_ref_t {};
struct wasm_module_t : wasm_ref_t {};
struct wasm_func_t : wasm_ref_t {};
struct wasm_global_t : wasm_ref_t {};
struct wasm_table_t : wasm_ref_t {};
struct wasm_memory_t : wasm_ref_t {};
struct wasm_extern_t : wasm_ref_t {};
struct wasm_instance_t : wasm_ref_t {};

struct wasm_shared_module_t {
  wafer::Shared<const wafer::wasm::Module> module;
};

struct wasm_frame_t {
  wafer::runtime::BacktraceFrame frame;
  wasm_instance_t* instance;  // owned, or null
};

struct wafer_caller_t {
  wafer::runtime::CallContext& context;
};

struct wafer_linker_t {
  wafer::runtime::Linker linker;
  wafer::Shared<wafer::runtime::Engine> engine;
};

namespace wafer::capi {

template <class T, class... A>
T* create(A&&... args) {
  return make_box<T>(std::forward<A>(args)...).release();
}
template <class T>
void destroy(T* p) {
  if (p) BoxDelete<T>{}(p);
}

// A handle of C type T.
template <class T>
T* new_ref(RefKind kind, wasm_store_t* store, void* item, Shared<void> owner = nullptr) {
  return static_cast<T*>(create<wasm_ref_t>(kind, store, item, std::move(owner)));
}

inline wasm_store_t* store_of(runtime::Store& store) {
  return static_cast<wasm_store_t*>(store.embedder_data);
}

// Memory of vectors, which remembers its size.
void* vec_allocate(size_t bytes);
void vec_release(void* p);

wafer_error_t* new_error(Error error);
wafer_error_t* new_error(Failure failure);

// Types.
ValType valtype_of(wasm_valkind_t kind);
wasm_valkind_t kind_of(const wasm::TypeRegistry& registry, ValType type);
wasm::FuncType to_func_type(const wasm_functype_t& type);
wasm_functype_t* from_func_type(const wasm::TypeRegistry& registry, const wasm::FuncType& type);
wasm_externtype_t* from_table_type(const wasm::TypeRegistry& registry, const wasm::TableType& type);
wasm_externtype_t* from_memory_type(const wasm::MemoryType& type);
wasm_externtype_t* from_global_type(const wasm::TypeRegistry& registry,
                                    const wasm::GlobalType& type);
wasm_externtype_t* from_tag_type(const wasm::TypeRegistry& registry, const wasm::FuncType& type);

// References and values. `bits` of type `type` as a new handle, null for null.
wasm_ref_t* ref_from_bits(wasm_store_t* store, Ref bits, ValType type);
// False if `ref` (perhaps null) does not fit.
bool ref_to_bits(wasm_store_t* store, const wasm_ref_t* ref, ValType want, Ref& bits);
// Number of slots used, or 0 if `value` is not of type `want`.
uint32_t to_slots(wasm_store_t* store, const wasm_val_t& value, ValType want, Slot* slots);
wasm_val_t from_slots(wasm_store_t* store, ValType type, const Slot* slots);

// Externals.
runtime::Extern to_extern(const wasm_ref_t& ref);
wasm_extern_t* from_extern(wasm_store_t* store, const runtime::Extern& e);

// Traps.
wasm_trap_t* new_trap(wasm_store_t* store, std::string_view message);
// What stopped the call that just failed.
wasm_trap_t* take_trap(wasm_store_t* store);
// Clears what the last call left, then calls.
TrapCode call(wasm_store_t* store, FuncInst* func, Slot* slots);

// A host function of either style.
struct HostFunc {
  const wasm::CanonType* type = nullptr;
  wasm_func_callback_t plain = nullptr;
  wasm_func_callback_with_env_t with_env = nullptr;
  wafer_func_callback_t with_caller = nullptr;
  void* env = nullptr;
  void (*finalizer)(void*) = nullptr;

  static TrapCode invoke(void* self, runtime::CallContext& context, Slot* slots);
  static void release(void* self);
};

wasm_module_t* new_module(wasm_store_t* store, Shared<const wasm::Module> module);
inline const wasm::Module& module_of(const wasm_module_t* m) {
  return *static_cast<const wasm::Module*>(m->item);
}
Shared<const wasm::Module> module_owner(const wasm_module_t* m);

inline Bytes bytes_of(const wasm_byte_vec_t& v) {
  return {reinterpret_cast<const uint8_t*>(v.data), v.size};
}
inline void set_bytes(wasm_byte_vec_t* out, Bytes bytes) {
  wasm_byte_vec_new(out, bytes.size(), reinterpret_cast<const char*>(bytes.data()));
}
inline void set_name(wasm_name_t* out, std::string_view s) {
  wasm_byte_vec_new(out, s.size(), s.data());
}

}  // namespace wafer::capi
