/* Wafer on systems with tasks: what every port has.
 *
 * The first part is a platform layer, which ports/<system>/wafer_<system>.c implements; the second
 * is the same everywhere (wafer_port.c) and is what applications call.
 *
 * Tasks share nothing but the heap, so each may have an engine, stores and modules of its own. An
 * engine and what was made with it belong to one task at a time. */
#ifndef WAFER_PORT_H
#define WAFER_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wafer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The platform layer. wafer_port_date, wafer_port_random and wafer_port_get are there already,
 * for systems without: weak, so that a port or an application replaces them. */

/* What blocks of wafer_port_allocate are aligned to, at least. */
#define WAFER_PORT_ALIGN 8

/* A block of the system's heap, or NULL; and what gives it back. From any task. */
void* wafer_port_allocate(size_t size);
void wafer_port_release(void* block);
/* Bytes of the heap that are free; 0 where the system does not tell. */
size_t wafer_port_free_bytes(void);

/* Nanoseconds since the system started; since 1970, or 0 where nobody knows the date. */
uint64_t wafer_port_clock(void);
uint64_t wafer_port_date(void);
/* Lets other tasks run for so long. */
void wafer_port_sleep(uint64_t nanoseconds);
/* How many ticks of a system's clock that is, at least. */
static inline uint64_t wafer_port_ticks(uint64_t nanoseconds, uint32_t per_second) {
  const uint64_t tick = 1000000000u / per_second;
  return nanoseconds / tick + (nanoseconds % tick != 0);
}
/* The same for the wait for a queue: `most` ticks if it is more, `forever` if it is negative. */
static inline uint64_t wafer_port_timeout(int32_t milliseconds, uint32_t per_second, uint64_t most,
                                          uint64_t forever) {
  if (milliseconds < 0) return forever;
  const uint64_t ticks = wafer_port_ticks((uint64_t)milliseconds * 1000000u, per_second);
  return ticks < most ? ticks : most;
}
/* Random bytes that nobody can guess; false where there are none. */
bool wafer_port_random(void* out, size_t size);

/* Writes to the console, all at once: what tasks write does not mix. */
void wafer_port_put(const char* text, size_t size);
/* For consoles that take strings: hands them `text` in pieces, without its nulls. */
static inline void wafer_port_pieces(const char* text, size_t size, void (*put)(const char*)) {
  char piece[65];
  while (size) {
    size_t n = 0, length = 0;
    for (; n < size && length < sizeof piece - 1; ++n)
      if (text[n]) piece[length++] = text[n];
    piece[length] = 0;
    put(piece);
    text += n;
    size -= n;
  }
}
/* What was typed, at most `size` bytes, the first of which is waited for; 0 at its end. */
size_t wafer_port_get(char* out, size_t size);

/* Runs `entry(argument)` in a task of its own, of a stack of `stack` bytes. Higher levels, from 0
 * to 3, go first. False if there is no memory. */
bool wafer_port_start(const char* name, void (*entry)(void*), void* argument, unsigned level,
                      size_t stack);

/* A queue of 32-bit values. Waiting blocks the task, for so many milliseconds or, if that is
 * negative, for ever; false is for a time that is over. */
typedef struct wafer_port_queue wafer_port_queue;
wafer_port_queue* wafer_port_queue_new(size_t depth);
void wafer_port_queue_delete(wafer_port_queue*);
bool wafer_port_queue_send(wafer_port_queue*, int32_t value, int32_t milliseconds);
bool wafer_port_queue_receive(wafer_port_queue*, int32_t* value, int32_t milliseconds);

/* A pointer that each task has of its own, NULL in the beginning. Tasks that wafer_port_start did
 * not make may share one (wafer_<system>.c tells): there guards are only for those it made. */
void** wafer_port_slot(void);
/* Reports what the library cannot go on after, and does not return. */
void wafer_port_panic(const char* message);

/* ---- The same on all systems */

/* Has the library take its memory from the platform. Once, before any other use of it. */
void wafer_port_init(void);

/* Calls `body(argument)` so that a lack of memory ends the call, and not the system: then all that
 * the library has allocated in it is given back, and false is returned. What was made of the
 * library in the call (engines, stores, errors, ...) is gone, and so is a wafer_wasi with the files
 * that it had open; what was made outside may not have been changed in it. So a whole application,
 * from its engine on, is a good body. Large blocks, such as memories and stacks, are errors or
 * traps where they lack, guarded or not. Calls may be nested. */
bool wafer_port_guarded(void (*body)(void*), void* argument);

/* The same with the `size` bytes at `memory` as all that the library, WASI's part included, has for
 * what it allocates in the call: whoever else runs is not short of memory because this call is.
 * False if it lacks. What is left in it at the end of the call is gone in any case, with files
 * closed; no other task may use what was made in it. Where there are such calls in a call, the
 * inner's counts. A task of wafer_port_start's that runs in such a call has a runtime, and memory,
 * of its own. */
bool wafer_port_guarded_in(void* memory, size_t size, void (*body)(void*), void* argument);

/* Defines a host function in `linker`. `type` is a letter for each parameter and, after a colon,
 * for each result: i for i32, I for i64, f for f32, F for f64. */
wafer_error_t* wafer_port_define(wafer_linker_t* linker, const char* module, const char* name,
                                 const char* type, wafer_func_callback_t callback, void* env);

/* Defines functions of a queue, for modules to import from "queue":
 *   send: [i32 value, i32 milliseconds] -> [i32]     1 if there was room in time, else 0
 *   receive: [i32 milliseconds] -> [i32, i32]        the value, and 1; or 0 and 0
 * The queue outlives the linker and all that is instantiated with it. */
wafer_error_t* wafer_port_define_queue(wafer_linker_t* linker, wafer_port_queue* queue);
/* Defines "clock" "milliseconds": [] -> [i64], the time since the system started. */
wafer_error_t* wafer_port_define_clock(wafer_linker_t* linker);

#ifdef __cplusplus
}
#endif

#endif
