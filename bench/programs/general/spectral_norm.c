// The spectral norm of the infinite matrix 1 / ((i + j)(i + j + 1) / 2 + i + 1), by the power
// method on its first N rows.
#include <math.h>

#include "../bench.h"

static double entry(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }

static void times(int n, const double* v, double* out) {
  for (int i = 0; i < n; ++i) {
    double sum = 0;
    for (int j = 0; j < n; ++j) sum += entry(i, j) * v[j];
    out[i] = sum;
  }
}

static void times_transposed(int n, const double* v, double* out) {
  for (int i = 0; i < n; ++i) {
    double sum = 0;
    for (int j = 0; j < n; ++j) sum += entry(j, i) * v[j];
    out[i] = sum;
  }
}

int main(int argc, char** argv) {
  int n = bench_start(argc, argv, 4000, 700);
  double* u = bench_matrix(1, n);
  double* v = bench_matrix(1, n);
  double* t = bench_matrix(1, n);
  for (int i = 0; i < n; ++i) u[i] = 1;
  for (int round = 0; round < 10; ++round) {
    times(n, u, t);
    times_transposed(n, t, v);
    times(n, v, t);
    times_transposed(n, t, u);
  }
  double uv = 0, vv = 0;
  for (int i = 0; i < n; ++i) {
    uv += u[i] * v[i];
    vv += v[i] * v[i];
  }
  double norm = sqrt(uv / vv);
  bench_require(norm > 1.27 && norm < 1.28, "the norm is wrong");
  bench_add_doubles(&norm, 1);
  return bench_finish("spectral_norm");
}
