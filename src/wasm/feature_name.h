// What the standard calls features, for messages about those that are off.
#pragma once

#include <string_view>

#include "wasm/cursor.h"

namespace wafer::wasm {

// Not there where messages are brief.
std::string_view feature_name(Feature feature);
// `what` and that it is so because `feature` is off.
WAFER_COLD String with_feature(Feature feature, std::string_view what);
// The same, but just `what` where messages are brief.
inline auto off_message(Feature feature, std::string_view what) {
  if constexpr (kBrief)
    return what;
  else
    return with_feature(feature, what);
}
inline auto off_message(Feature feature, const char* what) {
  if constexpr (kBrief)
    return what;
  else
    return with_feature(feature, what);
}
// Fails at `at` for something that is not well-formed because `feature` is off: `what` says how.
WAFER_COLD bool fail_off(Cursor& c, Feature feature, Text what, const uint8_t* at,
                         ErrorKind kind = ErrorKind::Unsupported);

}  // namespace wafer::wasm
