// D := alpha * A * B * C + beta * D, with the inner products in textbook order (i, j, k), so
// that the second factor is read by columns.
#include "../bench.h"

static void multiply(int n, double scale, double keep, double out[restrict n][n],
                     const double x[restrict n][n], const double y[restrict n][n]) {
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = keep * out[i][j];
      for (int k = 0; k < n; ++k) sum += scale * x[i][k] * y[k][j];
      out[i][j] = sum;
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 900, 250);
  double (*a)[n] = bench_matrix(n, n);
  double (*b)[n] = bench_matrix(n, n);
  double (*c)[n] = bench_matrix(n, n);
  double (*d)[n] = bench_matrix(n, n);
  double (*product)[n] = bench_matrix(n, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      a[i][j] = (double)((i * j + 1) % n) / n;
      b[i][j] = (double)(i * (j + 1) % n) / n;
      c[i][j] = (double)((i * (j + 3) + 1) % n) / n;
      d[i][j] = (double)(i * (j + 2) % n) / n;
      product[i][j] = 0;
    }
  }
  multiply(n, 1.25, 0, product, (const double (*)[n])a, (const double (*)[n])b);
  multiply(n, 1, 0.5, d, (const double (*)[n])product, (const double (*)[n])c);
  bench_add_doubles(d, (size_t)n * n);
  return bench_finish("2mm");
}
