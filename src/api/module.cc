#include <cstdio>

#include "api/convert.h"
#if WAFER_WITH_TIERS
#include "compiler/tiers/tiers.h"
#endif
#include "interp/interp.h"
#include "runtime/fault.h"
#include "runtime/memory_pool.h"
#include "wafer/engine.hpp"

namespace wafer {

static_assert(std::is_same_v<Slot, runtime::Slot>);

// ---- Engine ----------------------------------------------------------------

namespace {

#if WAFER_WITH_TIERS

// Stands in for a tier that cannot be had, and says why.
class MissingTier final : public runtime::Tier {
 public:
  explicit MissingTier(Error error) : error_(std::move(error)) {}
  Result<void> attach(runtime::Instance&) override { return error_; }
  void detach_store(runtime::Store&) override {}

 private:
  const Error error_;
};

#endif

runtime::Config runtime_config(const Config& config) {
  runtime::Config c;
  c.features = config.features;
  c.guard_pages = config.guard_pages;
  c.signals = config.signals;
  c.consume_fuel = config.consume_fuel;
  c.interruptible = config.interruptible;
  c.stack_bytes = config.stack_bytes;
  c.nested_calls = config.nested_calls;
  c.lazy_translation = config.lazy_translation;
  c.trim_memories = config.trim_memories;
  c.memory_storage = config.memory_storage;
  c.code_budget = config.code_budget;
  return c;
}

#if WAFER_WITH_TIERS

static_assert(int(Tier::Auto) == int(compiler::TierKind::Auto));
static_assert(int(Tier::Interpreter) == int(compiler::TierKind::Interpreter));
static_assert(int(Tier::Baseline) == int(compiler::TierKind::Baseline));
static_assert(int(Tier::Optimized) == int(compiler::TierKind::Optimized));
static_assert(int(Tier::InPlace) == int(compiler::TierKind::InPlace));
static_assert(int(Tier::Optimizing) == int(compiler::TierKind::Optimizing));

Result<Shared<runtime::Engine>> try_engine(const Config& config) {
  runtime::Config c = runtime_config(config);
  if (config.pooled_memories) {
    runtime::MemoryPool::Options pool;
    pool.slots = config.pooled_memories;
    WAFER_LET(created, runtime::MemoryPool::create(pool));
    c.pool = std::move(created);
  }
  compiler::TierOptions options;
  options.compile.opt_level = config.opt_level;
  options.compile.code.relaxed_traps = config.relaxed_traps;
  if (!config.cache_folder.empty())
    options.cache = std::make_shared<compiler::CodeCache>(
        std::string(config.cache_folder),
        config.cache_bytes ? config.cache_bytes : compiler::CodeCache::kDefaultMaxBytes);
  compiler::take_backend(options, std::string(config.optimizer_library));
  options.warn = [warning = config.warning, env = config.warning_env](const char* message) {
    if (warning)
      warning(env, message);
    else
      std::fprintf(stderr, "wafer: warning: %s\n", message);
  };
  WAFER_LET(made, compiler::make_tier(compiler::TierKind(config.tier), std::move(options)));
  return runtime::Engine::create(c, made.tier, std::move(made.owner));
}

#endif

}  // namespace

Shared<runtime::Engine> detail::make_engine(const Config& config) {
#if WAFER_WITH_TIERS
  Result<Shared<runtime::Engine>> made = try_engine(config);
  if (made) return *std::move(made);
  auto tier = make_shared_in<MissingTier>(made.take_error());
  return runtime::Engine::create(runtime_config(config), tier.get(), tier);
#else
  // An engine without a tier makes no instances.
  const bool missing =
      config.pooled_memories || (config.tier != Tier::Auto && config.tier != Tier::Interpreter &&
                                 !(config.tier == Tier::InPlace && interp::kRunsInPlace));
  return runtime::Engine::create(runtime_config(config), missing ? nullptr : interp::tier());
#endif
}

Engine::Engine(const Config& config)
    : impl_(detail::make_engine(config)), config_(make_shared_in<const Config>(config)) {}

Engine::Engine(std::shared_ptr<runtime::Engine> engine) : impl_(std::move(engine)) {
  const runtime::Config& c = impl_->config();
  Config config;
  config.features = c.features;
  config.guard_pages = c.guard_pages;
  config.signals = c.signals;
  config.consume_fuel = c.consume_fuel;
  config.interruptible = c.interruptible;
  config.stack_bytes = c.stack_bytes;
  config.nested_calls = c.nested_calls;
  config.lazy_translation = c.lazy_translation;
  config.trim_memories = c.trim_memories;
  config.memory_storage = c.memory_storage;
  config.code_budget = c.code_budget;
  config_ = make_shared_in<const Config>(config);
}

#if WAFER_HAS_OS
bool handle_signal(int signal, void* info, void* context) {
  return runtime::handle_fault(signal, info, context);
}
void install_signal_handlers() { runtime::install_fault_handlers(); }
#endif

// ---- Module ----------------------------------------------------------------

Result<Module> Module::compile(const Engine& engine, Bytes binary) {
  WAFER_LET(module, engine.raw()->load_module(binary, true));
  return Module(std::move(module));
}

Result<Module> Module::compile_in_place(const Engine& engine, Bytes binary) {
  WAFER_LET(module, engine.raw()->load_module(binary, false));
  return Module(std::move(module));
}

Result<Vec<uint8_t>> Module::precompile(const Engine& engine, Bytes binary) {
#if WAFER_HAS_OS
  WAFER_LET(module, engine.raw()->load_module(binary, false));
  return engine.raw()->tier()->compile(*module, *engine.raw(), true);
#else
  return runtime::Tier::no_machine_code();
#endif
}

Result<Module> Module::load_compiled(const Engine& engine, Bytes code) {
  WAFER_LET(module, engine.raw()->load_code(code));
  return Module(std::move(module));
}

Result<Module> Module::load_compiled_file(const Engine& engine, const char* path) {
  WAFER_LET(module, engine.raw()->map_code(path));
  return Module(std::move(module));
}

Result<void> Module::validate(const Engine& engine, Bytes binary) {
  WAFER_TRY(engine.raw()->load_module(binary, false));
  return {};
}

namespace {
// Precedes the binary in the serialized form; the last byte is its version.
constexpr uint8_t kSerialMagic[8] = {'\0', 'w', 'a', 'f', 'e', 'r', 'm', 1};
}  // namespace

Vec<uint8_t> Module::serialize() const {
  Vec<uint8_t> out(kSerialMagic, kSerialMagic + sizeof kSerialMagic);
  out.insert(out.end(), impl_->bytes.begin(), impl_->bytes.end());
  return out;
}

Result<Module> Module::deserialize(const Engine& engine, Bytes bytes) {
  if (bytes.size() < sizeof kSerialMagic ||
      std::memcmp(bytes.data(), kSerialMagic, sizeof kSerialMagic) != 0)
    return failure(ErrorKind::Malformed, "not a serialized module of this version", 0);
  return compile(engine, bytes.subspan(sizeof kSerialMagic));
}

std::string_view Module::name() const { return impl_->names.module; }

Bytes Module::bytes() const { return impl_->bytes; }

Bytes Module::custom_section(std::string_view name) const {
  for (const wasm::CustomSection& c : impl_->customs)
    if (c.name == name) return impl_->slice(c.payload);
  return {};
}

namespace detail {

namespace {

FuncType canonical(const wasm::Module& module, uint32_t type_index) {
  return module.canon_type(type_index)->func;
}

}  // namespace

ExternType describe(const wasm::Module& module, const wasm::ExternType& type) {
  ExternType out;
  out.kind = type.kind;
  switch (type.kind) {
    case ExternKind::Func:
    case ExternKind::Tag:
      out.func = canonical(module, type.type_index);
      break;
    case ExternKind::Table:
      out.table = type.table;
      out.table.element = module.canonical(type.table.element);
      break;
    case ExternKind::Memory:
      out.memory = type.memory;
      break;
    case ExternKind::Global:
      out.global = type.global;
      out.global.type = module.canonical(type.global.type);
      break;
  }
  return out;
}

ExternType describe(const wasm::Module& module, const wasm::Export& e) {
  wasm::ExternType type;
  type.kind = e.kind;
  switch (e.kind) {
    case ExternKind::Func:
      type.type_index = module.functions[e.index].type_index;
      break;
    case ExternKind::Tag:
      type.type_index = module.tags[e.index].type_index;
      break;
    case ExternKind::Table:
      type.table = module.tables[e.index].type;
      break;
    case ExternKind::Memory:
      type.memory = module.memories[e.index].type;
      break;
    case ExternKind::Global:
      type.global = module.globals[e.index].type;
      break;
  }
  return describe(module, type);
}

}  // namespace detail

Vec<ImportType> Module::imports() const {
  Vec<ImportType> out;
  out.reserve(impl_->imports.size());
  for (const wasm::Import& i : impl_->imports)
    out.push_back({i.module, i.name, detail::describe(*impl_, i.type)});
  return out;
}

Vec<ExportType> Module::exports() const {
  Vec<ExportType> out;
  out.reserve(impl_->exports.size());
  for (const wasm::Export& e : impl_->exports) out.push_back({e.name, detail::describe(*impl_, e)});
  return out;
}

}  // namespace wafer
