// The largest number of nested base pairs in an RNA sequence, by dynamic programming over
// all its intervals.
#include "../bench.h"

static inline int larger(int a, int b) { return a > b ? a : b; }

// A-U and C-G pair, as numbers 0-3 and 1-2.
static inline int pairs(int a, int b) { return a + b == 3; }

static void fold(int n, const signed char base[n], int table[n][n]) {
  for (int i = n - 1; i >= 0; --i) {
    for (int j = i + 1; j < n; ++j) {
      int best = larger(table[i][j - 1], table[i + 1][j]);
      if (i + 1 < j) {
        best = larger(best, table[i + 1][j - 1] + pairs(base[i], base[j]));
      }
      for (int k = i + 1; k < j; ++k) best = larger(best, table[i][k] + table[k + 1][j]);
      table[i][j] = best;
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 1600, 560);
  signed char* base = bench_allocate(n);
  int (*table)[n] = bench_allocate((size_t)(n + 1) * n * sizeof(int));
  memset(table, 0, (size_t)(n + 1) * n * sizeof(int));
  for (int i = 0; i < n; ++i) base[i] = (signed char)bench_random_below(4);
  fold(n, base, table);
  for (int i = 0; i < n; ++i) {
    for (int j = i; j < n; ++j) bench_add((uint64_t)table[i][j]);
  }
  return bench_finish("nussinov");
}
