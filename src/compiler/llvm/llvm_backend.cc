#include "compiler/llvm/llvm_backend.h"

#include <llvm/BinaryFormat/ELF.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/FileSystem.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>
#include <llvm/TargetParser/Triple.h>

#include <mutex>
#include <system_error>
#include <thread>

#include "compiler/llvm/link.h"
#include "compiler/llvm/pipeline.h"
#include "compiler/llvm/scan.h"
#include "compiler/llvm/translate.h"
#include "compiler/llvm/xip.h"

namespace wafer::compiler {

namespace {

// Bytes of WebAssembly that one piece of work holds. Independent of the number of
// processors, so that the same input always gives the same code.
constexpr uint32_t kPieceBytes = 48u << 10;

struct Target {
  std::string triple, cpu, features, abi;
  const llvm::Target* target = nullptr;
};

Error error_of(std::string_view message) { return Error(ErrorKind::Unsupported, message); }

// Settings of LLVM's passes that no interface reaches.
void set_flags() {
  // Indices are 32 bits wide and wrap. Widened to 64 bits by this pass, they end up in a
  // form that the loop vectorizer does not know as steps through memory.
  // CodeGenPrepare looks again only at blocks that changed, as it does for huge functions by
  // itself: for all, that is a twentieth of the compile time.
  std::vector<const char*> arguments{"wafer", "-indvars-widen-indvars=false", "-cgpp-huge-func=0"};
  // More, for work on the compiler.
  std::string more;
  if (const char* flags = std::getenv("WAFER_LLVM_FLAGS")) more = flags;
  for (char* word = std::strtok(more.data(), " "); word; word = std::strtok(nullptr, " "))
    arguments.push_back(word);
  llvm::cl::ParseCommandLineOptions(int(arguments.size()), arguments.data());
}

void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
    LLVMInitializeARMTargetInfo();
    LLVMInitializeARMTarget();
    LLVMInitializeARMTargetMC();
    LLVMInitializeARMAsmPrinter();
    LLVMInitializeRISCVTargetInfo();
    LLVMInitializeRISCVTarget();
    LLVMInitializeRISCVTargetMC();
    LLVMInitializeRISCVAsmPrinter();
    set_flags();
  });
}

// Whether the target has the processor, told before LLVM does, which would print lines of its own
// or end the process.
Result<void> check_cpu(const Target& t) {
  const llvm::Triple triple(t.triple);
  const auto info_of = [&](llvm::StringRef cpu) {
    return std::unique_ptr<llvm::MCSubtargetInfo>(
        t.target->createMCSubtargetInfo(triple, cpu, /*Features=*/""));
  };
  // Those of 32 bits and of 64 are in the same list.
  const auto fits = [&](llvm::StringRef cpu) {
    if (!triple.isX86_64() && !triple.isRISCV32()) return true;
    return info_of(cpu)->checkFeatures(triple.isX86_64() ? "+64bit" : "+32bit");
  };
  const std::unique_ptr<llvm::MCSubtargetInfo> any = info_of("");
  if (any->isCPUStringValid(t.cpu) && fits(t.cpu)) return {};
  std::string message = "unknown cpu '" + t.cpu + "'; there are native, baseline";
  for (const auto& cpu : any->getAllProcessorDescriptions())
    if (fits(cpu.Key)) message += std::string(", ") + cpu.Key;
  return error_of(message);
}

// `t` with LLVM's description of it. A processor that somebody named may be none.
Result<Target> look_up(Target t, const CompileOptions& options) {
  std::string message;
  t.target = llvm::TargetRegistry::lookupTarget(llvm::Triple(t.triple), message);
  if (!t.target) return error_of(message);
  if (t.cpu == options.cpu) WAFER_TRY(check_cpu(t));
  return t;
}

Result<Target> find_small_target(const CompileOptions& options) {
  initialize();
  WAFER_LET(processor, xip_processor(options));
  Target t;
  t.triple = std::move(processor.triple);
  t.cpu = std::move(processor.cpu);
  t.features = std::move(processor.features);
  t.abi = std::move(processor.abi);
  return look_up(std::move(t), options);
}

Result<Target> find_target(const CompileOptions& options) {
  initialize();
  Target t;
  const std::string host = llvm::sys::getDefaultTargetTriple();
  if (options.target.empty()) {
    t.triple = host;
  } else if (options.target.find('-') == std::string::npos) {
    t.triple = options.target + "-unknown-linux-gnu";
  } else {
    t.triple = options.target;
  }
  const llvm::Triple triple(t.triple);
  const bool native_arch = triple.getArch() == llvm::Triple(host).getArch();
  const bool known_arch =
      triple.getArch() == llvm::Triple::x86_64 || triple.getArch() == llvm::Triple::aarch64;
  const bool known_system = triple.isOSLinux() || triple.isOSUnknown();
  if (!known_arch || !known_system || !triple.isOSBinFormatELF() || triple.isX32()) {
    const bool small = triple.isARM() || triple.isThumb() || triple.isRISCV32();
    return error_of("no code generator for target '" + options.target +
                    "'; there are x86_64, aarch64, and triples of these for Linux, such as "
                    "x86_64-unknown-linux-gnu" +
                    (small ? "; code that runs in place, --format xip, is for this" : ""));
  }
  std::string cpu = options.cpu;
  if (cpu.empty()) cpu = options.target.empty() ? "native" : "baseline";
  if (cpu == "native") {
    if (!native_arch) return error_of("cpu 'native' is for this machine's own kind only");
    t.cpu = llvm::sys::getHostCPUName().str();
    llvm::SubtargetFeatures features;
    for (const auto& f : llvm::sys::getHostCPUFeatures()) features.AddFeature(f.first(), f.second);
    t.features = features.getString();
  } else if (cpu == "baseline") {
    // The least that WebAssembly's vectors run well on.
    t.cpu = triple.isX86_64() ? "x86-64" : "generic";
    if (triple.isX86_64()) t.features = "+sse3,+ssse3,+sse4.1";
  } else {
    t.cpu = cpu;
  }
  return look_up(std::move(t), options);
}

Result<std::unique_ptr<llvm::TargetMachine>> make_machine(const Target& t, unsigned opt_level,
                                                          bool in_place = false) {
  llvm::TargetOptions options;
  options.GuaranteedTailCallOpt = false;
  options.EmitStackSizeSection = in_place;
  options.MCOptions.ABIName = t.abi;
  // Where code and constants lie is one distance, as with ROPI, which only Arm has by that name.
  const bool ropi = in_place && llvm::Triple(t.triple).isThumb();
  static constexpr llvm::CodeGenOptLevel kLevels[] = {
      llvm::CodeGenOptLevel::None, llvm::CodeGenOptLevel::Less, llvm::CodeGenOptLevel::Default,
      llvm::CodeGenOptLevel::Aggressive};
  std::unique_ptr<llvm::TargetMachine> machine(t.target->createTargetMachine(
      llvm::Triple(t.triple), t.cpu, t.features, options,
      ropi ? llvm::Reloc::ROPI : llvm::Reloc::PIC_, llvm::CodeModel::Small,
      kLevels[std::min(opt_level, 3u)], /*JIT=*/false));
  if (!machine) return error_of("no code generator for target " + t.triple);
  // For single functions, where it would look up addresses in a table.
  if (in_place) machine->setO0WantsFastISel(false);
  return machine;
}

// Features that code for `machine` may use, as the image tells them.
uint64_t feature_bits(const llvm::TargetMachine& machine) {
  uint64_t bits = 0;
  for (const auto& f : machine.getMCSubtargetInfo()->getEnabledProcessorFeatures())
    bits |= cpu_feature_bit({f.Key, std::strlen(f.Key)});
  return bits;
}

// Appends IR to the file that an environment variable names, for work on the compiler.
void dump(const llvm::Module& ir, const char* variable) {
  const char* path = std::getenv(variable);
  if (!path) return;
  std::error_code ec;
  llvm::raw_fd_ostream out(path, ec, llvm::sys::fs::OF_Append);
  if (!ec) ir.print(out, nullptr);
}

Result<void> verify(const llvm::Module& ir) {
#ifndef NDEBUG
  constexpr bool kVerify = true;
#else
  static const bool kVerify = std::getenv("WAFER_VERIFY_IR") != nullptr;
#endif
  if (kVerify) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    if (llvm::verifyModule(ir, &stream))
      return error_of("internal error: the code generator made bad IR: " + text);
  }
  return {};
}

class LlvmBackend final : public Backend {
 public:
  Result<Vec<uint8_t>> compile_in_place(const wasm::Module& module,
                                        const CompileOptions& options) override {
    WAFER_TRY(xip_check_module(module));
    if (options.code.fuel || options.code.interruptible)
      return error_of("code that runs in place cannot count fuel or be interrupted");
    WAFER_LET(target, find_small_target(options));
    WAFER_LET(machine, make_machine(target, options.opt_level, true));
    WAFER_LET(traits, xip_target(*machine));
    CompileOptions how = options;
    how.in_place = true;
    how.code.guard_pages = how.code.signals = false;
    std::vector<uint32_t> all;
    for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i) all.push_back(i);
    const FunctionFacts facts = scan_functions(module, all);
    llvm::LLVMContext context;
    ModuleTranslator translator(context, module, how, target.triple, facts);
    translator.set_xip_target(traits);
    translator.ir->setTargetTriple(machine->getTargetTriple());
    translator.ir->setDataLayout(machine->createDataLayout());
    for (const uint32_t f : all) {
      llvm::Function* fn = translator.function(f);
      if (xip_called_from_outside(module, f))
        translator.xip_entry(module.functions[f].type_index);
      else
        fn->setLinkage(llvm::GlobalValue::InternalLinkage);
      WAFER_TRY(translator.translate(f));
      if (facts.plain[f]) {
        fn->addFnAttr(llvm::Attribute::OptimizeNone);
        fn->addFnAttr(llvm::Attribute::NoInline);
      }
    }
    translator.finish();
    const Cancellation cancelled(options.cancel);
    WAFER_TRY(verify(*translator.ir));
    dump(*translator.ir, "WAFER_DUMP_IR");
    optimize(*translator.ir, *machine, options.opt_level, module, cancelled);
    if (machine->getTargetTriple().isRISCV()) xip_choose_tables(*translator.ir);
    dump(*translator.ir, "WAFER_DUMP_OPTIMIZED_IR");
    WAFER_LET(object, emit_object(*translator.ir, *machine, cancelled));
    return link_xip(*object, module, traits);
  }

  Result<ImageTraits> traits(const CompileOptions& options) override {
    WAFER_LET(target, find_target(options));
    WAFER_LET(machine, make_machine(target, options.opt_level));
    return traits_of(*machine, options);
  }

  Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                             std::span<const uint32_t> functions) override {
    WAFER_LET(target, find_target(options));
    std::vector<uint32_t> all;
    if (options.enter_at)
      all = find_callees(module, options.enter_at->func);
    else if (functions.empty())
      for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i)
        all.push_back(i);
    else
      all.assign(functions.begin(), functions.end());

    std::vector<uint32_t> scanned = all;
    if (options.enter_at) scanned.push_back(options.enter_at->func);
    FunctionFacts facts = scan_functions(module, scanned);
    if (options.through_entries) {
      // Their baseline code is as good.
      std::erase_if(all, [&facts](uint32_t f) { return facts.plain[f]; });
      if (options.enter_at ? bool(facts.plain[options.enter_at->func]) : all.empty())
        return error_of("too large to be optimized");
      if (options.enter_at) facts.compiled[options.enter_at->func] = false;
      for (const uint32_t f : scanned)
        if (facts.plain[f]) facts.compiled[f] = false;
    }
    const std::vector<std::span<const uint32_t>> pieces = divide(module, options, facts, all);
    const Cancellation cancelled(options.cancel);
    std::vector<std::unique_ptr<llvm::MemoryBuffer>> objects(pieces.size());
    std::atomic<size_t> next{0};
    std::mutex mutex;
    Failure failure;
    const auto work = [&] {
      for (size_t i; (i = next.fetch_add(1)) < pieces.size();) {
        Result<std::unique_ptr<llvm::MemoryBuffer>> object =
            cancelled() ? Result<std::unique_ptr<llvm::MemoryBuffer>>(error_of("cancelled"))
                        : compile_piece(module, options, target, facts, cancelled, pieces[i]);
        if (object) {
          objects[i] = *std::move(object);
          continue;
        }
        const std::lock_guard lock(mutex);
        if (!failure) failure = object.take_failure();
        next = pieces.size();
      }
    };
    const size_t threads = std::min<size_t>(
        options.threads ? options.threads : std::max(1u, std::thread::hardware_concurrency()),
        pieces.size());
    std::vector<std::thread> others;
    for (size_t i = 1; i < threads; ++i) {
      try {
        others.emplace_back(work);
      } catch (const std::system_error&) {
        break;  // with those that could be had
      }
    }
    work();
    for (std::thread& t : others) t.join();
    if (failure) return failure;
    if (cancelled()) return error_of("cancelled");

    WAFER_LET(parts, link_objects(objects));
    WAFER_LET(machine, make_machine(target, options.opt_level));
    parts.traits = traits_of(*machine, options);
    return std::move(parts);
  }

 private:
  // Pieces that are compiled each for itself. What is left unoptimized is alone.
  static std::vector<std::span<const uint32_t>> divide(const wasm::Module& module,
                                                       const CompileOptions& options,
                                                       const FunctionFacts& facts,
                                                       std::span<const uint32_t> all) {
    if (options.enter_at) return {all};
    std::vector<std::span<const uint32_t>> pieces;
    size_t begin = 0;
    uint32_t bytes = 0;
    for (size_t i = 0; i < all.size(); ++i) {
      bytes += module.functions[all[i]].body.size();
      if (bytes < kPieceBytes && i + 1 < all.size() && !facts.plain[all[i]] &&
          !facts.plain[all[i + 1]])
        continue;
      pieces.push_back(all.subspan(begin, i + 1 - begin));
      begin = i + 1;
      bytes = 0;
    }
    return pieces;
  }

  static ImageTraits traits_of(const llvm::TargetMachine& machine, const CompileOptions& options) {
    ImageTraits t;
    t.machine = machine.getTargetTriple().isX86_64() ? llvm::ELF::EM_X86_64 : llvm::ELF::EM_AARCH64;
    t.fingerprint = abi_fingerprint();
    t.features = machine.getTargetTriple().isX86_64() ? feature_bits(machine) : 0;
    t.options = option_bits(options.code);
    return t;
  }

  static Result<std::unique_ptr<llvm::MemoryBuffer>> compile_piece(
      const wasm::Module& module, const CompileOptions& options, const Target& target,
      const FunctionFacts& facts, const Cancellation& cancelled,
      std::span<const uint32_t> functions) {
    llvm::LLVMContext context;
    const bool plain = !functions.empty() && facts.plain[functions[0]];
    const unsigned level = plain ? 0 : options.opt_level;
    WAFER_LET(machine, make_machine(target, level));
    ModuleTranslator translator(context, module, options, target.triple, facts);
    translator.ir->setTargetTriple(machine->getTargetTriple());
    translator.ir->setDataLayout(machine->createDataLayout());
    translator.ir->setRtLibUseGOT();
    for (const uint32_t f : functions) {
      if (cancelled()) return error_of("cancelled");
      WAFER_TRY(translator.translate(f));
      if (!options.enter_at) continue;
      llvm::Function* copy = translator.function(f);
      copy->setLinkage(llvm::GlobalValue::InternalLinkage);
      copy->addFnAttr(kCopyAttribute, std::to_string(f));
    }
    if (options.enter_at) WAFER_TRY(translator.translate(*options.enter_at));
    translator.finish();
    WAFER_TRY(verify(*translator.ir));
    dump(*translator.ir, "WAFER_DUMP_IR");
    optimize(*translator.ir, *machine, level, module, cancelled);
    dump(*translator.ir, "WAFER_DUMP_OPTIMIZED_IR");
    return emit_object(*translator.ir, *machine, cancelled);
  }
};

}  // namespace

Backend* llvm_backend() {
  static LlvmBackend backend;
  return &backend;
}

}  // namespace wafer::compiler
