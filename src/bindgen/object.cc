#include "base/leb128.h"
#include "bindgen/c.h"
#include "component/writer.h"
#include "wit/component_type.h"

namespace wafer::bindgen {

namespace cm = component;

std::string component_type_symbol(const std::string& name) {
  return "__component_type_object_force_link_" + name;
}

// A relocatable object with one function, which does nothing, and the section.
Vec<uint8_t> component_type_object(const wit::Resolve& r, wit::WorldId world,
                                   const std::string& name) {
  Vec<uint8_t> out;
  for (const uint8_t b : {0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00}) out.push_back(b);
  const auto section = [&](uint8_t id, std::initializer_list<uint8_t> bytes) {
    out.push_back(id);
    write_uleb(out, bytes.size());
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  section(1, {1, 0x60, 0, 0});   // one type: no parameters, no results
  section(3, {1, 0});            // one function of it
  section(10, {1, 2, 0, 0x0b});  // whose body is empty
  // Tool conventions, "Linking": version 2, and the symbol table.
  Vec<uint8_t> symbols;
  symbols.push_back(1);  // one symbol
  symbols.push_back(0);  // a function
  symbols.push_back(0);  // defined, global
  symbols.push_back(0);  // function 0
  cm::write_name(symbols, component_type_symbol(name));
  Vec<uint8_t> linking;
  linking.push_back(2);
  linking.push_back(8);
  write_uleb(linking, symbols.size());
  cm::write_bytes(linking, {symbols.data(), symbols.size()});
  const Vec<uint8_t> type = wit::encode_component_type(r, world, cm::StringEncoding::Utf8);
  const std::string full = r.packages[r.worlds[world].package].name.text();
  cm::write_custom_section(
      out, std::string(wit::kComponentTypeSection) + ":wafer:" + full + ":" + r.worlds[world].name,
      {type.data(), type.size()});
  cm::write_custom_section(out, "linking", {linking.data(), linking.size()});
  return out;
}

}  // namespace wafer::bindgen
