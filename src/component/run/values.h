// Values between components and linear memory (CanonicalABI.md, "Loading", "Storing", "Flat
// Lifting", "Flat Lowering", "Lifting and Lowering Values").
#pragma once

#include "component/run/state.h"
#include "component/shape.h"

namespace wafer::component {

class Lenders;

inline constexpr uint64_t kMaxByteLength = (uint64_t{1} << 28) - 1;  // of a string or list

// NaNs become the canonical one.
inline uint32_t canonical_f32(uint32_t bits) {
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : bits;
}
inline uint64_t canonical_f64(uint64_t bits) {
  return (bits & 0x7fffffffffffffff) > 0x7ff0000000000000 ? 0x7ff8000000000000 : bits;
}
inline bool is_char(uint64_t c) { return c < 0x110000 && (c < 0xd800 || c > 0xdfff); }

constexpr ScalarKind scalar_kind_of(Prim prim) {
  switch (prim) {
#define SCALAR(name) \
  case Prim::name:   \
    return ScalarKind::name
    SCALAR(Bool);
    SCALAR(U8);
    SCALAR(U16);
    SCALAR(U32);
    SCALAR(U64);
    SCALAR(S8);
    SCALAR(S16);
    SCALAR(S32);
    SCALAR(S64);
    SCALAR(F32);
    SCALAR(F64);
    SCALAR(Char);
#undef SCALAR
    default:
      return ScalarKind::Other;
  }
}

// Makes what a value has of a core value, or of the bytes that hold it: integers are extended to 64
// bits. False: it is no char. Others than numbers stay as they are.
inline bool lift_scalar(ScalarKind kind, uint64_t& bits) {
  using enum ScalarKind;
  switch (kind) {
    case Bool:
      bits = uint32_t(bits) != 0;
      break;
    case U8:
      bits = uint8_t(bits);
      break;
    case S8:
      bits = uint64_t(int64_t(int8_t(bits)));
      break;
    case U16:
      bits = uint16_t(bits);
      break;
    case S16:
      bits = uint64_t(int64_t(int16_t(bits)));
      break;
    case U32:
      bits = uint32_t(bits);
      break;
    case S32:
      bits = uint64_t(int64_t(int32_t(bits)));
      break;
    case F32:
      bits = canonical_f32(uint32_t(bits));
      break;
    case F64:
      bits = canonical_f64(bits);
      break;
    case Char:
      bits = uint32_t(bits);
      return is_char(bits);
    default:
      break;
  }
  return true;
}

// The other way: numbers as their core types have them.
inline bool lower_scalar(ScalarKind kind, uint64_t& bits) {
  using enum ScalarKind;
  if (kind == Bool) bits = bits != 0;
  if (kind == Char) return is_char(bits);
  lift_scalar(kind, bits);
  if (kind == S8 || kind == S16 || kind == S32) bits = uint32_t(bits);
  return true;
}

// What lifting and lowering need of the options of a canonical definition.
struct MemoryOptions {
  StringEncoding encoding = StringEncoding::Utf8;
  runtime::Memory* memory = nullptr;
  runtime::FuncInst* realloc = nullptr;
  bool is64 = false;

  uint32_t pointer_size() const { return is64 ? 8 : 4; }
};

// "Lifting and Lowering Context".
struct Context {
  const MemoryOptions& options;
  ComponentInstance& instance;
  Lenders* lenders = nullptr;  // of a call that lifts borrows
  Task* borrower = nullptr;    // that borrows are lowered for
  uint32_t* given = nullptr;   // counts what has been lowered of resources that are given away

  const TypeArena& types() const { return *instance.component->types; }
  ComponentStore& store() const { return instance.store; }
  TrapCode trap(std::string_view message) const { return store().trap(message); }
};

// Core values one after the other.
struct FlatReader {
  const Slot* at;
  const Slot* end;
  Slot next() { return *at++; }
};

// Types of parameters or of a result.
using Types = std::span<const ValType>;

// Lifts values of `types` that are flat in `in`, or behind a pointer there if they are more than
// `most` core values.
TrapCode lift_values(const Context& cx, uint32_t most, FlatReader& in, Types types,
                     std::vector<Val>& out);
// The same of values that are known to be flat, or not.
TrapCode lift_tuple(const Context& cx, bool flat, FlatReader& in, Types types,
                    std::vector<Val>& out);
// Lowers them the other way; `out_pointer`: where results go that do not fit. What they own is
// given away in any case: where lowering fails, what has not got into the component's table is
// dropped.
TrapCode lower_values(const Context& cx, uint32_t most, std::span<Val> values, Types types,
                      std::vector<Slot>& out, FlatReader* out_pointer = nullptr);

TrapCode lower_tuple(const Context& cx, bool flat, std::span<Val> values, Types types,
                     std::vector<Slot>& out, FlatReader* out_pointer = nullptr);

// Lists in memory that is known to be there, for buffers of streams. Values are given away as by
// lower_values().
TrapCode load_list(const Context& cx, uint64_t at, uint64_t count, ValType type,
                   std::vector<Val>& out);
TrapCode store_list(const Context& cx, std::span<Val> values, ValType type, uint64_t at);

// Space in memory ("realloc").
TrapCode reallocate(const Context& cx, uint64_t old, uint64_t old_size, uint32_t align,
                    uint64_t size, uint64_t& at);

// What handles stand for; `def`: own, borrow, stream or future.
TrapCode lift_handle(const Context& cx, const TypeDef& def, uint32_t index, Val& out);
TrapCode lower_handle(const Context& cx, const TypeDef& def, const Val& v, Slot& out);
// The same of an error-context.
TrapCode lift_failure(const Context& cx, uint32_t index, Val& out);
TrapCode lower_failure(const Context& cx, const Val& v, Slot& out);

TrapCode load_string(const Context& cx, uint64_t at, uint64_t length, Text& out);
// Gives where it was put, and its length in code units, tagged.
TrapCode store_string(const Context& cx, std::string_view utf8, Text::Source source, uint64_t& at,
                      uint64_t& length);

// Types of parameters, taken from a function type.
std::vector<ValType> param_types(const TypeDef& func);

// The number of core values that `types` flatten to.
size_t flat_count(const TypeArena& types, Types t);

}  // namespace wafer::component
