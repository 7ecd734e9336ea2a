#include "wafer_component.h"

wafer_error_t* run(wasm_store_t* store, const uint32_t* numbers, size_t count,
                   wafer_component_written_t written, void* env);

wafer_error_t* run(wasm_store_t* store, const uint32_t* numbers, size_t count,
                   wafer_component_written_t written, void* env) {
  wafer_error_t* error;
#include "ends.inc"
  wafer_component_val_delete(stream);
  return error;
}
