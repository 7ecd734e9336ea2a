#include "compiler/llvm/exact_traps.h"

#include <llvm/ADT/MapVector.h>
#include <llvm/ADT/SmallPtrSet.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/DomTreeUpdater.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/ScalarEvolutionExpressions.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Utils/BasicBlockUtils.h>
#include <llvm/Transforms/Utils/Cloning.h>
#include <llvm/Transforms/Utils/Local.h>
#include <llvm/Transforms/Utils/LoopSimplify.h>
#include <llvm/Transforms/Utils/LoopUtils.h>
#include <llvm/Transforms/Utils/ScalarEvolutionExpander.h>
#include <llvm/Transforms/Utils/ValueMapper.h>

#include "compiler/layout.h"

namespace wafer::compiler {

using llvm::BasicBlock;
using llvm::Instruction;
using llvm::Loop;
using llvm::SCEV;
using llvm::Value;

uint64_t min_memory_bytes(const wasm::MemoryType& type) {
  constexpr uint64_t kMost = uint64_t(1) << 47;
  return type.limits.min > kMost >> type.page_size_log2 ? kMost
                                                        : type.limits.min << type.page_size_log2;
}

namespace {

// Loops that are larger are none for vectors, and grow code.
constexpr size_t kMostInstructions = 400;
constexpr size_t kMostChecks = 12;
// Bounds of numbers from which addresses are computed, so that 64 bits hold every sum.
constexpr int64_t kMostTerm = int64_t(1) << 34;
constexpr uint64_t kMostProduct = uint64_t(1) << 62;
// Instructions (LLVM's) that a loop may run without looking whether it is interrupted: a few
// milliseconds.
constexpr uint64_t kMostWithoutPause = uint64_t(1) << 23;

// A memory, as code reaches it.
struct MemoryAt {
  uint32_t index = 0;
  Value* context = nullptr;
};

// A load or store that is volatile for exact traps: it may fault, or its order counts.
bool in_order(const Instruction& in) {
  if (const auto* l = llvm::dyn_cast<llvm::LoadInst>(&in)) return l->isVolatile() && !l->isAtomic();
  if (const auto* s = llvm::dyn_cast<llvm::StoreInst>(&in))
    return s->isVolatile() && !s->isAtomic();
  return false;
}

// What the instruction accesses (TBAA); empty if that is not told.
llvm::StringRef kind_of(const Instruction& in) {
  const llvm::MDNode* tag = in.getMetadata(llvm::LLVMContext::MD_tbaa);
  if (!tag) return {};
  const auto* type = llvm::dyn_cast<llvm::MDNode>(tag->getOperand(1));
  const auto* kind = type ? llvm::dyn_cast<llvm::MDString>(type->getOperand(0)) : nullptr;
  return kind ? kind->getString() : llvm::StringRef();
}

// It is no access to a memory, and cannot fault.
bool never_faults(const Instruction& in) {
  const llvm::StringRef kind = kind_of(in);
  return llvm::isa<llvm::StoreInst>(in) && !kind.empty() && kind != kMemoryKind;
}

// A place where the program may have to wait, for fuel or because it is interrupted: a branch
// to a block that holds nothing but that call.
struct Pause {
  BasicBlock* wait = nullptr;
  llvm::LoadInst* flag = nullptr;  // that an interrupt sets; null if it is for fuel
};

// The pause whose block is `wait`, if it is one.
bool find_pause(BasicBlock& wait, Pause& out) {
  const llvm::CallInst* call = nullptr;
  for (Instruction& in : wait) {
    if (in.isTerminator()) break;
    const auto* c = llvm::dyn_cast<llvm::CallInst>(&in);
    if (!c || call || !c->getCalledFunction()) return false;
    call = c;
  }
  if (!call) return false;
  const llvm::StringRef name = call->getCalledFunction()->getName();
  const bool interrupt = name == kInterruptedName;
  if (!interrupt && name != kOutOfFuelName) return false;
  out.wait = &wait;
  BasicBlock* from = wait.getSinglePredecessor();
  if (!from || !wait.getSingleSuccessor()) return false;
  const auto* branch = llvm::dyn_cast<llvm::BranchInst>(from->getTerminator());
  if (!branch || !branch->isConditional() || branch->getSuccessor(0) == branch->getSuccessor(1))
    return false;
  if (!interrupt) return true;
  const auto* test = llvm::dyn_cast<llvm::ICmpInst>(branch->getCondition());
  out.flag = test ? llvm::dyn_cast<llvm::LoadInst>(test->getOperand(0)) : nullptr;
  return out.flag && out.flag->isAtomic();
}

void make_plain(Instruction& in) {
  if (auto* l = llvm::dyn_cast<llvm::LoadInst>(&in))
    l->setVolatile(false);
  else
    llvm::cast<llvm::StoreInst>(in).setVolatile(false);
}

// The invariant load of a pointer, and where it loads from: a value and an offset.
const llvm::LoadInst* invariant_pointer(const Value* v, const Value*& from, uint64_t& offset) {
  const auto* l = llvm::dyn_cast<llvm::LoadInst>(v);
  if (!l || !l->hasMetadata(llvm::LLVMContext::MD_invariant_load)) return nullptr;
  const llvm::DataLayout& layout = l->getDataLayout();
  llvm::APInt bytes(64, 0);
  from = l->getPointerOperand()->stripAndAccumulateConstantOffsets(layout, bytes, true);
  offset = bytes.getZExtValue();
  return l;
}

// What has to hold for all accesses of a loop to be within the memories.
class LoopBounds {
 public:
  LoopBounds(Loop& loop, llvm::ScalarEvolution& se, const wasm::Module& module)
      : loop_(loop), se_(se), module_(module), word_(llvm::Type::getInt64Ty(se.getContext())) {}

  // False if that cannot be told before the loop.
  bool find() {
    // Loops with more ways out are none for vectors, which is what a copy is for.
    if (!loop_.getExitingBlock()) return false;
    llvm::SmallPtrSet<const BasicBlock*, 4> waits;
    llvm::SmallPtrSet<const Instruction*, 4> flags;
    for (BasicBlock* block : loop_.blocks()) {
      Pause pause;
      if (!find_pause(*block, pause)) continue;
      pauses_.push_back(pause);
      waits.insert(pause.wait);
      flags.insert(pause.flag);
    }
    size_t instructions = 0;
    for (BasicBlock* block : loop_.blocks()) {
      if (waits.contains(block)) continue;
      for (Instruction& in : *block) {
        if (++instructions > kMostInstructions) return false;
        if (kind_of(in) == kFuelKind && llvm::isa<llvm::StoreInst>(in) && !add_charge(in))
          return false;
        if (in_order(in))
          accesses_.push_back(&in);
        else if ((in.isVolatile() || in.isAtomic() || is_call(in)) && !flags.contains(&in))
          return false;
      }
    }
    if (accesses_.empty() && pauses_.empty()) return false;
    instructions_ = instructions;
    const SCEV* rounds = se_.getBackedgeTakenCount(&loop_);
    if (llvm::isa<llvm::SCEVCouldNotCompute>(rounds) ||
        se_.getTypeSizeInBits(rounds->getType()) > 64)
      return false;
    rounds_ = se_.getNoopOrZeroExtend(rounds, word_);
    for (Instruction* in : accesses_)
      if (!never_faults(*in) && !add(*in)) return false;
    return peaks_.size() + not_negative_.size() <= kMostChecks;
  }

  // Emits the check before `at`: an i1, or null if nothing has to be checked.
  Value* emit(Instruction* at) {
    llvm::SCEVExpander expander(se_, "bounds");
    for (const auto& [key, peak] : peaks_)
      if (!expander.isSafeToExpandAt(key.second, at)) return nullptr;
    for (const SCEV* s : not_negative_)
      if (!expander.isSafeToExpandAt(s, at)) return nullptr;
    if (!expander.isSafeToExpandAt(rounds_, at)) return nullptr;
    llvm::IRBuilder<> b(at);
    Value* ok = nullptr;
    const auto require = [&](Value* condition) {
      ok = ok ? b.CreateAnd(ok, condition) : condition;
    };
    uint64_t most_rounds = kMostProduct / most_step_;
    if (!pauses_.empty()) most_rounds = std::min(most_rounds, kMostWithoutPause / instructions_);
    if (se_.getUnsignedRangeMax(rounds_).ugt(most_rounds))
      require(b.CreateICmpULE(expander.expandCodeFor(rounds_, word_, at), b.getInt64(most_rounds)));
    for (const SCEV* s : not_negative_)
      require(b.CreateICmpSGE(expander.expandCodeFor(s, word_, at), b.getInt64(0)));
    if (charge_) {
      // All rounds can be paid.
      Value* rounds = expander.expandCodeFor(rounds_, word_, at);
      most_charge_ = b.CreateMul(b.CreateAdd(rounds, b.getInt64(1)), b.getInt64(charge_));
      require(b.CreateICmpSGE(load_fuel(b), most_charge_));
    }
    llvm::SmallDenseMap<uint32_t, Value*> sizes;
    for (const auto& [key, peak] : peaks_) {
      const auto least = int64_t(min_memory_bytes(module_.memories[key.first].type));
      if (se_.getSignedRangeMax(key.second).sle(least - peak.past)) continue;
      Value*& size = sizes[key.first];
      if (!size) size = memory_size(b, peak.memory);
      Value* room = b.CreateSub(size, b.getInt64(uint64_t(peak.past)));
      require(b.CreateICmpSLE(expander.expandCodeFor(key.second, word_, at), room));
    }
    return ok ? ok : b.getTrue();
  }

  llvm::ArrayRef<Instruction*> accesses() const { return accesses_; }
  llvm::ArrayRef<Pause> pauses() const { return pauses_; }

  // In a loop that is only entered where there is fuel for all rounds, takes it before the
  // loop if each round takes the same.
  void charge_before(const llvm::DominatorTree& tree) {
    BasicBlock* latch = loop_.getLoopLatch();
    if (charges_.empty() || !most_charge_ || loop_.getExitingBlock() != latch) return;
    for (const llvm::StoreInst* store : charges_)
      if (!tree.dominates(store->getParent(), latch)) return;
    llvm::IRBuilder<> b(loop_.getLoopPreheader()->getTerminator());
    llvm::StoreInst* all =
        b.CreateAlignedStore(b.CreateSub(load_fuel(b), most_charge_), fuel_, llvm::Align(4));
    all->setMetadata(llvm::LLVMContext::MD_tbaa, fuel_tag_);
    for (llvm::StoreInst* store : charges_) {
      Value* left = store->getValueOperand();
      store->eraseFromParent();
      llvm::RecursivelyDeleteTriviallyDeadInstructions(left);
    }
  }

 private:
  // The highest address that an expression forms, but for a constant.
  struct Peak {
    MemoryAt memory;
    int64_t past = 0;  // greatest sum of constant and size
  };

  // Adds what the store of what is left of the fuel takes from it.
  bool add_charge(Instruction& in) {
    auto& store = llvm::cast<llvm::StoreInst>(in);
    const auto* sum = llvm::dyn_cast<llvm::BinaryOperator>(store.getValueOperand());
    if (!sum || !llvm::isa<llvm::LoadInst>(sum->getOperand(0))) return false;
    const auto* c = llvm::dyn_cast<llvm::ConstantInt>(sum->getOperand(1));
    if (!c || !loop_.isLoopInvariant(store.getPointerOperand())) return false;
    if (kind_of(*llvm::cast<Instruction>(sum->getOperand(0))) != kFuelKind) return false;
    int64_t taken = c->getSExtValue();
    if (sum->getOpcode() == Instruction::Add)
      taken = -taken;
    else if (sum->getOpcode() != Instruction::Sub)
      return false;
    constexpr int64_t kMostCharge = 1'000'000;
    if (taken < 0 || taken > kMostCharge) return false;
    charges_.push_back(&store);
    charge_ += uint64_t(taken);
    fuel_ = store.getPointerOperand();
    fuel_tag_ = store.getMetadata(llvm::LLVMContext::MD_tbaa);
    return true;
  }

  llvm::LoadInst* load_fuel(llvm::IRBuilder<>& b) const {
    llvm::LoadInst* fuel = b.CreateAlignedLoad(b.getInt64Ty(), fuel_, llvm::Align(4));
    fuel->setMetadata(llvm::LLVMContext::MD_tbaa, fuel_tag_);
    return fuel;
  }

  static bool is_call(const Instruction& in) {
    const auto* call = llvm::dyn_cast<llvm::CallBase>(&in);
    if (!call) return false;
    return !call->doesNotAccessMemory() || call->mayHaveSideEffects();
  }

  bool memory_of(const SCEV* base, MemoryAt& out) const {
    const auto* unknown = llvm::dyn_cast<llvm::SCEVUnknown>(base);
    if (!unknown) return false;
    const Value* from = nullptr;
    uint64_t offset = 0;
    if (!invariant_pointer(unknown->getValue(), from, offset)) return false;
    const auto is_context = [](const Value* v) {
      const auto* a = llvm::dyn_cast<llvm::Argument>(v);
      return a && a->getArgNo() == 0;
    };
    if (is_context(from) && offset == layout::kCtxMemory0) {
      out.index = 0;
    } else {
      const Value* list = nullptr;
      const Value* context = nullptr;
      uint64_t at = 0, field = 0;
      if (offset != layout::kMemoryBase || !invariant_pointer(from, list, at) || at % 8 ||
          !invariant_pointer(list, context, field) || !is_context(context) ||
          field != layout::kCtxMemories)
        return false;
      out.index = uint32_t(at / 8);
      from = context;
    }
    out.context = const_cast<Value*>(from);
    return out.index < module_.memories.size();
  }

  static Value* memory_size(llvm::IRBuilder<>& b, const MemoryAt& memory) {
    const auto pointer = [&](Value* base, uint64_t offset) {
      auto* l =
          b.CreateLoad(b.getPtrTy(), b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), base, offset));
      l->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(b.getContext(), {}));
      return l;
    };
    Value* list = pointer(memory.context, layout::kCtxMemories);
    Value* instance = pointer(list, uint64_t(memory.index) * 8);
    return b.CreateAlignedLoad(
        b.getInt64Ty(), b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), instance, layout::kMemorySize),
        llvm::Align(8));
  }

  bool in_range(const SCEV* s) const {
    const llvm::ConstantRange r = se_.getSignedRange(s);
    return r.getSignedMin().sge(-kMostTerm) && r.getSignedMax().sle(kMostTerm);
  }

  bool add(Instruction& in) {
    Value* pointer = llvm::getLoadStorePointerOperand(&in);
    const SCEV* s = se_.getSCEV(pointer);
    MemoryAt memory;
    if (!memory_of(se_.getPointerBase(s), memory)) return false;
    const SCEV* offset = se_.removePointerBase(s);
    if (llvm::isa<llvm::SCEVCouldNotCompute>(offset)) return false;
    const uint64_t size = se_.getDataLayout().getTypeStoreSize(llvm::getLoadStoreType(&in));
    // Sums of a constant, terms that do not vary, and one that does.
    int64_t constant = 0;
    const SCEV* varies = nullptr;
    llvm::SmallVector<const SCEV*, 4> fixed;
    const auto term = [&](const SCEV* t) {
      if (const auto* c = llvm::dyn_cast<llvm::SCEVConstant>(t)) {
        constant += c->getAPInt().getSExtValue();
      } else if (se_.isLoopInvariant(t, &loop_)) {
        fixed.push_back(t);
        if (!se_.isKnownNonNegative(t)) return false;
      } else {
        if (varies) return false;
        varies = t;
      }
      return in_range(t);
    };
    if (const auto* sum = llvm::dyn_cast<llvm::SCEVAddExpr>(offset)) {
      for (const SCEV* t : sum->operands())
        if (!llvm::isa<llvm::SCEVAddRecExpr>(t) && !term(t)) return false;
      for (const SCEV* t : sum->operands())
        if (const auto* r = llvm::dyn_cast<llvm::SCEVAddRecExpr>(t)) {
          if (varies) return false;
          varies = r;
        }
    } else if (llvm::isa<llvm::SCEVAddRecExpr>(offset)) {
      varies = offset;
    } else if (!term(offset)) {
      return false;
    }
    const int64_t past = std::max<int64_t>(constant + int64_t(size), 1);
    const SCEV* base = fixed.empty() ? se_.getZero(word_) : se_.getAddExpr(fixed);
    const auto peak = [&](const SCEV* high) {
      Peak& p = peaks_[{memory.index, se_.getAddExpr(base, high)}];
      p.memory = memory;
      p.past = std::max(p.past, past);
      return true;
    };
    if (!varies) return peak(se_.getZero(word_));
    const SCEV* recurrence = varies;
    const auto* extended = llvm::dyn_cast<llvm::SCEVZeroExtendExpr>(varies);
    if (extended) recurrence = extended->getOperand();
    const auto* r = llvm::dyn_cast<llvm::SCEVAddRecExpr>(recurrence);
    if (!r || r->getLoop() != &loop_ || !r->isAffine()) {
      // The most that its bits can be.
      const llvm::APInt most = se_.getUnsignedRangeMax(varies);
      return most.ult(uint64_t(1) << 31) && peak(se_.getConstant(most));
    }
    const SCEV* start = r->getStart();
    const SCEV* step = r->getStepRecurrence(se_);
    if (extended) {
      start = se_.getZeroExtendExpr(start, word_);
      step = se_.getSignExtendExpr(step, word_);
    }
    if (!in_range(start) || !in_range(step)) return false;
    const SCEV* end = se_.getAddExpr(start, se_.getMulExpr(step, rounds_));
    most_step_ =
        std::max(most_step_, se_.getSignedRange(step).abs().getUnsignedMax().getZExtValue());
    // Both ends are within the memory: then so is all between, and nothing has wrapped around.
    if (!se_.isKnownNonNegative(start)) not_negative_.insert(start);
    if (!se_.isKnownNonNegative(step)) {
      not_negative_.insert(end);
      peak(start);
    }
    if (!se_.isKnownNegative(step)) peak(end);
    return true;
  }

  Loop& loop_;
  llvm::ScalarEvolution& se_;
  const wasm::Module& module_;
  llvm::Type* word_;
  const SCEV* rounds_ = nullptr;
  uint64_t most_step_ = 1;
  size_t instructions_ = 0;
  uint64_t charge_ = 0;           // fuel that a round takes at most
  Value* most_charge_ = nullptr;  // of all rounds
  Value* fuel_ = nullptr;
  llvm::SmallVector<llvm::StoreInst*, 2> charges_;
  llvm::MDNode* fuel_tag_ = nullptr;
  llvm::SmallVector<Pause, 2> pauses_;
  llvm::SmallVector<Instruction*, 16> accesses_;
  llvm::MapVector<std::pair<uint32_t, const SCEV*>, Peak> peaks_;
  llvm::SmallSetVector<const SCEV*, 4> not_negative_;
};

// What an empty piece of assembly that reads and writes memory does for the order of all else.
void put_barrier(BasicBlock& block) {
  llvm::IRBuilder<> b(&block, block.getFirstInsertionPt());
  auto* type = llvm::FunctionType::get(b.getVoidTy(), false);
  b.CreateCall(type, llvm::InlineAsm::get(type, "", "~{memory}", /*hasSideEffects=*/true))
      ->setDoesNotThrow();
}

// Takes a pause out of a loop in which there is no need to wait.
void remove_pause(const Pause& pause, llvm::LoopInfo& loops, llvm::DominatorTree& tree) {
  BasicBlock* from = pause.wait->getSinglePredecessor();
  auto* branch = llvm::cast<llvm::BranchInst>(from->getTerminator());
  Value* condition = branch->getCondition();
  BasicBlock* on = branch->getSuccessor(branch->getSuccessor(0) == pause.wait);
  llvm::DomTreeUpdater updater(tree, llvm::DomTreeUpdater::UpdateStrategy::Eager);
  llvm::IRBuilder<>(branch).CreateBr(on);
  branch->eraseFromParent();
  updater.applyUpdates({{llvm::DominatorTree::Delete, from, pause.wait}});
  loops.removeBlock(pause.wait);
  llvm::DeleteDeadBlock(pause.wait, &updater);
  // Some of what the vectorizer knows has to be in one block.
  llvm::MergeBlockIntoPredecessor(on, &updater, &loops);
  llvm::RecursivelyDeleteTriviallyDeadInstructions(condition);
  // Which an atomic load is not.
  if (pause.flag && pause.flag->use_empty()) pause.flag->eraseFromParent();
}

// Adds a second loop that is entered where `ok` does not hold.
void split(Loop& loop, Value* ok, llvm::LoopInfo& loops, llvm::DominatorTree& tree,
           llvm::ScalarEvolution& se) {
  BasicBlock* check = loop.getLoopPreheader();
  BasicBlock* entry = llvm::SplitBlock(check, check->getTerminator(), &tree, &loops, nullptr,
                                       check->getName() + ".within");
  llvm::ValueToValueMapTy map;
  llvm::SmallVector<BasicBlock*, 8> blocks;
  Loop* other =
      llvm::cloneLoopWithPreheader(entry, check, &loop, map, ".exact", &loops, &tree, blocks);
  llvm::remapInstructionsInBlocks(blocks, map);
  Instruction* old = check->getTerminator();
  llvm::IRBuilder<> b(old);
  b.CreateCondBr(ok, entry, llvm::cast<BasicBlock>(map[entry]),
                 llvm::MDBuilder(b.getContext()).createLikelyBranchWeights());
  old->eraseFromParent();

  llvm::SmallVector<BasicBlock*, 4> exits;
  loop.getUniqueExitBlocks(exits);
  for (BasicBlock* exit : exits)
    for (llvm::PHINode& phi : exit->phis())
      for (unsigned i = 0, n = phi.getNumIncomingValues(); i < n; ++i) {
        Value* value = phi.getIncomingValue(i);
        if (const auto copy = map.find(value); copy != map.end()) value = copy->second;
        phi.addIncoming(value, llvm::cast<BasicBlock>(map[phi.getIncomingBlock(i)]));
        se.forgetValue(&phi);
      }
  llvm::SmallVector<llvm::DomTreeNode*, 8> outside;
  for (BasicBlock* block : loop.blocks())
    for (llvm::DomTreeNode* child : *tree.getNode(block))
      if (!loop.contains(child->getBlock())) outside.push_back(child);
  for (llvm::DomTreeNode* node : outside) tree.changeImmediateDominator(node, tree.getNode(check));
  llvm::addStringMetadataToLoop(other, "llvm.loop.unroll.disable", 1);
}

}  // namespace

llvm::PreservedAnalyses CheckedLoopsPass::run(llvm::Function& function,
                                              llvm::FunctionAnalysisManager& analyses) {
  auto& loops = analyses.getResult<llvm::LoopAnalysis>(function);
  if (loops.empty()) return llvm::PreservedAnalyses::all();
  auto& tree = analyses.getResult<llvm::DominatorTreeAnalysis>(function);
  auto& se = analyses.getResult<llvm::ScalarEvolutionAnalysis>(function);
  auto& assumptions = analyses.getResult<llvm::AssumptionAnalysis>(function);
  bool changed = false;
  for (Loop* loop : loops.getLoopsInPreorder()) {
    if (!loop->isInnermost()) continue;
    if (!loop->isLoopSimplifyForm())
      changed |= llvm::simplifyLoop(loop, &tree, &loops, &se, &assumptions, nullptr, false);
    if (!loop->isLoopSimplifyForm() || !loop->isSafeToClone()) continue;
    LoopBounds bounds(*loop, se, *module_);
    if (!bounds.find()) continue;
    changed |= llvm::formLCSSARecursively(*loop, tree, &loops, &se);
    Value* ok = bounds.emit(loop->getLoopPreheader()->getTerminator());
    if (!ok) continue;
    changed = true;
    if (const auto* known = llvm::dyn_cast<llvm::Constant>(ok)) {
      // That it would trap, or run for too long, can be known as well.
      if (!known->isOneValue()) continue;
    } else {
      split(*loop, ok, loops, tree, se);
    }
    for (Instruction* in : bounds.accesses()) make_plain(*in);
    for (const Pause& pause : bounds.pauses()) remove_pause(pause, loops, tree);
    bounds.charge_before(tree);
    if (!bounds.pauses().empty()) se.forgetLoop(loop);
    // Within the loop nothing faults, so nothing is volatile; to what comes after it, all that
    // it did must be done.
    llvm::SmallVector<BasicBlock*, 4> exits;
    loop->getUniqueExitBlocks(exits);
    for (BasicBlock* exit : exits) put_barrier(*exit);
  }
  if (!changed) return llvm::PreservedAnalyses::all();
  analyses.invalidate(function, llvm::PreservedAnalyses::none());
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/true));
  llvm::LoopPassManager loop_passes;
  loop_passes.addPass(llvm::LICMPass(llvm::LICMOptions()));
  passes.addPass(
      llvm::createFunctionToLoopPassAdaptor(std::move(loop_passes), /*UseMemorySSA=*/true));
  passes.run(function, analyses);
  return llvm::PreservedAnalyses::none();
}

namespace {

// Whether a store in the loop goes on by fewer bytes than it writes.
bool overlaps_itself(const llvm::StoreInst& store, const Loop& loop, llvm::ScalarEvolution& se) {
  const uint64_t size = se.getDataLayout().getTypeStoreSize(store.getValueOperand()->getType());
  const auto overlaps = [&](const SCEV* s) {
    if (const auto* extended = llvm::dyn_cast<llvm::SCEVCastExpr>(s)) s = extended->getOperand();
    const auto* r = llvm::dyn_cast<llvm::SCEVAddRecExpr>(s);
    if (!r || r->getLoop() != &loop) return false;
    const auto* step = llvm::dyn_cast<llvm::SCEVConstant>(r->getStepRecurrence(se));
    return step && step->getAPInt().abs().ult(size);
  };
  const SCEV* at = se.getSCEV(const_cast<Value*>(store.getPointerOperand()));
  if (const auto* sum = llvm::dyn_cast<llvm::SCEVAddExpr>(at))
    return llvm::any_of(sum->operands(), [&](const SCEV* s) { return overlaps(s); });
  return overlaps(at);
}

}  // namespace

llvm::PreservedAnalyses KeepOverlapsPass::run(llvm::Function& function,
                                              llvm::FunctionAnalysisManager& analyses) {
  auto& loops = analyses.getResult<llvm::LoopAnalysis>(function);
  if (loops.empty()) return llvm::PreservedAnalyses::all();
  auto& se = analyses.getResult<llvm::ScalarEvolutionAnalysis>(function);
  for (Loop* loop : loops.getLoopsInPreorder()) {
    if (!loop->isInnermost()) continue;
    const bool found = llvm::any_of(loop->blocks(), [&](const BasicBlock* block) {
      return llvm::any_of(*block, [&](const Instruction& in) {
        const auto* store = llvm::dyn_cast<llvm::StoreInst>(&in);
        return store && overlaps_itself(*store, *loop, se);
      });
    });
    if (found) llvm::addStringMetadataToLoop(loop, "llvm.loop.vectorize.enable", 0);
  }
  return llvm::PreservedAnalyses::all();
}

namespace {

// May the load of the value be done under a condition: in an instruction with a mask, or in a
// branch that a choice turns into? `left` bounds the search.
bool may_be_conditional(const Value& value, bool masks, int& left) {
  for (const llvm::User* user : value.users()) {
    const auto* in = llvm::dyn_cast<Instruction>(user);
    if (!in || llvm::isa<llvm::StoreInst, llvm::PHINode>(in) || in->isTerminator()) continue;
    const llvm::Type* type = in->getType();
    if (--left < 0 || llvm::isa<llvm::SelectInst>(in)) return true;
    const bool wide = type->isVectorTy() || type->isFloatingPointTy() || type->isIntegerTy(1);
    // Of integers, only loads themselves become part of a choice.
    if (!wide && !llvm::isa<llvm::CastInst>(in)) continue;
    if (wide && !masks) continue;
    switch (in->getOpcode()) {
      case Instruction::And:
      case Instruction::Or:
      case Instruction::Xor:
        return true;
      case Instruction::Call:
        // Arguments go in registers.
        if (!llvm::isa<llvm::IntrinsicInst>(in)) continue;
        break;
      case Instruction::ICmp:
        // Of scalars, it is no mask.
        if (!in->getOperand(0)->getType()->isVectorTy()) continue;
        break;
      default:
        break;
    }
    if (may_be_conditional(*in, masks, left)) return true;
  }
  return false;
}

// The same value, in a register whatever is done with it.
void put_in_register(llvm::LoadInst& load) {
  llvm::IRBuilder<> b(load.getParent(), std::next(load.getIterator()));
  b.SetCurrentDebugLocation(load.getDebugLoc());
  llvm::Type* type = load.getType();
  const bool short_vector = type->isVectorTy() && type->getPrimitiveSizeInBits() == 64;
  Value* from = &load;
  if (short_vector) from = b.CreateBitCast(from, b.getDoubleTy());
  auto* asm_type = llvm::FunctionType::get(from->getType(), from->getType(), false);
  Value* to = b.CreateCall(
      asm_type, llvm::InlineAsm::get(asm_type, "", type->isIntegerTy() ? "=r,0" : "=v,0", false),
      from);
  Instruction* own = llvm::cast<Instruction>(short_vector ? from : to);
  if (short_vector) to = b.CreateBitCast(to, type);
  load.replaceUsesWithIf(to, [&](llvm::Use& use) { return use.getUser() != own; });
}

}  // namespace

void keep_loads_unconditional(llvm::Module& ir, const llvm::MCSubtargetInfo& target) {
  if (!target.getTargetTriple().isX86()) return;
  const bool masks = target.checkFeatures("+avx512f");
  llvm::SmallVector<llvm::LoadInst*, 32> found;
  for (llvm::Function& function : ir)
    for (Instruction& in : llvm::instructions(function)) {
      auto* load = llvm::dyn_cast<llvm::LoadInst>(&in);
      constexpr int kSteps = 24;
      int left = kSteps;
      if (load && in_order(in) && may_be_conditional(*load, masks, left)) found.push_back(load);
    }
  for (llvm::LoadInst* load : found) put_in_register(*load);
}

}  // namespace wafer::compiler
