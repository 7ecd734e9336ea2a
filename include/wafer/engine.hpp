// Engine and modules: what is compiled once and shared by stores and threads.
#pragma once

#include <memory>

#include "wafer/types.hpp"

namespace wafer {

// How functions are run.
enum class Tier : uint8_t {
  Auto,         // starts at once in quickly made code, and moves what is hot to optimized code,
                // made in the background; the interpreter where there is no compiler
  Interpreter,  // makes no machine code
  Baseline,     // quickly made code only
  Optimized,    // all of a module is optimized when it is first instantiated
  InPlace,      // interprets functions' bytes where they lie: slower, and with few features, but
                // next to no memory for code
  Optimizing,   // functions are optimized when they are first called, by a compiler that takes a
                // sixtieth of the time of Optimized's for code that is a tenth slower
};

// Told what is worth knowing though nothing fails; `env` is Config::warning_env. From any
// thread.
using WarningCallback = void (*)(void* env, const char* message);

// Settings of an Engine.
struct Config {
  // Proposals that modules may use.
  FeatureSet features = FeatureSet::standard();
  // Catch out-of-bounds accesses with reserved address space where the platform can.
  bool guard_pages = true;
  // Let traps arrive as signals of the processor (SIGSEGV, SIGBUS, SIGILL), for which Wafer
  // then installs handlers. Without it code compares and calls, at some cost, there are no
  // guard pages, and no handler is touched.
  bool signals = true;
  // Count executed instructions against Store::fuel.
  bool consume_fuel = false;
  // Let Store::interrupt stop running code.
  bool interruptible = false;
  // WebAssembly call stack of each store, in bytes.
  size_t stack_bytes = size_t(1) << 20;
  // Calls into the interpreter that may be going on at a time: from the host, from a host function
  // that one of these calls, and so on. Each takes native stack; one more traps.
  uint32_t nested_calls = 300;
  // In the interpreter: translate a function on its first call, rather than all at
  // instantiation. Embedded builds always do.
  bool lazy_translation = true;
  // In the interpreter without guard pages: give a memory that its module cannot grow only the
  // bytes below the address that the module exports as __heap_base. Its size in pages stays,
  // but accesses above trap, as the specification does not have it.
  bool trim_memories = false;
  // Where linear memories lie, if the program has several kinds of memory; null: where the
  // allocator or the system puts them. It outlives all memories. There are no guard pages then,
  // and shared memories are asked for in embedded builds only.
  const MemoryStorage* memory_storage = nullptr;
  // In embedded builds: bytes of translated code that a module may have at once; the code of
  // functions that are not running is dropped for others. 0: no limit.
  size_t code_budget = 0;

  // How functions are run. Where a build or processor lacks the tier, instantiation is
  // Unsupported.
  Tier tier = Tier::Auto;
  // Path of the optimizing compiler, libwafer-llvm.so. Empty: it is linked in, or is where
  // the environment variable WAFER_LLVM says, or in one of the usual places.
  String optimizer_library;
  // Where warnings go, such as that Tier::Auto found no optimizing compiler. Null: to
  // standard error.
  WarningCallback warning = nullptr;
  void* warning_env = nullptr;
  // How hard optimized code is worked on, 0 to 3.
  unsigned opt_level = 2;
  // In optimized code, an access to memory may be left out or moved although it would trap,
  // and what precedes a trap may not have happened. Faster, and not what the specification
  // says.
  bool relaxed_traps = false;
  // Folder that keeps optimized code between runs, made when needed; empty for none.
  // Engines and processes may share one. Whoever can write to it can have code run.
  String cache_folder;
  // Ceiling on the bytes in it; 0 for the default of 1 GiB.
  uint64_t cache_bytes = 0;
  // Memories to hold ready, so that instances start in microseconds; as many may be alive
  // at once, and each takes 8 GiB of address space. 0: address space is reserved as it is
  // needed.
  uint32_t pooled_memories = 0;
};

// Configuration and canonical types. A cheap, copyable, thread-safe handle.
class Engine {
 public:
  Engine() : Engine(Config{}) {}
  explicit Engine(const Config& config);
  // Another handle to an engine.
  explicit Engine(std::shared_ptr<runtime::Engine> engine);
  const Config& config() const { return *config_; }

  const std::shared_ptr<runtime::Engine>& raw() const { return impl_; }

 private:
  std::shared_ptr<runtime::Engine> impl_;
  std::shared_ptr<const Config> config_;
};

#if !WAFER_EMBEDDED
// For programs with their own handlers of SIGSEGV, SIGBUS and SIGILL (see docs/embedding.md).
//
// To be asked first by a handler that was installed after Wafer's: is this a fault of
// WebAssembly code? `info` and `context` are the handler's siginfo_t* and ucontext_t* (it
// needs SA_SIGINFO). If true, the handler has to return at once; it may also not return.
bool handle_signal(int signal, void* info, void* context);
// Puts Wafer's handlers before those that were installed since; faults that are not
// WebAssembly's go on to them. Every instantiation does this too.
void install_signal_handlers();
#endif

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
  // Machine code of the module in `binary`, for load_compiled() in engines with the same
  // settings; what `wafer compile` writes. Needs Tier::Auto or Optimized, and the
  // optimizing compiler. Errors: as of compile(), and Unsupported.
  static Result<Vec<uint8_t>> precompile(const Engine& engine, Bytes binary);
  // A module from what precompile() gave, copied; or mapped from a file with it, so that
  // processes share its pages. The bytes are trusted: they are machine code, which is
  // checked for damage and for fitting this library, this processor and the engine's
  // settings, but not for malice. Errors: Malformed, Unsupported, Io.
  static Result<Module> load_compiled(const Engine& engine, Bytes code);
  static Result<Module> load_compiled_file(const Engine& engine, const char* path);

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
