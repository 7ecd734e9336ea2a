// The custom section by which generators of bindings tell, in a core module, what world it is
// made for: a component that exports the world as a type, with the strings' encoding beside it.
#pragma once

#include <map>

#include "component/component.h"
#include "wit/resolve.h"

namespace wafer::wit {

// Sections of this name, and of names that begin with it, hold one world each.
inline constexpr std::string_view kComponentTypeSection = "component-type";

struct ModuleWorld {
  Resolve resolve;
  WorldId world = 0;
  component::StringEncoding encoding = component::StringEncoding::Utf8;
};

// The section's contents for a world.
Vec<uint8_t> encode_component_type(const Resolve& resolve, WorldId world,
                                   component::StringEncoding encoding);

// Malformed or Invalid if `contents` are no such section.
Result<ModuleWorld> decode_component_type(Bytes contents);

// What the sections of a core module say, merged.
struct ModuleMetadata {
  Resolve resolve;
  WorldId world = 0;
  bool found = false;  // there was such a section
  // Encoding of a function of the world: by "interface/function", without versions.
  std::map<std::string, component::StringEncoding> import_encodings, export_encodings;
  Vec<uint8_t> module;  // without these sections
};
Result<ModuleMetadata> read_component_types(Bytes module);

// The key of an interface's or world's function in the maps of encodings.
std::string encoding_key(const Resolve& resolve, const WorldItem& item, std::string_view function);

// A world by its name ("world", or "ns:package/world@version" with or without the version); the
// only world of the main package if the name is empty. Invalid says what there is.
Result<WorldId> select_world(const Resolved& resolved, std::string_view name);

}  // namespace wafer::wit
