/* QEMU's machine `virt` with a RISC-V: start-up code, and output by semihosting. */
#include <stdint.h>

#define BOARD_FILE_AT ((unsigned char*)0x86000000)
#define BOARD_FILE_ROOM (16 * 1024 * 1024)
#include "semihosting.h"

extern uint32_t bss_begin, bss_end;
extern void (*init_begin[])(void);
extern void (*init_end[])(void);
int main(void);

/* What the C library has of the processor's thread. */
__asm__(
    ".section .vectors, \"ax\"\n"
    ".globl board_reset\n"
    "board_reset:\n"
    ".option push\n .option norelax\n la gp, __global_pointer$\n .option pop\n"
    "la sp, stack_top\n"
    "la t0, board_fault\n"
    ".option push\n .option arch, +zicsr\n"
    "csrw mtvec, t0\n"
#ifdef __riscv_flen
    "li t0, 0x6000\n" /* the floating-point unit is on */
    "csrs mstatus, t0\n"
    "csrwi fcsr, 0\n"
#endif
    ".option pop\n"
    "j board_start\n"
    ".text\n");

__attribute__((aligned(4), used)) void board_fault(void) {
  board_put("fault\n");
  stop(STOPPED_RUN_TIME_ERROR);
}

__attribute__((used)) void board_start(void) {
  for (uint32_t* to = &bss_begin; to < &bss_end;) *to++ = 0;
  for (void (**f)(void) = init_begin; f < init_end; ++f) (*f)();
  stop(main() == 0 ? STOPPED_APPLICATION_EXIT : STOPPED_RUN_TIME_ERROR);
}
