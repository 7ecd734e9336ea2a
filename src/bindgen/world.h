// What generators of bindings know of a world: which items types belong to, and functions as
// core modules have them.
#pragma once

#include <map>
#include <unordered_map>

#include "wit/abi.h"
#include "wit/resolve.h"

namespace wafer::bindgen {

using wit::AbiVariant;
using wit::FunctionKind;
using wit::ItemKind;
using wit::OwnerKind;
using wit::Prim;
using wit::Type;
using wit::TypeDef;
using wit::TypeId;
using wit::TypeKind;

// A side of the world from which types are seen: the position of an exported item, or kImports.
inline constexpr size_t kImports = ~size_t{0};

class WorldModel {
 public:
  WorldModel(const wit::Resolve& resolve, wit::WorldId world);

 protected:
  // Exhaustion for types that are larger or nested deeper than anybody writes: bindings spell
  // values out part by part. Before anything else.
  Result<void> check_types();

  // The exported item that a type belongs to, as seen from `side`; kImports if it is imported.
  size_t owner_side(const TypeDef& def, size_t side) const;
  // Whether a package has a version, and is there in several.
  bool in_versions(const wit::PackageName& name) const {
    return !name.version.empty() && versions_.at({name.ns, name.name}) > 1;
  }
  // The import that an interface without a name stands in; null for others.
  const wit::WorldItem* inline_import(wit::InterfaceId id) const {
    const auto it = inline_.find(id);
    return it == inline_.end() ? nullptr : it->second;
  }
  Type plain(Type t) const { return r_.unalias(t); }
  // Of numbers: Alias.
  TypeKind kind(Type t) const;
  // The resource that a handle is of, through aliases.
  TypeId resource_of(const TypeDef& handle) const { return plain(handle.args[0]).id; }
  // The name of an item as components have it: "ns:package/interface@version", "name".
  std::string key(const wit::WorldItem& item) const;
  // Whether a value of the type holds one of these kinds.
  bool holds(Type t, std::initializer_list<TypeKind> kinds) const;
  // Whether something of the type has to be freed or dropped. Ends of streams and futures are
  // numbers here.
  bool owns(Type t) const;
  bool holds_error_context(Type t) const;

  const wit::Resolve& r_;
  const wit::World& world_;
  wit::AbiTypes abi_;
  const std::unordered_map<wit::InterfaceId, size_t> exported_;  // under its own name

 private:
  std::map<std::pair<std::string, std::string>, size_t> versions_;  // how many of a package
  std::unordered_map<wit::InterfaceId, const wit::WorldItem*> inline_;
  std::vector<uint32_t> held_;  // kinds that values of each type hold
};

}  // namespace wafer::bindgen
