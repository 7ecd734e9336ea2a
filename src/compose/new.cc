#include "compose/new.h"

#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "component/core_module.h"
#include "compose/adapter.h"
#include "compose/module_use.h"
#include "wasm/instr.h"
#include "wit/encode.h"
#include "wit/merge.h"

namespace wafer::compose {

namespace {

namespace cm = component;
using wit::AbiVariant;
using wit::ItemKind;
using wit::OwnerKind;

Error invalid(const std::string& what) { return {ErrorKind::Invalid, what}; }
Error in(const std::string& where, const Error& e) {
  return {e.kind, where + ": " + std::string(e.message), e.offset};
}

// Types that something needs, with all that they are made of.
class LiveTypes {
 public:
  // What a type is made of is not looked at where `enter` is false of it.
  explicit LiveTypes(const wit::Resolve& r, std::function<bool(wit::TypeId)> enter = nullptr)
      : r_(r), enter_(std::move(enter)) {}
  void add(wit::Type type) {
    std::vector<wit::Type> work{type};  // types may be made of each other in long chains
    while (!work.empty()) {
      const wit::Type t = work.back();
      work.pop_back();
      if (!t.defined() || !types_.insert(t.id).second) continue;
      if (enter_ && !enter_(t.id)) continue;
      const wit::TypeDef& def = r_.types[t.id];
      work.insert(work.end(), def.args.begin(), def.args.end());
      for (const wit::Member& m : def.members) work.push_back(m.type);
    }
  }
  void add(const wit::Function& f) {
    for (const wit::Param& p : f.params) add(p.type);
    add(f.result);
    if (f.kind != wit::FunctionKind::Freestanding) add(wit::Type::of(f.resource));
  }
  bool contains(wit::TypeId t) const { return types_.contains(t); }

 private:
  const wit::Resolve& r_;
  std::function<bool(wit::TypeId)> enter_;
  std::unordered_set<wit::TypeId> types_;
};

struct Part {
  std::string name;  // empty for the main module
  Vec<uint8_t> bytes;
  ModuleUse use;
  const wit::ModuleMetadata* metadata = nullptr;
  std::set<size_t> required;  // exports of the world that it has
  uint32_t module = 0, instance = 0;
};

// A function of the shim module, which is there before what it calls is.
struct Shim {
  size_t part = 0;
  const ImportUse* use = nullptr;  // null for a destructor
  std::string destructor;
  wasm::FuncType type;
};

constexpr std::string_view kTable = "$imports", kMemory = "memory", kTlsGet = "tls-get",
                           kTlsSet = "tls-set";

class Builder {
 public:
  Builder(const wit::Resolve& r, wit::WorldId world, std::vector<Part>& parts, wit::AbiTypes& abi,
          bool canonical_names)
      : r_(r),
        world_(r.worlds[world]),
        parts_(parts),
        abi_(abi),
        context_{r, world_, abi, {}},
        imported_(r, world, out_, canonical_names),
        canonical_names_(canonical_names),
        root_(imported_.types()),
        exported_(wit::exported_items(world_)) {
    functions_.resize(world_.imports.size());
    exports_.resize(world_.exports.size());
  }

  Result<Vec<uint8_t>> run() {
    encode_imports();
    for (Part& p : parts_) p.module = out_.core_module({p.bytes.data(), p.bytes.size()});
    WAFER_TRY(encode_shim());
    declare_exported_types();
    lifted_.resize(parts_.size());
    for (size_t p = 0; p < parts_.size(); ++p)
      for (const ExportUse& e : parts_[p].use.exports) lifted_[p][{e.item, e.function}] = &e;
    for (size_t p = 0; p < parts_.size(); ++p) {
      WAFER_TRY(instantiate(p));
      if (p == 0 && !memory_ && parts_[0].use.memory)
        memory_ = alias(parts_[0].instance, *parts_[0].use.memory, cm::CoreSort::Memory);
    }
    WAFER_TRY(encode_fixups());
    for (size_t p = 0; p < parts_.size(); ++p) {
      for (size_t i : parts_[p].required) {
        const wit::WorldItem& item = world_.exports[i];
        if (item.kind == ItemKind::Function) {
          const uint32_t type = root_.func(item.function);
          WAFER_LET(func, lift(p, i, item.function, type));
          std::string storage;
          out_.export_(wit::written_name(r_, item, storage), {cm::Sort::Func, func});
        } else if (item.kind == ItemKind::Interface) {
          WAFER_TRY(export_interface(p, i));
        }
      }
    }
    return out_.finish();
  }

 private:
  // ---- Imports ------------------------------------------------------------------------

  struct ExportState {
    std::unique_ptr<wit::TypeScope> scope;
    std::optional<uint32_t> instance;
  };

  // Types that have to come with imported interfaces.
  LiveTypes live_types() {
    LiveTypes live(r_);
    for (const wit::WorldItem& item : world_.imports)
      if (item.kind == ItemKind::Type) live.add(wit::Type::of(item.type));
    for (const Part& p : parts_) {
      for (const ImportUse& use : p.use.imports) {
        if (use.kind == ImportUse::Kind::Function) {
          live.add(*use.function);
        } else if (use.kind == ImportUse::Kind::Builtin) {
          if (use.wit_type) live.add(wit::Type::of(*use.wit_type));
          if (use.builtin == cm::Builtin::TaskReturn && use.function)
            live.add(use.function->result);
        }
      }
    }
    for (const wit::WorldItem& item : world_.exports) {
      if (item.kind == ItemKind::Function) live.add(item.function);
      if (item.kind != ItemKind::Interface) continue;
      // Types of others are imported, unless these are exported as well.
      LiveTypes own(r_, [&](wit::TypeId t) {
        const wit::TypeDef& def = r_.types[t];
        if (def.owner_kind != OwnerKind::Interface || def.owner == item.interface) return true;
        if (!exported_.contains(def.owner)) live.add(wit::Type::of(t));
        return false;
      });
      const wit::Interface& interface = r_.interfaces[item.interface];
      for (wit::TypeId t : interface.types) own.add(wit::Type::of(t));
      for (const wit::Function& f : interface.functions) own.add(f);
    }
    return live;
  }

  void encode_imports() {
    for (const Part& p : parts_)
      for (const ImportUse& use : p.use.imports)
        if (use.kind == ImportUse::Kind::Function) functions_[use.item].insert(use.function);
    const LiveTypes live = live_types();
    imported_.encode(
        [&](wit::TypeId t) { return live.contains(t); },
        [&](size_t item, const wit::Function& f) { return functions_[item].contains(&f); });
  }

  // ---- Exported types -----------------------------------------------------------------

  // Types of exported interfaces as this component's functions have them. Resources are defined
  // here; the rest has its names in the exported instance only.
  void declare_exported_types() {
    for (size_t p = 0; p < parts_.size(); ++p) {
      for (size_t i : parts_[p].required) {
        const wit::WorldItem& item = world_.exports[i];
        if (item.kind != ItemKind::Interface) continue;
        exports_[i].scope = std::make_unique<wit::TypeScope>(
            r_, out_, OwnerKind::Interface, item.interface,
            [this, i](wit::TypeId t) { return outer_type(i, t); },
            [this, i, p](wit::TypeId id, const cm::WrittenName&, const cm::ExternType& type) {
              if (!type.bound) return type.index;
              auto it = parts_[p].use.destructors.find({i, id});
              std::optional<uint32_t> destructor;
              if (it != parts_[p].use.destructors.end()) destructor = shim_func(p, it->second);
              return out_.resource(/*rep64=*/false, destructor);
            });
      }
    }
  }

  // What a type that an exported interface uses is here.
  uint32_t outer_type(size_t item, wit::TypeId t) {
    const wit::TypeDef& def = r_.types[t];
    if (def.owner_kind == OwnerKind::Interface) {
      if (def.owner == world_.exports[item].interface) return exports_[item].scope->type(t);
      if (const auto other = exported_.find(def.owner); other != exported_.end())
        if (const auto& scope = exports_[other->second].scope) return scope->type(t);
    }
    return root_.type(t);
  }

  // The same as an argument of the component that makes the instance: what another exported
  // interface has, by the name that it is exported with.
  uint32_t argument_type(size_t item, wit::TypeId t) {
    const wit::TypeDef& def = r_.types[t];
    if (def.owner_kind == OwnerKind::Interface && def.owner != world_.exports[item].interface) {
      const auto other = exported_.find(def.owner);
      if (other != exported_.end() && exports_[other->second].instance)
        return out_.alias_export(*exports_[other->second].instance, def.name, cm::Sort::Type);
    }
    return outer_type(item, t);
  }

  // The types of what an import or export of a module belongs to: of exported interfaces their
  // own, of all else those that are imported.
  wit::TypeScope& scope_of(const ImportUse& use) {
    if (use.exported && use.item != kRoot && world_.exports[use.item].kind == ItemKind::Interface)
      return *exports_[use.item].scope;
    return root_;
  }

  // ---- Shims --------------------------------------------------------------------------

  // Whether an import can only be made when the main module is there.
  bool is_late(const ImportUse& use) const {
    if (use.kind == ImportUse::Kind::AdapterFunc) return true;
    if (use.kind == ImportUse::Kind::Function)
      return abi_
          .options(*use.function, use.is_async ? AbiVariant::ImportAsync : AbiVariant::Import)
          .any();
    if (use.kind != ImportUse::Kind::Builtin) return false;
    if (use.builtin == cm::Builtin::TaskReturn) {
      return (use.function->result && abi_.needs_memory(use.function->result)) ||
             abi_.task_return(*use.function).indirect_params;
    }
    return cm::builtin_info(use.builtin).immediates.find_first_of("omt") != std::string_view::npos;
  }

  Result<void> encode_shim() {
    std::optional<wasm::ValType> tls;
    for (size_t p = 0; p < parts_.size(); ++p) {
      for (const ImportUse& use : parts_[p].use.imports) {
        if (is_late(use)) {
          shims_of_uses_[&use] = shims_.size();
          shims_.push_back({p, &use, {}, use.type});
        }
        if (use.kind == ImportUse::Kind::Builtin &&
            (use.builtin == cm::Builtin::ThreadNewIndirect ||
             ((use.builtin == cm::Builtin::ContextGet || use.builtin == cm::Builtin::ContextSet) &&
              use.args.index == 1)))
          threads_ = true;
        if (use.kind == ImportUse::Kind::TlsGet || use.kind == ImportUse::Kind::TlsSet) {
          if (tls && !(*tls == use.args.context))
            return invalid("types of the base of thread-local data differ");
          tls = use.args.context;
        }
      }
      for (const auto& [key, name] : parts_[p].use.destructors) {
        wasm::FuncType type;
        type.params.push_back(wasm::kI32);
        shims_of_destructors_[{p, name}] = shims_.size();
        shims_.push_back({p, nullptr, name, type});
      }
    }
    // Programs that use threads keep it in a slot of the thread, others in a global.
    if (threads_) tls.reset();
    const auto& memory = parts_[0].use.imported_memory;
    if (shims_.empty() && !memory && !tls) return {};

    cm::CoreModuleWriter m;
    m.names.module = "shim";
    for (size_t i = 0; i < shims_.size(); ++i) {
      const uint32_t type = m.type(shims_[i].type);
      cm::Body body;
      for (uint32_t p = 0; p < shims_[i].type.params.size(); ++p)
        body.op(wasm::Opcode::LocalGet, p);
      body.i32(static_cast<int32_t>(i)).call_indirect(type);
      const uint32_t f = m.func(type, body.end());
      m.export_(std::to_string(i), wasm::ExternKind::Func, f);
      const std::string name =
          shims_[i].use ? shims_[i].use->module + "." + shims_[i].use->name : shims_[i].destructor;
      m.names.functions.entries.emplace_back(f, String(name));
    }
    if (!shims_.empty()) m.export_(kTable, wasm::ExternKind::Table, m.table(table_type()));
    if (memory) m.export_(kMemory, wasm::ExternKind::Memory, m.memory(*memory));
    if (tls) {
      Vec<uint8_t> init;
      wasm::Instr zero;
      zero.op = *tls == wasm::kI64 ? wasm::Opcode::I64Const : wasm::Opcode::I32Const;
      zero.i64 = 0;
      wasm::write_instr(init, zero);
      zero.op = wasm::Opcode::End;
      wasm::write_instr(init, zero);
      const uint32_t g = m.global({*tls, true}, {init.data(), init.size()});
      wasm::FuncType get, set;
      get.results.push_back(*tls);
      set.params.push_back(*tls);
      m.export_(kTlsGet, wasm::ExternKind::Func,
                m.func(m.type(get), cm::Body().op(wasm::Opcode::GlobalGet, g).end()));
      m.export_(
          kTlsSet, wasm::ExternKind::Func,
          m.func(m.type(set),
                 cm::Body().op(wasm::Opcode::LocalGet, 0).op(wasm::Opcode::GlobalSet, g).end()));
    }
    const Vec<uint8_t> bytes = m.finish();
    shim_ = out_.core_instantiate(out_.core_module({bytes.data(), bytes.size()}), {});
    if (memory) memory_ = alias(*shim_, std::string(kMemory), cm::CoreSort::Memory);
    return {};
  }

  wasm::TableType table_type() const {
    wasm::TableType out;
    out.element = wasm::kFuncRef;
    out.limits.min = out.limits.max = shims_.size();
    out.limits.has_max = true;
    return out;
  }

  uint32_t shim_func(const ImportUse* use) {
    return alias(*shim_, std::to_string(shims_of_uses_.at(use)), cm::CoreSort::Func);
  }
  uint32_t shim_func(size_t part, const std::string& destructor) {
    return alias(*shim_, std::to_string(shims_of_destructors_.at({part, destructor})),
                 cm::CoreSort::Func);
  }

  // Fills the shim's table, and then lets the main module initialize itself.
  Result<void> encode_fixups() {
    const auto& initialize = parts_[0].use.initialize;
    if (shims_.empty() && !initialize) return {};
    cm::CoreModuleWriter m;
    m.names.module = "fixups";
    std::vector<cm::CoreExportRef> actual;
    std::vector<uint32_t> funcs;
    for (size_t i = 0; i < shims_.size(); ++i) {
      const std::string name = std::to_string(i);
      funcs.push_back(m.import_func("", name, m.type(shims_[i].type)));
      WAFER_LET(index, actual_func(shims_[i]));
      actual.push_back({name, cm::CoreSort::Func, index});
    }
    if (!shims_.empty()) {
      cm::CoreExternType table;
      table.kind = wasm::ExternKind::Table;
      table.table = table_type();
      m.import("", kTable, table);
      actual.push_back({std::string(kTable), cm::CoreSort::Table,
                        alias(*shim_, std::string(kTable), cm::CoreSort::Table)});
      m.elements(funcs);
    }
    if (initialize) {
      m.start(m.import_func("", *initialize, m.type({})));
      actual.push_back({*initialize, cm::CoreSort::Func,
                        alias(parts_[0].instance, *initialize, cm::CoreSort::Func)});
    }
    const Vec<uint8_t> bytes = m.finish();
    const uint32_t module = out_.core_module({bytes.data(), bytes.size()});
    out_.core_instantiate(module, {{"", out_.core_instance(actual)}});
    return {};
  }

  Result<uint32_t> actual_func(const Shim& s) {
    if (!s.use) return alias(parts_[s.part].instance, s.destructor, cm::CoreSort::Func);
    if (s.use->kind == ImportUse::Kind::AdapterFunc) {
      for (size_t p = 1; p < parts_.size(); ++p)
        if (parts_[p].name == s.use->module)
          return alias(parts_[p].instance, s.use->meant, cm::CoreSort::Func);
      return invalid("adapter `" + s.use->module + "` is missing");
    }
    return make(s.part, *s.use);
  }

  // ---- Core instances -----------------------------------------------------------------

  uint32_t alias(uint32_t instance, const std::string& name, cm::CoreSort sort) {
    const auto [it, fresh] = aliases_.try_emplace({instance, name});
    if (fresh) it->second = out_.alias_core_export(instance, name, sort);
    return it->second;
  }

  Result<void> instantiate(size_t p) {
    // Arguments in the order of the module's imports.
    std::vector<std::pair<std::string, std::vector<cm::CoreExportRef>>> args;
    std::unordered_map<std::string, size_t> places;
    for (const ImportUse& use : parts_[p].use.imports) {
      const auto [place, fresh] = places.try_emplace(use.module, args.size());
      if (fresh) args.push_back({use.module, {}});
      auto made = argument(p, use);
      if (!made.ok())
        return in("failed to satisfy import `" + use.module + "::" + use.name + "`", made.error());
      args[place->second].second.push_back(
          {use.name, static_cast<cm::CoreSort>(static_cast<uint8_t>(use.extern_type.kind)), *made});
    }
    std::vector<cm::ComponentWriter::CoreArg> instances;
    for (const auto& [name, exports] : args)
      instances.push_back({name, out_.core_instance(exports)});
    parts_[p].instance = out_.core_instantiate(parts_[p].module, instances);
    return {};
  }

  Result<uint32_t> argument(size_t p, const ImportUse& use) {
    if (is_late(use)) return shim_func(&use);
    switch (use.kind) {
      case ImportUse::Kind::MainMemory:
        if (!memory_) return invalid("the main module has no memory");
        return *memory_;
      case ImportUse::Kind::MainExport:
        if (p == 0) return invalid("only adapters import from the main module");
        return alias(parts_[0].instance, use.meant,
                     static_cast<cm::CoreSort>(static_cast<uint8_t>(use.extern_type.kind)));
      case ImportUse::Kind::TlsGet:
      case ImportUse::Kind::TlsSet: {
        const bool get = use.kind == ImportUse::Kind::TlsGet;
        if (!threads_)
          return alias(*shim_, std::string(get ? kTlsGet : kTlsSet), cm::CoreSort::Func);
        cm::BuiltinArgs args = use.args;
        args.index = 1;
        return out_.builtin(get ? cm::Builtin::ContextGet : cm::Builtin::ContextSet, args);
      }
      default:
        return make(p, use);
    }
  }

  // Canonical options of what a module calls.
  Result<cm::CanonOptions> options(size_t p, wit::NeededOptions needed,
                                   cm::StringEncoding encoding) {
    cm::CanonOptions out;
    if (needed.any()) {
      if (!memory_) return invalid("the main module has to export its memory as `memory`");
      out.memory = memory_;
      out.encoding_given = true;
      out.encoding = encoding;
    }
    if (needed.realloc) {
      WAFER_LET(f, realloc(p, /*exports=*/false));
      out.realloc = f;
    }
    return out;
  }

  // The function that gives a module memory. Adapters without one use the main module's.
  Result<uint32_t> realloc(size_t p, bool exports) {
    for (const size_t part : {p, size_t{0}}) {
      const ModuleUse& use = parts_[part].use;
      const auto& name = exports ? use.realloc_of_exports() : use.realloc_of_imports();
      if (name) return alias(parts_[part].instance, *name, cm::CoreSort::Func);
    }
    return invalid("the module has to export `cabi_realloc` for what is passed in its memory");
  }

  cm::StringEncoding encoding(size_t p, bool exported, size_t item, const wit::Function* f) const {
    if (!f || item == kRoot) return cm::StringEncoding::Utf8;
    const auto& map =
        exported ? parts_[p].metadata->export_encodings : parts_[p].metadata->import_encodings;
    auto it = map.find(wit::encoding_key(r_, context_.item(exported, item), f->name));
    return it == map.end() ? cm::StringEncoding::Utf8 : it->second;
  }

  Result<uint32_t> make(size_t p, const ImportUse& use) {
    const cm::StringEncoding strings = encoding(p, use.exported, use.item, use.function);
    if (use.kind == ImportUse::Kind::Function) {
      const wit::WorldItem& item = world_.imports[use.item];
      const auto variant = use.is_async ? AbiVariant::ImportAsync : AbiVariant::Import;
      WAFER_LET(o, options(p, abi_.options(*use.function, variant), strings));
      o.is_async = use.is_async;
      const uint32_t index = *imported_.index(use.item);
      const uint32_t func = item.kind == ItemKind::Function
                                ? index
                                : out_.alias_export(index, use.function->name, cm::Sort::Func);
      return out_.lower(func, o);
    }
    cm::BuiltinArgs args = use.args;
    const cm::BuiltinInfo& info = cm::builtin_info(use.builtin);
    const char first = info.immediates.empty() ? 0 : info.immediates[0];
    if (use.builtin == cm::Builtin::TaskReturn) {
      args.type = scope_of(use).value(use.function->result);
      wit::NeededOptions needed;
      needed.memory = is_late(use);
      WAFER_LET(o, options(p, needed, strings));
      args.options = o;
      return out_.builtin(use.builtin, args);
    }
    wit::Type payload;
    if (first == 'L' || first == 'R') {
      args.type = cm::ValType::of(resource_type(use));
    } else if (first == 'S' || first == 'F') {
      if (use.unit) {
        cm::TypeDef unit;
        unit.kind = first == 'S' ? cm::TypeKind::Stream : cm::TypeKind::Future;
        unit.args.emplace_back();
        args.type = cm::ValType::of(out_.type(unit));
      } else {
        args.type = cm::ValType::of(scope_of(use).type(*use.wit_type));
        payload = r_.types[*use.wit_type].args[0];
      }
    }
    if (info.immediates.find_first_of("om") != std::string_view::npos) {
      wit::NeededOptions needed;
      needed.memory = true;
      const bool reads =
          use.builtin == cm::Builtin::StreamRead || use.builtin == cm::Builtin::FutureRead;
      needed.realloc = (reads && payload && abi_.needs_memory(payload)) ||
                       use.builtin == cm::Builtin::ErrorContextDebugMessage;
      WAFER_LET(o, options(p, needed,
                           use.args.options.encoding_given ? use.args.options.encoding : strings));
      o.is_async = use.args.options.is_async;
      args.options = o;
    }
    if (use.builtin == cm::Builtin::ThreadNewIndirect) {
      if (!parts_[0].use.table)
        return invalid("the main module has to export `__indirect_function_table` for new threads");
      args.table = alias(parts_[0].instance, *parts_[0].use.table, cm::CoreSort::Table);
      wasm::FuncType start;
      start.params.push_back(wasm::kI32);
      args.core_type = out_.core_func_type(start);
    }
    return out_.builtin(use.builtin, args);
  }

  uint32_t resource_type(const ImportUse& use) {
    if (use.exported || use.item == kRoot) return scope_of(use).type(*use.wit_type);
    // Of the very import: one interface may come in under several names.
    return out_.alias_export(*imported_.index(use.item), r_.types[*use.wit_type].name,
                             cm::Sort::Type);
  }

  // ---- Exports ------------------------------------------------------------------------

  Result<uint32_t> lift(size_t p, size_t item, const wit::Function& f, uint32_t type) {
    const ExportUse* const it = lifted_[p].at({item, &f});
    const auto core = [&](const std::string& name) {
      return alias(parts_[p].instance, name, cm::CoreSort::Func);
    };
    const wit::NeededOptions needed = abi_.options(f, it->abi);
    wit::NeededOptions memory = needed;
    memory.realloc = false;
    WAFER_LET(o, options(p, memory, encoding(p, true, item, &f)));
    if (needed.realloc) {
      WAFER_LET(r, realloc(p, /*exports=*/true));
      o.realloc = r;
    }
    o.is_async = it->abi != AbiVariant::Export;
    if (!it->post_return.empty()) o.post_return = core(it->post_return);
    if (!it->callback.empty()) o.callback = core(it->callback);
    return out_.lift(core(it->name), o, type);
  }

  // An instance comes from a component of its own, which takes functions and types and gives
  // them back with the names that they have in the interface.
  Result<void> export_interface(size_t p, size_t item) {
    const wit::WorldItem& world_item = world_.exports[item];
    const wit::Interface& interface = r_.interfaces[world_item.interface];
    struct Argument {
      std::string name;
      cm::SortIndex what;
    };
    std::vector<Argument> args;
    std::vector<std::pair<std::string, wit::TypeId>> types;
    cm::ComponentWriter inner;
    std::set<std::string> used;
    wit::TypeScope in(r_, inner, OwnerKind::None, 0, nullptr,
                      [&](wit::TypeId id, const cm::WrittenName& name, const cm::ExternType& type) {
                        std::string text = "import-type-" + std::string(name.text);
                        for (uint32_t n = 0; !used.insert(text).second; ++n)
                          text = "import-type-" + std::string(name.text) + std::to_string(n);
                        types.emplace_back(text, id);
                        return inner.import(text, type);
                      });
    // Types of others, and resources, are the arguments.
    for (wit::TypeId t : interface.types)
      if (r_.types[t].kind == wit::TypeKind::Resource) in.type(t);
    wit::TypeScope out(
        r_, inner, OwnerKind::Interface, world_item.interface,
        [&](wit::TypeId t) { return in.type(t); },
        [&](wit::TypeId id, const cm::WrittenName& name, const cm::ExternType& type) {
          return inner.export_(name, {cm::Sort::Type, type.bound ? in.type(id) : type.index});
        });
    std::vector<uint32_t> funcs;
    for (const wit::Function& f : interface.functions) {
      std::string name = "import-func-" + f.name;
      if (f.name.starts_with("[")) {
        name = "import-" + f.name;
        std::erase(name, '[');
        for (char& c : name)
          if (c == ']' || c == '.') c = '-';
      }
      const uint32_t type = exports_[item].scope->func(f);
      WAFER_LET(func, lift(p, item, f, type));
      args.push_back({name, {cm::Sort::Func, func}});
      funcs.push_back(inner.import(name, cm::ExternType::of(cm::Sort::Func, in.func(f))));
    }
    for (wit::TypeId t : interface.types) out.type(t);
    for (size_t i = 0; i < interface.functions.size(); ++i) {
      const wit::Function& f = interface.functions[i];
      cm::Attributes attributes;
      if (f.external_id) attributes.external_id = *f.external_id;
      inner.export_({f.name, attributes}, {cm::Sort::Func, funcs[i]},
                    cm::ExternType::of(cm::Sort::Func, out.func(f)));
    }
    for (const auto& [name, id] : types)
      args.push_back({name, {cm::Sort::Type, argument_type(item, id)}});
    const Vec<uint8_t> bytes = inner.finish();
    std::vector<cm::ComponentWriter::Arg> instance_args;
    for (const Argument& a : args) instance_args.push_back({a.name, a.what});
    const uint32_t component = out_.component({bytes.data(), bytes.size()});
    const uint32_t instance = out_.instantiate(component, instance_args);
    std::string storage;
    exports_[item].instance =
        out_.export_(wit::written_name(r_, world_item, storage, canonical_names_),
                     {cm::Sort::Instance, instance});
    return {};
  }

  const wit::Resolve& r_;
  const wit::World& world_;
  std::vector<Part>& parts_;
  wit::AbiTypes& abi_;
  WorldContext context_;
  cm::ComponentWriter out_;
  wit::WorldImports imported_;
  const bool canonical_names_;
  wit::TypeScope& root_;                                   // what is imported
  std::vector<std::set<const wit::Function*>> functions_;  // that are used, by imported item
  // Exports of each part by what they are.
  std::vector<std::map<std::pair<size_t, const wit::Function*>, const ExportUse*>> lifted_;
  std::vector<ExportState> exports_;
  const std::unordered_map<wit::InterfaceId, size_t> exported_;  // under its own name
  std::map<std::pair<uint32_t, std::string>, uint32_t> aliases_;
  std::vector<Shim> shims_;
  std::unordered_map<const ImportUse*, size_t> shims_of_uses_;
  std::map<std::pair<size_t, std::string>, size_t> shims_of_destructors_;  // by part and name
  std::optional<uint32_t> shim_, memory_;
  bool threads_ = false;
};

// Numbers of the world's exports that `world` has.
std::set<size_t> exports_of(const wit::Resolve& r, const wit::World& whole,
                            const wit::ModuleMetadata& metadata) {
  std::set<std::string> names;
  const wit::World& w = metadata.resolve.worlds[metadata.world];
  const auto key = [](const wit::Resolve& resolve, const wit::WorldItem& item) {
    return item.name.empty() ? resolve.interface_name(item.interface) : item.name;
  };
  for (const wit::WorldItem& item : w.exports) names.insert(key(metadata.resolve, item));
  std::set<size_t> out;
  for (size_t i = 0; i < whole.exports.size(); ++i)
    if (names.contains(key(r, whole.exports[i]))) out.insert(i);
  return out;
}

// What an adapter has to export, because it is used or because the world says so.
bool is_needed(const wit::Resolve& r, const wit::World& world, const std::set<size_t>& required,
               const std::map<std::string, wasm::FuncType>& by_import) {
  if (!by_import.empty()) return true;
  for (size_t i : required) {
    const wit::WorldItem& item = world.exports[i];
    if (item.kind == ItemKind::Function) return true;
    if (item.kind == ItemKind::Interface && !r.interfaces[item.interface].functions.empty())
      return true;
  }
  return false;
}

uint64_t page_size(const wasm::MemoryType& m) { return uint64_t{1} << m.page_size_log2; }

}  // namespace

Result<Vec<uint8_t>> new_component(Bytes module, const NewOptions& options) {
  WAFER_LET(metadata, wit::read_component_types(module));
  std::vector<wit::ModuleMetadata> adapter_metadata;
  wit::Resolve resolve = metadata.resolve;
  const wit::WorldId world_id = metadata.world;
  for (const Adapter& a : options.adapters) {
    auto one = wit::read_component_types(a.bytes);
    if (!one.ok()) return in("adapter `" + a.name + "`", one.error());
    // The root world of an adapter's metadata is one beside the main module's.
    wit::Resolve theirs = one->resolve;
    theirs.packages[0].worlds.clear();
    theirs.packages[0].name = {"root", "adapter-" + std::to_string(adapter_metadata.size()), ""};
    auto map = wit::merge(resolve, theirs);
    if (!map.ok()) return in("failed to merge the world of adapter `" + a.name + "`", map.error());
    auto merged = wit::merge_worlds(resolve, map->worlds[one->world], world_id);
    if (!merged.ok())
      return in("failed to merge the world of adapter `" + a.name + "`", merged.error());
    adapter_metadata.push_back(std::move(*one));
  }
  if (options.merge_versions) WAFER_TRY(wit::merge_compatible_imports(resolve, world_id));

  const wit::World& world = resolve.worlds[world_id];
  wit::AbiTypes abi(resolve);
  WAFER_TRY(abi.check());
  WorldContext context{resolve, world, abi, {}};
  for (const Adapter& a : options.adapters) context.adapters.insert(a.name);

  std::vector<Part> parts;
  Part main;
  main.bytes = metadata.module;
  main.metadata = &metadata;
  main.required = exports_of(resolve, world, metadata);
  WAFER_LET(renamed, rename_duplicate_imports(main.bytes));
  auto use = look_at(context, {main.bytes.data(), main.bytes.size()}, main.required, renamed);
  if (!use.ok()) return in("module was not valid", use.error());
  main.use = std::move(*use);
  parts.push_back(std::move(main));

  for (size_t i = 0; i < options.adapters.size(); ++i) {
    const std::string& name = options.adapters[i].name;
    std::map<std::string, wasm::FuncType> by_import;
    for (const ImportUse& u : parts[0].use.imports)
      if (u.kind == ImportUse::Kind::AdapterFunc && u.module == name) by_import[u.meant] = u.type;
    Part part;
    part.name = name;
    part.metadata = &adapter_metadata[i];
    part.required = exports_of(resolve, world, adapter_metadata[i]);
    // What the main module exports itself is its own.
    for (size_t item : parts[0].required) part.required.erase(item);
    if (!is_needed(resolve, world, part.required, by_import)) continue;
    const auto check = [&](Bytes bytes) -> Result<ModuleUse> {
      auto looked = look_at(context, bytes, part.required);
      if (!looked.ok())
        return in("failed to validate the adapter module `" + name + "`", looked.error());
      for (const auto& [f, type] : by_import) {
        auto it = looked->functions.find(f);
        if (it == looked->functions.end())
          return invalid("adapter module `" + name + "` did not export `" + f + "`");
        if (!(it->second.params == type.params && it->second.results == type.results))
          return invalid("type mismatch for function `" + f + "` of adapter module `" + name + "`");
      }
      return std::move(*looked);
    };
    const Vec<uint8_t>& whole = adapter_metadata[i].module;
    WAFER_LET(before, check({whole.data(), whole.size()}));
    std::set<std::string> needed;
    for (const auto& [f, type] : by_import) needed.insert(f);
    for (const ExportUse& e : before.exports) {
      for (const std::string* n : {&e.name, &e.callback, &e.post_return})
        if (!n->empty()) needed.insert(*n);
    }
    for (const auto& [key, n] : before.destructors) needed.insert(n);
    for (const auto* n : {&before.memory, &before.realloc, &before.import_realloc,
                          &before.export_realloc, &before.adapter_realloc, &before.initialize})
      if (*n) needed.insert(**n);
    const auto& memory = before.imported_memory;
    auto reduced = reduce_adapter(
        {whole.data(), whole.size()}, needed,
        options.realloc_via_memory_grow ? std::nullopt : parts[0].use.realloc_of_adapters(),
        memory ? memory->page_size_log2 : uint8_t{16});
    if (!reduced.ok())
      return in("failed to reduce adapter module `" + name + "` to what is needed",
                reduced.error());
    part.bytes = std::move(*reduced);
    WAFER_LET(after, check({part.bytes.data(), part.bytes.size()}));
    part.use = std::move(after);
    const wasm::MemoryType ours = parts[0].use.memory            ? parts[0].use.memory_type
                                  : parts[0].use.imported_memory ? *parts[0].use.imported_memory
                                                                 : wasm::MemoryType{};
    if (part.use.imported_memory && page_size(*part.use.imported_memory) != page_size(ours))
      return invalid("adapter module `" + name + "` memory page size (" +
                     std::to_string(page_size(*part.use.imported_memory)) +
                     ") does not match main module's memory page size (" +
                     std::to_string(page_size(ours)) + ")");
    parts.push_back(std::move(part));
  }
  return Builder(resolve, world_id, parts, abi, options.canonical_names).run();
}

}  // namespace wafer::compose
