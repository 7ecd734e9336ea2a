#include "firmware.h"
#include "pool.h"
#include "wafer.h"
#ifdef XIP /* the module's machine code, which stays in flash */
#include "guest_xip.h"
#endif

static wasm_instance_t* instance;

int engine_open(const unsigned char* wasm, size_t size) {
  wafer_set_allocator(pool_allocate, pool_release, NULL);
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 4 * 1024);
  wafer_config_trim_memories_set(config, true);
  wasm_engine_t* engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(engine);
  wafer_linker_t* linker = wafer_linker_new(engine);
  wasm_module_t* module;
  if (wafer_module_new_in_place(store, wasm, size, &module)) return 1;
#ifdef XIP
  if (wafer_module_attach_code(module, guest_xip, sizeof guest_xip)) return 1;
#endif
  return wafer_linker_instantiate(linker, store, module, &instance, NULL) != NULL;
}

int engine_call(const char* name, int* result) {
  wasm_func_t* func = wafer_instance_func(instance, name);
  if (!func) return 1;
  wasm_val_t value = WASM_INIT_VAL;
  const wasm_val_vec_t none = {0, NULL};
  wasm_val_vec_t results = {1, &value};
  wasm_trap_t* trap = wasm_func_call(func, &none, &results);
  wasm_func_delete(func);
  *result = value.of.i32;
  return trap != NULL;
}
