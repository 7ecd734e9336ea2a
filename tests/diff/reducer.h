// Makes a module smaller for as long as it keeps a property.
#pragma once

#include <functional>

#include "image.h"

namespace wafer::diff {

// Is the image (valid and) still of interest?
using Property = std::function<bool(const ModuleImage&)>;

// Takes away what can go: instructions, functions' bodies, exports, segments. `image` has
// the property. Asks it at most `max_tries` times.
ModuleImage reduce(ModuleImage image, const Property& property, uint32_t max_tries);

}  // namespace wafer::diff
