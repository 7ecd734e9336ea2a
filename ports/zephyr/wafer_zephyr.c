/* The platform layer on Zephyr: a heap of its own, so that other parts of the system keep
 * theirs. */
#include <string.h>
#include <zephyr/kernel.h>
#include <zephyr/random/random.h>
#include <zephyr/sys/printk.h>
#include <zephyr/sys/sys_heap.h>

#include "wafer_port.h"

K_HEAP_DEFINE(wafer_heap, CONFIG_WAFER_HEAP_SIZE);

void* wafer_port_allocate(size_t size) {
  return k_heap_aligned_alloc(&wafer_heap, WAFER_PORT_ALIGN, size, K_NO_WAIT);
}
void wafer_port_release(void* block) {
  if (block) k_heap_free(&wafer_heap, block);
}

/* A thread, before its stack. Threads that have ended are freed by those that are started after
 * them. */
typedef struct worker {
  struct k_thread thread;
  struct worker* next;
  void (*entry)(void*);
  void* argument;
  void* slot;
  k_thread_stack_t* stack;
} worker;
static worker* workers;
static K_MUTEX_DEFINE(workers_mutex);

static void free_worker(worker* w) {
  wafer_port_release(w->stack);
  wafer_port_release(w);
}

static void reap(void) {
  k_mutex_lock(&workers_mutex, K_FOREVER);
  for (worker** at = &workers; *at;) {
    worker* const w = *at;
    if (k_thread_join(&w->thread, K_NO_WAIT) != 0) {
      at = &w->next;
      continue;
    }
    *at = w->next;
    free_worker(w);
  }
  k_mutex_unlock(&workers_mutex);
}

size_t wafer_port_free_bytes(void) {
  reap();
#ifdef CONFIG_SYS_HEAP_RUNTIME_STATS
  struct sys_memory_stats stats;
  return sys_heap_runtime_stats_get(&wafer_heap.heap, &stats) == 0 ? stats.free_bytes : 0;
#else
  return 0;
#endif
}

uint64_t wafer_port_clock(void) { return k_ticks_to_ns_floor64(k_uptime_ticks()); }

void wafer_port_sleep(uint64_t nanoseconds) {
  if (nanoseconds)
    k_sleep(K_NSEC(nanoseconds));
  else
    k_yield();
}

#ifdef CONFIG_CSPRNG_ENABLED
bool wafer_port_random(void* out, size_t size) { return sys_csrand_get(out, size) == 0; }
#endif

static K_MUTEX_DEFINE(console_mutex);

static void put(const char* text) { printk("%s", text); }

void wafer_port_put(const char* text, size_t size) {
  k_mutex_lock(&console_mutex, K_FOREVER);
  wafer_port_pieces(text, size, put);
  k_mutex_unlock(&console_mutex);
}

static void run(void* argument, void* unused, void* unused2) {
  ARG_UNUSED(unused);
  ARG_UNUSED(unused2);
  worker* const w = argument;
  w->entry(w->argument);
}

bool wafer_port_start(const char* name, void (*entry)(void*), void* argument, unsigned level,
                      size_t stack) {
  reap();
  worker* const w = wafer_port_allocate(sizeof *w);
  if (!w) return false;
  memset(w, 0, sizeof *w);
  w->entry = entry;
  w->argument = argument;
  w->stack = k_heap_aligned_alloc(&wafer_heap, Z_KERNEL_STACK_OBJ_ALIGN, K_KERNEL_STACK_LEN(stack),
                                  K_NO_WAIT);
  if (!w->stack) {
    wafer_port_release(w);
    return false;
  }
  k_thread_create(&w->thread, w->stack, stack, run, w, NULL, NULL,
                  K_PRIO_PREEMPT(CONFIG_NUM_PREEMPT_PRIORITIES / 2 - (int)level), 0, K_FOREVER);
  k_thread_name_set(&w->thread, name);
  k_mutex_lock(&workers_mutex, K_FOREVER);
  w->next = workers;
  workers = w;
  k_mutex_unlock(&workers_mutex);
  k_thread_start(&w->thread);
  return true;
}

struct wafer_port_queue {
  struct k_msgq queue;
  int32_t values[];
};

wafer_port_queue* wafer_port_queue_new(size_t depth) {
  wafer_port_queue* const q = wafer_port_allocate(sizeof *q + depth * sizeof(int32_t));
  if (q) k_msgq_init(&q->queue, (char*)q->values, sizeof(int32_t), depth);
  return q;
}
void wafer_port_queue_delete(wafer_port_queue* q) { wafer_port_release(q); }

static k_timeout_t timeout(int32_t milliseconds) {
  return milliseconds < 0 ? K_FOREVER : K_MSEC(milliseconds);
}
bool wafer_port_queue_send(wafer_port_queue* q, int32_t value, int32_t milliseconds) {
  return k_msgq_put(&q->queue, &value, timeout(milliseconds)) == 0;
}
bool wafer_port_queue_receive(wafer_port_queue* q, int32_t* value, int32_t milliseconds) {
  return k_msgq_get(&q->queue, value, timeout(milliseconds)) == 0;
}

/* Threads that wafer_port_start did not make share one. */
void** wafer_port_slot(void) {
  static void* shared;
  void** slot = &shared;
  k_mutex_lock(&workers_mutex, K_FOREVER);
  for (worker* w = workers; w; w = w->next)
    if (&w->thread == k_current_get()) slot = &w->slot;
  k_mutex_unlock(&workers_mutex);
  return slot;
}

void wafer_port_panic(const char* message) {
  printk("wafer: %s\n", message);
  k_panic();
  CODE_UNREACHABLE;
}
