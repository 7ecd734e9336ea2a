// A module that can be edited: what the generator builds and the reducer shrinks.
#pragma once

#include <optional>

#include "wasm/instr.h"
#include "wasm/module.h"

namespace wafer::diff {

// Instructions of a constant expression or body, without the final `end`.
using Code = Vec<wasm::Instr>;

struct FuncImage {
  uint32_t type = 0;
  Vec<wasm::ValType> locals;  // without parameters
  Code code;
};

struct TableImage {
  wasm::TableType type;
  std::optional<Code> init;
};

struct GlobalImage {
  wasm::GlobalType type;
  Code init;
};

struct ElemImage {
  wasm::SegmentMode mode = wasm::SegmentMode::Active;
  uint32_t table = 0;
  Code offset;
  wasm::ValType type = wasm::kFuncRef;
  bool uses_exprs = false;
  Vec<uint32_t> funcs;  // unless uses_exprs
  Vec<Code> exprs;      // if uses_exprs
};

struct DataImage {
  wasm::SegmentMode mode = wasm::SegmentMode::Active;
  uint32_t memory = 0;
  Code offset;
  Vec<uint8_t> bytes;
};

// Index spaces count imports first, as in a binary; the lists here hold what the
// module itself defines.
struct ModuleImage {
  Vec<wasm::SubType> types;
  Vec<wasm::RecGroup> rec_groups;
  Vec<wasm::Import> imports;
  Vec<FuncImage> functions;
  Vec<TableImage> tables;
  Vec<wasm::MemoryType> memories;
  Vec<GlobalImage> globals;
  Vec<uint32_t> tags;  // type indices
  Vec<wasm::Export> exports;
  std::optional<uint32_t> start;
  Vec<ElemImage> elems;
  Vec<DataImage> datas;

  // Number of imports of a kind: the index of the first own definition.
  uint32_t imported(wasm::ExternKind kind) const;
  // Type index of a function of the function index space.
  uint32_t type_of_function(uint32_t func) const;
  // What an export is, as an import of it would say.
  wasm::ExternType type_of(const wasm::Export& e) const;
};

// The binary form (spec chapter 5). Nothing is checked.
Vec<uint8_t> encode(const ModuleImage& image);

// The image of a decoded module. Custom sections are left out.
Result<ModuleImage> image_of(const wasm::Module& module);

}  // namespace wafer::diff
