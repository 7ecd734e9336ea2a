// Execution tier of compiled code.
#pragma once

#include <functional>
#include <memory>

#include "compiler/abi.h"
#include "compiler/backend.h"
#include "compiler/cache.h"
#include "runtime/backtrace.h"

namespace wafer::compiler {

// Machine code of one module; shared by its instances.
class NativeCode final : public runtime::ModuleCode {
 public:
  NativeCode(const wasm::Module& module, const CodeOptions& options);

  // Makes the functions of `image` current.
  void adopt(std::shared_ptr<CodeImage> image);

  const wasm::Module& module;
  const CodeOptions options;
  Vec<const wasm::CanonType*> types;  // by type index
  Vec<void*> entries;                 // by function index; null where imported

 private:
  Vec<std::shared_ptr<CodeImage>> images_;
};

// What Module::precompiled is: code of all functions, or of some that calls reach through
// VmContext::entries.
struct KeptCode {
  std::shared_ptr<CodeImage> whole;  // or null
  CodeParts parts;
};
// The same of an image; null of none.
std::shared_ptr<void> keep_code(std::shared_ptr<CodeImage> image);
// What is kept for `module`, or null. Safe while another thread adds to it.
std::shared_ptr<const KeptCode> kept_code(const wasm::Module& module);

struct TierOptions {
  CompileOptions compile;
  // Gives the code generator when it is first needed, which outlives the tier; empty:
  // only code that came with its module can run.
  std::function<Result<Backend*>()> backend;
  // Called, from any thread, when the code generator has had nothing to do for a while: it gives
  // back what it can. Or empty.
  std::function<void()> rest;
  std::shared_ptr<const CodeCache> cache;  // or null
  // Told, from any thread, what makes the program slower than it could be; or empty.
  std::function<void(const char* message)> warn;
};

// Runs everything as code of the backend: compiled as a whole when a module is first
// instantiated, or taken from Module::precompiled.
class NativeTier final : public runtime::Tier {
 public:
  explicit NativeTier(TierOptions options) : options_(std::move(options)) {}
  ~NativeTier() = default;

  Result<void> attach(Instance& instance) override;
  void detach_store(Store& store) override;
  void prepare_host_func(FuncInst& func) override;

  std::shared_ptr<void> find_code(Bytes module, const runtime::Engine& engine) override;
  Result<Vec<uint8_t>> compile(const wasm::Module& module, const runtime::Engine& engine,
                               bool with_module) override;
  bool runs_stored_code() const override { return true; }
  Result<StoredCode> load_code(Bytes bytes) override;
  Result<StoredCode> map_code(const char* path) override;
  Result<StoredCode> map_code(int fd) override;
  // How code for `engine` has to be compiled.
  CompileOptions options_for(const runtime::Engine& engine) const;

 private:
  Result<Vec<uint8_t>> make_image(const wasm::Module& module, const CompileOptions& options,
                                  bool with_module);
  Result<std::shared_ptr<CodeImage>> image_of(const wasm::Module& module,
                                              const CompileOptions& options);
  Result<std::shared_ptr<NativeCode>> code_of(const wasm::Module& module, Store& store);
  TierOptions options_;
};

// Options that code must have to run in `engine`.
CodeOptions code_options(const runtime::Engine& engine);

// Makes the VmContext of `instance`, for code that takes types by index from `types` and
// calls own functions through `entries`.
void make_context(Instance& instance, const wasm::CanonType* const* types, void** entries);
// Frees what compiled code has in `store`: contexts and ExecState.
void release_contexts(Store& store);
// Lets compiled code call a host function.
void make_host_func_native(FuncInst& func);

// FuncInst::call of compiled functions.
TrapCode call_native(Store& store, FuncInst* func, Slot* slots);

// The store's state of compiled code, made on first use.
ExecState* exec_of(Store& store);

// Appends the frame of the WebAssembly function whose machine code holds `pc`, if one
// does; before it, those of the functions that the code there was inlined from. True if the
// caller's frame is of the same activation of the function (CodeLocation::entered_at_loop).
bool describe_native_frames(const Store& store, const void* pc, Vec<runtime::BacktraceFrame>& out);

// For the personality routine of entries: the exception in flight has no handler.
void note_uncaught();

}  // namespace wafer::compiler
