#include "pool.h"

#include <stdint.h>

#ifndef POOL_BYTES
#define POOL_BYTES (192 * 1024)
#endif

typedef struct block {
  size_t size; /* of the whole block; free blocks are kept in address order */
  struct block* next;
} block;

#ifndef POOL_PLACE
#define POOL_PLACE
#endif
static _Alignas(16) unsigned char pool[POOL_BYTES] POOL_PLACE;
static block* free_blocks;
static size_t in_use, peak;

static size_t rounded(size_t size) {
  if (size < sizeof(block)) size = sizeof(block);
  return (size + 15) & ~(size_t)15;
}

void* pool_allocate(void* context, size_t size, size_t align) {
  (void)context;
  if (size > POOL_BYTES) return NULL;
  size = rounded(size);
  for (block** at = &free_blocks; *at; at = &(*at)->next) {
    block* b = *at;
    /* What lies before an aligned address stays a free block. */
    const size_t before = align > 16 ? -(uintptr_t)b & (align - 1) : 0;
    if (b->size < before || b->size - before < size) continue;
    block* const rest = b->size - before == size ? b->next : (block*)((char*)b + before + size);
    if (rest != b->next) {
      rest->size = b->size - before - size;
      rest->next = b->next;
    }
    if (before) {
      b->size = before;
      b->next = rest;
    } else {
      *at = rest;
    }
    in_use += size;
    if (in_use > peak) peak = in_use;
    return (char*)b + before;
  }
  return NULL;
}

void pool_release(void* context, void* pointer, size_t size, size_t align) {
  (void)context;
  (void)align;
  block* b = pointer;
  b->size = rounded(size);
  in_use -= b->size;
  block** at = &free_blocks;
  block* before = NULL;
  while (*at && *at < b) {
    before = *at;
    at = &before->next;
  }
  b->next = *at;
  *at = b;
  if (b->next && (unsigned char*)b + b->size == (unsigned char*)b->next) {
    b->size += b->next->size;
    b->next = b->next->next;
  }
  if (before && (unsigned char*)before + before->size == (unsigned char*)b) {
    before->size += b->size;
    before->next = b->next;
  }
}

void pool_reset(void) {
  free_blocks = (block*)pool;
  free_blocks->size = sizeof pool;
  free_blocks->next = NULL;
  in_use = peak = 0;
}

size_t pool_in_use(void) { return in_use; }
size_t pool_peak(void) { return peak; }
