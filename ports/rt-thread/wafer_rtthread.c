/* The platform layer on RT-Thread: its heap, threads and message queues; rt_kprintf is the
 * console. */
#include <rtthread.h>

#include "wafer_port.h"

void* wafer_port_allocate(size_t size) { return rt_malloc_align(size, WAFER_PORT_ALIGN); }
void wafer_port_release(void* block) {
  if (block) rt_free_align(block);
}

size_t wafer_port_free_bytes(void) {
  rt_size_t total = 0, used = 0, most = 0;
  rt_memory_info(&total, &used, &most);
  return total - used;
}

uint64_t wafer_port_clock(void) {
  return (uint64_t)rt_tick_get() * (1000000000u / RT_TICK_PER_SECOND);
}

void wafer_port_sleep(uint64_t nanoseconds) {
  const uint64_t ticks = wafer_port_ticks(nanoseconds, RT_TICK_PER_SECOND);
  if (!ticks)
    rt_thread_yield();
  else
    rt_thread_delay(ticks < RT_TICK_MAX / 2 ? (rt_tick_t)ticks : RT_TICK_MAX / 2 - 1);
}

static void put(const char* text) { rt_kprintf("%s", text); }

void wafer_port_put(const char* text, size_t size) {
  rt_enter_critical();
  wafer_port_pieces(text, size, put);
  rt_exit_critical();
}

bool wafer_port_start(const char* name, void (*entry)(void*), void* argument, unsigned level,
                      size_t stack) {
  const rt_thread_t thread = rt_thread_create(name, entry, argument, (rt_uint32_t)stack,
                                              (rt_uint8_t)(RT_THREAD_PRIORITY_MAX / 2 - level), 10);
  if (thread) thread->user_data = 0;
  return thread && rt_thread_startup(thread) == RT_EOK;
}

static rt_int32_t ticks(int32_t milliseconds) {
  return (rt_int32_t)wafer_port_timeout(milliseconds, RT_TICK_PER_SECOND, RT_TICK_MAX / 2 - 1,
                                        (uint32_t)RT_WAITING_FOREVER);
}

wafer_port_queue* wafer_port_queue_new(size_t depth) {
  return (wafer_port_queue*)rt_mq_create("wafer", sizeof(int32_t), depth, RT_IPC_FLAG_PRIO);
}
void wafer_port_queue_delete(wafer_port_queue* queue) {
  if (queue) rt_mq_delete((rt_mq_t)queue);
}
bool wafer_port_queue_send(wafer_port_queue* queue, int32_t value, int32_t milliseconds) {
  return rt_mq_send_wait((rt_mq_t)queue, &value, sizeof value, ticks(milliseconds)) == RT_EOK;
}
bool wafer_port_queue_receive(wafer_port_queue* queue, int32_t* value, int32_t milliseconds) {
  /* RT_EOK, or since version 5 the size. */
  return rt_mq_recv((rt_mq_t)queue, value, sizeof *value, ticks(milliseconds)) >= 0;
}

/* The field that the kernel leaves to applications. */
void** wafer_port_slot(void) { return (void**)&rt_thread_self()->user_data; }

void wafer_port_panic(const char* message) {
  rt_kprintf("wafer: %s\n", message);
  RT_ASSERT(message == RT_NULL);
  for (;;) {
  }
}

#ifdef PKG_WAFER_USING_COMMAND
#include <finsh.h>

#include "wafer_wasi.h"
MSH_CMD_EXPORT_ALIAS(wafer_command, wafer, run a WebAssembly program);
#endif
