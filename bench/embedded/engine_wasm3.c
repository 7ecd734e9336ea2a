/* wasm3, with the pool as its heap by malloc.c. */
#include "firmware.h"
#include "wasm3.h"

static IM3Runtime runtime;

int engine_open(const unsigned char* wasm, size_t size) {
  IM3Environment environment = m3_NewEnvironment();
  runtime = m3_NewRuntime(environment, 4 * 1024, NULL);
  IM3Module module;
  return m3_ParseModule(environment, &module, wasm, size) || m3_LoadModule(runtime, module);
}

int engine_call(const char* name, int* result) {
  IM3Function function;
  if (m3_FindFunction(&function, runtime, name) || m3_CallV(function)) return 1;
  return m3_GetResultsV(function, result) != NULL;
}
