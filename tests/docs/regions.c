#include "wafer.h"

void configure(wasm_config_t* config);

#include "regions.inc"

static void give_back(void* env, uint32_t index, void* block, size_t bytes) {
  (void)env, (void)index, (void)block, (void)bytes;
}

void configure(wasm_config_t* config) {
  static const wafer_memory_storage_t storage = {take, give_back, NULL};
  wafer_config_memory_storage_set(config, &storage);
}
