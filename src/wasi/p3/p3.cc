#include "wasi/p3/p3.h"

#include "wasi/p3/streams.h"

namespace wafer::wasi::p3 {

namespace {

constexpr Definition kDefinitions[] = {
#define WASI_FUNCTION(interface, name, signature, fn, waits) \
  define<&fn>(interface, name, signature, waits),
#include "wasi/p3/functions.inc"
#undef WASI_FUNCTION
};

}  // namespace

Host::~Host() {
  // None of them is told of what happens now.
  for (const std::shared_ptr<Side>& side : sides_) side->abandon();
  sides_.clear();
}

void Host::reset() {
  for (const std::shared_ptr<Side>& side : sides_) side->abandon();
  sides_.clear();
  SystemHost::reset();
}

// `handle` has the type of what sends a request.
std::string_view handler_signature() {
  for (const Definition& d : kDefinitions)
    if (std::string_view(d.interface).starts_with("wasi:http/client@") &&
        d.name == std::string_view("send"))
      return d.signature;
  return {};
}

ResourceTypes add_to_linker(component::ComponentLinker& linker) {
  return add_definitions(linker, kResources, kResourceAliases, kDefinitions);
}

}  // namespace wafer::wasi::p3
