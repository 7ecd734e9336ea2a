/* Calls each program of the guest twice and prints what came of it, the instructions that
 * the second call took, and at last how much memory the engine asked for. Instructions are
 * counted by SysTick, which under QEMU's `-icount shift=0` ticks once in 40 of them. */
#include <stdint.h>

#include "board.h"
#include "firmware.h"
#include "guest.h"
#include "pool.h"

#define SYSTICK ((volatile uint32_t*)0xE000E010)
enum { kNanosecondsPerTick = 40 };

int main(void) {
  static const char* const names[] = {"fib",   "crc",  "matmul",   "fir",
                                      "lexer", "sort", "random64", "biquad"};
  pool_reset();
  if (engine_open(guest, sizeof guest) != 0) {
    board_put("error: open\n");
    return 1;
  }
  SYSTICK[1] = 0xFFFFFF;
  SYSTICK[2] = 0;
  SYSTICK[0] = 5;
  for (unsigned i = 0; i < sizeof names / sizeof *names; ++i) {
    int result = 0;
    if (engine_call(names[i], &result) != 0) {
      board_put("error: call\n");
      return 1;
    }
    const uint32_t before = SYSTICK[2];
    engine_call(names[i], &result);
    const uint32_t ticks = (before - SYSTICK[2]) & 0xFFFFFF;
    board_put(names[i]);
    board_put(" ");
    board_put_number((uint32_t)result);
    board_put(" ");
    board_put_number(ticks * kNanosecondsPerTick);
    board_put("\n");
  }
  board_put("heap ");
  board_put_number((uint32_t)pool_peak());
  board_put("\n");
  return 0;
}
