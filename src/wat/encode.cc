// From what was parsed to the binary format (spec 5.5).
#include "wat/module_parser.h"
#include "wat/sections.h"

namespace wafer::wat {

void ModuleParser::put_limits(Vec<uint8_t>& out, const Limits& l, const wasm::MemoryType* m) {
  const bool page = m && (m->page_size_log2 != 16 || m->page_size_written);
  out.push_back(
      uint8_t((l.has_max ? 1 : 0) | (l.shared ? 2 : 0) | (l.is64 ? 4 : 0) | (page ? 8 : 0)));
  write_uleb(out, l.min);
  if (l.has_max) write_uleb(out, l.max);
  if (page) write_uleb(out, m->page_size_log2);
}

void ModuleParser::put_sub(Vec<uint8_t>& out, const SubType& s) {
  if (s.sub_written) {
    out.push_back(s.is_final ? 0x4F : 0x50);
    if (s.super == SubType::kNoSuper) {
      out.push_back(0);
    } else {
      out.push_back(1);
      write_uleb(out, s.super);
    }
  }
  const std::pair<uint8_t, uint32_t> clauses[] = {{0x4C, s.describes}, {0x4D, s.descriptor}};
  for (const auto& [code, other] : clauses) {
    if (other == SubType::kNone) continue;
    out.push_back(code);
    write_uleb(out, other);
  }
  auto field = [&](const FieldType& f) {
    put_val(out, f.storage);
    out.push_back(f.is_mutable);
  };
  switch (s.kind) {
    case CompKind::Func:
      out.push_back(0x60);
      write_uleb(out, s.func.params.size());
      for (const ValType t : s.func.params) put_val(out, t);
      write_uleb(out, s.func.results.size());
      for (const ValType t : s.func.results) put_val(out, t);
      break;
    case CompKind::Struct:
      out.push_back(0x5F);
      write_uleb(out, s.fields.size());
      for (const FieldType& f : s.fields) field(f);
      break;
    case CompKind::Array:
      out.push_back(0x5E);
      field(s.fields[0]);
      break;
    case CompKind::Cont:
      out.push_back(0x5D);
      write_sleb(out, int64_t(s.cont));
      break;
  }
}

SourceBytes ModuleParser::encode(std::string_view name) {
  SourceBytes out;
  for (const uint8_t b : {0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00}) out.push_back(b);
  auto custom = [&](std::string_view custom_name, std::string_view payload) {
    Vec<uint8_t> s;
    put_string(s, custom_name);
    s.insert(s.end(), payload.begin(), payload.end());
    out.push_back(0);
    write_uleb(out, s.size());
    out.insert(out.end(), s.begin(), s.end());
  };
  const auto written = [&](std::string_view custom_name) {
    for (const Custom& c : customs_)
      if (c.name == custom_name) return true;
    return false;
  };
  auto customs_at = [&](int place) {
    for (const Custom& c : customs_)
      if (c.place == place && (options_.names || c.name != "name")) custom(c.name, c.payload);
  };
  const auto generated = [&](std::string_view custom_name, const Vec<uint8_t>& payload) {
    // What a (@custom "..." ...) of this name gives stands for all that annotations give.
    if (payload.empty() || written(custom_name)) return;
    custom(custom_name,
           std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()));
  };
  const auto numbered = [](uint32_t number) {
    SourceBytes payload;
    write_uleb(payload, number);
    return payload;
  };
  const auto counted = [&](uint32_t count, const SourceBytes& entries) {
    SourceBytes payload = numbered(count);
    put_bytes(payload, entries);
    return payload;
  };
  const auto section = [&](std::string_view keyword, bool needed, const SourceBytes& payload) {
    const int order = int(section_order(keyword));
    const uint8_t id = kSections[order - 1].id;
    customs_at(2 * order);
    if (needed || (forced_sections_ >> id & 1)) {
      // What is wrong with the section itself is told at its first entry.
      out.mark_around(payload.marks);
      out.push_back(id);
      write_uleb(out, payload.size());
      put_bytes(out, payload);
    }
    customs_at(2 * order + 1);
  };

  SourceBytes type_bytes;
  size_t at = 0;
  for (const Group& g : groups_) {
    type_bytes.mark(g.source);
    if (g.explicit_rec) {
      type_bytes.push_back(0x4E);
      write_uleb(type_bytes, g.count);
    }
    for (uint32_t i = 0; i < g.count; ++i) put_sub(type_bytes, defs_[at++]);
  }
  const auto entries = [&](std::string_view keyword, uint32_t count, const SourceBytes& bytes) {
    section(keyword, count != 0, counted(count, bytes));
  };
  customs_at(kBeforeFirst);
  entries("type", uint32_t(groups_.size()), type_bytes);
  entries("import", import_count_, imports_);
  entries("func", func_count_, func_types_);
  entries("table", table_count_, table_defs_);
  entries("memory", memory_count_, memory_defs_);
  entries("tag", tag_count_, tag_defs_);
  entries("global", global_count_, global_defs_);
  entries("export", export_count_, exports_);
  SourceBytes start;
  start.mark(start_source_);
  write_uleb(start, start_.value_or(0));
  section("start", start_.has_value(), start);
  entries("elem", elem_count_, elem_defs_);
  section("datacount", needs_data_count_, numbered(data_count_));
  generated(wasm::kBranchHintSection, wasm::encode_branch_hints(func_hints_));
  entries("code", func_count_, code_);
  entries("data", data_count_, data_defs_);
  if (options_.names) {
    const auto take = [](wasm::NameMap& to, IndexSpace& space) {
      to.entries = std::move(space.debug);
    };
    names_.module = module_name_ ? *module_name_ : String(name);
    take(names_.functions, funcs_);
    take(names_.types, types_);
    take(names_.tables, tables_);
    take(names_.memories, memories_);
    take(names_.globals, globals_);
    take(names_.elems, elems_);
    take(names_.datas, datas_);
    take(names_.tags, tags_);
    generated("name", wasm::encode_names(names_));
  }
  customs_at(kAfterLast);
  customs_at(kAtEnd);
  return out;
}

}  // namespace wafer::wat
