// Values as they lie in stacks, globals and tables.
#pragma once

#include <cstring>
#include <type_traits>

#include "base/leb128.h"
#include "wasm/instr.h"
#include "wasm/types.h"

namespace wafer::runtime {

// A stack slot. i32 is zero-extended, f32 holds its bits in the low half, a
// v128 takes two consecutive slots (low half first), a reference is a Ref.
using Slot = uint64_t;

// An index into a memory or a table, or how much of it: as wide as the widest address type that is
// built in.
using Index =
    std::conditional_t<WAFER_HAS_OS || wasm::is_built(wasm::Feature::Memory64), uint64_t, uint32_t>;

// A reference (4.2.2) in one word: 0 is null; low bit set is an i31 (payload in
// bits 1..31); else the address of a FuncInst (func hierarchy) or of a GcObject
// (any, extern and exn hierarchies). extern.convert_any keeps the bits.
using Ref = uint64_t;
inline constexpr Ref kNullRef = 0;

constexpr Ref make_i31(uint32_t v) { return (Ref(v & 0x7FFFFFFF) << 1) | 1; }
constexpr bool is_i31(Ref r) { return r & 1; }
constexpr uint32_t i31_get_u(Ref r) { return uint32_t(r >> 1) & 0x7FFFFFFF; }
constexpr int32_t i31_get_s(Ref r) { return int32_t(uint32_t(r >> 1) << 1) >> 1; }

inline Slot slot_of(float v) {
  uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}
inline Slot slot_of(double v) {
  uint64_t bits;
  std::memcpy(&bits, &v, 8);
  return bits;
}

// A typed value, for interfaces where speed is no concern.
struct Value {
  wasm::ValType type;  // concrete heap types hold canonical ids
  Slot bits[2] = {0, 0};

  static Value i32(int32_t v) { return {wasm::kI32, {uint32_t(v), 0}}; }
  static Value i64(int64_t v) { return {wasm::kI64, {uint64_t(v), 0}}; }
  static Value f32(float v) { return {wasm::kF32, {slot_of(v), 0}}; }
  static Value f64(double v) { return {wasm::kF64, {slot_of(v), 0}}; }
  static Value v128(const wasm::V128& v) {
    return {wasm::kV128, {load_le<uint64_t>(v.bytes), load_le<uint64_t>(v.bytes + 8)}};
  }
  static Value ref(Ref r, wasm::ValType type) { return {type, {r, 0}}; }
  int32_t as_i32() const { return int32_t(bits[0]); }
  int64_t as_i64() const { return int64_t(bits[0]); }
  float as_f32() const {
    float v;
    const uint32_t b = uint32_t(bits[0]);
    std::memcpy(&v, &b, 4);
    return v;
  }
  double as_f64() const {
    double v;
    std::memcpy(&v, &bits[0], 8);
    return v;
  }
  Ref as_ref() const { return bits[0]; }
};

}  // namespace wafer::runtime
