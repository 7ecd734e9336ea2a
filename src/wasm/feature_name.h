// What the standard calls features, for messages about those that are off.
#pragma once

#include <string_view>

#include "wasm/cursor.h"

namespace wafer::wasm {

std::string_view feature_name(Feature feature);

// Fails at `at` for something that is not well-formed because `feature` is off: `what` says how.
WAFER_COLD bool fail_off(Cursor& c, Feature feature, std::string_view what, const uint8_t* at,
                         ErrorKind kind = ErrorKind::Unsupported);

}  // namespace wafer::wasm
