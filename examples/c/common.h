/* What every example needs: text to module, and an instance of it. */
#ifndef COMMON_H
#define COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wafer.h"

static inline void check(wafer_error_t* error) {
  if (!error) return;
  fprintf(stderr, "%s\n", wafer_error_message(error));
  exit(1);
}

static inline wasm_module_t* module_of(wasm_store_t* store, const char* text) {
  wasm_byte_vec_t binary;
  check(wafer_wat2wasm(text, strlen(text), &binary));
  wasm_module_t* module = wasm_module_new(store, &binary);
  wasm_byte_vec_delete(&binary);
  if (!module) {
    fprintf(stderr, "the module is not valid\n");
    exit(1);
  }
  return module;
}

static inline wasm_instance_t* instance_of(wasm_store_t* store, const wasm_module_t* module,
                                           const wasm_extern_vec_t* imports) {
  wasm_trap_t* trap = NULL;
  wasm_instance_t* instance = wasm_instance_new(store, module, imports, &trap);
  if (!instance) {
    fprintf(stderr, "cannot instantiate\n");
    exit(1);
  }
  return instance;
}

#endif
