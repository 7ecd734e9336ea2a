/* Puts functions in a table and calls them through it, from both sides. */
#include "common.h"

static const char kText[] =
    "(module (table (export \"table\") 2 4 funcref)"
    "  (type $f (func (result i32)))"
    "  (func $one (export \"one\") (type $f) (i32.const 1))"
    "  (func (export \"two\") (type $f) (i32.const 2))"
    "  (elem (i32.const 0) $one)"
    "  (func (export \"call\") (param i32) (result i32)"
    "    (call_indirect (type $f) (local.get 0))))";

static void call(const wasm_func_t* func, int index) {
  wasm_val_t in[] = {WASM_I32_VAL(index)}, out[] = {WASM_INIT_VAL};
  wasm_val_vec_t args = WASM_ARRAY_VEC(in), results = WASM_ARRAY_VEC(out);
  wasm_trap_t* trap = wasm_func_call(func, &args, &results);
  if (trap) {
    wasm_message_t message;
    wasm_trap_message(trap, &message);
    printf("entry %d: %s\n", index, message.data);
    wasm_byte_vec_delete(&message);
    wasm_trap_delete(trap);
  } else {
    printf("entry %d: %d\n", index, (int)out[0].of.i32);
  }
}

int main(void) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, kText);
  wasm_extern_vec_t imports = WASM_EMPTY_VEC;
  wasm_instance_t* instance = instance_of(store, module, &imports);
  wasm_extern_t* table_extern = wafer_instance_export(instance, "table");
  wasm_table_t* table = wasm_extern_as_table(table_extern);
  wasm_func_t* through = wafer_instance_func(instance, "call");
  wasm_func_t* two = wafer_instance_func(instance, "two");

  call(through, 0);
  call(through, 1);
  wasm_table_set(table, 1, wasm_func_as_ref(two));
  call(through, 1);
  for (int i = 2; i > 0; --i) {
    printf("size %u, ", (unsigned)wasm_table_size(table));
    printf("grow by %d: %s\n", i,
           wasm_table_grow(table, (wasm_table_size_t)i, NULL) ? "yes" : "no");
  }
  call(through, 9);

  wasm_func_delete(two);
  wasm_func_delete(through);
  wasm_extern_delete(table_extern);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}
