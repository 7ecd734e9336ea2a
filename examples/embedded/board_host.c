/* A computer with an operating system as the board. */
#include <stdio.h>
#include <stdlib.h>

#include "board.h"

void board_put(const char* text) { fputs(text, stdout); }

void board_exit(int status) {
  fflush(stdout);
  _Exit(status != 0);
}

const unsigned char* board_file(const char* name) {
  FILE* file = fopen(name, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  const long size = ftell(file);
  rewind(file);
  unsigned char* bytes = malloc(size > 0 ? (size_t)size : 1);
  const size_t got = bytes ? fread(bytes, 1, (size_t)size, file) : 0;
  fclose(file);
  return got == (size_t)size ? bytes : NULL;
}
