// Run-time structure (spec 4.2): engine, store, instances and what they hold.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "base/result.h"
#include "runtime/gc_heap.h"
#include "runtime/memory.h"
#include "runtime/roots.h"
#include "runtime/trap.h"
#include "runtime/value.h"
#include "wasm/decoder.h"
#include "wasm/module.h"

namespace wafer::compiler {
struct Entry;
}
namespace wafer::interp {
struct Stack;
}

namespace wafer::runtime {

class Engine;
class Fiber;
class StackPool;
struct HostSide;
class Store;
struct Instance;
struct FuncInst;

// ---- Execution tier -------------------------------------------------------

// Code that a tier keeps for one module; shared by all of its instances.
class ModuleCode {
 public:
  virtual ~ModuleCode() = default;
};

// What runs functions. The runtime knows a tier only through this.
class Tier {
 public:
  // Makes `instance.code` and every own function's `code`/`call` ready; called
  // once for each instance after imports are bound and before any code runs.
  virtual Result<void> attach(Instance& instance) = 0;
  // State of a store's executions (stacks); made on first use.
  virtual void detach_store(Store& store) = 0;
  // What modules may use; an engine has no features beside these.
  virtual wasm::FeatureSet features() const { return wasm::FeatureSet::all(); }
#if WAFER_HAS_OS
  // Makes a new host function callable from compiled code (FuncInst::native).
  virtual void prepare_host_func(FuncInst& func) {}

  // Machine code that is kept apart from the run: what becomes Module::precompiled, and
  // the binary of its module, which lives as long.
  struct StoredCode {
    Shared<void> code;
    Bytes module;
  };
  // Code that an earlier run left for the module with these bytes; null if there is none.
  virtual Shared<void> find_code(Bytes module, const Engine& engine) { return nullptr; }
  // Code of all of `module`, in the form of a file; without the module it is part of another.
  virtual Result<Vec<uint8_t>> compile(const wasm::Module& module, const Engine& engine,
                                       bool with_module) {
    return no_machine_code();
  }
  // Whether it runs code that comes with a module.
  virtual bool runs_stored_code() const { return false; }
  // Takes such a form back: copied from `bytes`, or mapped from a file, by its path or open. It is
  // trusted.
  virtual Result<StoredCode> load_code(Bytes bytes) { return no_machine_code(); }
  virtual Result<StoredCode> map_code(const char* path) { return no_machine_code(); }
  virtual Result<StoredCode> map_code(int fd) { return no_machine_code(); }
#endif
  // What engines say that get such code and do not run it.
  static Error no_machine_code() {
    return Error(ErrorKind::Unsupported, "this tier does not run machine code from files");
  }

 protected:
  ~Tier() = default;
};

// A module, and code that was made of all of it.
struct CompiledModule {
  Shared<const wasm::Module> module;
  Vec<uint8_t> code;
};

// What the interpreter keeps of one stack.
class TierStack : public RootSource {
 public:
  // Frees it; also on another stack than its own.
  virtual void destroy() = 0;

 protected:
  ~TierStack() = default;
};

// What compiled code keeps of one stack.
struct NativeState {
  uintptr_t stack_limit = 0;         // compiled code stays above this stack pointer
  Instance* caller = nullptr;        // whose code made the last call that may leave its instance
  compiler::Entry* entry = nullptr;  // innermost entry from native code
};

// All that goes with a stack, and is exchanged when control goes to another.
struct StackState {
  TierStack* tier = nullptr;
  NativeState native;
};

// ---- Instances ------------------------------------------------------------

// Context of a host call.
struct CallContext {
  Store& store;
  Instance* caller;  // instance whose code made the call; null from the embedder
  Fiber* fiber;      // what can wait if this call does; null: nothing can
  FuncInst* func;    // that is called
};

// A host function: reads its arguments from slots[0..] and leaves its results
// there (v128 takes two slots). Not None stops execution; details go through
// Store::set_trap. Pending, with CallContext::fiber: what comes of the call is handed to
// Fiber::resume later.
using HostCallback = TrapCode (*)(void* env, CallContext& context, Slot* slots);

// Function instance (4.2.7). A funcref is the address of one.
struct FuncInst {
  const wasm::CanonType* type = nullptr;
  Instance* instance = nullptr;  // null: host function
  void* code = nullptr;          // the tier's own record of the function
  // Runs the function from native code: arguments in slots[0..], results there
  // after. slots must have room for max(param_slots, result_slots).
  TrapCode (*call)(Store& store, FuncInst* func, Slot* slots) = nullptr;
  // For compiled code: machine code in the native calling convention, and its first
  // argument. Set by tiers that compile, for every function that their code can reach.
  void* native = nullptr;
  void* context = nullptr;
  Store* store = nullptr;
  HostCallback host = nullptr;
  void* host_env = nullptr;
  uint32_t index = 0;      // in the instance's function index space
  uint64_t user_data = 0;  // for API layers
};

// Table instance (4.2.7). Elements are Refs.
class Table {
 public:
  Ref* elements = nullptr;    // hot: read by the interpreter
  alignas(8) Index size = 0;  // where machine code looks for it, whatever Index is

  // `holds_gc_refs`: the element type is in the any, extern or exn hierarchy (see
  // TypeRegistry::is_gc_ref). Exhaustion if it does not fit.
  static Result<Box<Table>> create(const wasm::TableType& type, Ref init, uint64_t max_elements,
                                   bool holds_gc_refs);
  ~Table();
  // table.grow: previous size, or -1 (all ones).
  uint64_t grow(uint64_t delta, Ref init);
  // Declared type with min being the present size; heap types canonical.
  wasm::TableType type() const;
  TrapCode fill(Index at, Ref value, Index count);
  static TrapCode copy(Table& to, Index to_at, Table& from, Index from_at, Index count);
  TrapCode init(Index at, std::span<const Ref> items, Index from_at, Index count);
  bool holds_gc_refs() const { return holds_gc_refs_; }  // false for func tables

  Table() = default;

 private:
  wasm::TableType type_;
  Index capacity_ = 0;
  Index max_elements_ = 0;
  bool holds_gc_refs_ = false;
};

struct GlobalInst {
  Slot value[2] = {0, 0};  // first: compiled code addresses it
  wasm::GlobalType type;   // canonical
};

struct TagInst {
  const wasm::CanonType* type = nullptr;  // a func type without results
  // Which argument slots hold GC references, for the collector.
  [[no_unique_address]] VecIf<kHasRoots, uint32_t> ref_slots;
};

// An external value (4.2.13).
struct Extern {
  wasm::ExternKind kind = wasm::ExternKind::Func;
  union {
    FuncInst* func = nullptr;
    Table* table;
    GlobalInst* global;
    TagInst* tag;
    Memory* memory;
  };
  Shared<Memory> memory_owner;  // keeps a Memory alive across stores
};

// Module instance (4.2.5). Owned by its store. Arrays are in index order,
// imports first.
struct Instance {
  Store* store = nullptr;
  Memory* memory0 = nullptr;  // memories[0] or null
  FuncInst** funcs = nullptr;
  Table** tables = nullptr;
  Memory** memories = nullptr;
  GlobalInst** globals = nullptr;
  TagInst** tags = nullptr;
  Shared<ModuleCode> code;
  void* tier_data = nullptr;  // the tier's per-instance record
  Shared<const wasm::Module> module;
  // Segments: items of element segments (emptied when dropped); data segments
  // dropped or not.
  Vec<Vec<Ref>> elems;
  Vec<bool> data_dropped;

  // Export `name`, or nothing.
  std::optional<Extern> get_export(std::string_view name);
  Extern extern_of(wasm::ExternKind kind, uint32_t index);
  Bytes data(uint32_t segment) const {
    return data_dropped[segment] ? Bytes{} : module->slice(module->datas[segment].bytes);
  }

  // Storage behind the arrays above.
  Vec<FuncInst*> func_storage;
  Vec<FuncInst> own_funcs;
  Vec<Table*> table_storage;
  Vec<Memory*> memory_storage;
  Vec<GlobalInst*> global_storage;
  [[no_unique_address]] wasm::VecOf<wasm::Feature::Exceptions, TagInst*> tag_storage;
  Vec<Box<Table>> own_tables;
  Vec<Shared<Memory>> memory_owners;  // of all memories
  Vec<GlobalInst> own_globals;
  [[no_unique_address]] wasm::VecOf<wasm::Feature::Exceptions, TagInst> own_tags;
  Vec<uint32_t> export_order;  // exports by name, made when first needed
};

}  // namespace wafer::runtime

#if !WAFER_HAS_OS
namespace wafer {
template <>
inline constexpr bool kZeroIsDefault<runtime::FuncInst> = true;
template <>
inline constexpr bool kZeroIsDefault<runtime::GlobalInst> = true;
}  // namespace wafer
#endif

namespace wafer::runtime {

// ---- Engine and store -----------------------------------------------------

struct Config {
  wasm::FeatureSet features = wasm::FeatureSet::standard();
  bool guard_pages = true;        // use them where the platform can
  bool signals = true;            // traps may be faults; without it no guard pages either
  bool consume_fuel = false;      // code counts fuel
  bool interruptible = false;     // code polls Store::interrupt
  size_t stack_bytes = 1u << 20;  // of WebAssembly call stack for each store
  size_t fiber_stack_bytes = 0;   // for each fiber; 0: as for a store
  uint32_t nested_calls = 300;    // into the interpreter at a time: each takes native stack
  bool lazy_translation = true;   // translate a function on its first call
  // Give a memory that its module cannot grow, and that nothing but its exports reaches, only
  // the bytes below the address that the module exports as __heap_base: what a linker's data
  // and stack take. Its size in pages stays what the module says, but accesses above trap. For
  // the interpreter without guard pages.
  bool trim_memories = false;
  // Map the data of modules copy-on-write into guarded memories; each such module takes
  // a file descriptor.
  bool memory_images = true;
  // Where memories lie; outlives all that is made with it. Without guard pages.
  const MemoryStorage* memory_storage = nullptr;
  // Bytes of translated code that a module may have at once; functions that are not running
  // are dropped, and translated again when they are called. 0: no limit. Only in embedded builds.
  size_t code_budget = 0;
  // Where memories come from that guard pages protect and that are not shared; null:
  // address space is reserved as it is needed. Not in embedded builds.
  Shared<MemoryPool> pool;
};

// Shared by stores: configuration, canonical types, the tier.
class Engine {
 public:
  // `tier` outlives the engine, or is kept alive by `tier_owner`.
  static Shared<Engine> create(const Config& config, Tier* tier, Shared<void> tier_owner = nullptr);
  const Config& config() const { return config_; }
  const Shared<wasm::TypeRegistry>& registry() const { return registry_; }
  Tier* tier() const { return tier_; }
  // Stacks of fibers.
  StackPool& stacks() { return *stacks_; }
  // Mode that memories of `type` get in this engine; code relies on it.
  MemoryMode memory_mode(const wasm::MemoryType& type) const;
  // True if memories are Guarded where their type allows it.
  bool guard_pages() const { return guard_pages_ok_; }
  // How to make a memory of `type`.
  Memory::Config memory_config(const wasm::MemoryType& type, uint64_t max_bytes) const;
  // Decodes and validates with this engine's features and registry.
  // (`validate` false: the bytes are known to be a valid module.) `code`: what becomes
  // Module::precompiled; without it the tier is asked for some. Unsupported if there is code that
  // the tier does not run.
  Result<Shared<wasm::Module>> load_module(Bytes bytes, bool copy_bytes = true,
                                           bool validate = true, Shared<void> code = nullptr) const;
  // A module with the machine code that Tier::compile() made of it.
  Result<Shared<wasm::Module>> load_code(Bytes bytes) const;
  Result<Shared<wasm::Module>> map_code(const char* path) const;
  Result<Shared<wasm::Module>> map_code(int fd) const;
  // Unsupported if the tier runs no code that comes with a module.
  Result<void> check_runs_stored_code() const;

  Engine(const Config& config, Tier* tier, Shared<void> tier_owner);
  ~Engine();

#if !WAFER_HAS_OS
  interp::Stack* interpreter_stacks = nullptr;  // of all its stores
#endif

 private:
#if WAFER_HAS_OS
  Result<Shared<wasm::Module>> with_code(Result<Tier::StoredCode> stored) const;
#endif

  Config config_;
  Shared<void> tier_owner_;
  Tier* tier_;
  Shared<wasm::TypeRegistry> registry_;
  Box<StackPool> stacks_;  // null where there are no fibers
  bool guard_pages_ok_ = false;
};

// Ceilings that a store enforces; Exhaustion or a failed grow past them.
struct StoreLimits {
  uint64_t memory_bytes = ~uint64_t{0};  // for each memory
  uint64_t table_elements = 10'000'000;  // for each table
  uint32_t instances = 1'000'000;
  size_t gc_heap_bytes = kDefaultMaxBytes;
};

class Store final : public RootSource {
 public:
  explicit Store(Shared<Engine> engine, const StoreLimits& limits = {});
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  Engine& engine() const { return *engine_; }
  const Shared<Engine>& engine_owner() const { return engine_; }
  const StoreLimits& limits() const { return limits_; }
  GcHeap& gc() { return gc_; }
  const wasm::TypeRegistry& registry() const { return *engine_->registry(); }

  // Allocation (4.5.3, "Allocation"). The store owns what it gives.
  FuncInst* new_host_func(const wasm::CanonType* type, HostCallback callback, void* env,
                          void (*release_env)(void*) = nullptr);
  FuncInst* new_host_func(const wasm::FuncType& type, HostCallback callback, void* env,
                          void (*release_env)(void*) = nullptr);
  Result<Table*> new_table(const wasm::TableType& type, Ref init);
  Result<Shared<Memory>> new_memory(const wasm::MemoryType& type);
  GlobalInst* new_global(const wasm::GlobalType& type, const Value& value);
  TagInst* new_tag(const wasm::CanonType* type);
  // Keeps a memory of another store (or none) usable in this one.
  void adopt_memory(Shared<Memory> memory);
  // Keeps any object alive until the store dies.
  void keep_alive(Shared<void> object) { kept_.push_back(std::move(object)); }
  // The host function that this store made for `key` (a definition of a linker), or
  // null; and the place to note it.
  FuncInst*& host_func_for(const void* key) { return host_funcs_by_key_[key]; }

  // Instantiation (4.5.4): `imports` in the module's order. Unlinkable with
  // "incompatible import type" on mismatch; Trap if a segment or the start
  // function traps (trap() has the details). Data is written as far as it came.
  Result<Instance*> instantiate(const Shared<const wasm::Module>& module,
                                std::span<const Extern> imports);

  // Invocation (4.5.5): args must match the type. Error kinds: Usage for wrong
  // arguments, Trap otherwise.
  Result<Vec<Value>> call(FuncInst* func, std::span<const Value> args);
  // The same without checks: slots as FuncInst::call wants them.
  TrapCode call_raw(FuncInst* func, Slot* slots) { return func->call(*this, func, slots); }

  // Whether a function of `type` takes `args`: Usage if not. They go to `slots`, with room
  // for 2 each.
  Result<void> check_arguments(const wasm::CanonType& type, std::span<const Value> args,
                               Slot* slots) const;

  // The last trap. Code that stops execution fills it in.
  TrapInfo& trap() { return trap_; }
  // Records a trap with the host's own message; returns `code`.
  TrapCode set_trap(TrapCode code, std::string_view message = {});
  // Forgets the last trap, and the exception of it.
  void clear_trap();
  // trap() as an Error (kind Trap, message, no backtrace).
  Error trap_error() const;
  Ref pending_exception = kNullRef;  // of UncaughtException; a root

  // Fuel (only with Config::consume_fuel) and interruption. interrupt() may be
  // called from any thread or signal handler; clear with `interrupt_flag = 0`.
  int64_t fuel = 0;
  std::atomic<uint32_t> interrupt_flag{0};
  void interrupt() { interrupt_flag.store(1, std::memory_order_relaxed); }

  // Handles that keep references alive for the embedder; index 0 is never used.
  uint32_t root(Ref ref);
  Ref rooted(uint32_t handle) const { return handles_[handle]; }
  void unroot(uint32_t handle);

  // The instances made so far, in order.
  std::span<const Box<Instance>> instances() const { return instances_; }

  void enumerate_roots(RootVisitor& visitor) override;

  TierStack* tier_stack = nullptr;      // the interpreter's, of the present stack
  NativeState* native_state = nullptr;  // of compiled code; of the present stack
  Fiber* current_fiber = nullptr;       // on whose stack control is; null: the thread's own
  HostSide* host_side = nullptr;        // the thread's own stack, as it waits for a fiber
  Fiber* came_back = nullptr;           // that the last resume of a continuation ended with
  void* came_from = nullptr;            // for sanitizers: what control was on before
  Fiber* fibers = nullptr;              // all, from the newest on
  void* embedder_data = nullptr;
  Shared<void> component_state;  // of components, which this library does not know

 private:
  friend struct Instantiator;
  friend class StoreSnapshot;
  Shared<Engine> engine_;
  StoreLimits limits_;
  GcHeap gc_;
  TrapInfo trap_;
  struct HostFunc {
    Box<FuncInst> func;
    void (*release_env)(void*);
  };
  Vec<HostFunc> host_funcs_;
  Vec<Box<Table>> tables_;
  Vec<Shared<Memory>> memories_;
  Vec<Box<GlobalInst>> globals_;
  [[no_unique_address]] wasm::VecOf<wasm::Feature::Exceptions, Box<TagInst>> tags_;
  Vec<Box<Instance>> instances_;
  // What holds GC references among all of the above.
  [[no_unique_address]] VecIf<kHasRoots, Table*> gc_tables_;
  [[no_unique_address]] VecIf<kHasRoots, GlobalInst*> gc_globals_;
  [[no_unique_address]] VecIf<kHasRoots, std::pair<Instance*, uint32_t>> gc_elems_;
  Vec<Shared<void>> kept_;
  HashMap<const void*, FuncInst*> host_funcs_by_key_;
  Vec<Ref> handles_;
  Vec<uint32_t> free_handles_;

  void init_tag(TagInst& tag, const wasm::CanonType* type) const;
};

// Does an external value match an import's type (4.5.2, 3.3)? `module` gives the
// meaning of type indices.
bool extern_matches(const wasm::TypeRegistry& registry, const Extern& value,
                    const wasm::Module& module, const wasm::ExternType& type);

// Evaluates a constant expression in `instance` (4.5.4); slots get the value.
TrapCode eval_const(Instance& instance, wasm::ConstExpr expr, Slot* result);
// The value of `expr` if it is a lone i32.const or i64.const.
bool const_integer(const wasm::Module& module, wasm::ConstExpr expr, Slot& value);
// Where memory `index` may end: see Config::trim_memories. All ones: where its type says.
uint64_t trimmed_bytes(const wasm::Module& module, size_t index);

}  // namespace wafer::runtime
