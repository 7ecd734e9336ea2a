// Writes core modules (spec 5.5): the small ones that join the parts of a component, and adapters
// that were cut down.
#pragma once

#include "component/writer.h"

namespace wafer::compose {

class CoreModuleWriter {
 public:
  // Definitions of types that are encoded already, from index 0 on.
  void raw_types(Bytes bytes, uint32_t groups, uint32_t types);
  uint32_t type(const wasm::FuncType& type);

  // Imports come before definitions of their kind; type indices are of this module.
  uint32_t import(std::string_view module, std::string_view name,
                  const component::CoreExternType& type);
  uint32_t import_func(std::string_view module, std::string_view name, uint32_t type);
  // `body` is locals and instructions with the final `end`; it may be given later.
  uint32_t func(uint32_t type, Vec<uint8_t> body = {});
  void set_body(uint32_t func, Vec<uint8_t> body);
  uint32_t table(const wasm::TableType& type);
  uint32_t memory(const wasm::MemoryType& type);
  // `init` is a constant expression with its `end`.
  uint32_t global(const wasm::GlobalType& type, Bytes init);
  void export_(std::string_view name, wasm::ExternKind kind, uint32_t index);
  void start(uint32_t func) { start_ = func; }
  // Functions from index 0 on of table 0.
  void elements(const std::vector<uint32_t>& funcs);

  uint32_t count(wasm::ExternKind kind) const { return counts_[static_cast<size_t>(kind)]; }
  wasm::NameSection names;

  Vec<uint8_t> finish();

 private:
  struct Section {
    Vec<uint8_t> bytes;
    uint32_t count = 0;
  };
  Section types_, imports_, funcs_, tables_, memories_, globals_, exports_, elems_;
  uint32_t type_count_ = 0;
  std::vector<std::pair<wasm::FuncType, uint32_t>> interned_;
  std::vector<Vec<uint8_t>> bodies_;
  std::array<uint32_t, 5> counts_{};
  uint32_t imported_funcs_ = 0;
  std::optional<uint32_t> start_;
};

// Instructions of a function body without locals beyond its parameters, unless told.
class Body {
 public:
  explicit Body(uint32_t i32_locals = 0);
  Body& op(wasm::Opcode op);
  Body& op(wasm::Opcode op, uint32_t index);
  Body& i32(int32_t value);
  Body& if_();
  Body& call_indirect(uint32_t type);
  // Ends the body.
  Vec<uint8_t> end();

 private:
  Vec<uint8_t> out_;
};

}  // namespace wafer::compose
