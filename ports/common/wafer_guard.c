/* Memory of the library, in lists: what a guarded call has allocated can be given back at once.
 * The library's objects have nothing to do at their end but to give memory back, so nothing is owed
 * when a call is left in its middle but by owners, which are in a list of their own. */
#include "wafer_guard.h"

#include <setjmp.h>
#include <string.h>

/* Before each block; a ring for each guard, and blocks of no guard each in a ring of their own. */
typedef struct block {
  struct block *next, *before;
} block;

typedef struct guard {
  jmp_buf out;
  block blocks;
  wafer_guard_owner owners;
  struct guard* outer;
} guard;

_Static_assert(sizeof(block) % WAFER_PORT_ALIGN == 0, "what follows is aligned");

static void link_to(block* ring, block* b) {
  b->next = ring->next;
  b->before = ring;
  ring->next->before = b;
  ring->next = b;
}

static void link_owner(wafer_guard_owner* ring, wafer_guard_owner* o) {
  o->next = ring->next;
  o->before = ring;
  ring->next->before = o;
  ring->next = o;
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

void wafer_guard_keep(wafer_guard_owner* owner, void (*close)(wafer_guard_owner*)) {
  guard* const g = *wafer_port_slot();
  owner->close = close;
  owner->next = owner->before = owner;
  if (g) link_owner(&g->owners, owner);
}

void wafer_guard_forget(wafer_guard_owner* owner) {
  owner->before->next = owner->next;
  owner->next->before = owner->before;
  owner->next = owner->before = owner;
}

bool wafer_port_guarded(void (*body)(void*), void* argument) {
  guard g;
  void** const slot = wafer_port_slot();
  g.blocks.next = g.blocks.before = &g.blocks;
  g.owners.next = g.owners.before = &g.owners;
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
    while (g.owners.next != &g.owners) {
      wafer_guard_owner* const owner = g.owners.next;
      wafer_guard_forget(owner);
      wafer_guard_keep(owner, owner->close);
    }
    return true;
  }
  guard* const failed = *wafer_port_slot();
  *wafer_port_slot() = failed->outer;
  while (failed->owners.next != &failed->owners) {
    wafer_guard_owner* const owner = failed->owners.next;
    wafer_guard_forget(owner);
    owner->close(owner);
  }
  while (failed->blocks.next != &failed->blocks) wafer_guard_release(failed->blocks.next + 1);
  return false;
}

/* These take the place of the library's own. */
bool wafer_guard(void (*body)(void*), void* argument) {
  /* A task that is in no guarded call may have its slot together with others. */
  if (*wafer_port_slot()) return wafer_port_guarded(body, argument);
  body(argument);
  return true;
}

void wafer_panic(const char* message) {
  guard* const g = *wafer_port_slot();
  if (g && strcmp(message, "out of memory") == 0) longjmp(g->out, 1);
  wafer_port_panic(message);
  for (;;) {
  }
}
