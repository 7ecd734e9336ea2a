/* Reads and writes a mutable global and the memory of a module. */
#include "common.h"

static const char kText[] =
    "(module (memory (export \"memory\") 1 2)"
    "  (global $g (export \"g\") (mut i32) (i32.const 7))"
    "  (func (export \"poke\") (i32.store8 (i32.const 3) (global.get $g))))";

int main(void) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, kText);
  wasm_extern_vec_t imports = WASM_EMPTY_VEC;
  wasm_instance_t* instance = instance_of(store, module, &imports);
  wasm_extern_t* global_extern = wafer_instance_export(instance, "g");
  wasm_extern_t* memory_extern = wafer_instance_export(instance, "memory");
  wasm_global_t* global = wasm_extern_as_global(global_extern);
  wasm_memory_t* memory = wasm_extern_as_memory(memory_extern);

  wasm_val_t value;
  wasm_global_get(global, &value);
  printf("g is %d\n", (int)value.of.i32);
  wasm_val_t next = WASM_I32_VAL(99);
  wasm_global_set(global, &next);
  wasm_func_t* poke = wafer_instance_func(instance, "poke");
  wasm_val_vec_t none = WASM_EMPTY_VEC;
  if (wasm_func_call(poke, &none, &none)) return 1;
  printf("byte 3 is %d of %zu bytes\n", wasm_memory_data(memory)[3], wasm_memory_data_size(memory));
  printf("grow by 1: %s\n", wasm_memory_grow(memory, 1) ? "yes" : "no");
  printf("grow by 1: %s\n", wasm_memory_grow(memory, 1) ? "yes" : "no");

  wasm_func_delete(poke);
  wasm_extern_delete(global_extern);
  wasm_extern_delete(memory_extern);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}
