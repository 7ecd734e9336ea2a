// Types of components (Explainer.md, "Type Definitions"), in an arena.
//
// Each definition, and each import or export of a type, has a TypeId of its own, since whether
// a type has a name in the outside world is a fact of the definition. Types that are equal
// share TypeDef::canon.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "component/primitives.h"
#include "wasm/module.h"

namespace wafer::component {

using TypeId = uint32_t;
using ResourceId = uint32_t;  // of an abstract resource type

struct ValType {
  Prim prim = Prim::None;
  TypeId id = 0;

  static ValType of(TypeId id) { return {Prim::Defined, id}; }
  bool defined() const { return prim == Prim::Defined; }
  explicit operator bool() const { return prim != Prim::None; }
  bool operator==(const ValType&) const = default;
};

enum class TypeKind : uint8_t {
  Primitive,  // args[0]
  Record,
  Variant,
  List,
  FixedList,
  Tuple,
  Flags,
  Enum,
  Option,
  Result,  // args: ok and err, each may be absent
  Own,     // args[0] is the resource type
  Borrow,
  Stream,  // args[0] may be absent
  Future,
  Map,
  Func,  // labels are parameters, args[0] the result
  Component,
  Instance,
  Resource,
};

// Names and binary codes (Binary.md, "Type Definitions") of the kinds; 0 is no code of its own.
struct KindInfo {
  TypeKind kind;
  std::string_view name;
  uint8_t code;
};
inline constexpr uint8_t kAsyncFuncCode = 0x43;
inline constexpr KindInfo kKinds[] = {
    {TypeKind::Primitive, "primitive", 0},
    {TypeKind::Record, "record", 0x72},
    {TypeKind::Variant, "variant", 0x71},
    {TypeKind::List, "list", 0x70},
    {TypeKind::FixedList, "fixed-length list", 0x67},
    {TypeKind::Tuple, "tuple", 0x6f},
    {TypeKind::Flags, "flags", 0x6e},
    {TypeKind::Enum, "enum", 0x6d},
    {TypeKind::Option, "option", 0x6b},
    {TypeKind::Result, "result", 0x6a},
    {TypeKind::Own, "own", 0x69},
    {TypeKind::Borrow, "borrow", 0x68},
    {TypeKind::Stream, "stream", 0x66},
    {TypeKind::Future, "future", 0x65},
    {TypeKind::Map, "map", 0x63},
    {TypeKind::Func, "func", 0x40},
    {TypeKind::Component, "component", 0x41},
    {TypeKind::Instance, "instance", 0x42},
    {TypeKind::Resource, "resource", 0x3f},
};

// "[i32 i64] -> [f32]".
std::string signature_text(const wasm::FuncType& type);

// "record", "own" and so on.
constexpr std::string_view kind_name(TypeKind kind) {
  return kKinds[static_cast<size_t>(kind)].name;
}
constexpr uint8_t kind_code(TypeKind kind) { return kKinds[static_cast<size_t>(kind)].code; }
// The kind of a binary code; Primitive if no other has it.
constexpr TypeKind kind_of_code(uint8_t code) {
  for (const KindInfo& k : kKinds)
    if (k.code == code && code != 0) return k.kind;
  return TypeKind::Primitive;
}

struct Label {
  std::string name;
  ValType type;
};

enum class Sort : uint8_t { CoreModule, Func, Value, Type, Component, Instance };
std::string_view sort_name(Sort sort);

// What an import or export is: a Func, Component or Instance of type `type`, the type `type`
// itself, a core module of type `module`, or a value of type `value`.
struct Entity {
  Sort sort = Sort::Func;
  TypeId type = 0;
  uint32_t module = 0;
  ValType value;
  uint32_t number = 0;  // of a value: those that have the same are equal
  bool equal = false;   // it is the value that has the number; else the number stands for any
};

// Numbers of values that components define. Others are new for each instance.
inline constexpr uint32_t kConstantValue = 1u << 31;

// What a name says besides itself; none of it matters to matching.
struct Attributes {
  std::string implements, version_suffix, external_id;
};

struct NamedEntity {
  std::string name;
  Entity entity;
  Attributes attributes;
};

// Entities by name, in order.
class EntityList {
 public:
  void add(std::string name, const Entity& entity, Attributes attributes = {}) {
    index_.emplace(name, list_.size());
    list_.push_back({std::move(name), entity, std::move(attributes)});
  }
  const Entity* find(std::string_view name) const {
    auto it = index_.find(std::string(name));
    return it == index_.end() ? nullptr : &list_[it->second].entity;
  }
  size_t size() const { return list_.size(); }
  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }

 private:
  std::vector<NamedEntity> list_;
  std::unordered_map<std::string, size_t> index_;
};

// Of instances `imports` is empty, and `defined` are the resources that each instance of the
// type has for itself. Of components, `imported` are the resources that come in with imports,
// and `defined` those that each instantiation makes.
struct Shape {
  EntityList imports;
  EntityList exports;
  std::vector<ResourceId> imported;
  std::vector<ResourceId> defined;
};

// Size and alignment in linear memory for each pointer width (CanonicalABI.md, "Element Size"),
// by index 0: 32 bits, 1: 64 bits.
struct Layout {
  std::array<uint64_t, 2> size{};
  std::array<uint32_t, 2> align{1, 1};
  // Core values that it flattens to; 255 if they are that or more, which cannot stand as core
  // values.
  uint8_t flat = 0;
};

struct TypeDef {
  TypeKind kind = TypeKind::Primitive;
  bool is_async = false;
  std::vector<Label> labels;
  std::vector<ValType> args;
  uint32_t length = 0;
  ResourceId resource = 0;
  std::shared_ptr<const Shape> shape;

  // Made by TypeArena::add.
  TypeId canon = 0;
  bool has_borrow = false;
  bool has_resource = false;
  bool has_named = false;     // it is, or holds, a type that has to have a name outside
  bool has_value = false;     // it says that there are values
  bool needs_memory = false;  // holds a list or string
  Layout layout;              // of value types
  uint32_t weight = 1;        // definitions that this one is made of; bounded
  uint32_t exported = 0;      // by instances of the type, and by what these export
};

// One core extern type, with canonical types.
struct CoreExtern {
  wasm::ExternKind kind = wasm::ExternKind::Func;
  uint32_t type = 0;  // canonical id of a Func or Tag
  wasm::TableType table;
  wasm::MemoryType memory;
  wasm::GlobalType global;
};

struct CoreImport {
  std::string module;
  std::string name;
  CoreExtern type;
};

struct ModuleType {
  std::vector<CoreImport> imports;
  std::vector<std::pair<std::string, CoreExtern>> exports;
};

// Limits of this implementation; deeper or larger types are refused.
inline constexpr uint32_t kMaxTypeWeight = 1'000'000;
inline constexpr uint64_t kMaxElementSize = uint64_t{1} << 28;  // Binary.md
inline constexpr uint32_t kMaxTypeDepth = 100;
// Of what imports, exports and instances copy, altogether: little binary may do so often.
inline constexpr uint64_t kMaxTotalWeight = uint64_t{1} << 25;
inline constexpr uint64_t kEntityWeight = 6;  // in labels of a type

// Whether a type of this kind has to have a name where it is seen from outside.
constexpr bool needs_name(TypeKind kind) {
  return kind == TypeKind::Record || kind == TypeKind::Variant || kind == TypeKind::Flags ||
         kind == TypeKind::Enum || kind == TypeKind::Resource;
}

// What stands for what when a type is brought into another place. The results of a
// substitution are remembered in `types`, so that equal parts stay the same type, and in `same`
// what it leaves as it is.
struct Substitution {
  std::unordered_map<ResourceId, ResourceId> resources;
  std::unordered_map<TypeId, TypeId> types;
  std::unordered_set<TypeId> same;
  std::unordered_map<uint32_t, uint32_t> values;  // by number
  bool fresh_values = false;  // those that are not there get new numbers, unless constant

  // Where more is known of resources now.
  void forget_types() {
    types.clear();
    same.clear();
  }
};

class TypeArena {
 public:
  explicit TypeArena(std::shared_ptr<wasm::TypeRegistry> registry)
      : registry_(std::move(registry)) {}

  const TypeDef& operator[](TypeId id) const { return *types_[id].def; }
  // The type that an import or export gave this further name to.
  std::optional<TypeId> alias_of(TypeId id) const { return types_[id].alias_of; }
  wasm::TypeRegistry& core() const { return *registry_; }
  const std::shared_ptr<wasm::TypeRegistry>& registry() const { return registry_; }
  const ModuleType& module(uint32_t id) const { return *modules_[id]; }

  // Adds a definition, computing what follows from it. Exhaustion past a limit; Invalid for a
  // value type that is too large.
  wafer::Result<TypeId> add(TypeDef def);
  // Another name of `id`: equal to it, with an identity of its own.
  TypeId alias(TypeId id);
  TypeId add_resource(ResourceId id);
  uint64_t weight(const Entity& e) const;
  // Counts towards kMaxTotalWeight; Exhaustion past it.
  wafer::Result<void> spend(uint64_t weight);
  ResourceId fresh_resource() { return resources_++; }
  uint32_t fresh_value() { return ++values_; }
  // How many there are: ids from here on are fresh.
  ResourceId resource_count() const { return resources_; }
  // Whether the type refers to a resource that it does not bind itself.
  bool has_free_resource(TypeId id) const;
  uint32_t add_module(ModuleType type);

  // The same with resources and types replaced.
  wafer::Result<TypeId> substitute(TypeId id, Substitution& map);
  wafer::Result<Entity> substitute(const Entity& entity, Substitution& map);

  // Whether something of type `a` may stand where `b` is wanted; Invalid says why not.
  wafer::Result<void> match(const Entity& a, const Entity& b);
  wafer::Result<void> match_value(ValType a, ValType b) const;
  // Instantiates `component` with arguments that `argument` finds by name: checks them, and
  // gives the shape of the instance, whose own resources are fresh.
  template <class F>
  wafer::Result<Shape> instantiate(TypeId component, F&& argument) {
    return instantiate_with(component, [&](std::string_view name) { return argument(name); });
  }

  // Core types that values flatten to (CanonicalABI.md, "Flattening"); false if there are more
  // than `most`.
  bool flatten(ValType t, bool memory64, size_t most, std::vector<wasm::ValType>& out) const;

  Layout layout(ValType t) const;
  // How many flatten() gives; of none, 0.
  size_t flat_size(ValType t) const {
    return t.defined() ? (*this)[t.id].layout.flat : !t ? 0 : t.prim == Prim::String ? 2 : 1;
  }
  bool same(ValType a, ValType b) const { return canon(a) == canon(b); }
  bool has_borrow(ValType t) const { return t.defined() && (*this)[t.id].has_borrow; }
  bool needs_memory(ValType t) const {
    return t.prim == Prim::String || (t.defined() && (*this)[t.id].needs_memory);
  }
  // Names for messages.
  std::string_view describe(ValType t) const;

 private:
  uint64_t flat_size(const TypeDef& def) const;
  using Find = std::function<const Entity*(std::string_view)>;
  wafer::Result<Shape> instantiate_with(TypeId component, const Find& argument);
  wafer::Result<void> match_func(TypeId a, TypeId b) const;
  wafer::Result<void> match_type(TypeId a, TypeId b);
  wafer::Result<void> match_instance(const EntityList& a, const EntityList& b);
  wafer::Result<void> match_component(TypeId a, TypeId b);
  // Adds to `map` what stands for values and for resources of `open_set` in `wanted`, going by
  // names.
  wafer::Result<void> open(const Entity& given, const Entity& wanted,
                           const std::unordered_map<ResourceId, bool>& open_set, Substitution& map);
  // Makes the types that an import names those of its argument.
  void bind_types(const Entity& given, const Entity& wanted, Substitution& map) const;
  TypeId canon(ValType t) const;

  // Further names of a type share its definition.
  struct Entry {
    std::shared_ptr<const TypeDef> def;
    std::optional<TypeId> alias_of;
  };

  std::shared_ptr<wasm::TypeRegistry> registry_;
  std::vector<Entry> types_;
  std::vector<std::unique_ptr<ModuleType>> modules_;
  std::map<std::vector<uint64_t>, TypeId> canonical_;
  std::unordered_map<std::string, uint32_t> label_ids_;
  ResourceId resources_ = 0;
  uint32_t values_ = 0;
  uint32_t depth_ = 0;
  uint64_t spent_ = 0;
};

// Core subtyping of externs and of whole modules (Explainer.md; core specification 3.3).
wafer::Result<void> match_core(const wasm::TypeRegistry& registry, const CoreExtern& a,
                               const CoreExtern& b);
wafer::Result<void> match_module(const wasm::TypeRegistry& registry, const ModuleType& a,
                                 const ModuleType& b);

// A function type without names of parameters, and with nothing but the kind of handles of
// resources: "func(u32, record{x: u32, y: list<own>}) -> string". Ends after `most` characters.
std::string func_text(const TypeArena& types, const TypeDef& func, size_t most = 1 << 20);
// The same by nothing but its form, which is all that functions of C++ know of it: without names of
// fields and cases, records as tuples, maps as lists of them: "(u32, tuple<u32, list<own>>) ->
// string".
std::string func_form(const TypeArena& types, const TypeDef& func);
// Why a function type is not the one that func_text() or func_form() wrote; empty: it is. In a form
// "*" is any type.
std::string other_signature(const TypeArena& types, const TypeDef& func, std::string_view wanted);
// One type as func_form() writes it; and why one is not another, empty if it is.
std::string type_form(const TypeArena& types, ValType type);
std::string other_form(std::string_view found, std::string_view wanted);

}  // namespace wafer::component
