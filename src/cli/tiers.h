// Execution tiers by name, for the command line.
#pragma once

#include <string>
#include <vector>

#include "compiler/tiers/tiers.h"

namespace CLI {
class App;
}

namespace wafer::cli {

// Adds --opt, --no-signals and --relaxed-traps.
void add_opt_level(CLI::App& app, compiler::CompileOptions& compile);

// Names that --tier takes, of which this build may lack some.
const std::vector<std::string>& tier_names();

// What kGenerateCode makes of the tool: such a process. Gives the exit code.
int generate_code();
// Its only argument then.
inline constexpr const char* kGenerateCode = "--generate-code";

// Choice of a tier and how it generates code.
struct TierChoice {
  std::string name = "auto";
  compiler::CompileOptions compile;
  bool use_cache = false;  // keep compiled code between runs
  // auto: optimized code is made of everything that runs twice, on the spot. For tests.
  bool eager = false;
  bool own_process = false;  // code is generated in processes of their own
  std::string cache_folder;
  uint64_t cache_bytes = compiler::CodeCache::kDefaultMaxBytes;

  // Adds --tier, --opt, --cpu, --no-signals and --relaxed-traps.
  void add_to(CLI::App& app);
  // Unsupported if this build or processor lacks it. Code generators are loaded when
  // they are first needed.
  Result<compiler::OwnedTier> make() const;
};

}  // namespace wafer::cli
