/* WAMR, with the pool as its heap by malloc.c, and what it wants of a platform. */
#include <string.h>

#include "firmware.h"
#include "platform_api_extension.h"
#include "platform_api_vmcore.h"
#include "wasm_export.h"

int bh_platform_init(void) { return 0; }
void bh_platform_destroy(void) {}
void* os_malloc(unsigned size) { return malloc(size); }
void* os_realloc(void* old, unsigned size) { return realloc(old, size); }
void os_free(void* p) { free(p); }
void* os_mmap(void* hint, size_t size, int protection, int flags, os_file_handle file) {
  return calloc(1, size);
}
void os_munmap(void* address, size_t size) { free(address); }
int os_mprotect(void* address, size_t size, int protection) { return 0; }
void* os_mremap(void* old, size_t before, size_t size) { return os_mremap_slow(old, before, size); }
void os_dcache_flush(void) {}
void os_icache_flush(void* start, size_t size) {}
int os_printf(const char* format, ...) { return 0; }
int os_vprintf(const char* format, va_list arguments) { return 0; }
korp_tid os_self_thread(void) { return 0; }
uint8* os_thread_get_stack_boundary(void) { return NULL; }
int os_mutex_init(korp_mutex* mutex) { return 0; }
int os_mutex_destroy(korp_mutex* mutex) { return 0; }
int os_mutex_lock(korp_mutex* mutex) { return 0; }
int os_mutex_unlock(korp_mutex* mutex) { return 0; }
int os_cond_init(korp_cond* condition) { return 0; }
int os_cond_destroy(korp_cond* condition) { return 0; }
int os_cond_wait(korp_cond* condition, korp_mutex* mutex) { return 0; }
int os_cond_reltimedwait(korp_cond* condition, korp_mutex* mutex, uint64 us) { return 0; }
int os_cond_signal(korp_cond* condition) { return 0; }
int os_cond_broadcast(korp_cond* condition) { return 0; }
uint64 os_time_get_boot_us(void) { return 0; }
uint64 os_time_thread_cputime_us(void) { return 0; }

static wasm_module_inst_t instance;
static wasm_exec_env_t environment;

int engine_open(const unsigned char* wasm, size_t size) {
  RuntimeInitArgs init = {.mem_alloc_type = Alloc_With_Allocator,
                          .mem_alloc_option.allocator = {malloc, realloc, free}};
  LoadArgs load = {.name = ""};
  char error[64];
  unsigned char* bytes = (unsigned char*)wasm;
  if (!wasm_runtime_full_init(&init)) return 1;
#if WASM_ENABLE_FAST_INTERP
  /* What it needs later it copies. */
  load.wasm_binary_freeable = true;
#else
  /* It writes into the module. */
  bytes = malloc(size);
  if (!bytes) return 1;
  memcpy(bytes, wasm, size);
#endif
  wasm_module_t module = wasm_runtime_load_ex(bytes, size, &load, error, sizeof error);
  if (!module) return 1;
  instance = wasm_runtime_instantiate(module, 0, 0, error, sizeof error);
  if (!instance) return 1;
  environment = wasm_runtime_create_exec_env(instance, 4 * 1024);
  return !environment;
}

int engine_call(const char* name, int* result) {
  wasm_function_inst_t function = wasm_runtime_lookup_function(instance, name);
  uint32_t value;
  if (!function || !wasm_runtime_call_wasm(environment, function, 0, &value)) return 1;
  *result = (int)value;
  return 0;
}
