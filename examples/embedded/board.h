/* What the example needs of a board. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Prints text. */
void board_put(const char* text);
/* Prints a number. */
static inline void board_put_number(uint32_t number) {
  char text[11];
  char* at = text + sizeof text - 1;
  *at = 0;
  do *--at = (char)('0' + number % 10);
  while (number /= 10);
  board_put(at);
}
/* The contents of a file of the host, or NULL; once. */
const unsigned char* board_file(const char* name);
/* Ends the program; 0 is success. */
void board_exit(int status);

#endif
