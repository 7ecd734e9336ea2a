// Numbering of the interpreter's operations, derived from the opcode table: each
// plain WebAssembly opcode gets one operation for each way its operands may come.
#pragma once

#include <array>

#include "runtime/roots.h"
#include "wasm/op_algebra.h"
#include "wasm/types.h"

namespace wafer::interp {

using wasm::Opcode;

// How an opcode is given operations; decided by its signature alone.
enum class Shape : uint8_t {
  Special,   // has its own operations below
  BinInt,    // SS AS SA SI AI; SS SI SW if narrow
  BinFloat,  // SS AS SA SI AI; SS SW if narrow
  Unary,     // S A
  Load,      // S A, each guarded and checked; Far; S if narrow
  Store,     // SS AS SA SI, each guarded and checked; Far; SS SI if narrow
  Vector,    // one
  VecLoad,   // guarded, checked, Far
  VecStore,
  VecLane,  // Far only
  Wide,     // one
  Atomic,   // one, Far
};

// Variants of an operation: from where its operands come.
// (On narrow slots SI has a constant of 16 bits, and SW one of 32.)
enum BinVariant : uint8_t { kSS, kAS, kSA, kSI, kAI, kSW = kAI };
enum UnaryVariant : uint8_t { kUnaryS, kUnaryA };
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
enum VecVariant : uint8_t { kVecGuarded, kVecChecked, kVecFar };
constexpr unsigned kMaxVariants = 9;

// On small 32-bit processors a value of 32 bits lies in the low half of its slot, with anything
// above. There are no accumulators, and code has another form (code.h): that is smaller, and
// memory is near.
#define WAFER_NARROW (UINTPTR_MAX == 0xFFFFFFFFu && !WAFER_HAS_OS)
inline constexpr bool kNarrow = WAFER_NARROW;
// As features, for the table of operations below.
#if WAFER_NARROW
#define WAFER_HAS_Accumulator 0
#define WAFER_HAS_Narrow 1
#else
#define WAFER_HAS_Accumulator 1
#define WAFER_HAS_Narrow 0
#endif
// On narrow slots: set in the index of a memory or table whose address type is i64.
inline constexpr uint32_t kIs64 = 1u << 31;

// Opcodes as they are encoded.
namespace code {
enum Code : int {
#define WAFER_OP(id, prefix, code, text, imm, sig, aux, feature) id = (prefix) << 16 | (code),
#include "wasm/opcodes.def"
#undef WAFER_OP
};
}  // namespace code
// How numeric instructions are numbered: by their byte, and those after a prefix follow on.
constexpr unsigned group_number(int code) {
  return code >> 16 ? code::I64Extend32S + 1 + (code & 0xFF) : code;
}

struct OpFacts {
  std::string_view text, sig;
  wasm::Imm imm;
  int code;
  constexpr int prefix() const { return code >> 16; }
};

inline constexpr OpFacts kFacts[] = {
#define WAFER_OP(id, prefix, code_, text, imm, sig, aux, feature) \
  WAFER_IF_BUILT(feature, {text, sig, wasm::Imm::imm, code::id}, )
#include "wasm/opcodes.def"
#undef WAFER_OP
};

constexpr Shape shape_of(Opcode op) {
  const OpFacts& f = kFacts[unsigned(op)];
  if (f.sig == "*" || f.sig == ":" || f.sig[0] == ':') return Shape::Special;
  if (f.prefix() == 0xFE) {
    return f.imm == wasm::Imm::MemArg && f.text.substr(0, 13) != "memory.atomic" ? Shape::Atomic
                                                                                 : Shape::Special;
  }
  if (f.imm == wasm::Imm::MemArgLane) return Shape::VecLane;
  if (f.imm == wasm::Imm::MemArg) {
    const bool vec = f.prefix() == 0xFD;
    if (f.sig[1] == ':') return vec ? Shape::VecLoad : Shape::Load;
    return vec ? Shape::VecStore : Shape::Store;
  }
  if (f.prefix() == 0xFD) return Shape::Vector;
  if (f.sig.substr(f.sig.size() - 3) == ":II") return Shape::Wide;
  if (f.sig[1] == ':') return Shape::Unary;
  return f.sig[0] == 'i' || f.sig[0] == 'I' ? Shape::BinInt : Shape::BinFloat;
}

// Which load or store of scalars it is, for the Far ones' third field.
constexpr unsigned far_kind(Opcode op) { return unsigned(op) - unsigned(Opcode::I32Load); }

// Integer comparisons also come fused with a conditional branch.
constexpr bool is_int_compare(Opcode op) {
  return (op >= Opcode::I32Eq && op <= Opcode::I32GeU) ||
         (op >= Opcode::I64Eq && op <= Opcode::I64GeU);
}
constexpr bool is_float_compare(Opcode op) { return op >= Opcode::F32Eq && op <= Opcode::F64Ge; }

constexpr bool is_compare(Opcode op) { return is_int_compare(op) || is_float_compare(op); }
// Where size counts, a > b is b < a, and a >= b is b <= a: unless b is a constant.
constexpr bool is_mirrored(Opcode op) {
  if (!kNarrow || !is_compare(op)) return false;
  const unsigned first = unsigned(op < Opcode::I64Eq   ? Opcode::I32Eq
                                  : op < Opcode::F32Eq ? Opcode::I64Eq
                                  : op < Opcode::F64Eq ? Opcode::F32Eq
                                                       : Opcode::F64Eq);
  const unsigned at = unsigned(op) - first;
  // eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u; eq ne lt gt le ge
  return is_int_compare(op) ? at == 4 || at == 5 || at >= 8 : at == 3 || at == 5;
}
// And where b is a constant there are fewer yet: a - b is a + -b, a > b is a >= b + 1, and a <= b
// is a < b + 1.
constexpr bool is_other_with_constant(Opcode op) {
  using O = Opcode;
  return (op >= O::I32GtS && op <= O::I32LeU) || (op >= O::I64GtS && op <= O::I64LeU) ||
         op == O::I32Sub || op == O::I64Sub || op == O::F32Sub;
}
// What gives the same with its operands exchanged: which NaN comes out is open.
constexpr bool is_commutative(Opcode op) {
  return wasm::commutes(op) || op == Opcode::F32Add || op == Opcode::F32Mul ||
         op == Opcode::F64Add || op == Opcode::F64Mul;
}

// Whether it is one of the numeric instructions that have a handler for all together on narrow
// slots: what takes long anyway, or is seldom met in what microcontrollers run.
constexpr bool is_rare_if_narrow(Opcode op) {
  using O = Opcode;
  const Shape shape = shape_of(op);
  if (shape != Shape::BinInt && shape != Shape::BinFloat && shape != Shape::Unary) return false;
  const bool frequent =
      (op >= O::I32Eqz && op <= O::I32GeU) || op == O::I32Clz || op == O::I32Ctz ||
      (op >= O::I32Add && op <= O::I32Rotr) || (op >= O::I64Add && op <= O::I64Mul) ||
      (op >= O::I64And && op <= O::I64ShrU) || op == O::F32Abs || op == O::F32Neg ||
      (op >= O::F32Add && op <= O::F32Div) || op == O::I32WrapI64 || op == O::I64ExtendI32S ||
      op == O::I64ExtendI32U || op == O::F32ConvertI32S || op == O::F32ConvertI32U ||
      op == O::I32Extend8S || op == O::I32Extend16S || op == O::F32Sqrt || op == O::I32TruncF32S ||
      op == O::I32TruncSatF32S;
  return !frequent;
}
constexpr bool is_rare(Opcode op) { return kNarrow && is_rare_if_narrow(op); }

// What has handlers that are run from the loop, and on narrow slots codes of two bytes.
constexpr bool is_cold(Shape shape) { return shape >= Shape::Vector && shape <= Shape::Atomic; }

// Whether it is one of those that often have a constant of more than 16 bits: masks, factors.
constexpr bool has_constant_word(Opcode op) {
  using O = Opcode;
  return op == O::I32Add || op == O::I32Mul || op == O::I32And || op == O::I32Or ||
         op == O::I32Xor || op == O::F32Add || op == O::F32Mul;
}

// Loads and stores that have only the Far form on narrow slots, where one operation is for all.
constexpr bool is_far_if_narrow(Opcode op) {
  using O = Opcode;
  return (op >= O::I64Load8S && op <= O::I64Load16U) || op == O::I64Store8 || op == O::I64Store16;
}

// Which variants an operation has in this build.
constexpr bool has_variant(Opcode op, unsigned v) {
  const Shape shape = shape_of(op);
  if (shape == Shape::Special) return false;
  switch (shape) {
    case Shape::BinInt:
      if (kNarrow)
        return (v == kSS && !is_mirrored(op)) || (v == kSI && !is_other_with_constant(op)) ||
               (v == kSW && has_constant_word(op));
      return v <= kAI;
    case Shape::BinFloat:
      if (kNarrow) return (v == kSS && !is_mirrored(op)) || (v == kSW && has_constant_word(op));
      return v <= kAI;
    case Shape::Unary:
      return v == kUnaryS || (v == kUnaryA && !kNarrow);
    case Shape::Load:
      if (kNarrow) return v == kLoadSChecked && !is_far_if_narrow(op);
      return v <= kLoadFar && (WAFER_HAS_OS || v >= kLoadSChecked);
    case Shape::Store:
      if (kNarrow) return (v == kStoreSSChecked || v == kStoreSIChecked) && !is_far_if_narrow(op);
      return v <= kStoreFar && (WAFER_HAS_OS || v >= kStoreSSChecked);
    case Shape::VecLoad:
    case Shape::VecStore:
      return v <= kVecFar && ((WAFER_HAS_OS && !kNarrow) || v >= kVecChecked);
    default:
      return v == 0;
  }
}

// Comparisons of f64 have no fused branch where they are done by functions of the compiler.
constexpr bool has_float_branch(Opcode op) {
  return is_float_compare(op) && !is_mirrored(op) && !(kSmall && kNarrow && op >= Opcode::F64Eq);
}
// Branches of a float comparison: if it holds, and if not, with operands in slots.
enum FloatBranch : uint8_t { kIfTrue, kIfFalse };

// Builds whose operations are few have rows of half the size.
inline constexpr bool kFewShapes =
    kNarrow && !WAFER_HAS_Simd && !WAFER_HAS_Threads && !WAFER_HAS_WideArithmetic;
// What translation asks of an opcode beside wasm::op_facts().
template <class Bits, int FirstBits, int ShapeBits>
struct OpRowOf {
  Bits first : FirstBits = 0;  // its first operation
  Bits forms : 4 = 0;          // which row of OpLayout::forms tells its variants' places
  Bits shape_bits : ShapeBits = 0;
  Bits rare : 1 = false;  // if narrow, where `first` is its group_number
  constexpr Shape shape() const { return Shape(shape_bits); }
};
using OpRow = std::conditional_t<kFewShapes, OpRowOf<uint16_t, 8, 3>, OpRowOf<uint32_t, 11, 4>>;
static_assert(sizeof(OpRow) == (kFewShapes ? 2 : 4));

constexpr unsigned kFirstCompare = unsigned(Opcode::I32Eq);
constexpr unsigned kCompares = unsigned(Opcode::F64Ge) - kFirstCompare + 1;
// What another comparison gives, by tables, which are smaller than code.
using CompareTable = std::array<uint8_t, kCompares>;
constexpr CompareTable compare_table(Opcode (*other)(Opcode)) {
  CompareTable t{};
  for (unsigned i = 0; i < kCompares; ++i) {
    const Opcode op = other(Opcode(kFirstCompare + i));
    if (op != Opcode::Illegal) t[i] = uint8_t(unsigned(op) - kFirstCompare);
  }
  return t;
}
inline constexpr CompareTable kMirrored = compare_table(wasm::mirrored);
inline constexpr CompareTable kOpposite = compare_table(wasm::opposite);  // of integers
constexpr Opcode looked_up(const CompareTable& table, Opcode op) {
  return Opcode(kFirstCompare + table[unsigned(op) - kFirstCompare]);
}
constexpr uint8_t kNoVariant = 0xFF;

template <unsigned Forms>
struct OpLayout {
  std::array<OpRow, unsigned(Opcode::Count)> rows{};
  // Places of variants among those that an operation has.
  std::array<std::array<uint8_t, kMaxVariants>, Forms> forms{};
  std::array<std::conditional_t<kNarrow, uint8_t, uint16_t>, kCompares> branch{};  // their first
  unsigned form_count = 0;
  uint16_t count = 0;
  uint16_t cold = 0;  // on narrow slots those with cold handlers are numbered by themselves

  // The row of `forms` for operations with such variants as `op` has.
  constexpr uint8_t form(Opcode op) {
    std::array<uint8_t, kMaxVariants> f{};
    uint8_t n = 0;
    for (unsigned v = 0; v < kMaxVariants; ++v) f[v] = has_variant(op, v) ? n++ : kNoVariant;
    for (unsigned i = 0; i < form_count; ++i)
      if (forms[i] == f) return uint8_t(i);
    forms[form_count] = f;
    return uint8_t(form_count++);
  }
  // How many operations such a row stands for.
  constexpr unsigned size(unsigned form) const {
    unsigned n = 0;
    for (const uint8_t at : forms[form]) n += at != kNoVariant;
    return n;
  }
};

// Gives an opcode its operations.
template <class Layout>
constexpr void add_operations(Layout& l, unsigned i) {
  const Opcode op = Opcode(i);
  const Shape shape = shape_of(op);
  OpRow& row = l.rows[i];
  uint16_t& count = kNarrow && is_cold(shape) ? l.cold : l.count;
  const unsigned first = is_rare(op) ? group_number(kFacts[i].code) : count;
  row.shape_bits = unsigned(shape);
  row.rare = is_rare_if_narrow(op);
  if (shape == Shape::Special) return;
  row.first = first;
  row.forms = l.form(op);
  // Does not compile where a field is too narrow.
  if (row.first != first || row.shape() != shape) __builtin_trap();
  if (!is_rare(op)) count = uint16_t(count + l.size(row.forms));
}

template <unsigned Forms>
constexpr OpLayout<Forms> make_layout() {
  OpLayout<Forms> l{};
  for (unsigned i = 0; i < unsigned(Opcode::Count); ++i) add_operations(l, i);
  for (unsigned i = 0; i < kCompares; ++i) {
    l.branch[i] = l.count;
    const Opcode op = Opcode(kFirstCompare + i);
    if (is_int_compare(op))
      l.count = uint16_t(l.count + l.size(l.rows[unsigned(op)].forms));
    else if (has_float_branch(op))
      l.count = uint16_t(l.count + 2);
  }
  return l;
}

inline constexpr auto kLayout = make_layout<make_layout<16>().form_count>();

// Operations that are not an opcode's plain form, with the feature that they are for. Fields in
// comments: `a`, `b` and `c` of the first word, then further words after `|`; on narrow slots what
// is after a starred one has 32 bits (code.h).
// clang-format off
#define WAFER_HOT_OPS(X)                                                             \
  X(Exit, Core)            /* end of an entry call */                                      \
  X(Unreachable, Core)                                                                     \
  X(Copy, Core)            /* a=dst b=src; sets the accumulator */                         \
  X(CopyA, Accumulator)    /* a=dst from the accumulator */                                \
  X(CopyFar, Narrow)       /* a=dst b=src */                                               \
  X(Const, Core)           /* a=dst | value (narrow: b, signed); sets the accumulator */   \
  X(Const32, Narrow) X(Const64, Narrow) /* a=dst |* value, signed */                       \
  X(Br, Core)              /* | offset, of branches on narrow slots b */                   \
  X(BrFar, Narrow)         /* |* offset */                                                 \
  X(BrIfS, Core) X(BrIfA, Accumulator)  /* a=condition (i32) | offset */                   \
  X(BrUnlessS, Core) X(BrUnlessA, Accumulator)                                             \
  X(BrIf64S, Core) X(BrUnless64S, Core) /* a=i64 | offset; for fused eqz and references */ \
  X(BrTable, Core)         /* a=index |* count | offset ... */                             \
  X(BrTableFar, Narrow)    /* the same, with offsets of 32 bits */                         \
  X(SelectS, Core) X(SelectA, Accumulator) /* a=dst b=then c=else |* condition */          \
  X(Return, Core)          /* a=link */                                                    \
  X(Return1S, Core) X(Return1A, Accumulator) /* a=link b=src; narrow: exchanged */ \
  X(Call, Core)            /* a=args, hi half=function | safepoint */                      \
  X(CallImport, Core)      /* same */                                                      \
  X(CallIndirect, Core)    /* a=args b=index c=is64 | table, type | safepoint */           \
  X(CallRef, FunctionReferences)  /* a=args b=ref | safepoint */                           \
  X(ReturnCall, TailCall)         /* a=args b=link | function | safepoint */               \
  X(ReturnCallIndirect, TailCall) /* a=args b=index c=link | table, type | is64 | safepoint */ \
  X(ReturnCallRef, TailCall)      /* a=args b=ref c=link | safepoint */                    \
  X(GlobalGet, Core) X(GlobalSet, Core)  /* a=slot |* index */                             \
  X(Fuel, Core)            /* |* cost | safepoint */                                       \
  X(Poll, Core)            /* | safepoint */                                               \
  X(LoadFar, Narrow) X(StoreFar, Narrow) /* a=dst b=address, or a=address b=value; c=kind |* offset */ \
  X(LoadAny, NarrowMemories) X(StoreAny, NarrowMemories) /* as Far ones elsewhere */       \
  X(RareS, Narrow) X(RareI, Narrow) /* a=dst b=first c=second, or a constant; number */    \
  X(Cold0, Narrow) X(Cold1, Narrow) /* those of cold handlers, by their numbers */
#define WAFER_COLD_OPS(X)                                                            \
  X(Copy128, Simd)         /* a=dst b=src */                                               \
  X(CopyMany, Core)        /* a=dst b=src c=slots */                                       \
  X(Const128, Simd)        /* a=dst | low | high */                                        \
  X(Select128, Simd)       /* a=dst b=then c=else | condition */                           \
  X(GlobalGet128, Simd) X(GlobalSet128, Simd) /* a=slot | index */                         \
  X(MemorySize, Core)      /* a=dst | memory */                                            \
  X(MemoryGrow, Core)      /* a=dst b=delta | memory */                                    \
  X(MemoryFill, Core)      /* a,b,c | memory */                                            \
  X(MemoryCopy, Core)      /* a,b,c | dst memory, src memory */                            \
  X(MemoryInit, Core)      /* a,b,c | memory, segment */                                   \
  X(DataDrop, Core)        /* | segment */                                                 \
  X(TableGet, ReferenceTypes) X(TableSet, ReferenceTypes) X(TableSize, ReferenceTypes) X(TableGrow, ReferenceTypes) X(TableFill, ReferenceTypes) X(TableCopy, Core)        \
  X(TableInit, Core) X(ElemDrop, Core)                                                           \
  X(RefFunc, ReferenceTypes)         /* a=dst | function */                                          \
  X(RefIsNull, ReferenceTypes)       /* a=dst b=ref; sets the accumulator */                         \
  X(RefAsNonNull, FunctionReferences)    /* b=ref */                                                     \
  X(RefEq, GC)           /* a=dst b c */                                                 \
  X(RefTest, GC)         /* a=dst b=ref c=nullable | heap type */                        \
  X(RefCast, GC)         /* a=dst b=ref c=nullable | heap type */                        \
  X(CheckDescriptor, CustomDescriptors) /* b=ref */                                                     \
  X(RefTestDesc, CustomDescriptors)     /* a=dst b=ref c=descriptor | nullable */                       \
  X(RefCastDesc, CustomDescriptors)     /* a=dst b=ref c=descriptor | nullable */                       \
  X(RefI31, GC) X(I31GetS, GC) X(I31GetU, GC)                                                    \
  X(StructNew, GC)       /* a=dst b=args | type | safepoint */                           \
  X(StructNewDefault, GC) /* a=dst b=descriptor, if any | type | safepoint */            \
  X(StructGet8S, GC) X(StructGet8U, GC) X(StructGet16S, GC) X(StructGet16U, GC)                      \
  X(StructGet32, GC) X(StructGet64, GC) X(StructGet128, GCWithSimd) /* a=dst b=ref | payload offset */   \
  X(StructSet8, GC) X(StructSet16, GC) X(StructSet32, GC) X(StructSet64, GC) X(StructSet128, GCWithSimd)         \
  X(ArrayNew, GC)        /* a=dst b=init c=length | type | safepoint */                  \
  X(ArrayNewDefault, GC) /* a=dst c=length | type | safepoint */                         \
  X(ArrayNewFixed, GC)   /* a=dst b=args | type | count | safepoint */                   \
  X(ArrayNewData, GC)    /* a=dst b=offset c=length | type | segment | safepoint */      \
  X(ArrayNewElem, GC)                                                                    \
  X(ArrayGet8S, GC) X(ArrayGet8U, GC) X(ArrayGet16S, GC) X(ArrayGet16U, GC)                          \
  X(ArrayGet32, GC) X(ArrayGet64, GC) X(ArrayGet128, GCWithSimd) /* a=dst b=ref c=index */               \
  X(ArraySet8, GC) X(ArraySet16, GC) X(ArraySet32, GC) X(ArraySet64, GC) X(ArraySet128, GCWithSimd)              \
                     /* a=ref b=index c=value */                                     \
  X(ArrayLen, GC)        /* a=dst b=ref */                                               \
  X(ArrayFill, GC)       /* a=ref b=at c=value | count */                                \
  X(ArrayCopy, GC)       /* a=dst b=at c=src | src at, count */                          \
  X(ArrayInitData, GC)   /* a=ref b=at c=src at | count, segment */                      \
  X(ArrayInitElem, GC)                                                                   \
  X(Throw, Exceptions)           /* a=args | tag | safepoint */                                  \
  X(ThrowRef, Exceptions)        /* a=ref | safepoint */                                         \
  X(AtomicWait32, Threads) X(AtomicWait64, Threads) /* a=dst b=addr c=expected | mem | offset | timeout */ \
  X(AtomicNotify, Threads)    /* a=dst b=addr c=count | mem | offset */                       \
  X(AtomicFence, Threads)                                                                     \
  X(ContNew, StackSwitching)         /* a=func and dst | safepoint */                                \
  X(ContBind, StackSwitching)        /* a=args and dst b=slots of args | safepoint */                \
  X(Suspend, StackSwitching)         /* a=args and results b=slots of args | tag | safepoint */      \
  X(Switch, StackSwitching)          /* a=args and results b=slots of args | tag | safepoint */      \
  X(Resume, StackSwitching)          /* a=args and results b=slots of args c=top | first clause, number | tag \
                        to throw, kResumePlain or kResumeThrowRef | safepoint */
#define WAFER_SPECIAL_OPS(X) WAFER_HOT_OPS(X) WAFER_COLD_OPS(X)
// clang-format on

#if WAFER_NARROW && (WAFER_HAS_MultiMemory || WAFER_HAS_Memory64)
#define WAFER_HAS_NarrowMemories 1
#else
#define WAFER_HAS_NarrowMemories 0
#endif
#if WAFER_HAS_GC && WAFER_HAS_Simd
#define WAFER_HAS_GCWithSimd 1
#else
#define WAFER_HAS_GCWithSimd 0
#endif

enum class Special : uint16_t {
#define X(name, feature) WAFER_IF_BUILT(feature, name, )
  WAFER_SPECIAL_OPS(X)
#undef X
      Count,
// Without handlers: never made.
#define X(name, feature) WAFER_IF_LEFT_OUT(feature, name, )
  WAFER_SPECIAL_OPS(X)
#undef X
};

// Words of a safepoint: where there are no references, and addresses tell functions, none.
inline constexpr unsigned kSafepointWords = !kNarrow ? 1 : runtime::kHasRoots ? 2 : 0;

// On narrow slots the long form of code has places of slots in the frame in bytes.
inline constexpr unsigned kSlotStep = kNarrow ? 8 : 1;
// The most that a frame may have, and those of them that short forms reach.
inline constexpr uint32_t kMaxNarrowSlots = 65535 / 8,
                          kMaxSlots = kNarrow ? kMaxNarrowSlots : 65535;
#ifndef WAFER_NEAR_SLOTS
#define WAFER_NEAR_SLOTS 256  // tests of what is done beyond take fewer
#endif
inline constexpr uint32_t kNearSlots = WAFER_NEAR_SLOTS;

// Handlers of hot operations come first in their table. An operation is its handler's place, or on
// narrow slots also a byte for all of its kind, and its number in the next one.
inline constexpr unsigned kHotSpecials = 0
#define X(name, feature) WAFER_IF_BUILT(feature, +1)
    WAFER_HOT_OPS(X)
#undef X
    ;
inline constexpr unsigned kHotOps = kLayout.count + kHotSpecials;
inline constexpr unsigned kOpCount = kLayout.count + kLayout.cold + unsigned(Special::Count);
static_assert(!kNarrow || (kHotOps <= 256 && kOpCount - kHotOps <= 512));

constexpr unsigned cold_number(Special s) { return kLayout.cold + unsigned(s) - kHotSpecials; }
constexpr uint16_t op_id(Special s);
constexpr uint16_t cold_id(unsigned number) {
  return uint16_t(op_id(number < 256 ? Special::Cold0 : Special::Cold1) | number << 8);
}
constexpr uint16_t op_id(Special s) {
  if (kNarrow && unsigned(s) >= kHotSpecials) return cold_id(cold_number(s));
  return uint16_t(kLayout.count + unsigned(s));
}
constexpr const OpRow& row_of(Opcode op) { return kLayout.rows[unsigned(op)]; }
// The number of a variant that `op` has, among the hot or the cold ones.
constexpr unsigned number_of(Opcode op, unsigned variant) {
  return row_of(op).first + kLayout.forms[row_of(op).forms][variant];
}
// The operation for it.
constexpr uint16_t op_id(Opcode op, unsigned variant = 0) {
  const OpRow& row = row_of(op);
  if (kNarrow && row.rare)
    return uint16_t(op_id(variant == kSI ? Special::RareI : Special::RareS) | row.first << 8);
  const unsigned number = number_of(op, variant);
  return kNarrow && is_cold(row.shape()) ? cold_id(number) : uint16_t(number);
}
constexpr bool has_op(Opcode op, unsigned variant) {
  return kLayout.forms[row_of(op).forms][variant] != kNoVariant;
}
// A comparison that branches: a BinVariant, or of floats a FloatBranch.
constexpr uint16_t branch_id(Opcode op, unsigned variant) {
  return uint16_t(kLayout.branch[unsigned(op) - kFirstCompare] +
                  (is_int_compare(op) ? kLayout.forms[row_of(op).forms][variant] : variant));
}
// The place of an operation's handler in their table.
constexpr unsigned handler_place(Special s) {
  return unsigned(s) < kHotSpecials ? kLayout.count + unsigned(s) : kHotOps + cold_number(s);
}
constexpr unsigned handler_place(Opcode op, unsigned variant) {
  return number_of(op, variant) + (kNarrow && is_cold(row_of(op).shape()) ? kHotOps : 0);
}

}  // namespace wafer::interp
