#include "bindgen/world.h"

#include <algorithm>

#include "wit/encode.h"

namespace wafer::bindgen {

namespace {

constexpr uint32_t bit(TypeKind kind) { return 1u << static_cast<uint32_t>(kind); }
constexpr uint32_t kHeldString = 1u << 31, kHeldErrorContext = 1u << 30;

}  // namespace

WorldModel::WorldModel(const wit::Resolve& r, wit::WorldId world)
    : r_(r), world_(r.worlds[world]), abi_(r), exported_(wit::exported_items(world_)) {
  for (const wit::Package& p : r.packages) ++versions_[{p.name.ns, p.name.name}];
  for (const wit::WorldItem& item : world_.imports)
    if (item.kind == ItemKind::Interface && r.interfaces[item.interface].name.empty())
      inline_.try_emplace(item.interface, &item);
  for (const TypeDef& d : r.types) {
    uint32_t held = bit(d.kind);
    // What is behind a handle is not held.
    const bool handle = d.kind == TypeKind::Own || d.kind == TypeKind::Borrow ||
                        d.kind == TypeKind::Stream || d.kind == TypeKind::Future;
    const auto add = [&](Type t) {
      if (handle) return;
      if (t.prim == Prim::String) held |= kHeldString;
      if (t.prim == Prim::ErrorContext) held |= kHeldErrorContext;
      if (t.defined()) held |= held_[t.id];
    };
    for (Type arg : d.args) add(arg);
    for (const wit::Member& m : d.members) add(m.type);
    held_.push_back(held);
  }
}

Result<void> WorldModel::check_types() {
  WAFER_TRY(abi_.check());
  constexpr uint64_t kMost = 1'000'000;
  uint64_t weight = 0;
  const auto add = [&](const wit::Function& f) {
    for (const wit::Param& p : f.params) weight += abi_.weight(p.type);
    if (f.result) weight += abi_.weight(f.result);
  };
  for (const auto* items : {&world_.imports, &world_.exports}) {
    for (const wit::WorldItem& item : *items) {
      if (item.kind == ItemKind::Function) add(item.function);
      if (item.kind == ItemKind::Type) weight += abi_.weight(Type::of(item.type));
      if (item.kind != ItemKind::Interface) continue;
      for (TypeId t : r_.interfaces[item.interface].types) weight += abi_.weight(Type::of(t));
      for (const wit::Function& f : r_.interfaces[item.interface].functions) add(f);
    }
  }
  if (weight > kMost)
    return Error(ErrorKind::Exhaustion, "types of the world are too large for bindings");
  return {};
}

size_t WorldModel::owner_side(const TypeDef& def, size_t side) const {
  if (side == kImports || def.owner_kind != OwnerKind::Interface) return kImports;
  const wit::WorldItem& item = world_.exports[side];
  if (item.kind == ItemKind::Interface && item.interface == def.owner) return side;
  const auto exported = exported_.find(def.owner);
  return exported == exported_.end() ? kImports : exported->second;
}

TypeKind WorldModel::kind(Type t) const {
  const Type p = plain(t);
  return p.defined() ? r_.types[p.id].kind : TypeKind::Alias;
}

std::string WorldModel::key(const wit::WorldItem& item) const {
  return item.name.empty() ? r_.interface_name(item.interface) : item.name;
}

bool WorldModel::owns(Type t) const {
  return t.prim == Prim::String || (t.defined() && (held_[t.id] & kHeldString)) ||
         holds(t, {TypeKind::List, TypeKind::Map, TypeKind::Own});
}

bool WorldModel::holds_error_context(Type t) const {
  return t.prim == Prim::ErrorContext || (t.defined() && (held_[t.id] & kHeldErrorContext));
}

bool WorldModel::holds(Type t, std::initializer_list<TypeKind> kinds) const {
  uint32_t wanted = 0;
  for (TypeKind k : kinds) wanted |= bit(k);
  return t.defined() && (held_[t.id] & wanted) != 0;
}

}  // namespace wafer::bindgen
