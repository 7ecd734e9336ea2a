// Thumb. Names are those of the ELF specification for Arm.
#include <llvm/BinaryFormat/ELF.h>

#include "base/leb128.h"
#include "compiler/llvm/xip_relocate.h"

namespace wafer::compiler {

namespace {

namespace elf = llvm::ELF;

// Addends are in the code.
Result<void> apply(uint8_t* p, const XipRelocation& r) {
  const auto high = load_le<uint16_t>(p), low = load_le<uint16_t>(p + 2);
  switch (r.type) {
    case elf::R_ARM_REL32:
      store_le(p, ((load_le<uint32_t>(p) + r.to) | r.mark) - r.at);
      return {};
    case elf::R_ARM_THM_CALL:
    case elf::R_ARM_THM_JUMP24: {
      const uint32_t s = high >> 10 & 1;
      const uint32_t i1 = ~((low >> 13 & 1u) ^ s) & 1, i2 = ~((low >> 11 & 1u) ^ s) & 1;
      int32_t distance =
          int32_t((s << 24 | i1 << 23 | i2 << 22 | (high & 0x3FFu) << 12 | (low & 0x7FFu) << 1)
                  << 7) >>
          7;
      distance += int32_t(r.to - r.at);
      if (distance < -(1 << 24) || distance >= 1 << 24) return xip_link_failed("code is too large");
      const uint32_t d = uint32_t(distance), sign = d >> 24 & 1;
      store_le(p, uint16_t((high & 0xF800) | sign << 10 | (d >> 12 & 0x3FF)));
      store_le(p + 2, uint16_t((low & 0xD000) | (~(d >> 23 ^ sign) & 1) << 13 |
                               (~(d >> 22 ^ sign) & 1) << 11 | (d >> 1 & 0x7FF)));
      return {};
    }
    case elf::R_ARM_THM_MOVW_PREL_NC:
    case elf::R_ARM_THM_MOVT_PREL: {
      const uint32_t addend =
          (high & 0xFu) << 12 | (high >> 10 & 1u) << 11 | (low >> 12 & 7u) << 8 | (low & 0xFFu);
      uint32_t value = uint32_t(int32_t(int16_t(addend))) + r.to - r.at;
      if (r.type == elf::R_ARM_THM_MOVT_PREL) value >>= 16;
      store_le(p, uint16_t((high & 0xFBF0) | (value >> 11 & 1) << 10 | (value >> 12 & 0xF)));
      store_le(p + 2, uint16_t((low & 0x8F00) | (value >> 8 & 7) << 12 | (value & 0xFF)));
      return {};
    }
    default:
      return xip_link_failed("relocation " + std::to_string(r.type) + " of Arm");
  }
}

}  // namespace

Result<void> xip_relocate_arm(std::span<uint8_t> file, std::span<const XipRelocation> all) {
  for (const XipRelocation& r : all) WAFER_TRY(apply(file.data() + r.at, r));
  return {};
}

}  // namespace wafer::compiler
