// Resolved WIT in binary form (WIT.md, "Package Format"), and the section by which generators of
// bindings tell what world a core module is made for.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>

#include "component/writer.h"
#include "wit/resolve.h"

namespace wafer::wit {

// The component model's kind of a type; Primitive for aliases, which are of any kind.
component::TypeKind component_kind(TypeKind kind);

// Types of one scope (an interface, or a world) as they are written into a component, a
// component type or an instance type. Each is written when it is first asked for.
class TypeScope {
 public:
  // The index, in `out`, of a named type that belongs elsewhere. If there is no such function,
  // all types are written as the scope's own.
  using Foreign = std::function<uint32_t(TypeId)>;
  // Gives a type of this scope its name, and the index that it has under it.
  using Name =
      std::function<uint32_t(TypeId, const component::WrittenName&, const component::ExternType&)>;

  TypeScope(const Resolve& resolve, component::DefinitionWriter& out, OwnerKind owner_kind,
            uint32_t owner, Foreign foreign, Name name)
      : r_(resolve),
        out_(out),
        owner_kind_(owner_kind),
        owner_(owner),
        foreign_(std::move(foreign)),
        name_(std::move(name)) {}

  uint32_t type(TypeId id);
  component::ValType value(Type t);
  uint32_t func(const Function& f);
  // Makes `index` what `id` is here.
  void set(TypeId id, uint32_t index) { known_[id] = index; }
  std::optional<uint32_t> find(TypeId id) const {
    auto it = known_.find(id);
    return it == known_.end() ? std::nullopt : std::optional(it->second);
  }

 private:
  bool is_foreign(const TypeDef& def) const {
    return !def.name.empty() && foreign_ && (def.owner_kind != owner_kind_ || def.owner != owner_);
  }
  // Writes what a type is made of, so that it is there.
  void prepare(TypeId id);

  const Resolve& r_;
  component::DefinitionWriter& out_;
  OwnerKind owner_kind_;
  uint32_t owner_;
  Foreign foreign_;
  Name name_;
  uint32_t depth_ = 0;  // of calls of type()
  std::unordered_map<TypeId, uint32_t> known_;
  std::unordered_map<component::Prim, uint32_t> prims_;
};

// The functions of an interface, those of resources first, in the order of these.
std::vector<const Function*> ordered_functions(const Resolve& resolve, InterfaceId id);

// Interfaces that `id` uses types of, in order.
std::vector<InterfaceId> interface_dependencies(const Resolve& resolve, InterfaceId id);

// The exports of a world that are interfaces under their own names.
std::unordered_map<InterfaceId, size_t> exported_items(const World& world);

// Name and attributes of an import or export. Of canonical names the version is only what
// compatible versions have in common; an attribute has the rest (Explainer.md, "Canonical Interface
// Name").
component::WrittenName written_name(const Resolve& resolve, const WorldItem& item,
                                    std::string& storage, bool canonical = false);

// The imports of a world as a component has them: interfaces, then types, then functions.
class WorldImports {
 public:
  WorldImports(const Resolve& resolve, WorldId world, component::ComponentWriter& out,
               bool canonical_names = false);

  // Which types and functions are wanted; interfaces of which nothing is are left out.
  using WantedType = std::function<bool(TypeId)>;
  using WantedFunction = std::function<bool(size_t item, const Function& f)>;
  void encode(const WantedType& type, const WantedFunction& function);

  // The instance, function or type that an item of the world's imports is, if it is there.
  const std::optional<uint32_t>& index(size_t item) const { return indices_[item]; }
  // Types as they are at the root of the component.
  TypeScope& types() { return root_; }

 private:
  uint32_t imported_type(TypeId t);

  const Resolve& r_;
  const World& world_;
  component::ComponentWriter& out_;
  const bool canonical_names_;
  TypeScope root_;
  std::vector<std::optional<uint32_t>> indices_;
  std::unordered_map<InterfaceId, uint32_t> instances_;
};

// A package as a component. Exhaustion if it is larger than what may be read: each interface comes
// with all that it gets types from.
Result<Vec<uint8_t>> encode_package(const Resolve& resolve, PackageId package);

// A world as a component type; imports and exports of it by the names that `name` gives, if it is
// given.
using ItemName = std::function<std::string(const WorldItem& item, bool exported)>;
component::TypeWriter encode_world(const Resolve& resolve, WorldId world,
                                   const ItemName& name = nullptr);

}  // namespace wafer::wit
