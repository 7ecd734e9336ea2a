// Passes are chosen by what they bring to code that a compiler has optimized before, which
// most WebAssembly is: scalar clean-up runs once before inlining and once after it, and what
// is about loops only on functions that have some.
#include "compiler/llvm/pipeline.h"

#include <llvm/Analysis/InlineCost.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/CodeGen/AsmPrinter.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/DebugInfo.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/MCStreamer.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Passes/StandardInstrumentations.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Transforms/IPO/FunctionAttrs.h>
#include <llvm/Transforms/IPO/Inliner.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/ADCE.h>
#include <llvm/Transforms/Scalar/ConstraintElimination.h>
#include <llvm/Transforms/Scalar/DeadStoreElimination.h>
#include <llvm/Transforms/Scalar/DivRemPairs.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/GVN.h>
#include <llvm/Transforms/Scalar/IndVarSimplify.h>
#include <llvm/Transforms/Scalar/InstSimplifyPass.h>
#include <llvm/Transforms/Scalar/JumpThreading.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopDeletion.h>
#include <llvm/Transforms/Scalar/LoopIdiomRecognize.h>
#include <llvm/Transforms/Scalar/LoopInstSimplify.h>
#include <llvm/Transforms/Scalar/LoopLoadElimination.h>
#include <llvm/Transforms/Scalar/LoopRotation.h>
#include <llvm/Transforms/Scalar/LoopUnrollPass.h>
#include <llvm/Transforms/Scalar/Reassociate.h>
#include <llvm/Transforms/Scalar/SimpleLoopUnswitch.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Utils/Mem2Reg.h>
#include <llvm/Transforms/Vectorize/LoopVectorize.h>
#include <llvm/Transforms/Vectorize/SLPVectorizer.h>
#include <llvm/Transforms/Vectorize/VectorCombine.h>

#include "compiler/layout.h"
#include "compiler/llvm/exact_traps.h"
#include "compiler/llvm/locations.h"

namespace wafer::compiler {

namespace {

using llvm::FunctionPassManager;
using llvm::LoopPassManager;
using llvm::SimplifyCFGOptions;

// Runs passes on functions that have loops.
class IfLoops : public llvm::PassInfoMixin<IfLoops> {
 public:
  explicit IfLoops(FunctionPassManager passes) : passes_(std::move(passes)) {}
  llvm::PreservedAnalyses run(llvm::Function& f, llvm::FunctionAnalysisManager& analyses) {
    if (analyses.getResult<llvm::LoopAnalysis>(f).empty()) return llvm::PreservedAnalyses::all();
    return passes_.run(f, analyses);
  }

 private:
  FunctionPassManager passes_;
};

// Runs passes on functions of few blocks: their time, and the memory of jump threading, grow with
// the square of them where one condition is asked for over and over.
class IfFewBlocks : public llvm::PassInfoMixin<IfFewBlocks> {
 public:
  explicit IfFewBlocks(FunctionPassManager passes) : passes_(std::move(passes)) {}
  llvm::PreservedAnalyses run(llvm::Function& f, llvm::FunctionAnalysisManager& analyses) {
    constexpr size_t kMostBlocks = 2'000;
    if (f.size() > kMostBlocks) return llvm::PreservedAnalyses::all();
    return passes_.run(f, analyses);
  }

 private:
  FunctionPassManager passes_;
};

// For processors with little flash: loops of one small block are unrolled twice if their
// rounds are even, others never. A RISC-V gains nothing by it.
class UnrollSmallPass : public llvm::PassInfoMixin<UnrollSmallPass> {
 public:
  llvm::PreservedAnalyses run(llvm::Function& f, llvm::FunctionAnalysisManager& analyses) {
    constexpr size_t kMostInstructions = 48;
    constexpr unsigned kTimes = 2;
    auto& se = analyses.getResult<llvm::ScalarEvolutionAnalysis>(f);
    const bool gains = !f.getParent()->getTargetTriple().isRISCV();
    for (llvm::Loop* loop : analyses.getResult<llvm::LoopAnalysis>(f).getLoopsInPreorder()) {
      if (gains && loop->getNumBlocks() == 1 && loop->getHeader()->size() <= kMostInstructions &&
          se.getSmallConstantTripMultiple(loop) % kTimes == 0)
        llvm::addStringMetadataToLoop(loop, "llvm.loop.unroll.count", kTimes);
      else
        loop->setLoopAlreadyUnrolled();
    }
    return llvm::PreservedAnalyses::all();
  }
};

// What makes a body small before its callers take it.
FunctionPassManager before_inlining() {
  FunctionPassManager p;
  p.addPass(llvm::PromotePass());
  p.addPass(llvm::EarlyCSEPass());
  p.addPass(llvm::SimplifyCFGPass());
  return p;
}

void add_loop_passes(FunctionPassManager& p, unsigned level, bool small) {
  FunctionPassManager with_loops;
  LoopPassManager first;
  first.addPass(llvm::LoopInstSimplifyPass());
  first.addPass(llvm::LoopRotatePass());
  first.addPass(llvm::LICMPass(llvm::LICMOptions()));
  if (level >= 2) first.addPass(llvm::SimpleLoopUnswitchPass(/*NonTrivial=*/level >= 3));
  with_loops.addPass(
      llvm::createFunctionToLoopPassAdaptor(std::move(first), /*UseMemorySSA=*/true));
  with_loops.addPass(llvm::SimplifyCFGPass());
  LoopPassManager second;
  second.addPass(llvm::LoopIdiomRecognizePass());
  second.addPass(llvm::IndVarSimplifyPass());
  second.addPass(llvm::LoopDeletionPass());
  if (level >= 2 && !small) second.addPass(llvm::LoopFullUnrollPass(int(level)));
  with_loops.addPass(llvm::createFunctionToLoopPassAdaptor(std::move(second)));
  p.addPass(IfLoops(std::move(with_loops)));
}

void add_vectorization(FunctionPassManager& p, unsigned level, bool small,
                       const wasm::Module& module) {
  FunctionPassManager with_loops;
  if (level >= 2) {
    with_loops.addPass(llvm::GVNPass());
    with_loops.addPass(llvm::DSEPass());
    with_loops.addPass(llvm::InstCombinePass());
  }
  if (level >= 2) with_loops.addPass(CheckedLoopsPass(module));
  with_loops.addPass(KeepOverlapsPass());
  with_loops.addPass(llvm::LoopVectorizePass());
  if (level >= 2) with_loops.addPass(llvm::LoopLoadEliminationPass());
  with_loops.addPass(llvm::SimplifyCFGPass());
  if (level >= 3) with_loops.addPass(llvm::SLPVectorizerPass());
  if (level >= 2) {
    with_loops.addPass(llvm::VectorCombinePass());
    if (small) with_loops.addPass(UnrollSmallPass());
    with_loops.addPass(
        llvm::LoopUnrollPass(llvm::LoopUnrollOptions(int(level)).setRuntime(level >= 3)));
  }
  with_loops.addPass(llvm::InstCombinePass());
  with_loops.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()),
                                                           /*UseMemorySSA=*/true));
  p.addPass(IfLoops(std::move(with_loops)));
}

FunctionPassManager after_inlining(unsigned level, bool small, const wasm::Module& module) {
  FunctionPassManager p;
  p.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  FunctionPassManager conditions;
  // What one check of an address tells of others.
  if (small) conditions.addPass(llvm::ConstraintEliminationPass());
  if (level >= 2) conditions.addPass(llvm::JumpThreadingPass());
  p.addPass(IfFewBlocks(std::move(conditions)));
  p.addPass(llvm::SimplifyCFGPass(SimplifyCFGOptions().convertSwitchRangeToICmp(true)));
  p.addPass(llvm::InstCombinePass());
  p.addPass(llvm::ReassociatePass());
  add_loop_passes(p, level, small);
  add_vectorization(p, level, small, module);
  p.addPass(llvm::DivRemPairsPass());
  p.addPass(llvm::SimplifyCFGPass(SimplifyCFGOptions()
                                      .convertSwitchRangeToICmp(true)
                                      .convertSwitchToLookupTable(true)
                                      .forwardSwitchCondToPhi(true)
                                      .hoistCommonInsts(true)
                                      .sinkCommonInsts(true)));
  return p;
}

// See kCopyAttribute.
void drop_copies(llvm::Module& ir) {
  llvm::SmallVector<llvm::Function*, 16> copies;
  for (llvm::Function& f : ir)
    if (f.hasFnAttribute(kCopyAttribute)) copies.push_back(&f);
  for (llvm::Function* copy : copies) {
    uint64_t index = 0;
    copy->getFnAttribute(kCopyAttribute).getValueAsString().getAsInteger(10, index);
    for (llvm::Use& use : llvm::make_early_inc_range(copy->uses())) {
      auto& call = *llvm::cast<llvm::CallBase>(use.getUser());
      if (call.getFunction()->hasFnAttribute(kCopyAttribute)) continue;
      llvm::IRBuilder<> b(&call);
      const auto field = [&b](llvm::Value* base, uint64_t offset) {
        return b.CreateAlignedLoad(b.getPtrTy(),
                                   b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), base, offset),
                                   llvm::Align(8));
      };
      llvm::LoadInst* entries = field(call.getArgOperand(0), layout::kCtxEntries);
      entries->setMetadata(llvm::LLVMContext::MD_invariant_load,
                           llvm::MDNode::get(b.getContext(), {}));
      llvm::LoadInst* entry = field(entries, index * 8);
      entry->setAtomic(llvm::AtomicOrdering::Monotonic);
      use.set(entry);
    }
  }
  for (llvm::Function* copy : copies) copy->dropAllReferences();
  for (llvm::Function* copy : copies) copy->eraseFromParent();
}

class DropCopiesPass : public llvm::PassInfoMixin<DropCopiesPass> {
 public:
  llvm::PreservedAnalyses run(llvm::Module& ir, llvm::ModuleAnalysisManager&) {
    drop_copies(ir);
    return llvm::PreservedAnalyses::none();
  }
  static bool isRequired() { return true; }
};

// `small`: for processors with little flash.
llvm::ModulePassManager passes_of(unsigned level, bool small, const wasm::Module& module) {
  llvm::ModulePassManager p;
  p.addPass(llvm::createModuleToFunctionPassAdaptor(before_inlining()));
  // Most modules come from a compiler that has taken in what is small; what is left are small
  // functions of other translation units.
  static constexpr int kInlineCost[] = {0, 25, 75, 225};
  llvm::InlineParams inline_params = llvm::getInlineParams(kInlineCost[level]);
  llvm::ModuleInlinerWrapperPass inliner(inline_params);
  inliner.getPM().addPass(llvm::PostOrderFunctionAttrsPass());
  p.addPass(std::move(inliner));
  p.addPass(DropCopiesPass());
  p.addPass(llvm::createModuleToFunctionPassAdaptor(after_inlining(level, small, module)));
  return p;
}

// Empties functions that come after work was cancelled.
class CancelPass : public llvm::FunctionPass {
 public:
  static char id;
  explicit CancelPass(const Cancellation& cancelled) : FunctionPass(id), cancelled_(cancelled) {}
  bool runOnFunction(llvm::Function& f) override {
    if (!cancelled_()) return false;
    f.dropAllReferences();
    f.setPersonalityFn(nullptr);
    new llvm::UnreachableInst(f.getContext(), llvm::BasicBlock::Create(f.getContext(), "", &f));
    return true;
  }

 private:
  const Cancellation& cancelled_;
};
char CancelPass::id = 0;

}  // namespace

void optimize(llvm::Module& ir, llvm::TargetMachine& machine, unsigned level,
              const wasm::Module& module, const Cancellation& cancelled) {
  if (level == 0) {
    drop_copies(ir);
    return keep_loads_unconditional(ir, *machine.getMCSubtargetInfo());
  }
  llvm::PassInstrumentationCallbacks callbacks;
  callbacks.registerShouldRunOptionalPassCallback(
      [&cancelled](llvm::StringRef, llvm::Any) { return !cancelled(); });
  llvm::OptNoneInstrumentation plain_functions(/*DebugLogging=*/false);
  plain_functions.registerCallbacks(callbacks);
  llvm::PipelineTuningOptions tuning;
  llvm::PassBuilder builder(&machine, tuning, std::nullopt, &callbacks);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager groups;
  llvm::ModuleAnalysisManager modules;
  functions.registerPass([&] {
    llvm::TargetLibraryInfoImpl info{llvm::Triple(machine.getTargetTriple())};
    // Only what loaded code can reach; a loop that copies may become memcpy.
    info.disableAllFunctions();
    if (!machine.getTargetTriple().isArch64Bit()) return llvm::TargetLibraryAnalysis(info);
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
  passes_of(std::min(level, 3u), !machine.getTargetTriple().isArch64Bit(), module).run(ir, modules);
  keep_loads_unconditional(ir, *machine.getMCSubtargetInfo());
}

Result<std::unique_ptr<llvm::MemoryBuffer>> emit_object(llvm::Module& ir,
                                                        llvm::TargetMachine& machine,
                                                        const Cancellation& cancelled) {
  drop_debug_info(ir);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  auto* info = new llvm::MachineModuleInfoWrapperPass(&machine);
  llvm::TargetPassConfig* config = machine.createPassConfig(passes);
  config->setDisableVerify(true);
  // Processors reorder instructions themselves.
  config->disablePass(&llvm::PostRASchedulerID);
  if (machine.getOptLevel() == llvm::CodeGenOptLevel::Less &&
      machine.getTargetTriple().isX86_64()) {
    // A quarter of the compile time for a few percent of speed.
    machine.setFastISel(true);
    config->disablePass(&llvm::MachineSchedulerID);
  }
  passes.add(config);
  passes.add(info);
  passes.add(new CancelPass(cancelled));
  const auto refused = [] {
    return Error(ErrorKind::Unsupported, "the target cannot emit objects");
  };
  if (config->addISelPasses()) return refused();
  config->addMachinePasses();
  config->setInitialized();
  auto streamer = machine.createMCStreamer(stream, nullptr, llvm::CodeGenFileType::ObjectFile,
                                           info->getMMI().getContext());
  if (!streamer) {
    llvm::consumeError(streamer.takeError());
    return refused();
  }
  llvm::AsmPrinter* printer = machine.getTarget().createAsmPrinter(machine, std::move(*streamer));
  if (!printer) return refused();
  record_locations(*printer);
  passes.add(printer);
  passes.add(llvm::createFreeMachineFunctionPass());
  passes.run(ir);
  return llvm::MemoryBuffer::getMemBufferCopy({bytes.data(), bytes.size()});
}

}  // namespace wafer::compiler
