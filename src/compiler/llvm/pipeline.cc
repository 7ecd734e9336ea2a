#include "compiler/llvm/pipeline.h"

#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/raw_ostream.h>

namespace wafer::compiler {

void optimize(llvm::Module& ir, llvm::TargetMachine& machine, unsigned level) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = level >= 2;
  tuning.SLPVectorization = level >= 3;
  tuning.LoopInterleaving = level >= 2;
  llvm::PassBuilder builder(&machine, tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager groups;
  llvm::ModuleAnalysisManager modules;
  functions.registerPass([&] {
    llvm::TargetLibraryInfoImpl info{llvm::Triple(machine.getTargetTriple())};
    // Only what loaded code can reach; a loop that copies may become memcpy.
    info.disableAllFunctions();
    for (const llvm::LibFunc f :
         {llvm::LibFunc_memcpy, llvm::LibFunc_memmove, llvm::LibFunc_memset})
      info.setAvailable(f);
    return llvm::TargetLibraryAnalysis(info);
  });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(groups);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, groups, modules);
  static const llvm::OptimizationLevel kLevels[] = {
      llvm::OptimizationLevel::O0, llvm::OptimizationLevel::O1, llvm::OptimizationLevel::O2,
      llvm::OptimizationLevel::O3};
  const llvm::OptimizationLevel l = kLevels[std::min(level, 3u)];
  llvm::ModulePassManager passes =
      level == 0 ? builder.buildO0DefaultPipeline(l) : builder.buildPerModuleDefaultPipeline(l);
  passes.run(ir, modules);
}

Result<std::unique_ptr<llvm::MemoryBuffer>> emit_object(llvm::Module& ir,
                                                        llvm::TargetMachine& machine) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager codegen;
  if (machine.addPassesToEmitFile(codegen, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return Error(ErrorKind::Unsupported, "the target cannot emit objects");
  codegen.run(ir);
  return llvm::MemoryBuffer::getMemBufferCopy({bytes.data(), bytes.size()});
}

}  // namespace wafer::compiler
