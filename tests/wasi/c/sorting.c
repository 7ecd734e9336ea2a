// Much memory: growing arrays, a large sort, a hash table, many small blocks.
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 12345;
static uint32_t next(void) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static int compare(const void* a, const void* b) {
  const uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return x < y ? -1 : x > y;
}

struct node {
  struct node* next;
  uint32_t key;
  int count;
};

int main(void) {
  uint32_t* numbers = NULL;
  size_t size = 0, capacity = 0;
  while (size < 300000) {
    if (size == capacity) {
      capacity = capacity ? capacity * 2 : 16;
      numbers = realloc(numbers, capacity * sizeof *numbers);
      assert(numbers);
    }
    numbers[size++] = next();
  }
  qsort(numbers, size, sizeof *numbers, compare);
  uint64_t checksum = 0;
  int sorted = 1;
  for (size_t i = 0; i < size; ++i) {
    checksum = checksum * 31 + numbers[i];
    if (i) sorted &= numbers[i - 1] <= numbers[i];
  }
  printf("sorted %d checksum %016llx\n", sorted, (unsigned long long)checksum);

  static struct node* table[4096];
  for (int i = 0; i < 100000; ++i) {
    const uint32_t key = next() % 5000;
    struct node** at = &table[key * 2654435761u >> 20];
    while (*at && (*at)->key != key) at = &(*at)->next;
    if (!*at) {
      *at = calloc(1, sizeof **at);
      (*at)->key = key;
    }
    ++(*at)->count;
  }
  int keys = 0, total = 0;
  for (int i = 0; i < 4096; ++i)
    for (struct node *n = table[i], *after; n; n = after) {
      ++keys;
      total += n->count;
      after = n->next;
      free(n);
    }
  printf("keys %d total %d\n", keys, total);

  void* block = malloc(64u << 20);
  assert(block);
  memset(block, 1, 64u << 20);
  free(block);
  static void* volatile huge;  // so that the call is made
  huge = malloc(0xF0000000u);
  printf("too much %d\n", huge == NULL);
  free(numbers);
  return 0;
}
