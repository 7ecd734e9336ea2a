/* The console of systems with POSIX's files: what a platform layer there makes its
 * wafer_port_put of. wafer_console_posix.c has wafer_port_get, wafer_port_date and
 * wafer_port_panic, too. */
#ifndef WAFER_CONSOLE_POSIX_H
#define WAFER_CONSOLE_POSIX_H

#include <stddef.h>

/* Writes all of it to standard output. Other tasks may write between. */
void wafer_console_write(const char* text, size_t size);

#endif
