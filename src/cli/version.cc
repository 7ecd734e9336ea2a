// What `wafer --version` prints.
#include <build_info.h>  // made by the build

#include "cli/support.h"
#include "cli/tiers.h"

namespace wafer::cli {

std::string version_text() {
  std::string text = "wafer " WAFER_VERSION;
  if (*WAFER_COMMIT) text += " (" WAFER_COMMIT ")";
  text += fmt::format("\nLLVM {}", *WAFER_LLVM_VERSION ? WAFER_LLVM_VERSION : "not built in");
  text += fmt::format("\ntiers: {}", fmt::join(tier_names(), " "));
  std::vector<std::string> on, off;
  for (const std::string& name : feature_names()) {
    const std::optional<wasm::Feature> feature = feature_from_name(name);
    if (feature) (wasm::FeatureSet::standard().has(*feature) ? on : off).push_back(name);
  }
  text += fmt::format("\nfeatures: {}", fmt::join(on, " "));
  if (!off.empty()) text += fmt::format("\nbehind --enable: {}", fmt::join(off, " "));
  return text;
}

}  // namespace wafer::cli
