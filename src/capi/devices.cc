// Devices in C: for modules, and what WASI's config is granted.
#include "capi/capi.h"
#include "devices/imports/imports.h"
#if WAFER_WITH_WASI_COMMAND
#include "capi/wasi.h"
#include "host/devices/board.h"
#endif
#include "wafer_devices.h"

using namespace wafer;
using namespace wafer::capi;

extern "C" {

wafer_error_t* wafer_linker_define_devices(wafer_linker_t* l, const wafer_devices_t* board,
                                           const wasm_module_t* module) {
  auto added = devices::add_to_linker(l->linker, *board, nullptr,
                                      module ? module_owner(module).get() : nullptr);
  return added.ok() ? nullptr : new_error(added.take_error());
}

#if WAFER_WITH_WASI_COMMAND

wafer_error_t* wafer_wasi_config_device(wafer_wasi_config_t* c, const char* kind,
                                        const char* grant) {
  if (!c->config.devices) c->config.devices = std::make_shared<host::Board>();
  auto added = c->config.devices->add(kind, grant);
  return added.ok() ? nullptr : new_error(added.take_error());
}

wafer_error_t* wafer_wasi_config_devices(wafer_wasi_config_t* c, const wafer_devices_t* board) {
  if (!c->config.devices) c->config.devices = std::make_shared<host::Board>();
  auto added = c->config.devices->add(*board);
  return added.ok() ? nullptr : new_error(added.take_error());
}

#endif

}  // extern "C"
