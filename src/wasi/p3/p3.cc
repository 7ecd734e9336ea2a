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

Host::~Host() { abandon_sides(); }

void Host::abandon_sides() {
  // None of them is told of what happens now.
  for (Side* side = sides_; side; side = side->after_) side->abandon();
  while (sides_) sides_->let_go();
}

void Host::reset() {
  abandon_sides();
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
