#include "component/core_module.h"

#include "base/leb128.h"
#include "wasm/instr.h"
#include "wasm/names.h"

namespace wafer::component {

void CoreModuleWriter::raw_types(Bytes bytes, uint32_t groups, uint32_t types) {
  write_bytes(types_.bytes, bytes);
  types_.count += groups;
  type_count_ += types;
}

uint32_t CoreModuleWriter::type(const wasm::FuncType& type) {
  for (const auto& [known, index] : interned_)
    if (known.params == type.params && known.results == type.results) return index;
  write_core_func_type(types_.bytes, type);
  ++types_.count;
  interned_.emplace_back(type, type_count_);
  return type_count_++;
}

uint32_t CoreModuleWriter::import(std::string_view module, std::string_view name,
                                  const CoreExternType& type) {
  write_name(imports_.bytes, module);
  write_name(imports_.bytes, name);
  write_core_extern_type(imports_.bytes, type);
  ++imports_.count;
  if (type.kind == wasm::ExternKind::Func) ++imported_funcs_;
  return counts_[static_cast<size_t>(type.kind)]++;
}

uint32_t CoreModuleWriter::import_func(std::string_view module, std::string_view name,
                                       uint32_t type) {
  CoreExternType t;
  t.type = type;
  return import(module, name, t);
}

uint32_t CoreModuleWriter::func(uint32_t type, Vec<uint8_t> body) {
  write_uleb(funcs_.bytes, type);
  ++funcs_.count;
  bodies_.push_back(std::move(body));
  return counts_[static_cast<size_t>(wasm::ExternKind::Func)]++;
}

void CoreModuleWriter::set_body(uint32_t func, Vec<uint8_t> body) {
  bodies_[func - imported_funcs_] = std::move(body);
}

uint32_t CoreModuleWriter::table(const wasm::TableType& type) {
  write_table_type(tables_.bytes, type);
  ++tables_.count;
  return counts_[static_cast<size_t>(wasm::ExternKind::Table)]++;
}

uint32_t CoreModuleWriter::memory(const wasm::MemoryType& type) {
  write_memory_type(memories_.bytes, type);
  ++memories_.count;
  return counts_[static_cast<size_t>(wasm::ExternKind::Memory)]++;
}

uint32_t CoreModuleWriter::global(const wasm::GlobalType& type, Bytes init) {
  write_global_type(globals_.bytes, type);
  write_bytes(globals_.bytes, init);
  ++globals_.count;
  return counts_[static_cast<size_t>(wasm::ExternKind::Global)]++;
}

uint32_t CoreModuleWriter::tag(uint32_t type) {
  tags_.bytes.push_back(0);
  write_uleb(tags_.bytes, type);
  ++tags_.count;
  return counts_[static_cast<size_t>(wasm::ExternKind::Tag)]++;
}

void CoreModuleWriter::export_(std::string_view name, wasm::ExternKind kind, uint32_t index) {
  write_name(exports_.bytes, name);
  exports_.bytes.push_back(static_cast<uint8_t>(kind));
  write_uleb(exports_.bytes, index);
  ++exports_.count;
}

void CoreModuleWriter::elements(const std::vector<uint32_t>& funcs, uint32_t at) {
  Vec<uint8_t>& out = elems_.bytes;
  out.push_back(0);  // active, table 0, function indices
  wasm::Instr first;
  first.op = wasm::Opcode::I32Const;
  first.i32 = int32_t(at);
  wasm::write_instr(out, first);
  wasm::Instr end;
  end.op = wasm::Opcode::End;
  wasm::write_instr(out, end);
  write_uleb(out, funcs.size());
  for (uint32_t f : funcs) write_uleb(out, f);
  ++elems_.count;
}

void CoreModuleWriter::raw_elem(Bytes segment) {
  write_bytes(elems_.bytes, segment);
  ++elems_.count;
}

void CoreModuleWriter::raw_data(Bytes segment) {
  write_bytes(datas_.bytes, segment);
  ++datas_.count;
}

Vec<uint8_t> CoreModuleWriter::finish() {
  Vec<uint8_t> out;
  for (const uint8_t b : {0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00}) out.push_back(b);
  const auto section = [&](uint8_t id, const Section& s) {
    if (s.count == 0) return;
    Vec<uint8_t> body;
    write_uleb(body, s.count);
    write_bytes(body, {s.bytes.data(), s.bytes.size()});
    out.push_back(id);
    write_uleb(out, body.size());
    write_bytes(out, {body.data(), body.size()});
  };
  // Of one number.
  const auto number = [&](uint8_t id, uint32_t value) {
    Vec<uint8_t> body;
    write_uleb(body, value);
    out.push_back(id);
    write_uleb(out, body.size());
    write_bytes(out, {body.data(), body.size()});
  };
  Section code;
  for (const Vec<uint8_t>& body : bodies_) {
    write_uleb(code.bytes, body.size());
    write_bytes(code.bytes, {body.data(), body.size()});
    ++code.count;
  }
  section(1, types_);
  section(2, imports_);
  section(3, funcs_);
  section(4, tables_);
  section(5, memories_);
  section(13, tags_);
  section(6, globals_);
  section(7, exports_);
  if (start_) number(8, *start_);
  section(9, elems_);
  if (datas_.count > 0) number(12, datas_.count);
  section(10, code);
  section(11, datas_);
  const Vec<uint8_t> name_section = wasm::encode_names(names);
  if (!name_section.empty())
    write_custom_section(out, "name", {name_section.data(), name_section.size()});
  return out;
}

uint32_t Body::local(wasm::ValType type) {
  locals_.push_back(type);
  return params_ + static_cast<uint32_t>(locals_.size()) - 1;
}

Body& Body::op(wasm::Opcode op, uint32_t index, uint32_t index2) {
  wasm::Instr i;
  i.op = op;
  i.index = index;
  i.index2 = index2;
  wasm::write_instr(code_, i);
  return *this;
}

Body& Body::i32(int32_t value) {
  wasm::Instr i;
  i.op = wasm::Opcode::I32Const;
  i.i32 = value;
  wasm::write_instr(code_, i);
  return *this;
}

Body& Body::i64(int64_t value) {
  wasm::Instr i;
  i.op = wasm::Opcode::I64Const;
  i.i64 = value;
  wasm::write_instr(code_, i);
  return *this;
}

Body& Body::access(wasm::Opcode op, uint32_t memory, uint32_t offset) {
  wasm::Instr i;
  i.op = op;
  i.index = memory;
  i.offset = offset;
  wasm::write_instr(code_, i);
  return *this;
}

Vec<uint8_t> Body::end() {
  // Locals of one type in a row are one group.
  Vec<uint8_t> out, groups;
  uint32_t count = 0;
  for (size_t i = 0; i < locals_.size();) {
    size_t end = i;
    while (end < locals_.size() && locals_[end] == locals_[i]) ++end;
    write_uleb(groups, end - i);
    wasm::write_val_type(groups, locals_[i]);
    ++count;
    i = end;
  }
  write_uleb(out, count);
  write_bytes(out, {groups.data(), groups.size()});
  op(wasm::Opcode::End);
  write_bytes(out, {code_.data(), code_.size()});
  return out;
}

}  // namespace wafer::component
