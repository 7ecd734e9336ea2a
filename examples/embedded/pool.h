/* A first-fit allocator over a static pool of POOL_BYTES, for one task. */
#ifndef POOL_H
#define POOL_H

#include <stddef.h>

/* Makes all of the pool free; before any other use. */
void pool_reset(void);
/* `size` bytes aligned to `align`, or NULL; and what gives them back. In the
 * form that wafer_set_allocator takes; `context` is not used. */
void* pool_allocate(void* context, size_t size, size_t align);
void pool_release(void* context, void* pointer, size_t size, size_t align);
/* Bytes in use now, and at most since pool_reset. */
size_t pool_in_use(void);
size_t pool_peak(void);

#endif
