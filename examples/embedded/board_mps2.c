/* Arm's MPS2 board with a Cortex-M4 (AN386), as QEMU has it: start-up code, and output
 * by semihosting. */
#include <stdint.h>

#include "board.h"

extern uint32_t data_begin, data_end, data_load, bss_begin, bss_end, stack_top;
extern void (*init_begin[])(void);
extern void (*init_end[])(void);
int main(void);
void board_reset(void);

static int semihost(int operation, const void* argument) {
  register int r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18 };
enum { STOPPED_APPLICATION_EXIT = 0x20026, STOPPED_RUN_TIME_ERROR = 0x20023 };

void board_put(const char* text) { semihost(SYS_WRITE0, text); }

static void stop(int reason) {
  for (;;) semihost(SYS_EXIT, (const void*)(intptr_t)reason);
}

/* Takes the place of the library's own. */
void wafer_panic(const char* message) {
  board_put("panic: ");
  board_put(message);
  board_put("\n");
  stop(STOPPED_RUN_TIME_ERROR);
}

static void fault(void) {
  board_put("fault\n");
  stop(STOPPED_RUN_TIME_ERROR);
}

void board_reset(void) {
  /* Full access to the floating-point unit, before any code that may use it. */
  *(volatile uint32_t*)0xE000ED88 |= 0xFu << 20;
  __asm__ volatile("dsb\n isb");
  const uint32_t* from = &data_load;
  for (uint32_t* to = &data_begin; to < &data_end;) *to++ = *from++;
  for (uint32_t* to = &bss_begin; to < &bss_end;) *to++ = 0;
  for (void (**f)(void) = init_begin; f < init_end; ++f) (*f)();
  stop(main() == 0 ? STOPPED_APPLICATION_EXIT : STOPPED_RUN_TIME_ERROR);
}

__attribute__((section(".vectors"), used)) static const void* const vectors[16] = {
    &stack_top,         (const void*)board_reset, (const void*)fault, (const void*)fault,
    (const void*)fault, (const void*)fault,       (const void*)fault,
};
