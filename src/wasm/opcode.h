// Opcode enumeration and per-opcode facts, generated from opcodes.def.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/platform.h"

namespace wafer::wasm {

// Proposals that can be switched. Core is always on.
enum class Feature : uint8_t {
  Core,
  FunctionReferences,
  GC,
  Exceptions,
  LegacyExceptions,  // off by default
  TailCall,
  Memory64,  // memories and tables with 64-bit addresses
  MultiMemory,
  ExtendedConst,
  Simd,
  RelaxedSimd,
  Threads,
  CustomPageSizes,
  WideArithmetic,
  CustomDescriptors,  // off by default, as are the next
  CompactImports,
  StackSwitching,
  Count,
};

class FeatureSet {
 public:
  constexpr bool has(Feature f) const { return (bits_ >> unsigned(f)) & 1; }
  constexpr FeatureSet& set(Feature f, bool on = true) {
    bits_ = on ? bits_ | ((1u << unsigned(f)) & kBuilt) : bits_ & ~(1u << unsigned(f));
    return *this;
  }
  // All of WebAssembly 3.0 plus threads, custom page sizes and wide arithmetic.
  static constexpr FeatureSet standard() {
    FeatureSet s;
    s.bits_ = kBuilt;
    for (const Feature f : {Feature::LegacyExceptions, Feature::CustomDescriptors,
                            Feature::CompactImports, Feature::StackSwitching})
      s.set(f, false);
    return s;
  }
  static constexpr FeatureSet all() {
    FeatureSet s;
    s.bits_ = kBuilt;
    return s;
  }

 private:
  // What this build has; nothing else can be switched on.
#if WAFER_SIMD
  static constexpr uint32_t kBuilt = (1u << unsigned(Feature::Count)) - 1;
#else
  static constexpr uint32_t kBuilt =
      ((1u << unsigned(Feature::Count)) - 1) &
      ~(1u << unsigned(Feature::Simd) | 1u << unsigned(Feature::RelaxedSimd));
#endif
  uint32_t bits_ = 1;
};

// Shape of an instruction's immediates (spec 5.4), in stream order.
enum class Imm : uint8_t {
  None,
  Block,         // blocktype
  Label,         // labelidx
  BrTable,       // vec(labelidx) labelidx
  Func,          // funcidx
  CallIndirect,  // typeidx tableidx
  Type,          // typeidx
  Local,
  Global,
  Table,
  Memory,
  Data,
  Elem,
  Tag,
  I32,
  I64,
  F32,
  F64,
  V128,
  MemArg,      // align offset (and memidx)
  MemArgLane,  // memarg laneidx
  Lane,
  Shuffle,   // 16 laneidx
  HeapType,  // heaptype
  SelectT,   // vec(valtype)
  TryTable,  // blocktype vec(catch)
  DataMemory,
  ElemTable,
  MemoryMemory,
  TableTable,
  TypeField,  // typeidx fieldidx
  TypeCount,  // typeidx u32
  TypeData,
  TypeElem,
  TypeType,
  TypeTag,    // typeidx tagidx
  Resume,     // typeidx vec(handler)
  ResumeTag,  // typeidx tagidx vec(handler)
  BrOnCast,   // castflags labelidx heaptype heaptype
  Fence,      // one zero byte
};

enum class Opcode : uint16_t {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) id,
#include "wasm/opcodes.def"
#undef WAFER_OP
  Count,
  Illegal = Count,
};

struct OpcodeInfo {
  std::string_view text;
  std::string_view sig;  // see opcodes.def
  uint16_t code;
  uint8_t prefix;
  Imm imm;
  uint8_t aux;
  Feature feature;
};

// Facts of `op`; `op` must not be Illegal.
const OpcodeInfo& opcode_info(Opcode op);

// The opcode encoded as `prefix` (0 for none) and `code`, or Opcode::Illegal.
Opcode opcode_from_code(uint8_t prefix, uint32_t code);

}  // namespace wafer::wasm
