/* fir.wat of examples/embedded, and what it imports as `sample` from "device". */
#pragma once

#include "fir_module.h"
#include "wafer.h"

static wasm_trap_t* sample(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                           wasm_val_vec_t* results) {
  (void)env;
  (void)caller;
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = (args->data[0].of.i32 * 37 + 11) % 101;
  return NULL;
}
