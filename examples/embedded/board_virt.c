/* QEMU's RISC-V board `virt`: start-up code, and output by semihosting. */
#include <stddef.h>
#include <stdint.h>

#include "board.h"

extern uint32_t bss_begin, bss_end;
extern void (*init_begin[])(void);
extern void (*init_end[])(void);
int main(void);

static long semihost(long operation, const void* argument) {
  register long a0 __asm__("a0") = operation;
  register const void* a1 __asm__("a1") = argument;
  /* The three instructions, uncompressed, are the call. */
  __asm__ volatile(
      ".option push\n.option norvc\n.balign 16\n"
      "slli zero, zero, 0x1f\nebreak\nsrai zero, zero, 7\n.option pop"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
}

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_READ = 0x06, SYS_FLEN = 0x0C, SYS_EXIT = 0x18 };

void board_put(const char* text) { semihost(SYS_WRITE0, text); }

void board_exit(int status) {
  const uintptr_t block[2] = {0x20026, (uintptr_t)(status != 0)};
  const uintptr_t failed = 0x20023;
  for (;;)
    semihost(SYS_EXIT, sizeof(void*) == 8 ? (const void*)block
                       : status == 0      ? (const void*)block[0]
                                          : (const void*)failed);
}

__attribute__((weak)) void wafer_panic(const char* message) {
  board_put("panic: ");
  board_put(message);
  board_put("\n");
  board_exit(1);
}

__attribute__((aligned(4), used)) static void fault(void) {
  board_put("fault\n");
  board_exit(1);
}

/* A part of the board's memory that the linker knows nothing of. */
static unsigned char* const file_room = (unsigned char*)0x81000000;
enum { kFileRoom = 4 * 1024 * 1024 };

const unsigned char* board_file(const char* name) {
  size_t length = 0;
  while (name[length]) ++length;
  const uintptr_t open[3] = {(uintptr_t)name, 1, length};
  const long handle = semihost(SYS_OPEN, open);
  if (handle < 0) return NULL;
  const uintptr_t of[1] = {(uintptr_t)handle};
  const long size = semihost(SYS_FLEN, of);
  if (size < 0 || size > kFileRoom) return NULL;
  const uintptr_t read[3] = {(uintptr_t)handle, (uintptr_t)file_room, (uintptr_t)size};
  return semihost(SYS_READ, read) == 0 ? file_room : NULL;
}

__attribute__((used)) static void start(void) {
  __asm__ volatile("csrw mtvec, %0" ::"r"(fault));
  for (uint32_t* to = &bss_begin; to < &bss_end;) *to++ = 0;
  for (void (**f)(void) = init_begin; f < init_end; ++f) (*f)();
  board_exit(main());
}

__attribute__((naked, section(".vectors"), used)) void board_reset(void) {
  __asm__ volatile("la sp, stack_top\n j start");
}
