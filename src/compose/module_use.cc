#include "compose/module_use.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "base/leb128.h"
#include "base/semver.h"
#include "component/names.h"
#include "component/sections.h"
#include "wasm/decoder.h"
#include "wasm/validator.h"

namespace wafer::compose {

namespace {

namespace cm = component;
using wit::AbiVariant;
using wit::ItemKind;

Error invalid(const std::string& what) { return {ErrorKind::Invalid, what}; }

bool take_prefix(std::string_view& s, std::string_view prefix) {
  if (!s.starts_with(prefix)) return false;
  s.remove_prefix(prefix.size());
  return true;
}
bool take_suffix(std::string_view& s, std::string_view suffix) {
  if (!s.ends_with(suffix)) return false;
  s.remove_suffix(suffix.size());
  return true;
}

Result<void> expect(std::string_view name, const wasm::FuncType& wanted,
                    const wasm::FuncType& found) {
  if (wanted.params == found.params && wanted.results == found.results) return {};
  return invalid("type mismatch for function `" + std::string(name) + "`: expected " +
                 cm::signature_text(wanted) + ", found " + cm::signature_text(found));
}

wasm::FuncType func_type(std::initializer_list<wasm::ValType> params,
                         std::initializer_list<wasm::ValType> results) {
  wasm::FuncType out;
  out.params.assign(params.begin(), params.end());
  out.results.assign(results.begin(), results.end());
  return out;
}

// "ns:package/interface@0.2" for a version 0.2.x.
std::string canonical_name(const wit::Resolve& r, wit::InterfaceId id) {
  wit::PackageName name = r.packages[r.interfaces[id].package].name;
  if (!name.version.empty()) name.version = compatible_version(name.version);
  return name.item_text(r.interfaces[id].name);
}

constexpr std::string_view kStandard = "cm32p2";
constexpr std::string_view kExportPrefix = "[export]";  // of modules that built-ins come from

// What a world has, by name.
class WorldNames {
 public:
  explicit WorldNames(const WorldContext& context) : c_(context) {
    for (const bool exported : {false, true}) {
      const auto& items = exported ? c_.world.exports : c_.world.imports;
      Side& side = sides_[exported];
      for (size_t i = 0; i < items.size(); ++i) {
        const wit::WorldItem& item = items[i];
        if (!item.name.empty()) side.plain.try_emplace(item.name, i);
        if (item.kind != ItemKind::Interface) continue;
        const std::string key = c_.key(item);
        side.interfaces.try_emplace(key, i);
        if (item.name.empty()) side.compatible.try_emplace(std::string(cm::common_name(key)), i);
        side.standard[item.name.empty() ? canonical_name(c_.resolve, item.interface) : item.name]
            .push_back(i);
      }
    }
  }

  // The item of a plain name.
  size_t plain(bool exported, std::string_view name) const {
    return find(sides_[exported].plain, std::string(name));
  }
  // The interface of a name, or one of a compatible version.
  size_t interface(bool exported, std::string_view name) const {
    const Side& side = sides_[exported];
    const size_t same = find(side.interfaces, std::string(name));
    return same != kRoot ? same : find(side.compatible, std::string(cm::common_name(name)));
  }
  size_t same_interface(bool exported, std::string_view name) const {
    return find(sides_[exported].interfaces, std::string(name));
  }
  // Those of a name without what compatible versions differ in.
  const std::vector<size_t>& standard(bool exported, std::string_view name) const {
    static const std::vector<size_t> none;
    const auto it = sides_[exported].standard.find(std::string(name));
    return it == sides_[exported].standard.end() ? none : it->second;
  }

  const wit::Function* function(wit::InterfaceId id, std::string_view name) {
    const auto& functions = of(id).functions;
    const auto it = functions.find(name);
    return it == functions.end() ? nullptr : it->second;
  }
  std::optional<wit::TypeId> type(wit::InterfaceId id, std::string_view name) {
    const auto& types = of(id).types;
    const auto it = types.find(name);
    return it == types.end() ? std::nullopt : std::optional(it->second);
  }

 private:
  using Places = std::unordered_map<std::string, size_t>;
  struct Side {
    Places plain, interfaces, compatible;
    std::unordered_map<std::string, std::vector<size_t>> standard;
  };
  struct Interface {
    std::unordered_map<std::string_view, const wit::Function*> functions;
    std::unordered_map<std::string_view, wit::TypeId> types;
  };

  static size_t find(const Places& places, const std::string& name) {
    const auto it = places.find(name);
    return it == places.end() ? kRoot : it->second;
  }
  const Interface& of(wit::InterfaceId id) {
    const auto [it, fresh] = interfaces_.try_emplace(id);
    if (fresh) {
      const wit::Interface& from = c_.resolve.interfaces[id];
      for (const wit::Function& f : from.functions) it->second.functions.try_emplace(f.name, &f);
      for (wit::TypeId t : from.types) it->second.types.try_emplace(c_.resolve.types[t].name, t);
    }
    return it->second;
  }

  const WorldContext& c_;
  Side sides_[2];
  std::unordered_map<wit::InterfaceId, Interface> interfaces_;
};

class Looker {
 public:
  Looker(const WorldContext& context, const std::set<size_t>& required,
         const RenamedImports& renamed)
      : c_(context), names_(context), required_(required), renamed_(renamed) {}

  Result<ModuleUse> run(Bytes bytes) {
    wasm::DecodeOptions options;
    options.features = wasm::FeatureSet::all();
    options.copy_bytes = false;
    options.validate = false;
    WAFER_LET(module, wasm::decode_module(bytes, options));
    WAFER_TRY(wasm::validate_before_code(*module));
    m_ = module.get();
    std::set<std::pair<std::string, std::string>> names;
    for (const wasm::Import& i : m_->imports) {
      const std::string from(std::string_view(i.module)), name(std::string_view(i.name));
      if (!names.emplace(from, name).second)
        return invalid("module has duplicate import for `" + from + "::" + name + "`");
      const auto original = renamed_.find({from, name});
      const std::string& meant = original == renamed_.end() ? name : original->second;
      auto use = import(from, meant, i.type);
      if (!use.ok())
        return invalid("failed to resolve import `" + from + "::" + name +
                       "`: " + std::string(use.error().message));
      use->module = from;
      use->name = name;
      use->meant = meant;
      use->extern_type = i.type;
      out_.imports.push_back(std::move(*use));
    }
    for (const wasm::Export& e : m_->exports) {
      auto done = export_(e);
      if (!done.ok())
        return invalid("failed to classify export `" + std::string(std::string_view(e.name)) +
                       "`: " + std::string(done.error().message));
    }
    WAFER_TRY(check_exports());
    return std::move(out_);
  }

 private:
  // ---- Imports ------------------------------------------------------------------------

  Result<ImportUse> import(std::string_view from, std::string_view name,
                           const wasm::ExternType& type) {
    ImportUse out;
    if (from == "env" && name == "memory" && type.kind == wasm::ExternKind::Memory) {
      if (out_.imported_memory) return invalid("module has multiple imports for memory");
      out.kind = ImportUse::Kind::MainMemory;
      out_.imported_memory = type.memory;
      return out;
    }
    if (from == "__main_module__") {
      out.kind = ImportUse::Kind::MainExport;
      if (type.kind == wasm::ExternKind::Func) out.type = m_->types[type.type_index].func;
      return out;
    }
    if (type.kind != wasm::ExternKind::Func)
      return invalid("module is only allowed to import functions");
    out.type = m_->types[type.type_index].func;
    if (c_.adapters.contains(std::string(from))) {
      out.kind = ImportUse::Kind::AdapterFunc;
      return out;
    }
    if (from.starts_with(kStandard)) return standard_import(std::move(out), from, name);
    if (from == "env") {
      if (auto use = env_import(out, name)) return *use;
    }
    if (from == "$root") return root_import(std::move(out), name);
    const bool exported = take_prefix(from, kExportPrefix);
    if (exported && from == "$root") {
      WAFER_LET(found, special(out, name, true, kRoot));
      if (found) return out;
      return invalid("unknown function `" + std::string(name) + "`");
    }
    WAFER_LET(item, interface(from, exported));
    if (!exported) {
      std::string_view plain = name;
      out.is_async = take_prefix(plain, "[async-lower]");
      if (const wit::Function* f = function(false, item, plain))
        return lowered(std::move(out), *f, item);
      out.is_async = false;
    }
    WAFER_LET(found, special(out, name, exported, item));
    if (found) return out;
    if (exported) return invalid("unknown function `" + std::string(name) + "`");
    return invalid("import interface `" + std::string(from) + "` is missing function `" +
                   std::string(name) + "` that is required by the module");
  }

  Result<ImportUse> lowered(ImportUse out, const wit::Function& f, size_t item) {
    out.kind = ImportUse::Kind::Function;
    out.function = &f;
    out.item = item;
    const auto variant = out.is_async ? AbiVariant::ImportAsync : AbiVariant::Import;
    WAFER_TRY(expect(f.name, c_.abi.signature(f, variant).type, out.type));
    return out;
  }

  std::optional<ImportUse> env_import(ImportUse out, std::string_view name) {
    using Kind = ImportUse::Kind;
    const bool get = name.starts_with("__wasm_get_"), set = name.starts_with("__wasm_set_");
    if (!get && !set) return std::nullopt;
    const std::string_view what = name.substr(std::string_view("__wasm_get_").size());
    const Vec<wasm::ValType>& value = get ? out.type.results : out.type.params;
    if (value.empty() || (what != "stack_pointer" && what != "tls_base")) return std::nullopt;
    out.args.context = value[0];
    if (what == "tls_base") {
      out.kind = get ? Kind::TlsGet : Kind::TlsSet;
      return out;
    }
    out.kind = Kind::Builtin;
    out.builtin = get ? cm::Builtin::ContextGet : cm::Builtin::ContextSet;
    return out;
  }

  Result<ImportUse> root_import(ImportUse out, std::string_view name) {
    WAFER_LET(builtin, plain_builtin(out, name));
    if (builtin) return out;
    std::string_view plain = name;
    out.is_async = take_prefix(plain, "[async-lower]");
    const size_t i = names_.plain(false, plain);
    if (i != kRoot && c_.world.imports[i].kind == ItemKind::Function)
      return lowered(std::move(out), c_.world.imports[i].function, i);
    out.is_async = false;
    WAFER_LET(found, special(out, name, false, kRoot));
    if (found) return out;
    if (i != kRoot)
      return invalid("expected world top-level import `" + std::string(name) +
                     "` to be a function");
    return invalid("no top-level imported function `" + std::string(name) + "` specified");
  }

  // The built-in of "[stream-read-0]f": as builtins.def has it, with hyphens, and what follows.
  struct BuiltinName {
    const cm::BuiltinInfo* info = nullptr;
    std::string_view suffix, rest;  // "0", "f"
    bool is_async = false;
  };
  static BuiltinName builtin_name(std::string_view name) {
    BuiltinName out;
    out.is_async = take_prefix(name, "[async-lower]");
    if (!take_prefix(name, "[") || name.find(']') == name.npos) return out;
    const size_t length = name.find(']');
    const std::string_view word = name.substr(0, length);
    out.rest = name.substr(length + 1);
    size_t longest = 0;
    for (const cm::BuiltinInfo& b : cm::kBuiltins) {
      std::string dashed(b.name);
      std::replace(dashed.begin(), dashed.end(), '.', '-');
      if (dashed.size() <= longest || !word.starts_with(dashed)) continue;
      if (word.size() != dashed.size() && word[dashed.size()] != '-') continue;
      longest = dashed.size();
      out.info = &b;
      out.suffix =
          word.size() == dashed.size() ? std::string_view() : word.substr(dashed.size() + 1);
    }
    return out;
  }

  // The core type of a built-in; pointers have 32 bits, but for those that `pointer` tells.
  static wasm::FuncType builtin_type(const cm::BuiltinInfo& info, wasm::ValType value,
                                     wasm::ValType pointer) {
    wasm::FuncType out;
    const auto letters = [&](std::string_view text, Vec<wasm::ValType>& list) {
      for (char letter : text)
        list.push_back(letter == 'l'   ? wasm::kI64
                       : letter == 'v' ? value
                       : letter == 'p' ? pointer
                                       : wasm::kI32);
    };
    letters(info.params, out.params);
    letters(info.results, out.results);
    return out;
  }

  // Built-ins that concern no type of the world.
  Result<bool> plain_builtin(ImportUse& out, std::string_view name) {
    const BuiltinName b = builtin_name(name);
    if (!b.info || !b.rest.empty()) return false;
    if (b.info->builtin == cm::Builtin::TaskCancel) return false;  // concerns an export
    for (char immediate : b.info->immediates)
      if (std::string_view("LRSFrh").find(immediate) != std::string_view::npos) return false;
    if (b.is_async && b.info->immediates.find('a') == std::string_view::npos) return false;
    wasm::ValType pointer = wasm::kI32;
    std::string_view suffix = b.suffix;
    out.args.is_async = b.is_async;
    switch (b.info->builtin) {
      case cm::Builtin::ContextGet:
      case cm::Builtin::ContextSet: {
        if (take_prefix(suffix, "i64-"))
          out.args.context = wasm::kI64;
        else
          take_prefix(suffix, "i32-");
        if (!number(suffix, out.args.index)) return false;
        break;
      }
      case cm::Builtin::WaitableSetWait:
      case cm::Builtin::WaitableSetPoll:
        if (suffix == "i64")
          pointer = wasm::kI64;
        else if (!suffix.empty() && suffix != "i32")
          return false;
        break;
      case cm::Builtin::ErrorContextNew:
      case cm::Builtin::ErrorContextDebugMessage:
        out.args.options.encoding_given = true;
        if (suffix == "utf16")
          out.args.options.encoding = cm::StringEncoding::Utf16;
        else if (suffix == "latin1+utf16")
          out.args.options.encoding = cm::StringEncoding::Latin1Utf16;
        else if (suffix != "utf8")
          return false;
        break;
      case cm::Builtin::ThreadNewIndirect:
        if (suffix != "v0") return false;
        break;
      default:
        if (!suffix.empty()) return false;
    }
    out.kind = ImportUse::Kind::Builtin;
    out.builtin = b.info->builtin;
    WAFER_TRY(expect(name, builtin_type(*b.info, out.args.context, pointer), out.type));
    return true;
  }

  static bool number(std::string_view text, uint32_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
  }

  // Built-ins that concern a resource, stream, future or function of an import or export.
  Result<bool> special(ImportUse& out, std::string_view name, bool exported, size_t item) {
    const BuiltinName b = builtin_name(name);
    if (!b.info) return false;
    out.kind = ImportUse::Kind::Builtin;
    out.builtin = b.info->builtin;
    out.exported = exported;
    out.item = item;
    const char first = b.info->immediates.empty() ? 0 : b.info->immediates[0];
    switch (first) {
      case 'L':
      case 'R': {
        if (!b.suffix.empty() || b.is_async || (first == 'L' && !exported)) return false;
        return resource(out, b.rest, *b.info, name);
      }
      case 'r': {
        if (!exported || !b.suffix.empty() || b.is_async) return false;
        const wit::Function* f = function(true, item, b.rest);
        if (!f) return invalid("no export `" + std::string(b.rest) + "` found");
        out.function = f;
        if (item == kRoot) out.item = root_item(true, b.rest);
        WAFER_TRY(expect(name, c_.abi.task_return(*f).type, out.type));
        return true;
      }
      case 'S':
      case 'F':
        break;
      default:
        if (b.info->builtin != cm::Builtin::TaskCancel || !exported || !b.rest.empty() ||
            !b.suffix.empty() || b.is_async)
          return false;
        WAFER_TRY(expect(name, builtin_type(*b.info, wasm::kI32, wasm::kI32), out.type));
        return true;
    }
    const bool may_be_async = b.info->immediates.find_first_of("oa") != std::string_view::npos;
    if (b.is_async && !may_be_async) return false;
    if (b.suffix == "unit") {
      out.unit = true;
    } else {
      uint32_t index = 0;
      const wit::Function* f = function(exported, item, b.rest);
      if (!f || !number(b.suffix, index)) return false;
      const std::vector<wit::TypeId> all = wit::futures_and_streams(c_.resolve, *f);
      if (index >= all.size()) return false;
      const auto kind = first == 'S' ? wit::TypeKind::Stream : wit::TypeKind::Future;
      if (c_.resolve.types[all[index]].kind != kind)
        return invalid("type " + std::to_string(index) + " of function `" + f->name +
                       "` is not a " + (first == 'S' ? "stream" : "future"));
      out.wit_type = all[index];
      out.function = f;
      if (item == kRoot) out.item = root_item(exported, b.rest);
    }
    out.args.is_async = b.is_async;
    out.args.options.is_async = b.is_async;
    WAFER_TRY(expect(name, builtin_type(*b.info, wasm::kI32, wasm::kI32), out.type));
    return true;
  }

  Result<bool> resource(ImportUse& out, std::string_view name, const cm::BuiltinInfo& info,
                        std::string_view whole) {
    const auto is_resource = [&](wit::TypeId t) {
      return c_.resolve.types[t].kind == wit::TypeKind::Resource;
    };
    std::optional<wit::TypeId> found;
    if (out.item == kRoot) {
      const size_t i = names_.plain(false, name);
      if (i != kRoot && c_.world.imports[i].kind == ItemKind::Type &&
          is_resource(c_.world.imports[i].type))
        found = c_.world.imports[i].type;
    } else {
      found = names_.type(c_.item(out.exported, out.item).interface, name);
      if (found && !is_resource(*found)) found.reset();
    }
    if (!found) return false;
    out.wit_type = found;
    WAFER_TRY(expect(whole, builtin_type(info, wasm::kI32, wasm::kI32), out.type));
    return true;
  }

  // A function of an interface, or of the world, by its name.
  const wit::Function* function(bool exported, size_t item, std::string_view name) {
    if (item != kRoot) return names_.function(c_.item(exported, item).interface, name);
    const size_t index = root_item(exported, name);
    return index == kRoot ? nullptr : &c_.item(exported, index).function;
  }
  size_t root_item(bool exported, std::string_view name) const {
    const size_t i = names_.plain(exported, name);
    return i != kRoot && c_.item(exported, i).kind == ItemKind::Function ? i : kRoot;
  }

  // The interface that a module name means: itself, or one of a compatible version.
  Result<size_t> interface(std::string_view name, bool exported) const {
    if (const size_t i = names_.interface(exported, name); i != kRoot) return i;
    return invalid("module requires an " + std::string(exported ? "export" : "import") +
                   " interface named `" + std::string(name) + "`" +
                   (name.starts_with("wasi_")
                        ? ", which is WASI 0.1: an adapter (--adapt) stands for it"
                        : ""));
  }

  Result<ImportUse> standard_import(ImportUse out, std::string_view from, std::string_view name) {
    take_prefix(from, kStandard);
    if (from.empty()) {
      const size_t i = root_item(false, name);
      if (i != kRoot) return lowered(std::move(out), c_.world.imports[i].function, i);
      WAFER_LET(found, standard_resource(out, name, false, kRoot));
      if (found) return out;
      return invalid("no top-level imported function `" + std::string(name) + "` specified");
    }
    if (!take_prefix(from, "|")) return invalid("unknown or invalid component model import syntax");
    const bool exported = take_prefix(from, "_ex_");
    const std::vector<size_t>& items = names_.standard(exported, from);
    if (items.empty())
      return invalid("failed to find world item corresponding to interface `" + std::string(from) +
                     "`");
    const size_t item = items[0];
    if (!exported)
      if (const wit::Function* f = function(false, item, name))
        return lowered(std::move(out), *f, item);
    WAFER_LET(found, standard_resource(out, name, exported, item));
    if (found) return out;
    return invalid("unknown function `" + std::string(name) + "`");
  }

  Result<bool> standard_resource(ImportUse& out, std::string_view name, bool exported,
                                 size_t item) {
    constexpr std::pair<std::string_view, cm::Builtin> kSuffixes[] = {
        {"_drop", cm::Builtin::ResourceDrop},
        {"_new", cm::Builtin::ResourceNew},
        {"_rep", cm::Builtin::ResourceRep}};
    out.kind = ImportUse::Kind::Builtin;
    out.exported = exported;
    out.item = item;
    for (const auto& [suffix, builtin] : kSuffixes) {
      std::string_view plain = name;
      if (!take_suffix(plain, suffix)) continue;
      if (builtin != cm::Builtin::ResourceDrop && !exported) continue;
      out.builtin = builtin;
      return resource(out, plain, cm::builtin_info(builtin), name);
    }
    return false;
  }

  // ---- Exports ------------------------------------------------------------------------

  // The function of a required export that a core name means.
  std::optional<std::pair<size_t, const wit::Function*>> exported_function(std::string_view name,
                                                                           bool standard) {
    std::string_view rest = name;
    for (size_t i : exported_interfaces(rest, standard))
      if (const wit::Function* f = function(true, i, rest)) return std::pair(i, f);
    if (standard && !take_prefix(name, "||")) return std::nullopt;
    const size_t i = root_item(true, name);
    if (!required_.contains(i)) return std::nullopt;
    return std::pair(i, &c_.world.exports[i].function);
  }

  // Takes "interface#", or "|interface|", away, and gives the required exports that are it.
  std::vector<size_t> exported_interfaces(std::string_view& name, bool standard) const {
    if (standard && !name.starts_with("|")) return {};
    const size_t begin = standard ? 1 : 0;
    const size_t end = name.find(standard ? '|' : '#', begin);
    if (end == name.npos) return {};
    const std::string_view interface = name.substr(begin, end - begin);
    name = name.substr(end + 1);
    std::vector<size_t> out;
    if (standard)
      out = names_.standard(true, interface);
    else if (const size_t i = names_.same_interface(true, interface); i != kRoot)
      out.push_back(i);
    std::erase_if(out, [&](size_t i) { return !required_.contains(i); });
    return out;
  }

  ExportUse& lifted(size_t item, const wit::Function* f) {
    const auto [known, first] = lifted_.try_emplace({item, f}, out_.exports.size());
    if (!first) return out_.exports[known->second];
    ExportUse fresh;
    fresh.item = item;
    fresh.function = f;
    out_.exports.push_back(std::move(fresh));
    return out_.exports.back();
  }

  Result<void> export_(const wasm::Export& e) {
    const std::string name(std::string_view(e.name));
    std::string_view plain = name;
    const bool standard = take_prefix(plain, kStandard);
    switch (e.kind) {
      case wasm::ExternKind::Memory:
        if (plain != (standard ? "_memory" : "memory")) return {};
        if (out_.memory)
          return invalid("cannot make a component of a module that exports multiple memories");
        out_.memory = name;
        out_.memory_type = m_->memories[e.index].type;
        return {};
      case wasm::ExternKind::Table:
        if (name == "__indirect_function_table") out_.table = name;
        return {};
      case wasm::ExternKind::Func:
        break;
      default:
        return {};
    }
    const wasm::FuncType& type = m_->func_type(e.index);
    out_.functions.emplace(name, type);
    if (name == "canonical_abi_realloc") {
      if (!out_.realloc) out_.realloc = name;
      return {};
    }
    if (name == "cabi_import_realloc") return set(out_.import_realloc, name);
    if (name == "cabi_export_realloc") return set(out_.export_realloc, name);
    if (name == "cabi_realloc_adapter") return set(out_.adapter_realloc, name);
    if (plain == (standard ? "_realloc" : "cabi_realloc")) {
      WAFER_TRY(expect(
          name, func_type({wasm::kI32, wasm::kI32, wasm::kI32, wasm::kI32}, {wasm::kI32}), type));
      return set(out_.realloc, name);
    }
    if (plain == "_initialize") {
      WAFER_TRY(expect(name, func_type({}, {}), type));
      return set(out_.initialize, name);
    }
    if (!standard && take_prefix(plain, "[callback][async-lift]")) {
      if (const auto found = exported_function(plain, standard)) {
        WAFER_TRY(
            expect(name, func_type({wasm::kI32, wasm::kI32, wasm::kI32}, {wasm::kI32}), type));
        lifted(found->first, found->second).callback = name;
      }
      return {};
    }
    AbiVariant abi = AbiVariant::Export;
    if (!standard && take_prefix(plain, "[async-lift]"))
      abi = AbiVariant::ExportAsync;
    else if (!standard && take_prefix(plain, "[async-lift-stackful]"))
      abi = AbiVariant::ExportAsyncStackful;
    if (const auto found = exported_function(plain, standard)) {
      WAFER_TRY(expect(found->second->name, c_.abi.signature(*found->second, abi).type, type));
      ExportUse& use = lifted(found->first, found->second);
      if (!use.name.empty())
        return invalid("function `" + found->second->name + "` is exported twice");
      use.name = name;
      use.abi = abi;
      return {};
    }
    std::string_view post = plain;
    if (standard ? take_suffix(post, "_post") : take_prefix(post, "cabi_post_")) {
      if (const auto found = exported_function(post, standard)) {
        wasm::FuncType wanted;
        wanted.params = c_.abi.signature(*found->second, AbiVariant::Export).type.results;
        WAFER_TRY(expect(name, wanted, type));
        lifted(found->first, found->second).post_return = name;
        return {};
      }
    }
    return destructor(name, plain, standard, type);
  }

  static Result<void> set(std::optional<std::string>& to, const std::string& name) {
    to = name;
    return {};
  }

  Result<void> destructor(const std::string& name, std::string_view plain, bool standard,
                          const wasm::FuncType& type) {
    std::string_view rest = plain;
    const std::vector<size_t> items = exported_interfaces(rest, standard);
    if (!(standard ? take_suffix(rest, "_dtor") : take_prefix(rest, "[dtor]"))) return {};
    for (size_t i : items) {
      const auto t = names_.type(c_.world.exports[i].interface, rest);
      if (!t || c_.resolve.types[*t].kind != wit::TypeKind::Resource) continue;
      WAFER_TRY(expect(name, func_type({wasm::kI32}, {}), type));
      out_.destructors[{i, *t}] = name;
      return {};
    }
    return {};
  }

  Result<void> check_exports() {
    // Callbacks and the like without their function serve nothing.
    std::erase_if(out_.exports, [](const ExportUse& e) { return e.name.empty(); });
    for (const ExportUse& e : out_.exports)
      if (e.abi == AbiVariant::ExportAsync && e.callback.empty())
        return invalid("missing callback for `" + e.name + "`");
    std::set<std::pair<size_t, const wit::Function*>> there;
    for (const ExportUse& e : out_.exports) there.emplace(e.item, e.function);
    const auto has = [&](size_t item, const wit::Function* f) { return there.contains({item, f}); };
    for (size_t i : required_) {
      const wit::WorldItem& item = c_.world.exports[i];
      if (item.kind == ItemKind::Function && !has(i, &item.function))
        return invalid("failed to find export of function `" + item.name + "`");
      if (item.kind != ItemKind::Interface) continue;
      for (const wit::Function& f : c_.resolve.interfaces[item.interface].functions)
        if (!has(i, &f))
          return invalid("failed to find export of interface `" + c_.key(item) + "` function `" +
                         f.name + "`");
    }
    return {};
  }

  const WorldContext& c_;
  WorldNames names_;
  const std::set<size_t>& required_;
  const RenamedImports& renamed_;
  const wasm::Module* m_ = nullptr;
  ModuleUse out_;
  std::map<std::pair<size_t, const wit::Function*>, size_t> lifted_;  // places in out_.exports
};

}  // namespace

Result<ModuleUse> look_at(const WorldContext& context, Bytes module,
                          const std::set<size_t>& required, const RenamedImports& renamed) {
  return Looker(context, required, renamed).run(module);
}

Result<RenamedImports> rename_duplicate_imports(Vec<uint8_t>& bytes) {
  RenamedImports out;
  wasm::DecodeOptions options;
  options.features = wasm::FeatureSet::all();
  options.validate = false;
  WAFER_LET(module, wasm::decode_module({bytes.data(), bytes.size()}, options));
  std::set<std::pair<std::string, std::string>> names;
  for (const wasm::Import& i : module->imports)
    names.emplace(std::string_view(i.module), std::string_view(i.name));
  if (names.size() == module->imports.size()) return out;
  std::set<std::pair<std::string, std::string>> seen;
  Vec<uint8_t> section;
  write_uleb(section, module->imports.size());
  for (const wasm::Import& i : module->imports) {
    const std::string from(std::string_view(i.module)), original(std::string_view(i.name));
    std::string name = original;
    if (!seen.emplace(from, name).second) {
      for (uint32_t n = 2; !names.emplace(from, name).second; ++n)
        name = original + " [v" + std::to_string(n) + "]";
      out[{from, name}] = original;
    }
    cm::write_name(section, from);
    cm::write_name(section, name);
    cm::write_core_extern_type(section, cm::CoreExternType::of(i.type));
  }
  WAFER_LET(sections, cm::sections({bytes.data(), bytes.size()}));
  constexpr uint8_t kImports = 2;
  Vec<uint8_t> rewritten(bytes.begin(), bytes.begin() + 8);
  for (const cm::Section& s : sections) {
    if (s.id != kImports) {
      cm::write_bytes(rewritten, s.whole);
      continue;
    }
    rewritten.push_back(kImports);
    write_uleb(rewritten, section.size());
    cm::write_bytes(rewritten, {section.data(), section.size()});
  }
  bytes = std::move(rewritten);
  return out;
}

}  // namespace wafer::compose
