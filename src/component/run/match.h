// Whether what comes from outside fits what a component wants: its types are those of another
// arena, or the host's, so that the validator has not seen them (Explainer.md, "Subtyping").
#pragma once

#include <functional>
#include <set>
#include <string>
#include <unordered_map>

#include "component/run/task.h"

namespace wafer::component {

class HostFunc;

// Whether types of one arena are those of another.
class SameTypes {
 public:
  // `same_resource` tells of types that are resources.
  SameTypes(const TypeArena& x, const TypeArena& y,
            std::function<bool(TypeId, TypeId)> same_resource)
      : x_(x), y_(y), same_resource_(std::move(same_resource)) {}
  // Either may be none.
  bool operator()(ValType a, ValType b);

 private:
  const TypeArena& x_;
  const TypeArena& y_;
  const std::function<bool(TypeId, TypeId)> same_resource_;
  std::set<std::pair<TypeId, TypeId>> equal_;
};
// The same of types of instances, where resources are what they are there.
bool same_type(const ComponentInstance& x, ValType a, const ComponentInstance& y, ValType b);

// Why a function of C++ is none of a component's type `func`: it was said to be of the type
// `signature` (func_text(), func_form()), and its types in C++ have the form `form`. Either may be
// empty, which tells nothing. Empty: it is.
std::string misfit(const TypeArena& types, const TypeDef& func, std::string_view signature,
                   std::string_view form);

// For the items that one component is given, in the order of its imports: resources and values that
// came first are known to be those that later ones are about.
class ItemMatcher {
 public:
  explicit ItemMatcher(const Component& component) : types_(*component.types) {}
  // Why `item` cannot be given where `entity` is wanted; empty: it can.
  std::string mismatch(const Entity& entity, const Item& item);
  // `item` is what is known as `entity`.
  void learn(const Entity& entity, const Item& item);

 private:
  // Whether a value that came without a type is one of that type.
  bool fits(ValType type, const Val& v) const;
  std::string func(const TypeDef& want, const Func& item);

  const TypeArena& types_;
  std::unordered_map<ResourceId, const ResourceType*> resources_;
  std::unordered_map<uint32_t, const Val*> values_;  // by Entity::number
};

// Whether an instance's exports are nothing but types that are no resources.
bool only_types(const Component& component, const Entity& entity);

}  // namespace wafer::component
