#include "runtime/store.h"

#include <algorithm>
#include <cstring>

#include "base/sort.h"
#include "runtime/fiber.h"
#include "runtime/memory_image.h"
#include "runtime/memory_pool.h"
#include "runtime/roots.h"

namespace wafer::runtime {

using wasm::CanonType;
using wasm::ExternKind;
using wasm::SegmentMode;
using wasm::ValType;

namespace {

TrapCode call_from_embedder(Store& store, FuncInst* func, Slot* slots) {
  return call_host(store, func, nullptr, slots);
}

#if WAFER_HAS_OS
TrapCode call_without_tier(Store& store, FuncInst*, Slot*) {
  return store.set_trap(TrapCode::HostError, "the engine has no execution tier");
}
#endif

wasm::TableType canonical(const wasm::Module& module, wasm::TableType type) {
  type.element = module.canonical(type.element);
  return type;
}

wasm::GlobalType canonical(const wasm::Module& module, wasm::GlobalType type) {
  type.type = module.canonical(type.type);
  return type;
}

// Do the present limits match those that an import asks for (3.3.12)?
bool limits_match(const wasm::Limits& have, const wasm::Limits& want) {
  if (have.has_64() != want.has_64() || have.min < want.min) return false;
  return !want.has_max || (have.has_max && have.max <= want.max);
}

// ---- Descriptions for error messages

void append_number(String& out, uint64_t v) {
  char digits[20];
  size_t n = 0;
  do digits[n++] = char('0' + v % 10);
  while (v /= 10);
  while (n) out.push_back(digits[--n]);
}

void append_limits(String& out, const wasm::Limits& limits) {
  if (limits.has_64()) out += "i64 ";
  append_number(out, limits.min);
  if (limits.has_max) {
    out.push_back(' ');
    append_number(out, limits.max);
  }
  if (limits.shared) out += " shared";
}

void append_func(String& out, const wasm::FuncType& type) {
  out += "func [";
  for (size_t i = 0; i < type.params.size(); ++i) {
    if (i) out.push_back(' ');
    out += wasm::to_string(type.params[i]);
  }
  out += "] -> [";
  for (size_t i = 0; i < type.results.size(); ++i) {
    if (i) out.push_back(' ');
    out += wasm::to_string(type.results[i]);
  }
  out.push_back(']');
}

void append_table(String& out, const wasm::TableType& type) {
  out += "table ";
  append_limits(out, type.limits);
  out.push_back(' ');
  out += wasm::to_string(type.element);
}

void append_memory(String& out, const wasm::MemoryType& type) {
  out += "memory ";
  append_limits(out, type.limits);
  if (type.page_size_log2 != 16) {
    out += " pagesize ";
    append_number(out, uint64_t{1} << type.page_size_log2);
  }
}

void append_global(String& out, const wasm::GlobalType& type) {
  out += "global ";
  if (type.is_mutable) out += "mut ";
  out += wasm::to_string(type.type);
}

String describe(const wasm::Module& module, const wasm::ExternType& type) {
  String out;
  switch (type.kind) {
    case ExternKind::Func:
      append_func(out, module.types[type.type_index].func);
      break;
    case ExternKind::Table:
      append_table(out, type.table);
      break;
    case ExternKind::Memory:
      append_memory(out, type.memory);
      break;
    case ExternKind::Global:
      append_global(out, type.global);
      break;
    case ExternKind::Tag:
      out += "tag ";
      append_func(out, module.types[type.type_index].func);
      break;
  }
  return out;
}

String describe(const Extern& value) {
  String out;
  if (!value.func) return "nothing";
  switch (value.kind) {
    case ExternKind::Func:
      append_func(out, value.func->type->func);
      break;
    case ExternKind::Table:
      append_table(out, value.table->type());
      break;
    case ExternKind::Memory:
      append_memory(out, value.memory->type());
      break;
    case ExternKind::Global:
      append_global(out, value.global->type);
      break;
    case ExternKind::Tag:
      out += "tag ";
      append_func(out, value.tag->type->func);
      break;
  }
  return out;
}

// `value` of type `type` where a `want` is asked for. Types as wide as the
// hierarchy are narrowed by looking at the value itself.
bool value_fits(const wasm::TypeRegistry& registry, const Value& value, ValType want) {
  if (registry.is_subtype(value.type, want)) return true;
  if (!value.type.is_ref() || !want.is_ref()) return false;
  if (registry.top(value.type.heap()) != registry.top(want.heap())) return false;
  if (value.as_ref() == kNullRef) return want.nullable();
  return ref_matches(registry, value.as_ref(), want.heap());
}

}  // namespace

// ---- Instance -------------------------------------------------------------------

Extern Instance::extern_of(ExternKind kind, uint32_t index) {
  Extern e;
  e.kind = kind;
  switch (kind) {
    case ExternKind::Func:
      e.func = funcs[index];
      break;
    case ExternKind::Table:
      e.table = tables[index];
      break;
    case ExternKind::Memory:
      e.memory = memories[index];
      e.memory_owner = memory_owners[index];
      break;
    case ExternKind::Global:
      e.global = globals[index];
      break;
    case ExternKind::Tag:
      WAFER_ASSUME_FEATURE(Exceptions);
      e.tag = tags[index];
      break;
  }
  return e;
}

std::optional<Extern> Instance::get_export(std::string_view name) {
  const Vec<wasm::Export>& exports = module->exports;
  if (kSmall || exports.size() <= 8) {
    for (const wasm::Export& e : exports)
      if (e.name == name) return extern_of(e.kind, e.index);
    return std::nullopt;
  }
  if (export_order.empty()) {
    export_order.resize(exports.size());
    for (uint32_t i = 0; i < exports.size(); ++i) export_order[i] = i;
    sort(export_order.data(), export_order.data() + export_order.size(),
         [&](uint32_t a, uint32_t b) { return exports[a].name < exports[b].name; });
  }
  auto it = std::lower_bound(
      export_order.begin(), export_order.end(), name,
      [&](uint32_t i, std::string_view n) { return std::string_view(exports[i].name) < n; });
  if (it == export_order.end() || exports[*it].name != name) return std::nullopt;
  return extern_of(exports[*it].kind, exports[*it].index);
}

// ---- Engine ---------------------------------------------------------------------

Engine::Engine(const Config& config, Tier* tier, Shared<void> tier_owner)
    : config_(config),
      tier_owner_(std::move(tier_owner)),
      tier_(tier),
      registry_(make_shared_in<wasm::TypeRegistry>()) {
  config_.guard_pages = config.guard_pages && config.signals && !config.memory_storage;
  guard_pages_ok_ = config_.guard_pages && guard_pages_available();
  if (tier) config_.features = config.features & tier->features();
#if WAFER_HAS_FIBERS
  stacks_ =
      make_box<StackPool>(config.fiber_stack_bytes ? config.fiber_stack_bytes : config.stack_bytes);
#endif
}

Engine::~Engine() = default;

Shared<Engine> Engine::create(const Config& config, Tier* tier, Shared<void> tier_owner) {
  return make_shared_in<Engine>(config, tier, std::move(tier_owner));
}

MemoryMode Engine::memory_mode(const wasm::MemoryType& type) const {
  return guard_pages_ok_ && Memory::guardable(type) ? MemoryMode::Guarded : MemoryMode::Checked;
}

Memory::Config Engine::memory_config(const wasm::MemoryType& type, uint64_t max_bytes) const {
  Memory::Config config;
  config.guard_pages = memory_mode(type) == MemoryMode::Guarded;
  config.max_bytes = max_bytes;
  config.storage = config_.memory_storage;
#if WAFER_HAS_GUARDS
  config.pool = config_.pool;
#endif
  return config;
}

Result<Shared<wasm::Module>> Engine::load_module(Bytes bytes, bool copy_bytes, bool validate,
                                                 Shared<void> code) const {
#if WAFER_HAS_OS
  if (code) WAFER_TRY(check_runs_stored_code());
  // Code that exists was made from a valid module.
  if (!code && validate && tier_) code = tier_->find_code(bytes, *this);
#endif
  wasm::DecodeOptions options;
  options.features = config_.features;
  options.copy_bytes = copy_bytes;
  options.validate = validate && !(WAFER_HAS_OS && code);
  options.registry = registry_;
  WAFER_LET(module, wasm::decode_module(bytes, options));
#if WAFER_HAS_OS
  module->precompiled = std::move(code);
#endif
  return std::move(module);
}

#if WAFER_HAS_OS

Result<Shared<wasm::Module>> Engine::with_code(Result<Tier::StoredCode> stored) const {
  if (!stored) return stored.take_failure();
  WAFER_LET(module, load_module(stored->module, false, false));
  module->precompiled = std::move(stored->code);
  return std::move(module);
}

Result<Shared<wasm::Module>> Engine::load_code(Bytes bytes) const {
  return with_code(tier_->load_code(bytes));
}

Result<Shared<wasm::Module>> Engine::map_code(const char* path) const {
  return with_code(tier_->map_code(path));
}

Result<Shared<wasm::Module>> Engine::map_code(int fd) const {
  return with_code(tier_->map_code(fd));
}

Result<void> Engine::check_runs_stored_code() const {
  if (!tier_ || !tier_->runs_stored_code()) return Tier::no_machine_code();
  return {};
}

#else

Result<Shared<wasm::Module>> Engine::load_code(Bytes) const { return Tier::no_machine_code(); }
Result<Shared<wasm::Module>> Engine::map_code(const char*) const { return Tier::no_machine_code(); }
Result<void> Engine::check_runs_stored_code() const { return Tier::no_machine_code(); }

#endif

// ---- Store ----------------------------------------------------------------------

Store::Store(Shared<Engine> engine, const StoreLimits& limits)
    : engine_(std::move(engine)), limits_(limits), gc_([&] {
        GcHeap::Config config;
        config.max_bytes = limits.gc_heap_bytes;
        return config;
      }()) {
  handles_.push_back(kNullRef);
  gc_.add_root_source(this);
#if WAFER_HAS_FIBERS
  gc_.collect_through(
      [](void* env, void (*run)(void*), void* argument) {
        on_host_stack(*static_cast<Store*>(env), [&] { run(argument); });
      },
      this);
#endif
}

Store::~Store() {
  component_state.reset();
#if WAFER_HAS_FIBERS
  while (fibers) fibers->forsake();
#endif
  if (Tier* tier = engine_->tier()) tier->detach_store(*this);
  gc_.remove_root_source(this);
  for (HostFunc& f : host_funcs_)
    if (f.release_env) f.release_env(f.func->host_env);
}

FuncInst* Store::new_host_func(const CanonType* type, HostCallback callback, void* env,
                               void (*release_env)(void*)) {
  auto func = make_box<FuncInst>();
  func->type = type;
  func->call = call_from_embedder;
  func->host = callback;
  func->host_env = env;
  func->store = this;
#if WAFER_HAS_OS
  if (Tier* tier = engine_->tier()) tier->prepare_host_func(*func);
#endif
  FuncInst* const p = func.get();
  host_funcs_.push_back({std::move(func), release_env});
  return p;
}

FuncInst* Store::new_host_func(const wasm::FuncType& type, HostCallback callback, void* env,
                               void (*release_env)(void*)) {
  auto& registry = *engine_->registry();
  return new_host_func(registry.get(registry.intern_func(type)), callback, env, release_env);
}

Result<Table*> Store::new_table(const wasm::TableType& type, Ref init) {
  const bool gc = registry().is_gc_ref(type.element);
  WAFER_LET(table, Table::create(type, init, limits_.table_elements, gc));
  Table* const p = table.get();
  tables_.push_back(std::move(table));
  if (gc) gc_tables_.push_back(p);
  return p;
}

Result<Shared<Memory>> Store::new_memory(const wasm::MemoryType& type) {
  WAFER_LET(memory, Memory::create(type, engine_->memory_config(type, limits_.memory_bytes)));
  memories_.push_back(memory);
  return std::move(memory);
}

GlobalInst* Store::new_global(const wasm::GlobalType& type, const Value& value) {
  auto global = make_box<GlobalInst>();
  global->type = type;
  global->value[0] = value.bits[0];
  global->value[1] = value.bits[1];
  GlobalInst* const p = global.get();
  globals_.push_back(std::move(global));
  if (registry().is_gc_ref(type.type)) gc_globals_.push_back(p);
  return p;
}

void Store::init_tag(TagInst& tag, const CanonType* type) const {
  tag.type = type;
  uint32_t slot = 0;
  for (ValType t : type->func.params) {
    if (registry().is_gc_ref(t)) tag.ref_slots.push_back(slot);
    slot += slot_count(t);
  }
}

TagInst* Store::new_tag(const CanonType* type) {
  auto tag = make_box<TagInst>();
  init_tag(*tag, type);
  tags_.push_back(std::move(tag));
  return tags_.back().get();
}

void Store::adopt_memory(Shared<Memory> memory) {
  for (const auto& m : memories_)
    if (m == memory) return;
  memories_.push_back(std::move(memory));
}

uint32_t Store::root(Ref ref) {
  if (!free_handles_.empty()) {
    const uint32_t handle = free_handles_.back();
    free_handles_.pop_back();
    handles_[handle] = ref;
    return handle;
  }
  handles_.push_back(ref);
  return uint32_t(handles_.size() - 1);
}

void Store::unroot(uint32_t handle) {
  if (handle == 0) return;
  handles_[handle] = kNullRef;
  free_handles_.push_back(handle);
}

void Store::enumerate_roots(RootVisitor& visitor) {
  if constexpr (!kHasRoots) return;
  visitor.visit(pending_exception);
  for (const GlobalInst* g : gc_globals_) visitor.visit(g->value[0]);
  for (const Table* t : gc_tables_)
    for (uint64_t i = 0; i < t->size; ++i) visitor.visit(t->elements[i]);
  for (const auto& [instance, segment] : gc_elems_)
    for (Ref r : instance->elems[segment]) visitor.visit(r);
  // Handles have no static type and may hold function references.
  for (Ref r : handles_)
    if (gc_.owns(r)) visitor.visit(r);
#if WAFER_HAS_FIBERS
  for (const Fiber* f = fibers; f; f = f->next())
    if (!f->suspended()) f->enumerate_roots(visitor);
#endif
}

TrapCode Store::set_trap(TrapCode code, std::string_view message) {
  trap_.code = code;
  trap_.message = message.empty() ? trap_message(code) : message;
  trap_.backtrace.clear();
  trap_.described = false;
  return code;
}

Error Store::trap_error() const {
  return Error(ErrorKind::Trap,
               trap_.message.empty() ? trap_message(trap_.code) : std::string_view(trap_.message));
}

Result<void> Store::check_arguments(const CanonType& type, std::span<const Value> args,
                                    Slot* slots) const {
  if (args.size() != type.func.params.size()) {
    String message = "wrong number of arguments: expected ";
    append_number(message, type.func.params.size());
    message += ", got ";
    append_number(message, args.size());
    return Error(ErrorKind::Usage, message);
  }
  uint32_t at = 0;
  for (size_t i = 0; i < args.size(); ++i) {
    const ValType want = type.func.params[i];
    if (!value_fits(registry(), args[i], want)) {
      String message = "wrong type of argument ";
      append_number(message, i);
      message += ": expected ";
      message += wasm::to_string(want);
      message += ", got ";
      message += wasm::to_string(args[i].type);
      return Error(ErrorKind::Usage, message);
    }
    slots[at++] = args[i].bits[0];
    if (want.kind() == wasm::TypeKind::V128) slots[at++] = args[i].bits[1];
  }
  return {};
}

void Store::clear_trap() {
  trap_.code = TrapCode::None;
  trap_.message.clear();
  trap_.backtrace.clear();
  trap_.exit_code = 0;
  pending_exception = kNullRef;
}

Result<Vec<Value>> Store::call(FuncInst* func, std::span<const Value> args) {
  const CanonType& type = *func->type;
  constexpr uint32_t kInline = 32;
  Slot inline_slots[kInline];
  Vec<Slot> more;
  Slot* slots = inline_slots;
  const uint32_t needed =
      std::max({type.param_slots, type.result_slots, uint32_t(2 * args.size())});
  if (needed > kInline) {
    more.resize(needed);
    slots = more.data();
  }
  WAFER_TRY(check_arguments(type, args, slots));
  clear_trap();
  const TrapCode code = func->call(*this, func, slots);
  if (code != TrapCode::None) {
    if (trap_.code != code) set_trap(code);
    return trap_error();
  }
  Vec<Value> results;
  results.reserve(type.func.results.size());
  uint32_t at = 0;
  for (ValType t : type.func.results) {
    Value v{t, {slots[at], 0}};
    ++at;
    if (t.kind() == wasm::TypeKind::V128) v.bits[1] = slots[at++];
    results.push_back(v);
  }
  return results;
}

// ---- Instantiation --------------------------------------------------------------

bool extern_matches(const wasm::TypeRegistry& registry, const Extern& value,
                    const wasm::Module& module, const wasm::ExternType& type) {
  if (value.kind != type.kind || !value.func) return false;
  switch (type.kind) {
    case ExternKind::Func:
      return type.exact ? value.func->type->id == module.canon[type.type_index]
                        : registry.is_subtype(value.func->type->id, module.canon[type.type_index]);
    case ExternKind::Tag:
      WAFER_ASSUME_FEATURE(Exceptions);
      return value.tag->type->id == module.canon[type.type_index];
    case ExternKind::Table: {
      const wasm::TableType have = value.table->type();
      return limits_match(have.limits, type.table.limits) &&
             have.element == module.canonical(type.table.element);
    }
    case ExternKind::Memory: {
      const wasm::MemoryType have = value.memory->type();
      return have.page_size_log2 == type.memory.page_size_log2 &&
             have.limits.shared == type.memory.limits.shared &&
             limits_match(have.limits, type.memory.limits);
    }
    case ExternKind::Global: {
      const wasm::GlobalType& have = value.global->type;
      const ValType want = module.canonical(type.global.type);
      if (have.is_mutable != type.global.is_mutable) return false;
      return have.is_mutable ? have.type == want : registry.is_subtype(have.type, want);
    }
  }
  return false;
}

struct Instantiator {
  Store& store;
  const Shared<const wasm::Module>& module_owner;
  std::span<const Extern> imports;
  const wasm::Module& module;
  Instance* instance = nullptr;
  uint32_t data_in_images = 0;  // active data segments below it are in the memories

  Instantiator(Store& s, const Shared<const wasm::Module>& m, std::span<const Extern> i)
      : store(s), module_owner(m), imports(i), module(*m) {}

  Result<Instance*> run() {
    if (module.registry != store.engine_->registry())
      return failure(ErrorKind::Usage, "module belongs to another engine");
    WAFER_TRY(check_imports());
    if (store.instances_.size() >= store.limits_.instances)
      return failure(ErrorKind::Exhaustion, "too many instances in the store");
    Box<Instance> box = make_box<Instance>();
    instance = box.get();
    WAFER_TRY(allocate());
    // From here on references to our functions can get out, so they must work and
    // the instance must stay, whatever happens to the rest of the instantiation.
    Tier* const tier = store.engine_->tier();
    if (!WAFER_HAS_OS && !tier)
      return failure(ErrorKind::Unsupported, "no such tier in this build");
    if (tier) WAFER_TRY(tier->attach(*instance));
    store.instances_.push_back(std::move(box));
    register_roots();

    TrapCode code = initialize();
    if (code == TrapCode::None && module.start) {
      Slot none[1] = {0};
      FuncInst* const start = instance->funcs[*module.start];
      store.trap_.code = TrapCode::None;
      code = start->call(store, start, none);
    }
    if (code != TrapCode::None) {
      if (store.trap_.code != code) store.set_trap(code);
      return store.trap_error();
    }
    return instance;
  }

  Result<void> check_imports() const {
    if (imports.size() != module.imports.size()) {
      if (kBrief) return failure(ErrorKind::Unlinkable, "unknown import");
      String message = "unknown import: ";
      append_number(message, module.imports.size());
      message += " imports needed, ";
      append_number(message, imports.size());
      message += " given";
      return Error(ErrorKind::Unlinkable, message);
    }
    for (size_t i = 0; i < imports.size(); ++i) {
      const wasm::Import& import = module.imports[i];
      const Extern& value = imports[i];
      if (!extern_matches(*module.registry, value, module, import.type))
        return mismatch(import, kBrief ? String() : describe(value));
      // Code relies on the guard pages of every memory that may have them.
      if (WAFER_HAS_OS && value.kind == ExternKind::Memory &&
          value.memory->mode() == MemoryMode::Checked &&
          store.engine_->memory_mode(import.type.memory) == MemoryMode::Guarded)
        return mismatch(import, "a memory without guard pages");
      if (value.kind == ExternKind::Func && value.func->instance &&
          value.func->instance->store != &store)
        return failure(ErrorKind::Usage, "imported function belongs to another store");
    }
    return {};
  }

  Failure mismatch(const wasm::Import& import, std::string_view got) const {
    if (kBrief) return failure(ErrorKind::Unlinkable, "incompatible import type");
    String message = "incompatible import type: \"";
    message += import.module;
    message += "\" \"";
    message += import.name;
    message += "\": expected ";
    message += describe(module, import.type);
    message += ", got ";
    message += got;
    return Failure(Error(ErrorKind::Unlinkable, message));
  }

  // Binds imports and allocates everything else, uninitialized.
  Result<void> allocate() {
    Instance& in = *instance;
    in.store = &store;
    in.module = module_owner;

    in.func_storage.resize(module.functions.size());
    in.table_storage.resize(module.tables.size());
    in.memory_storage.resize(module.memories.size());
    in.memory_owners.resize(module.memories.size());
    in.global_storage.resize(module.globals.size());
    in.funcs = in.func_storage.data();
    in.tables = in.table_storage.data();
    in.memories = in.memory_storage.data();
    in.globals = in.global_storage.data();

    size_t funcs = 0, tables = 0, memories = 0, globals = 0, tags = 0;
    if constexpr (wasm::is_built(wasm::Feature::Exceptions)) {
      in.tag_storage.resize(module.tags.size());
      in.tags = in.tag_storage.data();
    }
    for (const Extern& e : imports) {
      switch (e.kind) {
        case ExternKind::Func:
          in.funcs[funcs++] = e.func;
          break;
        case ExternKind::Table:
          in.tables[tables++] = e.table;
          break;
        case ExternKind::Memory:
          in.memory_owners[memories] = e.memory_owner ? e.memory_owner : e.memory->owner();
          in.memories[memories++] = e.memory;
          break;
        case ExternKind::Global:
          in.globals[globals++] = e.global;
          break;
        case ExternKind::Tag:
          WAFER_ASSUME_FEATURE(Exceptions);
          in.tags[tags++] = e.tag;
          break;
      }
    }

    in.own_funcs.resize(module.functions.size() - funcs);
    for (FuncInst& f : in.own_funcs) {
      f.type = module.canon_type(module.functions[funcs].type_index);
      f.instance = instance;
      f.store = &store;
#if WAFER_HAS_OS
      f.call = call_without_tier;
#endif
      f.index = uint32_t(funcs);
      in.funcs[funcs++] = &f;
    }
    in.own_tables.reserve(module.tables.size() - tables);
    for (; tables < module.tables.size(); ++tables) {
      const wasm::TableType type = canonical(module, module.tables[tables].type);
      WAFER_LET(table, Table::create(type, kNullRef, store.limits_.table_elements,
                                     module.registry->is_gc_ref(type.element)));
      in.tables[tables] = table.get();
      in.own_tables.push_back(std::move(table));
    }
#if WAFER_HAS_GUARDS
    // An image pays from the second instance on; a pool promises more to come.
    const bool again = module.instantiated.exchange(true, std::memory_order_relaxed);
    const ModuleImages* const images =
        store.engine_->guard_pages() && store.engine_->config().memory_images
            ? ModuleImages::get(module, again || store.engine_->config().pool)
            : nullptr;
    if (images) data_in_images = images->data_end;
#endif
    for (; memories < module.memories.size(); ++memories) {
      const wasm::MemoryType& type = module.memories[memories].type;
      Memory::Config config = store.engine_->memory_config(type, store.limits_.memory_bytes);
      config.index = uint32_t(memories);
      if (store.engine_->config().trim_memories) config.trim = trimmed_bytes(module, memories);
#if WAFER_HAS_GUARDS
      if (images) config.image = images->memories[memories - module.imported_memories];
#endif
      WAFER_LET(memory, Memory::create(type, config));
      in.memories[memories] = memory.get();
      in.memory_owners[memories] = std::move(memory);
    }
    if (!module.memories.empty()) in.memory0 = in.memories[0];
    in.own_globals.resize(module.globals.size() - globals);
    for (GlobalInst& g : in.own_globals) {
      g.type = canonical(module, module.globals[globals].type);
      in.globals[globals++] = &g;
    }
    if constexpr (wasm::is_built(wasm::Feature::Exceptions)) {
      in.own_tags.resize(module.tags.size() - tags);
      for (TagInst& t : in.own_tags) {
        store.init_tag(t, module.canon_type(module.tags[tags].type_index));
        in.tags[tags++] = &t;
      }
    }
    in.elems.resize(module.elems.size());
    in.data_dropped.resize(module.datas.size());
    return {};
  }

  void register_roots() {
    if constexpr (!kHasRoots) return;
    for (auto& t : instance->own_tables)
      if (t->holds_gc_refs()) store.gc_tables_.push_back(t.get());
    for (GlobalInst& g : instance->own_globals)
      if (module.registry->is_gc_ref(g.type.type)) store.gc_globals_.push_back(&g);
    for (uint32_t i = 0; i < module.elems.size(); ++i)
      if (module.registry->is_gc_ref(module.canonical(module.elems[i].type)))
        store.gc_elems_.push_back({instance, i});
  }

  TrapCode initialize() {
    const TrapCode code = initialize_elements();
    if (code != TrapCode::None) {
      if (WAFER_HAS_GUARDS) clear_data();
      return code;
    }
    return initialize_data();
  }

  TrapCode initialize_elements() {
    Instance& in = *instance;
    for (size_t i = module.imported_globals; i < module.globals.size(); ++i)
      if (TrapCode c = eval_const(in, module.globals[i].init, in.globals[i]->value);
          c != TrapCode::None)
        return c;
    for (size_t i = module.imported_tables;
         wasm::is_built(wasm::Feature::FunctionReferences) && i < module.tables.size(); ++i) {
      if (!module.tables[i].init) continue;
      Slot value = 0;
      if (TrapCode c = eval_const(in, *module.tables[i].init, &value); c != TrapCode::None)
        return c;
      in.tables[i]->fill(0, value, in.tables[i]->size);
    }
    for (uint32_t i = 0; i < module.elems.size(); ++i)
      if (TrapCode c = init_elem(i); c != TrapCode::None) return c;
    return TrapCode::None;
  }

  // A trap before any data is written must leave the memories zero: a function that
  // is in a table already can tell.
  void clear_data() {
    for (uint32_t i = 0; i < data_in_images; ++i) {
      const wasm::DataSegment& data = module.datas[i];
      if (data.mode != SegmentMode::Active) continue;
      Slot offset = 0;
      const_integer(module, data.offset, offset);
      instance->memories[data.memory]->fill(offset, 0, data.bytes.size());
    }
  }

  TrapCode initialize_data() {
    Instance& in = *instance;
    for (uint32_t i = 0; i < module.datas.size(); ++i) {
      const wasm::DataSegment& data = module.datas[i];
      if (data.mode != SegmentMode::Active) continue;
      if (i >= data_in_images) {
        Slot offset = 0;
        if (TrapCode c = eval_const(in, data.offset, &offset); c != TrapCode::None) return c;
        const Bytes bytes = module.slice(data.bytes);
        if (TrapCode c = in.memories[data.memory]->init(offset, bytes, 0, bytes.size());
            c != TrapCode::None)
          return c;
      }
      in.data_dropped[i] = true;
    }
    return TrapCode::None;
  }

  TrapCode init_elem(uint32_t index) {
    Instance& in = *instance;
    const wasm::ElemSegment& elem = module.elems[index];
    // (Without references there is no expression that makes one.)
    const bool uses_exprs = !wasm::kOnlyFuncRefs && elem.uses_exprs;
    if (elem.mode == SegmentMode::Declarative) return TrapCode::None;
    Slot offset = 0;
    if (elem.mode == SegmentMode::Active) {
      if (TrapCode c = eval_const(in, elem.offset, &offset); c != TrapCode::None) return c;
      Table& table = *in.tables[elem.table];
      if (offset > table.size || elem.size() > table.size - offset)
        return TrapCode::TableOutOfBounds;
      if (!uses_exprs) {
        Ref* to = table.elements + offset;
        for (const uint32_t f : elem.funcs) *to++ = uintptr_t(in.funcs[f]);
        return TrapCode::None;
      }
    }
    // In the segment first: there the collector sees them.
    Vec<Ref>& items = in.elems[index];
    items.resize(elem.size());
    if (uses_exprs) {
      for (size_t i = 0; i < items.size(); ++i)
        if (TrapCode c = eval_const(in, elem.exprs[i], &items[i]); c != TrapCode::None) return c;
    } else {
      for (size_t i = 0; i < items.size(); ++i) items[i] = uintptr_t(in.funcs[elem.funcs[i]]);
    }
    if (elem.mode == SegmentMode::Active) {
      const TrapCode c = in.tables[elem.table]->init(offset, items, 0, items.size());
      Vec<Ref>().swap(items);
      return c;
    }
    return TrapCode::None;
  }
};

Result<Instance*> Store::instantiate(const Shared<const wasm::Module>& module,
                                     std::span<const Extern> imports) {
  return Instantiator(*this, module, imports).run();
}

}  // namespace wafer::runtime
