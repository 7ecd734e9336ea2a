#include "wafer_freertos.h"

#include <stdint.h>

#include "task.h"

/* The kernel's blocks are aligned to portBYTE_ALIGNMENT. What asks for more gets a block with
 * room, and the address of its start just below. */
static void* allocate(void* context, size_t size, size_t align) {
  (void)context;
  if (align <= portBYTE_ALIGNMENT) return pvPortMalloc(size ? size : 1);
  unsigned char* block = pvPortMalloc(size + align + sizeof(void*));
  if (!block) return NULL;
  const uintptr_t at = ((uintptr_t)block + sizeof(void*) + align - 1) & ~(uintptr_t)(align - 1);
  ((void**)at)[-1] = block;
  return (void*)at;
}

static void release(void* context, void* pointer, size_t size, size_t align) {
  (void)context;
  (void)size;
  if (!pointer) return;
  vPortFree(align <= portBYTE_ALIGNMENT ? pointer : ((void**)pointer)[-1]);
}

void wafer_freertos_init(void) { wafer_set_allocator(allocate, release, NULL); }

static TickType_t ticks(int32_t milliseconds) {
  return milliseconds < 0 ? portMAX_DELAY : pdMS_TO_TICKS((TickType_t)milliseconds);
}

static wasm_trap_t* queue_send(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                               wasm_val_vec_t* results) {
  (void)caller;
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 =
      xQueueSend((QueueHandle_t)env, &args->data[0].of.i32, ticks(args->data[1].of.i32)) == pdPASS;
  return NULL;
}

static wasm_trap_t* queue_receive(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                                  wasm_val_vec_t* results) {
  (void)caller;
  int32_t value = 0;
  const BaseType_t got = xQueueReceive((QueueHandle_t)env, &value, ticks(args->data[0].of.i32));
  results->data[0].kind = results->data[1].kind = WASM_I32;
  results->data[0].of.i32 = value;
  results->data[1].of.i32 = got == pdPASS;
  return NULL;
}

static wasm_trap_t* clock_milliseconds(void* env, wafer_caller_t* caller,
                                       const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)env;
  (void)caller;
  (void)args;
  results->data[0].kind = WASM_I64;
  results->data[0].of.i64 = (int64_t)xTaskGetTickCount() * 1000 / configTICK_RATE_HZ;
  return NULL;
}

static wafer_error_t* define(wafer_linker_t* linker, const char* module, const char* name,
                             const wasm_valkind_t* kinds, size_t params, size_t results,
                             wafer_func_callback_t callback, void* env) {
  wasm_valtype_vec_t p, r;
  wasm_valtype_vec_new_uninitialized(&p, params);
  wasm_valtype_vec_new_uninitialized(&r, results);
  for (size_t i = 0; i < params; ++i) p.data[i] = wasm_valtype_new(kinds[i]);
  for (size_t i = 0; i < results; ++i) r.data[i] = wasm_valtype_new(kinds[params + i]);
  wasm_functype_t* type = wasm_functype_new(&p, &r);
  wafer_error_t* error = wafer_linker_define_func(linker, module, name, type, callback, env, NULL);
  wasm_functype_delete(type);
  return error;
}

wafer_error_t* wafer_freertos_define_queue(wasm_engine_t* engine, wafer_linker_t* linker,
                                           QueueHandle_t queue) {
  static const wasm_valkind_t kinds[] = {WASM_I32, WASM_I32, WASM_I32};
  (void)engine;
  wafer_error_t* error = define(linker, "queue", "send", kinds, 2, 1, queue_send, queue);
  return error ? error : define(linker, "queue", "receive", kinds, 1, 2, queue_receive, queue);
}

wafer_error_t* wafer_freertos_define_clock(wasm_engine_t* engine, wafer_linker_t* linker) {
  static const wasm_valkind_t kinds[] = {WASM_I64};
  (void)engine;
  return define(linker, "clock", "milliseconds", kinds, 0, 1, clock_milliseconds, NULL);
}

/* Takes the place of the library's own. */
void wafer_panic(const char* message) {
  (void)message;
  configASSERT(message == NULL);
  for (;;) {
  }
}
