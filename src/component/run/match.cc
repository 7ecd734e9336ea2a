#include "component/run/match.h"

#include "component/run/linker.h"
#include "component/run/wave.h"
#include "component/shape.h"

namespace wafer::component {

bool ItemMatcher::same(ValType a, const ComponentInstance& from, ValType b) {
  const TypeArena& theirs = *from.component->types;
  const ValType t = plain(types_, a), u = plain(theirs, b);
  if (!t.defined() || !u.defined()) return !t.defined() && !u.defined() && t.prim == u.prim;
  const TypeDef& x = types_[t.id];
  const TypeDef& y = theirs[u.id];
  if (x.kind != y.kind || x.length != y.length || x.labels.size() != y.labels.size() ||
      x.args.size() != y.args.size())
    return false;
  if (x.kind == TypeKind::Own || x.kind == TypeKind::Borrow) {
    const auto known = resources_.find(types_[x.args[0].id].resource);
    const ResourceType* const other = from.resource_of(y.args[0].id);
    return known == resources_.end() || !other || known->second == other;
  }
  // Types may be made of the same ones many times.
  if (equal_.contains({t.id, u.id})) return true;
  for (size_t i = 0; i < x.labels.size(); ++i)
    if (x.labels[i].name != y.labels[i].name || !same(x.labels[i].type, from, y.labels[i].type))
      return false;
  for (size_t i = 0; i < x.args.size(); ++i)
    if (!same(x.args[i], from, y.args[i])) return false;
  equal_.insert({t.id, u.id});
  return true;
}

std::string ItemMatcher::func(const TypeDef& want, const Func& item) {
  if (!item.signature().empty()) return other_signature(types_, want, item.signature());
  if (const auto* const host = dynamic_cast<const HostFunc*>(&item))
    return fits_direct(types_, want, *host) ? "" : "the host's function has another type";
  const auto* const lifted = dynamic_cast<const LiftedFunc*>(&item);
  if (!lifted) return {};
  equal_.clear();  // of another arena, perhaps
  const ComponentInstance& from = lifted->instance;
  const TypeArena& theirs = *from.component->types;
  const TypeDef& have = lifted->def();
  if (want.is_async != have.is_async)
    return want.is_async ? "expected an async function" : "expected a function that is not async";
  if (want.labels.size() != have.labels.size())
    return "expected " + std::to_string(want.labels.size()) + " parameters, found " +
           std::to_string(have.labels.size());
  const auto expected = [&](ValType a, ValType b) {
    const auto name = [](const TypeArena& types, ValType t) {
      return t ? describe_type(types, t) : std::string("nothing");
    };
    const std::string wanted = name(types_, a), found = name(theirs, b);
    return "expected " + wanted + ", found " + (wanted == found ? "another " : "") + found;
  };
  for (size_t i = 0; i < want.labels.size(); ++i) {
    const Label &a = want.labels[i], &b = have.labels[i];
    if (a.name != b.name) return "expected parameter `" + a.name + "`, found `" + b.name + "`";
    if (!same(a.type, from, b.type))
      return "parameter `" + a.name + "`: " + expected(a.type, b.type);
  }
  const ValType a = want.args[0], b = have.args[0];
  if (bool(a) != bool(b) || (a && !same(a, from, b))) return "result: " + expected(a, b);
  return {};
}

std::string ItemMatcher::mismatch(const Entity& entity, const Item& item) {
  if (item.sort != entity.sort)
    return std::string("expected ") + std::string(sort_name(entity.sort)) + ", found " +
           std::string(sort_name(item.sort));
  switch (entity.sort) {
    case Sort::Type:
      if (types_[entity.type].kind != TypeKind::Resource) return {};
      if (!item.resource) return "expected a resource type";
      if (ResourceType* const given = item.resource.get();
          resources_.emplace(types_[entity.type].resource, given).first->second != given)
        return "another resource type than that of the import that it is equal to";
      return {};
    case Sort::Func:
      return func(types_[entity.type], *item.func);
    case Sort::CoreModule: {
      const auto matched =
          match_module(types_.core(), module_type_of(*item.module), types_.module(entity.module));
      return matched.ok() ? "" : std::string(std::string_view(matched.error().message));
    }
    case Sort::Instance: {
      std::string missing;
      for (const NamedEntity& e : types_[entity.type].shape->exports) {
        const Item* const inner = item.instance->find(e.name);
        if (!inner) {
          if (e.entity.sort == Sort::Type && types_[e.entity.type].kind != TypeKind::Resource)
            continue;
          missing += (missing.empty() ? "" : ", ") + std::string("no `") + e.name + "` in it";
        } else if (const std::string why = mismatch(e.entity, *inner); !why.empty()) {
          missing += (missing.empty() ? "" : ", ") + std::string("`") + e.name + "`: " + why;
        }
      }
      return missing;
    }
    default:
      return {};
  }
}

bool only_types(const Component& component, const Entity& entity) {
  const TypeArena& types = *component.types;
  for (const NamedEntity& e : types[entity.type].shape->exports)
    if (e.entity.sort != Sort::Type || types[e.entity.type].kind == TypeKind::Resource)
      return false;
  return true;
}

}  // namespace wafer::component
