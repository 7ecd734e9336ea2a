// The decoder's state: one Scope for each component, component type and instance type around
// the place that is read.
#pragma once

#include <array>
#include <unordered_set>

#include "component/component.h"
#include "component/names.h"
#include "wasm/cursor.h"

namespace wafer::component {

struct CoreTypeEntry {
  bool is_module = false;
  uint32_t id = 0;  // canonical id, or of a ModuleType
};

struct CoreItem {
  CoreSort sort = CoreSort::Func;
  CoreExtern type;
};

struct CoreInstanceShape {
  std::unordered_map<std::string, CoreItem> exports;
};

// Types that a part of a component's outside gives names to ("external visibility").
struct NamedTypes {
  std::unordered_set<TypeId> named;
  std::unordered_set<TypeId> seen;  // what was asked for already
};
// Several of them, and those around them. What has a name keeps it, so that nothing is asked for
// twice; the first type without one ends it all.
struct NamedIn {
  const NamedTypes& a;
  NamedTypes& b;
  const NamedIn* outer = nullptr;

  bool contains(TypeId t) const {
    for (const NamedIn* in = this; in; in = in->outer)
      if (in->a.named.contains(t) || in->b.named.contains(t)) return true;
    return false;
  }
  // False if it was asked for before.
  bool ask(TypeId t) const {
    for (const NamedIn* in = outer; in; in = in->outer)
      if (in->b.seen.contains(t)) return false;
    return b.seen.insert(t).second;
  }
};

// A value, which has to be consumed just once.
struct ValueEntry {
  ValType type;
  uint32_t number = 0;  // Entity::number
  bool consumed = false;
};

enum class ScopeKind : uint8_t { Component, ComponentType, InstanceType };

struct Scope {
  explicit Scope(ScopeKind k) : kind(k) {}
  ScopeKind kind;

  std::vector<CoreTypeEntry> core_types;
  Vec<uint32_t> core_ids;                       // canonical ids of these; of module types 0
  std::array<std::vector<CoreExtern>, 5> core;  // by wasm::ExternKind
  std::vector<uint32_t> core_modules;           // ModuleType
  std::vector<std::shared_ptr<CoreInstanceShape>> core_instances;
  std::vector<TypeId> types, funcs, instances, components;
  std::vector<ValueEntry> values;

  EntityList imports, exports;
  std::vector<ResourceId> imported, defined;
  std::unordered_map<ResourceId, bool> local_resources;  // defined here; whether i64 represents
  UniqueNames import_names, export_names;
  NamedTypes named_imports, named_exports;
  uint64_t weight = 0;  // of imports and exports
  // Resource types by the label that they are imported or exported with.
  std::unordered_map<std::string, TypeId> import_resources, export_resources;
  std::unordered_map<std::string, TypeId> import_getters, export_getters;  // functions by name
  std::optional<bool> context64;  // what context.get and context.set use

  void add_core_type(CoreTypeEntry entry) {
    core_types.push_back(entry);
    core_ids.push_back(entry.is_module ? 0 : entry.id);
  }
};

// Reads one component with all in it. Members are spread over decoder.cc (sections, instances,
// aliases), type_reader.cc, canon.cc and externs.cc.
class Decoder {
 public:
  Decoder(Bytes bytes, const DecodeOptions& options);
  Result<std::shared_ptr<Component>> run();

 private:
  using Cursor = wasm::Cursor;

  // decoder.cc
  Result<std::shared_ptr<Component>> component(uint32_t begin, uint32_t end);
  Result<void> section(uint8_t id, Cursor& c, Component& out);
  Result<void> core_module(Cursor& c, Component& out);
  Result<void> core_instance(Cursor& c, Component& out);
  Result<void> instance(Cursor& c, Component& out);
  Result<void> alias(Cursor& c, Component* out);
  Result<void> alias_export(uint32_t instance, std::string_view name, Sort sort, uint32_t at);
  Result<void> alias_outer(uint32_t count, uint32_t index, bool core, CoreSort core_sort, Sort sort,
                           uint32_t at);
  Result<TypeId> finish(Scope& scope, bool is_instance, uint32_t at);

  // type_reader.cc
  Result<void> core_type(Cursor& c, Scope& s, bool allow_module);
  Result<void> check_core_types(const Scope& s, const Vec<wasm::SubType>& group, uint32_t at) const;
  Result<uint32_t> module_type(Cursor& c);
  Result<CoreExtern> core_extern(Cursor& c, const Scope& types);
  Result<TypeId> type(Cursor& c, Component* out);
  Result<TypeId> value_type(Cursor& c, uint8_t code, uint32_t at);
  Result<TypeId> func_type(Cursor& c, bool is_async, uint32_t at);
  Result<TypeId> scope_type(Cursor& c, ScopeKind kind);
  Result<TypeId> resource_type(Cursor& c, Component* out, uint32_t at);
  Result<ValType> val_type(Cursor& c);
  Result<ValType> optional_val_type(Cursor& c);
  Result<std::string> label(Cursor& c, const char* what, UniqueNames& names);
  Result<ValType> result_list(Cursor& c);

  // canon.cc
  Result<void> canon(Cursor& c, Component& out);
  Result<void> lift(Cursor& c, Component& out, uint32_t at);
  Result<void> lower(Cursor& c, Component& out, uint32_t at);
  Result<void> builtin(Cursor& c, Component& out, uint8_t code, uint32_t at);
  Result<CanonOptions> canon_options(Cursor& c);
  Result<bool> pointers64(const CanonOptions& options, uint32_t at) const;
  Result<void> need(const CanonOptions& options, bool memory, bool realloc, uint32_t at) const;
  // Gives its canonical id.
  uint32_t add_core_func(const wasm::FuncType& type);

  // values.cc
  Result<void> value_definition(Cursor& c, Component& out);
  Result<Val> value(Cursor& c, ValType type, uint32_t depth = 0) const;
  Result<void> start(Cursor& c, Component& out);
  void add_value(ValType type, uint32_t number);
  // The value at `index`, which is consumed here.
  Result<ValueEntry> consume(uint32_t index, uint32_t at);
  Result<void> check_exported_value(const Entity& entity, uint32_t at) const;
  // All values of a component that ends at `at` have to be consumed.
  Result<void> check_consumed(uint32_t at) const;

  // externs.cc
  struct Name {
    std::string text;
    Attributes attributes;
  };
  Result<Name> extern_name(Cursor& c, const char* what);
  Result<Entity> extern_type(Cursor& c);
  Result<void> import(Cursor& c, Component* out);
  Result<void> export_definition(Cursor& c, Component& out);
  Result<void> export_declaration(Cursor& c);
  Result<void> check_name(const Name& name, const Entity& entity, bool exported, uint32_t at);
  Result<void> check_function_name(const Name& name, const ExternName& parsed, const Entity& entity,
                                   bool exported, uint32_t at);
  NameOptions name_options() const;
  // Counts an import or export of the scope.
  Result<void> weigh(const Entity& entity, uint32_t at);
  bool is_named(ValType t, const NamedIn& in) const;
  bool is_named(const Entity& entity, const NamedIn& in) const;
  void name_types(const Entity& entity, NamedTypes& named) const;
  // Gives an instance type's own resources to the scope; fresh ones where `entity` comes in.
  Result<Entity> bring_in(const Entity& entity, std::vector<ResourceId>& resources);
  Result<void> add_entity(const Entity& entity);
  Result<SortIndex> sort_index(Cursor& c);
  // What is there, for use: a value is consumed.
  Result<Entity> entity_at(const SortIndex& s, uint32_t at);

  // Adds a type to the arena; errors are at `at`.
  Result<TypeId> add(TypeDef def, uint32_t at);
  uint32_t nesting(TypeId id);
  uint32_t nesting(const TypeDef& def);

  // Shared.
  Error error(uint32_t at, std::string_view message) const {
    return {ErrorKind::Invalid, message, at};
  }
  Error malformed(uint32_t at, std::string_view message) const {
    return {ErrorKind::Malformed, message, at};
  }
  // A byte that stands where one is wanted that says what follows (`what`).
  Error leading(uint32_t at, uint32_t byte, std::string_view what) const;
  Error at(Error e, uint32_t offset) const {
    e.offset = offset;
    return e;
  }
  Result<void> enabled(Feature feature, std::string_view what, uint32_t at) const;
  Result<uint8_t> byte(Cursor& c) const;
  Result<uint32_t> u32(Cursor& c) const;
  Result<uint32_t> count(Cursor& c, const char* what) const;
  Result<std::string> string(Cursor& c) const;
  template <class T>
  Result<void> check_index(const std::vector<T>& space, uint32_t index, std::string_view what,
                           uint32_t at) const {
    if (index < space.size()) return {};
    return error(at, "unknown " + std::string(what) + " " + std::to_string(index) + ": " +
                         std::string(what) + " index out of bounds");
  }
  Scope& scope() { return *scopes_.back(); }
  const Scope& scope() const { return *scopes_.back(); }
  TypeArena& types() { return *arena_; }
  const TypeArena& types() const { return *arena_; }

  Bytes bytes_;
  DecodeOptions options_;
  std::shared_ptr<TypeArena> arena_;
  std::vector<std::unique_ptr<Scope>> scopes_;  // innermost last
  // What instances of a module export, by its ModuleType.
  std::unordered_map<uint32_t, std::shared_ptr<CoreInstanceShape>> module_shapes_;
  std::vector<uint32_t> nesting_;  // of types, as far as it was asked for; 0: not
  uint32_t constants_ = 0;         // values that components define
};

// Limits of this implementation.
inline constexpr uint32_t kMaxDefinitions = 1'000'000;  // in any index space
inline constexpr uint32_t kMaxScopes = 100;
// Types within types, which functions that call themselves look through.
inline constexpr uint32_t kMaxTypeNesting = 500;

}  // namespace wafer::component
