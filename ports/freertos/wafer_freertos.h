/* Wafer on FreeRTOS: memory from the kernel's heap, and a fault of the library stops at
 * configASSERT.
 *
 * Tasks share nothing but the heap, so each may have an engine, stores and modules of its own. An
 * engine and what was made with it belong to one task at a time. */
#ifndef WAFER_FREERTOS_H
#define WAFER_FREERTOS_H

#include "FreeRTOS.h"
#include "queue.h"
#include "wafer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes memory from pvPortMalloc. Once, before any other use of the library. */
void wafer_freertos_init(void);

/* Defines functions of a queue of 32-bit values in `linker`, for modules to import from
 * "queue":
 *   send: [i32 value, i32 milliseconds] -> [i32]     1 if there was room in time, else 0
 *   receive: [i32 milliseconds] -> [i32, i32]        the value, and 1; or 0 and 0
 * Waiting blocks the task; a negative time waits for ever. The queue outlives the linker and
 * all that is instantiated with it. */
wafer_error_t* wafer_freertos_define_queue(wasm_engine_t* engine, wafer_linker_t* linker,
                                           QueueHandle_t queue);
/* Defines "clock" "milliseconds": [] -> [i64], the time since the scheduler started. */
wafer_error_t* wafer_freertos_define_clock(wasm_engine_t* engine, wafer_linker_t* linker);

#ifdef __cplusplus
}
#endif

#endif
