// Three ways to sort: quicksort with insertion sort at the leaves, heapsort, and a merge sort of
// strings through a comparison that is called by pointer.
#include "../bench.h"

static void swap(uint32_t* a, uint32_t* b) {
  uint32_t t = *a;
  *a = *b;
  *b = t;
}

static void quicksort(uint32_t* first, int count) {
  while (count > 16) {
    int middle = count / 2, last = count - 1;
    if (first[middle] < first[0]) swap(&first[middle], &first[0]);
    if (first[last] < first[0]) swap(&first[last], &first[0]);
    if (first[last] < first[middle]) swap(&first[last], &first[middle]);
    uint32_t pivot = first[middle];
    int i = 0, j = last;
    for (;;) {
      while (first[i] < pivot) ++i;
      while (first[j] > pivot) --j;
      if (i >= j) break;
      swap(&first[i++], &first[j--]);
    }
    quicksort(first, i);
    first += i;
    count -= i;
  }
  for (int i = 1; i < count; ++i) {
    uint32_t value = first[i];
    int j = i;
    for (; j > 0 && first[j - 1] > value; --j) first[j] = first[j - 1];
    first[j] = value;
  }
}

static void sift_down(uint32_t* heap, int root, int count) {
  uint32_t value = heap[root];
  for (int child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && heap[child + 1] > heap[child]) ++child;
    if (heap[child] <= value) break;
    heap[root] = heap[child];
  }
  heap[root] = value;
}

static void heapsort(uint32_t* values, int count) {
  for (int i = count / 2 - 1; i >= 0; --i) sift_down(values, i, count);
  for (int end = count - 1; end > 0; --end) {
    swap(&values[0], &values[end]);
    sift_down(values, 0, end);
  }
}

typedef struct {
  char text[12];
} Word;

static int by_text(const Word* a, const Word* b) {
  for (int i = 0; i < (int)sizeof a->text; ++i) {
    if (a->text[i] != b->text[i]) return a->text[i] < b->text[i] ? -1 : 1;
  }
  return 0;
}

static int by_text_reversed(const Word* a, const Word* b) { return by_text(b, a); }

static void merge_sort(Word* words, Word* scratch, int count,
                       int (*order)(const Word*, const Word*)) {
  if (count < 2) return;
  int half = count / 2;
  merge_sort(words, scratch, half, order);
  merge_sort(words + half, scratch, count - half, order);
  memcpy(scratch, words, (size_t)half * sizeof *words);
  int i = 0, j = half, out = 0;
  while (i < half && j < count) {
    words[out++] = order(&words[j], &scratch[i]) < 0 ? words[j++] : scratch[i++];
  }
  while (i < half) words[out++] = scratch[i++];
}

int main(int argc, char** argv) {
  int count = bench_start(argc, argv, 4000000, 150000);
  uint32_t* numbers = bench_allocate((size_t)count * sizeof *numbers);
  uint32_t* copy = bench_allocate((size_t)count * sizeof *copy);
  for (int i = 0; i < count; ++i) copy[i] = numbers[i] = bench_random();
  quicksort(numbers, count);
  heapsort(copy, count);
  bench_require(memcmp(numbers, copy, (size_t)count * sizeof *copy) == 0, "the sorts differ");
  for (int i = 0; i < count; ++i) bench_add(numbers[i]);

  int words_count = count / 4;
  Word* words = bench_allocate((size_t)(words_count + 1) * sizeof *words);
  Word* scratch = bench_allocate((size_t)(words_count + 1) * sizeof *scratch);
  for (int i = 0; i < words_count; ++i) {
    for (int j = 0; j < (int)sizeof words[i].text; ++j) {
      words[i].text[j] = (char)('a' + bench_random_below(4));
    }
  }
  merge_sort(words, scratch, words_count, by_text);
  bench_add_bytes(words, (size_t)words_count * sizeof *words);
  merge_sort(words, scratch, words_count, by_text_reversed);
  bench_add_bytes(words, (size_t)words_count * sizeof *words);
  return bench_finish("sort");
}
