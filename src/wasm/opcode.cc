#include "wasm/opcode.h"

#include <array>

#include "wasm/op_tables.h"

namespace wafer::wasm {

namespace {

constexpr OpcodeInfo kInfo[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, {text, sig, code, prefix, Imm::imm, aux, Feature::feature}, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

// Prefixed opcodes: for each prefix from 0xFB to 0xFE its codes up to the last one.
constexpr unsigned kPrefixes = 4;
constexpr auto kSizes = [] {
  std::array<unsigned, kPrefixes> sizes{};
  for (const OpcodeInfo& info : kInfo) {
    if (info.prefix == 0) continue;
    unsigned& size = sizes[info.prefix - 0xFB];
    if (info.code >= size) size = info.code + 1;
  }
  return sizes;
}();
constexpr auto kTable = [] {
  std::array<Opcode, kSizes[0] + kSizes[1] + kSizes[2] + kSizes[3]> table{};
  for (auto& op : table) op = Opcode::Illegal;
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i) {
    if (kInfo[i].prefix == 0) continue;
    unsigned at = kInfo[i].code;
    for (unsigned p = 0; p < kInfo[i].prefix - 0xFBu; ++p) at += kSizes[p];
    table[at] = Opcode(i);
  }
  return table;
}();

}  // namespace

const OpcodeInfo& opcode_info(Opcode op) { return kInfo[unsigned(op)]; }

Opcode opcode_from_code(uint8_t prefix, uint32_t code) {
  if (prefix == 0) return code < 256 ? opcode_of_byte(uint8_t(code)) : Opcode::Illegal;
  if (prefix < 0xFB || prefix > 0xFE || code >= kSizes[prefix - 0xFBu]) return Opcode::Illegal;
  for (unsigned p = 0; p < prefix - 0xFBu; ++p) code += kSizes[p];
  return kTable[code];
}

}  // namespace wafer::wasm
