// Writes components in binary form (Binary.md), definition by definition. Nothing is validated;
// each function gives the index of what it adds, in the index space where that goes.
#pragma once

#include <array>
#include <string_view>

#include "base/source_bytes.h"
#include "component/builtins.h"

namespace wafer::component {

// In what a writer is given, ValType::id and the ids in a TypeDef are indices of the type space.

// A name with its attributes, as imports and exports have it.
struct WrittenName {
  std::string_view text;
  Attributes attributes;

  WrittenName(std::string_view t) : text(t) {}
  WrittenName(const std::string& t) : text(t) {}
  WrittenName(const char* t) : text(t) {}
  WrittenName(std::string_view t, Attributes a) : text(t), attributes(std::move(a)) {}
};

// The type of an import or export (Binary.md, externtype).
struct ExternType {
  Sort sort = Sort::Func;
  uint32_t index = 0;  // of the type; of core modules, in the space of core types
  // Of a type: that it is some resource, rather than equal to the one at `index`. Of a value:
  // that it has the type `value`, rather than being equal to the value at `index`.
  bool bound = false;
  ValType value;

  static ExternType of(Sort sort, uint32_t index) { return {sort, index, false, {}}; }
  static ExternType resource() { return {Sort::Type, 0, true, {}}; }
};

// What an import or export of a core module is; type indices are of the module type's own space.
struct CoreExternType {
  wasm::ExternKind kind = wasm::ExternKind::Func;
  uint32_t type = 0;  // of a Func or Tag
  wasm::TableType table;
  wasm::MemoryType memory;
  wasm::GlobalType global;

  static CoreExternType of(const wasm::ExternType& type) {
    return {type.kind, type.type_index, type.table, type.memory, type.global};
  }
};

// Immediates of a canonical built-in; those that it has not stay unread.
struct BuiltinArgs {
  ValType type;          // index of a resource, stream or future type; what task.return takes
  CanonOptions options;  // options, or just the memory
  bool is_async = false;
  wasm::ValType context = wasm::kI32;  // of context.get and context.set
  uint32_t index = 0;                  // slot of these
  uint32_t core_type = 0;              // index of a function type
  uint32_t table = 0;
};

// A core module's type.
class ModuleTypeWriter {
 public:
  uint32_t func_type(const wasm::FuncType& type);
  // `count` type definitions that are encoded already, recursive groups among them.
  uint32_t raw_types(Bytes bytes, uint32_t groups, uint32_t types);
  uint32_t alias_outer_type(uint32_t levels, uint32_t index);
  void import(std::string_view module, std::string_view name, const CoreExternType& type);
  void export_(std::string_view name, const CoreExternType& type);

 private:
  friend class DefinitionWriter;
  Vec<uint8_t> bytes_;
  uint32_t count_ = 0, types_ = 0;
};

class TypeWriter;

// What components, component types and instance types have in common.
class DefinitionWriter {
 public:
  virtual ~DefinitionWriter() = default;

  // The size of an index space, which is the next index.
  uint32_t count(Sort sort) const { return counts_[static_cast<size_t>(sort)]; }
  uint32_t count(CoreSort sort) const;

  uint32_t core_func_type(const wasm::FuncType& type);
  uint32_t core_module_type(const ModuleTypeWriter& type);
  // One entry of a core type section that is encoded already, which adds `types` to the space.
  uint32_t raw_core_type(Bytes bytes, uint32_t types = 1);
  // A value or function type.
  uint32_t type(const TypeDef& def);
  // A component or instance type.
  uint32_t type(const TypeWriter& scope);

  // `sort` is Type, Component or CoreModule.
  uint32_t alias_outer(uint32_t levels, uint32_t index, Sort sort);
  uint32_t alias_outer_core_type(uint32_t levels, uint32_t index);
  uint32_t alias_export(uint32_t instance, std::string_view name, Sort sort);

  uint32_t import(const WrittenName& name, const ExternType& type);

 protected:
  enum class Item : uint8_t { CoreType, Type, Alias, Import, Export };
  // Where the next definition of a kind is to be written.
  virtual Vec<uint8_t>& begin(Item item) = 0;
  uint32_t next(Sort sort) { return counts_[static_cast<size_t>(sort)]++; }
  uint32_t next(CoreSort sort) { return core_counts_[static_cast<size_t>(sort)]++; }

  std::array<uint32_t, 6> counts_{};       // core modules are counted here
  std::array<uint32_t, 8> core_counts_{};  // by CoreSort, but for modules
};

// A component type or an instance type.
class TypeWriter : public DefinitionWriter {
 public:
  // `kind` is Component or Instance.
  explicit TypeWriter(TypeKind kind) : kind_(kind) {}

  uint32_t export_(const WrittenName& name, const ExternType& type);
  bool empty() const { return declarations_ == 0; }

 private:
  friend class DefinitionWriter;
  Vec<uint8_t>& begin(Item item) override;

  TypeKind kind_;
  Vec<uint8_t> bytes_;
  uint32_t declarations_ = 0;
};

// The sections of a component. Definitions of one kind that follow each other share one.
class SectionWriter {
 public:
  SectionWriter();

  // Where the next definition of section `id` is to be written.
  SourceBytes& definition(uint8_t id);
  // A section that holds just one thing: a module, a component, a start definition.
  void whole(uint8_t id, Bytes contents, const Vec<SourceBytes::Mark>& marks = {});
  void custom(std::string_view name, Bytes contents);
  // The definitions that follow do not share the section at hand.
  void flush();
  // The component, with the marks of its parts; the writer is spent then.
  SourceBytes finish();

 private:
  SourceBytes out_;
  uint8_t section_ = 0;  // 0: none
  uint32_t count_ = 0;
  SourceBytes body_;
};

// A component.
class ComponentWriter : public DefinitionWriter {
 public:
  // Core modules and components are taken as they are.
  uint32_t core_module(Bytes bytes);
  uint32_t component(Bytes bytes);

  // Arguments are core instances by the module name that they stand for.
  struct CoreArg {
    std::string_view name;
    uint32_t instance;
  };
  uint32_t core_instantiate(uint32_t module, const std::vector<CoreArg>& args);
  uint32_t core_instance(const std::vector<CoreExportRef>& exports);
  uint32_t alias_core_export(uint32_t instance, std::string_view name, CoreSort sort);

  struct Arg {
    WrittenName name;
    SortIndex what;
  };
  uint32_t instantiate(uint32_t component, const std::vector<Arg>& args);
  uint32_t instance(const std::vector<Arg>& exports);

  using DefinitionWriter::type;
  // A resource type of this component.
  uint32_t resource(bool rep64, std::optional<uint32_t> destructor);

  uint32_t lift(uint32_t core_func, const CanonOptions& options, uint32_t type);
  uint32_t lower(uint32_t func, const CanonOptions& options);
  uint32_t builtin(Builtin builtin, const BuiltinArgs& args);
  // Values are consumed; `results` values come to be.
  uint32_t start(uint32_t func, const std::vector<uint32_t>& args, uint32_t results);

  // The index that the exported definition gets in its space.
  uint32_t export_(const WrittenName& name, SortIndex what,
                   const std::optional<ExternType>& ascribed = std::nullopt);

  void custom(std::string_view name, Bytes contents);
  // Names for people: of the component itself, and of what is in the index spaces.
  struct NameMap {
    std::variant<Sort, CoreSort> sort;
    std::vector<std::pair<uint32_t, std::string>> names;  // by rising index
  };
  void names(std::string_view component, const std::vector<NameMap>& maps);

  // The whole; the writer is spent then.
  Vec<uint8_t> finish();

 private:
  Vec<uint8_t>& begin(Item item) override;

  SectionWriter sections_;
};

// What every component begins with.
inline constexpr uint8_t kPreamble[] = {0x00, 0x61, 0x73, 0x6d, 0x0d, 0x00, 0x01, 0x00};

// ---- Parts --------------------------------------------------------------------------

void write_name(Vec<uint8_t>& out, std::string_view name);
void write_bytes(Vec<uint8_t>& out, Bytes bytes);
void write_core_func_type(Vec<uint8_t>& out, const wasm::FuncType& type);
void write_table_type(Vec<uint8_t>& out, const wasm::TableType& type);
void write_memory_type(Vec<uint8_t>& out, const wasm::MemoryType& type);
void write_global_type(Vec<uint8_t>& out, const wasm::GlobalType& type);
// With the byte that tells its kind, as imports of core modules have it.
void write_core_extern_type(Vec<uint8_t>& out, const CoreExternType& type);
// A custom section with its id and size, of components and core modules alike.
void write_custom_section(Vec<uint8_t>& out, std::string_view name, Bytes contents);

}  // namespace wafer::component
