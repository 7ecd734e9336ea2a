#include "compose/embed.h"

#include "component/names.h"
#include "component/sections.h"
#include "component/writer.h"
#include "wit/component_type.h"
#include "wit/encode.h"

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

Result<void> targets(Bytes component, const wit::Resolve& resolve, wit::WorldId id) {
  WAFER_LET(decoded, cm::decode(component, all_features()));
  const cm::Shape& shape = decoded->shape();
  const wit::World& world = resolve.worlds[id];
  const std::string world_name = resolve.packages[world.package].name.item_text(world.name);
  const auto key = [&](const wit::WorldItem& item) {
    return item.name.empty() ? resolve.interface_name(item.interface) : item.name;
  };
  const auto matches = [](const std::string& wanted, const std::string& offered) {
    return cm::names_match(wanted, offered);
  };
  for (const cm::NamedEntity& e : shape.imports) {
    bool found = false;
    for (const wit::WorldItem& item : world.imports) found |= matches(e.name, key(item));
    if (!found)
      return invalid("component does not fit world `" + world_name + "`: it imports `" + e.name +
                     "`, which the world does not have");
  }
  for (const wit::WorldItem& item : world.exports) {
    bool found = false;
    for (const cm::NamedEntity& e : shape.exports) found |= matches(key(item), e.name);
    if (!found)
      return invalid("component does not fit world `" + world_name + "`: it does not export `" +
                     key(item) + "`");
  }
  // The world with the names, which is to say the versions, that the component has for things.
  const cm::TypeWriter type =
      wit::encode_world(resolve, id, [&](const wit::WorldItem& item, bool exported) {
        const std::string own = key(item);
        for (const cm::NamedEntity& e : exported ? shape.exports : shape.imports)
          if (e.name == own) return own;
        for (const cm::NamedEntity& e : exported ? shape.exports : shape.imports)
          if (matches(own, e.name)) return e.name;
        return own;
      });
  cm::ComponentWriter check;
  const uint32_t wanted = check.type(type);
  const uint32_t given = check.component(component);
  check.export_("given", {cm::Sort::Component, given},
                cm::ExternType::of(cm::Sort::Component, wanted));
  const Vec<uint8_t> bytes = check.finish();
  auto fits = cm::decode({bytes.data(), bytes.size()}, all_features());
  if (fits.ok()) return {};
  std::string why(fits.error().message);
  constexpr std::string_view kAscribed =
      "ascribed type of export is not compatible with item's type: ";
  if (why.starts_with(kAscribed)) why = why.substr(kAscribed.size());
  return invalid("component does not fit world `" + world_name + "`: " + why);
}

}  // namespace wafer::compose
