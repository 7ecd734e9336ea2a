#include "wit/wit.h"

#include <string_view>

namespace wafer::wit {

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
