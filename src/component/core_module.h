// Writes core modules (spec 5.5): the small ones that join the parts of a component or that calls
// between components go through, adapters that were cut down, and linked libraries.
#pragma once

#include "component/writer.h"

namespace wafer::component {

class CoreModuleWriter {
 public:
  // Definitions of types that are encoded already, from index 0 on.
  void raw_types(Bytes bytes, uint32_t groups, uint32_t types);
  uint32_t type(const wasm::FuncType& type);

  // Imports come before definitions of their kind; type indices are of this module.
  uint32_t import(std::string_view module, std::string_view name, const CoreExternType& type);
  uint32_t import_func(std::string_view module, std::string_view name, uint32_t type);
  // `body` is locals and instructions with the final `end`; it may be given later.
  uint32_t func(uint32_t type, Vec<uint8_t> body = {});
  void set_body(uint32_t func, Vec<uint8_t> body);
  uint32_t table(const wasm::TableType& type);
  uint32_t memory(const wasm::MemoryType& type);
  // `init` is a constant expression with its `end`.
  uint32_t global(const wasm::GlobalType& type, Bytes init);
  uint32_t tag(uint32_t type);
  void export_(std::string_view name, wasm::ExternKind kind, uint32_t index);
  void start(uint32_t func) { start_ = func; }
  // Functions from index `at` on of table 0.
  void elements(const std::vector<uint32_t>& funcs, uint32_t at = 0);
  // Segments that are encoded already.
  void raw_elem(Bytes segment);
  void raw_data(Bytes segment);

  uint32_t count(wasm::ExternKind kind) const { return counts_[static_cast<size_t>(kind)]; }
  wasm::NameSection names;

  Vec<uint8_t> finish();

 private:
  struct Section {
    Vec<uint8_t> bytes;
    uint32_t count = 0;
  };
  Section types_, imports_, funcs_, tables_, memories_, tags_, globals_, exports_, elems_, datas_;
  uint32_t type_count_ = 0;
  std::vector<std::pair<wasm::FuncType, uint32_t>> interned_;
  std::vector<Vec<uint8_t>> bodies_;
  std::array<uint32_t, 5> counts_{};
  uint32_t imported_funcs_ = 0;
  std::optional<uint32_t> start_;
};

// A function body: locals, and instructions by the table of opcodes.
class Body {
 public:
  // The first locals are the parameters.
  explicit Body(uint32_t params = 0) : params_(params) {}
  // Adds a local; gives its index.
  uint32_t local(wasm::ValType type);

  Body& op(wasm::Opcode op, uint32_t index = 0, uint32_t index2 = 0);
  Body& i32(int32_t value);
  Body& i64(int64_t value);
  // A load or store, without alignment to rely on.
  Body& access(wasm::Opcode op, uint32_t memory, uint32_t offset);
  Body& call_indirect(uint32_t type) { return op(wasm::Opcode::CallIndirect, type); }
  Body& get(uint32_t local) { return op(wasm::Opcode::LocalGet, local); }
  Body& set(uint32_t local) { return op(wasm::Opcode::LocalSet, local); }
  Body& tee(uint32_t local) { return op(wasm::Opcode::LocalTee, local); }
  Body& call(uint32_t func) { return op(wasm::Opcode::Call, func); }
  Body& block() { return op(wasm::Opcode::Block); }
  Body& loop() { return op(wasm::Opcode::Loop); }
  Body& if_() { return op(wasm::Opcode::If); }
  Body& end_block() { return op(wasm::Opcode::End); }
  // Ends the body, and gives its bytes.
  Vec<uint8_t> end();

 private:
  uint32_t params_;
  std::vector<wasm::ValType> locals_;
  Vec<uint8_t> code_;
};

}  // namespace wafer::component
