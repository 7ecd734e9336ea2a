#include "wasi/bind/bind.h"

#include "component/names.h"

namespace wafer::wasi {

using component::Entity;
using component::HostInstance;
using component::NamedEntity;
using component::Sort;
using runtime::TrapCode;

TrapCode HostBase::take_failure(component::ComponentStore& store) {
  if (exit_) {
    const TrapCode code = store.core.set_trap(TrapCode::Exit);
    store.core.trap().exit_code = *std::exchange(exit_, std::nullopt);
    return code;
  }
  if (failure_) return store.trap(*std::exchange(failure_, std::nullopt));
  return TrapCode::None;
}

ResourceTypes add_definitions(component::ComponentLinker& linker,
                              std::span<const ResourceName> resources,
                              std::span<const ResourceAlias> aliases,
                              std::span<const Definition> definitions) {
  ResourceTypes types = add_resources(linker, resources);
  add_definitions(linker, types, aliases, definitions);
  return types;
}

ResourceTypes add_resources(component::ComponentLinker& linker,
                            std::span<const ResourceName> resources) {
  ResourceTypes types;
  for (const ResourceName& r : resources)
    types.push_back(linker.instance(r.interface).resource(r.name, [](uint64_t rep) {
      delete HostBase::object_of(rep);
    }));
  return types;
}

void add_definitions(component::ComponentLinker& linker, const ResourceTypes& types,
                     std::span<const ResourceAlias> aliases,
                     std::span<const Definition> definitions) {
  for (const ResourceAlias& a : aliases)
    linker.instance(a.interface).resource(a.name, types[a.index]);
  for (const Definition& d : definitions)
    linker.instance(d.interface).func(d.name, d.call, d.waits, {d.fits, d.direct});
}

Result<void> check_imports(const component::Component& component,
                           std::span<const Definition> definitions) {
  const TypeArena& types = *component.types;
  for (const NamedEntity& import : component.shape().imports) {
    if (import.entity.sort != Sort::Instance) continue;
    // Definitions of an interface stand together.
    const Definition* of = nullptr;
    for (const Definition& d : definitions) {
      if (of && std::string_view(of->interface) == d.interface) continue;
      of = &d;
      if (import.name == d.interface || component::names_match(import.name, d.interface)) break;
      of = nullptr;
    }
    if (!of) continue;
    for (const NamedEntity& item : types[import.entity.type].shape->exports) {
      if (item.entity.sort != Sort::Func) continue;
      for (const Definition* d = of; d < definitions.data() + definitions.size() &&
                                     d->interface == std::string_view(of->interface);
           ++d)
        if (item.name == d->name && (types[item.entity.type].is_async != d->is_async ||
                                     !d->matches(types, types[item.entity.type])))
          return Error(ErrorKind::Unlinkable, "component imports `" + import.name + "`: `" +
                                                  item.name + "` has another type there");
    }
  }
  return {};
}

}  // namespace wafer::wasi
