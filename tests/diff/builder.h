// What the generators of modules and of bodies share.
#pragma once

#include "generator.h"

namespace wafer::diff {

class Builder {
 public:
  Builder(Chooser& chooser, const GenOptions& options) : c(chooser), options(options) {}

  bool has(Group g) const { return options.groups.has(g); }
  // Index of a function type, made when it is new.
  uint32_t func_type(const wasm::FuncType& type);
  const wasm::FuncType& signature(uint32_t func) const {
    return image.types[image.type_of_function(func)].func;
  }
  uint32_t function_count() const {
    return uint32_t(image.imported(wasm::ExternKind::Func) + image.functions.size());
  }
  // Subtyping (spec 3.3) between types of this module.
  bool is_sub(wasm::HeapType sub, wasm::HeapType super) const;
  bool is_sub(wasm::ValType sub, wasm::ValType super) const;
  // A type that locals, parameters and the like may have.
  wasm::ValType any_type() { return c.pick(pool); }
  Vec<wasm::ValType> any_types(uint32_t max);
  // An integer or float that is likely to matter.
  int32_t interesting_i32();
  int64_t interesting_i64();
  uint32_t interesting_f32();
  uint64_t interesting_f64();
  uint64_t interesting_lanes();  // half of a v128
  wasm::Instr constant(wasm::TypeKind kind);
  static wasm::Instr instr(wasm::Opcode op, uint32_t index = 0, uint32_t index2 = 0) {
    wasm::Instr in;
    in.op = op;
    in.index = index;
    in.index2 = index2;
    return in;
  }

  Chooser& c;
  const GenOptions& options;
  ModuleImage image;
  Vec<wasm::ValType> pool;  // a type counts as often as it is in it
  // All of each index space, imports included.
  Vec<wasm::MemoryType> memories;
  Vec<wasm::TableType> tables;
  Vec<wasm::GlobalType> globals;
  Vec<uint32_t> tags;
  uint32_t fuel = 0, depth = 0;   // global indices
  Vec<uint32_t> table0;           // functions that table 0 starts with; ~0 for null
  Vec<uint32_t> structs, arrays;  // type indices
  // --- Continuations: type indices of those of functions ---
  uint32_t cont_type(uint32_t func);  // made when it is new
  const wasm::FuncType& function_of(uint32_t cont) const {
    return image.types[image.types[cont].cont].func;
  }
  // Functions to be run as such: types of one that has not begun, and of one that has been
  // suspended with the tag `yield`. What `handled` holds tells if one runs: kYields, kSwitches.
  struct Resumable {
    uint32_t func, fresh, suspended;
  };
  Vec<Resumable> resumables;
  uint32_t yield = 0, handled = 0;
  static constexpr int32_t kYields = 1, kSwitches = 2;
  // Those that switch among themselves take the one that was left: of this type and function
  // type; kNone: there are none.
  uint32_t symmetric = wasm::SubType::kNone, symmetric_func = 0;
  uint32_t switch_tag = 0;
  // Of all tags, from the first on: those that exceptions may have.
  uint32_t exception_tags = 0;

  // --- Custom descriptors ---
  // A constant global with a descriptor of exactly `type`, or null.
  const wasm::GlobalType* descriptor_global(uint32_t type) {
    const auto exact = wasm::ValType::ref(wasm::HeapType::concrete(type, true), false);
    const wasm::GlobalType* found = nullptr;
    uint32_t seen = 0;
    for (const wasm::GlobalType& g : globals)
      if (g.type == exact && c.one_in(++seen)) found = &g;
    return found;
  }
};

// Writes the body of own function `index` (in the function index space).
void generate_body(Builder& builder, uint32_t index, const OpLists& ops);

}  // namespace wafer::diff
