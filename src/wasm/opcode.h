// Opcode enumeration and per-opcode facts, generated from opcodes.def.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/memory.h"
#include "wasm/built.h"

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
  ReferenceTypes,
  Count,
};

// Features that this build has, as bits; nothing else can be switched on.
inline constexpr uint32_t kBuiltFeatures = 0
#define WAFER_BIT(id) WAFER_IF_BUILT(id, | 1u << unsigned(Feature::id))
    WAFER_BIT(Core) WAFER_BIT(FunctionReferences) WAFER_BIT(GC) WAFER_BIT(Exceptions)
        WAFER_BIT(LegacyExceptions) WAFER_BIT(TailCall) WAFER_BIT(Memory64) WAFER_BIT(MultiMemory)
            WAFER_BIT(ExtendedConst) WAFER_BIT(Simd) WAFER_BIT(RelaxedSimd) WAFER_BIT(Threads)
                WAFER_BIT(CustomPageSizes) WAFER_BIT(WideArithmetic) WAFER_BIT(CustomDescriptors)
                    WAFER_BIT(CompactImports) WAFER_BIT(StackSwitching) WAFER_BIT(ReferenceTypes)
#undef WAFER_BIT
    ;
constexpr bool is_built(Feature f) { return (kBuiltFeatures >> unsigned(f)) & 1; }

// A vector of what only a feature has.
template <Feature F, class T>
using VecOf = VecIf<is_built(F), T>;

class FeatureSet {
 public:
  constexpr bool has(Feature f) const { return is_built(f) && (bits_ >> unsigned(f)) & 1; }
  constexpr FeatureSet& set(Feature f, bool on = true) {
    bits_ = on ? bits_ | ((1u << unsigned(f)) & kBuiltFeatures) : bits_ & ~(1u << unsigned(f));
    return *this;
  }
  // All of WebAssembly 3.0 plus threads, custom page sizes and wide arithmetic.
  static constexpr FeatureSet standard() {
    FeatureSet s;
    s.bits_ = kBuiltFeatures;
    for (const Feature f : {Feature::LegacyExceptions, Feature::CustomDescriptors,
                            Feature::CompactImports, Feature::StackSwitching})
      s.set(f, false);
    return s;
  }
  static constexpr FeatureSet all() {
    FeatureSet s;
    s.bits_ = kBuiltFeatures;
    return s;
  }
  // What both have.
  constexpr FeatureSet operator&(const FeatureSet& other) const {
    FeatureSet s;
    s.bits_ = bits_ & other.bits_;
    return s;
  }
  constexpr bool operator==(const FeatureSet&) const = default;

 private:
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

// Those that are built in come first and are counted: tables have a row for each of them.
// The others only have names.
enum class Opcode : uint16_t {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) WAFER_IF_BUILT(feature, id, )
#include "wasm/opcodes.def"
#undef WAFER_OP
  Count,
  Illegal = Count,
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) WAFER_IF_LEFT_OUT(feature, id, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

// Tells the compiler that `op` is built in, so that it leaves out the cases of all others.
#define WAFER_ASSUME_BUILT(op)                                         \
  do {                                                                 \
    if ((op) >= ::wafer::wasm::Opcode::Count) __builtin_unreachable(); \
  } while (0)

// The same for code that only a feature needs.
#define WAFER_ASSUME_FEATURE(feature)                                        \
  do {                                                                       \
    if constexpr (!::wafer::wasm::is_built(::wafer::wasm::Feature::feature)) \
      __builtin_unreachable();                                               \
  } while (0)

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
