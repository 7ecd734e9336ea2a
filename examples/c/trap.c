/* A trap: its message and the frames that it came from. */
#include "common.h"

static const char kText[] =
    "(module $demo"
    "  (func $inner (param i32) (drop (i32.div_u (i32.const 1) (local.get 0))))"
    "  (func $outer (export \"run\") (call $inner (i32.const 0))))";

int main(void) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  wasm_module_t* module = module_of(store, kText);
  wasm_extern_vec_t imports = WASM_EMPTY_VEC;
  wasm_instance_t* instance = instance_of(store, module, &imports);
  wasm_func_t* run = wafer_instance_func(instance, "run");

  wasm_val_vec_t none = WASM_EMPTY_VEC;
  wasm_trap_t* trap = wasm_func_call(run, &none, &none);
  if (!trap) return 1;
  wasm_message_t message;
  wasm_trap_message(trap, &message);
  printf("%s\n", message.data);
  wasm_frame_vec_t frames;
  wasm_trap_trace(trap, &frames);
  for (size_t i = 0; i < frames.size; ++i)
    printf("#%zu function %u, %s\n", i, (unsigned)wasm_frame_func_index(frames.data[i]),
           wafer_frame_func_name(frames.data[i]));

  wasm_frame_vec_delete(&frames);
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(trap);
  wasm_func_delete(run);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}
