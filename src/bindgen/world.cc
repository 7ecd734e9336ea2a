#include "bindgen/world.h"

#include <algorithm>

#include "wit/encode.h"

namespace wafer::bindgen {

namespace {

constexpr uint32_t bit(TypeKind kind) { return 1u << static_cast<uint32_t>(kind); }
constexpr uint32_t kHeldString = 1u << 31;

}  // namespace

WorldModel::WorldModel(const wit::Resolve& r, wit::WorldId world)
    : r_(r), world_(r.worlds[world]), abi_(r), exports_used_(wit::exports_used(r, world_)) {
  for (const TypeDef& d : r.types) {
    uint32_t held = bit(d.kind);
    const auto add = [&](Type t) {
      if (t.prim == Prim::String) held |= kHeldString;
      if (t.defined() && d.kind != TypeKind::Own && d.kind != TypeKind::Borrow) held |= held_[t.id];
    };
    for (Type arg : d.args) add(arg);
    for (const wit::Member& m : d.members) add(m.type);
    held_.push_back(held);
  }
}

Result<void> WorldModel::check_depth() const {
  constexpr uint32_t kMostDepth = 500;
  std::vector<uint32_t> depth(r_.types.size(), 1);
  for (TypeId t = 0; t < r_.types.size(); ++t) {
    const auto below = [&](Type other) {
      if (other.defined()) depth[t] = std::max(depth[t], depth[other.id] + 1);
    };
    for (Type arg : r_.types[t].args) below(arg);
    for (const wit::Member& m : r_.types[t].members) below(m.type);
    if (depth[t] > kMostDepth)
      return Error(ErrorKind::Exhaustion, "types are nested too deeply for bindings");
  }
  return {};
}

size_t WorldModel::owner_side(const TypeDef& def, size_t side) const {
  if (side == kImports || def.owner_kind != OwnerKind::Interface) return kImports;
  const wit::WorldItem& item = world_.exports[side];
  if (item.kind == ItemKind::Interface && item.interface == def.owner) return side;
  if (exports_used_[side].contains(def.owner)) return *wit::exported_item(world_, def.owner);
  return kImports;
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
         holds(t,
               {TypeKind::List, TypeKind::Map, TypeKind::Own, TypeKind::Future, TypeKind::Stream});
}

bool WorldModel::holds(Type t, std::initializer_list<TypeKind> kinds) const {
  uint32_t wanted = 0;
  for (TypeKind k : kinds) wanted |= bit(k);
  return t.defined() && (held_[t.id] & wanted) != 0;
}

}  // namespace wafer::bindgen
