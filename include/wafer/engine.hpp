// Engine and modules: what is compiled once and shared by stores and threads.
#pragma once

#include <memory>

#include "wafer/types.hpp"

namespace wafer {

// Settings of an Engine.
struct Config {
  // Proposals that modules may use.
  FeatureSet features = FeatureSet::standard();
  // Catch out-of-bounds accesses with reserved address space where the platform can.
  bool guard_pages = true;
  // Count executed instructions against Store::fuel.
  bool consume_fuel = false;
  // Let Store::interrupt stop running code.
  bool interruptible = false;
  // WebAssembly call stack of each store, in bytes.
  size_t stack_bytes = size_t(1) << 20;
  // Translate a function on its first call, rather than all at instantiation.
  bool lazy_translation = true;
};

// Configuration and canonical types. A cheap, copyable, thread-safe handle.
class Engine {
 public:
  Engine() : Engine(Config{}) {}
  explicit Engine(const Config& config);
  // Another handle to an engine.
  explicit Engine(std::shared_ptr<runtime::Engine> engine) : impl_(std::move(engine)) {}
  Config config() const;

  const std::shared_ptr<runtime::Engine>& raw() const { return impl_; }

 private:
  std::shared_ptr<runtime::Engine> impl_;
};

// A decoded and validated module (spec 2.5). A cheap, copyable, thread-safe handle.
class Module {
 public:
  // An empty handle.
  Module() = default;
  explicit Module(std::shared_ptr<const wasm::Module> module) : impl_(std::move(module)) {}

  // Decodes (chapter 5) and validates (chapter 3) a binary, which is copied. Errors:
  // Malformed, Invalid or Unsupported, with the byte offset.
  static Result<Module> compile(const Engine& engine, Bytes binary);
  // The same without a copy: `binary` must outlive the module and its instances.
  static Result<Module> compile_in_place(const Engine& engine, Bytes binary);
  // Is `binary` a valid module?
  static Result<void> validate(const Engine& engine, Bytes binary);

  // A form that `deserialize` of the same version of this library reads back.
  Vec<uint8_t> serialize() const;
  // Errors: Malformed if `bytes` do not come from `serialize` of this version.
  // Untrusted bytes are safe: the module is validated again.
  static Result<Module> deserialize(const Engine& engine, Bytes bytes);

  explicit operator bool() const { return impl_ != nullptr; }
  // Name of the module by its name section, or empty.
  std::string_view name() const;
  // Imports and exports, in the module's order.
  Vec<ImportType> imports() const;
  Vec<ExportType> exports() const;
  // Contents of the first custom section called `name`; data() is null if none.
  Bytes custom_section(std::string_view name) const;
  // The binary.
  Bytes bytes() const;

  const std::shared_ptr<const wasm::Module>& raw() const { return impl_; }

 private:
  std::shared_ptr<const wasm::Module> impl_;
};

}  // namespace wafer
