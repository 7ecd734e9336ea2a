#include "compiler/tiers/levels.h"

#include <algorithm>

#if WAFER_HAS_OPTIMIZING
#include "compiler/baseline/image.h"
#include "compiler/optimizing/compiler.h"
#endif

namespace wafer::compiler {

namespace {

class LeveledBackend final : public Backend {
 public:
  explicit LeveledBackend(std::function<Result<Backend*>()> backend)
      : backend_(std::move(backend)) {}

  Result<Vec<uint8_t>> compile_in_place(const wasm::Module& module,
                                        const CompileOptions& options) override {
    WAFER_LET(backend, backend_());
    return backend->compile_in_place(module, options);
  }

  Result<ImageParts> compile(const wasm::Module& module, const CompileOptions& options,
                             std::span<const uint32_t> functions) override {
#if WAFER_HAS_OPTIMIZING
    if (is_quick(options)) return compile_quickly(module, options, functions);
#endif
    WAFER_LET(backend, backend_());
    return backend->compile(module, options, functions);
  }

  Result<ImageTraits> traits(const CompileOptions& options) override {
#if WAFER_HAS_OPTIMIZING
    if (is_quick(options)) return quick_traits(options);
#endif
    WAFER_LET(backend, backend_());
    return backend->traits(options);
  }

 private:
#if WAFER_HAS_OPTIMIZING
  static constexpr unsigned kQuickLevel = 1;
  static constexpr uint32_t kX64 = 62;  // ELF machine number

  static bool is_any_cpu(const CompileOptions& options) {
    return options.cpu == "baseline" || (options.cpu.empty() && !options.target.empty());
  }

  // Whether the optimizing compiler makes code for that.
  static bool is_quick(const CompileOptions& options) {
    static constexpr std::string_view kTargets[] = {
        "", "x86_64", "x86_64-linux-gnu", "x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"};
    const bool here =
        std::find(std::begin(kTargets), std::end(kTargets), options.target) != std::end(kTargets);
    const bool known = options.cpu.empty() || options.cpu == "native" || is_any_cpu(options);
    return options.opt_level == kQuickLevel && here && known && !options.enter_at &&
           !options.code.fuel && !options.code.interruptible && BaselineCompiler::makes_images();
  }

  static BaselineOptions quick_options(const CompileOptions& options) {
    BaselineOptions quick;
    quick.code = options.code;
    quick.image = true;
    quick.any_cpu = is_any_cpu(options);
    return quick;
  }

  static ImageTraits quick_traits(const CompileOptions& options) {
    ImageTraits t;
    t.machine = kX64;
    t.options = option_bits(options.code);
    t.fingerprint = abi_fingerprint();
    t.features = BaselineCompiler::features(quick_options(options));
    return t;
  }

  Result<ImageParts> compile_quickly(const wasm::Module& module, const CompileOptions& options,
                                     std::span<const uint32_t> functions) {
    Vec<uint32_t> all(functions.begin(), functions.end());
    if (functions.empty())
      for (uint32_t i = module.imported_functions; i < module.functions.size(); ++i)
        all.push_back(i);
    const BaselineOptions quick = quick_options(options);
    FunctionLinker linker(module);
    WAFER_LET(left, linker.compile(all, make_optimizing_compiler, quick, options.threads,
                                   options.cancel));
    ImageParts others;
    others.traits = quick_traits(options);
    if (!left.empty()) {
      WAFER_TRY(compile_others(module, options, left, others));
      WAFER_LET(none, linker.compile(left, make_baseline_compiler, quick, options.threads,
                                     options.cancel));
      if (!none.empty())
        return Error(ErrorKind::Unsupported, "a function needs more of a frame than there is",
                     module.functions[none[0]].body.begin);
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
    Result<ImageParts> made = (*backend)->compile(module, options, functions);
    if (!made) {
      const bool cancelled = options.cancel && *options.cancel;
      return cancelled ? Result<void>(made.take_error()) : Result<void>();
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

  const std::function<Result<Backend*>()> backend_;
};

}  // namespace

std::shared_ptr<Backend> leveled_backend(std::function<Result<Backend*>()> backend) {
  return std::make_shared<LeveledBackend>(std::move(backend));
}

}  // namespace wafer::compiler
