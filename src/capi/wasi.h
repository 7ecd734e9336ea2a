// WASI's opaque types. Internal to src/capi.
#pragma once

#include "wasi/p1/p1.h"

struct wafer_wasi_config_t {
  wafer::wasi::P1Config config;
};
