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

/* Memory of a call of its own. Its functions are here for programs without any to link none. */
typedef struct arena {
  void* (*allocate)(struct arena*, size_t size);
  void (*release)(struct arena*, void*);
  unsigned char *begin, *end;
  struct chunk* free; /* by address */
  struct arena* outer;
} arena;

typedef struct guard {
  jmp_buf out;
  block blocks;
  wafer_guard_owner owners;
  arena* arena; /* that of the nearest call with one, or NULL */
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
  guard* const g = *wafer_port_slot();
  arena* const a = g ? g->arena : NULL;
  block* const b = a ? a->allocate(a, sizeof *b + size) : wafer_port_allocate(sizeof *b + size);
  if (!b) return NULL;
  b->next = b->before = b;
  if (g) link_to(&g->blocks, b);
  return b + 1;
}

void wafer_guard_release(void* pointer) {
  if (!pointer) return;
  block* const b = (block*)pointer - 1;
  unlink_block(b);
  guard* const g = *wafer_port_slot();
  for (arena* a = g ? g->arena : NULL; a; a = a->outer)
    if ((unsigned char*)b >= a->begin && (unsigned char*)b < a->end) {
      a->release(a, b);
      return;
    }
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

static void close_owners(guard* g) {
  while (g->owners.next != &g->owners) {
    wafer_guard_owner* const owner = g->owners.next;
    wafer_guard_forget(owner);
    owner->close(owner);
  }
}

/* `a`: the call's own arena, or NULL. */
static bool guarded(arena* a, void (*body)(void*), void* argument) {
  guard g;
  void** const slot = wafer_port_slot();
  g.blocks.next = g.blocks.before = &g.blocks;
  g.owners.next = g.owners.before = &g.owners;
  g.outer = *slot;
  g.arena = g.outer ? g.outer->arena : NULL;
  if (a) {
    a->outer = g.arena;
    g.arena = a;
  }
  *slot = &g;
  if (setjmp(g.out) == 0) {
    body(argument);
    *slot = g.outer;
    /* An arena goes with all that is left in it. */
    if (a) {
      close_owners(&g);
      return true;
    }
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
  close_owners(failed);
  if (failed->arena == (failed->outer ? failed->outer->arena : NULL))
    while (failed->blocks.next != &failed->blocks) wafer_guard_release(failed->blocks.next + 1);
  return false;
}

bool wafer_port_guarded(void (*body)(void*), void* argument) {
  return guarded(NULL, body, argument);
}

/* ---- Arenas: first fit */

typedef struct chunk {
  size_t size; /* with this word */
  struct chunk* next;
} chunk;

enum { kAlign = WAFER_PORT_ALIGN };

static void* arena_allocate(arena* a, size_t size) {
  if (size > SIZE_MAX - sizeof(size_t) - kAlign) return NULL;
  size = (size + sizeof(size_t) + kAlign - 1) & ~(size_t)(kAlign - 1);
  if (size < sizeof(chunk)) size = sizeof(chunk);
  for (chunk** at = &a->free; *at; at = &(*at)->next) {
    chunk* const c = *at;
    if (c->size < size) continue;
    if (c->size - size >= sizeof(chunk)) {
      chunk* const rest = (chunk*)((unsigned char*)c + size);
      rest->size = c->size - size;
      rest->next = c->next;
      c->size = size;
      *at = rest;
    } else {
      *at = c->next;
    }
    return &c->next;
  }
  return NULL;
}

static void join(chunk* c) {
  if ((unsigned char*)c + c->size != (unsigned char*)c->next) return;
  c->size += c->next->size;
  c->next = c->next->next;
}

static void arena_release(arena* a, void* block) {
  chunk* const c = (chunk*)((unsigned char*)block - offsetof(chunk, next));
  chunk *before = NULL, *after = a->free;
  for (; after && after < c; after = after->next) before = after;
  c->next = after;
  if (after) join(c);
  if (before) {
    before->next = c;
    join(before);
  } else {
    a->free = c;
  }
}

bool wafer_port_guarded_in(void* memory, size_t size, void (*body)(void*), void* argument) {
  /* The arena, and then chunks of which what follows the first word is aligned. */
  const uintptr_t at = ((uintptr_t)memory + kAlign - 1) & ~(uintptr_t)(kAlign - 1);
  const uintptr_t first =
      ((at + sizeof(arena) + sizeof(size_t) + kAlign - 1) & ~(uintptr_t)(kAlign - 1)) -
      sizeof(size_t);
  const size_t taken = first - (uintptr_t)memory;
  if (size < taken + sizeof(chunk)) return false;
  chunk* const all = (chunk*)first;
  all->size = (size - taken) & ~(size_t)(kAlign - 1);
  all->next = NULL;
  arena* const a = (arena*)at;
  *a = (arena){.allocate = arena_allocate,
               .release = arena_release,
               .begin = (unsigned char*)first,
               .end = (unsigned char*)first + all->size,
               .free = all};
  return guarded(a, body, argument);
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
