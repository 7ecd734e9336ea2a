#include "compiler/baseline/tier.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "interp/interp.h"
#include "runtime/fiber.h"

namespace wafer::compiler {

namespace {

// Machine code that a byte of WebAssembly makes at most, in the usual case.
constexpr size_t kExpansion = 12;
constexpr size_t kLeastArena = 1u << 20;

void set_entry(void*& entry, void* code) {
  std::atomic_ref<void*>(entry).store(code, std::memory_order_release);
}

// Called by the entries of functions that are not compiled yet: where to go on.
void* enter_lazily(VmContext* context, uint32_t func, void* user) {
  auto& code = *static_cast<BaselineCode*>(user);
  // Calls through references skip the entry from now on.
  FuncInst* f = context->funcs[func];
  const bool own = f->call == &call_native && f->context == context;
  void* entry = nullptr;
  runtime::on_host_stack(*context->store,
                         [&] { entry = code.ensure(func, own ? &f->native : nullptr); });
  if (!entry) raise_trap(*context->exec, TrapCode::OutOfMemory, "no memory for machine code");
  return entry;
}

using Call = TrapCode (*)(Store&, FuncInst*, Slot*);
// FuncInst::call of interpreted functions, once known.
std::atomic<Call> call_interpreted{nullptr};

// Leaves a function to the interpreter. Other tiers may give it better code all the while: what it
// is called with stays.
void leave_to_interpreter(FuncInst* func) {
  Instance& instance = *func->instance;
  const wasm::Module& module = *instance.module;
  if (!instance.code) {
    // The interpreter takes all functions; the others are given back.
    Result<void> attached = interp::tier()->attach(instance);
    if (!attached.ok())
      raise_trap(*exec_of(*func->store), TrapCode::HostError, attached.error().message);
    call_interpreted.store(func->call, std::memory_order_relaxed);
    for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i)
      instance.funcs[i]->call = &call_native;
  }
  func->call = call_interpreted.load(std::memory_order_relaxed);
}

}  // namespace

BaselineCode::BaselineCode(const wasm::Module& m, const BaselineOptions& o,
                           MakeFunctionCompiler make)
    : module(m), options(o), compiler_(m, o), better_(make ? make(m, o) : nullptr) {
  types.reserve(m.types.size());
  for (uint32_t i = 0; i < m.types.size(); ++i) types.push_back(m.canon_type(i));
  entries.resize(m.functions.size());
  compiled_.resize(m.functions.size());
  watched_.resize(m.functions.size());
}

void* BaselineCode::place(const CompiledFunction& code, uint32_t func) {
  if (!arenas_.empty())
    if (void* at = arenas_.back()->add(code.code, func, code.locations, code.handlers)) return at;
  size_t bytes = 0;
  for (const wasm::Function& f : module.functions) bytes += f.body.size();
  bytes = std::max({bytes * kExpansion, kLeastArena, code.code.size() * 2});
  auto arena = CodeArena::create(bytes, module);
  if (!arena) return nullptr;
  arenas_.push_back(std::move(*arena));
  return arenas_.back()->add(code.code, func, code.locations, code.handlers);
}

Result<void> BaselineCode::init() {
  size_t first = 0;
  WAFER_LET(code, compiler_.lazy_entries(enter_lazily, this, first));
  auto* base = static_cast<uint8_t*>(place(code, 0));
  if (!base) return Error(ErrorKind::Exhaustion, "no memory for machine code");
  lazy_entries_ = base + first;
  for (uint32_t i = module.imported_functions; i < entries.size(); ++i) entries[i] = lazy_entry(i);
  return {};
}

void* BaselineCode::ensure(uint32_t func, void** native) {
  const MutexLock lock(mutex_);
  void* entry = compile(func);
  if (entry && native) set_entry(*native, entry);
  return entry;
}

void* BaselineCode::compile(uint32_t func) {
  if (compiled_[func]) {
    // Called while it was watched.
    if (void* code = std::exchange(watched_[func], nullptr)) set_entry(entries[func], code);
    return entries[func];
  }
  Result<CompiledFunction> code =
      better_ ? better_->compile(func) : Error(ErrorKind::Unsupported, "no other compiler");
  if (!code) code = compiler_.compile(func);
  if (!code) code = compiler_.interpreter_stub(func, leave_to_interpreter);
  if (!code) return nullptr;
  void* entry = place(*code, func);
  if (!entry) return nullptr;
  set_entry(entries[func], entry);
  compiled_[func] = true;
  return entry;
}

void BaselineCode::replace(uint32_t func, void* code) {
  const MutexLock lock(mutex_);
  compiled_[func] = true;
  watched_[func] = nullptr;
  set_entry(entries[func], code);
}

void BaselineCode::watch_calls(uint32_t func) {
  const MutexLock lock(mutex_);
  if (!compiled_[func] || watched_[func]) return;
  watched_[func] = entries[func];
  set_entry(entries[func], lazy_entry(func));
}

bool BaselineCode::called_again(uint32_t func) const {
  const MutexLock lock(mutex_);
  return !watched_[func];
}

void BaselineCode::hold(std::shared_ptr<CodeImage> image) {
  const MutexLock lock(mutex_);
  images_.push_back(std::move(image));
}

Result<std::shared_ptr<BaselineCode>> BaselineTier::code_of(Instance& instance) {
  const wasm::Module& module = *instance.module;
  BaselineOptions options;
  options.code = code_options(instance.store->engine());
  options.heat = heat_ != 0;
  options.optimized = make_ != nullptr;
  const MutexLock lock(module.tier_mutex);
  auto known = std::static_pointer_cast<BaselineCode>(module.baseline_code);
  if (known && known->options == options) return std::move(known);
  auto code = make_shared_in<BaselineCode>(module, options, make_);
  if (heat_) code->heat.resize(module.functions.size(), heat_);
  WAFER_TRY(code->init());
  module.baseline_code = code;
  return code;
}

Result<void> BaselineTier::attach(Instance& instance) {
  const wasm::Module& module = *instance.module;
  if (instance.store->engine().config().signals) runtime::install_fault_handlers();
  WAFER_LET(code, code_of(instance));
  make_context(instance, code->types.data(), code->entries.data());
  static_cast<VmContext*>(instance.tier_data)->heat = code->heat.data();
  for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i) {
    FuncInst* f = instance.funcs[i];
    f->call = &call_native;
    f->native = std::atomic_ref<void*>(code->entries[i]).load(std::memory_order_acquire);
    f->context = instance.tier_data;
  }
  // Not Instance::code, which is the interpreter's should it be needed; and the module
  // may come to hold other code.
  instance.store->keep_alive(std::move(code));
  return {};
}

void BaselineTier::detach_store(Store& store) {
  interp::tier()->detach_store(store);
  release_contexts(store);
}

void BaselineTier::prepare_host_func(FuncInst& func) { make_host_func_native(func); }

runtime::Tier* baseline_tier() {
  // Never destroyed: stores may outlive statics.
  static BaselineTier* const tier = BaselineCompiler::supported() ? new BaselineTier : nullptr;
  return tier;
}

}  // namespace wafer::compiler
