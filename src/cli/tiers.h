// Execution tiers by name, for the command line.
#pragma once

#include <memory>
#include <string>

#include "compiler/tier.h"

namespace CLI {
class App;
}

namespace wafer::cli {

// Adds --opt and --precise-traps.
void add_opt_level(CLI::App& app, compiler::CompileOptions& compile);

// Choice of a tier and how it generates code.
struct TierChoice {
  std::string name = "interp";
  compiler::CompileOptions compile;
  bool use_cache = false;  // keep compiled code between runs
  std::string cache_folder;
  uint64_t cache_bytes = compiler::CodeCache::kDefaultMaxBytes;

  // Adds --tier, --opt, --cpu and --precise-traps.
  void add_to(CLI::App& app);
  // The tier, which lives as long as the process. Code generators are loaded when they
  // are first needed. Unsupported if this build or processor lacks it.
  Result<runtime::Tier*> make() const;
  // The same as what it is, for the tier that runs whole modules' machine code; null for
  // others.
  compiler::NativeTier* make_native() const;
};

}  // namespace wafer::cli
