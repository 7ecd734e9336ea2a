// What the optimizing compiler knows of opcodes beyond their table, from their columns and by
// ranges of their order.
#pragma once

#include "compiler/optimizing/ir.h"
#include "wasm/op_tables.h"

namespace wafer::compiler {

namespace facts {

using wasm::Imm;

constexpr bool within(Opcode op, Opcode first, Opcode last) { return op >= first && op <= last; }
constexpr unsigned distance(Opcode first, Opcode last) { return unsigned(last) - unsigned(first); }
constexpr Opcode moved(Opcode op, Opcode from, Opcode to) {
  return Opcode(unsigned(op) - unsigned(from) + unsigned(to));
}
constexpr bool is_built(Opcode op) { return op < Opcode::Count; }
constexpr const wasm::OpFacts& row(Opcode op) { return wasm::kOpFacts[unsigned(op)]; }

// i64 follows i32 in the same order.
static_assert(distance(Opcode::I32Eqz, Opcode::I32GeU) == distance(Opcode::I64Eqz, Opcode::I64GeU));
static_assert(distance(Opcode::I32Clz, Opcode::I32Rotr) ==
              distance(Opcode::I64Clz, Opcode::I64Rotr));
constexpr bool is_i32(Opcode op) {
  return within(op, Opcode::I32Eqz, Opcode::I32GeU) || within(op, Opcode::I32Clz, Opcode::I32Rotr);
}
constexpr bool is_i64(Opcode op) {
  return within(op, Opcode::I64Eqz, Opcode::I64GeU) || within(op, Opcode::I64Clz, Opcode::I64Rotr);
}
// The instruction on i32 that does what `op` does on i64, and the other way around.
constexpr Opcode narrow(Opcode op) {
  return op <= Opcode::I64GeU ? moved(op, Opcode::I64Eqz, Opcode::I32Eqz)
                              : moved(op, Opcode::I64Clz, Opcode::I32Clz);
}
constexpr Opcode widened(Opcode op) {
  return op <= Opcode::I32GeU ? moved(op, Opcode::I32Eqz, Opcode::I64Eqz)
                              : moved(op, Opcode::I32Clz, Opcode::I64Clz);
}
static_assert(narrow(Opcode::I64ShrU) == Opcode::I32ShrU);
static_assert(widened(Opcode::I32LeS) == Opcode::I64LeS);

constexpr bool is_int_comparison(Opcode op) {
  return within(op, Opcode::I32Eqz, Opcode::I32GeU) || within(op, Opcode::I64Eqz, Opcode::I64GeU);
}
constexpr bool is_comparison(Opcode op) { return within(op, Opcode::I32Eqz, Opcode::F64Ge); }

// All operands are floats.
constexpr bool is_float_arithmetic(Opcode op) {
  return within(op, Opcode::F32Eq, Opcode::F64Ge) ||
         within(op, Opcode::F32Abs, Opcode::F64Copysign);
}

// The comparison of exchanged operands; not of eqz.
constexpr Opcode mirrored(Opcode op) {
  const auto swap = [op](Opcode first, unsigned bit) {
    return Opcode(((unsigned(op) - unsigned(first)) ^ bit) + unsigned(first));
  };
  if (within(op, Opcode::I32LtS, Opcode::I32GeU)) return swap(Opcode::I32LtS, 2);
  if (within(op, Opcode::I64LtS, Opcode::I64GeU)) return swap(Opcode::I64LtS, 2);
  if (within(op, Opcode::F32Lt, Opcode::F32Ge)) return swap(Opcode::F32Lt, 1);
  if (within(op, Opcode::F64Lt, Opcode::F64Ge)) return swap(Opcode::F64Lt, 1);
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
  const auto swap = [op](Opcode first, unsigned bit) {
    return Opcode(((unsigned(op) - unsigned(first)) ^ bit) + unsigned(first));
  };
  if (within(op, Opcode::I32Eq, Opcode::I32Ne)) return swap(Opcode::I32Eq, 1);
  if (within(op, Opcode::I64Eq, Opcode::I64Ne)) return swap(Opcode::I64Eq, 1);
  if (within(op, Opcode::F32Eq, Opcode::F32Ne)) return swap(Opcode::F32Eq, 1);
  if (within(op, Opcode::F64Eq, Opcode::F64Ne)) return swap(Opcode::F64Eq, 1);
  if (within(op, Opcode::I32LtS, Opcode::I32GeU)) return swap(Opcode::I32LtS, 6);
  if (within(op, Opcode::I64LtS, Opcode::I64GeU)) return swap(Opcode::I64LtS, 6);
  return Opcode::Illegal;
}
static_assert(opposite(Opcode::I32LtS) == Opcode::I32GeS);
static_assert(opposite(Opcode::I64GtU) == Opcode::I64LeU);
static_assert(opposite(Opcode::I32LeU) == Opcode::I32GtU);
static_assert(opposite(Opcode::F64Ne) == Opcode::F64Eq);
static_assert(opposite(Opcode::F64Lt) == Opcode::Illegal);

// Whether operands may be exchanged. (Not those of floats, where it shows which NaN comes out.)
constexpr bool commutes(Opcode op) {
  if (is_i64(op)) op = narrow(op);
  switch (op) {
    case Opcode::I32Add:
    case Opcode::I32Mul:
    case Opcode::I32And:
    case Opcode::I32Or:
    case Opcode::I32Xor:
    case Opcode::I32Eq:
    case Opcode::I32Ne:
    case Opcode::F32Eq:
    case Opcode::F32Ne:
    case Opcode::F64Eq:
    case Opcode::F64Ne:
      return true;
    default:
      return false;
  }
}

constexpr bool is_memory_access(Opcode op) {
  if (!is_built(op) || (op >= Opcode::MemoryAtomicNotify && is_built(Opcode::MemoryAtomicNotify)))
    return false;
  return row(op).imm == Imm::MemArg || row(op).imm == Imm::MemArgLane;
}
static_assert(is_memory_access(Opcode::I64Load32U) && is_memory_access(Opcode::F32Store));
static_assert(!is_memory_access(Opcode::MemorySize) && !is_memory_access(Opcode::I32AtomicLoad));
constexpr bool is_load(Opcode op) { return is_memory_access(op) && row(op).sig().result_count; }
constexpr bool is_store(Opcode op) { return is_memory_access(op) && !row(op).sig().result_count; }
constexpr uint32_t access_size(Opcode op) { return 1u << row(op).aux; }

// Division, and conversion to integers that does not saturate.
constexpr bool is_trapping_arithmetic(Opcode op) {
  return within(op, Opcode::I32DivS, Opcode::I32RemU) ||
         within(op, Opcode::I64DivS, Opcode::I64RemU) ||
         within(op, Opcode::I32TruncF32S, Opcode::I32TruncF64U) ||
         within(op, Opcode::I64TruncF32S, Opcode::I64TruncF64U);
}
static_assert(distance(Opcode::I32DivS, Opcode::I32RemU) == 3 &&
              distance(Opcode::I64TruncF32S, Opcode::I64TruncF64U) == 3);

constexpr Effects effects(Opcode op) {
  constexpr Effects kTraps = {.traps = true};
  constexpr Effects kReads = {.reads = true};
  constexpr Effects kAnything = {.traps = true, .reads = true, .writes = true, .calls = true};
  if (!is_built(op)) return kAnything;
  if (is_load(op)) return {.traps = true, .reads = true};
  if (is_store(op)) return {.traps = true, .writes = true};
  if (is_trapping_arithmetic(op)) return kTraps;
  switch (op) {
    case Opcode::Nop:  // while it waits
      return kAnything;
    case Opcode::Select:
    case Opcode::SelectT:
    case Opcode::RefNull:
    case Opcode::RefIsNull:
    case Opcode::RefFunc:
    case Opcode::RefEq:
    case Opcode::RefTest:
    case Opcode::RefTestNull:
    case Opcode::RefI31:
    case Opcode::AnyConvertExtern:
    case Opcode::ExternConvertAny:
      return {};
    case Opcode::RefAsNonNull:
    case Opcode::RefCast:
    case Opcode::RefCastNull:
    case Opcode::I31GetS:
    case Opcode::I31GetU:
    case Opcode::ArrayLen:
      return kTraps;
    case Opcode::GlobalGet:
    case Opcode::MemorySize:
    case Opcode::TableSize:
      return kReads;
    case Opcode::GlobalSet:
      return {.writes = true};
    case Opcode::TableGet:
    case Opcode::StructGet:
    case Opcode::StructGetS:
    case Opcode::StructGetU:
    case Opcode::ArrayGet:
    case Opcode::ArrayGetS:
    case Opcode::ArrayGetU:
      return {.traps = true, .reads = true};
    case Opcode::TableSet:
    case Opcode::StructSet:
    case Opcode::ArraySet:
      return {.traps = true, .writes = true};
    default:
      break;
  }
  // What else has a signature in the table and works on nothing but its operands.
  const wasm::OpFacts& facts = row(op);
  if (facts.sig().custom || facts.sig().address_first) return kAnything;
  switch (facts.imm) {
    case Imm::None:
    case Imm::I32:
    case Imm::I64:
    case Imm::F32:
    case Imm::F64:
    case Imm::V128:
    case Imm::Lane:
    case Imm::Shuffle:
      return {};
    default:
      return kAnything;
  }
}

// What an access reads or writes. What is in one is not in another.
enum class Space : uint8_t { Memory, Global, Object };
constexpr unsigned kSpaces = 3;
constexpr Space space_of(Opcode op) {
  if (is_memory_access(op)) return Space::Memory;
  return op == Opcode::GlobalGet || op == Opcode::GlobalSet ? Space::Global : Space::Object;
}

}  // namespace facts
}  // namespace wafer::compiler
