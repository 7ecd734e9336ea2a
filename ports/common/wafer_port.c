#include "wafer_port.h"

#include <string.h>

#include "wafer_guard.h"

/* What asks for a larger alignment than the platform's gets a block with room, and the address of
 * its start just below. */
static void* allocate(void* context, size_t size, size_t align) {
  (void)context;
  if (align <= WAFER_PORT_ALIGN) return wafer_guard_allocate(size ? size : 1);
  if (size > SIZE_MAX - align - sizeof(void*)) return NULL;
  unsigned char* block = wafer_guard_allocate(size + align + sizeof(void*));
  if (!block) return NULL;
  const uintptr_t at = ((uintptr_t)block + sizeof(void*) + align - 1) & ~(uintptr_t)(align - 1);
  ((void**)at)[-1] = block;
  return (void*)at;
}

static void release(void* context, void* pointer, size_t size, size_t align) {
  (void)context;
  (void)size;
  if (!pointer) return;
  wafer_guard_release(align <= WAFER_PORT_ALIGN ? pointer : ((void**)pointer)[-1]);
}

void wafer_port_init(void) { wafer_set_allocator(allocate, release, NULL); }

__attribute__((weak)) uint64_t wafer_port_date(void) { return 0; }
__attribute__((weak)) bool wafer_port_random(void* out, size_t size) {
  (void)out;
  (void)size;
  return false;
}
__attribute__((weak)) size_t wafer_port_get(char* out, size_t size) {
  (void)out;
  (void)size;
  return 0;
}

static wasm_valtype_t* type_of(char letter) {
  return wasm_valtype_new(letter == 'i'   ? WASM_I32
                          : letter == 'I' ? WASM_I64
                          : letter == 'f' ? WASM_F32
                                          : WASM_F64);
}

wafer_error_t* wafer_port_define(wafer_linker_t* linker, const char* module, const char* name,
                                 const char* type, wafer_func_callback_t callback, void* env) {
  const size_t count = (size_t)(strchr(type, ':') - type);
  wasm_valtype_vec_t params, results;
  wasm_valtype_vec_new_uninitialized(&params, count);
  wasm_valtype_vec_new_uninitialized(&results, strlen(type) - count - 1);
  for (size_t i = 0; i < params.size; ++i) params.data[i] = type_of(type[i]);
  for (size_t i = 0; i < results.size; ++i) results.data[i] = type_of(type[count + 1 + i]);
  wasm_functype_t* func = wasm_functype_new(&params, &results);
  wafer_error_t* error = wafer_linker_define_func(linker, module, name, func, callback, env, NULL);
  wasm_functype_delete(func);
  return error;
}

static void set_i32(wasm_val_t* to, int32_t value) {
  to->kind = WASM_I32;
  to->of.i32 = value;
}

static wasm_trap_t* queue_send(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                               wasm_val_vec_t* results) {
  (void)caller;
  set_i32(&results->data[0],
          wafer_port_queue_send(env, args->data[0].of.i32, args->data[1].of.i32));
  return NULL;
}

static wasm_trap_t* queue_receive(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                                  wasm_val_vec_t* results) {
  (void)caller;
  int32_t value = 0;
  const bool got = wafer_port_queue_receive(env, &value, args->data[0].of.i32);
  set_i32(&results->data[0], got ? value : 0);
  set_i32(&results->data[1], got);
  return NULL;
}

static wasm_trap_t* clock_milliseconds(void* env, wafer_caller_t* caller,
                                       const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)env;
  (void)caller;
  (void)args;
  results->data[0].kind = WASM_I64;
  results->data[0].of.i64 = (int64_t)(wafer_port_clock() / 1000000);
  return NULL;
}

wafer_error_t* wafer_port_define_queue(wafer_linker_t* linker, wafer_port_queue* queue) {
  wafer_error_t* error = wafer_port_define(linker, "queue", "send", "ii:i", queue_send, queue);
  return error ? error
               : wafer_port_define(linker, "queue", "receive", "i:ii", queue_receive, queue);
}

wafer_error_t* wafer_port_define_clock(wafer_linker_t* linker) {
  return wafer_port_define(linker, "clock", "milliseconds", ":I", clock_milliseconds, NULL);
}
