// The tier that runs baseline code, compiled function by function on first calls.
#pragma once

#include "compiler/baseline/arena.h"
#include "compiler/baseline/compiler.h"
#include "compiler/tier.h"

namespace wafer::compiler {

// Baseline code of one module; shared by its instances.
class BaselineCode final {
 public:
  // `make`, if not null, gives who compiles the functions that it can.
  BaselineCode(const wasm::Module& module, const BaselineOptions& options,
               MakeFunctionCompiler make = nullptr);
  // Prepares the entries that compile on first call.
  Result<void> init();
  // Machine code of own function `func` in the native calling convention, compiled now if
  // that has not been done; a stub where only the interpreter can run it. Null with no
  // memory left for code. It is put into `native` as well, before any later replace().
  // Thread-safe.
  void* ensure(uint32_t func, void** native = nullptr);

  // Makes `code` the function's from now on, in place of baseline code.
  void replace(uint32_t func, void* code);
  // From now on notes whether `func`, which is compiled, is called by its entry.
  void watch_calls(uint32_t func);
  // Whether it was, since then. Thread-safe.
  bool called_again(uint32_t func) const;
  // Keeps what such code lies in.
  void hold(std::shared_ptr<CodeImage> image);

  const wasm::Module& module;
  const BaselineOptions options;
  Vec<const wasm::CanonType*> types;  // by type index
  Vec<void*> entries;                 // by function index; null where imported
  Vec<uint32_t> heat;                 // by function index; empty unless counted

 private:
  // As ensure(), with the lock held.
  void* compile(uint32_t func);
  void* lazy_entry(uint32_t func) const {
    return lazy_entries_ + size_t(func) * BaselineCompiler::kThunkBytes;
  }
  // Where the code goes, or null.
  void* place(const CompiledFunction& code, uint32_t func);
  mutable Mutex mutex_;
  BaselineCompiler compiler_;
  std::shared_ptr<FunctionCompiler> better_;
  Vec<Box<CodeArena>> arenas_;
  Vec<bool> compiled_;
  // By function index: code behind an entry that is watched, or null.
  Vec<void*> watched_;
  uint8_t* lazy_entries_ = nullptr;  // of function 0
  Vec<std::shared_ptr<CodeImage>> images_;
};

// Executions of a function, or rounds of its loops, after which better code is asked for.
constexpr uint32_t kDefaultHeat = 1000;

class BaselineTier final : public runtime::Tier {
 public:
  // With `heat`, functions count their executions down from it and call
  // VmContext::better_code when they come to zero; 0: they do not count.
  explicit BaselineTier(uint32_t heat = 0, MakeFunctionCompiler make = nullptr)
      : heat_(heat), make_(make) {}
  ~BaselineTier() = default;
  Result<void> attach(Instance& instance) override;
  void detach_store(Store& store) override;
  void prepare_host_func(FuncInst& func) override;

 private:
  Result<std::shared_ptr<BaselineCode>> code_of(Instance& instance);
  const uint32_t heat_;
  const MakeFunctionCompiler make_;
};

// The tier, one for the process; null on processors that it does not support.
runtime::Tier* baseline_tier();

}  // namespace wafer::compiler
