// Compile-time views of opcodes.def for the hot paths of reader and validator.
#pragma once

#include <algorithm>
#include <array>

#include "wasm/opcode.h"
#include "wasm/types.h"

namespace wafer::wasm {

// The most parameters, or results, that a `sig` of opcodes.def has.
constexpr size_t most_types(bool results) {
  size_t most = 1;
  const auto look = [&](std::string_view sig) {
    const size_t colon = std::min(sig.find(':'), sig.size());
    most = std::max(most, results ? sig.size() - std::min(colon + 1, sig.size()) : colon);
  };
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) WAFER_IF_BUILT(feature, look(sig);)
#include "wasm/opcodes.def"
#undef WAFER_OP
  return most;
}
inline constexpr size_t kMostParams = most_types(false), kMostResults = most_types(true);

// A parsed `sig` of opcodes.def. `address_first`: the first parameter is the
// address type of the memory that the memarg names (params[0] is a placeholder).
struct OpSig {
  // (One byte for all four where space matters.)
  bool custom : (kSmall ? 1 : 8) = false;
  bool address_first : (kSmall ? 1 : 8) = false;
  uint8_t param_count : (kSmall ? 3 : 8) = 0;
  uint8_t result_count : (kSmall ? 2 : 8) = 0;
  TypeKind params[kMostParams] = {};
  TypeKind results[kMostResults] = {};
  constexpr bool operator==(const OpSig&) const = default;
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
  constexpr bool operator==(const OpFacts&) const = default;
};

inline constexpr OpFacts kOpFacts[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, {Imm::imm, Feature::feature, aux, sig_row(sig)}, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

// The rows that there are, each once, and which is whose.
inline constexpr size_t kOps = std::size(kOpFacts);
struct OpFactRows {
  OpFacts rows[kOps] = {};
  size_t count = 0;
  uint8_t of[kOps] = {};
};
inline constexpr OpFactRows kAllFactRows = [] {
  OpFactRows all;
  for (size_t op = 0; op < kOps; ++op) {
    // (Neighbours are mostly alike.)
    size_t row = all.count;
    while (row > 0 && !(all.rows[row - 1] == kOpFacts[op])) --row;
    if (row == 0) {
      all.rows[all.count++] = kOpFacts[op];
      row = all.count;
    }
    all.of[op] = uint8_t(row - 1);
  }
  return all;
}();
static_assert(kAllFactRows.count <= 256);
inline constexpr auto kFactRows = [] {
  std::array<OpFacts, kAllFactRows.count> rows{};
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = kAllFactRows.rows[i];
  return rows;
}();
inline constexpr auto kFactRowOf = std::to_array(kAllFactRows.of);

// The facts of an opcode at run time.
inline const OpFacts& op_facts(Opcode op) {
  return kSmall ? kFactRows[kFactRowOf[size_t(op)]] : kOpFacts[size_t(op)];
}

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

// The same without those from i32.load to i64.extend32_s, which follow one another in both orders,
// and without what comes after the last.
inline constexpr uint8_t kRunBegin = 0x28, kRunEnd = 0xC5;
inline constexpr auto kOtherByteOpcodes = [] {
  constexpr size_t kLast = [] {
    size_t last = 255;
    while (kByteOpcodes[last] == unsigned(Opcode::Illegal)) --last;
    return last;
  }();
  for (unsigned b = kRunBegin; b < kRunEnd; ++b)
    if (kByteOpcodes[b] != kByteOpcodes[kRunBegin] + (b - kRunBegin)) panic("not in order");
  std::array<decltype(kByteOpcodes)::value_type, kLast + 1 - (kRunEnd - kRunBegin)> table{};
  for (size_t b = 0; b <= kLast; ++b)
    if (b < kRunBegin || b >= kRunEnd)
      table[b < kRunBegin ? b : b - (kRunEnd - kRunBegin)] = kByteOpcodes[b];
  return table;
}();

// The opcode encoded as `prefix`, from 0xFB to 0xFE, and `code`, or Illegal.
Opcode prefixed_opcode(uint8_t prefix, uint32_t code);

// The opcode of one byte, or Illegal.
inline Opcode opcode_of_byte(uint8_t byte) {
  if constexpr (!kSmall) return Opcode(kByteOpcodes[byte]);
  size_t at = byte;
  if (at >= kRunBegin) {
    if (at < kRunEnd) return Opcode(at - kRunBegin + kByteOpcodes[kRunBegin]);
    at -= kRunEnd - kRunBegin;
  }
  return at < kOtherByteOpcodes.size() ? Opcode(kOtherByteOpcodes[at]) : Opcode::Illegal;
}

}  // namespace wafer::wasm
