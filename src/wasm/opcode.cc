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

// Prefixed opcodes: for each prefix from 0xFB to 0xFE its codes up to the last one. Where those of
// each begin, and in the end all do.
constexpr unsigned kPrefixes = 4;
constexpr auto kBegins = [] {
  std::array<uint16_t, kPrefixes + 1> begins{};
  for (unsigned p = 0; p < kPrefixes; ++p) {
    unsigned size = 0;
    for (const OpcodeInfo& info : kInfo)
      if (info.prefix == 0xFB + p && info.code >= size) size = info.code + 1;
    begins[p + 1] = uint16_t(begins[p] + size);
  }
  return begins;
}();
constexpr auto kTable = [] {
  std::array<decltype(kByteOpcodes)::value_type, kBegins[kPrefixes]> table{};
  for (auto& op : table) op = decltype(kByteOpcodes)::value_type(Opcode::Illegal);
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i)
    if (kInfo[i].prefix != 0)
      table[kBegins[kInfo[i].prefix - 0xFBu] + kInfo[i].code] =
          decltype(kByteOpcodes)::value_type(i);
  return table;
}();

}  // namespace

const OpcodeInfo& opcode_info(Opcode op) { return kInfo[unsigned(op)]; }

Opcode prefixed_opcode(uint8_t prefix, uint32_t code) {
  const uint16_t* const begin = &kBegins[prefix - 0xFBu];
  return code < uint32_t(begin[1] - begin[0]) ? Opcode(kTable[begin[0] + code]) : Opcode::Illegal;
}

Opcode opcode_from_code(uint8_t prefix, uint32_t code) {
  if (prefix == 0) return code < 256 ? opcode_of_byte(uint8_t(code)) : Opcode::Illegal;
  return prefix >= 0xFB && prefix <= 0xFE ? prefixed_opcode(prefix, code) : Opcode::Illegal;
}

}  // namespace wafer::wasm
