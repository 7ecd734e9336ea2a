// From IR as it is translated to object code: which passes run.
#pragma once

#include <llvm/IR/Module.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>

#include "base/result.h"

namespace wafer::compiler {

// Optimizes `ir` in place. `level` is CompileOptions::opt_level.
void optimize(llvm::Module& ir, llvm::TargetMachine& machine, unsigned level);

// An ELF object of all functions of `ir`.
Result<std::unique_ptr<llvm::MemoryBuffer>> emit_object(llvm::Module& ir,
                                                        llvm::TargetMachine& machine);

}  // namespace wafer::compiler
