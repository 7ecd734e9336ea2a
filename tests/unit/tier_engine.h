// Engines of the public API that run everything in one tier.
#pragma once

#include "wafer/wafer.hpp"

namespace wafer {

// Those that this build has for all that there is.
inline constexpr Tier kTiers[] = {
    Tier::Auto,       Tier::Interpreter, Tier::Baseline, Tier::Optimized,
#if WAFER_HAS_OPTIMIZING
    Tier::Optimizing,
#endif
};

inline Engine engine_of(Tier tier) {
  Config config;
  config.tier = tier;
#ifdef WAFER_LLVM_MODULE
  config.optimizer_library = WAFER_LLVM_MODULE;
#endif
  return Engine(config);
}

}  // namespace wafer
