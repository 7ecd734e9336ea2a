// LU decomposition in place without pivoting, of a matrix with a dominant diagonal (Doolittle).
#include "../bench.h"

static void lu(int n, double a[restrict n][n]) {
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < i; ++j) {
      for (int k = 0; k < j; ++k) a[i][j] -= a[i][k] * a[k][j];
      a[i][j] /= a[j][j];
    }
    for (int j = i; j < n; ++j) {
      for (int k = 0; k < i; ++k) a[i][j] -= a[i][k] * a[k][j];
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 1000, 360);
  double (*a)[n] = bench_matrix(n, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) a[i][j] = bench_random_unit() + (i == j ? n : 0);
  }
  lu(n, a);
  bench_add_doubles(a, (size_t)n * n);
  return bench_finish("lu");
}
