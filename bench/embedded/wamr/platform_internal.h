/* What WAMR wants to know of a platform, for one without an operating system, threads, files and
 * a console. */
#ifndef _PLATFORM_INTERNAL_H
#define _PLATFORM_INTERNAL_H

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BH_PLATFORM_BARE

/* Of threads there is one. */
typedef int korp_tid, korp_thread, korp_mutex, korp_cond, korp_sem, korp_rwlock;
/* And no file. */
typedef int os_file_handle, os_raw_file_handle, os_poll_file_handle, os_timespec;
typedef unsigned os_nfds_t;
typedef void* os_dir_stream;
static inline os_file_handle os_get_invalid_handle(void) { return -1; }
static inline int os_getpagesize(void) { return 1024; }

#endif
