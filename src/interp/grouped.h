// Numeric instructions that are in no hurry, in groups of one signature: what moves operands and
// results is there once for each.
#pragma once

#include <array>

#include "interp/exec.h"
#include "interp/numeric.h"
#include "interp/slots.h"

namespace wafer::interp {

// Whether instructions that are run in place and frequent have handlers that follow each other by
// jumps, with the state in registers (in_place_fast.cc).
inline constexpr bool kHasFast = WAFER_REGS;

template <Opcode OP>
concept Numeric = requires { typename Sem<OP>::In; };
template <Opcode OP>
inline constexpr bool kBinary = kFacts[unsigned(OP)].sig[1] != ':';
template <Opcode OP>
inline constexpr bool kOnI32 = std::is_same_v<typename Sem<OP>::In, uint32_t> &&
                               std::is_same_v<typename Sem<OP>::Out, uint32_t> && !Sem<OP>::kTraps;
template <Opcode OP>
WAFER_ALWAYS_INLINE TrapCode evaluate(typename Sem<OP>::In a, typename Sem<OP>::In b,
                                      typename Sem<OP>::Out& out) {
  using S = Sem<OP>;
  if constexpr (kBinary<OP> && S::kTraps) {
    return S::eval(a, b, out);
  } else if constexpr (S::kTraps) {
    return S::eval(a, out);
  } else {
    if constexpr (kBinary<OP>)
      out = S::eval(a, b);
    else
      out = S::eval(a);
    return TrapCode::None;
  }
}

// Whether it has a case of its own where it runs in place: what is frequent, and all where size
// counts less.
template <Opcode OP>
constexpr bool has_case() {
  if constexpr (Numeric<OP>)
    return (!kSmall && kFacts[unsigned(OP)].prefix() == 0) || (!kHasFast && kOnI32<OP>);
  return false;
}

// All others, but for those that handlers run whatever comes.
template <Opcode OP>
constexpr bool is_grouped() {
  if constexpr (!Numeric<OP>)
    return false;
  else if constexpr (WAFER_HAS_IN_PLACE)
    return !has_case<OP>() && !(kHasFast && kOnI32<OP>);
  else
    return is_rare(OP);
}

inline constexpr unsigned kFirstGrouped = code::I32Eqz;

// The groups, and for each of the instructions twice the number of its group, and 1 if it has two
// operands.
using Group = TrapCode (*)(unsigned op, const Slot* a, const Slot* b, Slot* to);
struct Groups {
  std::array<Group, 22> groups{};
  std::array<uint8_t, group_number(code::I64TruncSatF64U) + 1 - kFirstGrouped> rows{};

  bool is_binary(unsigned op) const { return rows[op - kFirstGrouped] & 1; }
  // Gives `to` what the instruction makes of `a` and `b`, unless it traps.
  TrapCode run(unsigned op, const Slot* a, const Slot* b, Slot* to) const {
    return groups[rows[op - kFirstGrouped] >> 1](op, a, b, to);
  }
};
extern const Groups kGroups;

}  // namespace wafer::interp
