// Types of WebAssembly (spec 2.3), compact enough for hot paths.
#pragma once

#include <cstdint>

#include "base/memory.h"
#include "base/platform.h"
#include "wasm/opcode.h"

namespace wafer::wasm {

enum class TypeKind : uint8_t {
  Bot,  // the bottom value type of unreachable code
  I32,
  I64,
  F32,
  F64,
  V128,
  Ref,
  I8,  // packed storage types only
  I16,
};

// Abstract heap types (2.3.4), or Concrete for a type index.
enum class HeapKind : uint8_t {
  Func,
  NoFunc,
  Extern,
  NoExtern,
  Any,
  Eq,
  I31,
  Struct,
  Array,
  None,
  Exn,
  NoExn,
  Cont,
  NoCont,
  Concrete,
  Bot,  // bottom of every hierarchy: operand of unreachable reference code
};

// Whether references to types of a module are built in.
inline constexpr bool kHasTypeRefs = is_built(Feature::FunctionReferences) || is_built(Feature::GC);

// Whether there are others than function references.
inline constexpr bool kManyRefTypes = is_built(Feature::ReferenceTypes);

// Whether there are no references but nullable ones to functions, and those only in tables.
inline constexpr bool kOnlyFuncRefs = !kHasTypeRefs && !kManyRefTypes &&
                                      !is_built(Feature::Exceptions) &&
                                      !is_built(Feature::StackSwitching);

// A heap type: an abstract kind, or a type index. Which index space the index
// belongs to (a module's, or the TypeRegistry's canonical ids) is the holder's
// to say; Module holds module indices, everything at run time canonical ids.
class HeapType {
 public:
  constexpr HeapType() = default;
  constexpr HeapType(HeapKind kind) : bits_(uint32_t(kind)) {}
  // `exact` excludes the proper subtypes of the type.
  static constexpr HeapType concrete(uint32_t index, bool exact = false) {
    HeapType t(HeapKind::Concrete);
    t.bits_ |= uint32_t(exact) << 7 | index << 8;
    return t;
  }
  constexpr HeapKind kind() const { return HeapKind(bits_ & 0x7F); }
  constexpr bool is_exact() const { return (bits_ >> 7) & 1; }
  constexpr bool is_concrete() const { return kHasTypeRefs && kind() == HeapKind::Concrete; }
  constexpr uint32_t index() const { return bits_ >> 8; }
  // Kind and exactness without the index: 8 bits, for code that carries them.
  constexpr uint32_t form() const { return bits_ & 0xFF; }
  constexpr uint32_t bits() const { return bits_; }
  static constexpr HeapType from_bits(uint32_t bits) {
    HeapType t;
    t.bits_ = bits;
    return t;
  }
  constexpr bool operator==(const HeapType&) const = default;

 private:
  uint32_t bits_ = 0;
};

// A value type, or (in fields) a packed storage type.
class ValType {
 public:
  constexpr ValType() = default;
  constexpr ValType(TypeKind kind) : bits_(uint32_t(kind)) {}
  static constexpr ValType ref(HeapType heap, bool nullable) {
    ValType t(TypeKind::Ref);
    t.bits_ |= uint32_t(nullable) << 4 | uint32_t(heap.kind()) << 5 |
               uint32_t(heap.is_exact()) << 9 | heap.index() << 10;
    return t;
  }
  constexpr TypeKind kind() const { return TypeKind(bits_ & 0xF); }
  constexpr bool is_ref() const { return kind() == TypeKind::Ref; }
  constexpr bool is_bot() const { return kind() == TypeKind::Bot; }
  constexpr bool is_num() const { return kind() >= TypeKind::I32 && kind() <= TypeKind::F64; }
  constexpr bool is_packed() const { return kind() >= TypeKind::I8; }
  constexpr bool nullable() const { return !kHasTypeRefs || ((bits_ >> 4) & 1); }
  constexpr HeapType heap() const {
    const auto kind = HeapKind((bits_ >> 5) & 0xF);
    return kHasTypeRefs && kind == HeapKind::Concrete
               ? HeapType::concrete(bits_ >> 10, (bits_ >> 9) & 1)
               : HeapType(kind);
  }
  // Has a default value (2.3.6): numbers, vectors and nullable references.
  constexpr bool defaultable() const { return !is_ref() || nullable(); }
  // Packed types widen to i32 on the operand stack.
  constexpr ValType unpacked() const { return is_packed() ? ValType(TypeKind::I32) : *this; }
  constexpr uint32_t bits() const { return bits_; }
  static constexpr ValType from_bits(uint32_t bits) {
    ValType t;
    t.bits_ = bits;
    return t;
  }
  constexpr bool operator==(const ValType&) const = default;

 private:
  uint32_t bits_ = 0;
};

inline constexpr ValType kI32{TypeKind::I32}, kI64{TypeKind::I64}, kF32{TypeKind::F32},
    kF64{TypeKind::F64}, kV128{TypeKind::V128}, kBot{TypeKind::Bot};
inline constexpr ValType kFuncRef = ValType::ref(HeapKind::Func, true);
inline constexpr ValType kExternRef = ValType::ref(HeapKind::Extern, true);
inline constexpr ValType kAnyRef = ValType::ref(HeapKind::Any, true);
inline constexpr ValType kExnRef = ValType::ref(HeapKind::Exn, true);

// Highest type index the encodings above hold; decoding refuses more.
inline constexpr uint32_t kMaxTypeIndex = (1u << 22) - 1;

// 64-bit slots that a value of type `t` takes on a stack: 2 for v128, else 1.
constexpr uint32_t slot_count(ValType t) {
  return is_built(Feature::Simd) && t.kind() == TypeKind::V128 ? 2 : 1;
}

// Top heap type of the hierarchy of an abstract kind (3.3.4).
constexpr HeapKind top_of(HeapKind k) {
  switch (k) {
    case HeapKind::Func:
    case HeapKind::NoFunc:
      return HeapKind::Func;
    case HeapKind::Extern:
    case HeapKind::NoExtern:
      return HeapKind::Extern;
    case HeapKind::Exn:
    case HeapKind::NoExn:
      return HeapKind::Exn;
    case HeapKind::Cont:
    case HeapKind::NoCont:
      return HeapKind::Cont;
    default:
      return HeapKind::Any;
  }
}

struct FuncType {
  Vec<ValType> params;
  Vec<ValType> results;
  bool operator==(const FuncType&) const = default;
};

struct FieldType {
  ValType storage;
  bool is_mutable = false;
  bool operator==(const FieldType&) const = default;
};

using FieldTypes = VecOf<Feature::GC, FieldType>;

enum class CompKind : uint8_t { Func, Struct, Array, Cont };

// Top heap type of the hierarchy of defined types of that kind.
constexpr HeapKind top_of(CompKind k) {
  switch (k) {
    case CompKind::Func:
      return HeapKind::Func;
    case CompKind::Cont:
      return HeapKind::Cont;
    default:
      return HeapKind::Any;
  }
}

// A defined type: composite type plus its sub declaration (2.3.9, 2.3.10).
struct SubType {
  static constexpr uint32_t kNoSuper = ~0u, kNone = ~0u;
  CompKind kind = CompKind::Func;
  bool is_final = true;
  // Types of the same group that this one has for a descriptor, and is one for.
  uint32_t descriptor = kNone, describes = kNone;
  bool sub_written = false;  // spelt with `sub`, as a final type without supertype need not be
  uint32_t super = kNoSuper;
  FuncType func;                            // kind == Func
  [[no_unique_address]] FieldTypes fields;  // kind == Struct: all fields; Array: exactly one
  uint32_t cont = 0;                        // kind == Cont: index of the function type
};

struct Limits {
  uint64_t min = 0;
  uint64_t max = 0;  // meaningful if has_max
  bool has_max = false;
  bool is64 = false;  // address type i64
  bool shared = false;
  // As told; false where that is not built in.
  constexpr bool has_64() const { return is_built(Feature::Memory64) && is64; }
  constexpr bool is_shared() const { return is_built(Feature::Threads) && shared; }
  ValType address_type() const { return has_64() ? kI64 : kI32; }
  bool operator==(const Limits&) const = default;
};

struct MemoryType {
  Limits limits;                   // in pages
  uint8_t page_size_log2 = 16;     // 16, or 0 with custom page sizes
  bool page_size_written = false;  // spelt out, as 16 need not be
  bool operator==(const MemoryType& o) const {
    return limits == o.limits && page_size_log2 == o.page_size_log2;
  }
};

struct TableType {
  Limits limits;  // in elements
  ValType element;
  bool operator==(const TableType&) const = default;
};

struct GlobalType {
  ValType type;
  bool is_mutable = false;
  bool operator==(const GlobalType&) const = default;
};

enum class ExternKind : uint8_t { Func, Table, Memory, Global, Tag };

// "i32", "(ref null $t)" style text; concrete heap types print their index.
String to_string(ValType type);
String to_string(HeapType type);
std::string_view to_string(ExternKind kind);

}  // namespace wafer::wasm
