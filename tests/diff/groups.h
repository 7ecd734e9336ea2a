// Which instructions the generator may use, and what they do to the bits of NaNs.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/span.h"
#include "wasm/op_tables.h"

namespace wafer::diff {

// Groups of features that can be switched; integer arithmetic, structured control,
// locals, globals, direct calls and loads and stores are always on.
enum class Group : uint8_t {
  Float,
  Simd,
  RelaxedSimd,  // the tiers make the same choices
  Atomics,
  WideArithmetic,
  MultiValue,
  HostCalls,
  Tables,  // with call_indirect
  TailCalls,
  FuncRefs,
  BulkMemory,
  MultiMemory,
  Memory64,
  CustomPageSizes,
  Exceptions,
  Gc,
  Imports,  // globals, memories and tables
  ExtendedConst,
  Edges,  // accesses at the end of memory, of whose results little is used
  Continuations,
  Descriptors,       // beside Gc
  LegacyExceptions,  // beside Exceptions
  Operators,         // not a feature: mostly instructions on constants
  Count,
};

class GroupSet {
 public:
  constexpr GroupSet() = default;
  constexpr GroupSet(std::initializer_list<Group> groups) {
    for (const Group g : groups) bits_ |= bit(g);
  }
  constexpr explicit GroupSet(uint32_t bits) : bits_(bits & ((1u << unsigned(Group::Count)) - 1)) {}
  constexpr bool has(Group g) const { return bits_ & bit(g); }
  constexpr GroupSet without(Group g) const { return GroupSet(bits_ & ~bit(g)); }
  constexpr uint32_t bits() const { return bits_; }

 private:
  static constexpr uint32_t bit(Group g) { return 1u << unsigned(g); }
  uint32_t bits_ = 0;
};

// A named set of groups, so that each is tested without the noise of the others.
struct Profile {
  std::string_view name;
  GroupSet groups;
};
std::span<const Profile> profiles();

// Float lanes in which the specification leaves the bits of a NaN open.
enum class Lanes : uint8_t { None, F32, F64 };

// How an instruction treats the bits of NaNs.
struct NanRole {
  Lanes produces = Lanes::None;  // lanes of the result where a new NaN may have any payload
  Lanes ignores = Lanes::None;   // lanes of operands whose payload does not matter
  bool keeps = false;            // the payload of operands goes into the result
  Lanes compares = Lanes::None;  // it keeps what comparisons of such lanes tell
};
NanRole nan_role(wasm::Opcode op);

// The instructions typed by their signature alone, without constants.
struct OpLists {
  explicit OpLists(GroupSet groups);
  const Vec<wasm::Opcode>& giving(wasm::TypeKind kind) const { return by_result_[unsigned(kind)]; }
  Vec<wasm::Opcode> effects;  // no result: stores, fences, nop
  Vec<wasm::Opcode> pairs;    // two results

 private:
  Vec<wasm::Opcode> by_result_[unsigned(wasm::TypeKind::V128) + 1];
};

inline const wasm::OpFacts& facts(wasm::Opcode op) { return wasm::kOpFacts[size_t(op)]; }

}  // namespace wafer::diff
