#include "wasm/names.h"

#include <algorithm>

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

}  // namespace wafer::wasm
