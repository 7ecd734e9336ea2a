// Views used throughout.
#pragma once

#include <cstdint>
#include <span>

namespace wafer {
using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;
}  // namespace wafer
