// Worlds: imports and exports, includes, and the interfaces that they need besides.
#include <algorithm>
#include <set>
#include <unordered_set>

#include "wit/scope.h"

namespace wafer::wit {

namespace {

const char* direction(bool exported) { return exported ? "export" : "import"; }

const char* kind_name(ItemKind kind) {
  return kind == ItemKind::Interface ? "interface" : kind == ItemKind::Type ? "type" : "func";
}

// Where the name that a rename applies to stands in "[method]r.f" or "f".
std::pair<size_t, size_t> label_of(std::string_view name) {
  const size_t begin = name.rfind(']') == name.npos ? 0 : name.rfind(']') + 1;
  return {begin, std::min(name.find('.', begin), name.size()) - begin};
}

}  // namespace

struct Resolver::WorldState {
  struct Side {
    std::vector<WorldItem> items;
    std::vector<Span> spans;
    std::unordered_map<std::string, size_t> by_name;  // plain names
    std::unordered_map<InterfaceId, size_t> by_interface;
    UniqueNames names;
  };
  const ast::World& ast;
  Place place;
  WorldId id;
  Side imports, exports;
  Side& side(bool exported) { return exported ? exports : imports; }
};

Result<void> Resolver::add_item(WorldState& state, bool exported, WorldItem item, Span span) {
  auto& side = state.side(exported);
  const size_t index = side.items.size();
  if (item.name.empty()) {
    if (!side.by_interface.try_emplace(item.interface, index).second)
      return error(span,
                   std::string("interface cannot be ") + direction(exported) + "ed more than once");
  } else {
    auto [it, fresh] = side.by_name.try_emplace(item.name, index);
    if (!fresh)
      return error(span, std::string(direction(exported)) + " " + ticked(item.name) +
                             " conflicts with prior " + kind_name(side.items[it->second].kind) +
                             " of same name");
    if (const std::string* previous = side.names.add(item.name))
      return error(span, std::string(direction(exported)) + " " + ticked(item.name) +
                             " conflicts with previous name " + ticked(*previous));
  }
  side.items.push_back(std::move(item));
  side.spans.push_back(span);
  return {};
}

Result<void> Resolver::port(WorldState& state, const ast::Port& port) {
  const Span span = port.name ? port.name->span : std::get<ast::UsePath>(port.what).name.span;
  WAFER_LET(in, included(port.attributes, span));
  if (!in) return {};
  WorldItem item;
  item.stability = port.attributes.stability;
  item.docs = port.attributes.docs;
  item.external_id = port.attributes.external_id;
  if (const auto* func = std::get_if<ast::Func>(&port.what)) {
    WAFER_LET(f, function(state.place, *func, nullptr));
    item.name = f.name;
    item.function = std::move(f);
    return add_item(state, port.exported, std::move(item), span);
  }
  item.kind = ItemKind::Interface;
  if (port.name) item.name = port.name->text;
  if (const auto* path = std::get_if<ast::UsePath>(&port.what)) {
    WAFER_LET(entry, wanted(state.place.package, state.place.body, *path, Entry::Kind::Interface));
    item.interface = entry.id;
    item.implements = port.name.has_value();
  } else {
    if (state.side(port.exported).by_name.contains(item.name))
      return add_item(state, port.exported, std::move(item), span);  // refuses
    WAFER_LET(id, interface(state.place.package, state.place.body,
                            std::get<ast::Interface>(port.what), /*named=*/false));
    item.interface = id;
  }
  return add_item(state, port.exported, std::move(item), span);
}

// `t` with the types of world `from` in it replaced by copies that belong to `to`.
Type Resolver::cloned(WorldId from, WorldId to, Type t, std::map<TypeId, TypeId>& map) {
  if (!t.defined()) return t;
  if (auto it = map.find(t.id); it != map.end()) return Type::of(it->second);
  TypeDef def = out_.types[t.id];
  const bool own = def.owner_kind == OwnerKind::World && def.owner == from;
  if (!own && def.owner_kind != OwnerKind::None) return t;
  bool changed = own;
  const auto replace = [&](Type& arg) {
    const Type copy = cloned(from, to, arg, map);
    changed |= copy != arg;
    arg = copy;
  };
  for (Type& arg : def.args) replace(arg);
  for (Member& m : def.members) replace(m.type);
  if (!changed) return t;
  if (own) {
    def.owner = to;
    const TypeId id = add_type(std::move(def));
    map[t.id] = id;
    return Type::of(id);
  }
  return Type::of(anonymous(def.kind, std::move(def.args), def.length));
}

Result<void> Resolver::include(WorldState& state, const ast::Include& include) {
  const Span span = include.from.name.span;
  WAFER_LET(in, included(include.attributes, span));
  if (!in) return {};
  WAFER_LET(entry, wanted(state.place.package, state.place.body, include.from, Entry::Kind::World));
  // A copy: what is added below may move worlds.
  const World from = out_.worlds[entry.id];
  const bool foreign = from.package != state.place.package.id;
  std::vector<bool> used(include.names.size(), false);
  std::map<TypeId, TypeId> copies;
  const auto renamed = [&](const std::string& name) {
    const auto [begin, length] = label_of(name);
    for (size_t i = 0; i < include.names.size(); ++i) {
      if (name.compare(begin, length, include.names[i].name.text) != 0) continue;
      used[i] = true;
      std::string out = name;
      return out.replace(begin, length, include.names[i].local().text);
    }
    return name;
  };
  for (const bool exported : {false, true}) {
    auto& side = state.side(exported);
    for (WorldItem item : exported ? from.exports : from.imports) {
      // Versions of another package say nothing in this one.
      if (foreign && item.stability.kind == Stability::Kind::Since) item.stability = {};
      if (item.name.empty()) {
        if (auto it = side.by_interface.find(item.interface); it != side.by_interface.end()) {
          Stability& known = side.items[it->second].stability;
          if (known.kind == Stability::Kind::Unknown) known = item.stability;
          continue;
        }
        WAFER_TRY(add_item(state, exported, std::move(item), span));
        continue;
      }
      item.name = renamed(item.name);
      if (side.by_name.contains(item.name))
        return error(span, std::string(direction(exported)) + " of " + ticked(item.name) +
                               " shadows previously " + direction(exported) + "ed items");
      if (item.kind == ItemKind::Type) {
        const Type copy = cloned(entry.id, state.id, Type::of(item.type), copies);
        item.type = copy.id;
        out_.types[copy.id].name = item.name;
      } else if (item.kind == ItemKind::Function) {
        Function& f = item.function;
        f.name = item.name;
        if (f.kind != FunctionKind::Freestanding)
          f.resource = cloned(entry.id, state.id, Type::of(f.resource), copies).id;
        for (Param& p : f.params) p.type = cloned(entry.id, state.id, p.type, copies);
        f.result = cloned(entry.id, state.id, f.result, copies);
      }
      WAFER_TRY(add_item(state, exported, std::move(item), span));
    }
  }
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    return error(span, "no import or export named " + ticked(include.names[i].name.text) +
                           "; interface names cannot be renamed");
  }
  return {};
}

std::vector<InterfaceId> Resolver::dependencies(InterfaceId id) const {
  std::vector<InterfaceId> out;
  std::unordered_set<InterfaceId> seen;
  for (TypeId t : out_.interfaces[id].types) {
    const TypeDef& def = out_.types[t];
    if (def.kind != TypeKind::Alias || !def.args[0].defined()) continue;
    const TypeDef& target = out_.types[def.args[0].id];
    if (target.owner_kind != OwnerKind::Interface || target.owner == id) continue;
    if (seen.insert(target.owner).second) out.push_back(target.owner);
  }
  return out;
}

// An interface needs those that it uses types from: an export uses the export of it where there
// is one, and all else uses imports (WIT.md, "Transitive imports and worlds").
Result<void> Resolver::elaborate(WorldState& state, World& world) {
  // Imports: each interface after those that it uses. Iterative, as chains may be long.
  std::vector<WorldItem> interfaces, types, functions;
  std::unordered_set<InterfaceId> imported;
  const auto import_with_dependencies = [&](WorldItem item) {
    struct Frame {
      WorldItem item;
      std::vector<InterfaceId> needs;
      size_t next = 0;
    };
    std::vector<Frame> stack;
    const auto open = [&](WorldItem i) {
      if (i.name.empty() && !imported.insert(i.interface).second) return;
      std::vector<InterfaceId> needs = dependencies(i.interface);
      stack.push_back({std::move(i), std::move(needs), 0});
    };
    open(std::move(item));
    while (!stack.empty()) {
      Frame& frame = stack.back();
      if (frame.next == frame.needs.size()) {
        interfaces.push_back(std::move(frame.item));
        stack.pop_back();
        continue;
      }
      const InterfaceId need = frame.needs[frame.next++];
      // An import that is written has its own attributes.
      WorldItem next;
      if (auto it = state.imports.by_interface.find(need); it != state.imports.by_interface.end()) {
        next = state.imports.items[it->second];
      } else {
        next.kind = ItemKind::Interface;
        next.interface = need;
        next.stability = out_.interfaces[need].stability;
      }
      open(std::move(next));
    }
  };
  for (const WorldItem& item : state.imports.items) {
    if (item.kind == ItemKind::Interface) import_with_dependencies(item);
    if (item.kind == ItemKind::Type) types.push_back(item);
    if (item.kind == ItemKind::Function) functions.push_back(item);
  }

  // Exports. `required` are imports that exports need; none of those may be needed of an
  // interface that is exported, since it would be there twice.
  std::unordered_set<InterfaceId> required, exported;
  std::vector<WorldItem> exports;
  struct Frame {
    size_t item;  // of state.exports; npos for an import
    InterfaceId id;
    std::vector<InterfaceId> needs;
    size_t next;
  };
  constexpr size_t kImport = ~size_t{0};
  for (size_t index = 0; index < state.exports.items.size(); ++index) {
    const WorldItem& item = state.exports.items[index];
    if (item.kind != ItemKind::Interface) {
      exports.push_back(item);
      continue;
    }
    std::vector<Frame> stack;
    bool ok = true;
    const auto open = [&](size_t at, InterfaceId id) {
      if (at != kImport) {
        if (state.exports.items[at].name.empty() && exported.contains(id)) return;
      } else {
        if (exported.contains(id)) ok = false;
        if (!ok || required.contains(id)) return;
      }
      stack.push_back({at, id, dependencies(id), 0});
    };
    open(index, item.interface);
    while (!stack.empty() && ok) {
      Frame& frame = stack.back();
      if (frame.next < frame.needs.size()) {
        const InterfaceId need = frame.needs[frame.next++];
        auto it = state.exports.by_interface.find(need);
        open(frame.item != kImport && it != state.exports.by_interface.end() ? it->second : kImport,
             need);
        continue;
      }
      if (frame.item == kImport) {
        required.insert(frame.id);
        WorldItem need;
        need.kind = ItemKind::Interface;
        need.interface = frame.id;
        need.stability = out_.interfaces[frame.id].stability;
        import_with_dependencies(std::move(need));
      } else {
        const WorldItem& done = state.exports.items[frame.item];
        if (done.name.empty()) {
          ok = !required.contains(frame.id);
          exported.insert(frame.id);
        }
        exports.push_back(done);
      }
      stack.pop_back();
    }
    if (!ok) {
      const std::string name = item.name.empty() ? out_.interface_name(item.interface) : item.name;
      return error(state.ast.name.span, "interface " + ticked(name) +
                                            " transitively depends on an interface in "
                                            "incompatible ways");
    }
  }
  world.imports = std::move(interfaces);
  world.imports.insert(world.imports.end(), types.begin(), types.end());
  world.imports.insert(world.imports.end(), functions.begin(), functions.end());
  world.exports = std::move(exports);
  return {};
}

Result<WorldId> Resolver::world(const PackageState& package, const ast::PackageBody& body,
                                const ast::World& ast) {
  const auto id = static_cast<WorldId>(out_.worlds.size());
  out_.worlds.emplace_back();
  World out;
  out.name = ast.name.text;
  out.package = package.id;
  out.docs = ast.attributes.docs;
  out.stability = ast.attributes.stability;

  WorldState state{ast, Place{package, body, OwnerKind::World, id, {}, {}}, id, {}, {}};
  Definitions definitions;
  for (const ast::WorldItem& item : ast.items) {
    if (const auto* use = std::get_if<ast::Use>(&item)) definitions.uses.push_back(use);
    if (const auto* def = std::get_if<ast::TypeDef>(&item)) definitions.defs.push_back(def);
  }
  std::vector<TypeId> defined;
  std::vector<UsedInterface> used;
  WAFER_TRY(define_types(state.place, definitions, defined, &used));
  for (TypeId t : defined) {
    WorldItem item;
    item.kind = ItemKind::Type;
    item.name = out_.types[t].name;
    item.type = t;
    item.stability = out_.types[t].stability;
    item.external_id = out_.types[t].external_id;
    WAFER_TRY(add_item(state, /*exported=*/false, std::move(item), ast.name.span));
  }
  for (const ast::TypeDef* def : definitions.defs) {
    std::vector<Function> functions;
    std::vector<Span> spans;
    for (const ast::Func& func : def->functions)
      WAFER_TRY(define_function(state.place, func, def, functions, spans));
    for (size_t i = 0; i < functions.size(); ++i) {
      WorldItem item;
      item.name = functions[i].name;
      item.stability = functions[i].stability;
      item.external_id = functions[i].external_id;
      item.docs = functions[i].docs;
      item.function = std::move(functions[i]);
      WAFER_TRY(add_item(state, /*exported=*/false, std::move(item), spans[i]));
    }
  }
  for (const ast::WorldItem& item : ast.items)
    if (const auto* p = std::get_if<ast::Port>(&item)) WAFER_TRY(port(state, *p));
  for (const ast::WorldItem& item : ast.items)
    if (const auto* i = std::get_if<ast::Include>(&item)) WAFER_TRY(include(state, *i));
  for (const UsedInterface& need : used) {
    if (state.imports.by_interface.contains(need.id)) continue;
    WorldItem item;
    item.kind = ItemKind::Interface;
    item.interface = need.id;
    item.stability = need.stability;
    WAFER_TRY(add_item(state, /*exported=*/false, std::move(item), ast.name.span));
  }
  for (const bool exported : {false, true}) {
    const auto& side = state.side(exported);
    std::vector<Function> functions;
    std::vector<Span> spans;
    for (size_t i = 0; i < side.items.size(); ++i) {
      if (side.items[i].kind != ItemKind::Function) continue;
      functions.push_back(side.items[i].function);
      spans.push_back(side.spans[i]);
    }
    WAFER_TRY(check_setters(functions, spans));
  }
  WAFER_TRY(elaborate(state, out));
  out_.worlds[id] = std::move(out);
  return id;
}

}  // namespace wafer::wit
