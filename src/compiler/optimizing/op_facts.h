// What the optimizing compiler knows of opcodes beyond their table, from their columns and by
// ranges of their order.
#pragma once

#include "compiler/optimizing/ir.h"
#include "wasm/op_algebra.h"
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

using wasm::commutes;
using wasm::mirrored;
using wasm::opposite;

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
