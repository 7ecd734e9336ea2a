// WIT packages after names are resolved (WIT.md): worlds, interfaces, types and functions by
// number, each defined before it is used.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "component/primitives.h"

namespace wafer::wit {

using PackageId = uint32_t;
using InterfaceId = uint32_t;
using WorldId = uint32_t;
using TypeId = uint32_t;

using component::Prim;

struct Type {
  Prim prim = Prim::None;
  TypeId id = 0;

  static Type of(TypeId id) { return {Prim::Defined, id}; }
  bool defined() const { return prim == Prim::Defined; }
  explicit operator bool() const { return prim != Prim::None; }
  auto operator<=>(const Type&) const = default;
};

// A feature gate (WIT.md, "Feature Gates").
struct Stability {
  enum class Kind : uint8_t { Unknown, Since, Unstable };
  Kind kind = Kind::Unknown;
  std::string text;  // version or feature
  std::optional<std::string> deprecated;
};

enum class TypeKind : uint8_t {
  Alias,  // of args[0]
  Record,
  Flags,
  Variant,
  Enum,
  Resource,
  Own,     // a handle of args[0]
  Borrow,  // a handle of args[0]
  Tuple,
  Option,
  Result,  // args: ok and err, each may be absent
  List,
  FixedList,  // `length` times args[0]
  Map,        // from args[0] to args[1]
  Future,     // args[0] may be absent
  Stream,     // args[0] may be absent
};

// A field of a record, a flag, or a case of a variant or enum.
struct Member {
  std::string name;
  Type type;
  std::string docs;
};

enum class OwnerKind : uint8_t { None, Interface, World };

struct TypeDef {
  TypeKind kind = TypeKind::Alias;
  std::string name;  // empty for anonymous types
  OwnerKind owner_kind = OwnerKind::None;
  uint32_t owner = 0;
  std::vector<Member> members;
  std::vector<Type> args;
  uint32_t length = 0;
  std::string docs;
  Stability stability;
  std::optional<std::string> external_id;
};

enum class Accessor : uint8_t { None, Get, Set };
enum class FunctionKind : uint8_t { Freestanding, Method, Static, Constructor };

struct Param {
  std::string name;
  Type type;
};

struct Function {
  std::string name;  // as imported or exported: "[method]r.f"
  FunctionKind kind = FunctionKind::Freestanding;
  Accessor accessor = Accessor::None;
  bool is_async = false;
  TypeId resource = 0;  // unless Freestanding
  std::vector<Param> params;
  Type result;
  std::string docs;
  Stability stability;
  std::optional<std::string> external_id;
};

struct Interface {
  std::string name;  // empty for one that stands in a world
  PackageId package = 0;
  std::vector<TypeId> types;  // named ones, in the order of definition
  std::vector<Function> functions;
  std::string docs;
  Stability stability;
};

enum class ItemKind : uint8_t { Interface, Function, Type };

// An import or export of a world.
struct WorldItem {
  ItemKind kind = ItemKind::Function;
  // Plain name; empty if the item is an interface under its own name.
  std::string name;
  InterfaceId interface = 0;
  // The interface is a named one, imported or exported under a plain name.
  bool implements = false;
  TypeId type = 0;
  Function function;
  Stability stability;
  std::string docs;
  std::optional<std::string> external_id;
};

struct World {
  std::string name;
  PackageId package = 0;
  // Interfaces before those that use them, then types, then functions.
  std::vector<WorldItem> imports;
  std::vector<WorldItem> exports;
  std::string docs;
  Stability stability;
};

struct PackageName {
  std::string ns;
  std::string name;
  std::string version;  // empty for none

  // "ns:name@version".
  std::string text() const;
  // "ns:name/item@version".
  std::string item_text(std::string_view item) const;
  auto operator<=>(const PackageName&) const = default;
};

struct Package {
  PackageName name;
  std::vector<InterfaceId> interfaces;
  std::vector<WorldId> worlds;
  std::string docs;
};

// All that was read together. Packages stand after those that they depend on.
struct Resolve {
  std::vector<Package> packages;
  std::vector<Interface> interfaces;
  std::vector<World> worlds;
  std::vector<TypeDef> types;

  std::optional<PackageId> find_package(const PackageName& name) const;
  std::optional<InterfaceId> find_interface(PackageId package, std::string_view name) const;
  std::optional<WorldId> find_world(PackageId package, std::string_view name) const;
  // "ns:package/interface@version"; empty for an interface without a name.
  std::string interface_name(InterfaceId id) const;
  // What an alias finally stands for; other types themselves.
  Type unalias(Type type) const;
};

}  // namespace wafer::wit
