// An open-addressing hash map with Robin Hood insertion and backward-shift deletion, under a mix
// of insertions, look-ups and deletions; it grows by rehashing.
#include "../bench.h"

typedef struct {
  uint64_t key;  // 0: empty
  uint64_t value;
} Slot;

typedef struct {
  Slot* slots;
  uint32_t mask;
  uint32_t used;
} Map;

static uint32_t hash(uint64_t key) {
  key ^= key >> 33;
  key *= 0xff51afd7ed558ccdu;
  key ^= key >> 33;
  key *= 0xc4ceb9fe1a85ec53u;
  return (uint32_t)(key >> 32);
}

static Map map_make(uint32_t capacity) {
  Map map = {bench_allocate(capacity * sizeof(Slot)), capacity - 1, 0};
  memset(map.slots, 0, capacity * sizeof(Slot));
  return map;
}

static uint32_t distance(const Map* map, uint32_t at) {
  return (at - hash(map->slots[at].key)) & map->mask;
}

static void map_put(Map* map, uint64_t key, uint64_t value);

static void grow(Map* map) {
  Map larger = map_make((map->mask + 1) * 2);
  for (uint32_t i = 0; i <= map->mask; ++i) {
    if (map->slots[i].key != 0) map_put(&larger, map->slots[i].key, map->slots[i].value);
  }
  free(map->slots);
  *map = larger;
}

static void map_put(Map* map, uint64_t key, uint64_t value) {
  if (map->used * 8 >= map->mask * 7) grow(map);
  Slot carried = {key, value};
  uint32_t at = hash(key) & map->mask;
  for (uint32_t far = 0;; at = (at + 1) & map->mask, ++far) {
    Slot* slot = &map->slots[at];
    if (slot->key == 0) {
      *slot = carried;
      ++map->used;
      return;
    }
    if (slot->key == carried.key) {
      slot->value = carried.value;
      return;
    }
    uint32_t theirs = distance(map, at);
    if (theirs < far) {
      Slot evicted = *slot;
      *slot = carried;
      carried = evicted;
      far = theirs;
    }
  }
}

static Slot* map_find(const Map* map, uint64_t key) {
  uint32_t at = hash(key) & map->mask;
  for (uint32_t far = 0;; at = (at + 1) & map->mask, ++far) {
    Slot* slot = &map->slots[at];
    if (slot->key == key) return slot;
    if (slot->key == 0 || distance(map, at) < far) return NULL;
  }
}

static int map_remove(Map* map, uint64_t key) {
  Slot* slot = map_find(map, key);
  if (slot == NULL) return 0;
  uint32_t at = (uint32_t)(slot - map->slots);
  for (;;) {
    uint32_t next = (at + 1) & map->mask;
    if (map->slots[next].key == 0 || distance(map, next) == 0) break;
    map->slots[at] = map->slots[next];
    at = next;
  }
  map->slots[at].key = 0;
  --map->used;
  return 1;
}

int main(int argc, char** argv) {
  int operations = bench_start(argc, argv, 25000000, 1000000);
  Map map = map_make(64);
  uint64_t hits = 0, removed = 0, sum = 0;
  for (int i = 0; i < operations; ++i) {
    uint64_t key = 1 + (uint64_t)bench_random_below(1u << 16) * bench_random_below(8);
    switch (bench_random_below(4)) {
      case 0:
        map_put(&map, key, (uint64_t)i);
        break;
      case 1:
        removed += (uint64_t)map_remove(&map, key);
        break;
      default: {
        const Slot* found = map_find(&map, key);
        if (found != NULL) {
          ++hits;
          sum += found->value;
        }
      }
    }
  }
  bench_add(hits);
  bench_add(removed);
  bench_add(sum);
  bench_add(map.used);
  return bench_finish("hash_map");
}
