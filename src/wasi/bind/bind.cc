#include "wasi/bind/bind.h"

namespace wafer::wasi {

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
    linker.instance(d.interface).func(d.name, d.call, d.waits, d.signature, d.direct());
}

}  // namespace wafer::wasi
