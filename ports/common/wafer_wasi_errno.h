/* Error numbers of a C library as WASI's. */
#ifndef WAFER_WASI_ERRNO_H
#define WAFER_WASI_ERRNO_H

#include <errno.h>
#include <stdint.h>

#include "wafer_wasi.h"

/* Some systems' are negative, in errno as well. */
static inline uint16_t wafer_wasi_error(int error) {
  switch (error < 0 ? -error : error) {
    case 0:
      return 0;
    case EACCES:
      return WAFER_WASI_ACCES;
    case EBADF:
      return WAFER_WASI_BADF;
    case EBUSY:
      return WAFER_WASI_BUSY;
    case EEXIST:
      return WAFER_WASI_EXIST;
    case EFBIG:
      return WAFER_WASI_FBIG;
    case EINVAL:
      return WAFER_WASI_INVAL;
    case EISDIR:
      return WAFER_WASI_ISDIR;
    case ELOOP:
      return WAFER_WASI_LOOP;
    case EMFILE:
      return WAFER_WASI_MFILE;
    case ENAMETOOLONG:
      return WAFER_WASI_NAMETOOLONG;
    case ENOENT:
      return WAFER_WASI_NOENT;
    case ENOMEM:
      return WAFER_WASI_NOMEM;
    case ENOSPC:
      return WAFER_WASI_NOSPC;
    case ENOSYS:
      return WAFER_WASI_NOSYS;
    case ENOTDIR:
      return WAFER_WASI_NOTDIR;
    case ENOTEMPTY:
      return WAFER_WASI_NOTEMPTY;
    case EPERM:
      return WAFER_WASI_PERM;
    case EPIPE:
      return WAFER_WASI_PIPE;
    case EROFS:
      return WAFER_WASI_ROFS;
    case ESPIPE:
      return WAFER_WASI_SPIPE;
    case EXDEV:
      return WAFER_WASI_XDEV;
    default:
      return WAFER_WASI_IO;
  }
}

#endif
