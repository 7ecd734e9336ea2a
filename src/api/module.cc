#include "api/convert.h"
#include "interp/interp.h"
#include "wafer/engine.hpp"

namespace wafer {

static_assert(std::is_same_v<Slot, runtime::Slot>);

// ---- Engine ----------------------------------------------------------------

Engine::Engine(const Config& config) {
  runtime::Config c;
  c.features = config.features;
  c.guard_pages = config.guard_pages;
  c.consume_fuel = config.consume_fuel;
  c.interruptible = config.interruptible;
  c.stack_bytes = config.stack_bytes;
  c.lazy_translation = config.lazy_translation;
  impl_ = runtime::Engine::create(c, interp::tier());
}

Config Engine::config() const {
  const runtime::Config& c = impl_->config();
  Config config;
  config.features = c.features;
  config.guard_pages = c.guard_pages;
  config.consume_fuel = c.consume_fuel;
  config.interruptible = c.interruptible;
  config.stack_bytes = c.stack_bytes;
  config.lazy_translation = c.lazy_translation;
  return config;
}

// ---- Module ----------------------------------------------------------------

Result<Module> Module::compile(const Engine& engine, Bytes binary) {
  WAFER_LET(module, engine.raw()->load_module(binary, true));
  return Module(std::move(module));
}

Result<Module> Module::compile_in_place(const Engine& engine, Bytes binary) {
  WAFER_LET(module, engine.raw()->load_module(binary, false));
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
    return Error(ErrorKind::Malformed, "not a serialized module of this version", 0);
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
