/* What a board with a debugger, or in an emulator, has of its host: Arm's semihosting, which RISC-V
 * has as well. A board's only source includes this; it says where the room for a file is. */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

#include "board.h"

#if defined(__riscv)
static intptr_t semihost(intptr_t operation, const void* argument) {
  register intptr_t a0 __asm__("a0") = operation;
  register const void* a1 __asm__("a1") = argument;
  /* All three instructions in one page, and none of two bytes. */
  __asm__ volatile(
      ".option push\n .option norvc\n .balign 16\n"
      "slli x0, x0, 0x1f\n ebreak\n srai x0, x0, 7\n .option pop"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
}
#else
static intptr_t semihost(intptr_t operation, const void* argument) {
  register intptr_t r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
#endif

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_READ = 0x06, SYS_FLEN = 0x0C, SYS_EXIT = 0x18 };
enum { STOPPED_APPLICATION_EXIT = 0x20026, STOPPED_RUN_TIME_ERROR = 0x20023 };

void board_put(const char* text) { semihost(SYS_WRITE0, text); }

static void stop(int reason) {
#if UINTPTR_MAX > 0xFFFFFFFF
  const uintptr_t why[2] = {(uintptr_t)reason, 0};
  for (;;) semihost(SYS_EXIT, why);
#else
  for (;;) semihost(SYS_EXIT, (const void*)(intptr_t)reason);
#endif
}

const unsigned char* board_file(const char* name) {
  size_t length = 0;
  while (name[length]) ++length;
  const uintptr_t open[3] = {(uintptr_t)name, 1, length};
  const intptr_t handle = semihost(SYS_OPEN, open);
  if (handle < 0) return NULL;
  const uintptr_t of[1] = {(uintptr_t)handle};
  const intptr_t size = semihost(SYS_FLEN, of);
  if (size < 0 || size > BOARD_FILE_ROOM) return NULL;
  const uintptr_t read[3] = {(uintptr_t)handle, (uintptr_t)BOARD_FILE_AT, (uintptr_t)size};
  return semihost(SYS_READ, read) == 0 ? BOARD_FILE_AT : NULL;
}

void board_exit(int status) {
  stop(status == 0 ? STOPPED_APPLICATION_EXIT : STOPPED_RUN_TIME_ERROR);
}

/* Takes the place of the library's own, unless the program has another. */
__attribute__((weak)) void wafer_panic(const char* message) {
  board_put("panic: ");
  board_put(message);
  board_put("\n");
  stop(STOPPED_RUN_TIME_ERROR);
}

#endif
