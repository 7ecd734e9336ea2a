// A decoded component (Explainer.md, "Component Definitions").
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/span.h"
#include "component/types.h"
#include "wafer/component_value.hpp"

namespace wafer::component {

enum class Feature : uint8_t {
#define COMPONENT_FEATURE(name, option, on) name,
#include "component/features.def"
#undef COMPONENT_FEATURE
  None,  // always there
};

class FeatureSet {
 public:
  bool has(Feature f) const { return f == Feature::None || (bits_ >> unsigned(f) & 1); }
  FeatureSet& set(Feature f, bool on = true) {
    bits_ = on ? bits_ | 1u << unsigned(f) : bits_ & ~(1u << unsigned(f));
    return *this;
  }
  static FeatureSet standard();

 private:
  uint32_t bits_ = 0;
};

// The word that switches a feature on the command line, and back.
std::string_view feature_option(Feature feature);
std::optional<Feature> feature_of_option(std::string_view option);

enum class CoreSort : uint8_t { Func, Table, Memory, Global, Tag, Type, Module, Instance };

enum class Builtin : uint8_t {
#define BUILTIN(code, id, name, feature, immediates, params, results) id,
#include "component/builtins.def"
#undef BUILTIN
};

enum class StringEncoding : uint8_t { Utf8, Utf16, Latin1Utf16 };

struct CanonOptions {
  StringEncoding encoding = StringEncoding::Utf8;
  bool encoding_given = false;
  bool is_async = false;
  std::optional<uint32_t> memory;       // core memory
  std::optional<uint32_t> realloc;      // core function
  std::optional<uint32_t> post_return;  // core function
  std::optional<uint32_t> callback;     // core function
};

class Component;

// What a component consists of, in order. Indices are of its index spaces.
struct CoreModuleDef {
  std::shared_ptr<wasm::Module> module;
  uint32_t begin = 0, end = 0;  // of its bytes
};
struct CoreInstantiate {
  uint32_t module = 0;
  std::vector<std::pair<std::string, uint32_t>> args;  // core instances by module name
};
struct CoreExportRef {
  std::string name;
  CoreSort sort = CoreSort::Func;
  uint32_t index = 0;
};
struct CoreInlineInstance {
  std::vector<CoreExportRef> exports;
};
struct ComponentDef {
  std::shared_ptr<Component> component;
};
// Sort::CoreModule and the component sorts, with an index.
struct SortIndex {
  Sort sort = Sort::Func;
  uint32_t index = 0;
};
struct NamedIndex {
  std::string name;
  SortIndex what;
  Entity entity;
};
struct Instantiate {
  uint32_t component = 0;
  std::vector<NamedIndex> args;
  TypeId type = 0;  // of the instance
};
struct InlineInstance {
  std::vector<NamedIndex> exports;
};
struct AliasExport {
  uint32_t instance = 0;
  std::string name;
  Sort sort = Sort::Func;
};
struct AliasCoreExport {
  uint32_t instance = 0;
  std::string name;
  CoreSort sort = CoreSort::Func;
};
struct AliasOuter {
  uint32_t count = 0;
  uint32_t index = 0;
  bool core = false;
  CoreSort core_sort = CoreSort::Type;  // Type or Module
  Sort sort = Sort::Type;               // Type or Component
};
struct ResourceDef {
  TypeId type = 0;
  bool rep64 = false;
  std::optional<uint32_t> destructor;  // core function
  TypeId destructor_type = 0;          // as a function of a component
};
struct CanonLift {
  uint32_t core_func = 0;
  TypeId type = 0;
  CanonOptions options;
};
struct CanonLower {
  uint32_t func = 0;
  TypeId type = 0;
  CanonOptions options;
  uint32_t signature = 0;  // canonical id of the core function's type
};
struct CanonBuiltin {
  Builtin builtin = Builtin::ResourceNew;
  ValType type;  // resource, stream, future, or what task.return takes
  CanonOptions options;
  bool is_async = false;
  uint32_t index = 0;      // slot of context.*
  uint32_t core_type = 0;  // canonical id of the immediate function type
  uint32_t table = 0;
  uint32_t signature = 0;  // canonical id of the core function's type
};
struct ValueDef {
  ValType type;
  Val value;
};
struct Start {
  uint32_t func = 0;
  TypeId type = 0;
  std::vector<uint32_t> args;  // values
  uint32_t results = 0;
};
struct Import {
  std::string name;
  Entity entity;
};
struct Export {
  std::string name;
  SortIndex what;
  Entity inferred;  // what is exported
  Entity entity;    // as what
};

using Definition =
    std::variant<CoreModuleDef, CoreInstantiate, CoreInlineInstance, ComponentDef, Instantiate,
                 InlineInstance, AliasExport, AliasCoreExport, AliasOuter, ResourceDef, CanonLift,
                 CanonLower, CanonBuiltin, ValueDef, Start, Import, Export>;

// Machine code that came with a component, for a module with these bytes; null: there is none.
using FindCode = std::function<std::shared_ptr<void>(Bytes module)>;

// What is compiled for calls between parts of a component, once for all of its instances.
struct AdapterCache {
  std::mutex mutex;
  FindCode find_code;  // empty: the engine makes code of them
  std::map<std::pair<const CanonLower*, const CanonLift*>, std::shared_ptr<void>> made;
  // What follows from the types of what is lowered.
  std::unordered_map<const CanonLower*, std::shared_ptr<void>> lowered, lowered_abi;
};

class Component {
 public:
  std::shared_ptr<TypeArena> types;  // shared with the components inside
  std::vector<Definition> definitions;
  TypeId type = 0;  // of kind Component
  uint32_t begin = 0, end = 0;

  const std::shared_ptr<AdapterCache> adapters = std::make_shared<AdapterCache>();

  const Shape& shape() const { return *(*types)[type].shape; }
};

struct DecodeOptions {
  FeatureSet features = FeatureSet::standard();
  wasm::FeatureSet core_features = wasm::FeatureSet::standard();
  std::shared_ptr<wasm::TypeRegistry> registry;
  // Decodes and validates core modules, in the registry; null: without code that exists.
  std::function<Result<std::shared_ptr<wasm::Module>>(Bytes)> load_module;
  // Adapters get their code from here, if it is there; one that has none is not used.
  FindCode find_code;
  // Whose the bytes are: core modules, which point into them, hold it (wasm::Module::owner).
  std::shared_ptr<const void> owner;
};

// The type of a core module as components see it.
ModuleType module_type_of(const wasm::Module& module);

// Whether `bytes` begin like a core module or a component.
bool is_binary(Bytes bytes);
// Whether they begin like a component (Binary.md, preamble).
bool is_component(Bytes bytes);

// Decodes and validates a component in one pass; core modules inside too, which keep pointing
// into `bytes`. Errors carry the byte offset.
Result<std::shared_ptr<Component>> decode(Bytes bytes, const DecodeOptions& options = {});

}  // namespace wafer::component
