// From what was parsed to the binary format (spec 5.5).
#include "wat/module_parser.h"

namespace wafer::wat {

void ModuleParser::put_limits(Vec<uint8_t>& out, const Limits& l, const wasm::MemoryType* m) {
  const bool page = m && m->page_size_log2 != 16;
  out.push_back(
      uint8_t((l.has_max ? 1 : 0) | (l.shared ? 2 : 0) | (l.is64 ? 4 : 0) | (page ? 8 : 0)));
  write_uleb(out, l.min);
  if (l.has_max) write_uleb(out, l.max);
  if (page) write_uleb(out, m->page_size_log2);
}

void ModuleParser::put_sub(Vec<uint8_t>& out, const SubType& s) {
  if (!s.is_final || s.super != SubType::kNoSuper) {
    out.push_back(s.is_final ? 0x4F : 0x50);
    if (s.super == SubType::kNoSuper) {
      out.push_back(0);
    } else {
      out.push_back(1);
      write_uleb(out, s.super);
    }
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
  }
}

void ModuleParser::put_names(Vec<uint8_t>& section, uint8_t id,
                             const Vec<std::pair<uint32_t, String>>& names) {
  if (names.empty()) return;
  Vec<uint8_t> sub;
  write_uleb(sub, names.size());
  for (const auto& [i, n] : names) {
    write_uleb(sub, i);
    put_string(sub, n);
  }
  section.push_back(id);
  write_uleb(section, sub.size());
  put_bytes(section, sub);
}

Vec<uint8_t> ModuleParser::encode(std::string_view name) {
  Vec<uint8_t> out;
  for (const uint8_t b : {0x00, 0x61, 0x73, 0x6D, 0x01, 0x00, 0x00, 0x00}) out.push_back(b);
  auto custom = [&](std::string_view custom_name, std::string_view payload) {
    Vec<uint8_t> s;
    put_string(s, custom_name);
    s.insert(s.end(), payload.begin(), payload.end());
    out.push_back(0);
    write_uleb(out, s.size());
    put_bytes(out, s);
  };
  auto customs_at = [&](int place) {
    for (const Custom& c : customs_)
      if (c.place == place) custom(c.name, c.payload);
  };
  // `order` counts sections as they stand in the binary.
  auto section = [&](int order, uint8_t id, uint32_t count, const Vec<uint8_t>& payload) {
    customs_at(2 * order);
    if (count) {
      Vec<uint8_t> head;
      write_uleb(head, count);
      out.push_back(id);
      write_uleb(out, head.size() + payload.size());
      put_bytes(out, head);
      put_bytes(out, payload);
    }
    customs_at(2 * order + 1);
  };

  Vec<uint8_t> type_bytes;
  size_t at = 0;
  for (const Group& g : groups_) {
    if (g.explicit_rec) {
      type_bytes.push_back(0x4E);
      write_uleb(type_bytes, g.count);
    }
    for (uint32_t i = 0; i < g.count; ++i) put_sub(type_bytes, defs_[at++]);
  }
  customs_at(0);
  section(1, 1, uint32_t(groups_.size()), type_bytes);
  section(2, 2, import_count_, imports_);
  section(3, 3, func_count_, func_types_);
  section(4, 4, table_count_, table_defs_);
  section(5, 5, memory_count_, memory_defs_);
  section(6, 13, tag_count_, tag_defs_);
  section(7, 6, global_count_, global_defs_);
  section(8, 7, export_count_, exports_);
  customs_at(18);
  if (start_) {
    Vec<uint8_t> s;
    write_uleb(s, *start_);
    out.push_back(8);
    write_uleb(out, s.size());
    put_bytes(out, s);
  }
  customs_at(19);
  section(10, 9, elem_count_, elem_defs_);
  customs_at(22);
  if (needs_data_count_) {
    Vec<uint8_t> s;
    write_uleb(s, data_count_);
    out.push_back(12);
    write_uleb(out, s.size());
    put_bytes(out, s);
  }
  customs_at(23);
  if (hint_funcs_) {
    Vec<uint8_t> s;
    write_uleb(s, hint_funcs_);
    put_bytes(s, hint_section_);
    custom("metadata.code.branch_hint",
           std::string_view(reinterpret_cast<const char*>(s.data()), s.size()));
  }
  section(12, 10, func_count_, code_);
  section(13, 11, data_count_, data_defs_);
  customs_at(999);
  customs_at(1000);

  if (options_.names) {
    Vec<uint8_t> s;
    const std::string_view module_name =
        module_name_.empty() ? name : std::string_view(module_name_);
    if (!module_name.empty()) {
      Vec<uint8_t> sub;
      put_string(sub, module_name);
      s.push_back(0);
      write_uleb(s, sub.size());
      put_bytes(s, sub);
    }
    put_names(s, 1, funcs_.debug);
    if (!local_names_.empty()) {
      Vec<uint8_t> sub;
      write_uleb(sub, local_names_.size());
      for (const LocalNames& l : local_names_) {
        write_uleb(sub, l.func);
        write_uleb(sub, l.names.size());
        for (const auto& [i, n] : l.names) {
          write_uleb(sub, i);
          put_string(sub, n);
        }
      }
      s.push_back(2);
      write_uleb(s, sub.size());
      put_bytes(s, sub);
    }
    put_names(s, 4, types_.debug);
    put_names(s, 5, tables_.debug);
    put_names(s, 6, memories_.debug);
    put_names(s, 7, globals_.debug);
    put_names(s, 8, elems_.debug);
    put_names(s, 9, datas_.debug);
    if (!field_names_.empty()) {
      Vec<uint8_t> sub;
      uint32_t groups = 0;
      Vec<uint8_t> body;
      for (size_t i = 0; i < field_names_.size();) {
        size_t j = i;
        while (j < field_names_.size() && field_names_[j].type == field_names_[i].type) ++j;
        write_uleb(body, field_names_[i].type);
        write_uleb(body, j - i);
        for (; i < j; ++i) {
          write_uleb(body, field_names_[i].field);
          put_string(body, field_names_[i].name);
        }
        ++groups;
      }
      write_uleb(sub, groups);
      put_bytes(sub, body);
      s.push_back(10);
      write_uleb(s, sub.size());
      put_bytes(s, sub);
    }
    put_names(s, 11, tags_.debug);
    if (!s.empty())
      custom("name", std::string_view(reinterpret_cast<const char*>(s.data()), s.size()));
  }
  return out;
}

}  // namespace wafer::wat
