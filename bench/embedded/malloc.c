/* malloc and its like, over the pool, for engines that ask for memory so: blocks carry their
 * size. */
#include <stdlib.h>
#include <string.h>

#include "pool.h"

typedef struct {
  size_t size;
  size_t unused[3];
} header;

void* malloc(size_t size) {
  header* h = pool_allocate(NULL, size + sizeof *h, 16);
  if (!h) return NULL;
  h->size = size;
  return h + 1;
}
void free(void* p) {
  if (p) pool_release(NULL, (header*)p - 1, ((header*)p)[-1].size + sizeof(header), 16);
}
void* calloc(size_t count, size_t size) {
  void* p = malloc(count * size);
  if (p) memset(p, 0, count * size);
  return p;
}
void* realloc(void* old, size_t size) {
  void* p = malloc(size);
  if (p && old) {
    const size_t before = ((header*)old)[-1].size;
    memcpy(p, old, before < size ? before : size);
    free(old);
  }
  return p;
}

/* By these names newlib asks. */
struct _reent;
void* _malloc_r(struct _reent* unused, size_t size) { return malloc(size); }
void _free_r(struct _reent* unused, void* p) { free(p); }
void* _calloc_r(struct _reent* unused, size_t count, size_t size) { return calloc(count, size); }
void* _realloc_r(struct _reent* unused, void* old, size_t size) { return realloc(old, size); }
