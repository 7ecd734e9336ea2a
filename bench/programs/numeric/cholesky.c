// Cholesky decomposition A = L * L^T in place, of a symmetric positive definite matrix.
#include <math.h>

#include "../bench.h"

static void cholesky(int n, double a[restrict n][n]) {
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < i; ++j) {
      double sum = a[i][j];
      for (int k = 0; k < j; ++k) sum -= a[i][k] * a[j][k];
      a[i][j] = sum / a[j][j];
    }
    double square = a[i][i];
    for (int k = 0; k < i; ++k) square -= a[i][k] * a[i][k];
    a[i][i] = sqrt(square);
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 1700, 600);
  double (*a)[n] = bench_matrix(n, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j <= i; ++j) a[i][j] = a[j][i] = bench_random_unit() + (i == j ? n : 0);
  }
  cholesky(n, a);
  for (int i = 0; i < n; ++i) bench_add_doubles(a[i], i + 1);
  return bench_finish("cholesky");
}
