/* wasm3, with the pool as its heap. */
#include <stdlib.h>
#include <string.h>

#include "firmware.h"
#include "pool.h"
#include "wasm3.h"

static IM3Runtime runtime;

/* malloc and its like, over the pool: blocks carry their size. */
typedef struct {
  size_t size;
  size_t unused[3];
} header;

void* malloc(size_t size) {
  header* h = pool_allocate(NULL, size + sizeof *h, 16);
  if (!h) return NULL;
  h->size = size;
  return h + 1;
}
void free(void* p) {
  if (p) pool_release(NULL, (header*)p - 1, ((header*)p)[-1].size + sizeof(header), 16);
}
void* calloc(size_t count, size_t size) {
  void* p = malloc(count * size);
  if (p) memset(p, 0, count * size);
  return p;
}
void* realloc(void* old, size_t size) {
  void* p = malloc(size);
  if (p && old) {
    const size_t before = ((header*)old)[-1].size;
    memcpy(p, old, before < size ? before : size);
    free(old);
  }
  return p;
}

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
