// The tier that runs baseline code, compiled function by function on first calls.
#pragma once

#include "compiler/baseline/arena.h"
#include "compiler/baseline/compiler.h"
#include "compiler/tier.h"

namespace wafer::compiler {

class BaselineTier;

// Baseline code of one module; shared by its instances.
class BaselineCode final {
 public:
  BaselineCode(BaselineTier& tier, std::shared_ptr<const wasm::Module> module,
               const BaselineOptions& options);
  ~BaselineCode();
  // Prepares the entries that compile on first call.
  Result<void> init();
  // Machine code of own function `func` in the native calling convention, compiled now if
  // that has not been done; a stub where only the interpreter can run it. Null with no
  // memory left for code. Thread-safe.
  void* ensure(uint32_t func);

  const std::shared_ptr<const wasm::Module> module;
  const BaselineOptions options;
  Vec<const wasm::CanonType*> types;  // by type index
  Vec<void*> entries;                 // by function index; null where imported
  Vec<uint32_t> heat;                 // by function index; empty unless counted

 private:
  // Where the code goes, or null.
  void* place(const CompiledFunction& code, uint32_t func);
  BaselineTier& tier_;
  Mutex mutex_;
  BaselineCompiler compiler_;
  Vec<Box<CodeArena>> arenas_;
  Vec<bool> compiled_;
};

class BaselineTier final : public runtime::Tier {
 public:
  BaselineTier() = default;
  ~BaselineTier() = default;
  Result<void> attach(Instance& instance) override;
  void detach_store(Store& store) override;
  void prepare_host_func(FuncInst& func) override;

 private:
  friend class BaselineCode;
  Result<std::shared_ptr<BaselineCode>> code_of(Instance& instance);
  Mutex mutex_;
  // Code in use, by module.
  HashMap<const wasm::Module*, std::weak_ptr<BaselineCode>> codes_;
};

// The tier, one for the process; null on processors that it does not support.
runtime::Tier* baseline_tier();

}  // namespace wafer::compiler
