/* The platform layer on ThreadX: memory from a byte pool that the application gives. The console
 * is the application's: it defines wafer_threadx_put, which is called by one thread at a time. */
#include "wafer_threadx.h"

#include <string.h>

static TX_BYTE_POOL* heap;
static TX_MUTEX console, workers_mutex;

/* A thread, before its stack. */
typedef struct worker {
  TX_THREAD thread;
  struct worker* next;
  void (*entry)(void*);
  void* argument;
  void* slot;
} worker;
static worker* workers;

void wafer_threadx_init(TX_BYTE_POOL* pool) {
  heap = pool;
  tx_mutex_create(&console, "console", TX_INHERIT);
  tx_mutex_create(&workers_mutex, "workers", TX_INHERIT);
  wafer_port_init();
}

void* wafer_port_allocate(size_t size) {
  VOID* block = NULL;
  if (size > (ULONG)-1 - WAFER_PORT_ALIGN - sizeof(void*)) return NULL;
  /* The pool aligns to words only. */
  if (tx_byte_allocate(heap, &block, (ULONG)(size + WAFER_PORT_ALIGN + sizeof(void*)),
                       TX_NO_WAIT) != TX_SUCCESS)
    return NULL;
  const uintptr_t at = ((uintptr_t)block + sizeof(void*) + WAFER_PORT_ALIGN - 1) &
                       ~(uintptr_t)(WAFER_PORT_ALIGN - 1);
  ((void**)at)[-1] = block;
  return (void*)at;
}

void wafer_port_release(void* block) {
  if (block) tx_byte_release(((void**)block)[-1]);
}

/* Frees threads that have ended, which they cannot do themselves. */
static void reap(void) {
  for (worker** at = &workers; *at;) {
    worker* const w = *at;
    UINT state = 0;
    tx_thread_info_get(&w->thread, TX_NULL, &state, TX_NULL, TX_NULL, TX_NULL, TX_NULL, TX_NULL,
                       TX_NULL);
    if (state != TX_COMPLETED && state != TX_TERMINATED) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    tx_thread_delete(&w->thread);
    wafer_port_release(w);
  }
}

size_t wafer_port_free_bytes(void) {
  ULONG bytes = 0;
  tx_mutex_get(&workers_mutex, TX_WAIT_FOREVER);
  reap();
  tx_mutex_put(&workers_mutex);
  tx_byte_pool_info_get(heap, TX_NULL, &bytes, TX_NULL, TX_NULL, TX_NULL, TX_NULL);
  return bytes;
}

uint64_t wafer_port_clock(void) {
  return (uint64_t)tx_time_get() * (1000000000u / TX_TIMER_TICKS_PER_SECOND);
}

void wafer_port_sleep(uint64_t nanoseconds) {
  const uint64_t ticks = wafer_port_ticks(nanoseconds, TX_TIMER_TICKS_PER_SECOND);
  if (!ticks)
    tx_thread_relinquish();
  else
    tx_thread_sleep(ticks < TX_WAIT_FOREVER ? (ULONG)ticks : TX_WAIT_FOREVER - 1);
}

void wafer_port_put(const char* text, size_t size) {
  tx_mutex_get(&console, TX_WAIT_FOREVER);
  wafer_threadx_put(text, size);
  tx_mutex_put(&console);
}

static VOID run(ULONG unused) {
  (void)unused;
  worker* const w = (worker*)tx_thread_identify();
  w->entry(w->argument);
}

bool wafer_port_start(const char* name, void (*entry)(void*), void* argument, unsigned level,
                      size_t stack) {
  const UINT priority = TX_MAX_PRIORITIES / 2 - level;
  worker* const w = wafer_port_allocate(sizeof *w + stack);
  if (!w) return false;
  memset(w, 0, sizeof *w);
  w->entry = entry;
  w->argument = argument;
  tx_mutex_get(&workers_mutex, TX_WAIT_FOREVER);
  reap();
  w->next = workers;
  workers = w;
  /* Started when it is in the list, as it may go first. */
  bool good = tx_thread_create(&w->thread, (CHAR*)name, run, 0, w + 1, (ULONG)stack, priority,
                               priority, TX_NO_TIME_SLICE, TX_DONT_START) == TX_SUCCESS;
  if (!good) workers = w->next;
  tx_mutex_put(&workers_mutex);
  if (good) return tx_thread_resume(&w->thread) == TX_SUCCESS;
  wafer_port_release(w);
  return false;
}

static ULONG ticks(int32_t milliseconds) {
  return wafer_port_timeout(milliseconds, TX_TIMER_TICKS_PER_SECOND, TX_WAIT_FOREVER - 1,
                            TX_WAIT_FOREVER);
}

struct wafer_port_queue {
  TX_QUEUE queue;
  ULONG values[];
};

wafer_port_queue* wafer_port_queue_new(size_t depth) {
  wafer_port_queue* const q = wafer_port_allocate(sizeof *q + depth * sizeof(ULONG));
  if (!q) return NULL;
  memset(q, 0, sizeof *q);
  if (tx_queue_create(&q->queue, "wafer", TX_1_ULONG, q->values, (ULONG)(depth * sizeof(ULONG))) ==
      TX_SUCCESS)
    return q;
  wafer_port_release(q);
  return NULL;
}

void wafer_port_queue_delete(wafer_port_queue* q) {
  if (!q) return;
  tx_queue_delete(&q->queue);
  wafer_port_release(q);
}

bool wafer_port_queue_send(wafer_port_queue* q, int32_t value, int32_t milliseconds) {
  ULONG message = (uint32_t)value;
  return tx_queue_send(&q->queue, &message, ticks(milliseconds)) == TX_SUCCESS;
}

bool wafer_port_queue_receive(wafer_port_queue* q, int32_t* value, int32_t milliseconds) {
  ULONG message = 0;
  if (tx_queue_receive(&q->queue, &message, ticks(milliseconds)) != TX_SUCCESS) return false;
  *value = (int32_t)(uint32_t)message;
  return true;
}

/* Threads that wafer_port_start did not make share one. */
void** wafer_port_slot(void) {
  static void* shared;
  TX_THREAD* const self = tx_thread_identify();
  return self && self->tx_thread_entry == run ? &((worker*)self)->slot : &shared;
}

__attribute__((weak)) void wafer_port_panic(const char* message) {
  wafer_port_put(message, strlen(message));
  for (;;) tx_thread_sleep(TX_TIMER_TICKS_PER_SECOND);
}
