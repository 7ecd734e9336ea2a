// RISC-V. Names are those of its ELF specification; code is not relaxed.
#include <llvm/BinaryFormat/ELF.h>

#include <unordered_map>

#include "base/leb128.h"
#include "compiler/llvm/xip_relocate.h"

namespace wafer::compiler {

namespace {

namespace elf = llvm::ELF;

// Immediates: of 20 bits and of 12, where those of 12 are signed.
void set_upper(uint8_t* p, uint32_t value) {
  store_le(p, (load_le<uint32_t>(p) & 0xFFF) | ((value + 0x800) & 0xFFFFF000));
}
void set_lower(uint8_t* p, uint32_t value) {
  store_le(p, (load_le<uint32_t>(p) & 0xFFFFF) | value << 20);
}
void set_lower_of_store(uint8_t* p, uint32_t value) {
  store_le(p, (load_le<uint32_t>(p) & 0x1FFF07F) | (value >> 5 & 0x7F) << 25 | (value & 0x1F) << 7);
}

}  // namespace

Result<void> xip_relocate_riscv(std::span<uint8_t> file, std::span<const XipRelocation> all) {
  // The lower part of a distance names the instruction that has the upper one.
  std::unordered_map<uint32_t, uint32_t> distances;
  for (const XipRelocation& r : all)
    if (r.type == elf::R_RISCV_PCREL_HI20) distances[r.at] = r.to - r.at;
  for (const XipRelocation& r : all) {
    uint8_t* const p = file.data() + r.at;
    const uint32_t distance = r.to - r.at;
    switch (r.type) {
      case elf::R_RISCV_CALL:
      case elf::R_RISCV_CALL_PLT:
        set_upper(p, distance);
        set_lower(p + 4, distance);
        break;
      case elf::R_RISCV_PCREL_HI20:
        set_upper(p, distance);
        break;
      case elf::R_RISCV_PCREL_LO12_I:
      case elf::R_RISCV_PCREL_LO12_S: {
        const auto of = distances.find(r.to);
        if (of == distances.end()) return xip_link_failed("half of a distance");
        (r.type == elf::R_RISCV_PCREL_LO12_I ? set_lower : set_lower_of_store)(p, of->second);
        break;
      }
      case elf::R_RISCV_32_PCREL:
        store_le(p, distance);
        break;
      case elf::R_RISCV_ADD32:
        store_le(p, load_le<uint32_t>(p) + r.to);
        break;
      case elf::R_RISCV_SUB32:
        store_le(p, load_le<uint32_t>(p) - r.to);
        break;
      default:
        return xip_link_failed("relocation " + std::to_string(r.type) + " of RISC-V");
    }
  }
  return {};
}

}  // namespace wafer::compiler
