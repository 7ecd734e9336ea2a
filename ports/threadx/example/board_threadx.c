/* What ThreadX needs of Arm's MPS2 board: the timer, and its handlers of interrupts. */
#include <stdint.h>

#include "tx_api.h"

extern VOID* _tx_initialize_unused_memory;
extern VOID* _tx_thread_system_stack_ptr;
extern uint32_t stack_top, bss_end;
VOID _tx_timer_interrupt(VOID);

#define SYSTEM(offset) (*(volatile uint32_t*)(0xE000E000 + (offset)))
enum { kClock = 25000000 };

VOID _tx_initialize_low_level(VOID) {
  __asm__ volatile("cpsid i");
  _tx_initialize_unused_memory = &bss_end;
  _tx_thread_system_stack_ptr = &stack_top;
  SYSTEM(0x14) = kClock / TX_TIMER_TICKS_PER_SECOND - 1;
  SYSTEM(0x18) = 0;
  SYSTEM(0x10) = 7;
  /* PendSV goes last. */
  SYSTEM(0xD1C) = 0xFF000000;
  SYSTEM(0xD20) = 0x40FF0000;
}

void board_systick(void) { _tx_timer_interrupt(); }

/* The switch of threads; what it jumps to returns from the interrupt. */
__attribute__((naked)) void board_pendsv(void) { __asm__ volatile("b PendSV_Handler"); }
