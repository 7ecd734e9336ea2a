// Tells the library where this build's optimizing compiler is, before any test looks for it.
#ifdef WAFER_LLVM_MODULE
#include <gtest/gtest.h>

#include <cstdlib>

namespace {

class LlvmModule final : public testing::Environment {
  void SetUp() override { setenv("WAFER_LLVM", WAFER_LLVM_MODULE, /*overwrite=*/0); }
};

[[maybe_unused]] testing::Environment* const added =
    testing::AddGlobalTestEnvironment(new LlvmModule);

}  // namespace
#endif
