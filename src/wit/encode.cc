#include "wit/encode.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "base/semver.h"
#include "wit/docs.h"

namespace wafer::wit {

namespace {

namespace cm = component;

constexpr std::pair<TypeKind, cm::TypeKind> kKinds[] = {
    {TypeKind::Record, cm::TypeKind::Record}, {TypeKind::Variant, cm::TypeKind::Variant},
    {TypeKind::List, cm::TypeKind::List},     {TypeKind::FixedList, cm::TypeKind::FixedList},
    {TypeKind::Tuple, cm::TypeKind::Tuple},   {TypeKind::Flags, cm::TypeKind::Flags},
    {TypeKind::Enum, cm::TypeKind::Enum},     {TypeKind::Option, cm::TypeKind::Option},
    {TypeKind::Result, cm::TypeKind::Result}, {TypeKind::Own, cm::TypeKind::Own},
    {TypeKind::Borrow, cm::TypeKind::Borrow}, {TypeKind::Stream, cm::TypeKind::Stream},
    {TypeKind::Future, cm::TypeKind::Future}, {TypeKind::Map, cm::TypeKind::Map},
};

// A setter has to stand behind its getter. `function` gives null for what is none.
template <class T, class F>
void getters_first(std::vector<T>& list, F&& function) {
  std::unordered_map<std::string_view, size_t> getters;
  for (size_t i = 0; i < list.size(); ++i)
    if (const Function* f = function(list[i]); f && f->accessor == Accessor::Get)
      getters.try_emplace(f->name, i);
  if (getters.empty()) return;
  std::vector<T> out;
  std::vector<bool> moved(list.size(), false);
  for (size_t i = 0; i < list.size(); ++i) {
    if (moved[i]) continue;
    if (const Function* setter = function(list[i]); setter && setter->accessor == Accessor::Set) {
      std::string name = setter->name;
      name.replace(name.find("[set]"), 5, "[get]");
      if (const auto getter = getters.find(name); getter != getters.end() && getter->second > i) {
        moved[getter->second] = true;
        out.push_back(list[getter->second]);
      }
    }
    out.push_back(list[i]);
  }
  list = std::move(out);
}

cm::Attributes attributes(const std::optional<std::string>& external_id) {
  cm::Attributes out;
  if (external_id) out.external_id = *external_id;
  return out;
}

}  // namespace

cm::TypeKind component_kind(TypeKind kind) {
  for (const auto& [ours, theirs] : kKinds)
    if (ours == kind) return theirs;
  return cm::TypeKind::Primitive;
}

cm::ValType TypeScope::value(Type t) {
  return t.defined() ? cm::ValType::of(type(t.id)) : cm::ValType{t.prim, 0};
}

// Types may be made of each other in longer chains than calls can be nested. They refer to types
// of lower numbers, so that all that is needed can be written in the order of these.
void TypeScope::prepare(TypeId id) {
  std::vector<TypeId> work{id}, needed;
  std::unordered_set<TypeId> seen{id};
  while (!work.empty()) {
    const TypeDef& def = r_.types[work.back()];
    work.pop_back();
    if (is_foreign(def)) continue;
    const auto add = [&](Type t) {
      if (!t.defined() || known_.contains(t.id) || !seen.insert(t.id).second) return;
      work.push_back(t.id);
      needed.push_back(t.id);
    };
    for (Type t : def.args) add(t);
    for (const Member& m : def.members) add(m.type);
  }
  std::sort(needed.begin(), needed.end());
  for (TypeId t : needed) type(t);
}

uint32_t TypeScope::type(TypeId id) {
  constexpr uint32_t kDeep = 100;
  if (auto it = known_.find(id); it != known_.end()) return it->second;
  if (++depth_ == kDeep) prepare(id);
  const TypeDef& def = r_.types[id];
  uint32_t index = 0;
  if (is_foreign(def)) {
    index = foreign_(id);
  } else if (def.kind == TypeKind::Resource) {
    index = name_(id, {def.name, attributes(def.external_id)}, cm::ExternType::resource());
  } else {
    if (def.kind == TypeKind::Alias && def.args[0].defined()) {
      index = type(def.args[0].id);
    } else {
      cm::TypeDef out;
      out.kind = component_kind(def.kind);
      out.length = def.length;
      for (Type t : def.args) out.args.push_back(value(t));
      for (const Member& m : def.members) out.labels.push_back({m.name, value(m.type)});
      index = out_.type(out);
    }
    if (!def.name.empty())
      index = name_(id, {def.name, attributes(def.external_id)},
                    cm::ExternType::of(cm::Sort::Type, index));
  }
  --depth_;
  known_[id] = index;
  return index;
}

uint32_t TypeScope::func(const Function& f) {
  cm::TypeDef out;
  out.kind = cm::TypeKind::Func;
  out.is_async = f.is_async;
  for (const Param& p : f.params) out.labels.push_back({p.name, value(p.type)});
  out.args.push_back(value(f.result));
  return out_.type(out);
}

std::vector<const Function*> ordered_functions(const Resolve& r, InterfaceId id) {
  const Interface& i = r.interfaces[id];
  std::unordered_map<TypeId, size_t> ranks;
  for (size_t t = 0; t < i.types.size(); ++t) ranks.try_emplace(i.types[t], t);
  std::vector<std::pair<size_t, const Function*>> ranked;
  for (const Function& f : i.functions) {
    const auto rank = f.kind == FunctionKind::Freestanding ? ranks.end() : ranks.find(f.resource);
    ranked.emplace_back(rank == ranks.end() ? i.types.size() : rank->second, &f);
  }
  // Functions stand in one array: among equals their addresses are in order.
  std::sort(ranked.begin(), ranked.end());
  std::vector<const Function*> out;
  for (const auto& [rank, f] : ranked) out.push_back(f);
  getters_first(out, [](const Function* f) { return f; });
  return out;
}

std::vector<InterfaceId> interface_dependencies(const Resolve& r, InterfaceId id) {
  std::vector<InterfaceId> out;
  std::unordered_set<InterfaceId> seen;
  for (TypeId t : r.interfaces[id].types) {
    const TypeDef& def = r.types[t];
    if (def.kind != TypeKind::Alias || !def.args[0].defined()) continue;
    const TypeDef& target = r.types[def.args[0].id];
    if (target.owner_kind != OwnerKind::Interface || target.owner == id) continue;
    if (seen.insert(target.owner).second) out.push_back(target.owner);
  }
  return out;
}

std::unordered_map<InterfaceId, size_t> exported_items(const World& world) {
  std::unordered_map<InterfaceId, size_t> out;
  for (size_t i = 0; i < world.exports.size(); ++i)
    if (world.exports[i].kind == ItemKind::Interface && world.exports[i].name.empty())
      out.try_emplace(world.exports[i].interface, i);
  return out;
}

cm::WrittenName written_name(const Resolve& r, const WorldItem& item, std::string& storage,
                             bool canonical) {
  cm::Attributes a = attributes(item.external_id);
  if (item.implements) a.implements = r.interface_name(item.interface);
  storage = item.name.empty() ? r.interface_name(item.interface) : item.name;
  if (const size_t at = storage.find('@'); canonical && item.name.empty() && at != storage.npos) {
    const size_t length =
        at + 1 + compatible_version(std::string_view(storage).substr(at + 1)).size();
    a.version_suffix = storage.substr(length);
    storage.resize(length);
  }
  return {storage, std::move(a)};
}

namespace {

// Instance types in a component type, whose types refer to one another by the instances.
class Instances {
 public:
  Instances(const Resolve& r, cm::TypeWriter& outer) : r_(r), outer_(outer) {}

  // The type of an interface; without functions if only its types are wanted.
  uint32_t type(InterfaceId id, bool functions) {
    cm::TypeWriter inner(cm::TypeKind::Instance);
    TypeScope scope(
        r_, inner, OwnerKind::Interface, id,
        [&](TypeId t) { return inner.alias_outer(1, alias(t), cm::Sort::Type); },
        [&](TypeId, const cm::WrittenName& name, const cm::ExternType& type) {
          return inner.export_(name, type);
        });
    for (TypeId t : r_.interfaces[id].types) scope.type(t);
    if (functions)
      for (const Function* f : ordered_functions(r_, id))
        inner.export_({f->name, attributes(f->external_id)},
                      cm::ExternType::of(cm::Sort::Func, scope.func(*f)));
    return outer_.type(inner);
  }

  // A type of an interface that is there as an instance.
  uint32_t alias(TypeId t) {
    const TypeDef& def = r_.types[t];
    return outer_.alias_export(instances_[def.owner], def.name, cm::Sort::Type);
  }
  void set(InterfaceId id, uint32_t instance) { instances_[id] = instance; }

 private:
  const Resolve& r_;
  cm::TypeWriter& outer_;
  std::unordered_map<InterfaceId, uint32_t> instances_;
};

// `id` and what it needs, each after what it depends on.
void live_interfaces(const Resolve& r, InterfaceId id, std::set<InterfaceId>& seen,
                     std::vector<InterfaceId>& out) {
  struct Frame {
    InterfaceId id;
    std::vector<InterfaceId> needs;
    size_t next = 0;
  };
  std::vector<Frame> stack;
  const auto open = [&](InterfaceId i) {
    if (seen.insert(i).second) stack.push_back({i, interface_dependencies(r, i)});
  };
  open(id);
  while (!stack.empty()) {
    Frame& f = stack.back();
    if (f.next < f.needs.size()) {
      open(f.needs[f.next++]);
      continue;
    }
    out.push_back(f.id);
    stack.pop_back();
  }
}

// `size` is what was written before.
Result<cm::TypeWriter> encode_interface(const Resolve& r, InterfaceId id, size_t& size) {
  cm::TypeWriter outer(cm::TypeKind::Component);
  Instances instances(r, outer);
  std::set<InterfaceId> seen;
  std::vector<InterfaceId> order;
  live_interfaces(r, id, seen, order);
  // Interfaces of others come with all their types, so that every view of one has the same.
  for (InterfaceId i : order) {
    size += 1 + r.interfaces[i].types.size() + (i == id ? r.interfaces[i].functions.size() : 0);
    if (size > cm::kMaxTypeWeight)
      return Error(ErrorKind::Exhaustion, "package `" +
                                              r.packages[r.interfaces[id].package].name.text() +
                                              "` has more types than its binary form may have");
    const auto type = cm::ExternType::of(cm::Sort::Instance, instances.type(i, i == id));
    if (i == id)
      outer.export_(r.interface_name(i), type);
    else
      instances.set(i, outer.import(r.interface_name(i), type));
  }
  return std::move(outer);
}

}  // namespace

cm::TypeWriter encode_world(const Resolve& r, WorldId id, const ItemName& item_name) {
  cm::TypeWriter outer(cm::TypeKind::Component);
  Instances instances(r, outer);
  const World& world = r.worlds[id];
  TypeScope scope(
      r, outer, OwnerKind::World, id, [&](TypeId t) { return instances.alias(t); },
      [&](TypeId, const cm::WrittenName& name, const cm::ExternType& type) {
        return outer.import(name, type);
      });
  for (const bool exported : {false, true}) {
    std::vector<const WorldItem*> items;
    for (const WorldItem& item : exported ? world.exports : world.imports) items.push_back(&item);
    getters_first(items, [](const WorldItem* item) {
      return item->kind == ItemKind::Function ? &item->function : nullptr;
    });
    for (const WorldItem* p : items) {
      const WorldItem& item = *p;
      if (item.kind == ItemKind::Type) {
        scope.type(item.type);
        continue;
      }
      const bool interface = item.kind == ItemKind::Interface;
      const auto type =
          interface ? cm::ExternType::of(cm::Sort::Instance, instances.type(item.interface, true))
                    : cm::ExternType::of(cm::Sort::Func, scope.func(item.function));
      std::string storage;
      cm::WrittenName name = written_name(r, item, storage);
      if (item_name) name.text = storage = item_name(item, exported);
      const uint32_t index = exported ? outer.export_(name, type) : outer.import(name, type);
      // Others use types of an interface by its own name.
      if (interface && !item.implements) instances.set(item.interface, index);
    }
  }
  return outer;
}

WorldImports::WorldImports(const Resolve& r, WorldId world, cm::ComponentWriter& out,
                           bool canonical_names)
    : r_(r),
      world_(r.worlds[world]),
      out_(out),
      canonical_names_(canonical_names),
      root_(
          r, out, OwnerKind::World, world, [this](TypeId t) { return imported_type(t); },
          [this](TypeId, const cm::WrittenName& name, const cm::ExternType& type) {
            return out_.import(name, type);
          }),
      indices_(world_.imports.size()) {}

uint32_t WorldImports::imported_type(TypeId t) {
  const TypeDef& def = r_.types[t];
  return out_.alias_export(instances_[def.owner], def.name, cm::Sort::Type);
}

void WorldImports::encode(const WantedType& wanted_type, const WantedFunction& wanted_function) {
  for (size_t i = 0; i < world_.imports.size(); ++i) {
    const WorldItem& item = world_.imports[i];
    if (item.kind != ItemKind::Interface) continue;
    cm::TypeWriter type(cm::TypeKind::Instance);
    TypeScope scope(
        r_, type, OwnerKind::Interface, item.interface,
        [&](TypeId t) { return type.alias_outer(1, imported_type(t), cm::Sort::Type); },
        [&](TypeId, const cm::WrittenName& name, const cm::ExternType& t) {
          return type.export_(name, t);
        });
    for (TypeId t : r_.interfaces[item.interface].types)
      if (wanted_type(t)) scope.type(t);
    for (const Function* f : ordered_functions(r_, item.interface))
      if (wanted_function(i, *f))
        type.export_({f->name, attributes(f->external_id)},
                     cm::ExternType::of(cm::Sort::Func, scope.func(*f)));
    if (type.empty()) continue;
    const uint32_t index = out_.type(type);
    std::string storage;
    indices_[i] = out_.import(written_name(r_, item, storage, canonical_names_),
                              cm::ExternType::of(cm::Sort::Instance, index));
    if (!item.implements) instances_[item.interface] = *indices_[i];
  }
  for (size_t i = 0; i < world_.imports.size(); ++i)
    if (world_.imports[i].kind == ItemKind::Type) indices_[i] = root_.type(world_.imports[i].type);
  for (size_t i = 0; i < world_.imports.size(); ++i) {
    const WorldItem& item = world_.imports[i];
    if (item.kind != ItemKind::Function || !wanted_function(i, item.function)) continue;
    const uint32_t type = root_.func(item.function);
    std::string storage;
    indices_[i] =
        out_.import(written_name(r_, item, storage), cm::ExternType::of(cm::Sort::Func, type));
  }
}

Result<Vec<uint8_t>> encode_package(const Resolve& r, PackageId id) {
  cm::ComponentWriter out;
  size_t size = 0;
  const Package& package = r.packages[id];
  const auto add = [&](const std::string& name, const cm::TypeWriter& type) {
    out.export_(name, {cm::Sort::Type, out.type(type)});
  };
  for (InterfaceId i : package.interfaces) {
    WAFER_LET(type, encode_interface(r, i, size));
    add(r.interfaces[i].name, type);
  }
  for (WorldId w : package.worlds) {
    const World& world = r.worlds[w];
    cm::TypeWriter wrapper(cm::TypeKind::Component);
    const uint32_t type = wrapper.type(encode_world(r, w));
    wrapper.export_(r.packages[world.package].name.item_text(world.name),
                    cm::ExternType::of(cm::Sort::Component, type));
    add(world.name, wrapper);
  }
  const Vec<uint8_t> docs = encode_docs(r, id);
  if (!docs.empty()) out.custom(kDocsSection, {docs.data(), docs.size()});
  return out.finish();
}

}  // namespace wafer::wit
