// One decoded instruction with its immediates.
#pragma once

#include "base/result.h"
#include "base/span.h"
#include "wasm/cursor.h"
#include "wasm/opcode.h"
#include "wasm/types.h"

namespace wafer::wasm {

// A block type (5.4.1): no type, one value type, or a function type index.
struct BlockType {
  enum class Kind : uint8_t { Empty, Value, Type } kind = Kind::Empty;
  ValType value;
  uint32_t type_index = 0;
};

struct CatchClause {
  enum class Kind : uint8_t { Catch, CatchRef, CatchAll, CatchAllRef } kind;
  uint32_t tag = 0;  // Catch, CatchRef
  uint32_t label = 0;
};

// What a resume does when the continuation suspends with `tag`, or switches.
struct ResumeClause {
  bool is_switch = false;
  uint32_t tag = 0;
  uint32_t label = 0;  // unless is_switch
};

struct V128 {
  uint8_t bytes[16];
  bool operator==(const V128&) const = default;
};

// Which members hold what depends on opcode_info(op).imm:
//   index / index2: the first and second index immediate, in binary order, but
//     destination before source for copies as in the text format
//     (CallIndirect: index=type, index2=table; DataMemory: index=data,
//     index2=memory; ElemTable: index=elem, index2=table; BrOnCast: index=label).
//   MemArg(Lane): index=memory, align=log2, offset, lane.
struct Instr {
  Opcode op = Opcode::Illegal;
  uint32_t offset_in_module = 0;  // of the opcode's first byte
  uint32_t index = 0;
  uint32_t index2 = 0;
  uint32_t align = 0;
  uint32_t lane = 0;
  union {
    uint64_t offset = 0;  // MemArg
    int32_t i32;
    int64_t i64;
    uint32_t f32_bits;
    uint64_t f64_bits;
  };
  V128 v128{};  // V128 value, or Shuffle lanes
  BlockType block;
  HeapType heap;         // HeapType; BrOnCast source type
  HeapType heap2;        // BrOnCast target type
  bool null1 = false;    // BrOnCast: source type is nullable
  bool null2 = false;    // BrOnCast: target type is nullable
  Vec<uint32_t> labels;  // BrTable: targets, default last
  Vec<ValType> types;    // SelectT
  [[no_unique_address]] VecOf<Feature::Exceptions, CatchClause> catches;       // TryTable
  [[no_unique_address]] VecOf<Feature::StackSwitching, ResumeClause> clauses;  // Resume, ResumeTag
};

// Forward reader over instruction bytes. Stateless about nesting and types:
// it checks only what the binary grammar says.
class InstrReader : private Cursor {
 public:
  // `base` is the module; instructions are read from [begin, end) of it.
  InstrReader(Bytes base, uint32_t begin, uint32_t end, FeatureSet features)
      : Cursor(base.data(), begin, end, base.size(), features) {}
  using Cursor::at_end;
  using Cursor::offset;
  // Type indices at or above `limit` are refused (Invalid, "unknown type").
  using Cursor::set_type_limit;
  // Reads one instruction into `out` (its vectors are reused). On failure gives
  // Malformed (or Unsupported for an opcode of a feature that is off).
  Result<void> read(Instr& out) {
    if (WAFER_LIKELY(read_instr(out))) return {};
    return take_failure();
  }

 private:
  friend class FuncValidator;
  bool read_instr(Instr& out);
  bool read_block_type(BlockType& out);
  bool read_mem_arg(Instr& out);
  bool read_memory_index(uint32_t& out);
  WAFER_COLD bool illegal(const uint8_t* at, uint8_t prefix, uint32_t code, Opcode op);
};

// Most labels that br_table may have, and most clauses of a try_table.
inline constexpr uint32_t kMaxBrTableSize = 65520;
inline constexpr uint32_t kMaxCatches = 10000;

// Appends the binary encoding of `instr` to `out`; the inverse of
// InstrReader::read. Integers get their shortest form.
void write_instr(Vec<uint8_t>& out, const Instr& instr);

// Append the binary encoding of a type (5.3.5, 5.3.7, 5.3.4).
void write_val_type(Vec<uint8_t>& out, ValType type);
void write_heap_type(Vec<uint8_t>& out, HeapType type);
void write_block_type(Vec<uint8_t>& out, const BlockType& type);

}  // namespace wafer::wasm
