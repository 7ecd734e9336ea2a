#include "wasm/module.h"

#include <algorithm>

namespace wafer::wasm {

std::string_view NameMap::find(uint32_t index) const {
  auto it = std::lower_bound(entries.begin(), entries.end(), index,
                             [](const auto& e, uint32_t i) { return e.first < i; });
  if (it == entries.end() || it->first != index) return {};
  return it->second;
}

const NameMap* IndirectNameMap::find(uint32_t index) const {
  auto it = std::lower_bound(entries.begin(), entries.end(), index,
                             [](const auto& e, uint32_t i) { return e.first < i; });
  if (it == entries.end() || it->first != index) return nullptr;
  return &it->second;
}

HeapType Module::canonical(HeapType t) const {
  return t.is_concrete() ? HeapType::concrete(canon[t.index()], t.is_exact()) : t;
}

bool Module::is_subtype(ValType sub, ValType super) const {
  return sub == super || registry->is_subtype(canonical(sub), canonical(super));
}

bool Module::is_subtype(HeapType sub, HeapType super) const {
  return sub == super || registry->is_subtype(canonical(sub), canonical(super));
}

const Vec<BranchHint>* Module::hints_of(uint32_t func) const {
  auto it = std::lower_bound(branch_hints.begin(), branch_hints.end(), func,
                             [](const FunctionHints& f, uint32_t i) { return f.func < i; });
  if (it == branch_hints.end() || it->func != func) return nullptr;
  return &it->hints;
}

std::string_view Module::function_name(uint32_t func) const {
  if (auto name = names.functions.find(func); !name.empty()) return name;
  for (const Export& e : exports)
    if (e.kind == ExternKind::Func && e.index == func) return e.name;
  return {};
}

}  // namespace wafer::wasm
