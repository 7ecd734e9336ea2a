#include "wit/merge.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/semver.h"
#include "wit/encode.h"
#include "wit/order.h"

namespace wafer::wit {

namespace {

Error differs(const std::string& what) { return {ErrorKind::Invalid, what}; }

std::string key_of(const Resolve& r, const WorldItem& item) {
  return item.name.empty() ? r.interface_name(item.interface) : item.name;
}

// Whether things of two Resolves mean the same. Named types are equal if their names and the
// names of their owners are; what they are made of is compared where they are defined.
class Comparison {
 public:
  Comparison(const Resolve& a, const Resolve& b) : a_(a), b_(b) {}

  bool same(Type x, Type y) const {
    if (!x.defined() || !y.defined()) return x == y;
    const TypeDef &s = a_.types[x.id], &t = b_.types[y.id];
    if (s.name != t.name) return false;
    if (!s.name.empty()) return s.owner_kind == t.owner_kind && same_owner(s, t);
    return same_structure(s, t);
  }

  bool same_structure(const TypeDef& s, const TypeDef& t) const {
    if (s.kind != t.kind || s.length != t.length || s.args.size() != t.args.size() ||
        s.members.size() != t.members.size())
      return false;
    for (size_t i = 0; i < s.args.size(); ++i)
      if (!same(s.args[i], t.args[i])) return false;
    for (size_t i = 0; i < s.members.size(); ++i)
      if (s.members[i].name != t.members[i].name || !same(s.members[i].type, t.members[i].type))
        return false;
    return true;
  }

  bool same(const Function& f, const Function& g) const {
    if (f.is_async != g.is_async || f.kind != g.kind || f.params.size() != g.params.size() ||
        !same(f.result, g.result))
      return false;
    for (size_t i = 0; i < f.params.size(); ++i)
      if (f.params[i].name != g.params[i].name || !same(f.params[i].type, g.params[i].type))
        return false;
    return true;
  }

  // What of interface `x` is not the same in `y`, empty if there is nothing. What only one of
  // them has is of no matter unless `all`.
  std::string difference(InterfaceId x, InterfaceId y, bool all) const {
    const Interface &i = a_.interfaces[x], &j = b_.interfaces[y];
    std::unordered_map<std::string_view, TypeId> types;
    for (TypeId t : j.types) types.emplace(b_.types[t].name, t);
    for (TypeId t : i.types) {
      const std::string& name = a_.types[t].name;
      const auto other = types.find(name);
      if (other == types.end()) {
        if (all) return "type `" + name + "` is missing";
      } else if (!same_structure(a_.types[t], b_.types[other->second])) {
        return "type `" + name + "` is another";
      }
    }
    std::unordered_map<std::string_view, const Function*> functions;
    for (const Function& g : j.functions) functions.emplace(g.name, &g);
    for (const Function& f : i.functions) {
      const auto g = functions.find(f.name);
      if (g == functions.end()) {
        if (all) return "function `" + f.name + "` is missing";
      } else if (!same(f, *g->second)) {
        return "function `" + f.name + "` has another type";
      }
    }
    return {};
  }

  std::string difference(const WorldItem& x, const WorldItem& y, bool all) const {
    if (x.kind != y.kind) return "it is something else";
    switch (x.kind) {
      case ItemKind::Function:
        return same(x.function, y.function) ? "" : "its type is another";
      case ItemKind::Type:
        return same_structure(a_.types[x.type], b_.types[y.type]) ? "" : "its type is another";
      case ItemKind::Interface:
        break;
    }
    if (a_.interface_name(x.interface) != b_.interface_name(y.interface))
      return "the interfaces are not the same";
    return difference(x.interface, y.interface, all && a_.interfaces[x.interface].name.empty());
  }

  // Packages of compatible versions count as the same.
  bool compatible_versions = false;

 private:
  bool same_owner(const TypeDef& s, const TypeDef& t) const {
    if (s.owner_kind != OwnerKind::Interface) return true;
    const Interface &i = a_.interfaces[s.owner], &j = b_.interfaces[t.owner];
    if (i.name != j.name) return false;
    const PackageName &p = a_.packages[i.package].name, &q = b_.packages[j.package].name;
    if (i.name.empty() || p == q) return true;
    return compatible_versions && p.ns == q.ns && p.name == q.name && !p.version.empty() &&
           !q.version.empty() && compatible_version(p.version) == compatible_version(q.version);
  }

  const Resolve& a_;
  const Resolve& b_;
};

Function mapped(Function f, auto& map) {
  if (f.kind != FunctionKind::Freestanding) f.resource = map(Type::of(f.resource)).id;
  for (Param& p : f.params) p.type = map(p.type);
  f.result = map(f.result);
  return f;
}

class Merger {
 public:
  Merger(Resolve& into, const Resolve& from) : into_(into), from_(from) {}

  Result<Remap> run() {
    for (const Package& p : from_.packages) {
      auto id = into_.find_package(p.name);
      if (!id) {
        id = static_cast<PackageId>(into_.packages.size());
        into_.packages.push_back({p.name, {}, {}, p.docs});
      }
      map_.packages.push_back(*id);
    }
    const size_t before = into_.interfaces.size();
    std::map<std::pair<PackageId, std::string>, InterfaceId> known;
    for (PackageId p = 0; p < into_.packages.size(); ++p)
      for (InterfaceId i : into_.packages[p].interfaces)
        known.try_emplace({p, into_.interfaces[i].name}, i);
    for (const Interface& i : from_.interfaces) {
      const PackageId p = map_.packages[i.package];
      std::optional<InterfaceId> id;
      if (const auto it = known.find({p, i.name}); !i.name.empty() && it != known.end())
        id = it->second;
      if (!id) {
        id = static_cast<InterfaceId>(into_.interfaces.size());
        known.try_emplace({p, i.name}, *id);
        Interface copy = i;
        copy.package = p;
        copy.types.clear();
        copy.functions.clear();
        into_.interfaces.push_back(std::move(copy));
        if (!i.name.empty()) into_.packages[p].interfaces.push_back(*id);
      }
      map_.interfaces.push_back(*id);
    }
    {
      const Comparison comparison(from_, into_);
      for (InterfaceId i = 0; i < from_.interfaces.size(); ++i) {
        if (map_.interfaces[i] >= before) continue;
        const std::string why = comparison.difference(i, map_.interfaces[i], /*all=*/false);
        if (!why.empty())
          return differs("interface `" + from_.interface_name(i) +
                         "` differs in what is merged: " + why);
      }
    }
    worlds();
    types();
    for (InterfaceId i = 0; i < from_.interfaces.size(); ++i) {
      Interface& to = into_.interfaces[map_.interfaces[i]];
      std::unordered_set<TypeId> there(to.types.begin(), to.types.end());
      for (TypeId t : from_.interfaces[i].types)
        if (there.insert(map_.types[t]).second) to.types.push_back(map_.types[t]);
      std::unordered_set<std::string> names;
      for (const Function& f : to.functions) names.insert(f.name);
      for (const Function& f : from_.interfaces[i].functions)
        if (names.insert(f.name).second) to.functions.push_back(mapped(f, map_));
    }
    for (WorldId w = 0; w < from_.worlds.size(); ++w) WAFER_TRY(world(w));
    return std::move(map_);
  }

 private:
  void worlds() {
    for (const World& w : from_.worlds) {
      const PackageId p = map_.packages[w.package];
      auto id = into_.find_world(p, w.name);
      known_worlds_.push_back(id.has_value());
      if (!id) {
        id = static_cast<WorldId>(into_.worlds.size());
        World copy;
        copy.name = w.name;
        copy.package = p;
        copy.docs = w.docs;
        copy.stability = w.stability;
        into_.worlds.push_back(std::move(copy));
        into_.packages[p].worlds.push_back(*id);
      }
      map_.worlds.push_back(*id);
    }
  }

  // Types refer to types before them only, so that one pass is enough.
  void types() {
    // Those that owners had before, by name.
    std::unordered_map<uint32_t, std::unordered_map<std::string, TypeId>> of_interfaces, of_worlds;
    const auto find = [](const auto& names, const std::string& name) -> std::optional<TypeId> {
      const auto it = names.find(name);
      return it == names.end() ? std::nullopt : std::optional(it->second);
    };
    for (const TypeDef& t : from_.types) {
      std::optional<TypeId> id;
      if (!t.name.empty() && t.owner_kind == OwnerKind::Interface) {
        const auto [names, fresh] = of_interfaces.try_emplace(map_.interfaces[t.owner]);
        if (fresh)
          for (TypeId known : into_.interfaces[names->first].types)
            names->second.emplace(into_.types[known].name, known);
        id = find(names->second, t.name);
      }
      if (!t.name.empty() && t.owner_kind == OwnerKind::World && known_worlds_[t.owner]) {
        const auto [names, fresh] = of_worlds.try_emplace(map_.worlds[t.owner]);
        if (fresh)
          for (const WorldItem& item : into_.worlds[names->first].imports)
            if (item.kind == ItemKind::Type) names->second[item.name] = item.type;
        id = find(names->second, t.name);
      }
      if (!id) {
        TypeDef copy = t;
        if (t.owner_kind == OwnerKind::Interface) copy.owner = map_.interfaces[t.owner];
        if (t.owner_kind == OwnerKind::World) copy.owner = map_.worlds[t.owner];
        for (Type& arg : copy.args) arg = map_(arg);
        for (Member& m : copy.members) m.type = map_(m.type);
        id = static_cast<TypeId>(into_.types.size());
        into_.types.push_back(std::move(copy));
      }
      map_.types.push_back(*id);
    }
  }

  Result<void> world(WorldId w) {
    const World& theirs = from_.worlds[w];
    World& ours = into_.worlds[map_.worlds[w]];
    for (const bool exported : {false, true}) {
      const auto& list = exported ? theirs.exports : theirs.imports;
      auto& to = exported ? ours.exports : ours.imports;
      if (!known_worlds_[w]) {
        for (WorldItem item : list) {
          if (item.kind == ItemKind::Interface) item.interface = map_.interfaces[item.interface];
          if (item.kind == ItemKind::Type) item.type = map_.types[item.type];
          if (item.kind == ItemKind::Function) item.function = mapped(item.function, map_);
          to.push_back(std::move(item));
        }
        continue;
      }
      const std::string what = "world `" + theirs.name + "` differs in what is merged: ";
      const std::string side = exported ? "export" : "import";
      if (list.size() != to.size()) return differs(what + "the number of " + side + "s");
      const Comparison comparison(from_, into_);
      std::unordered_map<std::string, const WorldItem*> by_key;
      for (const WorldItem& x : to) by_key.emplace(key_of(into_, x), &x);
      for (const WorldItem& item : list) {
        const std::string key = key_of(from_, item);
        const auto other = by_key.find(key);
        if (other == by_key.end()) return differs(what + side + " `" + key + "` is missing");
        const std::string why = comparison.difference(item, *other->second, /*all=*/true);
        if (!why.empty()) return differs(what + side + " `" + key + "`: " + why);
      }
    }
    return {};
  }

  Resolve& into_;
  const Resolve& from_;
  Remap map_;
  std::vector<bool> known_worlds_;
};

// Copies of what belongs to one world, for another.
class Cloner {
 public:
  Cloner(Resolve& r, WorldId from, WorldId to) : r_(r), from_(from), to_(to) {}

  void set(TypeId from, TypeId to) { types_[from] = to; }

  Type operator()(Type t) {
    if (!t.defined()) return t;
    if (auto it = types_.find(t.id); it != types_.end()) return Type::of(it->second);
    TypeDef def = r_.types[t.id];
    const bool own = def.owner_kind == OwnerKind::World && def.owner == from_;
    if (!own && def.owner_kind != OwnerKind::None) return t;
    for (Type& arg : def.args) arg = (*this)(arg);
    for (Member& m : def.members) m.type = (*this)(m.type);
    if (own) def.owner = to_;
    r_.types.push_back(std::move(def));
    const auto id = static_cast<TypeId>(r_.types.size() - 1);
    types_[t.id] = id;
    return Type::of(id);
  }

 private:
  Resolve& r_;
  WorldId from_, to_;
  std::map<TypeId, TypeId> types_;
};

// Interfaces that `item` needs, through others too.
void needed_interfaces(const Resolve& r, const WorldItem& item, std::set<InterfaceId>& out) {
  if (item.kind != ItemKind::Interface) return;
  std::vector<InterfaceId> work = interface_dependencies(r, item.interface);
  while (!work.empty()) {
    const InterfaceId id = work.back();
    work.pop_back();
    if (!out.insert(id).second) continue;
    for (InterfaceId next : interface_dependencies(r, id)) work.push_back(next);
  }
}

bool exports_interface(const World& w, InterfaceId id) {
  return std::any_of(w.exports.begin(), w.exports.end(), [&](const WorldItem& x) {
    return x.kind == ItemKind::Interface && x.name.empty() && x.interface == id;
  });
}

}  // namespace

Result<Remap> merge(Resolve& into, const Resolve& from) { return Merger(into, from).run(); }

Result<void> merge_worlds(Resolve& r, WorldId from, WorldId into) {
  // What exports of `into` import would mean something else if it was exported too.
  std::set<InterfaceId> imported;
  for (const WorldItem& item : r.worlds[into].exports) needed_interfaces(r, item, imported);
  Cloner clone(r, from, into);
  for (const bool exported : {false, true}) {
    const auto list = exported ? r.worlds[from].exports : r.worlds[from].imports;
    auto& to = exported ? r.worlds[into].exports : r.worlds[into].imports;
    std::unordered_map<std::string, size_t> by_key;
    for (size_t i = 0; i < to.size(); ++i) by_key.emplace(key_of(r, to[i]), i);
    for (const WorldItem& item : list) {
      const std::string key = key_of(r, item);
      const auto [other, fresh] = by_key.try_emplace(key, to.size());
      const std::string side = exported ? "export" : "import";
      if (!fresh) {
        const WorldItem& known = to[other->second];
        const std::string why = Comparison(r, r).difference(item, known, /*all=*/true);
        if (!why.empty()) return differs("worlds differ in " + side + " `" + key + "`: " + why);
        if (item.kind == ItemKind::Type) clone.set(item.type, known.type);
        continue;
      }
      if (exported && item.kind == ItemKind::Interface && item.name.empty() &&
          imported.contains(item.interface) && !exports_interface(r.worlds[into], item.interface))
        return differs("failed to add export `" + key +
                       "`: other exports use its types as those of an import");
      WorldItem copy = item;
      if (copy.kind == ItemKind::Type) copy.type = clone(Type::of(item.type)).id;
      if (copy.kind == ItemKind::Function) copy.function = mapped(item.function, clone);
      to.push_back(std::move(copy));
    }
  }
  return {};
}

Result<void> merge_compatible_imports(Resolve& r, WorldId id) {
  World& world = r.worlds[id];
  const auto version = [&](InterfaceId i) -> const std::string& {
    return r.packages[r.interfaces[i].package].name.version;
  };
  // The newest of each "ns:package/interface@compatible-version".
  std::map<std::string, InterfaceId> newest;
  const auto track = [&](const WorldItem& item) -> std::string {
    if (item.kind != ItemKind::Interface || !item.name.empty() || version(item.interface).empty())
      return {};
    PackageName name = r.packages[r.interfaces[item.interface].package].name;
    name.version = compatible_version(name.version);
    return name.item_text(r.interfaces[item.interface].name);
  };
  for (const WorldItem& item : world.imports) {
    const std::string t = track(item);
    if (t.empty()) continue;
    const auto [it, fresh] = newest.try_emplace(t, item.interface);
    if (!fresh && compare_semver(version(item.interface), version(it->second)) > 0)
      it->second = item.interface;
  }
  std::map<TypeId, TypeId> types;
  std::vector<WorldItem> kept;
  bool changed = false;
  Comparison comparison(r, r);
  comparison.compatible_versions = true;
  for (const WorldItem& item : world.imports) {
    const std::string t = track(item);
    const InterfaceId to = t.empty() ? item.interface : newest[t];
    if (t.empty() || to == item.interface) {
      kept.push_back(item);
      continue;
    }
    changed = true;
    const std::string why = comparison.difference(item.interface, to, /*all=*/true);
    if (!why.empty())
      return differs("failed to upgrade `" + r.interface_name(item.interface) + "` to `" +
                     r.interface_name(to) + "`, which should be compatible: " + why);
    std::unordered_map<std::string_view, TypeId> newer;
    for (TypeId t : r.interfaces[to].types) newer.emplace(r.types[t].name, t);
    for (TypeId old : r.interfaces[item.interface].types) types[old] = newer.at(r.types[old].name);
  }
  if (!changed) return {};
  const auto moved = [&](Type t) {
    auto it = t.defined() ? types.find(t.id) : types.end();
    return it == types.end() ? t : Type::of(it->second);
  };
  for (TypeDef& t : r.types) {
    for (Type& arg : t.args) arg = moved(arg);
    for (Member& m : t.members) m.type = moved(m.type);
  }
  // What was used from an older one may come from one that stands later now.
  std::map<InterfaceId, uint32_t> places;
  for (uint32_t i = 0; i < kept.size(); ++i)
    if (kept[i].kind == ItemKind::Interface && kept[i].name.empty()) places[kept[i].interface] = i;
  std::vector<std::vector<Edge>> edges(kept.size());
  for (uint32_t i = 0; i < kept.size(); ++i) {
    if (kept[i].kind != ItemKind::Interface) continue;
    for (InterfaceId need : interface_dependencies(r, kept[i].interface))
      if (auto it = places.find(need); it != places.end() && it->second != i)
        edges[i].push_back({it->second, {}});
  }
  const Order order = topological_order(edges);
  if (order.cyclic) return differs("imported interfaces use one another in a circle");
  world.imports.clear();
  for (uint32_t i : order.sorted) world.imports.push_back(kept[i]);
  return {};
}

}  // namespace wafer::wit
