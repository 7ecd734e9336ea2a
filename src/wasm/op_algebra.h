// What holds of numeric instructions when their operands are exchanged or their result is negated,
// and which of them trap.
#pragma once

#include "wasm/opcode.h"

namespace wafer::wasm {

namespace detail {
constexpr bool within(Opcode op, Opcode first, Opcode last) { return op >= first && op <= last; }
// The one beside `op`, in the order of the opcode table from `first` on.
constexpr Opcode partner(Opcode op, Opcode first, unsigned bit) {
  return Opcode(((unsigned(op) - unsigned(first)) ^ bit) + unsigned(first));
}
}  // namespace detail

// Whether operands may be exchanged. (Not those of floats, where it shows which NaN comes out.)
constexpr bool commutes(Opcode op) {
  switch (op) {
    case Opcode::I32Add:
    case Opcode::I32Mul:
    case Opcode::I32And:
    case Opcode::I32Or:
    case Opcode::I32Xor:
    case Opcode::I32Eq:
    case Opcode::I32Ne:
    case Opcode::I64Add:
    case Opcode::I64Mul:
    case Opcode::I64And:
    case Opcode::I64Or:
    case Opcode::I64Xor:
    case Opcode::I64Eq:
    case Opcode::I64Ne:
    case Opcode::F32Eq:
    case Opcode::F32Ne:
    case Opcode::F64Eq:
    case Opcode::F64Ne:
      return true;
    default:
      return false;
  }
}

// The comparison of exchanged operands; not of eqz. What is no such comparison is itself.
constexpr Opcode mirrored(Opcode op) {
  using enum Opcode;
  if (detail::within(op, I32LtS, I32GeU)) return detail::partner(op, I32LtS, 2);
  if (detail::within(op, I64LtS, I64GeU)) return detail::partner(op, I64LtS, 2);
  if (detail::within(op, F32Lt, F32Ge)) return detail::partner(op, F32Lt, 1);
  if (detail::within(op, F64Lt, F64Ge)) return detail::partner(op, F64Lt, 1);
  return op;
}
static_assert(mirrored(Opcode::I32LtS) == Opcode::I32GtS);
static_assert(mirrored(Opcode::I64LeU) == Opcode::I64GeU);
static_assert(mirrored(Opcode::I32GeS) == Opcode::I32LeS);
static_assert(mirrored(Opcode::F64Ge) == Opcode::F64Le);
static_assert(mirrored(Opcode::F32Lt) == Opcode::F32Gt);

// The comparison that is true when `op` is not, or Illegal. Of floats, which need not be ordered,
// only equality has one.
constexpr Opcode opposite(Opcode op) {
  using enum Opcode;
  if (detail::within(op, I32Eq, I32Ne)) return detail::partner(op, I32Eq, 1);
  if (detail::within(op, I64Eq, I64Ne)) return detail::partner(op, I64Eq, 1);
  if (detail::within(op, F32Eq, F32Ne)) return detail::partner(op, F32Eq, 1);
  if (detail::within(op, F64Eq, F64Ne)) return detail::partner(op, F64Eq, 1);
  if (detail::within(op, I32LtS, I32GeU)) return detail::partner(op, I32LtS, 6);
  if (detail::within(op, I64LtS, I64GeU)) return detail::partner(op, I64LtS, 6);
  return Illegal;
}
static_assert(opposite(Opcode::I32LtS) == Opcode::I32GeS);
static_assert(opposite(Opcode::I64GtU) == Opcode::I64LeU);
static_assert(opposite(Opcode::I32LeU) == Opcode::I32GtU);
static_assert(opposite(Opcode::F64Ne) == Opcode::F64Eq);
static_assert(opposite(Opcode::F64Lt) == Opcode::Illegal);

// Division, and conversion to integers that does not saturate.
constexpr bool is_trapping_arithmetic(Opcode op) {
  return detail::within(op, Opcode::I32DivS, Opcode::I32RemU) ||
         detail::within(op, Opcode::I64DivS, Opcode::I64RemU) ||
         detail::within(op, Opcode::I32TruncF32S, Opcode::I32TruncF64U) ||
         detail::within(op, Opcode::I64TruncF32S, Opcode::I64TruncF64U);
}
static_assert(unsigned(Opcode::I32RemU) - unsigned(Opcode::I32DivS) == 3 &&
              unsigned(Opcode::I64TruncF64U) - unsigned(Opcode::I64TruncF32S) == 3);

}  // namespace wafer::wasm
