// Branch hints (branch hinting proposal): a custom section of code metadata.
#pragma once

#include "wasm/module.h"

namespace wafer::wasm {

inline constexpr std::string_view kBranchHintSection = "metadata.code.branch_hint";

// Fills `module.branch_hints` from `section`, or leaves them empty if it is malformed, not
// the only one, or does not precede the code.
void decode_branch_hints(Module& module, const CustomSection& section);

// Contents of the section; empty if there are no hints.
Vec<uint8_t> encode_branch_hints(const Vec<FunctionHints>& hints);

}  // namespace wafer::wasm
