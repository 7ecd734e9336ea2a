#include "wit/wit.h"

#include <array>
#include <string_view>
#include <utility>

namespace wafer::wit {

namespace {

constexpr std::array<std::pair<Prim, std::string_view>, 14> kPrims = {{
    {Prim::Bool, "bool"},
    {Prim::S8, "s8"},
    {Prim::U8, "u8"},
    {Prim::S16, "s16"},
    {Prim::U16, "u16"},
    {Prim::S32, "s32"},
    {Prim::U32, "u32"},
    {Prim::S64, "s64"},
    {Prim::U64, "u64"},
    {Prim::F32, "f32"},
    {Prim::F64, "f64"},
    {Prim::Char, "char"},
    {Prim::String, "string"},
    {Prim::ErrorContext, "error-context"},
}};

}  // namespace

std::string_view prim_name(Prim prim) {
  for (const auto& [p, name] : kPrims)
    if (p == prim) return name;
  return {};
}

Prim prim_of(std::string_view keyword) {
  for (const auto& [p, name] : kPrims)
    if (name == keyword) return p;
  return Prim::None;
}

std::string PackageName::text() const {
  std::string out = ns + ":" + name;
  if (!version.empty()) out += "@" + version;
  return out;
}

std::string PackageName::item_text(std::string_view item) const {
  std::string out = ns + ":" + name + "/" + std::string(item);
  if (!version.empty()) out += "@" + version;
  return out;
}

std::optional<TypeId> Interface::find_type(const std::vector<TypeDef>& all,
                                           std::string_view type) const {
  for (TypeId id : types)
    if (all[id].name == type) return id;
  return std::nullopt;
}

std::optional<PackageId> Resolve::find_package(const PackageName& name) const {
  for (PackageId id = 0; id < packages.size(); ++id)
    if (packages[id].name == name) return id;
  return std::nullopt;
}

std::optional<InterfaceId> Resolve::find_interface(PackageId package, std::string_view name) const {
  for (InterfaceId id : packages[package].interfaces)
    if (interfaces[id].name == name) return id;
  return std::nullopt;
}

std::optional<WorldId> Resolve::find_world(PackageId package, std::string_view name) const {
  for (WorldId id : packages[package].worlds)
    if (worlds[id].name == name) return id;
  return std::nullopt;
}

std::string Resolve::interface_name(InterfaceId id) const {
  const Interface& i = interfaces[id];
  return i.name.empty() ? std::string() : packages[i.package].name.item_text(i.name);
}

Type Resolve::unalias(Type type) const {
  while (type.defined() && types[type.id].kind == TypeKind::Alias) type = types[type.id].args[0];
  return type;
}

}  // namespace wafer::wit
