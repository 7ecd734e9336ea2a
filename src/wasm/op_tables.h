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

constexpr bool operator==(const OpSig& a, const OpSig& b) {
  for (int i = 0; i < 4; ++i)
    if (a.params[i] != b.params[i]) return false;
  return a.custom == b.custom && a.address_first == b.address_first &&
         a.param_count == b.param_count && a.result_count == b.result_count &&
         a.results[0] == b.results[0] && a.results[1] == b.results[1];
}

// The signatures that there are, each once.
struct OpSigs {
  OpSig sigs[80] = {};
  unsigned count = 0;
  constexpr unsigned index(std::string_view text) {
    const OpSig sig = parse_sig(text);
    for (unsigned i = 0; i < count; ++i)
      if (sigs[i] == sig) return i;
    sigs[count] = sig;
    return count++;
  }
};
inline constexpr OpSigs kAllSigs = [] {
  OpSigs all;
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, all.index(sig);)
#include "wasm/opcodes.def"
#undef WAFER_OP
  return all;
}();
inline constexpr auto kSigs = [] {
  std::array<OpSig, kAllSigs.count> sigs{};
  for (unsigned i = 0; i < kAllSigs.count; ++i) sigs[i] = kAllSigs.sigs[i];
  return sigs;
}();
constexpr uint8_t sig_row(std::string_view text) {
  OpSigs all = kAllSigs;
  return uint8_t(all.index(text));
}

struct OpFacts {
  Imm imm;
  Feature feature;
  uint8_t aux;
  uint8_t sig_index;
  constexpr const OpSig& sig() const { return kSigs[sig_index]; }
};

inline constexpr OpFacts kOpFacts[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, {Imm::imm, Feature::feature, aux, sig_row(sig)}, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

// Opcodes of one byte; a small number where there are few.
inline constexpr auto kByteOpcodes = [] {
  using Code = std::conditional_t<(unsigned(Opcode::Count) < 256), uint8_t, uint16_t>;
  std::array<Code, 256> table{};
  for (auto& op : table) op = Code(Opcode::Illegal);
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, if (prefix == 0) table[(code) & 0xFF] = Code(Opcode::id);)
#include "wasm/opcodes.def"
#undef WAFER_OP
  return table;
}();

}  // namespace wafer::wasm
