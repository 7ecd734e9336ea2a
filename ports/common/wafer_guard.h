/* Memory of the library, as wafer_port_guarded keeps track of it; for what is in this folder. */
#ifndef WAFER_GUARD_H
#define WAFER_GUARD_H

#include "wafer_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The platform's blocks, in lists: those of a guarded call that fails are given back. Pointers may
 * be NULL. */
void* wafer_guard_allocate(size_t size);
void wafer_guard_release(void* block);

/* Something that has more than memory to give back. `close` is called once if the guarded call
 * fails that it was kept in, while its block is still there. */
typedef struct wafer_guard_owner {
  struct wafer_guard_owner *next, *before;
  void (*close)(struct wafer_guard_owner*);
} wafer_guard_owner;
void wafer_guard_keep(wafer_guard_owner*, void (*close)(wafer_guard_owner*));
void wafer_guard_forget(wafer_guard_owner*);

#ifdef __cplusplus
}
#endif

#endif
