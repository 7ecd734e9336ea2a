/* The example of the ports on RT-Thread, on Arm's MPS2 board: its timer, its handlers of
 * interrupts, and the start of the kernel. */
#include <rthw.h>
#include <rtthread.h>

#include "board.h"
#include "example.h"
#include "wafer_port.h"

#define SYSTEM(offset) (*(volatile uint32_t*)(0xE000E000 + (offset)))
enum { kClock = 25000000, kHeap = 96 * 1024 };

static unsigned char heap[kHeap] __attribute__((aligned(8)));

void rt_hw_console_output(const char* text) { board_put(text); }

void board_systick(void) {
  rt_interrupt_enter();
  rt_tick_increase();
  rt_interrupt_leave();
}
__attribute__((naked)) void board_pendsv(void) { __asm__ volatile("b PendSV_Handler"); }

static void watch(void* argument) {
  (void)argument;
  board_exit(wafer_example());
}

int main(void) {
  rt_hw_interrupt_disable();
  SYSTEM(0x14) = kClock / RT_TICK_PER_SECOND - 1;
  SYSTEM(0x18) = 0;
  SYSTEM(0x10) = 7;
  rt_system_heap_init(heap, heap + sizeof heap);
  rt_system_timer_init();
  rt_system_scheduler_init();
  wafer_port_init();
  if (!wafer_port_start("watch", watch, RT_NULL, 3, 4096)) return 1;
  rt_thread_idle_init();
  rt_system_scheduler_start();
  return 1;
}
