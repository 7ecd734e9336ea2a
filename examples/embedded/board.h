/* What the example needs of a board. */
#ifndef BOARD_H
#define BOARD_H

/* Prints text. */
void board_put(const char* text);

#endif
