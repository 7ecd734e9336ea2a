#include "component/run/match.h"

#include <algorithm>

#include "component/run/linker.h"
#include "component/run/wave.h"
#include "component/shape.h"

namespace wafer::component {

bool SameTypes::operator()(ValType a, ValType b) {
  const ValType t = plain(x_, a), u = plain(y_, b);
  if (!t.defined() || !u.defined()) return !t.defined() && !u.defined() && t.prim == u.prim;
  const TypeDef& x = x_[t.id];
  const TypeDef& y = y_[u.id];
  if (x.kind != y.kind || x.length != y.length || x.labels.size() != y.labels.size() ||
      x.args.size() != y.args.size())
    return false;
  if (x.kind == TypeKind::Own || x.kind == TypeKind::Borrow)
    return same_resource_(x.args[0].id, y.args[0].id);
  // Types may be made of the same ones many times.
  if (equal_.contains({t.id, u.id})) return true;
  for (size_t i = 0; i < x.labels.size(); ++i)
    if (x.labels[i].name != y.labels[i].name || !(*this)(x.labels[i].type, y.labels[i].type))
      return false;
  for (size_t i = 0; i < x.args.size(); ++i)
    if (!(*this)(x.args[i], y.args[i])) return false;
  equal_.insert({t.id, u.id});
  return true;
}

bool same_type(const ComponentInstance& x, ValType a, const ComponentInstance& y, ValType b) {
  return SameTypes(*x.component->types, *y.component->types,
                   [&](TypeId r, TypeId s) { return x.resource_of(r) == y.resource_of(s); })(a, b);
}

std::string misfit(const TypeArena& types, const TypeDef& func, std::string_view signature,
                   std::string_view form) {
  std::string why;
  if (!signature.empty()) why = other_signature(types, func, signature);
  if (why.empty() && !form.empty() && form != signature) why = other_signature(types, func, form);
  return why;
}

std::string ItemMatcher::func(const TypeDef& want, const Func& item) {
  if (const auto* const host = dynamic_cast<const HostFunc*>(&item))
    return misfit(types_, want, host->signature(), host->abi().form());
  const auto* const lifted = dynamic_cast<const LiftedFunc*>(&item);
  if (!lifted) return {};
  const ComponentInstance& from = lifted->instance;
  const TypeArena& theirs = *from.component->types;
  SameTypes same(types_, theirs, [&](TypeId r, TypeId s) {
    const auto known = resources_.find(types_[r].resource);
    const ResourceType* const other = from.resource_of(s);
    return known == resources_.end() || !other || known->second == other;
  });
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
    if (!same(a.type, b.type)) return "parameter `" + a.name + "`: " + expected(a.type, b.type);
  }
  const ValType a = want.args[0], b = have.args[0];
  if (bool(a) != bool(b) || (a && !same(a, b))) return "result: " + expected(a, b);
  return {};
}

bool ItemMatcher::fits(ValType type, const Val& v) const {
  const ValType t = plain(types_, type);
  const auto integer = [&](int64_t least, int64_t most) {
    return v.is_bits() && v.as_int() >= least && v.as_int() <= most;
  };
  switch (t.prim) {
    case Prim::Bool:
      return integer(0, 1);
    case Prim::S8:
      return integer(INT8_MIN, INT8_MAX);
    case Prim::U8:
      return integer(0, UINT8_MAX);
    case Prim::S16:
      return integer(INT16_MIN, INT16_MAX);
    case Prim::U16:
      return integer(0, UINT16_MAX);
    case Prim::S32:
      return integer(INT32_MIN, INT32_MAX);
    case Prim::U32:
    case Prim::F32:
      return integer(0, UINT32_MAX);
    case Prim::S64:
    case Prim::U64:
    case Prim::F64:
      return v.is_bits();
    case Prim::Char:
      return integer(0, 0x10FFFF) && (v.bits() < 0xD800 || v.bits() > 0xDFFF);
    case Prim::String:
      return v.is_text();
    case Prim::ErrorContext:
      return v.is_failure();
    default:
      break;
  }
  const TypeDef& def = types_[t.id];
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple: {
      if (!v.is_items() || v.items().size() != field_count(def)) return false;
      for (size_t i = 0; i < field_count(def); ++i)
        if (!fits(field_type(def, i), v.items()[i])) return false;
      return true;
    }
    case TypeKind::Enum:
      return integer(0, int64_t(def.labels.size()) - 1);
    case TypeKind::Flags:
      return v.is_bits() && (def.labels.size() >= 64 || v.bits() >> def.labels.size() == 0);
    case TypeKind::Variant:
    case TypeKind::Option:
    case TypeKind::Result: {
      if (!v.is_case() || v.index() >= case_count(def)) return false;
      const ValType payload = case_type(def, v.index());
      return bool(payload) == bool(v.payload()) && (!payload || fits(payload, *v.payload()));
    }
    case TypeKind::List:
    case TypeKind::FixedList: {
      if (v.is_bytes())
        return plain(types_, def.args[0]).prim == Prim::U8 &&
               (def.kind == TypeKind::List || v.bytes().size() == def.length);
      if (!v.is_items() || (def.kind == TypeKind::FixedList && v.items().size() != def.length))
        return false;
      return std::all_of(v.items().begin(), v.items().end(),
                         [&](const Val& item) { return fits(def.args[0], item); });
    }
    case TypeKind::Map:
      return v.is_items() && std::all_of(v.items().begin(), v.items().end(), [&](const Val& entry) {
               return entry.is_items() && entry.items().size() == 2 &&
                      fits(def.args[0], entry.items()[0]) && fits(def.args[1], entry.items()[1]);
             });
    case TypeKind::Own:
    case TypeKind::Borrow: {
      if (!v.is_resource()) return false;
      const auto known = resources_.find(types_[def.args[0].id].resource);
      return known == resources_.end() || known->second == v.resource().type;
    }
    case TypeKind::Stream:
    case TypeKind::Future:
      return v.is_end();
    default:
      return false;
  }
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
    case Sort::Value:
      if (!item.value) return {};
      if (!fits(entity.value, item.value->val))
        return "the value is none of type " + describe_type(types_, entity.value);
      if (*values_.emplace(entity.number, &item.value->val).first->second != item.value->val)
        return "another value than the one that it is equal to";
      return {};
    case Sort::Component:
      return {};
  }
  return {};
}

void ItemMatcher::learn(const Entity& entity, const Item& item) {
  const TypeDef* const def =
      entity.sort == Sort::Type || entity.sort == Sort::Instance ? &types_[entity.type] : nullptr;
  if (entity.sort == Sort::Value && item.value)
    values_.emplace(entity.number, &item.value->val);
  else if (entity.sort == Sort::Type && def->kind == TypeKind::Resource && item.resource)
    resources_.emplace(def->resource, item.resource.get());
  else if (entity.sort == Sort::Instance)
    for (const NamedEntity& e : def->shape->exports)
      if (const Item* const inner = item.instance->find(e.name)) learn(e.entity, *inner);
}

bool only_types(const Component& component, const Entity& entity) {
  const TypeArena& types = *component.types;
  for (const NamedEntity& e : types[entity.type].shape->exports)
    if (e.entity.sort != Sort::Type || types[e.entity.type].kind == TypeKind::Resource)
      return false;
  return true;
}

}  // namespace wafer::component
