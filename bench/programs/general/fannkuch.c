// Over all permutations of 0..N-1: how often the prefix that the first number counts must be
// reversed until the first number is 0.
#include "../bench.h"

enum { kMost = 13 };

static int flips(const int* permutation, int n) {
  int p[kMost], count = 0;
  for (int i = 0; i < n; ++i) p[i] = permutation[i];
  for (int first; (first = p[0]) != 0; ++count) {
    for (int i = 0, j = first; i < j; ++i, --j) {
      int t = p[i];
      p[i] = p[j];
      p[j] = t;
    }
  }
  return count;
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 10, 8);
  bench_require(n <= kMost, "the size is at most 13");
  int permutation[kMost], counter[kMost] = {0}, most = 0, sum = 0;
  for (int i = 0; i < n; ++i) permutation[i] = i;
  // Rotations of ever longer prefixes, driven by a counter in the factorial number system.
  for (int index = 0;; ++index) {
    int count = flips(permutation, n);
    if (count > most) most = count;
    sum += index % 2 == 0 ? count : -count;
    int level = 1;
    for (; level < n; ++level) {
      int first = permutation[0];
      for (int i = 0; i < level; ++i) permutation[i] = permutation[i + 1];
      permutation[level] = first;
      if (++counter[level] <= level) break;
      counter[level] = 0;
    }
    if (level == n) break;
  }
  bench_add((uint64_t)most);
  bench_add((uint64_t)(int64_t)sum);
  return bench_finish("fannkuch");
}
