#include "groups.h"

namespace wafer::diff {

namespace {

using wasm::Imm;
using wasm::Opcode;
using wasm::TypeKind;

constexpr GroupSet kEverything((1u << unsigned(Group::Operators)) - 1);

constexpr Profile kProfiles[] = {
    {"integer", {}},
    {"float", {Group::Float}},
    {"control", {Group::MultiValue, Group::Float}},
    {"calls",
     {Group::MultiValue, Group::Float, Group::HostCalls, Group::Tables, Group::TailCalls,
      Group::FuncRefs}},
    {"memory",
     {Group::Float, Group::BulkMemory, Group::MultiMemory, Group::Memory64, Group::CustomPageSizes,
      Group::Imports, Group::ExtendedConst, Group::Tables}},
    {"traps",
     {Group::Edges, Group::Float, Group::Simd, Group::Tables, Group::MultiMemory, Group::Memory64}},
    {"simd", {Group::Simd, Group::Float, Group::MultiValue, Group::HostCalls}},
    {"atomics", {Group::Atomics, Group::Memory64, Group::MultiMemory, Group::WideArithmetic}},
    {"exceptions",
     {Group::Exceptions, Group::MultiValue, Group::Float, Group::TailCalls, Group::HostCalls,
      Group::Tables}},
    {"legacy",
     {Group::LegacyExceptions, Group::Exceptions, Group::MultiValue, Group::Float, Group::TailCalls,
      Group::HostCalls, Group::Tables}},
    {"continuations",
     {Group::Continuations, Group::Exceptions, Group::MultiValue, Group::Float, Group::Simd,
      Group::Tables, Group::HostCalls, Group::Gc, Group::TailCalls}},
    {"descriptors",
     {Group::Descriptors, Group::Gc, Group::Tables, Group::MultiValue, Group::ExtendedConst}},
    {"gc",
     {Group::Gc, Group::FuncRefs, Group::Float, Group::Tables, Group::MultiValue, Group::Exceptions,
      Group::HostCalls, Group::BulkMemory, Group::TailCalls, Group::ExtendedConst}},
    {"all", kEverything},
    {"relaxed", {Group::RelaxedSimd, Group::Simd, Group::Float}},
    {"operators",
     {Group::Operators, Group::Float, Group::Simd, Group::RelaxedSimd, Group::Atomics,
      Group::WideArithmetic}},
};

bool in(std::string_view word, std::initializer_list<std::string_view> list) {
  for (const std::string_view w : list)
    if (w == word) return true;
  return false;
}

Lanes lanes_named(std::string_view text) {
  if (text.find("f32") != text.npos) return Lanes::F32;
  return text.find("f64") != text.npos ? Lanes::F64 : Lanes::None;
}

bool uses(const wasm::OpSig& sig, TypeKind a, TypeKind b) {
  for (unsigned i = 0; i < sig.param_count; ++i)
    if (sig.params[i] == a || sig.params[i] == b) return true;
  for (unsigned i = 0; i < sig.result_count; ++i)
    if (sig.results[i] == a || sig.results[i] == b) return true;
  return false;
}

bool enabled(GroupSet groups, const wasm::OpFacts& f) {
  switch (f.feature) {
    case wasm::Feature::Core:
      return groups.has(Group::Float) || !uses(f.sig(), TypeKind::F32, TypeKind::F64);
    case wasm::Feature::Simd:
      return groups.has(Group::Simd) &&
             (groups.has(Group::Float) || !uses(f.sig(), TypeKind::F32, TypeKind::F64));
    case wasm::Feature::RelaxedSimd:
      return groups.has(Group::RelaxedSimd);
    case wasm::Feature::Threads:
      return groups.has(Group::Atomics);
    case wasm::Feature::WideArithmetic:
      return groups.has(Group::WideArithmetic);
    default:
      return false;
  }
}

}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

NanRole nan_role(Opcode op) {
  const std::string_view text = wasm::opcode_info(op).text;
  const size_t dot = text.find('.');
  if (dot == text.npos) return {};
  const Lanes shape = lanes_named(text.substr(0, dot));
  std::string_view name = text.substr(dot + 1);
  if (name.starts_with("relaxed_")) name.remove_prefix(8);
  if (name.starts_with("demote")) return {Lanes::F32, Lanes::F64};
  if (name.starts_with("promote")) return {Lanes::F64, Lanes::F32};
  if (shape == Lanes::None)
    return {Lanes::None, name.starts_with("trunc") ? lanes_named(name) : Lanes::None};
  if (in(name, {"add", "sub", "mul", "div", "sqrt", "min", "max", "ceil", "floor", "trunc",
                "nearest", "madd", "nmadd"}))
    return {shape, shape};
  if (in(name, {"eq", "ne", "lt", "gt", "le", "ge"})) return {Lanes::None, shape};
  if (in(name, {"pmin", "pmax"})) return {Lanes::None, Lanes::None, true, shape};
  return {Lanes::None, Lanes::None,
          in(name, {"abs", "neg", "splat", "extract_lane", "replace_lane"})};
}

OpLists::OpLists(GroupSet groups) {
  for (size_t i = 0; i < size_t(Opcode::Count); ++i) {
    const auto op = Opcode(i);
    const wasm::OpFacts& f = facts(op);
    if (f.sig().custom || !enabled(groups, f)) continue;
    if (f.imm >= Imm::I32 && f.imm <= Imm::V128) continue;
    auto& list = f.sig().result_count == 0   ? effects
                 : f.sig().result_count == 2 ? pairs
                                             : by_result_[unsigned(f.sig().results[0])];
    // Where they are on they are the subject, and few among many.
    list.insert(list.end(), f.feature == wasm::Feature::RelaxedSimd ? 4 : 1, op);
  }
}

}  // namespace wafer::diff
