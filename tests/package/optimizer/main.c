#include <stdio.h>
#include <string.h>
#include <wafer.h>

int main(void) {
  static const char text[] = "(module (func (export \"f\") (result i32) (i32.const 42)))";
  wasm_config_t* config = wasm_config_new();
  wafer_config_tier_set(config, WAFER_TIER_OPTIMIZED);
  wasm_engine_t* engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(engine);
  wasm_byte_vec_t binary;
  if (wafer_wat2wasm(text, strlen(text), &binary)) return 1;
  wasm_module_t* module = wasm_module_new(store, &binary);
  wasm_extern_vec_t imports = WASM_EMPTY_VEC;
  wasm_instance_t* instance = wasm_instance_new(store, module, &imports, NULL);
  wasm_func_t* f = wafer_instance_func(instance, "f");
  wasm_val_t out[] = {WASM_INIT_VAL};
  wasm_val_vec_t args = WASM_EMPTY_VEC, results = WASM_ARRAY_VEC(out);
  if (wasm_func_call(f, &args, &results)) return 1;
  printf("%d\n", (int)out[0].of.i32);
  wasm_func_delete(f);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_byte_vec_delete(&binary);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}
