// All shortest paths of a directed graph with integer weights.
#include "../bench.h"

static void shortest(int n, int path[n][n]) {
  for (int k = 0; k < n; ++k) {
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        int through = path[i][k] + path[k][j];
        if (through < path[i][j]) path[i][j] = through;
      }
    }
  }
}

int main(int argc, char** argv) {
  enum { kFar = 1000000 };
  int n = bench_start(argc, argv, 1300, 420);
  int (*path)[n] = bench_allocate((size_t)n * n * sizeof(int));
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      path[i][j] = i == j                       ? 0
                   : bench_random_below(8) == 0 ? 1 + (int)bench_random_below(999)
                                                : kFar;
    }
  }
  shortest(n, path);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) bench_add((uint64_t)path[i][j]);
  }
  return bench_finish("floyd_warshall");
}
