#include "cli/tiers.h"

#include <CLI/CLI.hpp>

#if WAFER_HAS_BASELINE
#include "compiler/baseline/tier.h"
#include "compiler/tiering/tiering.h"
#endif
#include "compiler/llvm_loader.h"
#include "interp/interp.h"

namespace wafer::cli {

namespace {
constexpr const char* kGroup = "Code";
}

void add_opt_level(CLI::App& app, compiler::CompileOptions& compile) {
  app.add_option("--opt", compile.opt_level, "Optimization level of compiled code, 0 to 3")
      ->check(CLI::Range(0, 3))
      ->type_name("LEVEL")
      ->capture_default_str()
      ->group(kGroup);
  app.add_flag("--precise-traps", compile.code.precise_traps,
               "Keep every access and the order of stores before a trap, at some cost")
      ->group(kGroup);
}

void TierChoice::add_to(CLI::App& app) {
  app.add_option("--tier", name, "How code is run: auto, interp, baseline, llvm")
      ->check(CLI::IsMember({"auto", "interp", "baseline", "llvm"}))
      ->type_name("TIER")
      ->capture_default_str()
      ->group(kGroup);
  add_opt_level(app, compile);
  app.add_option("--cpu", compile.cpu, "Processor to compile for: native, baseline, or a name")
      ->type_name("CPU")
      ->group(kGroup);
}

Result<MadeTier> TierChoice::make() const {
  if (name == "interp") return MadeTier{interp::tier(), nullptr, {}};
  if (name == "baseline") {
#if WAFER_HAS_BASELINE
    if (runtime::Tier* tier = compiler::baseline_tier()) return MadeTier{tier, nullptr, {}};
    return Error(ErrorKind::Unsupported, "this processor is too old for the baseline compiler");
#else
    return Error(ErrorKind::Unsupported, "no baseline compiler in this build");
#endif
  }
  compiler::TierOptions options;
  options.compile = compile;
  options.backend = compiler::load_llvm_backend;
  if (use_cache) {
    std::string folder =
        cache_folder.empty() ? compiler::CodeCache::default_folder() : cache_folder;
    if (!folder.empty())
      options.cache = std::make_shared<compiler::CodeCache>(std::move(folder), cache_bytes);
  }
#if WAFER_HAS_BASELINE
  if (name == "auto" && compiler::BaselineCompiler::supported()) {
    compiler::TieringOptions tiering;
    if (eager) {
      tiering.heat = 1;
      tiering.whole_bytes = 0;
      tiering.background = false;
    }
    auto tier = std::make_shared<compiler::TieringTier>(std::move(options), tiering);
    return MadeTier{tier.get(), std::shared_ptr<compiler::NativeTier>(tier, &tier->native()),
                    [tier = tier.get()] { return tier->busy(); }};
  }
#endif
  if (name == "auto") return MadeTier{interp::tier(), nullptr, {}};
  auto tier = std::make_shared<compiler::NativeTier>(std::move(options));
  return MadeTier{tier.get(), tier, {}};
}

}  // namespace wafer::cli
