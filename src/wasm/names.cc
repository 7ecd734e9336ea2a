#include "wasm/names.h"

#if WAFER_HAS_OS

#include <algorithm>

#include "base/leb128.h"
#include "wasm/cursor.h"

namespace wafer::wasm {

namespace {

bool read_map(Cursor& c, NameMap& out) {
  uint32_t n = 0;
  if (!c.u32(n)) return false;
  out.entries.reserve(std::min<size_t>(n, c.remaining() / 2));
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t index = 0;
    std::string_view name;
    if (!c.u32(index) || !c.name(name)) return false;
    // Out of order: malformed, and lookups need the order.
    if (!out.entries.empty() && out.entries.back().first >= index) return false;
    out.entries.emplace_back(index, String(name));
  }
  return true;
}

bool read_indirect(Cursor& c, IndirectNameMap& out) {
  uint32_t n = 0;
  if (!c.u32(n)) return false;
  out.entries.reserve(std::min<size_t>(n, c.remaining() / 2));
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t index = 0;
    if (!c.u32(index)) return false;
    if (!out.entries.empty() && out.entries.back().first >= index) return false;
    out.entries.emplace_back(index, NameMap{});
    if (!read_map(c, out.entries.back().second)) return false;
  }
  return true;
}

}  // namespace

void decode_names(Module& module, const CustomSection& section) {
  const uint8_t* base = module.bytes.data();
  Cursor c(base, section.payload.begin, section.payload.end, section.payload.end, module.features);
  NameSection& names = module.names;
  NameMap* maps[] = {nullptr,      &names.functions, nullptr,         nullptr,
                     &names.types, &names.tables,    &names.memories, &names.globals,
                     &names.elems, &names.datas,     nullptr,         &names.tags};
  while (!c.at_end()) {
    uint8_t id = 0;
    uint32_t size = 0;
    if (!c.byte(id) || !c.u32(size)) return;
    const uint32_t begin = c.offset();
    if (!c.skip(size)) return;
    Cursor sub(base, begin, begin + size, begin + size, module.features);
    switch (id) {
      case 0: {
        std::string_view name;
        if (sub.name(name)) names.module = String(name);
        break;
      }
      case 2:
        read_indirect(sub, names.locals);
        break;
      case 3:
        read_indirect(sub, names.labels);
        break;
      case 10:
        read_indirect(sub, names.fields);
        break;
      default:
        if (id < std::size(maps) && maps[id] && maps[id]->entries.empty()) read_map(sub, *maps[id]);
    }
  }
}

namespace {

void put_string(Vec<uint8_t>& out, std::string_view s) {
  write_uleb(out, s.size());
  out.insert(out.end(), s.begin(), s.end());
}

void put_map(Vec<uint8_t>& out, const NameMap& map) {
  write_uleb(out, map.entries.size());
  for (const auto& [index, name] : map.entries) {
    write_uleb(out, index);
    put_string(out, name);
  }
}

void put_subsection(Vec<uint8_t>& out, uint8_t id, const Vec<uint8_t>& payload) {
  out.push_back(id);
  write_uleb(out, payload.size());
  out.insert(out.end(), payload.begin(), payload.end());
}

}  // namespace

Vec<uint8_t> encode_names(const NameSection& names) {
  Vec<uint8_t> out, payload;
  const auto map = [&](uint8_t id, const NameMap& names_of) {
    if (names_of.entries.empty()) return;
    payload.clear();
    put_map(payload, names_of);
    put_subsection(out, id, payload);
  };
  const auto indirect = [&](uint8_t id, const IndirectNameMap& maps) {
    if (maps.entries.empty()) return;
    payload.clear();
    write_uleb(payload, maps.entries.size());
    for (const auto& [index, names_of] : maps.entries) {
      write_uleb(payload, index);
      put_map(payload, names_of);
    }
    put_subsection(out, id, payload);
  };
  if (!names.module.empty()) {
    put_string(payload, names.module);
    put_subsection(out, 0, payload);
  }
  map(1, names.functions);
  indirect(2, names.locals);
  indirect(3, names.labels);
  map(4, names.types);
  map(5, names.tables);
  map(6, names.memories);
  map(7, names.globals);
  map(8, names.elems);
  map(9, names.datas);
  indirect(10, names.fields);
  map(11, names.tags);
  return out;
}

}  // namespace wafer::wasm

#endif  // WAFER_HAS_OS
