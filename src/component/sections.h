// The sections of a core module or component, without a look into them.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/span.h"

namespace wafer::component {

struct Section {
  uint8_t id = 0;
  std::string_view name;  // of custom sections
  Bytes contents;         // without the name
  Bytes whole;            // with id and size
};

// Malformed if the preamble or a section's size is wrong.
Result<std::vector<Section>> sections(Bytes bytes);

// The contents of the first custom section of that name, if there is one and `bytes` are in
// sections at all.
std::optional<Bytes> custom_section(Bytes bytes, std::string_view name);

}  // namespace wafer::component
