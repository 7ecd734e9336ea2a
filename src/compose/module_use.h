// What the imports and exports of a core module mean in terms of the world that it is made for,
// told by their names: those of BuildTargets.md ("cm32p2"), and those that came before them.
#pragma once

#include <map>
#include <set>

#include "component/builtins.h"
#include "component/writer.h"
#include "wit/abi.h"
#include "wit/component_type.h"

namespace wafer::compose {

inline constexpr size_t kRoot = ~size_t{0};  // instead of an item: the world itself

// The world that modules are looked at with.
struct WorldContext {
  const wit::Resolve& resolve;
  const wit::World& world;
  wit::AbiTypes& abi;
  std::set<std::string> adapters;  // by the module names that they stand for

  const wit::WorldItem& item(bool exported, size_t index) const {
    return exported ? world.exports[index] : world.imports[index];
  }
  // The name of an import or export: a label, or "ns:package/interface@version".
  std::string key(const wit::WorldItem& item) const {
    return item.name.empty() ? resolve.interface_name(item.interface) : item.name;
  }
};

// An import of a core module.
struct ImportUse {
  enum class Kind : uint8_t {
    Function,     // one of the world, or of an interface that it imports
    Builtin,      // a canonical built-in
    AdapterFunc,  // a function of an adapter
    MainMemory,   // the memory that all share
    MainExport,   // what the main module exports
    TlsGet,
    TlsSet,  // where data of a thread begins
  };
  std::string module, name;
  std::string meant;  // the name before it was made unlike others
  Kind kind = Kind::Function;
  wasm::ExternType extern_type;  // with indices of the module
  wasm::FuncType type;           // of a function

  // Function; of built-ins, the function that they serve or whose types they name.
  size_t item = kRoot;    // in the world's imports or exports
  bool exported = false;  // which of them
  const wit::Function* function = nullptr;
  bool is_async = false;

  component::Builtin builtin = component::Builtin::ResourceNew;
  component::BuiltinArgs args;          // but for types, memory and realloc
  std::optional<wit::TypeId> wit_type;  // resource, stream or future
  bool unit = false;                    // a stream or future of nothing
};

// An exported function that is lifted.
struct ExportUse {
  std::string name;
  size_t item = 0;
  const wit::Function* function = nullptr;
  wit::AbiVariant abi = wit::AbiVariant::Export;
  std::string callback, post_return;  // names of exports
};

struct ModuleUse {
  std::vector<ImportUse> imports;
  std::vector<ExportUse> exports;
  std::map<std::pair<size_t, wit::TypeId>, std::string> destructors;  // by item and resource
  std::optional<std::string> memory, realloc, import_realloc, export_realloc, adapter_realloc,
      initialize, table;
  wasm::MemoryType memory_type;
  std::optional<wasm::MemoryType> imported_memory;
  std::map<std::string, wasm::FuncType> functions;  // all that are exported

  const std::optional<std::string>& realloc_of_imports() const {
    return import_realloc ? import_realloc : realloc;
  }
  const std::optional<std::string>& realloc_of_exports() const {
    return export_realloc ? export_realloc : realloc;
  }
  const std::optional<std::string>& realloc_of_adapters() const {
    return adapter_realloc ? adapter_realloc : realloc;
  }
};

// Names of imports that were changed, and what they were.
using RenamedImports = std::map<std::pair<std::string, std::string>, std::string>;

// A component gives imports by name, so no two of a module may have one. Gives further ones of a
// name other names; the module stays as it is if there are none.
Result<RenamedImports> rename_duplicate_imports(Vec<uint8_t>& module);

// Looks at a module that has to export the items `required` of the world's exports. Bodies of
// functions are not validated. Invalid if an import is none that a component can give, or if
// something is missing or of another type.
Result<ModuleUse> look_at(const WorldContext& context, Bytes module,
                          const std::set<size_t>& required, const RenamedImports& renamed = {});

}  // namespace wafer::compose
