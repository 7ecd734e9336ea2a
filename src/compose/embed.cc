#include "compose/embed.h"

#include <set>

#include "base/semver.h"
#include "component/names.h"
#include "component/sections.h"
#include "component/writer.h"
#include "wit/component_type.h"
#include "wit/decode.h"
#include "wit/encode.h"
#include "wit/merge.h"

namespace wafer::compose {

namespace {

namespace cm = component;

cm::DecodeOptions all_features() {
  cm::DecodeOptions out;
  for (unsigned f = 0; f < unsigned(cm::Feature::None); ++f) out.features.set(cm::Feature(f));
  return out;
}

Error invalid(const std::string& what) { return {ErrorKind::Invalid, what}; }

}  // namespace

Result<Vec<uint8_t>> embed(Bytes module, const wit::Resolve& resolve, wit::WorldId world,
                           cm::StringEncoding encoding) {
  if (cm::is_component(module))
    return invalid("a world is put into a core module; this is a component");
  WAFER_TRY(cm::sections(module));
  Vec<uint8_t> out(module.begin(), module.end());
  const Vec<uint8_t> section = wit::encode_component_type(resolve, world, encoding);
  cm::write_custom_section(out, wit::kComponentTypeSection, {section.data(), section.size()});
  return out;
}

// ---- Unbundling ---------------------------------------------------------------------

namespace {

cm::CoreExternType written(const wasm::ExternType& type) {
  cm::CoreExternType out;
  out.kind = type.kind;
  out.type = type.type_index;
  out.table = type.table;
  out.memory = type.memory;
  out.global = type.global;
  return out;
}

// The type of a module, with the module's own types in it under their numbers.
Result<cm::ModuleTypeWriter> module_type(const wasm::Module& m) {
  cm::ModuleTypeWriter out;
  for (const wasm::SubType& t : m.types) {
    if (t.kind != wasm::CompKind::Func || m.rec_groups.size() != m.types.size())
      return Error(ErrorKind::Unsupported, "core modules with types other than functions");
    out.func_type(t.func);
  }
  for (const wasm::Import& i : m.imports)
    out.import(std::string_view(i.module), std::string_view(i.name), written(i.type));
  for (const wasm::Export& e : m.exports) {
    wasm::ExternType type;
    type.kind = e.kind;
    switch (e.kind) {
      case wasm::ExternKind::Func:
        type.type_index = m.functions[e.index].type_index;
        break;
      case wasm::ExternKind::Tag:
        type.type_index = m.tags[e.index].type_index;
        break;
      case wasm::ExternKind::Table:
        type.table = m.tables[e.index].type;
        break;
      case wasm::ExternKind::Memory:
        type.memory = m.memories[e.index].type;
        break;
      case wasm::ExternKind::Global:
        type.global = m.globals[e.index].type;
        break;
    }
    out.export_(std::string_view(e.name), written(type));
  }
  return out;
}

}  // namespace

Result<Unbundled> unbundle(Bytes component, size_t threshold) {
  WAFER_LET(decoded, cm::decode(component, all_features()));
  WAFER_LET(sections, cm::sections(component));
  std::vector<std::shared_ptr<wasm::Module>> modules;
  for (const cm::Definition& d : decoded->definitions)
    if (const auto* m = std::get_if<cm::CoreModuleDef>(&d)) modules.push_back(m->module);
  Unbundled out;
  out.component.assign(component.begin(), component.begin() + 8);
  size_t next = 0;
  for (const cm::Section& s : sections) {
    if (s.id == 3)
      return Error(ErrorKind::Unsupported,
                   "components with core types of their own cannot be unbundled");
    const size_t index = s.id == 1 ? next++ : 0;
    if (s.id != 1 || s.contents.size() < threshold) {
      cm::write_bytes(out.component, s.whole);
      continue;
    }
    const std::string name = "unbundled-module" + std::to_string(index);
    WAFER_LET(type, module_type(*modules[index]));
    cm::ComponentWriter piece;
    piece.core_module_type(type);
    piece.import(
        name, cm::ExternType::of(cm::Sort::CoreModule, static_cast<uint32_t>(out.modules.size())));
    const Vec<uint8_t> bytes = piece.finish();
    cm::write_bytes(out.component, Bytes(bytes.data(), bytes.size()).subspan(8));
    out.modules.push_back({name, Vec<uint8_t>(s.contents.begin(), s.contents.end())});
  }
  return std::move(out);
}

// ---- Targets ------------------------------------------------------------------------

namespace {

// Imports and exports by what compatible versions of them have in common.
std::string common_name(const wit::Resolve& r, const wit::WorldItem& item) {
  if (!item.name.empty()) return item.name;
  wit::PackageName name = r.packages[r.interfaces[item.interface].package].name;
  if (!name.version.empty()) name.version = compatible_version(name.version);
  return name.item_text(r.interfaces[item.interface].name);
}

cm::TypeWriter common_type(const wit::Resolve& r, wit::WorldId w) {
  return wit::encode_world(r, w,
                           [&](const wit::WorldItem& item, bool) { return common_name(r, item); });
}

std::string own_name(const wit::Resolve& r, const wit::WorldItem& item) {
  return item.name.empty() ? r.interface_name(item.interface) : item.name;
}

}  // namespace

Result<void> targets(Bytes component, wit::Resolve resolve, wit::WorldId id) {
  WAFER_LET(decoded, cm::decode(component, all_features()));
  if (wit::is_package(*decoded))
    return invalid("is a WIT package in binary form; a component was expected");
  WAFER_LET(given, wit::world_of(*decoded));
  const wit::WorldId given_id = given.resolve.packages[given.main].worlds[0];
  WAFER_TRY(wit::merge_compatible_imports(given.resolve, given_id));
  WAFER_TRY(wit::merge_compatible_imports(resolve, id));
  const wit::World &world = resolve.worlds[id], &ours = given.resolve.worlds[given_id];
  const std::string misfit = "component does not fit world `" +
                             resolve.packages[world.package].name.item_text(world.name) + "`: ";
  // Names first, since what is missing is told best by its name.
  struct Missing {
    std::string name, others;
  };
  const auto missing = [](const wit::Resolve& a, const std::vector<wit::WorldItem>& wanted,
                          const wit::Resolve& b, const std::vector<wit::WorldItem>& offered) {
    std::set<std::string> names;
    for (const wit::WorldItem& item : offered) names.insert(common_name(b, item));
    for (const wit::WorldItem& item : wanted) {
      if (item.kind == wit::ItemKind::Type || names.contains(common_name(a, item))) continue;
      Missing out{own_name(a, item), {}};
      std::vector<std::string> own;
      for (const wit::WorldItem& other : offered) own.push_back(own_name(b, other));
      out.others = cm::other_versions(out.name, {own.begin(), own.end()});
      return out;
    }
    return Missing();
  };
  if (const Missing m = missing(given.resolve, ours.imports, resolve, world.imports);
      !m.name.empty())
    return invalid(misfit + "it imports `" + m.name + "`, which the world does not have" +
                   m.others);
  if (const Missing m = missing(resolve, world.exports, given.resolve, ours.exports);
      !m.name.empty())
    return invalid(misfit + "it does not export `" + m.name + "`" + m.others);
  // Then types: the component's has to be that of the world, or a subtype.
  cm::ComponentWriter check;
  const uint32_t wanted = check.type(common_type(resolve, id));
  const uint32_t has = check.type(common_type(given.resolve, given_id));
  const uint32_t imported = check.import("given", cm::ExternType::of(cm::Sort::Component, has));
  check.export_("given", {cm::Sort::Component, imported},
                cm::ExternType::of(cm::Sort::Component, wanted));
  const Vec<uint8_t> bytes = check.finish();
  auto fits = cm::decode({bytes.data(), bytes.size()}, all_features());
  if (fits.ok()) return {};
  std::string why(fits.error().message);
  constexpr std::string_view kAscribed =
      "ascribed type of export is not compatible with item's type: ";
  if (why.starts_with(kAscribed)) why = why.substr(kAscribed.size());
  return invalid(misfit + why);
}

}  // namespace wafer::compose
