/* Memory of the library, in lists: what a guarded call has allocated can be given back at once.
 * The library's objects have nothing to do at their end but to give memory back, so nothing else
 * is owed when a call is left in its middle. */
#include <setjmp.h>
#include <string.h>

#include "wafer_port.h"

/* Before each block; a ring for each guard, and blocks of no guard each in a ring of their own. */
typedef struct block {
  struct block *next, *before;
} block;

typedef struct guard {
  jmp_buf out;
  block blocks;
  struct guard* outer;
} guard;

_Static_assert(sizeof(block) % WAFER_PORT_ALIGN == 0, "what follows is aligned");

static void link_to(block* ring, block* b) {
  b->next = ring->next;
  b->before = ring;
  ring->next->before = b;
  ring->next = b;
}

static void unlink_block(block* b) {
  b->before->next = b->next;
  b->next->before = b->before;
}

void* wafer_guard_allocate(size_t size) {
  if (size > SIZE_MAX - sizeof(block)) return NULL;
  block* const b = wafer_port_allocate(sizeof *b + size);
  if (!b) return NULL;
  guard* const g = *wafer_port_slot();
  b->next = b->before = b;
  if (g) link_to(&g->blocks, b);
  return b + 1;
}

void wafer_guard_release(void* pointer) {
  if (!pointer) return;
  block* const b = (block*)pointer - 1;
  unlink_block(b);
  wafer_port_release(b);
}

bool wafer_port_guarded(void (*body)(void*), void* argument) {
  guard g;
  void** const slot = wafer_port_slot();
  g.blocks.next = g.blocks.before = &g.blocks;
  g.outer = *slot;
  *slot = &g;
  if (setjmp(g.out) == 0) {
    body(argument);
    *slot = g.outer;
    /* What is left belongs to whoever called, or nobody. */
    block* const last = g.blocks.before;
    if (g.blocks.next != &g.blocks) {
      guard* const outer = g.outer;
      if (outer) {
        last->next = outer->blocks.next;
        outer->blocks.next->before = last;
        outer->blocks.next = g.blocks.next;
        g.blocks.next->before = &outer->blocks;
      } else {
        unlink_block(&g.blocks);
      }
    }
    return true;
  }
  guard* const failed = *wafer_port_slot();
  *wafer_port_slot() = failed->outer;
  while (failed->blocks.next != &failed->blocks) wafer_guard_release(failed->blocks.next + 1);
  return false;
}

/* Takes the place of the library's own. */
void wafer_panic(const char* message) {
  guard* const g = *wafer_port_slot();
  if (g && strcmp(message, "out of memory") == 0) longjmp(g->out, 1);
  wafer_port_panic(message);
  for (;;) {
  }
}
