// Execution tier of compiled code.
#pragma once

#include <memory>

#include "compiler/abi.h"
#include "compiler/backend.h"
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

struct TierOptions {
  CompileOptions compile;
  Backend* backend = nullptr;  // outlives the tier
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

 private:
  Result<std::shared_ptr<NativeCode>> code_of(const wasm::Module& module,
                                              const runtime::Engine& engine);
  TierOptions options_;
};

// Options that code must have to run in `engine`.
CodeOptions code_options(const runtime::Engine& engine);

// Attaches an image to a module, for NativeTier to take. Unsupported if it was not
// made for code like `options`.
Result<void> set_precompiled(wasm::Module& module, std::shared_ptr<CodeImage> image);

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

// Frame of the WebAssembly function whose machine code holds `pc`; false if none does.
bool describe_native_frame(const void* pc, runtime::BacktraceFrame& out);

// For the personality routine of entries: the exception in flight has no handler.
void note_uncaught();

// For code that counts its executions: function `func` has run often enough.
void request_better_code(VmContext& context, uint32_t func);

}  // namespace wafer::compiler
