/* CoreMark as one of the guest's programs: its seeds are those of the performance run over 2000
 * bytes, it iterates a fixed number of times and measures no time, as its caller counts
 * instructions. */
#ifndef CORE_PORTME_H
#define CORE_PORTME_H

#include <stddef.h>
#include <stdint.h>

typedef int16_t ee_s16;
typedef uint16_t ee_u16;
typedef int32_t ee_s32;
typedef uint8_t ee_u8;
typedef uint32_t ee_u32;
typedef float ee_f32;
typedef uintptr_t ee_ptr_int;
typedef size_t ee_size_t;
typedef uint32_t CORE_TICKS;

#define align_mem(x) (void*)(((ee_ptr_int)(x) + 3) & ~(ee_ptr_int)3)

#define ITERATIONS 1
#define HAS_FLOAT 0
#define HAS_STDIO 0
#define HAS_PRINTF 0
#define SEED_METHOD SEED_VOLATILE
#define MEM_METHOD MEM_STATIC
#define MULTITHREAD 1
#define MAIN_HAS_NOARGC 1
#define MAIN_HAS_NORETURN 0
#define COMPILER_VERSION ""
#define COMPILER_FLAGS ""
#define MEM_LOCATION ""

/* Beside that of the firmware. */
#define main coremark_main

enum { default_num_contexts = 1 };

typedef struct {
  char unused;
} core_portable;

void portable_init(core_portable* port, int* argc, char* argv[]);
void portable_fini(core_portable* port);

/* CoreMark prints what it finds, of which one line matters; the compiler drops all others. */
extern int coremark_valid;
#define ee_printf(format, ...) \
  ((void)(__builtin_strcmp(format, COREMARK_VALID) == 0 && (coremark_valid = 1)))
#define COREMARK_VALID "Correct operation validated. See README.md for run and reporting rules.\n"

#endif
