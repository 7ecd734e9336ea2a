#include "compiler/tier.h"

#include <atomic>

namespace wafer::compiler {

namespace {

// Code of `have` runs where `want` is asked for: traps may be more exact than needed.
bool options_fit(CodeOptions have, const CodeOptions& want) {
  if (!have.relaxed_traps) have.relaxed_traps = want.relaxed_traps;
  return have == want;
}

}  // namespace

void make_context(Instance& instance, const wasm::CanonType* const* types, void** entries) {
  Store& store = *instance.store;
  auto* context = new (allocate(sizeof(VmContext), alignof(VmContext))) VmContext;
  context->instance = &instance;
  context->store = &store;
  context->exec = exec_of(store);
  runtime::Memory* memory = instance.memory0;
  if (memory && memory->mode() == runtime::MemoryMode::Guarded) context->memory0 = memory->base;
  context->own_globals = instance.own_globals.data();
  context->globals = instance.globals;
  context->funcs = instance.funcs;
  context->tables = instance.tables;
  context->memories = instance.memories;
  context->tags = instance.tags;
  context->types = types;
  context->entries = entries;
  instance.tier_data = context;
}

void release_contexts(Store& store) {
  for (const auto& instance : store.instances())
    if (auto* context = static_cast<VmContext*>(instance->tier_data))
      release(context, sizeof(VmContext), alignof(VmContext));
  if (auto* exec = static_cast<ExecState*>(store.native_state)) {
    store.gc().remove_root_source(exec);
    exec->~ExecState();
    release(exec, sizeof(ExecState), alignof(ExecState));
    store.native_state = nullptr;
  }
}

// The same as wafer_call_out_stub for functions that only_gprs() is true of.
extern "C" void wafer_call_out_integers_stub();

namespace {

// Whether nothing of a call is anywhere but in integer registers.
bool only_gprs(const wasm::FuncType& type) {
  const auto all_gprs = [](std::span<const wasm::ValType> types, bool results) {
    ArgAssigner assign(results);
    for (const wasm::ValType t : types)
      if (assign.next(t).kind != ArgLocation::Kind::Gpr) return false;
    return true;
  };
  return all_gprs(type.params, false) && all_gprs(type.results, true);
}

}  // namespace

void make_host_func_native(FuncInst& func) {
  func.native = reinterpret_cast<void*>(only_gprs(func.type->func) ? &wafer_call_out_integers_stub
                                                                   : &wafer_call_out_stub);
  func.context = &func;
}

NativeCode::NativeCode(const wasm::Module& m, const CodeOptions& o) : module(m), options(o) {
  types.reserve(m.types.size());
  for (uint32_t i = 0; i < m.types.size(); ++i) types.push_back(m.canon_type(i));
  entries.resize(m.functions.size());
}

void NativeCode::adopt(std::shared_ptr<CodeImage> image) {
  image->describe(module);
  for (const ImageFunction& f : image->functions())
    if (f.func_index < entries.size() && !f.loop)
      std::atomic_ref<void*>(entries[f.func_index])
          .store(const_cast<uint8_t*>(image->base()) + f.begin, std::memory_order_release);
  images_.push_back(std::move(image));
}

CodeOptions code_options(const runtime::Engine& engine) {
  CodeOptions o;
  o.guard_pages = engine.memory_mode({}) == runtime::MemoryMode::Guarded;
  o.fuel = engine.config().consume_fuel;
  o.interruptible = engine.config().interruptible;
  o.signals = engine.config().signals;
  return o;
}

CompileOptions NativeTier::options_for(const runtime::Engine& engine) const {
  CompileOptions compile = options_.compile;
  compile.code = code_options(engine);
  compile.code.relaxed_traps = options_.compile.code.relaxed_traps;
  return compile;
}

std::shared_ptr<const KeptCode> kept_code(const wasm::Module& module) {
  const MutexLock lock(module.tier_mutex);
  return std::static_pointer_cast<const KeptCode>(module.precompiled);
}

std::shared_ptr<void> keep_code(std::shared_ptr<CodeImage> image) {
  return image ? make_shared_in<KeptCode>(KeptCode{std::move(image), {}}) : nullptr;
}

namespace {

runtime::Tier::StoredCode stored(std::shared_ptr<CodeImage> image) {
  const Bytes module = image->module();
  return {keep_code(std::move(image)), module};
}

}  // namespace

std::shared_ptr<void> NativeTier::find_code(Bytes module, const runtime::Engine& engine) {
  if (!options_.cache) return nullptr;
  return keep_code(options_.cache->find(CacheKey(module), options_for(engine)));
}

Result<Vec<uint8_t>> NativeTier::make_image(const wasm::Module& module,
                                            const CompileOptions& options, bool with_module) {
  if (!options_.backend) return Error(ErrorKind::Unsupported, "no code generator in this build");
  WAFER_LET(backend, options_.backend());
  WAFER_LET(parts, backend->compile(module, options, {}));
  if (with_module) parts.module.assign(module.bytes.begin(), module.bytes.end());
  return write_image(parts);
}

Result<Vec<uint8_t>> NativeTier::compile(const wasm::Module& module, const runtime::Engine& engine,
                                         bool with_module) {
  return make_image(module, options_for(engine), with_module);
}

Result<runtime::Tier::StoredCode> NativeTier::load_code(Bytes bytes) {
  WAFER_LET(image, CodeImage::load(bytes));
  return stored(std::move(image));
}

Result<runtime::Tier::StoredCode> NativeTier::map_code(const char* path) {
  WAFER_LET(image, CodeImage::map_file(path));
  return stored(std::move(image));
}

Result<runtime::Tier::StoredCode> NativeTier::map_code(int fd) {
  WAFER_LET(image, CodeImage::map_file(fd));
  return stored(std::move(image));
}

// Code of the whole module: from the cache, or made now and kept there.
Result<std::shared_ptr<CodeImage>> NativeTier::image_of(const wasm::Module& module,
                                                        const CompileOptions& options) {
  if (!options_.cache) {
    WAFER_LET(bytes, make_image(module, options, false));
    return CodeImage::load(bytes);
  }
  const CacheKey key(module.bytes);
  CodeCache::FoundOrTurn kept = options_.cache->find_or_wait(key, options, options.cancel);
  if (kept.found) return kept.found;
  WAFER_LET(bytes, make_image(module, options, true));
  if (auto image = options_.cache->store(key, options, bytes)) return image;
  return CodeImage::load(bytes);
}

Result<std::shared_ptr<NativeCode>> NativeTier::code_of(const wasm::Module& module, Store& store) {
  CompileOptions compile = options_for(store.engine());
  if (compile.code.interruptible) compile.cancel = &store.interrupt_flag;
  const MutexLock lock(module.tier_mutex);
  if (auto code = std::static_pointer_cast<NativeCode>(module.native_code))
    if (options_fit(code->options, compile.code)) return code;

  const auto kept = std::static_pointer_cast<const KeptCode>(module.precompiled);
  std::shared_ptr<CodeImage> image = kept ? kept->whole : nullptr;
  if (image) {
    if (!options_fit(options_of(image->traits()), compile.code))
      return Error(
          ErrorKind::Unsupported,
          "code file was compiled with other options (fuel, interruption, guard pages, traps, "
          "signals)");
  } else {
    Result<std::shared_ptr<CodeImage>> compiled = image_of(module, compile);
    if (!compiled && compile.cancel && *compile.cancel) {
      store.set_trap(TrapCode::Interrupted);
      return store.trap_error();
    }
    if (!compiled) return compiled.take_error();
    image = *std::move(compiled);
  }
  auto code = make_shared_in<NativeCode>(module, options_of(image->traits()));
  code->adopt(std::move(image));
  for (size_t i = module.imported_functions; i < code->entries.size(); ++i)
    if (!code->entries[i]) return Error(ErrorKind::Malformed, "code file lacks functions");
  module.native_code = code;
  return code;
}

Result<void> NativeTier::attach(Instance& instance) {
  const wasm::Module& module = *instance.module;
  if (instance.store->engine().config().signals) runtime::install_fault_handlers();
  WAFER_LET(code, code_of(module, *instance.store));
  make_context(instance, code->types.data(), code->entries.data());
  for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i) {
    FuncInst* f = instance.funcs[i];
    f->call = &call_native;
    f->native = code->entries[i];
    f->context = instance.tier_data;
  }
  instance.code = std::move(code);
  return {};
}

void NativeTier::detach_store(Store& store) { release_contexts(store); }

void NativeTier::prepare_host_func(FuncInst& func) { make_host_func_native(func); }

}  // namespace wafer::compiler
