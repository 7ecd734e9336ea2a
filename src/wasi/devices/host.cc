#include "wasi/devices/host.h"

#include "wasi/devices/bindings.h"

namespace wafer::wasi::devices {

namespace {

constexpr Definition kDefinitions[] = {
#define WASI_FUNCTION(interface, name, signature, fn, waits) \
  define<&fn>(interface, name, signature, waits),
#include "wasi/devices/functions.inc"
#undef WASI_FUNCTION
};

}  // namespace

Host::~Host() {
  if (!life_.expired()) store_->hosts[kFamily] = nullptr;
}

void Host::attach(component::ComponentStore& store) {
  store.hosts[kFamily] = static_cast<HostBase*>(this);
  store_ = &store;
  life_ = store.life;
}

void Host::delay(uint64_t nanoseconds, Reply<Unit> reply) {
  if (guest.has_own_time()) {
    guest.delay(nanoseconds);
    return reply({});
  }
  const uint64_t now = host::monotonic_now();
  const uint64_t end = nanoseconds > ~now ? ~uint64_t{0} : now + nanoseconds;
  const auto pending = system.when_ready({host::timer(end)}, [reply] { reply({}); });
  reply.on_cancel([this, pending] { system.forget(pending); });
}

ResourceTypes add_to_linker(component::ComponentLinker& linker, const ResourceTypes& p2) {
  ResourceTypes types = p2;
  const ResourceTypes own = add_resources(linker, kResources);
  types.insert(types.end(), own.begin(), own.end());
  add_definitions(linker, types, kResourceAliases, kDefinitions);
  return types;
}

}  // namespace wafer::wasi::devices
