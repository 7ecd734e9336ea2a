// QR decomposition by the modified Gram-Schmidt process, columns in turn.
#include <math.h>

#include "../bench.h"

static void gramschmidt(int n, double a[restrict n][n], double q[restrict n][n],
                        double r[restrict n][n]) {
  for (int k = 0; k < n; ++k) {
    double square = 0;
    for (int i = 0; i < n; ++i) square += a[i][k] * a[i][k];
    r[k][k] = sqrt(square);
    for (int i = 0; i < n; ++i) q[i][k] = a[i][k] / r[k][k];
    for (int j = k + 1; j < n; ++j) {
      double dot = 0;
      for (int i = 0; i < n; ++i) dot += q[i][k] * a[i][j];
      r[k][j] = dot;
      for (int i = 0; i < n; ++i) a[i][j] -= q[i][k] * dot;
    }
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 640, 230);
  double (*a)[n] = bench_matrix(n, n);
  double (*q)[n] = bench_matrix(n, n);
  double (*r)[n] = bench_matrix(n, n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      a[i][j] = bench_random_unit() + (i == j ? 4 : 0);
      q[i][j] = r[i][j] = 0;
    }
  }
  gramschmidt(n, a, q, r);
  double worst = 0;  // columns of Q must be orthogonal
  for (int j = 1; j < n; ++j) {
    double dot = 0;
    for (int i = 0; i < n; ++i) dot += q[i][0] * q[i][j];
    if (fabs(dot) > worst) worst = fabs(dot);
  }
  bench_require(worst < 1e-9, "Q is not orthogonal");
  bench_add_doubles(q, (size_t)n * n);
  bench_add_doubles(r, (size_t)n * n);
  return bench_finish("gramschmidt");
}
