/* Arm's MPS2 and MPS3 boards with a Cortex-M, as QEMU has them: start-up code, and output by
 * semihosting. */
#include <stdint.h>

#if __ARM_ARCH >= 8
/* MPS3's memory of two gigabytes. */
#define BOARD_FILE_AT ((unsigned char*)0x70000000)
#else
/* The rest of the memory that RAM is the start of. */
#define BOARD_FILE_AT ((unsigned char*)0x20040000)
#endif
#define BOARD_FILE_ROOM (4 * 1024 * 1024 - 256 * 1024)
#include "semihosting.h"

extern uint32_t data_begin, data_end, data_load, bss_begin, bss_end, stack_top;
extern void (*init_begin[])(void);
extern void (*init_end[])(void);
int main(void);
void board_reset(void);

static void fault(void) {
  board_put("fault\n");
  stop(STOPPED_RUN_TIME_ERROR);
}

/* What a kernel may have. */
__attribute__((weak)) void board_svc(void) { fault(); }
__attribute__((weak)) void board_pendsv(void) { fault(); }
__attribute__((weak)) void board_systick(void) { fault(); }

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
    &stack_top,
    (const void*)board_reset,
    (const void*)fault,
    (const void*)fault,
    (const void*)fault,
    (const void*)fault,
    (const void*)fault,
    0,
    0,
    0,
    0,
    (const void*)board_svc,
    (const void*)fault,
    0,
    (const void*)board_pendsv,
    (const void*)board_systick,
};
