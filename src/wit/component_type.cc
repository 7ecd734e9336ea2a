#include "wit/component_type.h"

#include <algorithm>

#include "component/sections.h"
#include "component/writer.h"
#include "wit/decode.h"
#include "wit/encode.h"
#include "wit/merge.h"

namespace wafer::wit {

namespace {

namespace cm = component;

constexpr std::string_view kEncodingSection = "wit-component-encoding";
constexpr uint8_t kVersion = 4;  // of the format
constexpr uint8_t kOldVersion = 3;

Error malformed(const std::string& what) {
  return {ErrorKind::Malformed, "section component-type: " + what};
}

// Everything that a world in binary form may hold.
cm::DecodeOptions all_features() {
  cm::DecodeOptions out;
  for (unsigned f = 0; f < unsigned(cm::Feature::None); ++f) out.features.set(cm::Feature(f));
  return out;
}

}  // namespace

Vec<uint8_t> encode_component_type(const Resolve& r, WorldId id, cm::StringEncoding encoding) {
  cm::ComponentWriter out;
  const uint8_t contents[] = {kVersion, static_cast<uint8_t>(encoding)};
  out.custom(kEncodingSection, contents);
  const World& world = r.worlds[id];
  cm::TypeWriter outer(cm::TypeKind::Component);
  const uint32_t type = outer.type(encode_world(r, id));
  outer.export_(r.packages[world.package].name.item_text(world.name),
                cm::ExternType::of(cm::Sort::Component, type));
  out.export_(world.name, {cm::Sort::Type, out.type(outer)});
  return out.finish();
}

Result<ModuleWorld> decode_component_type(Bytes contents) {
  if (!contents.empty() && contents[0] == kOldVersion)
    return malformed("its format is 3, but only 4 is supported");
  const auto encoding = cm::custom_section(contents, kEncodingSection);
  if (!encoding || encoding->size() != 2)
    return malformed("there is no section " + std::string(kEncodingSection) + " in it");
  if ((*encoding)[0] != kVersion)
    return malformed("its format is " + std::to_string((*encoding)[0]) + ", but only " +
                     std::to_string(kVersion) + " is supported");
  if ((*encoding)[1] > static_cast<uint8_t>(cm::StringEncoding::Latin1Utf16))
    return malformed("invalid string encoding");
  auto decoded = cm::decode(contents, all_features());
  if (!decoded.ok()) return malformed(std::string(decoded.error().message));
  if (!is_package(**decoded)) return malformed("it holds no world");
  WAFER_LET(resolved, decode_package(**decoded, contents));
  const auto& worlds = resolved.resolve.packages[resolved.main].worlds;
  if (worlds.size() != 1) return malformed("it holds not one world");
  ModuleWorld out;
  out.world = worlds[0];
  out.resolve = std::move(resolved.resolve);
  out.encoding = static_cast<cm::StringEncoding>((*encoding)[1]);
  return out;
}

std::string encoding_key(const Resolve& r, const WorldItem& item, std::string_view function) {
  std::string out = item.name;
  if (out.empty() && item.kind == ItemKind::Interface) {
    PackageName name = r.packages[r.interfaces[item.interface].package].name;
    name.version.clear();
    out = name.item_text(r.interfaces[item.interface].name);
  }
  return out + "/" + std::string(function);
}

Result<ModuleMetadata> read_component_types(Bytes module) {
  ModuleMetadata out;
  Package root;
  root.name = {"root", "component", ""};
  root.worlds = {0};
  out.resolve.packages.push_back(root);
  World world;
  world.name = "root";
  out.resolve.worlds.push_back(world);
  if (cm::is_component(module))
    return Error(ErrorKind::Invalid, "expected a core module, found a component");
  WAFER_LET(sections, cm::sections(module));
  out.module.assign(module.begin(), module.begin() + 8);
  for (const cm::Section& s : sections) {
    if (s.id != 0 || !s.name.starts_with(kComponentTypeSection)) {
      cm::write_bytes(out.module, s.whole);
      continue;
    }
    out.found = true;
    WAFER_LET(one, decode_component_type(s.contents));
    WAFER_LET(map, merge(out.resolve, one.resolve));
    WAFER_TRY(merge_worlds(out.resolve, map.worlds[one.world], out.world));
    const World& w = one.resolve.worlds[one.world];
    for (const bool exported : {false, true}) {
      auto& encodings = exported ? out.export_encodings : out.import_encodings;
      const auto add = [&](const WorldItem& item, const std::string& function) -> Result<void> {
        const std::string key = encoding_key(one.resolve, item, function);
        const auto [it, fresh] = encodings.try_emplace(key, one.encoding);
        if (fresh || it->second == one.encoding) return {};
        return Error(ErrorKind::Invalid,
                     "conflicting string encodings specified for `" + key + "`");
      };
      for (const WorldItem& item : exported ? w.exports : w.imports) {
        if (item.kind == ItemKind::Function) WAFER_TRY(add(item, item.function.name));
        if (item.kind == ItemKind::Interface)
          for (const Function& f : one.resolve.interfaces[item.interface].functions)
            WAFER_TRY(add(item, f.name));
      }
    }
  }
  return std::move(out);
}

Result<Resolved> decode_binary(Bytes bytes) {
  if (cm::is_component(bytes)) {
    WAFER_LET(decoded, cm::decode(bytes, all_features()));
    return is_package(*decoded) ? decode_package(*decoded, bytes) : world_of(*decoded);
  }
  WAFER_LET(told, read_component_types(bytes));
  if (!told.found)
    return Error(ErrorKind::Invalid,
                 "is a core module that tells no world; WIT, or a component, was expected");
  Resolved out;
  out.resolve = std::move(told.resolve);
  return std::move(out);
}

Result<WorldId> select_world(const Resolved& resolved, std::string_view name) {
  const Resolve& r = resolved.resolve;
  const auto full = [&](WorldId w) {
    return r.packages[r.worlds[w].package].name.item_text(r.worlds[w].name);
  };
  const auto list = [&](const std::vector<WorldId>& worlds) {
    std::string out;
    for (WorldId w : worlds) out += (out.empty() ? "" : ", ") + full(w);
    return out.empty() ? std::string("there is none") : "there is " + out;
  };
  const std::vector<WorldId>& main = r.packages[resolved.main].worlds;
  if (name.empty()) {
    if (main.size() == 1) return main[0];
    return Error(ErrorKind::Invalid, "which world is meant has to be told: " + list(main));
  }
  if (name.find(':') == name.npos) {
    if (const auto w = r.find_world(resolved.main, name)) return *w;
    return Error(ErrorKind::Invalid,
                 "no world `" + std::string(name) + "` in the package: " + list(main));
  }
  std::vector<WorldId> all;
  for (WorldId w = 0; w < r.worlds.size(); ++w) {
    const std::string text = full(w);
    if (text == name || text.substr(0, text.find('@')) == name) return w;
    all.push_back(w);
  }
  return Error(ErrorKind::Invalid, "no world `" + std::string(name) + "`: " + list(all));
}

}  // namespace wafer::wit
