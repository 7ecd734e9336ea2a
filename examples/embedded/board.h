/* What the example needs of a board. */
#ifndef BOARD_H
#define BOARD_H

/* Prints text. */
void board_put(const char* text);
/* The contents of a file of the host, or NULL; once. */
const unsigned char* board_file(const char* name);
/* Ends the program; 0 is success. */
void board_exit(int status);

#endif
