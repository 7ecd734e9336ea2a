/* The programs as native code: what nothing that interprets can reach. */
#include <string.h>

#include "firmware.h"
#include "programs.h"

#define DECLARE(name) int name(void);
EACH_PROGRAM(DECLARE)

int engine_open(const unsigned char* wasm, size_t size) {
  (void)wasm;
  (void)size;
  return 0;
}

int engine_call(const char* name, int* result) {
  static const struct {
    const char* name;
    int (*call)(void);
  } all[] = {
#define ENTRY(name) {#name, name},
      EACH_PROGRAM(ENTRY)};
  for (unsigned i = 0; i < sizeof all / sizeof *all; ++i)
    if (strcmp(all[i].name, name) == 0) {
      *result = all[i].call();
      return 0;
    }
  return 1;
}
