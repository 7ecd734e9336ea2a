#include "wasi/p2/p2.h"

#include "wasi/p2/bindings.h"

namespace wafer::wasi::p2 {

namespace {

constexpr Definition kDefinitions[] = {
#define WASI_FUNCTION(interface, name, fn, waits, is_async) \
  define<&fn>(interface, name, waits, is_async),
#include "wasi/p2/functions.inc"
#undef WASI_FUNCTION
};

}  // namespace

ResourceTypes add_to_linker(component::ComponentLinker& linker) {
  return add_definitions(linker, kResources, kResourceAliases, kDefinitions);
}

Result<void> check(const component::Component& component) {
  return check_imports(component, kDefinitions);
}

}  // namespace wafer::wasi::p2
