#include "wasi/p2/p2.h"

#include "wasi/p2/bindings.h"

namespace wafer::wasi::p2 {

namespace {

constexpr Definition kDefinitions[] = {
#define WASI_FUNCTION(interface, name, signature, fn, waits) \
  define<&fn>(interface, name, signature, waits),
#include "wasi/p2/functions.inc"
#undef WASI_FUNCTION
};

}  // namespace

ResourceTypes add_to_linker(component::ComponentLinker& linker) {
  return add_definitions(linker, kResources, kResourceAliases, kDefinitions);
}

}  // namespace wafer::wasi::p2
