#include "cli/tiers.h"

#include <CLI/CLI.hpp>

#if WAFER_HAS_BASELINE
#include "compiler/baseline/tier.h"
#endif
#include "compiler/llvm_loader.h"
#include "compiler/tier.h"
#include "interp/interp.h"

namespace wafer::cli {

void TierChoice::add_to(CLI::App& app) {
  const std::string group = "Code";
  app.add_option("--tier", name, "How code is run: interp, baseline, llvm")
      ->check(CLI::IsMember({"interp", "baseline", "llvm"}))
      ->type_name("TIER")
      ->capture_default_str()
      ->group(group);
  app.add_option("--opt", compile.opt_level, "Optimization level of compiled code, 0 to 3")
      ->check(CLI::Range(0, 3))
      ->type_name("LEVEL")
      ->capture_default_str()
      ->group(group);
  app.add_option("--cpu", compile.cpu, "Processor to compile for: native, baseline, or a name")
      ->type_name("CPU")
      ->group(group);
  app.add_flag("--precise-traps", compile.code.precise_traps,
               "Keep every access and the order of stores before a trap, at some cost")
      ->group(group);
}

Result<runtime::Tier*> TierChoice::make() const {
  if (name == "interp") return interp::tier();
  if (name == "baseline") {
#if WAFER_HAS_BASELINE
    if (runtime::Tier* tier = compiler::baseline_tier()) return tier;
    return Error(ErrorKind::Unsupported, "this processor is too old for the baseline compiler");
#else
    return Error(ErrorKind::Unsupported, "no baseline compiler in this build");
#endif
  }
  compiler::TierOptions options;
  options.compile = compile;
  WAFER_LET(backend, compiler::load_llvm_backend());
  options.backend = backend;
  // Engines keep a pointer for as long as they like.
  return new compiler::NativeTier(std::move(options));
}

}  // namespace wafer::cli
