// From IR as it is translated to object code: which passes run.
#pragma once

#include <llvm/IR/Module.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Target/TargetMachine.h>

#include <atomic>
#include <memory>

#include "base/result.h"
#include "wasm/module.h"

namespace wafer::compiler {

// Whether who asked for the work has given up, by the flag of CompileOptions::cancel. Once
// seen that stays, even if the flag is cleared: what was made since is not complete.
class Cancellation {
 public:
  explicit Cancellation(const std::atomic<uint32_t>* flag) : flag_(flag) {}
  bool operator()() const {
    if (flag_ && flag_->load(std::memory_order_relaxed))
      seen_.store(true, std::memory_order_relaxed);
    return seen_.load(std::memory_order_relaxed);
  }

 private:
  const std::atomic<uint32_t>* flag_;  // or null
  mutable std::atomic<bool> seen_{false};
};

// Attribute of functions that are only there for their callers to take in, with the function's
// index as its value. optimize() takes the rest of them out; what still calls them does so
// through VmContext::entries.
constexpr const char* kCopyAttribute = "wafer-copy";

// Optimizes `ir`, which is of functions of `module`, in place. `level` is
// CompileOptions::opt_level. When cancelled it stops soon.
void optimize(llvm::Module& ir, llvm::TargetMachine& machine, unsigned level,
              const wasm::Module& module, const Cancellation& cancelled);

// An ELF object of all functions of `ir`, whose debug information it replaces by the section
// of record_locations(). When cancelled the object is not to be used.
Result<std::unique_ptr<llvm::MemoryBuffer>> emit_object(llvm::Module& ir,
                                                        llvm::TargetMachine& machine,
                                                        const Cancellation& cancelled);

}  // namespace wafer::compiler
