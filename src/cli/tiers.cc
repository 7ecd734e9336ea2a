#include "cli/tiers.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/suggest.h"
#include "cli/support.h"
#include "compiler/llvm_loader.h"

namespace wafer::cli {

namespace {
constexpr const char* kGroup = "Code";
}

void add_opt_level(CLI::App& app, compiler::CompileOptions& compile) {
  app.add_option("--opt", compile.opt_level, "Optimization level of compiled code, 0 to 3")
      ->check(CLI::Range(0, 3).description(""))
      ->type_name("LEVEL")
      ->capture_default_str()
      ->group(kGroup);
  app.add_flag_callback(
         "--no-signals", [&compile] { compile.code.signals = false; },
         "Traps are no signals of the processor: compared and called, at some cost")
      ->group(kGroup);
  app.add_flag("--relaxed-traps", compile.code.relaxed_traps,
               "Let optimized code leave out or move accesses that would trap, for speed")
      ->group(kGroup);
}

const std::vector<std::string>& tier_names() {
  static const std::vector<std::string> names{"auto",     "interp",     "in-place",
                                              "baseline", "optimizing", "llvm"};
  return names;
}

void TierChoice::add_to(CLI::App& app) {
  const std::string names = fmt::format("{}", fmt::join(tier_names(), ", "));
  app.add_option("--tier", name, "How code is run: " + names)
      ->check(CLI::Validator(
          [names](const std::string& word) {
            const auto& known = tier_names();
            if (std::find(known.begin(), known.end(), word) != known.end()) return std::string();
            return fmt::format("no tier '{}'{}; there are {}", word, did_you_mean(word, known),
                               names);
          },
          ""))
      ->type_name("TIER")
      ->capture_default_str()
      ->group(kGroup);
  add_opt_level(app, compile);
  app.add_option("--cpu", compile.cpu, "Processor to compile for: native, baseline, or a name")
      ->type_name("CPU")
      ->group(kGroup);
}

int generate_code() {
  compiler::generate_code(STDIN_FILENO, compiler::load_llvm_backend);
  return kSuccess;
}

Result<compiler::OwnedTier> TierChoice::make() const {
  using Kind = compiler::TierKind;
  const Kind kind = name == "interp"       ? Kind::Interpreter
                    : name == "in-place"   ? Kind::InPlace
                    : name == "baseline"   ? Kind::Baseline
                    : name == "optimizing" ? Kind::Optimizing
                    : name == "llvm"       ? Kind::Optimized
                                           : Kind::Auto;
  compiler::TierOptions options;
  options.compile = compile;
  if (use_cache) {
    std::string folder =
        cache_folder.empty() ? compiler::CodeCache::default_folder() : cache_folder;
    if (!folder.empty())
      options.cache = std::make_shared<compiler::CodeCache>(std::move(folder), cache_bytes);
  }
  if (own_process) compiler::take_backend_process(options, {"/proc/self/exe", {kGenerateCode}});
  options.warn = [](const char* message) { print_warning(message); };
  return compiler::make_tier(kind, std::move(options), eager);
}

}  // namespace wafer::cli
