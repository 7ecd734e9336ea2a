// Numbering of the interpreter's operations, derived from the opcode table: each
// plain WebAssembly opcode gets one operation for each way its operands may come.
#pragma once

#include <array>

#include "wasm/opcode.h"

namespace wafer::interp {

using wasm::Opcode;

// How an opcode is given operations; decided by its signature alone.
enum class Shape : uint8_t {
  Special,   // has its own operations below
  BinInt,    // SS AS SA SI AI
  BinFloat,  // SS AS SA SI AI
  Unary,     // S A
  Load,      // S A, each guarded and checked; Far
  Store,     // SS AS SA SI, each guarded and checked; Far
  Vector,    // one
  VecLoad,   // guarded, checked, Far
  VecStore,
  VecLane,  // Far only
  Wide,     // one
  Atomic,   // one, Far
};

enum BinVariant : uint8_t { kSS, kAS, kSA, kSI, kAI };
enum LoadVariant : uint8_t { kLoadS, kLoadA, kLoadSChecked, kLoadAChecked, kLoadFar };
enum StoreVariant : uint8_t {
  kStoreSS,
  kStoreAS,
  kStoreSA,
  kStoreSI,
  kStoreSSChecked,
  kStoreASChecked,
  kStoreSAChecked,
  kStoreSIChecked,
  kStoreFar,
};

struct OpFacts {
  std::string_view text, sig;
  uint8_t prefix;
  wasm::Imm imm;
};

inline constexpr OpFacts kFacts[] = {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) \
  {text, sig, prefix, wasm::Imm::imm},
#include "wasm/opcodes.def"
#undef WAFER_OP
};

constexpr Shape shape_of(Opcode op) {
  const OpFacts& f = kFacts[unsigned(op)];
#if !WAFER_SIMD
  if (f.prefix == 0xFD) return Shape::Special;  // never decoded: no operations
#endif
  if (f.sig == "*" || f.sig == ":" || f.sig[0] == ':') return Shape::Special;
  if (f.prefix == 0xFE) {
    return f.imm == wasm::Imm::MemArg && f.text.substr(0, 13) != "memory.atomic" ? Shape::Atomic
                                                                                 : Shape::Special;
  }
  if (f.imm == wasm::Imm::MemArgLane) return Shape::VecLane;
  if (f.imm == wasm::Imm::MemArg) {
    const bool vec = f.prefix == 0xFD;
    if (f.sig[1] == ':') return vec ? Shape::VecLoad : Shape::Load;
    return vec ? Shape::VecStore : Shape::Store;
  }
  if (f.prefix == 0xFD) return Shape::Vector;
  if (f.sig.substr(f.sig.size() - 3) == ":II") return Shape::Wide;
  if (f.sig[1] == ':') return Shape::Unary;
  return f.sig[0] == 'i' || f.sig[0] == 'I' ? Shape::BinInt : Shape::BinFloat;
}

constexpr unsigned variants_of(Shape s) {
  switch (s) {
    case Shape::Special:
      return 0;
    case Shape::BinInt:
    case Shape::BinFloat:
    case Shape::Load:
      return 5;
    case Shape::Unary:
      return 2;
    case Shape::Store:
      return 9;
    case Shape::VecLoad:
    case Shape::VecStore:
      return 3;
    default:
      return 1;
  }
}

// Integer comparisons also come fused with a conditional branch.
constexpr bool is_int_compare(Opcode op) {
  return (op >= Opcode::I32Eq && op <= Opcode::I32GeU) ||
         (op >= Opcode::I64Eq && op <= Opcode::I64GeU);
}
constexpr bool is_float_compare(Opcode op) { return op >= Opcode::F32Eq && op <= Opcode::F64Ge; }

struct OpLayout {
  std::array<uint16_t, unsigned(Opcode::Count)> first{};
  std::array<uint16_t, unsigned(Opcode::Count)> branch{};
  uint16_t count = 0;
};

constexpr OpLayout make_layout() {
  OpLayout l{};
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i) {
    l.first[i] = l.count;
    l.count = uint16_t(l.count + variants_of(shape_of(Opcode(i))));
  }
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i) {
    l.branch[i] = l.count;
    if (is_int_compare(Opcode(i))) l.count = uint16_t(l.count + 5);
    // Float comparisons: branch if true SS, branch if false SS.
    if (is_float_compare(Opcode(i))) l.count = uint16_t(l.count + 2);
  }
  return l;
}

inline constexpr OpLayout kLayout = make_layout();

constexpr uint16_t op_id(Opcode op, unsigned variant = 0) {
  return uint16_t(kLayout.first[unsigned(op)] + variant);
}
constexpr uint16_t branch_id(Opcode op, unsigned variant) {
  return uint16_t(kLayout.branch[unsigned(op)] + variant);
}

// Operations that are not an opcode's plain form. Fields in comments.
// clang-format off
#define WAFER_SPECIAL_OPS(X)                                                         \
  X(Exit)            /* end of an entry call */                                      \
  X(Unreachable)                                                                     \
  X(Copy)            /* a=dst b=src; sets the accumulator */                         \
  X(CopyA)           /* a=dst from the accumulator */                                \
  X(Copy128)         /* a=dst b=src */                                               \
  X(Const)           /* a=dst | value; sets the accumulator */                       \
  X(Const128)        /* a=dst | low | high */                                        \
  X(Br)              /* | offset */                                                  \
  X(BrIfS) X(BrIfA)  /* a=condition (i32) | offset */                                \
  X(BrUnlessS) X(BrUnlessA)                                                          \
  X(BrIf64S) X(BrUnless64S) /* a=i64, for fused eqz and references */                \
  X(BrTable)         /* a=index | count | offset ... */                              \
  X(SelectS) X(SelectA) X(Select128) /* a=dst b=then c=else | condition */           \
  X(Return)          /* a=link */                                                    \
  X(Return1S) X(Return1A) /* a=link b=src */                                         \
  X(Call)            /* a=args, hi half=function | safepoint */                      \
  X(CallImport)      /* same */                                                      \
  X(CallIndirect)    /* a=args b=index c=is64 | table, type | safepoint */           \
  X(CallRef)         /* a=args b=ref | safepoint */                                  \
  X(ReturnCall)      /* a=args b=link, hi=... | function | safepoint */              \
  X(ReturnCallIndirect) /* a=args b=index c=link | table, type | is64 | safepoint */ \
  X(ReturnCallRef)   /* a=args b=ref c=link | safepoint */                           \
  X(GlobalGet) X(GlobalSet) X(GlobalGet128) X(GlobalSet128) /* a=slot | index */     \
  X(MemorySize)      /* a=dst | memory */                                            \
  X(MemoryGrow)      /* a=dst b=delta | memory */                                    \
  X(MemoryFill)      /* a,b,c | memory */                                            \
  X(MemoryCopy)      /* a,b,c | dst memory, src memory */                            \
  X(MemoryInit)      /* a,b,c | memory, segment */                                   \
  X(DataDrop)        /* | segment */                                                 \
  X(TableGet) X(TableSet) X(TableSize) X(TableGrow) X(TableFill) X(TableCopy)        \
  X(TableInit) X(ElemDrop)                                                           \
  X(RefFunc)         /* a=dst | function */                                          \
  X(RefIsNull)       /* a=dst b=ref; sets the accumulator */                         \
  X(RefAsNonNull)    /* b=ref */                                                     \
  X(RefEq)           /* a=dst b c */                                                 \
  X(RefTest)         /* a=dst b=ref c=nullable | heap type */                        \
  X(RefCast)         /* a=dst b=ref c=nullable | heap type */                        \
  X(CheckDescriptor) /* b=ref */                                                     \
  X(RefTestDesc)     /* a=dst b=ref c=descriptor | nullable */                       \
  X(RefCastDesc)     /* a=dst b=ref c=descriptor | nullable */                       \
  X(RefI31) X(I31GetS) X(I31GetU)                                                    \
  X(StructNew)       /* a=dst b=args | type | safepoint */                           \
  X(StructNewDefault) /* a=dst b=descriptor, if any | type | safepoint */            \
  X(StructGet8S) X(StructGet8U) X(StructGet16S) X(StructGet16U)                      \
  X(StructGet32) X(StructGet64) X(StructGet128) /* a=dst b=ref | payload offset */   \
  X(StructSet8) X(StructSet16) X(StructSet32) X(StructSet64) X(StructSet128)         \
  X(ArrayNew)        /* a=dst b=init c=length | type | safepoint */                  \
  X(ArrayNewDefault) /* a=dst c=length | type | safepoint */                         \
  X(ArrayNewFixed)   /* a=dst b=args | type | count | safepoint */                   \
  X(ArrayNewData)    /* a=dst b=offset c=length | type | segment | safepoint */      \
  X(ArrayNewElem)                                                                    \
  X(ArrayGet8S) X(ArrayGet8U) X(ArrayGet16S) X(ArrayGet16U)                          \
  X(ArrayGet32) X(ArrayGet64) X(ArrayGet128) /* a=dst b=ref c=index */               \
  X(ArraySet8) X(ArraySet16) X(ArraySet32) X(ArraySet64) X(ArraySet128)              \
                     /* a=ref b=index c=value */                                     \
  X(ArrayLen)        /* a=dst b=ref */                                               \
  X(ArrayFill)       /* a=ref b=at c=value | count */                                \
  X(ArrayCopy)       /* a=dst b=at c=src | src at, count */                          \
  X(ArrayInitData)   /* a=ref b=at c=src at | count, segment */                      \
  X(ArrayInitElem)                                                                   \
  X(Throw)           /* a=args | tag | safepoint */                                  \
  X(ThrowRef)        /* a=ref | safepoint */                                         \
  X(AtomicWait32) X(AtomicWait64) /* a=dst b=addr c=expected | mem | offset | timeout */ \
  X(AtomicNotify)    /* a=dst b=addr c=count | mem | offset */                       \
  X(AtomicFence)                                                                     \
  X(ContNew)         /* a=func and dst | safepoint */                                \
  X(ContBind)        /* a=args and dst b=slots of args | safepoint */                \
  X(Suspend)         /* a=args and results b=slots of args | tag | safepoint */      \
  X(Switch)          /* a=args and results b=slots of args | tag | safepoint */      \
  X(Resume)          /* a=args and results b=slots of args c=top | first clause, number | tag \
                        to throw, kResumePlain or kResumeThrowRef | safepoint */     \
  X(Fuel)            /* | cost | safepoint */                                        \
  X(Poll)            /* | safepoint */
// clang-format on

enum class Special : uint16_t {
#define X(name) name,
  WAFER_SPECIAL_OPS(X)
#undef X
      Count
};

constexpr uint16_t op_id(Special s) { return uint16_t(kLayout.count + unsigned(s)); }
inline constexpr unsigned kOpCount = kLayout.count + unsigned(Special::Count);
static_assert(kOpCount < 65536);

}  // namespace wafer::interp
