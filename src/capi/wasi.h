// WASI's opaque types. Internal to src/capi.
#pragma once

#include "host/memory_fs.h"
#include "wasi/p1/p1.h"

struct wafer_wasi_files_t {
  explicit wafer_wasi_files_t(uint64_t capacity) : files(capacity) {}
  wafer::host::MemoryFs files;
};

struct wafer_wasi_config_t {
  wafer::wasi::P1Config config;
};
