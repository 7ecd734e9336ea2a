// What the linker of code that runs in place does for each architecture.
#pragma once

#include <span>
#include <string>

#include "base/result.h"

namespace wafer::compiler {

struct XipRelocation {
  uint32_t type;  // of the architecture's ELF specification
  uint32_t at;    // where in the file
  uint32_t to;    // where the symbol is in the file, with the addend that the object tells
  uint32_t mark;  // 1 if that is Thumb code
};

Error xip_link_failed(const std::string& what);

// Fill in distances. Addresses are not known: relocations that need one are errors.
Result<void> xip_relocate_arm(std::span<uint8_t> file, std::span<const XipRelocation> all);
Result<void> xip_relocate_riscv(std::span<uint8_t> file, std::span<const XipRelocation> all);

}  // namespace wafer::compiler
