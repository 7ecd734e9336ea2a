#include "wasm/opcode.h"

#include <array>

namespace wafer::wasm {

namespace {

constexpr OpcodeInfo kInfo[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, {text, sig, code, prefix, Imm::imm, aux, Feature::feature}, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

constexpr unsigned kMaxCode = 0x120;

constexpr int page_of(uint8_t prefix) { return prefix == 0 ? 0 : prefix - 0xFA; }

struct DecodeTable {
  std::array<std::array<Opcode, kMaxCode>, 5> ops;
};

constexpr DecodeTable build_table() {
  DecodeTable t{};
  for (auto& page : t.ops)
    for (auto& op : page) op = Opcode::Illegal;
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i)
    t.ops[page_of(kInfo[i].prefix)][kInfo[i].code] = Opcode(i);
  return t;
}

constexpr DecodeTable kTable = build_table();

}  // namespace

const OpcodeInfo& opcode_info(Opcode op) { return kInfo[unsigned(op)]; }

Opcode opcode_from_code(uint8_t prefix, uint32_t code) {
  if (code >= kMaxCode || (prefix != 0 && (prefix < 0xFB || prefix > 0xFE))) return Opcode::Illegal;
  return kTable.ops[page_of(prefix)][code];
}

}  // namespace wafer::wasm
