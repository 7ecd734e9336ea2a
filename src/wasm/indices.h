// The indices that an instruction has, for what renumbers or collects them.
#pragma once

#include "wasm/instr.h"

namespace wafer::wasm {

enum class IndexSpace : uint8_t { None, Type, Func, Table, Memory, Global, Tag, Elem, Data };

// Of what spaces Instr::index and Instr::index2 are.
struct ImmSpaces {
  Imm imm;
  IndexSpace first, second = IndexSpace::None;
};
inline constexpr ImmSpaces kImmSpaces[] = {
    {Imm::Func, IndexSpace::Func},
    {Imm::CallIndirect, IndexSpace::Type, IndexSpace::Table},
    {Imm::Type, IndexSpace::Type},
    {Imm::TypeField, IndexSpace::Type},
    {Imm::TypeCount, IndexSpace::Type},
    {Imm::TypeData, IndexSpace::Type, IndexSpace::Data},
    {Imm::TypeElem, IndexSpace::Type, IndexSpace::Elem},
    {Imm::TypeType, IndexSpace::Type, IndexSpace::Type},
    {Imm::TypeTag, IndexSpace::Type, IndexSpace::Tag},
    {Imm::Resume, IndexSpace::Type},
    {Imm::ResumeTag, IndexSpace::Type, IndexSpace::Tag},
    {Imm::Global, IndexSpace::Global},
    {Imm::Table, IndexSpace::Table},
    {Imm::TableTable, IndexSpace::Table, IndexSpace::Table},
    {Imm::Memory, IndexSpace::Memory},
    {Imm::MemArg, IndexSpace::Memory},
    {Imm::MemArgLane, IndexSpace::Memory},
    {Imm::MemoryMemory, IndexSpace::Memory, IndexSpace::Memory},
    {Imm::Data, IndexSpace::Data},
    {Imm::DataMemory, IndexSpace::Data, IndexSpace::Memory},
    {Imm::Elem, IndexSpace::Elem},
    {Imm::ElemTable, IndexSpace::Elem, IndexSpace::Table},
    {Imm::Tag, IndexSpace::Tag},
};
constexpr ImmSpaces imm_spaces(Imm imm) {
  for (const ImmSpaces& s : kImmSpaces)
    if (s.imm == imm) return s;
  return {imm, IndexSpace::None};
}

// Calls `f(IndexSpace, uint32_t& index)` for the type index in a type, if there is one.
template <class F>
void visit_indices(HeapType& t, F&& f) {
  if (!t.is_concrete()) return;
  uint32_t index = t.index();
  f(IndexSpace::Type, index);
  t = HeapType::concrete(index, t.is_exact());
}
template <class F>
void visit_indices(ValType& t, F&& f) {
  if (!t.is_ref()) return;
  HeapType heap = t.heap();
  visit_indices(heap, f);
  t = ValType::ref(heap, t.nullable());
}

// The same for all indices of `i` but those of locals, labels, fields and lanes; what `f` makes of
// them stays in `i`.
template <class F>
void visit_indices(Instr& i, F&& f) {
  const Imm imm = opcode_info(i.op).imm;
  const ImmSpaces spaces = imm_spaces(imm);
  if (spaces.first != IndexSpace::None) f(spaces.first, i.index);
  if (spaces.second != IndexSpace::None) f(spaces.second, i.index2);
  switch (imm) {
    case Imm::TryTable:
      for (CatchClause& c : i.catches)
        if (c.kind == CatchClause::Kind::Catch || c.kind == CatchClause::Kind::CatchRef)
          f(IndexSpace::Tag, c.tag);
      [[fallthrough]];
    case Imm::Block:
      if (i.block.kind == BlockType::Kind::Type) f(IndexSpace::Type, i.block.type_index);
      if (i.block.kind == BlockType::Kind::Value) visit_indices(i.block.value, f);
      break;
    case Imm::TypeTag:
    case Imm::Resume:
    case Imm::ResumeTag:
      for (ResumeClause& c : i.clauses) f(IndexSpace::Tag, c.tag);
      break;
    case Imm::BrOnCast:
      visit_indices(i.heap2, f);
      [[fallthrough]];
    case Imm::HeapType:
      visit_indices(i.heap, f);
      break;
    case Imm::SelectT:
      for (ValType& t : i.types) visit_indices(t, f);
      break;
    default:
      break;
  }
}

}  // namespace wafer::wasm
