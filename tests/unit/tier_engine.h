// Engines of the public API that run everything in one tier.
#pragma once

#include "wafer/wafer.hpp"

namespace wafer {

inline Engine engine_of(Tier tier) {
  Config config;
  config.tier = tier;
#ifdef WAFER_LLVM_MODULE
  config.optimizer_library = WAFER_LLVM_MODULE;
#endif
  return Engine(config);
}

}  // namespace wafer
