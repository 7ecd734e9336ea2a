// Compile-time views of opcodes.def for the hot paths of reader and validator.
#pragma once

#include <array>

#include "wasm/opcode.h"
#include "wasm/types.h"

namespace wafer::wasm {

// A parsed `sig` of opcodes.def. `address_first`: the first parameter is the
// address type of the memory that the memarg names (params[0] is a placeholder).
struct OpSig {
  bool custom = false;
  bool address_first = false;
  uint8_t param_count = 0;
  uint8_t result_count = 0;
  TypeKind params[4] = {};
  TypeKind results[2] = {};
};

struct OpFacts {
  Imm imm;
  Feature feature;
  uint8_t aux;
  OpSig sig;
};

constexpr OpSig parse_sig(std::string_view text) {
  OpSig sig;
  if (text == "*") {
    sig.custom = true;
    return sig;
  }
  bool results = false;
  for (const char c : text) {
    TypeKind kind = TypeKind::Bot;
    switch (c) {
      case ':':
        results = true;
        continue;
      case 'i':
        kind = TypeKind::I32;
        break;
      case 'I':
        kind = TypeKind::I64;
        break;
      case 'f':
        kind = TypeKind::F32;
        break;
      case 'F':
        kind = TypeKind::F64;
        break;
      case 'v':
        kind = TypeKind::V128;
        break;
      default:
        sig.address_first = true;
    }
    if (results)
      sig.results[sig.result_count++] = kind;
    else
      sig.params[sig.param_count++] = kind;
  }
  return sig;
}

inline constexpr OpFacts kOpFacts[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, {Imm::imm, Feature::feature, aux, parse_sig(sig)}, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

inline constexpr auto kByteOpcodes = [] {
  std::array<Opcode, 256> table{};
  for (auto& op : table) op = Opcode::Illegal;
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, if (prefix == 0) table[(code) & 0xFF] = Opcode::id;)
#include "wasm/opcodes.def"
#undef WAFER_OP
  return table;
}();

}  // namespace wafer::wasm
