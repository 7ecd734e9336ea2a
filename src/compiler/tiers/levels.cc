#include "compiler/tiers/levels.h"

#include <algorithm>

#include "compiler/tiers/choose.h"

#if WAFER_HAS_OPTIMIZING
#include "compiler/baseline/image.h"
#include "compiler/optimizing/compiler.h"
#endif

namespace wafer::compiler {

namespace {

#if WAFER_HAS_OPTIMIZING
// How much of a module's code the backend makes, but for functions that are too large for it: of
// its bytes that share, or so many if that is more. It takes about 60 times as long as the
// optimizing compiler.
struct Share {
  double of_all;
  uint64_t least;
};

bool is_any_cpu(const CompileOptions& options) {
  return options.cpu == "baseline" || (options.cpu.empty() && !options.target.empty());
}

// Null if there is only code of the backend's.
const Share* share_of(const CompileOptions& options, bool whole) {
  static constexpr Share kOfLevel1{0.08, 4u << 10}, kOfLevel2{0.18, 16u << 10}, kAll{1, 0};
  static constexpr std::string_view kTargets[] = {
      "", "x86_64", "x86_64-linux-gnu", "x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"};
  const bool here =
      std::find(std::begin(kTargets), std::end(kTargets), options.target) != std::end(kTargets);
  const bool known = options.cpu.empty() || options.cpu == "native" || is_any_cpu(options);
  if (!here || !known || options.opt_level == 0 || options.enter_at ||
      !BaselineCompiler::makes_images())
    return nullptr;
  // Single functions are asked for because they are known to be worth it.
  if (!whole) return options.opt_level == 1 ? &kOfLevel1 : nullptr;
  return options.opt_level > 2 ? &kAll : options.opt_level == 1 ? &kOfLevel1 : &kOfLevel2;
}
#endif

class LeveledBackend final : public Backend {
 public:
  explicit LeveledBackend(BackendSource backend) : backend_(std::move(backend)) {}

  Result<Vec<uint8_t>> compile_in_place(const wasm::Module& module,
                                        const CompileOptions& options) override {
    WAFER_LET(backend, backend_());
    return backend->compile_in_place(module, options);
  }

  Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                             std::span<const uint32_t> functions) override {
#if WAFER_HAS_OPTIMIZING
    if (const Share* share = share_of(options, functions.empty()))
      return compile_mixed(module, options, functions, *share);
#endif
    WAFER_LET(backend, backend_());
    return backend->compile(module, options, functions);
  }

  Result<ImageTraits> traits(const CompileOptions& options) override {
#if WAFER_HAS_OPTIMIZING
    if (share_of(options, true)) {
      ImageTraits both = quick_traits(options);
      if (const Result<Backend*> backend = backend_()) {
        WAFER_LET(other, (*backend)->traits(options));
        both.features |= other.features;
      }
      return both;
    }
#endif
    WAFER_LET(backend, backend_());
    return backend->traits(options);
  }

 private:
#if WAFER_HAS_OPTIMIZING
  static BaselineOptions quick_options(const CompileOptions& options) {
    BaselineOptions quick;
    quick.code = options.code;
    quick.image = true;
    quick.any_cpu = is_any_cpu(options);
    return quick;
  }

  static ImageTraits quick_traits(const CompileOptions& options) {
    ImageTraits t;
    t.machine = host_machine();
    t.options = option_bits(options.code);
    t.fingerprint = abi_fingerprint();
    t.features = BaselineCompiler::features(quick_options(options));
    return t;
  }

  Result<ImageParts> compile_mixed(const wasm::Module& module, const CompileOptions& options,
                                   std::span<const uint32_t> functions, const Share& share) {
    Vec<uint32_t> quick(functions.begin(), functions.end()), slow;
    if (functions.empty()) {
      uint64_t bytes = 0;
      for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f)
        bytes += module.functions[f].body.size();
      const auto most = std::max(share.least, uint64_t(double(bytes) * share.of_all));
      Vec<bool> chosen = share.of_all < 1 ? choose_functions(module, most)
                                          : Vec<bool>(module.functions.size(), true);
      for (const uint32_t f : options.hot) chosen[f] = true;
      for (uint32_t f = module.imported_functions; f < module.functions.size(); ++f)
        (chosen[f] ? slow : quick).push_back(f);
    }
    const BaselineOptions how = quick_options(options);
    FunctionLinker linker(module);
    const auto compile = [&](Vec<uint32_t>& list, MakeFunctionCompiler make) -> Result<void> {
      WAFER_LET(left, linker.compile(list, make, how, options.threads, options.cancel));
      list = std::move(left);
      return {};
    };
    WAFER_TRY(compile(quick, make_optimizing_compiler));
    slow.insert(slow.end(), quick.begin(), quick.end());
    std::sort(slow.begin(), slow.end());
    ImageParts others;
    others.traits = quick_traits(options);
    if (!slow.empty()) {
      WAFER_TRY(compile_others(module, options, slow, others));
      WAFER_TRY(compile(slow, make_optimizing_compiler));
      WAFER_TRY(compile(slow, make_baseline_compiler));
      if (!slow.empty())
        return Error(ErrorKind::Unsupported, "a function needs more of a frame than there is",
                     module.functions[slow[0]].body.begin);
    }
    return linker.link(std::move(others));
  }

  // Has `functions` made by the backend, if there is one: `others` are those that it has code for,
  // and `functions` then the rest.
  Result<void> compile_others(const wasm::Module& module, CompileOptions options,
                              Vec<uint32_t>& functions, ImageParts& others) {
    const Result<Backend*> backend = backend_();
    if (!backend) return {};
    options.through_entries = true;
    // What is chosen is worth all passes.
    options.opt_level = std::max(options.opt_level, 2u);
    Result<ImageParts> made = (*backend)->compile(module, options, functions);
    if (!made) {
      // What it has no code for is left, but not what it could have made.
      const bool cancelled = options.cancel && *options.cancel;
      const bool failed = cancelled || made.error().kind != ErrorKind::Unsupported;
      return failed ? Result<void>(made.take_error()) : Result<void>();
    }
    const uint64_t features = others.traits.features;
    others = *std::move(made);
    others.traits.features |= features;
    Vec<bool> have(module.functions.size());
    for (const ImageFunction& f : others.functions) have[f.func_index] = true;
    std::erase_if(functions, [&have](uint32_t f) { return have[f]; });
    return {};
  }
#endif

  const BackendSource backend_;
};

}  // namespace

BackendSource by_level(BackendSource backend, unsigned level) {
  auto leveled = std::make_shared<LeveledBackend>(backend);
  return [leveled = std::move(leveled), backend = std::move(backend), level]() -> Result<Backend*> {
    if (level != 1) WAFER_TRY(backend());
    return leveled.get();
  };
}

}  // namespace wafer::compiler
