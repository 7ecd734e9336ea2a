// Whether what comes from outside fits what a component wants: its types are those of another
// arena, or the host's, so that the validator has not seen them (Explainer.md, "Subtyping").
#pragma once

#include <set>
#include <string>
#include <unordered_map>

#include "component/run/task.h"

namespace wafer::component {

class HostFunc;

// For the items that one component is given, in the order of its imports: resources that came
// first are known to be those that later functions are about.
class ItemMatcher {
 public:
  explicit ItemMatcher(const Component& component) : types_(*component.types) {}
  // Why `item` cannot be given where `entity` is wanted; empty: it can.
  std::string mismatch(const Entity& entity, const Item& item);

 private:
  // Whether a value that came without a type is one of that type.
  bool fits(ValType type, const Val& v) const;
  std::string func(const TypeDef& want, const Func& item);
  // Whether a type of ours is the same as one of theirs.
  bool same(ValType a, const ComponentInstance& from, ValType b);

  const TypeArena& types_;
  std::unordered_map<ResourceId, const ResourceType*> resources_;
  std::set<std::pair<TypeId, TypeId>> equal_;
};

// Whether an instance's exports are nothing but types that are no resources.
bool only_types(const Component& component, const Entity& entity);

}  // namespace wafer::component
