// Shared by the parts of the resolver: packages, interfaces and types, worlds.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "component/names.h"
#include "wit/ast.h"
#include "wit/order.h"
#include "wit/resolve.h"

namespace wafer::wit {

using component::UniqueNames;

// A name as messages show it.
inline std::string ticked(std::string_view name) { return "`" + std::string(name) + "`"; }

// What a name stands for that WIT may refer to. Items that a feature gate leaves out are known,
// but cannot be used.
struct Entry {
  enum class Kind : uint8_t { Type, Function, Interface, World };
  Kind kind = Kind::Type;
  bool excluded = false;
  uint32_t id = 0;
  const struct PackageState* package = nullptr;  // of interfaces and worlds
};

// The types (and functions) of an interface or world by name.
using TypeScope = std::unordered_map<std::string_view, Entry>;

// A package while it is resolved: all its bodies, the file's and nested ones alike.
struct PackageState {
  PackageName name;
  Span span;
  std::string docs;
  std::vector<const ast::PackageBody*> bodies;
  // Top-level `use`s of each body by their local names.
  std::unordered_map<const ast::PackageBody*,
                     std::unordered_map<std::string_view, const ast::TopUse*>>
      uses;
  PackageId id = 0;
  // Interfaces and worlds, excluded ones too.
  std::unordered_map<std::string_view, Entry> items;
};

class Resolver {
 public:
  Resolver(const SourceMap& sources, const ResolveOptions& options)
      : sources_(sources), options_(options) {}

  Result<void> add_group(const std::vector<ast::File>& files, std::string_view path);
  Result<Resolved> run();

 private:
  // packages.cc
  Result<PackageState*> add_package(const ast::PackageBody& body);
  Result<std::vector<Edge>> package_edges(const PackageState& package);
  Result<void> resolve_package(PackageState& package);
  Result<Entry> look_up(const PackageState& package, const ast::PackageBody& body,
                        const ast::UsePath& path) const;
  Result<Entry> wanted(const PackageState& package, const ast::PackageBody& body,
                       const ast::UsePath& path, Entry::Kind kind) const;
  const PackageState* package_of(const PackageName& name) const;
  // Whether an item is in (gates of `attributes`); `span` is of the item's name.
  Result<bool> included(const ast::Attributes& attributes, Span span) const;
  Error error(Span span, std::string_view message) const {
    return sources_.error(ErrorKind::Invalid, span, message);
  }

  // interfaces.cc: where types are being defined.
  struct Place {
    const PackageState& package;
    const ast::PackageBody& body;
    OwnerKind owner_kind;
    uint32_t owner;
    TypeScope scope;
    UniqueNames names;
    // What refers to the types that are looked up: a field of a record, or an alias.
    Span referrer{};
  };
  // Defines what `uses` and `defs` name in `place`, in order of dependence; `defined` is told
  // each named type.
  struct Definitions {
    std::vector<const ast::Use*> uses;
    std::vector<const ast::TypeDef*> defs;
    std::vector<const ast::Func*> funcs;
  };
  struct UsedInterface {
    InterfaceId id;
    Stability stability;  // of the `use`
  };
  Result<void> define_types(Place& place, const Definitions& definitions,
                            std::vector<TypeId>& defined, std::vector<UsedInterface>* used);
  Result<void> use_types(Place& place, const ast::Use& use, std::vector<TypeId>& defined,
                         std::vector<UsedInterface>* used);
  Result<TypeId> define_type(Place& place, const ast::TypeDef& def);
  Result<void> check_members(const ast::TypeDef& def) const;
  // Adds the function to `functions` unless it is gated out. `def` is its resource's, or null.
  Result<void> define_function(Place& place, const ast::Func& func, const ast::TypeDef* def,
                               std::vector<Function>& functions, std::vector<Span>& spans);
  Result<Function> function(Place& place, const ast::Func& func, const ast::TypeDef* def);
  Result<InterfaceId> interface(const PackageState& package, const ast::PackageBody& body,
                                const ast::Interface& ast, bool named);
  Result<void> check_setters(const std::vector<Function>& functions,
                             const std::vector<Span>& spans) const;
  Result<Type> type(Place& place, const ast::TypeExpr& expr);
  Result<Type> named_type(const Place& place, const ast::Id& name, Span referrer) const;
  TypeId anonymous(TypeKind kind, std::vector<Type> args, uint32_t length = 0);
  TypeId add_type(TypeDef def);
  Type unaliased(Type t) const { return t.defined() ? unaliased_[t.id] : t; }
  bool contains_borrow(Type t) const { return t.defined() && contains_borrow_[t.id]; }

  // worlds.cc
  struct WorldState;
  Result<WorldId> world(const PackageState& package, const ast::PackageBody& body,
                        const ast::World& ast);
  Result<void> port(WorldState& state, const ast::Port& port);
  Result<void> include(WorldState& state, const ast::Include& include);
  Result<void> add_item(WorldState& state, bool exported, WorldItem item, Span span);
  Result<void> elaborate(WorldState& state, World& world);
  Type cloned(WorldId from, WorldId to, Type t, std::map<TypeId, TypeId>& map);
  // The interfaces that types of `id` are used from.
  std::vector<InterfaceId> dependencies(InterfaceId id) const;

  const SourceMap& sources_;
  const ResolveOptions& options_;
  std::vector<std::unique_ptr<PackageState>> packages_;
  std::map<PackageName, uint32_t> by_name_;
  uint32_t main_ = 0;
  const PackageState* current_ = nullptr;
  Resolve out_;
  std::vector<TypeScope> interface_scopes_;  // by InterfaceId
  std::vector<bool> contains_borrow_;        // by TypeId
  std::vector<Type> unaliased_;              // by TypeId: Resolve::unalias() of it
  std::map<std::pair<std::pair<TypeKind, uint32_t>, std::vector<Type>>, TypeId> anonymous_;
};

}  // namespace wafer::wit
