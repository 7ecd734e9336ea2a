#include "wafer.h"

void run(wasm_store_t* store);

void run(wasm_store_t* store) {
  static const unsigned char app_wasm[100], app_xip[100];
  wasm_module_t* module;
#include "flash.inc"
}
