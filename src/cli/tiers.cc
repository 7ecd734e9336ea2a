#include "cli/tiers.h"

#include <CLI/CLI.hpp>

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

Result<compiler::OwnedTier> TierChoice::make() const {
  using Kind = compiler::TierKind;
  const Kind kind = name == "interp"     ? Kind::Interpreter
                    : name == "baseline" ? Kind::Baseline
                    : name == "llvm"     ? Kind::Optimized
                                         : Kind::Auto;
  compiler::TierOptions options;
  options.compile = compile;
  if (use_cache) {
    std::string folder =
        cache_folder.empty() ? compiler::CodeCache::default_folder() : cache_folder;
    if (!folder.empty())
      options.cache = std::make_shared<compiler::CodeCache>(std::move(folder), cache_bytes);
  }
  return compiler::make_tier(kind, std::move(options), eager);
}

}  // namespace wafer::cli
