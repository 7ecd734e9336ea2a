// C := alpha * A * B + beta * C for square matrices.
#include "../bench.h"

static void gemm(int n, double alpha, double beta, double c[restrict n][n],
                 const double a[restrict n][n], const double b[restrict n][n]) {
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) c[i][j] *= beta;
    for (int k = 0; k < n; ++k) {
      double factor = alpha * a[i][k];
      for (int j = 0; j < n; ++j) c[i][j] += factor * b[k][j];
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 1400, 400);
  double (*a)[n] = bench_matrix(n, n);
  double (*b)[n] = bench_matrix(n, n);
  double (*c)[n] = bench_matrix(n, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      a[i][j] = bench_random_unit() - 0.5;
      b[i][j] = bench_random_unit() - 0.5;
      c[i][j] = bench_random_unit();
    }
  }
  gemm(n, 1.5, 0.75, c, (const double (*)[n])a, (const double (*)[n])b);
  bench_add_doubles(c, (size_t)n * n);
  return bench_finish("gemm");
}
