/* Calls each program of the guest twice and prints what came of it, the instructions that
 * the second call took, and at last how much memory the engine asked for. */
#include <stdint.h>

#include "board.h"
#include "firmware.h"
#include "guest.h"
#include "pool.h"
#include "programs.h"

/* Under QEMU's `-icount shift=0`. */
#ifdef __riscv
static void count(void) {}
static uint32_t now(void) {
  uint32_t n;
  __asm__ volatile(".option push\n .option arch, +zicsr\n csrr %0, minstret\n .option pop"
                   : "=r"(n));
  return n;
}
static uint32_t instructions_since(uint32_t before) { return now() - before; }
#else
/* SysTick, which ticks once in 40 of them. */
#define SYSTICK ((volatile uint32_t*)0xE000E010)
enum { kNanosecondsPerTick = 40 };
static void count(void) {
  SYSTICK[1] = 0xFFFFFF;
  SYSTICK[2] = 0;
  SYSTICK[0] = 5;
}
static uint32_t now(void) { return SYSTICK[2]; }
static uint32_t instructions_since(uint32_t before) {
  return ((before - now()) & 0xFFFFFF) * kNanosecondsPerTick;
}
#endif

int main(void) {
#define NAME(name) #name,
  static const char* const names[] = {EACH_PROGRAM(NAME)};
  pool_reset();
  if (engine_open(guest, sizeof guest) != 0) {
    board_put("error: open\n");
    return 1;
  }
  count();
  for (unsigned i = 0; i < sizeof names / sizeof *names; ++i) {
    int result = 0;
    if (engine_call(names[i], &result) != 0) {
      board_put("error: call\n");
      return 1;
    }
    const uint32_t before = now();
    engine_call(names[i], &result);
    const uint32_t taken = instructions_since(before);
    board_put(names[i]);
    board_put(" ");
    board_put_number((uint32_t)result);
    board_put(" ");
    board_put_number(taken);
    board_put("\n");
  }
  board_put("heap ");
  board_put_number((uint32_t)pool_peak());
  board_put("\n");
  return 0;
}
