#include "compiler/tiers/tiers.h"

#if WAFER_HAS_BASELINE
#include "compiler/baseline/tier.h"
#include "compiler/tiering/tiering.h"
#endif
#if WAFER_HAS_OPTIMIZING
#include "compiler/optimizing/compiler.h"
#endif
#include "compiler/llvm_loader.h"
#include "compiler/tiers/levels.h"
#include "interp/interp.h"

namespace wafer::compiler {

namespace {

Result<OwnedTier> make_baseline() {
#if WAFER_HAS_BASELINE
  if (runtime::Tier* tier = baseline_tier()) return OwnedTier{tier, nullptr, {}, {}};
  return Error(ErrorKind::Unsupported, "this processor is too old for the baseline compiler");
#else
  return Error(ErrorKind::Unsupported, "no baseline compiler in this build");
#endif
}

Result<OwnedTier> make_optimizing() {
#if WAFER_HAS_OPTIMIZING
  if (runtime::Tier* tier = optimizing_tier()) return OwnedTier{tier, nullptr, {}, {}};
  return Error(ErrorKind::Unsupported, "this processor is too old for the optimizing compiler");
#else
  return Error(ErrorKind::Unsupported, "no optimizing compiler in this build");
#endif
}

// Tells at once, and not when code is first made, what it cannot be made for. Where there is no
// code generator, that is told when it is first needed.
Result<void> check_target(const TierOptions& options) {
  const std::string& cpu = options.compile.cpu;
  if (cpu.empty() || cpu == "native" || cpu == "baseline") return {};  // of this machine
  const Result<Backend*> backend = options.backend();
  if (!backend) return {};
  const Result<ImageTraits> traits = (*backend)->traits(options.compile);
  return traits ? Result<void>() : Result<void>(traits.error());
}

OwnedTier make_auto(TierOptions options, bool eager) {
#if WAFER_HAS_BASELINE
  if (BaselineCompiler::supported()) {
    TieringOptions tiering;
    if (eager) {
      tiering.heat = 1;
      tiering.whole_bytes = 0;
      tiering.background = false;
    }
    auto rest = options.rest;
    auto tier = std::make_shared<TieringTier>(std::move(options), tiering);
    return {tier.get(), tier, [tier = tier.get()] { return tier->busy(); }, std::move(rest)};
  }
#endif
  return {interp::tier(), nullptr, {}, {}};
}

}  // namespace

Result<OwnedTier> make_tier(TierKind kind, TierOptions options, bool eager) {
  if (!options.backend) take_backend(options, {});
  if (kind == TierKind::Optimized || kind == TierKind::Auto)
    options.backend = by_level(std::move(options.backend), options.compile.opt_level);
  switch (kind) {
    case TierKind::Interpreter:
      return OwnedTier{interp::tier(), nullptr, {}, {}};
    case TierKind::Baseline:
      return make_baseline();
    case TierKind::Optimizing:
      return make_optimizing();
    case TierKind::Optimized: {
      WAFER_TRY(check_target(options));
      auto rest = options.rest;
      auto tier = std::make_shared<NativeTier>(std::move(options));
      return OwnedTier{tier.get(), tier, {}, std::move(rest)};
    }
    case TierKind::InPlace:
      return OwnedTier{interp::in_place_tier(), nullptr, {}, {}};
    case TierKind::Auto:
      break;
  }
  WAFER_TRY(check_target(options));
  return make_auto(std::move(options), eager);
}

void take_backend(TierOptions& options, std::string path) {
  if (options.cache) options.compile.generator = backend_identity(path);
  options.backend = [path = std::move(path)] { return load_llvm_backend_at(path); };
  options.rest = rest_backends;
}

void take_backend_process(TierOptions& options, GeneratorCommand command) {
  take_backend(options, {});
  const auto process = std::make_shared<BackendProcess>(std::move(command));
  options.backend = [process]() -> Result<Backend*> {
    Result<void> started = process->start();
    if (started) return process.get();
    if (started.error().kind == ErrorKind::Io) return load_llvm_backend();
    return started.take_failure();
  };
  options.rest = [process] {
    process->rest();
    rest_backends();
  };
}

OwnedTier make_code_tier(const CodeOptions& code) {
  TierOptions options;
  options.compile.code = code;
  auto tier = std::make_shared<NativeTier>(std::move(options));
  return {tier.get(), tier, {}, {}};
}

}  // namespace wafer::compiler
