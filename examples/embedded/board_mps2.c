/* Arm's MPS2 board with a Cortex-M4 (AN386), as QEMU has it: start-up code, and output
 * by semihosting. */
#include <stddef.h>
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

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_READ = 0x06, SYS_FLEN = 0x0C, SYS_EXIT = 0x18 };
enum { STOPPED_APPLICATION_EXIT = 0x20026, STOPPED_RUN_TIME_ERROR = 0x20023 };

void board_put(const char* text) { semihost(SYS_WRITE0, text); }

static void stop(int reason) {
  for (;;) semihost(SYS_EXIT, (const void*)(intptr_t)reason);
}

/* The rest of the memory that RAM is the start of. */
static unsigned char* const file_room = (unsigned char*)0x20040000;
enum { kFileRoom = 4 * 1024 * 1024 - 256 * 1024 };

const unsigned char* board_file(const char* name) {
  size_t length = 0;
  while (name[length]) ++length;
  const uintptr_t open[3] = {(uintptr_t)name, 1, length};
  const int handle = semihost(SYS_OPEN, open);
  if (handle < 0) return NULL;
  const uintptr_t of[1] = {(uintptr_t)handle};
  const int size = semihost(SYS_FLEN, of);
  if (size < 0 || size > kFileRoom) return NULL;
  const uintptr_t read[3] = {(uintptr_t)handle, (uintptr_t)file_room, (uintptr_t)size};
  return semihost(SYS_READ, read) == 0 ? file_room : NULL;
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
