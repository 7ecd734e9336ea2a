// Execution tiers by name, for the command line.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "compiler/backend.h"
#include "runtime/store.h"

namespace CLI {
class App;
}

namespace wafer::cli {

// Choice of a tier and how it generates code.
struct TierChoice {
  std::string name = "interp";
  compiler::CompileOptions compile;

  // Adds --tier, --opt, --cpu and --precise-traps.
  void add_to(CLI::App& app);
  // The tier, which lives as long as the process. Unsupported if this build lacks it.
  Result<runtime::Tier*> make() const;
};

}  // namespace wafer::cli
